/** The suite's former NotificationCenter: a bell with a count, unread and read sections, and a WebSocket that reconnects. */

const center = document.querySelector('#center');
const state = document.querySelector('#state');
const { api, socket: socketPath } = center.dataset;
const token = () => document.cookie.match(/suite_csrf=([^;]+)/)?.[1] ?? '';
const post = (path) => fetch(api + path, { method: 'POST', headers: { 'x-csrftoken': token() } });

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const badge = element('span', { className: 'badge', hidden: true });
const button = element('button', { className: 'classic-bell', type: 'button' }, '🔔', badge);
button.setAttribute('aria-label', 'Notifications');
const panel = element('div', { className: 'classic-panel', hidden: true });
center.append(button, panel);
let notifications = [];

function show() {
  const section = (title, rows) => (rows.length ? [element('h2', { textContent: title }), ...rows.map(row)] : []);
  const unread = notifications.filter((one) => !one.is_read);
  const all = element('button', { className: 'plain', textContent: 'Mark all as read', type: 'button', onclick: () => post('mark_as_read/').then(load) });
  panel.replaceChildren(...(unread.length ? [all] : []), ...section('Unread', unread), ...section('Read', notifications.filter((one) => one.is_read)));
  if (!notifications.length) panel.textContent = 'No notifications.';
}

function row(notification) {
  const { id, title, message, priority, action_url: url, action_text: text, is_read: isRead } = notification;
  const link = url ? [element('a', { href: url, textContent: text || 'Open' })] : [];
  const read = isRead ? [] : [element('button', { className: 'plain', textContent: 'Mark as read', type: 'button', onclick: () => post(`${id}/mark_single_as_read/`).then(load) })];
  return element('article', { className: `priority-${priority}` }, element('strong', { textContent: title }), element('p', { textContent: message }), ...link, ...read);
}

async function load() {
  const response = await fetch(`${api}recent/`);
  if (response.status === 401) location.href = '/login';
  if (!response.ok) return;
  notifications = await response.json();
  show();
}

button.onclick = () => {
  panel.hidden = !panel.hidden;
  if (!panel.hidden) load();
};

let wait = 500; // ms; doubles after each loss
function connect() {
  const socket = new WebSocket(new URL(socketPath, location.href.replace(/^http/, 'ws')));
  socket.onopen = () => ((wait = 500), (state.textContent = 'connected'));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'notification_count') {
      badge.textContent = message.count;
      badge.hidden = message.count === 0;
      button.setAttribute('aria-label', message.count ? `Notifications, ${message.count} unread` : 'Notifications');
    }
    if (message.type === 'notification' && !panel.hidden) load();
  };
  socket.onclose = ({ code }) => {
    if (code === 4401) return void (location.href = '/login');
    state.textContent = 'reconnecting';
    setTimeout(connect, (wait = Math.min(wait * 2, 15_000)));
  };
}
connect();

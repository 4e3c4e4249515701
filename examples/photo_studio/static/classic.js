/** The bell as it was, asking every 30 seconds, beside the stream that tells. */

import { follow, root } from './site.js';

const EVERY = 30; // seconds
const old = document.querySelector('#old');
const told = document.querySelector('#new');
let etag = null;
let asked = 0;
let unchanged = 0;
let left = 0;

function write(panel, text) {
  const line = document.createElement('li');
  line.append(Object.assign(document.createElement('time'), { textContent: new Date().toLocaleTimeString('en-GB') }), text);
  const log = panel.querySelector('.log');
  log.prepend(line);
  while (log.children.length > 30) log.lastChild.remove();
}

const put = (panel, name, value) => (panel.querySelector(`.${name}`).textContent = value);

async function ask() {
  put(old, 'asked', ++asked);
  // "no-store": the browser's own cache would hide the 304 that this page counts.
  const response = await fetch(`${root}/api/notifications`, { cache: 'no-store', headers: etag ? { 'If-None-Match': etag } : {} });
  if (response.status === 304) {
    put(old, 'unchanged', ++unchanged);
    return write(old, 'nothing new');
  }
  if (!response.ok) return write(old, 'no answer');
  etag = response.headers.get('ETag');
  const { unread, notifications } = await response.json();
  put(old, 'unread', unread);
  write(old, notifications.length ? `${notifications.length} in the inbox, the newest: ${notifications[0].title}` : 'an empty inbox');
}

setInterval(() => {
  if (left === 0) ask().catch(() => write(old, 'no answer'));
  left = left === 0 ? EVERY - 1 : left - 1;
  put(old, 'next', left);
}, 1000);

const heard = (say) => ({ data }) => {
  const event = JSON.parse(data);
  if ('unread' in event) put(told, 'unread', event.unread);
  write(told, say(event));
};

follow({
  open: () => put(told, 'line', 'live'),
  error: () => put(told, 'line', 'coming back'),
  ready: heard(() => 'connected'),
  notification: heard(({ notification }) => notification.title),
  'notification-update': heard(({ notification }) => `${notification.read_at ? 'read' : 'changed'}: ${notification.title}`),
  'notification-delete': heard(() => 'one was deleted'),
  counts: heard(({ changed }) => `several at once: ${changed}`),
  event: heard(({ name }) => `live: ${name}`),
  heartbeat: () => put(told, 'line', 'live'),
});

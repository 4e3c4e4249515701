/** A desk of the marketplace. Live events use Laravel Echo over pusher-js as before; only the host has changed. */

const { desk, role, key, bellcast } = document.body.dataset;
const $ = (selector, within = document) => within.querySelector(selector);
const place = new URL(bellcast);
const STATES = { connected: 'Live', connecting: 'Connecting', unavailable: 'Offline', failed: 'Offline', disconnected: 'Offline' };

const echo = new (Echo.default ?? Echo)({
  broadcaster: 'pusher',
  Pusher,
  key,
  cluster: '',
  wsHost: place.hostname,
  wsPort: place.port || 80,
  wssPort: place.port || 443,
  forceTLS: place.protocol === 'https:',
  enabledTransports: ['ws', 'wss'],
  authEndpoint: `/${desk}/broadcasting/auth`,
});

echo.connector.pusher.connection.bind('state_change', ({ current }) => {
  const line = $('.line');
  line.dataset.state = current;
  line.textContent = STATES[current] ?? current;
  // Pusher's protocol does not replay missed events: fetch the board again. The bell resumes by position.
  if (current === 'connected') refresh();
});

const channel = role === 'admin' ? echo.channel('admin') : echo.private(`provider.${desk}`);
channel.listen('.lead.assigned', (lead) => news(lead, `${lead.customer} → ${lead.provider_name ?? 'unassigned'}`));
channel.listen('.lead.status.updated', (lead) => news(lead, `${lead.customer}: ${lead.status}`));

/** Adds an entry to the list of events since the page was opened. */
function news(lead, text) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  item.append(text, time);
  const list = $('.news ol');
  list.prepend(item);
  while (list.children.length > 20) list.lastChild.remove();
  const count = $('.news .count');
  count.textContent = String(Number(count.textContent) + 1);
  count.hidden = $('.news').open;
  refresh(lead.id);
}

$('.news').addEventListener('toggle', () => {
  $('.news .count').textContent = '0';
  $('.news .count').hidden = true;
});

/** Show the current board, with a changed lead highlighted for a moment. */
async function refresh(lit) {
  const response = await fetch(`/${desk}/leads`).catch(() => null);
  if (!response?.ok) return;
  const leads = await response.json();
  $('.board').replaceChildren(...leads.map((lead) => card(lead, lead.id === lit)));
}

function card(lead, lit) {
  const item = $('#lead').content.cloneNode(true).firstElementChild;
  item.classList.toggle('lit', lit);
  item.dataset.status = lead.status;
  $('.customer', item).textContent = lead.customer;
  $('.service', item).textContent = lead.service;
  $('.place', item).textContent = `${lead.city} · no. ${lead.id}`;
  $('.status', item).textContent = lead.status;
  const assign = $('.assign', item);
  if (assign) {
    assign.value = lead.provider ?? '';
    assign.addEventListener('change', () => change('admin', lead, { provider: assign.value }));
  }
  for (const move of item.querySelectorAll('.moves button')) {
    move.disabled = move.value === lead.status;
    move.addEventListener('click', () => change('provider', lead, { status: move.value }));
  }
  return item;
}

const change = (role, lead, fields) => send('PATCH', `/${desk}/api/${role}/leads/${lead.id}`, fields);

$('.new')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  if (await send('POST', `/${desk}/api/leads`, Object.fromEntries(new FormData(form)))) form.reset();
});

/** Send a request to the site, without a socket id, so that the event reaches this desk too. */
async function send(method, path, fields) {
  const response = await fetch(path, { method, body: JSON.stringify(fields), headers: { 'Content-Type': 'application/json' } }).catch(() => null);
  $('.problem').textContent = response?.ok ? '' : ((await response?.json().catch(() => null))?.message ?? 'The server cannot be reached.');
  if (response?.ok) refresh();
  return response?.ok ?? false;
}

$('bellcast-bell').getToken = () => fetch(`/${desk}/bell-token`);
refresh();

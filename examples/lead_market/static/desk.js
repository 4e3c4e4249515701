/** A desk of the market. Everything live is Laravel Echo over pusher-js, as it was; only the host is another. */

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
  // Pusher's protocol tells nothing of what went by meanwhile: the board asks, and the bell beside it knows.
  if (current === 'connected') refresh();
});

const channel = role === 'admin' ? echo.channel('admin') : echo.private(`provider.${desk}`);
channel.listen('.lead.assigned', (lead) => news(lead, `${lead.customer} → ${lead.provider_name ?? 'nobody yet'}`));
channel.listen('.lead.status.updated', (lead) => news(lead, `${lead.customer}: ${lead.status}`));

/** The seed's bell: what happened since the page was opened. */
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

/** The board as it is now; a lead that just changed is lit for a moment. */
async function refresh(lit) {
  const answer = await fetch(`/${desk}/leads`).catch(() => null);
  if (!answer?.ok) return;
  const leads = await answer.json();
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

const change = (door, lead, said) => ask('PATCH', `/${desk}/api/${door}/leads/${lead.id}`, said);

$('.new')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  if (await ask('POST', `/${desk}/api/leads`, Object.fromEntries(new FormData(form)))) form.reset();
});

/** Ask the site. Every desk hears of what came of it, this one too: so no socket id goes along. */
async function ask(method, path, said) {
  const answer = await fetch(path, { method, body: JSON.stringify(said), headers: { 'Content-Type': 'application/json' } }).catch(() => null);
  $('.problem').textContent = answer?.ok ? '' : ((await answer?.json().catch(() => null))?.message ?? 'The market cannot be reached.');
  if (answer?.ok) refresh();
  return answer?.ok ?? false;
}

$('bellcast-bell').getToken = () => fetch(`/${desk}/bell-token`);
refresh();

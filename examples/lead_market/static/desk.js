/** A desk of the marketplace: the board of leads, and the live events that change it. */

import { channel, onConnected, role, root } from './page.js';

const $ = (selector, within = document) => within.querySelector(selector);

channel?.listen('.lead.assigned', (lead) => news(lead, `${lead.customer} → ${lead.provider_name ?? 'unassigned'}`));
channel?.listen('.lead.status.updated', (lead) => news(lead, `${lead.customer}: ${lead.status}`));
channel?.listen('.lead.withdrawn', (lead) => news(lead, `No. ${lead.id} is no longer yours`));
onConnected(() => refresh());

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

/** Show the current board, with a changed lead highlighted for a moment. Return whether it was read. */
async function refresh(lit) {
  const response = await fetch(`${root}/leads`).catch(() => null);
  if (!response?.ok) return false;
  const leads = await response.json();
  draw(leads, lit);
  $('.empty').hidden = leads.length > 0;
  return true;
}

/** Show the leads. The card of an unchanged lead stays, with its focus and an open menu; the menu of a changed one keeps the focus. */
function draw(leads, lit) {
  const board = $('.board');
  const texts = leads.map((lead) => JSON.stringify(lead));
  const held = document.activeElement, place = held.closest('.lead')?.id;
  for (const item of [...board.children]) if (!texts.includes(item.dataset.lead)) item.remove();
  leads.forEach((lead, at) => {
    if (board.children[at]?.dataset.lead === texts[at]) return;
    const item = card(lead, lead.id === lit);
    item.dataset.lead = texts[at];
    board.insertBefore(item, board.children[at] ?? null);
  });
  if (place && !held.isConnected) $(`#${place} [aria-label="${held.ariaLabel}"]`)?.focus();
}

/** Show the lead of the address, as after a click on its notification. It may have another provider by now. */
function open() {
  for (const item of document.querySelectorAll('.lead')) item.classList.toggle('opened', `#${item.id}` === location.hash);
  $('.lead.opened')?.scrollIntoView({ block: 'center' });
  const number = /^#lead-(\d+)$/.exec(location.hash)?.[1];
  $('.problem[role]').textContent = number && !$('.lead.opened') ? `Lead no. ${number} is not among ${role === 'admin' ? 'the' : 'your'} leads.` : '';
}
addEventListener('hashchange', open);

function card(lead, lit) {
  const item = $('#lead').content.cloneNode(true).firstElementChild;
  item.classList.toggle('lit', lit);
  item.id = `lead-${lead.id}`;
  item.classList.toggle('opened', `#${item.id}` === location.hash);
  item.dataset.status = lead.status;
  $('.customer', item).textContent = lead.customer;
  $('.service', item).textContent = lead.service;
  $('.place', item).textContent = `${lead.city} · no. ${lead.id}`;
  const contact = $('.contact', item);
  contact.textContent = lead.contact;
  contact.href = (lead.contact.includes('@') ? 'mailto:' : 'tel:') + lead.contact;
  contact.hidden = !lead.contact;
  $('.status', item).textContent = lead.status;
  const assign = $('.assign', item);
  if (assign) {
    assign.value = lead.provider ?? '';
    assign.addEventListener('change', () => reassign(lead, assign));
    const move = $('.move', item);
    move.value = lead.status;
    move.addEventListener('change', () => change('admin', lead, { status: move.value }));
  }
  for (const move of item.querySelectorAll('.moves button')) {
    move.disabled = move.value === lead.status;
    move.addEventListener('click', () => change('provider', lead, { status: move.value }));
  }
  return item;
}

/** A lead that is won or lost gets another provider only if the admin confirms that it is open again. */
function reassign(lead, assign) {
  const provider = assign.value;
  if (lead.status !== 'won' && lead.status !== 'lost') return change('admin', lead, { provider });
  if (confirm(`This lead is ${lead.status}. Give it to ${assign.selectedOptions[0].text}, and open it again?`)) return change('admin', lead, { provider, status: provider ? 'assigned' : 'new' });
  assign.value = lead.provider ?? '';
}

async function change(role, lead, fields) {
  if (await send('PATCH', `${root}/api/${role}/leads/${lead.id}`, fields)) return;
  const item = document.getElementById(`lead-${lead.id}`);
  if (item) item.dataset.lead = ''; // its menus show what was refused
  refresh();
}

const filled = (form) => Object.fromEntries([...new FormData(form)].filter(([, value]) => value));

// One id per form: a request that is repeated adds one lead.
let requestId = crypto.randomUUID();
$('.new')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  if (!(await send('POST', `${root}/api/leads`, { ...filled(form), requestId }))) return;
  requestId = crypto.randomUUID();
  form.reset();
});

/** Send a request to the site, without a socket id, so that the event reaches this desk too. */
async function send(method, path, fields) {
  const response = await fetch(path, { method, body: JSON.stringify(fields), headers: { 'Content-Type': 'application/json' } }).catch(() => null);
  $('.problem[role]').textContent = response?.ok ? '' : ((await response?.json().catch(() => null))?.message ?? 'Leadwell can’t be reached.');
  if (response?.ok) refresh();
  return response?.ok ?? false;
}

refresh().then((isShown) => isShown && open());

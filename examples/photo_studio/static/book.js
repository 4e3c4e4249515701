/** Booking a session in three steps; the last one shows a summary, books, and notifies the front desk. */

import { notifyAdminOfNewBooking } from './booking_notifications.js';
import { ready, root, send, submit } from './site.js';

const form = document.querySelector('form[data-form=book]');
const steps = [...form.querySelectorAll('fieldset')];
const next = form.querySelector('[data-next]');
const back = form.querySelector('[data-back]');
// One id per form: a request that is repeated books once.
const requestId = crypto.randomUUID();
let at = 0;


function summary() {
  const { kind, day, time, place, notes } = Object.fromEntries(new FormData(form));
  const { name, price } = form.querySelector(`[name=kind][value=${kind}]`).dataset;
  const when = new Date(`${day}T${time}`).toLocaleString('en-GB', { weekday: 'long', day: 'numeric', month: 'long', hour: '2-digit', minute: '2-digit' });
  return Object.entries({ Session: name, When: when, Where: place, Notes: notes, Price: price }).filter(([, value]) => value);
}

function show(step) {
  at = step;
  steps.forEach((fieldset, number) => (fieldset.hidden = number !== at));
  back.hidden = at === 0;
  next.textContent = at === 2 ? 'Book this session' : 'Continue';
  form.querySelector('[data-count]').textContent = `Step ${at + 1} of 3`;
  const rows = summary().map(([term, value]) => {
    const row = document.createElement('div');
    row.append(Object.assign(document.createElement('dt'), { textContent: term }), Object.assign(document.createElement('dd'), { textContent: value }));
    return row;
  });
  form.querySelector('.summary').replaceChildren(...rows);
}

async function book({ kind, day, time, place, notes }) {
  const { id } = await send('POST', '/api/bookings', { kind, starts_at: `${day}T${time}`, place, notes, requestId });
  await notifyAdminOfNewBooking(id);
  location.assign(`${root}/bookings/${id}`);
}

back.addEventListener('click', () => show(at - 1));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const wrong = [...steps[at].elements].find((field) => !field.checkValidity());
  if (wrong) wrong.reportValidity();
  else if (at < 2) show(at + 1);
  else submit(form, book);
});
ready(document);

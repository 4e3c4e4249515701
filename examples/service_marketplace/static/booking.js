/** The page of a booking and its actions. */

import './chat.js';
import { line } from './live.js';
import { ready, refresh, send, submit } from './site.js';

const { booking } = document.querySelector('[data-booking]').dataset;
const path = `/api/bookings/${booking}`;

const ACTIONS = {
  move: ({ move }) => send('PUT', `${path}/${move}`, {}),
  pay: ({ card }) => send('POST', `${path}/payment`, { card }),
  refund: () => send('POST', `${path}/refund`, {}),
};

// Listen on the document, because a refresh replaces the forms.
document.addEventListener('submit', (event) => {
  const form = event.target;
  const act = ACTIONS[form.dataset.form];
  if (!act) return;
  event.preventDefault();
  const move = event.submitter?.value;
  submit(form, async (fields) => {
    await act({ ...fields, move });
    document.activeElement?.blur();
    await refresh();
  });
});
ready(document);

/** Mark the notifications about this booking as read when the page opens. Later ones still alert the user. */
line.then(async (session) => {
  while (!session.state.loaded) await new Promise((done) => session.addEventListener('change', done, { once: true }));
  const unread = session.state.notifications.filter(({ data, read_at: read }) => data.bookingId === booking && !read);
  if (unread.length) session.read(unread.map(({ id }) => id)).catch(() => {});
});

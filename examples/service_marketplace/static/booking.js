/** One booking: what its two people do with it. */

import './chat.js';
import { line } from './live.js';
import { ready, refresh, send, submit } from './site.js';

const { booking } = document.querySelector('[data-booking]').dataset;
const path = `/api/bookings/${booking}`;

const DO = {
  move: ({ move }) => send('PUT', `${path}/${move}`, {}),
  pay: ({ card }) => send('POST', `${path}/payment`, { card }),
  refund: () => send('POST', `${path}/refund`, {}),
};

// On the document, because news replaces what is in the page.
document.addEventListener('submit', (event) => {
  const form = event.target;
  const act = DO[form.dataset.form];
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

/** Whoever came here has read what led here. What comes while they look still rings. */
line.then((session) => {
  const look = () => {
    const { loaded, notifications } = session.state;
    if (!loaded) return;
    session.removeEventListener('change', look);
    const led = notifications.filter(({ data, read_at: read }) => data.bookingId === booking && !read);
    if (led.length) session.read(led.map(({ id }) => id)).catch(() => {});
  };
  session.addEventListener('change', look);
  look();
});

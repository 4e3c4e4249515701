/** One booking: what its two people do with it. */

import './chat.js';
import { ready, refresh, send, submit } from './site.js';

const path = `/api/bookings/${document.querySelector('[data-booking]').dataset.booking}`;

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

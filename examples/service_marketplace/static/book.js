/** Booking a service. */

import './live.js';
import './device.js';
import { ready, root, send, submit } from './site.js';

const form = document.querySelector('form[data-form=book]');

// One id per request: one that is repeated books once. The Back button of some browsers returns to this script as it was.
let requestId = crypto.randomUUID();

form.addEventListener('submit', (event) => {
  event.preventDefault();
  submit(form, async ({ service, day, time, address, notes }) => {
    const { id } = await send('POST', '/api/bookings', { service, starts_at: `${day}T${time}`, address, notes, requestId });
    requestId = crypto.randomUUID();
    location.assign(`${root}/bookings/${id}`);
  });
});
ready(document);

/** Booking a service. */

import './live.js';
import './device.js';
import { ready, root, send, submit } from './site.js';

const form = document.querySelector('form[data-form=book]');

// One id per form: a request that is repeated books once.
const requestId = crypto.randomUUID();

form.addEventListener('submit', (event) => {
  event.preventDefault();
  submit(form, async ({ service, day, time, address, notes }) => {
    const { id } = await send('POST', '/api/bookings', { service, starts_at: `${day}T${time}`, address, notes, requestId });
    location.assign(`${root}/bookings/${id}`);
  });
});
ready(document);

/** The page of a booking: the front desk assigns it, the photographer delivers, all participants see the gallery. */

import { notifyClientWorkCompleted, notifyPhotographerOfAssignment } from './booking_notifications.js';
import { ready, send, submit } from './site.js';

const id = Number(document.querySelector('[data-booking]').dataset.booking);

async function assign({ photographerId }) {
  await send('PUT', `/api/bookings/${id}/photographer`, { photographerId });
  await notifyPhotographerOfAssignment(id);
  location.reload();
}

// One id per file and per gallery: requests that are repeated after an error deliver once.
const fileIds = new WeakMap();
const requestId = crypto.randomUUID();

async function handIn({ title, photos }, files) {
  for (const file of files) {
    if (!fileIds.has(file)) fileIds.set(file, crypto.randomUUID());
    await send('POST', `/api/bookings/${id}/photos?requestId=${fileIds.get(file)}`, file, file.type);
  }
  await send('POST', `/api/bookings/${id}/work`, { title, photos: Number(photos), requestId });
  await notifyClientWorkCompleted(id);
  location.reload();
}

async function close() {
  await send('DELETE', `/api/bookings/${id}`);
  location.reload();
}

// Listen on the document, because a refresh replaces the forms.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.dataset.form) return;
  event.preventDefault();
  if (form.dataset.form === 'assign') submit(form, assign);
  else if (form.dataset.form === 'close') confirm(`${form.querySelector('button').textContent}?`) && submit(form, close);
  else submit(form, (fields) => handIn(fields, form.elements.files.files));
});

document.addEventListener('click', (event) => {
  const picture = event.target.closest?.('.gallery a');
  if (!picture || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const viewer = document.querySelector('.viewer');
  viewer.querySelector('img').src = picture.href;
  viewer.showModal();
});

ready(document);

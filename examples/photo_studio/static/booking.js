/** The page of a booking: the front desk assigns it, the photographer delivers, all participants see the gallery. */

import { notifyClientWorkCompleted, notifyPhotographerOfAssignment } from './booking_notifications.js';
import { ready, send, submit } from './site.js';

const id = Number(document.querySelector('[data-booking]').dataset.booking);

async function assign({ photographerId }) {
  await send('PUT', `/api/bookings/${id}/photographer`, { photographerId });
  await notifyPhotographerOfAssignment(id);
  location.reload();
}

async function handIn({ title, photos }, files) {
  for (const file of files) await send('POST', `/api/bookings/${id}/photos`, file, file.type);
  await send('POST', `/api/bookings/${id}/work`, { title, photos: Number(photos) });
  await notifyClientWorkCompleted(id);
  location.reload();
}

// Listen on the document, because a refresh replaces the forms.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.dataset.form) return;
  event.preventDefault();
  if (form.dataset.form === 'assign') submit(form, assign);
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

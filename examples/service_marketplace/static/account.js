/** The account page: the person's signed-in devices. */

import './live.js';
import './device.js';
import { refresh, send } from './site.js';

document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-end]');
  if (!button) return;
  button.disabled = true;
  await send('DELETE', `/api/sessions/${button.dataset.end}`).catch(() => {});
  await refresh();
});

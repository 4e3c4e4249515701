/** The account page: the person's signed-in devices. */

import { connectPushSwitch } from '../app-kit/push.js';
import './device.js';
import { line } from './live.js';
import { refresh, root, send } from './site.js';
import { text } from './texts.js';

const box = document.querySelector('[data-push]');
if (box) {
  const problem = document.querySelector('[data-push-problem]');
  line.then((session) => connectPushSwitch(box, session, root, (error) => (problem.textContent = error && text('account.push_refused'))));
}

document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-end]');
  if (!button) return;
  button.disabled = true;
  await send('DELETE', `/api/sessions/${button.dataset.end}`).catch(() => {});
  await refresh();
});

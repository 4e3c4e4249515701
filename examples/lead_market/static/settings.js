/** The admin's settings: test the connection before they are saved. */

import { root } from './page.js';

const result = document.querySelector('[data-result]');
document.querySelector('[data-test]').addEventListener('click', async ({ target }) => {
  target.disabled = true;
  result.textContent = 'Testing…';
  const body = new URLSearchParams(new FormData(target.form));
  const response = await fetch(`${root}/admin/settings/test`, { method: 'POST', body }).catch(() => null);
  const { ok = false, message = 'Leadwell can’t be reached.' } = (await response?.json().catch(() => null)) ?? {};
  result.className = ok ? 'done' : 'problem';
  result.textContent = message;
  target.disabled = false;
});

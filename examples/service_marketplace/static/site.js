/** Shared by all pages: requests, forms, and live refresh. */

import { text } from './texts.js';

export const { root, person } = document.documentElement.dataset;

/** A refused request, with a message for the user. `after` is the number of seconds to wait before a retry. */
export class Refused extends Error {
  constructor(response, { error }) {
    super(error ?? text('error.unknown'));
    this.status = response.status;
    this.after = Number(response.headers.get('retry-after'));
  }
}

export async function send(method, path, body) {
  const options = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(root + path, { method, ...options });
  const result = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response, result);
  return result;
}

/** Run a form's submission once at a time, and show its error in the form. */
export async function submit(form, work) {
  const problem = form.querySelector('.problem');
  const buttons = [...form.querySelectorAll('button:not([type=button])')];
  const enable = (isEnabled) => buttons.forEach((button) => (button.disabled = !isEnabled));
  problem.textContent = '';
  enable(false);
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    problem.textContent = error instanceof Refused ? error.message : text('error.no_connection');
  }
  enable(true);
}

/** Enable the forms. Until then they are inert: without its script a form would only reload the page. */
export function ready(part) {
  for (const form of part.querySelectorAll('form[inert]')) form.inert = false;
}

const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches('input, textarea');

/** Replace the changed parts of the page, except a form that the user is editing. */
export async function refresh() {
  const parts = [...document.querySelectorAll('[data-fresh]')];
  if (!parts.length) return;
  const response = await fetch(location.href).catch(() => null);
  if (!response?.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    ready(fresh);
    if (!busy(part) && part.innerHTML !== fresh.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
}

document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) menu.open = menu.contains(target);
});
document.addEventListener('keydown', ({ key }) => {
  const menu = key === 'Escape' && document.querySelector('details.menu[open]');
  if (!menu) return;
  menu.open = false;
  menu.querySelector('summary').focus();
});

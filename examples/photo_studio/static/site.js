/** Shared by all pages: requests, forms, the bell, and live refresh. */

import { connectPushSwitch } from '../app-kit/push.js';

export const root = document.documentElement.dataset.root;

/** Send a request to the site. Throws an error with a message for the user. */
export async function send(method, path, body, type = 'application/json') {
  const options = body === undefined ? { method } : { method, headers: { 'Content-Type': type }, body: type === 'application/json' ? JSON.stringify(body) : body };
  const response = await fetch(root + path, options).catch(() => null);
  if (!response) throw new Error('The studio can’t be reached. Please try again.');
  const result = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(result.error ?? 'Something went wrong. Please try again.');
  return result;
}

/** Run a form's submission once at a time, and show its error in the form. */
export async function submit(form, work) {
  const problem = form.querySelector('.problem');
  const button = form.querySelector('button:not([type=button])');
  problem.textContent = '';
  button.disabled = true;
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    problem.textContent = error.message;
    button.disabled = false;
  }
}

/** Enable the forms. Until then they are inert: without its script a form would only reload the page. */
export function ready(part) {
  for (const form of part.querySelectorAll('form[inert]')) form.inert = false;
}

// A page in the back/forward cache shows an old state, and its form may still be disabled.
addEventListener('pageshow', ({ persisted }) => persisted && location.reload());

/** Listen to the person's live events from the site's own origin while the page is visible. */
export function follow(listeners) {
  let source = null;
  const open = () => {
    source = new EventSource(`${root}/api/notifications/stream`);
    for (const [name, listen] of Object.entries(listeners)) source.addEventListener(name, listen);
  };
  const close = () => (source?.close(), (source = null));
  const update = () => {
    if (document.hidden) close();
    else if (!source || source.readyState === EventSource.CLOSED) open();
  };
  document.addEventListener('visibilitychange', update);
  // A page in the back/forward cache must not keep its connection.
  addEventListener('pagehide', close);
  addEventListener('pageshow', update);
  // A proxy's 502, such as during a restart of the app, closes an EventSource for good.
  setInterval(update, 10_000);
}

/** Replace the page's content with the current version, unless the user is editing a form. */
async function refresh(main) {
  if (main.querySelector('form[data-touched], dialog[open]')) return;
  const response = await fetch(location.href);
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = page.querySelector('main[data-live]');
  if (!fresh) return;
  ready(fresh);
  main.replaceChildren(...fresh.childNodes);
}

const bell = document.querySelector('bellcast-bell');
bell.addEventListener('bellcast:open-notification', ({ detail: { notification } }) => {
  // `keepalive`: the browser opens the booking in the meantime.
  if (!notification.read_at) fetch(`${root}/api/notifications/${notification.id}/read`, { method: 'PATCH', keepalive: true }).catch(() => {});
});
const box = document.querySelector('[data-push]');
if (box) {
  const problem = document.querySelector('[data-push-problem]');
  const refused = (error) => (problem.textContent = error && 'This browser has not allowed push messages.');
  const [server, tokenUrl] = ['server', 'token-url'].map((name) => bell.getAttribute(name));
  // This session is never opened: it only registers the browser.
  window.bellcast.then(({ Session }) => connectPushSwitch(box, new Session({ server, tokenUrl }), root, refused));
}
const main = document.querySelector('main[data-live]');
if (main) {
  main.addEventListener('input', ({ target }) => target.form?.setAttribute('data-touched', ''));
  const update = () => refresh(main);
  follow({ notification: update, event: update });
}
document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('details[open]')) menu.open = menu.contains(target);
});

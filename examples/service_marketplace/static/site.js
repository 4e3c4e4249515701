/** What every page of the site does: asks the site, runs its forms, and shows news without a reload. */

export const { root, person } = document.documentElement.dataset;

/** What the site refused, in words to show. `after`: the seconds to wait before asking again. */
export class Refused extends Error {
  constructor(response, { error }) {
    super(error ?? 'That did not work.');
    this.status = response.status;
    this.after = Number(response.headers.get('retry-after'));
  }
}

export async function send(method, path, body) {
  const options = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(root + path, { method, ...options });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response, answer);
  return answer;
}

/** Run a form's submission once at a time, and say in the form why it failed. */
export async function submit(form, work) {
  const problem = form.querySelector('.problem');
  const button = form.querySelector('button:not([type=button])');
  problem.textContent = '';
  button.disabled = true;
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    problem.textContent = error instanceof Refused ? error.message : 'No connection. Please try again.';
  }
  button.disabled = false;
}

/** Forms are inert until their script is there: without it they would only reload the page. */
export function ready(part) {
  for (const form of part.querySelectorAll('form[inert]')) form.inert = false;
}

const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches('input, textarea');

/** Show the parts of the page that changed, as the site has them now; a form somebody is filling in is left alone. */
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

/** What every page of the site does: asks the site, minds the bell, and shows news without a reload. */

export const root = document.documentElement.dataset.root;

/** Ask the site. A refusal is thrown, in words to show. */
export async function send(method, path, body, type = 'application/json') {
  const options = { method, headers: { 'Content-Type': type }, body: type === 'application/json' ? JSON.stringify(body) : body };
  const response = await fetch(root + path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
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
    problem.textContent = error.message;
    button.disabled = false;
  }
}

/** Let people at the forms. Until then they are inert: without its script a form would only reload the page. */
export function ready(part) {
  for (const form of part.querySelectorAll('form[inert]')) form.inert = false;
}

/** The person's live events under the site's own address, while the page is in view. */
export function follow(listeners) {
  let source = null;
  const open = () => {
    source = new EventSource(`${root}/api/notifications/stream`);
    for (const [name, listen] of Object.entries(listeners)) source.addEventListener(name, listen);
  };
  const close = () => (source?.close(), (source = null));
  const look = () => {
    if (document.hidden) close();
    // A stream that was refused stays closed (EventSource gives up then), so look again now and then.
    else if (!source || source.readyState === EventSource.CLOSED) open();
  };
  document.addEventListener('visibilitychange', look);
  // A page left for another keeps no line open while the browser remembers it.
  addEventListener('pagehide', close);
  addEventListener('pageshow', look);
  setInterval(look, 10_000);
}

/** Show the page as it is now, unless somebody is busy with a form in it. */
async function refresh(main) {
  if (main.querySelector('form[data-touched], dialog[open]')) return;
  const response = await fetch(location.href);
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = page.querySelector('main[data-live]');
  if (!fresh) return;
  ready(fresh);
  main.replaceChildren(...fresh.childNodes);
}

function mindTheBell(bell) {
  bell.getToken = () => fetch(`${root}/api/bell-token`);
  bell.addEventListener('bellcast:open-notification', async (event) => {
    const { id, action_url: url, read_at: read } = event.detail.notification;
    if (!url?.startsWith('/')) return;
    event.preventDefault();
    if (!read) await send('PATCH', `/api/notifications/${id}/read`).catch(() => {}); // The booking matters more.
    location.assign(root + url);
  });
}

mindTheBell(document.querySelector('bellcast-bell'));
const main = document.querySelector('main[data-live]');
if (main) {
  main.addEventListener('input', ({ target }) => target.form?.setAttribute('data-touched', ''));
  const look = () => refresh(main);
  follow({ notification: look, event: look });
}
document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('details[open]')) menu.open = menu.contains(target);
});

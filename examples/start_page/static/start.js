/** The start page: the newest e-mails, and Reset. */

const INTERVAL = 4_000; // ms between requests for e-mails
const RETRY = 500; // ms between attempts while the demo restarts
const list = document.querySelector('[data-emails]');
const empty = document.querySelector('[data-empty]');
const notice = document.querySelector('[data-notice]');

const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function entry({ app, to, subject, state, at, mailbox }) {
  const item = document.createElement('li');
  const link = Object.assign(element('a', subject), { href: mailbox, target: '_blank' });
  const time = element('time', new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  item.append(link, element('span', `${app} → ${to}`), element('em', state), time);
  return item;
}

async function refresh() {
  const response = await fetch('/api/emails').catch(() => null);
  if (!response?.ok) return;
  const { emails } = await response.json();
  list.replaceChildren(...emails.map(entry));
  empty.hidden = emails.length > 0;
}

document.querySelector('[data-reset]').addEventListener('click', async ({ target }) => {
  if (!confirm('Delete all data of the demo and start again?')) return;
  target.disabled = true;
  notice.hidden = false;
  notice.textContent = 'The demo is restarting…';
  await fetch('/api/reset', { method: 'POST' });
  // The page is away for a moment: reload it once it has been down and is up again.
  for (let wasDown = false; ; await pause(RETRY)) {
    const isUp = await fetch('/', { cache: 'no-store' }).then((response) => response.ok, () => false);
    if (isUp && wasDown) return location.reload();
    wasDown ||= !isUp;
  }
});

refresh();
setInterval(() => document.hidden || refresh(), INTERVAL);

/** The start page: the live bells of the apps and the buttons that ring them, the newest e-mails, and Reset. */

import { dialects } from './lines.js';

const INTERVAL = 4_000; // ms between requests for e-mails
const RETRY = 500; // ms between attempts while the demo restarts
const NAMES = { sse: 'SSE', websocket: 'WebSocket', pusher: 'Pusher', socketio: 'Socket.IO' };
const list = document.querySelector('[data-emails]');
const empty = document.querySelector('[data-empty]');
const notice = document.querySelector('[data-notice]');

const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
/** Seconds on a machine that is busy: the text has one line. @param {number} ms */
const inWords = (ms) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The live line of an app, and its button. */
class Line {
  #output;
  #url;
  #button;
  #rangAt = 0;

  constructor(article) {
    const { app, dialect, event, url } = article.dataset;
    this.#url = `/api/apps/${app}`;
    this.#output = article.querySelector('output');
    this.#button = article.querySelector('[data-ring]');
    this.#button.addEventListener('click', () => this.ring());
    article.addEventListener('bellcast:open-notification', (opened) => {
      const { action_url: path } = opened.detail.notification;
      opened.preventDefault();
      if (path?.startsWith('/')) open(url + path, '_blank', 'noopener');
    });
    dialects[dialect](() => this.#token(), event, {
      live: () => this.#show('live', `Live over ${NAMES[dialect]}`),
      lost: () => this.#show('connecting', 'Reconnecting'),
      failed: (error) => this.#show('failed', error.message),
      arrived: () => this.#arrived(NAMES[dialect]),
    });
  }

  /** Trigger an event in the app. The time until it arrives here includes the app's own work. */
  async ring() {
    this.#button.disabled = true;
    this.#rangAt = performance.now();
    const response = await fetch(`${this.#url}/ring`, { method: 'POST' }).catch((error) => error);
    this.#button.disabled = false;
    if (response.ok) return;
    const problem = response instanceof Response ? (await response.json()).error : response.message;
    this.#show('failed', problem);
  }

  async #token() {
    const response = await fetch(`${this.#url}/token`);
    const { token, error } = await response.json();
    if (!token) throw new Error(error);
    return token;
  }

  #arrived(dialect) {
    const after = this.#rangAt ? ` in ${inWords(performance.now() - this.#rangAt)}` : '';
    this.#rangAt = 0;
    this.#show('arrived', `${dialect}${after}`);
  }

  #show(state, text) {
    this.#output.dataset.state = state;
    this.#output.textContent = text;
  }
}

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

const lines = [...document.querySelectorAll('[data-app]')].map((article) => new Line(article));
document.querySelector('[data-ring-all]').addEventListener('click', () => lines.forEach((line) => void line.ring()));

document.querySelector('[data-reset]').addEventListener('click', async ({ target }) => {
  if (!confirm('Delete all data of the demo and start again?')) return;
  target.disabled = true;
  notice.hidden = false;
  notice.textContent = 'The demo is restarting…';
  await fetch('/api/reset', { method: 'POST' });
  // The server restarts: reload the page once it is available again.
  for (let wasDown = false; ; await pause(RETRY)) {
    const isUp = await fetch('/', { cache: 'no-store' }).then((response) => response.ok, () => false);
    if (isUp && wasDown) return location.reload();
    wasDown ||= !isUp;
  }
});

refresh();
setInterval(() => document.hidden || refresh(), INTERVAL);

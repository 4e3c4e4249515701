/** The start page: the live bells of the apps and the buttons that ring them, the newest e-mails, outages, and Reset. */

import { dialects } from './lines.js';

const INTERVAL = 4_000; // ms between requests for e-mails
const RETRY = 500; // ms between attempts while the demo restarts
const TOKEN_RETRY = 2_000; // ms between requests for a token while an app does not respond
const EMAIL_DELAY = 600; // ms from an event until its e-mail is stored
const LATE = 1_500; // ms: a notification that waited for a connection
const CUT = 10; // seconds
const NAMES = { sse: 'SSE', websocket: 'WebSocket', pusher: 'Pusher', socketio: 'Socket.IO' };
const list = document.querySelector('[data-emails]');
const empty = document.querySelector('[data-empty]');
const notice = document.querySelector('[data-notice]');
const story = document.querySelector('[data-story]');

const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
/** A time for people. @param {number} ms */
const inWords = (ms) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The session of a bell, once its script has run. */
async function sessionOf(bell) {
  while (!bell.session) await pause(100);
  return bell.session;
}

/** The live line of an app, and its button. */
class Line {
  #output;
  #url;
  #button;
  #dialect;
  #isBellLive = false;
  #isLineLive = false;

  constructor(article) {
    const { app, dialect, event, url } = article.dataset;
    this.#url = `/api/apps/${app}`;
    this.#output = article.querySelector('output');
    this.#button = article.querySelector('[data-ring]');
    this.#dialect = NAMES[dialect];
    this.#button.addEventListener('click', () => this.ring());
    article.addEventListener('bellcast:open-notification', (opened) => {
      const { action_url: path } = opened.detail.notification;
      opened.preventDefault();
      if (path?.startsWith('/')) open(url + path, '_blank', 'noopener');
    });
    const bell = article.querySelector('bellcast-bell');
    sessionOf(bell).then((session) => {
      session.addEventListener('notification', ({ detail }) => this.#rang(detail));
      session.addEventListener('change', () => {
        this.#isBellLive = session.state.status === 'live';
        outage.changed();
      });
    });
    dialects[dialect](() => this.#token(), event, {
      live: () => this.#live(),
      lost: () => this.#lost(),
      failed: (error) => this.#show('failed', error.message),
      arrived: () => setTimeout(refresh, EMAIL_DELAY),
    });
  }

  get isLive() {
    return this.#isBellLive && this.#isLineLive;
  }

  /** Trigger an event in the app. */
  async ring() {
    this.#button.disabled = true;
    outage.rang();
    const response = await fetch(`${this.#url}/ring`, { method: 'POST' }).catch((error) => error);
    this.#button.disabled = false;
    if (response.ok) return;
    const problem = response instanceof Response ? (await response.json()).error : response.message;
    this.#show('failed', problem);
  }

  /** Return the token of the app's owner, as soon as the app responds. */
  async #token() {
    for (;;) {
      const response = await fetch(`${this.#url}/token`).catch((error) => error);
      const { token, error } = response instanceof Response ? await response.json() : { error: response.message };
      if (token) return token;
      this.#show('failed', error);
      await pause(TOKEN_RETRY);
    }
  }

  #live() {
    this.#isLineLive = true;
    this.#show('live', `Live over ${this.#dialect}`);
    outage.changed();
  }

  #lost() {
    this.#isLineLive = false;
    this.#show('connecting', 'Reconnecting');
    outage.changed();
  }

  /**
   * A notification reached the bell: by an event, or in the inbox that is fetched after an outage. Both clocks are this machine's, so
   * the time is that from the server to here.
   */
  #rang({ created_at: at }) {
    outage.arrived();
    const late = Date.now() - Date.parse(at);
    this.#show('arrived', late < LATE ? `Server → bell ${Math.max(1, late)} ms` : `Arrived after ${inWords(late)}`);
  }

  #show(state, text) {
    this.#output.dataset.state = state;
    this.#output.textContent = text;
  }
}

/** What happens while the network is cut or the server is down, in words. */
const outage = {
  cause: '', startedAt: 0, rings: 0, arrivals: 0, isOver: true,
  begin(cause) {
    // What the last outage delayed may still arrive.
    const rings = Math.max(0, this.rings - this.arrivals);
    Object.assign(this, { cause, startedAt: performance.now(), rings, arrivals: 0, isOver: false, wasDown: false });
    this.tell();
  },
  rang() {
    if (!this.isOver) this.rings += 1;
    this.tell();
  },
  arrived() {
    this.arrivals += 1;
    this.tell();
  },
  changed() {
    const live = lines.filter((line) => line.isLive).length;
    this.wasDown ||= live === 0;
    if (!this.isOver && this.wasDown && live === lines.length) {
      this.isOver = true;
      this.took = performance.now() - this.startedAt;
    }
    this.tell();
  },
  tell() {
    if (!this.cause) return;
    const rings = this.rings === 1 ? '1 event' : `${this.rings} events`;
    const live = lines.filter((line) => line.isLive).length;
    const arrived = Math.min(this.arrivals, this.rings);
    // The longest pause of an outbox between two attempts.
    const rest = arrived < this.rings ? ', the others follow: each app tries again within a minute' : '';
    story.dataset.state = this.isOver ? 'over' : 'out';
    story.textContent = this.isOver
      ? `All ${lines.length} connections are back after ${inWords(this.took)}. ${this.rings ? `You rang ${rings} meanwhile: ${arrived} of ${this.rings} arrived${rest}.` : 'Nothing was sent meanwhile.'}`
      : `${this.cause} ${live} of ${lines.length} connections are open.${this.rings ? ` ${rings} rang: the apps keep them until the bells can be reached.` : ' Ring an app now.'}`;
  },
};

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

const lines = [];
for (const article of document.querySelectorAll('[data-app]')) lines.push(new Line(article));
document.querySelector('[data-ring-all]').addEventListener('click', () => lines.forEach((line) => void line.ring()));

const cut = document.querySelector('[data-cut]');
cut.addEventListener('click', async () => {
  if (cut.ariaPressed === 'true') return void restore();
  cut.ariaPressed = 'true';
  outage.begin('The network is cut.');
  await fetch('/api/network/cut', { method: 'POST' });
  for (let left = CUT; left > 0 && cut.ariaPressed === 'true'; left -= 1) {
    cut.textContent = `Restore now (${left})`;
    await pause(1_000);
  }
  if (cut.ariaPressed === 'true') restore();
});

async function restore() {
  cut.ariaPressed = 'false';
  cut.textContent = 'Cut the network';
  await fetch('/api/network/cut', { method: 'DELETE' });
  dispatchEvent(new Event('online')); // as the browser does when a network is back: clients connect without waiting for their next attempt
}

document.querySelector('[data-kill]').addEventListener('click', () => {
  outage.begin('The server was killed (kill -9) and starts again in a few seconds.');
  fetch('/api/kill', { method: 'POST' });
});

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

/** The person's live line: opened by the session's cookie, and ended with the session. */

import { person, refresh, root } from './site.js';

const { bellcast, seated } = document.documentElement.dataset;
const AGAIN = 5_000; // ms between looks for a server that is away
const WAITS = [300, 8_000]; // ms before an ended line is opened again: the first, the longest
const WORDS = { live: 'Live', connecting: 'Connecting', waiting: 'Reconnecting', offline: 'Offline', closed: 'Not connected' };

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Bellcast's client, from Bellcast. A failed import stays failed under its address, so the next one asks a little differently. */
async function load() {
  for (let tries = 0; ; tries++) {
    try {
      return await import(`${bellcast}/bellcast.js${tries ? `?${tries}` : ''}`);
    } catch {
      await pause(AGAIN);
    }
  }
}

// A cookie goes to every port of its host. Elsewhere, or where two people share a browser, a token says who is meant.
const cookieSpeaks = !seated && new URL(bellcast).hostname === location.hostname;

async function open() {
  const { Session } = await load();
  const getToken = () => fetch(`${root}/api/bellcast-token`);
  const session = new Session({ server: bellcast, ...(cookieSpeaks ? { recipient: person } : { getToken }) });
  mindTheEnd(session);
  show(session);
  return session.open();
}

/** A line that was ended may come back if the person is still signed in; if not, the page cannot stay either. */
function mindTheEnd(session) {
  let [wait, longest] = WAITS;
  let asking = false;
  session.addEventListener('change', async () => {
    if (session.state.status === 'live') [wait] = WAITS;
    if (!session.state.error || asking) return;
    asking = true;
    await pause(wait * (0.5 + Math.random()));
    wait = Math.min(longest, wait * 2);
    const response = await fetch(`${root}/api/session`).catch(() => null);
    asking = false;
    if (response?.status === 401) location.assign(`${root}/${seated ? 'bookings' : 'login?ended'}`);
    else session.open();
  });
}

function show(session) {
  const status = document.querySelector('.line');
  for (const element of document.querySelectorAll('bellcast-bell, bellcast-toasts')) element.session = session;
  const draw = () => {
    status.dataset.status = session.state.status;
    status.textContent = WORDS[session.state.status];
  };
  session.addEventListener('change', draw);
  session.addEventListener('notification', refresh);
  session.addEventListener('event', ({ detail }) => detail.name === 'booking-changed' && refresh());
  document.addEventListener('bellcast:open-notification', (event) => {
    const { action_url: url } = event.detail.notification;
    if (!url?.startsWith('/')) return;
    event.preventDefault();
    location.assign(root + url);
  });
  draw();
}

export const line = open();

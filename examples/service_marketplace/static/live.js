/** The person's live connection: authenticated by the session, and closed with it. */

import { person, refresh, root } from './site.js';
import { text } from './texts.js';

const { bellcast, seated } = document.documentElement.dataset;

// Browsers send a cookie to all ports of its host. On another host, or with two people in one browser, use a token.
const usesCookie = !seated && new URL(bellcast).hostname === location.hostname;

async function open() {
  const { Session } = await window.bellcast; // of bellcast-load.js
  const getToken = () => fetch(`${root}/api/bellcast-token`);
  const session = new Session({ server: bellcast, ...(usesCookie ? { recipient: person } : { getToken }) });
  show(session);
  return session.open();
}

function show(session) {
  const status = document.querySelector('.line');
  for (const element of document.querySelectorAll('bellcast-bell, bellcast-toasts')) element.session = session;
  const draw = () => {
    status.dataset.status = session.state.status;
    status.textContent = text(`live.${session.state.status}`);
  };
  session.addEventListener('change', draw);
  session.addEventListener('notification', refresh);
  session.addEventListener('event', ({ detail }) => detail.name === 'booking-changed' && refresh());
  document.addEventListener('bellcast:sign-in', () => location.assign(`${root}/login?ended`));
  document.addEventListener('bellcast:open-notification', (event) => {
    const { action_url: url } = event.detail.notification;
    if (!url?.startsWith('/')) return;
    event.preventDefault();
    location.assign(root + url);
  });
  draw();
}

export const line = open();

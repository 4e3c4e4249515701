/** A sound and desktop notifications. Loaded when either is enabled. */

import { link, plain } from './dom.js';

/** @import { Notification as InboxNotification } from '../events.js' */
/** @import { Session } from '../session.js' */
/** @import { AlertUser } from './alerts.js' */

const MAX_SHOWN = 3; // at a time; if there are more, a single one shows their number

/** @type {Map<string, Notification>} */
const shown = new Map();
/** Sessions with a listener that closes seen notifications. @type {WeakSet<Session>} */
const watchedSessions = new WeakSet();

/** @param {Session} session @param {AbortSignal} signal @param {InboxNotification[]} notifications @param {ReadonlySet<AlertUser>} users  the first one opens the notifications */
export function show(session, signal, notifications, users) {
  if (!watchedSessions.has(session)) {
    watchedSessions.add(session);
    session.addEventListener('change', () => closeSeen(session.state.notifications), { signal });
    signal.addEventListener('abort', () => watchedSessions.delete(session));
  }
  const [first] = notifications;
  const [user] = users;
  if (!first || !user) return;
  if (notifications.length > MAX_SHOWN) void showOne({ ...first, body: null }, user.many(notifications.length), users);
  else for (const notification of notifications) void showOne(notification, user.titleOf(notification), users);
}

/** @param {InboxNotification} notification @param {string} title @param {ReadonlySet<AlertUser>} users */
async function showOne(notification, title, users) {
  const { id: tag, body, actor } = notification;
  const picture = link(actor?.avatar);
  const options = { tag, ...(body && { body: plain(body) }), ...(picture && { icon: picture }) };
  try {
    const desktop = new Notification(title, options);
    shown.set(tag, desktop);
    desktop.onclick = () => {
      desktop.close();
      focus();
      const [user] = users; // elements may have been removed or restarted since
      user?.open(notification);
    };
  } catch {
    // The constructor throws where only a service worker may show notifications.
    const worker = await navigator.serviceWorker?.getRegistration();
    await worker?.showNotification(title, options);
  }
}

/** Close notifications that were seen on any device. @param {readonly InboxNotification[]} notifications */
function closeSeen(notifications) {
  const unseen = new Set(notifications.flatMap(({ id, seen_at }) => (seen_at ? [] : [id])));
  for (const [id, desktop] of shown) {
    if (unseen.has(id)) continue;
    desktop.close();
    shown.delete(id);
  }
}

const MAX_LATENESS = 1_000; // ms

/** @type {AudioContext | undefined} */
let audio;

/** Two soft notes, synthesized: a sound file would have to load, and a Content-Security-Policy could block it. */
export async function chime() {
  audio ??= new AudioContext();
  const requestedAt = performance.now();
  await audio.resume();
  if (performance.now() - requestedAt > MAX_LATENESS) return; // browsers delay sounds until the first click, and would then play them together
  const from = audio.currentTime;
  for (const [at, frequency] of /** @type {const} */ ([[0, 660], [0.13, 880]])) {
    const note = new OscillatorNode(audio, { frequency });
    const volume = new GainNode(audio, { gain: 0 });
    note.connect(volume).connect(audio.destination);
    volume.gain.setValueAtTime(0.12, from + at);
    volume.gain.exponentialRampToValueAtTime(0.0001, from + at + 0.4);
    note.start(from + at);
    note.stop(from + at + 0.4);
  }
}

/** A sound and the desktop's own notifications. Fetched by who wants them. */

import { link, plain } from './dom.js';

/** @import { Notification as Told } from '../events.js' */
/** @import { Session } from '../session.js' */

const MAX_SHOWN = 3; // at once on a desktop; more are told as a number

/** @type {Map<string, Notification>} */
const shown = new Map();
/** Those whose state is followed already. @type {WeakSet<Session>} */
const watchedSessions = new WeakSet();

/** @param {Session} session @param {AbortSignal} signal @param {Told[]} told @param {(count: number) => string} many @param {(told: Told) => void} open */
export function show(session, signal, told, many, open) {
  if (!watchedSessions.has(session)) {
    watchedSessions.add(session);
    session.addEventListener('change', () => closeSeen(session.state.notifications), { signal });
    signal.addEventListener('abort', () => watchedSessions.delete(session));
  }
  const [first] = told;
  const each = told.length > MAX_SHOWN && first ? [{ ...first, title: many(told.length), body: null }] : told;
  for (const one of each) {
    const picture = link(one.actor?.avatar);
    const desktop = new Notification(plain(one.title), { tag: one.id, ...(one.body && { body: plain(one.body) }), ...(picture && { icon: picture }) });
    shown.set(one.id, desktop);
    desktop.onclick = () => {
      desktop.close();
      focus();
      open(one);
    };
  }
}

/** Seen anywhere, it is closed everywhere. @param {readonly Told[]} notifications */
function closeSeen(notifications) {
  const unseen = new Set(notifications.flatMap(({ id, seen_at }) => (seen_at ? [] : [id])));
  for (const [id, desktop] of shown) {
    if (unseen.has(id)) continue;
    desktop.close();
    shown.delete(id);
  }
}

/** @type {AudioContext | undefined} */
let audio;

/** Two soft notes, made here: nothing to fetch, nothing for a Content-Security-Policy to refuse. */
export async function chime() {
  audio ??= new AudioContext();
  await audio.resume();
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

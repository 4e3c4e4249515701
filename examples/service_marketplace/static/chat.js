/** The chat of a booking. Messages are encrypted and decrypted only in the browsers. */

import { device } from './device.js';
import { line } from './live.js';
import { Outbox } from './outbox.js';
import { codeOf, seal, unseal } from './sealing.js';
import { Refused, person, send } from './site.js';
import { Talk } from './talk.js';

const view = document.querySelector('[data-chat]');
const { chat: booking, other } = view.dataset;
const path = `/api/bookings/${booking}`;
const form = view.querySelector('form');
const words = form.elements.words;
const talk = new Talk(view);
const TYPING_INTERVAL = 2_500; // ms between typing events; the receiver's timeout is more than twice that

const state = { topic: '', devices: [], read: {}, messages: new Map() };
let own = null;
let session = null;
let typingSentAt = 0;
let loading = Promise.resolve();

const outbox = new Outbox(`gable outbox ${person} ${booking}`, async (message) => {
  const sent = await send('POST', `${path}/messages`, message).catch(showRefusal);
  await place([sent]);
});

/** Show a refusal; the outbox decides whether to retry. */
function showRefusal(error) {
  if (error instanceof Refused) talk.showProblem(error.message);
  throw error;
}

const keyOf = (id) => state.devices.find((each) => each.id === id)?.key;

async function open(message) {
  const text = await unseal(message, booking, own, keyOf).catch(() => undefined);
  return { ...message, text };
}

/** Show new messages. */
async function place(messages) {
  for (const message of messages) {
    const known = state.messages.get(message.id);
    if (!known || (message.number && !known.number)) state.messages.set(message.id, await open(message));
  }
  draw();
}

function draw() {
  const all = [...state.messages.values()].sort((one, two) => (one.number ?? Infinity) - (two.number ?? Infinity));
  talk.show(all, state.read[other] ?? 0);
  const here = state.devices.filter((each) => each.here);
  const reachable = own !== null && here.some((each) => each.person === other);
  form.querySelector('button').disabled = words.disabled = !reachable;
  talk.reachable(reachable);
  void markRead();
}

/** Fetch the whole chat, because live events are not stored. One request at a time: an older response must not replace a newer one. */
function load() {
  loading = loading.catch(() => {}).then(fetchChat);
  return loading;
}

async function fetchChat() {
  const chat = await send('GET', `${path}/chat`);
  Object.assign(state, { topic: chat.topic, devices: chat.devices });
  for (const [reader, number] of Object.entries(chat.read)) state.read[reader] = Math.max(number, state.read[reader] ?? 0);
  talk.code(await codeOf(chat.devices.filter((each) => each.here)));
  await place(chat.messages);
}

/** Mark visible messages as read, for the other person and in the inbox. */
async function markRead() {
  if (document.hidden) return;
  const last = Math.max(0, ...[...state.messages.values()].filter(({ sender }) => sender === other).map(({ number }) => number));
  if (last > (state.read[person] ?? 0)) {
    state.read[person] = last;
    send('POST', `${path}/read`, { number: last }).catch(() => {});
  }
  const unread = (session?.state.notifications ?? []).filter(({ type, data, read_at: read }) => type === 'notification' && data.bookingId === booking && !read);
  if (unread.length) session.read(unread.map(({ id }) => id)).catch(() => {});
}

async function write() {
  const text = words.value.trim();
  if (!text) return;
  words.value = '';
  form.dispatchEvent(new Event('input'));
  talk.showProblem('');
  const message = await seal(text, booking, own, state.devices.filter((each) => each.here));
  state.messages.set(message.id, { ...message, sender: person, at: new Date().toISOString(), text });
  draw();
  await outbox.put(message);
}

function typing(on) {
  const now = Date.now();
  if (on ? now - typingSentAt < TYPING_INTERVAL : !typingSentAt) return;
  typingSentAt = on ? now : 0;
  session?.typing(state.topic, on).catch(() => {}); // not possible over an event stream
}

const EVENT_HANDLERS = {
  'chat-message': (message) => place([message]),
  'chat-read': ({ person: reader, number }) => {
    state.read[reader] = Math.max(number, state.read[reader] ?? 0);
    draw();
  },
  'chat-devices': () => load(),
};

/** Follow the topic while the chat is visible. The other person sees the presence, and the site sends no notification. */
async function follow() {
  own = await device; // decrypting needs it
  if (document.hidden || session.state.status !== 'live') return;
  if (!state.topic) await load();
  await session.subscribe(state.topic);
  await load(); // after subscribing, so that no event is missed in between
  await outbox.flush();
}

function listen() {
  let live = false;
  const again = () => follow().catch(() => {});
  session.addEventListener('change', () => {
    const now = session.state.status === 'live';
    if (now && !live) again();
    else void markRead();
    live = now;
  });
  session.addEventListener('event', ({ detail }) => detail.topic === state.topic && EVENT_HANDLERS[detail.name]?.(detail.data));
  session.addEventListener('typing', ({ detail }) => detail.recipient === other && detail.topic === state.topic && talk.typing(detail.on));
  session.addEventListener('presence', () => talk.here(session.members(state.topic).some(({ recipient }) => recipient === other)));
  document.addEventListener('visibilitychange', () => (document.hidden ? session.unsubscribe(state.topic).catch(() => {}) : again()));
  again();
}

async function start() {
  own = await device;
  await load();
  const waiting = await Promise.all(outbox.waiting.map((message) => open({ ...message, sender: person, at: new Date().toISOString() })));
  await place(waiting);
  void outbox.flush();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  typing(false);
  void write();
});
form.addEventListener('input', () => typing(words.value.trim() !== ''));
words.addEventListener('blur', () => typing(false));
words.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

start().catch((error) => talk.showProblem(error.message));
line.then((opened) => {
  session = opened;
  listen();
});

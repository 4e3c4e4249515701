import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ready, settled } from './environment.js';
import { open, later } from './live-session.js';

const SECRET = { topic: 'team', code: 'forbidden', message: 'Not for you.' };

test('live events are dispatched and a call resolves with its response', async () => {
  const { env, session, events } = await open();
  env.link.receive({ type: 'event', topic: 'team', name: 'lead.assigned', data: { lead: 7 } });
  env.link.receive({ type: 'typing', topic: 'team', recipient: 'bob', on: true });
  assert.deepEqual(events.map(({ type }) => type), ['event', 'typing']);
  assert.deepEqual(events[0].detail.data, { lead: 7 });
  const called = session.call('sum', [1, 2]);
  await settled();
  const { ref, ...frame } = env.link.sent.at(-1);
  assert.deepEqual(frame, { type: 'call', name: 'sum', data: [1, 2] });
  env.link.receive({ type: 'ack', ref, data: 3 });
  assert.equal(await called, 3);
});

test('commands refuse arguments that they do not have, and data that JSON cannot express', async () => {
  const { env, session } = await open();
  const commands = () => env.link.sent.filter(({ type }) => type !== 'subscribe').map(({ ref, ...frame }) => frame);
  for (const command of [
    () => session.publish('team', 'moved', { x: NaN }),
    () => session.publish('team', 'moved', { x: undefined }),
    () => session.publish('team', 'moved', {}, { except: 'me' }),
    () => session.typing('team', true, 5),
    () => session.ping('now'),
    () => session.call('sum', [NaN]),
    () => session.call('sum', 1, 2),
  ]) await assert.rejects(command(), TypeError);
  await settled();
  assert.deepEqual(commands(), []);
  assert.throws(() => session.members('team', 'others'), TypeError);
  session.publish('team', 'moved');
  session.typing('team', false);
  await settled();
  assert.deepEqual(commands(), [{ type: 'publish', topic: 'team', name: 'moved' }, { type: 'typing', topic: 'team', on: false }]);
});

test('a topic subscribed later is subscribed again after a reconnect', async () => {
  const { env, session } = await open();
  const pending = session.subscribe('room');
  await settled();
  const { ref, ...frame } = env.link.sent.at(-1);
  assert.deepEqual(frame, { type: 'subscribe', topics: ['room'] });
  env.link.receive({ type: 'ack', ref, topics: ['room'], refused: [] });
  await pending;
  env.link.disconnect();
  await env.timers.advance(1_000);
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team', 'room']);
});

test('a topic whose subscription was cut is subscribed by the next connection', async () => {
  const { env, session } = await open();
  const pending = session.subscribe('room');
  await settled();
  assert.deepEqual(env.link.sent.at(-1).topics, ['room']);
  env.link.disconnect();
  assert.equal(await pending, null);
  await env.timers.advance(1_000);
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team', 'room']);
});

test('a refused topic is not subscribed again', async () => {
  const { env, session } = await open();
  const pending = session.subscribe('secret');
  await settled();
  env.link.receive({ type: 'error', ref: env.link.sent.at(-1).ref, code: 'forbidden', message: 'no' });
  await assert.rejects(pending, { code: 'forbidden' });
  env.link.disconnect();
  await env.timers.advance(1_000);
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team']);
});

test('over server-sent events a new topic reopens the stream', async () => {
  const { env, session } = await open();
  env.link.disconnect();
  env.WebSocket = function blocked() {
    throw new Error('blocked');
  };
  await env.timers.advance(1_000);
  env.link.disconnect?.();
  await env.timers.advance(3_000);
  env.link.receive(ready());
  await session.subscribe('room');
  await settled();
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team', 'room']);
});

test('members are loaded from the subscribe response and updated by presence events', async () => {
  const { env, session } = await open();
  const pending = session.subscribe('presence-room');
  await settled();
  const { ref } = env.link.sent.at(-1);
  env.link.receive({ type: 'ack', ref, topics: ['presence-room'], refused: [], presence: { 'presence-room': [{ recipient: 'bob' }] } });
  await pending;
  env.link.receive({ type: 'presence', topic: 'presence-room', joined: [{ recipient: 'ann' }], left: [{ recipient: 'bob' }] });
  assert.deepEqual(session.members('presence-room'), [{ recipient: 'ann' }]);
});

test('a repeatedly refused topic is reported once', async () => {
  const { env, events } = await open();
  env.link.disconnect();
  await env.timers.advance(1_000);
  for (let turn = 0; turn < 2; turn++) {
    env.link.receive(ready({ refused: [SECRET, { ...SECRET, topic: 'of another tab' }] }));
    await settled();
    env.link.receive({ type: 'error', ref: env.link.sent.at(-1).ref, code: 'forbidden', message: 'team: Not for you.' });
    await settled();
    env.link.disconnect();
    await env.timers.advance(1_000);
  }
  assert.deepEqual(events.map(({ type, detail }) => [type, detail]), [['refused', SECRET]]);
});

test('refused topics of a joint subscription are reported and not subscribed again', async () => {
  const { env, session, events } = await open();
  await settled();
  const pending = session.subscribe('room', 'secret');
  await settled();
  const refused = [{ ...SECRET, topic: 'secret' }];
  env.link.receive({ type: 'ack', ref: env.link.sent.at(-1).ref, topics: ['room'], refused });
  assert.deepEqual((await pending).refused, refused);
  assert.deepEqual(events.map(({ type, detail }) => [type, detail]), [['refused', refused[0]]]);
  env.link.disconnect();
  await env.timers.advance(1_000);
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team', 'room']);
});

test('a topic of several elements is unsubscribed when the last of them ends', async () => {
  const { env, session } = await open();
  const sent = () => env.link.sent.splice(0).map(({ type, topics }) => [type, ...topics]);
  await settled();
  sent();
  const ends = [session.followTopics(['room', 'team']), session.followTopics(['room'])];
  await settled();
  assert.deepEqual(sent(), [['subscribe', 'room']]);
  ends[0]();
  await env.timers.advance(0);
  assert.deepEqual(sent(), [], 'the other element follows the room, the page the team');
  ends[1]();
  const restarted = session.followTopics(['room']);
  await env.timers.advance(0);
  assert.deepEqual(sent(), [], 'an element that restarts misses no event');
  restarted();
  await env.timers.advance(0);
  assert.deepEqual(sent(), [['unsubscribe', 'room']]);
  env.link.disconnect();
  await env.timers.advance(1_000);
  assert.deepEqual(env.link.url.searchParams.getAll('topic'), ['team']);
});

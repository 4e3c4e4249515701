import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as inbox from '../src/bellcast/inbox-reducer.js';
import { notification, ready } from './environment.js';

const AT = '2026-02-02T00:00:00.000Z';
const seen = { seen_at: AT };
const read = { seen_at: AT, read_at: AT };
const page = (notifications, { next = null, unread, unseen, position = 'p1' } = {}) => ({
  notifications, next, position,
  unread: unread ?? notifications.filter((n) => !n.read_at).length, unseen: unseen ?? notifications.filter((n) => !n.seen_at).length,
});
const numbers = (state) => inbox.visible(state).map(({ id }) => Number(id.slice(-4)));
const loaded = () => inbox.snapshot(page([notification(9), notification(5), notification(3, read)]));
const counts = { unread: 0, unseen: 0, position: 'p2' };

test('a new notification takes its place by id, wherever that is', () => {
  const arrival = (number) => ({ type: 'notification', notification: notification(number), ...counts });
  assert.deepEqual(numbers([11, 7, 1].map(arrival).reduce(inbox.apply, loaded())), [11, 9, 7, 5, 3, 1]);
});

test('applying an event twice changes nothing', () => {
  for (const event of [
    { type: 'notification', notification: notification(11), ...counts },
    { type: 'notification-update', notification: notification(5, read), ...counts },
    { type: 'notification-delete', id: notification(5).id, ...counts },
    { type: 'counts', changed: 'read', ids: 'all', at: AT, ...counts },
  ]) {
    const once = inbox.apply(loaded(), event);
    assert.deepEqual(inbox.apply(once, event), once, event.type);
  }
});

test('rows below the loaded ones are not inserted', () => {
  const state = inbox.snapshot(page([notification(9), notification(5)], { next: 'more' }));
  const after = inbox.apply(state, { type: 'notification-update', notification: notification(2), ...counts });
  assert.deepEqual(numbers(after), [9, 5]);
  assert.equal(after.position, 'p2');
  assert.deepEqual(numbers(inbox.extend(after, page([notification(2), notification(1)]))), [9, 5, 2, 1]);
});

test('a snoozed row leaves every view but its own, and wakes first', () => {
  const snoozedRow = notification(3, { snoozed_until: '2026-02-03T00:00:00.000Z' });
  const snoozed = inbox.apply(loaded(), { type: 'notification-update', notification: snoozedRow, ...counts });
  assert.deepEqual(numbers(snoozed), [9, 5]);
  assert.deepEqual(numbers(inbox.snapshot(page([snoozedRow]), { view: 'snoozed' })), [3]);
  const awaited = { ...snoozedRow, awaits_return: true };
  const back = inbox.apply(inbox.snapshot(page([awaited])), { type: 'counts', changed: 'unarchived', ids: [awaited.id], ...counts });
  assert.deepEqual([back.rows[0].snoozed_until, back.rows[0].awaits_return], [null, undefined]);
  const wokenRow = { ...snoozedRow, snoozed_until: null, woken_at: '2026-02-03T00:00:00.000Z' };
  const woken = inbox.apply(snoozed, { type: 'notification', notification: wokenRow, ...counts });
  assert.deepEqual(numbers(woken), [3, 9, 5]);
  assert.equal(inbox.apply(woken, { type: 'notification', notification: wokenRow, ...counts }).rows.length, 3);
});

test('a woken row that was not loaded is inserted above the loaded ones', () => {
  const state = inbox.snapshot(page([notification(9), notification(5)], { next: notification(5).id }));
  const wokenRow = notification(2, { woken_at: '2026-02-03T00:00:00.000Z' });
  assert.deepEqual(numbers(inbox.apply(state, { type: 'notification', notification: wokenRow, ...counts })), [2, 9, 5]);
});

test('unarchiving a row whose id is below the loaded ones makes the inbox stale: it may have woken above them', () => {
  const state = inbox.snapshot(page([notification(9), notification(5)], { next: notification(5).id }));
  const event = { type: 'counts', changed: 'unarchived', ids: [notification(2).id], at: AT, ...counts };
  assert.equal(inbox.apply(state, event).stale, true);
});

test('an archived row leaves the view and returns without a fetch', () => {
  const archived = inbox.apply(loaded(), { type: 'counts', changed: 'archived', ids: [notification(5).id], at: AT, ...counts });
  assert.deepEqual(numbers(archived), [9, 3]);
  const back = inbox.apply(archived, { type: 'counts', changed: 'unarchived', ids: [notification(5).id], at: AT, ...counts });
  assert.deepEqual(numbers(back), [9, 5, 3]);
  assert.equal(back.stale, false);
});

test('unarchiving rows that are not loaded makes the inbox stale', () => {
  for (const ids of ['all', [notification(4).id]]) {
    assert.equal(inbox.apply(loaded(), { type: 'counts', changed: 'unarchived', ids, at: AT, ...counts }).stale, true);
  }
});

test('a reset makes the inbox stale until the next fetch', () => {
  const state = inbox.apply(loaded(), { type: 'reset', ...counts });
  assert.equal(state.stale, true);
  assert.equal(inbox.snapshot(page([])).stale, false);
});

test('a greeting does not move the position: the replay is still to come', () => {
  const state = inbox.apply(loaded(), ready({ position: 'p1', unread: 7 }));
  assert.deepEqual([state.position, state.unread, state.stale], ['p1', 7, false]);
});

test('ready without resuming makes the inbox stale unless the position is equal', () => {
  assert.equal(inbox.apply(loaded(), ready({ resumed: false, position: 'p1' })).stale, false);
  assert.equal(inbox.apply(loaded(), ready({ resumed: false, position: 'p8' })).stale, true);
});

test('ready without a recipient has no counters', () => {
  const { unread, unseen, ...nameless } = ready({ recipient: null });
  assert.equal(inbox.apply(loaded(), nameless).unread, 2);
});

test('live events do not change the inbox', () => {
  const state = loaded();
  for (const type of ['event', 'presence', 'typing', 'heartbeat', 'close', 'ack', 'pong', 'error']) {
    assert.equal(inbox.apply(state, { type }), state);
  }
});

const mixed = () => inbox.snapshot(page([notification(9), notification(7, seen), notification(5, { ...read, type: 'booking' }), notification(3, { type: 'booking' })]));
const action = (verb, target) => ({ verb, target, at: AT });
for (const [verb, target, unread, unseen, rows] of [
  ['seen', { ids: [notification(9).id] }, 3, 1, [9, 7, 5, 3]],
  ['read', { ids: [notification(9).id, notification(5).id, 'unknown'] }, 2, 1, [9, 7, 5, 3]],
  ['unread', { ids: [notification(5).id] }, 4, 2, [9, 7, 5, 3]],
  ['archive', { ids: [notification(7).id] }, 2, 2, [9, 5, 3]],
  ['delete', { ids: [notification(9).id] }, 2, 1, [7, 5, 3]],
  ['read', { all: true }, 0, 0, [9, 7, 5, 3]],
  ['seen', { all: true }, 3, 0, [9, 7, 5, 3]],
  ['read', { all: true, of: { type: 'booking' } }, 2, 1, [9, 7, 5, 3]],
  ['delete', { all: true, of: { view: 'read' } }, 3, 2, [9, 7, 3]],
  ['archive', { all: true }, 0, 0, []],
]) {
  test(`${verb} ${JSON.stringify(target)} changes the counters immediately`, () => {
    const state = inbox.applyOptimistic(mixed(), action(verb, target));
    assert.deepEqual([state.unread, state.unseen, numbers(state)], [unread, unseen, rows]);
    assert.deepEqual(inbox.applyOptimistic(state, action(verb, target)).unread, unread, 'and only once');
  });
}

test('an action on all sets the counters of rows that are not loaded', () => {
  const state = inbox.snapshot(page([notification(9)], { next: 'more', unread: 50, unseen: 40 }));
  assert.equal(inbox.applyOptimistic(state, action('read', { all: true })).unread, 0);
  assert.equal(inbox.applyOptimistic(state, action('seen', { all: true })).unread, 50);
});

test('each view shows the rows that match it', () => {
  const rows = [notification(4), notification(3, read), notification(2, { archived_at: AT }), notification(1, { type: 'booking', tags: ['vip'] })];
  const view = (query) => numbers(inbox.snapshot(page(rows), query));
  assert.deepEqual(view({}), [4, 3, 1]);
  assert.deepEqual(view({ view: 'unread' }), [4, 1]);
  assert.deepEqual(view({ view: 'read' }), [3]);
  assert.deepEqual(view({ view: 'archived' }), [2]);
  assert.deepEqual(view({ type: 'booking' }), [1]);
  assert.deepEqual(view({ tag: 'vip' }), [1]);
});

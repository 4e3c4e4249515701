/** When a person counts as back: a new tab, or one that was hidden for a while. */

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { watchReturn } from '../src/bellcast/elements/until-back.js';

const MINUTE = 60_000;

class TestSession extends EventTarget {
  state = { loaded: true, awaits_return: true, status: 'live' };
  calls = 0;
  /** @type {Error | undefined} */
  failure;

  async back() {
    this.calls++;
    if (this.failure) throw this.failure;
  }

  /** @param {object} change */
  change(change) {
    this.state = { ...this.state, ...change };
    this.dispatchEvent(new Event('change'));
  }
}

/** @type {EventTarget & {hidden?: boolean}} */
let page;
/** @type {Map<string, string>} */
let stored;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-03-02T08:00:00Z') });
  page = new EventTarget();
  stored = new Map();
  globalThis.document = page;
  globalThis.sessionStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => void stored.set(key, value) };
});

/** @param {object} [state] */
function watch(state = {}) {
  const session = new TestSession();
  session.change(state);
  watchReturn(session, new AbortController().signal);
  return session;
}

/** @param {number} minutes */
function hide(minutes) {
  for (const hidden of [true, false]) {
    page.hidden = hidden;
    page.dispatchEvent(new Event('visibilitychange'));
    mock.timers.tick(hidden ? minutes * MINUTE : 0);
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a new tab is a return, once the session is live', () => {
  const session = watch({ loaded: false, awaits_return: undefined, status: 'connecting' });
  session.change({ loaded: true, awaits_return: true });
  assert.equal(session.calls, 0);
  session.change({ status: 'live' });
  session.change({});
  assert.equal(session.calls, 1);
});

test('a new tab calls nothing if nothing awaits the return', () => {
  const session = watch({ awaits_return: false });
  session.change({ awaits_return: true }); // snoozed in this tab
  assert.equal(session.calls, 0);
});

test('a reload is not a return, but one after a while is', () => {
  watch();
  assert.equal(watch().calls, 0);
  hide(14);
  assert.equal(watch().calls, 0);
  mock.timers.tick(16 * MINUTE);
  assert.equal(watch().calls, 1);
});

test('a tab that was hidden for a while is a return', () => {
  const session = watch({ awaits_return: false });
  hide(14);
  assert.equal(session.calls, 0);
  hide(16);
  assert.equal(session.calls, 1);
  hide(1);
  assert.equal(session.calls, 1);
});

test('a return without a network is repeated when the session has reconnected, a refused one is not', async () => {
  const session = watch({ awaits_return: false });
  session.failure = new TypeError('fetch failed');
  hide(16);
  await settled();
  session.change({ status: 'waiting' });
  assert.equal(session.calls, 1);
  session.failure = Object.assign(new Error(), { status: 401 });
  session.change({ status: 'live' });
  await settled();
  session.change({});
  assert.equal(session.calls, 2);
});

test('where storage is forbidden, each page is a return', () => {
  Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, get() { throw new Error('SecurityError'); } });
  const [first, second] = [watch(), watch()];
  assert.deepEqual([first.calls, second.calls], [1, 1]);
  hide(1);
  assert.deepEqual([first.calls, second.calls], [1, 1]);
  Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, writable: true, value: undefined });
});

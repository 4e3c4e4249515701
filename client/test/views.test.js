/** Pure functions: tabs, groups, cache invalidation, token refresh. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Credential } from '../src/bellcast/api.js';
import { fold } from '../src/bellcast/elements/group-rows.js';
import { texts, loadLanguage } from '../src/bellcast/elements/messages.js';
import { parse, query } from '../src/bellcast/elements/tab-bar.js';
import * as inbox from '../src/bellcast/inbox-reducer.js';
import { touched } from '../src/bellcast/cache-invalidation.js';
import { tokenRefreshDelay } from '../src/bellcast/reconnect.js';
import { notification } from './environment.js';

test('tabs are parsed from an attribute', () => {
  assert.deepEqual(parse('all, unread,type:booking=Bookings, tag:a:b, archived'), [
    { view: 'all' }, { view: 'unread' }, { type: 'booking', label: 'Bookings' }, { tag: 'a:b' }, { view: 'archived' },
  ]);
  assert.deepEqual(parse('all,type:x=Ex').map(query), [{ view: 'all' }, { type: 'x' }]);
});

test('a group is folded under its newest notification', () => {
  const rows = [notification(9, { group: 'a' }), notification(8), notification(7, { group: 'a' }), notification(6, { group: 'b' })];
  const lines = (open) => fold(rows, new Set(open)).map(({ notification: { id }, others, inner }) => [Number(id.slice(-4)), others, inner]);
  assert.deepEqual(lines([]), [[9, 1, false], [8, 0, false], [6, 0, false]]);
  assert.deepEqual(lines(['a']), [[9, 1, false], [7, 0, true], [8, 0, false], [6, 0, false]]);
});

test('a group named like an id does not match that row', () => {
  const row = notification(9);
  assert.equal(fold([row, notification(8, { group: row.id })], new Set()).length, 2);
});

for (const [key, hit] of [
  [['booking', 7], true], [['booking', '7', 'guests'], true], [['booking'], true], ['booking:7', true],
  [['booking', 8], false], [['bookings', 7], false], ['payment:7', false], [[{ booking: 7 }], false],
]) {
  test(`booking:7 ${hit ? 'touches' : 'leaves'} ${JSON.stringify(key)}`, () => assert.equal(touched(['booking:7'])(key), hit));
}

const jwt = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;
for (const [what, claims, after] of [
  ['an hour', { iat: 1000, exp: 4600 }, 2_700_000],
  ['four seconds', { iat: 1000, exp: 1004 }, 3_000],
  ['an hour, to a clock that is a day ahead', { iat: 1000 - 86_400, exp: 4600 - 86_400 }, 900_000],
  ['no end', { iat: 1000 }, undefined],
]) {
  test(`a token of ${what} is renewed after ${after}`, () => assert.equal(tokenRefreshDelay(1_000_000, claims), after));
}

test('the sharing key depends on all claims but the times', async () => {
  const whose = (claims) => new Credential(jwt(claims), undefined).sharingKey();
  assert.equal(await whose({ sub: 'a', exp: 1 }), await whose({ sub: 'a', exp: 2, iat: 1, jti: 'x' }));
  assert.notEqual(await whose({ sub: 'a', topics: ['x'] }), await whose({ sub: 'a', topics: ['y'] }));
  assert.notEqual(await whose({ sub: 'a', tenant: 'acme' }), await whose({ sub: 'a' }));
  assert.equal(await new Credential('opaque', undefined).sharingKey(), '');
  assert.equal(await new Credential(null, undefined, 'a').sharingKey(), 'a', 'a page may name the person of its cookies');
  assert.equal(await new Credential('opaque', undefined, 'a').sharingKey(), '', 'but not of a token');
});

for (const lang of ['de', 'es', 'fr', 'ar']) {
  test(`${lang} has every text`, async () => {
    const english = texts('en');
    await loadLanguage(lang);
    const found = texts(lang);
    assert.deepEqual(Object.keys(found).sort(), Object.keys(english).sort());
    for (const [name, text] of Object.entries(english)) assert.equal(typeof found[name], typeof text, name);
    assert.equal(found.dir, lang === 'ar' ? 'rtl' : 'ltr');
    for (const count of [0, 1, 2, 3, 11, 100, '99+']) assert.match(found.arrivedMany(count) + found.label(count), /\S/);
  });
}

const AT = '2026-02-02T00:00:00.000Z';
const counted = (changed, ids) => ({ type: 'counts', changed, ids, at: AT, unread: 0, unseen: 0, position: 'p2' });
for (const [view, changed, stale] of [
  ['all', 'unarchived', true], ['unread', 'unread', true], ['unread', 'unarchived', true], ['read', 'read', true], ['archived', 'archived', true],
  ['all', 'archived', false], ['unread', 'read', false], ['archived', 'unarchived', false],
]) {
  test(`the ${view} view ${stale ? 'fetches' : 'needs no fetch'} when rows it does not have are ${changed}`, () => {
    const page = { notifications: [], next: null, unread: 0, unseen: 0, position: 'p1' };
    const state = inbox.apply(inbox.snapshot(page, { view }), counted(changed, [notification(5).id]));
    assert.equal(state.stale, stale);
  });
}

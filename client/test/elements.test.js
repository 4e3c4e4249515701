/** Pure functions of the elements; the rest is tested in a browser. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { link, plain } from '../src/bellcast/elements/dom.js';
import { Refused } from '../src/bellcast/api.js';
import { markdown } from '../src/bellcast/elements/markdown.js';
import { texts } from '../src/bellcast/elements/messages.js';
import { isPageRefused } from '../src/bellcast/elements/page-refused.js';
import { clock } from '../src/bellcast/elements/time.js';
import { parseTopics } from '../src/bellcast/elements/topic-names.js';

const createElement = () => ({ setAttribute() {}, append() {} });
globalThis.document ??= { baseURI: 'https://shop.example/account/', createElement };

for (const [address, href] of [
  ['/bookings/7', 'https://shop.example/bookings/7'],
  ['bookings', 'https://shop.example/account/bookings'],
  ['?tab=2', 'https://shop.example/account/?tab=2'],
  ['https://other.example/', 'https://other.example/'],
  ['//other.example/a', 'https://other.example/a'],
  ['mailto:a@b.example', 'mailto:a@b.example'],
  ['tel:+46123', 'tel:+46123'],
]) {
  test(`link accepts ${address}`, () => assert.equal(link(address), href));
}

for (const address of [
  null, '', 'javascript:alert(1)', 'JaVaScRiPt:alert(1)', ' \tjava\nscript:alert(1)', '\u0001javascript:alert(1)', 'data:text/html,<b>', 'vbscript:x',
  'blob:https://shop.example/1', 'file:///etc/passwd', 'https://[', 'view-source:https://a.example',
]) {
  test(`link rejects ${JSON.stringify(address)}`, () => assert.equal(link(address), null));
}

for (const [text, topics] of [
  ['', []],
  ['room, desk,', ['room', 'desk']],
  ['["orders,eu", " desk ", ""]', ['orders,eu', 'desk']],
  [' [7]\n', ['7']],
  ['[]', []],
  ['["room", "desk]', ['["room"', '"desk]']], // the server refuses these names
]) {
  test(`the topics of ${JSON.stringify(text)} are ${JSON.stringify(topics)}`, () => assert.deepEqual(parseTopics(text), topics));
}

test('marked text has at most 1,000 characters, which bounds the search for its end', () => {
  const marks = (length) => ['**', '_'].map((mark) => markdown(mark + 'a'.repeat(length) + mark).length > 1);
  assert.deepEqual([marks(1_000), marks(1_001)], [[true, true], [false, false]]);
});

test('direction overrides are removed from text', () => assert.equal(plain('invoice\u202Egnp.exe'), 'invoicegnp.exe'));

const ENGLISH = texts('en');
const NOW = Date.parse('2026-06-15T12:00:00Z');
for (const [at, text] of [
  ['2026-06-15T12:00:30Z', 'now'],
  ['2026-06-15T11:59:20Z', 'now'],
  ['2026-06-15T11:58:00Z', '2m ago'],
  ['2026-06-15T11:00:01Z', '59m ago'],
  ['2026-06-15T09:30:00Z', '2h ago'],
  ['2026-06-12T11:00:00Z', '3d ago'],
  ['2026-03-04T12:00:00Z', 'Mar 4'],
  ['2025-12-24T12:00:00Z', 'Dec 24, 2025'],
]) {
  test(`${at} is "${text}"`, () => assert.equal(clock(ENGLISH).ago(at, NOW), text));
}

test('an unsupported language falls back to English texts and dates', () => {
  assert.deepEqual([texts('xx').lang, texts('xx').title], ['en', 'Notifications']);
  assert.equal(texts('en-GB').lang, 'en-GB');
});

for (const [lang, expected] of [['', 'en'], ['en_US', 'en-US'], ['EN-gb', 'en-GB'], ['no language', 'en'], ['fr', 'fr'], ['zh_Hans_CN', 'zh-Hans-CN']]) {
  test(`dates are formatted for a page with own texts and the language ${JSON.stringify(lang)}`, () => {
    const own = texts(lang, { title: 'News' });
    assert.deepEqual([own.lang, own.title], [expected, 'News']);
    assert.ok(clock(own).full(NOW));
  });
}

for (const [status, code, refused] of [
  [403, 'forbidden', true],
  [401, 'unauthenticated', false],
  [403, 'no_token', false], // the path of `token-url`: the person is signed out
  [403, 'unknown', false],
  [4401, 'revoked', false],
  [4403, 'forbidden', false], // the app's `connect` handler
]) {
  test(`${status} ${code} ${refused ? 'refuses the page' : 'ends the session'}`, () => assert.equal(isPageRefused(new Refused(status, { code })), refused));
}

test('the package can be imported without a DOM', async () => {
  const { Session, Bell } = await import('../src/bellcast.js');
  assert.equal(typeof Session, 'function');
  assert.equal(typeof Bell, 'function');
});

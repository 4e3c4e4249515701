/** Pure functions of the list: folding, days, Markdown. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { divide } from '../src/bellcast/elements/day-sections.js';
import { actorsOf, fold } from '../src/bellcast/elements/group-rows.js';
import { texts } from '../src/bellcast/elements/messages.js';
import { clock, startOfDay } from '../src/bellcast/elements/time.js';
import { notification } from './environment.js';

const DAY = 86_400_000;
const NOON = new Date(2026, 5, 15, 12).getTime();
const at = (ms) => ({ created_at: new Date(ms).toISOString() });
const shape = (sections) => sections.map(({ isTitled, isDivided, items }) => [isTitled, isDivided, items.map(({ notification: { title } }) => title)]);

test('a list is divided by local days, newest first', () => {
  const rows = [notification(4, at(NOON)), notification(3, at(startOfDay(NOON))), notification(2, at(startOfDay(NOON) - 1)), notification(1, at(NOON - 9 * DAY))];
  assert.deepEqual(shape(divide(fold(rows, new Set()), '')), [[true, false, ['Number 4', 'Number 3']], [true, false, ['Number 2']], [true, false, ['Number 1']]]);
});

test('the divider is below the last new row, within a day and between two', () => {
  const rows = [notification(3, at(NOON)), notification(2, at(NOON - 1)), notification(1, at(NOON - DAY))];
  const divided = (boundary) => shape(divide(fold(rows, new Set()), boundary)).map(([isTitled, isDivided, items]) => [isTitled, isDivided, items.length]);
  assert.deepEqual(divided(rows[1].id), [[true, false, 1], [false, true, 1], [true, false, 1]]);
  assert.deepEqual(divided(rows[2].id), [[true, false, 2], [true, true, 1]]);
  assert.deepEqual(divided(rows[0].id), [[true, false, 2], [true, false, 1]]);
});

test('unfolded members of a group stay with its first row', () => {
  const rows = [notification(3, { group: 'a', ...at(NOON) }), notification(2, at(NOON - 1)), notification(1, { group: 'a', ...at(NOON - 5 * DAY) })];
  assert.deepEqual(shape(divide(fold(rows, new Set(['a'])), '')), [[true, false, ['Number 3', 'Number 1', 'Number 2']]]);
});

test('a day after a change of the clock is yesterday', () => {
  const { day } = clock(texts('en'));
  assert.equal(day(startOfDay(NOON), NOON), 'Today');
  assert.equal(day(startOfDay(NOON + 3_600_000), NOON), 'Today');
  assert.equal(day(startOfDay(startOfDay(NOON) - 1), NOON), 'Yesterday');
  assert.equal(day(startOfDay(NOON - 7 * DAY), NOON), 'Monday, June 8');
  assert.equal(day(startOfDay(NOON - 370 * DAY), NOON), 'June 10, 2025');
});

test('a folded group names its actors', () => {
  const by = (...names) => {
    const { members, ...others } = actorsOf(fold(names.map((name, index) => notification(9 - index, { group: 'g', actor: name && { name } })), new Set())[0]);
    assert.deepEqual(members.map(({ actor }) => actor.name), others.names.slice(0, 2)); // one disc each
    return others;
  };
  assert.deepEqual(by('Ben', 'Nora', 'Ann', 'Bo', 'Cleo'), { names: ['Ben', 'Nora'], more: 3 });
  assert.deepEqual(by('Ben', 'Nora', 'Ben', null), { names: ['Ben', 'Nora'], more: 0 });
  assert.deepEqual(by('Ben', 'Nora', 'Ann'), { names: ['Ben', 'Nora', 'Ann'], more: 0 });
  assert.deepEqual(by('Ben', 'Ben'), { names: [], more: 0 });
});

test('an action on a folded group means all of it, on an unfolded one each row', () => {
  const rows = [notification(2, { group: 'a' }), notification(1, { group: 'a' })];
  assert.deepEqual(fold(rows, new Set()).map(({ members }) => members.length), [2]);
  assert.deepEqual(fold(rows, new Set(['a'])).map(({ members }) => members.length), [1, 1]);
});

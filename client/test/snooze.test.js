/** When snoozed notifications return, in the person's time zone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

process.env.TZ = 'Europe/Vienna';
const { snoozeTimes } = await import('../src/bellcast/elements/snooze-times.js');

const local = (at) => {
  const date = new Date(at);
  return `${['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][date.getDay()]} ${date.getDate()} ${date.getHours()}:${String(date.getMinutes()).padStart(2, '0')}`;
};

for (const [what, now, times] of [
  ['a Wednesday morning', '2026-06-17T09:30', ['later Wed 17 12:30', 'evening Wed 17 18:00', 'tomorrow Thu 18 8:00', 'week Mon 22 8:00']],
  ['an evening has no later one', '2026-06-17T19:10', ['later Wed 17 22:10', 'tomorrow Thu 18 8:00', 'week Mon 22 8:00']],
  ['on Sunday, next week is tomorrow', '2026-06-21T10:00', ['later Sun 21 13:00', 'evening Sun 21 18:00', 'tomorrow Mon 22 8:00']],
  ['on Monday, next week is in seven days', '2026-06-22T10:00', ['later Mon 22 13:00', 'evening Mon 22 18:00', 'tomorrow Tue 23 8:00', 'week Mon 29 8:00']],
  ['the night in which the clock changes', '2026-03-28T23:30', ['later Sun 29 3:30', 'tomorrow Sun 29 8:00', 'week Mon 30 8:00']],
]) {
  test(`snooze: ${what}`, () => {
    assert.deepEqual(snoozeTimes(new Date(now).getTime()).map(({ choice, at }) => `${choice} ${local(at)}`), times);
  });
}

/**
 * The next times of a cron expression, as an aid beside its field.
 */
import { html } from './html.js';

/** The next three times of a cron expression. */
export function NextTimes({ cron, zone }) {
  const now = localNow(zone);
  const times = typeof cron === 'string' && now ? nextTimes(cron, 3, now) : [];
  return times.length > 0 && html`<small class="muted">Next, ${zone === 'recipient' ? 'in the zone of the recipient' : zone}: ${times.map((one, index) => html`${index > 0 && ' · '}<span style=${{ whiteSpace: 'nowrap' }}>${one.toLocaleString('en-GB', { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })}</span>`)}</small>`;
}

/** The current date and time in a zone, as if it were UTC, or null without such a zone; the browser's zone stands for the recipient's. */
function localNow(zone) {
  try {
    return new Date(`${new Date().toLocaleString('sv', { timeZone: zone === 'recipient' ? undefined : zone }).replace(' ', 'T')}Z`);
  } catch {
    return null;
  }
}

/** The names of weekdays in cron expressions: 0 is Sunday. */
export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** The next local times of a cron expression of five fields, as if they were UTC. The server decides; this is an aid. */
function nextTimes(text, count, from) {
  const fields = text.trim().toLowerCase().replace(/\b(sun|mon|tue|wed|thu|fri|sat)\b/g, (day) => DAYS.indexOf(day)).split(/\s+/);
  if (fields.length !== 5) return [];
  const ranges = [[0, 59], [0, 23], [1, 31], [1, 12], [0, 7]];
  const sets = fields.map((field, index) => allowed(field, ...ranges[index]));
  if (sets.some((one) => one === null)) return [];
  const [minutes, hours, days, months, weekdays] = sets;
  if (weekdays.has(7)) weekdays.add(0);
  const isDay = (day) => {
    const ofMonth = days.has(day.getUTCDate());
    const ofWeek = weekdays.has(day.getUTCDay());
    return months.has(day.getUTCMonth() + 1) && (fields[2] !== '*' && fields[4] !== '*' ? ofMonth || ofWeek : ofMonth && ofWeek);
  };
  const found = [];
  const day = new Date(from);
  for (let tries = 0; tries < 1500 && found.length < count; tries++, day.setUTCDate(day.getUTCDate() + 1)) {
    if (!isDay(day)) continue;
    for (const hour of hours) for (const minute of minutes) {
      const one = new Date(new Date(day).setUTCHours(hour, minute, 0, 0));
      if (one > from && found.length < count) found.push(one);
    }
  }
  return found;
}

function allowed(field, least, most) {
  const found = new Set();
  for (const part of field.split(',')) {
    const [, range, step = '1'] = /^([^/]+)(?:\/(\d+))?$/.exec(part) ?? [];
    const [, first, last] = range === '*' ? [null, least, most] : /^(\d+)(?:-(\d+))?$/.exec(range ?? '') ?? [];
    if (first === undefined || Number(step) === 0) return null;
    const end = last ?? (part.includes('/') ? most : first);
    for (let value = Number(first); value <= Number(end); value += Number(step)) found.add(value);
  }
  return new Set([...found].filter((one) => one >= least && one <= most).sort((one, other) => one - other));
}

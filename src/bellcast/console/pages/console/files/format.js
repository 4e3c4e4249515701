/**
 * Numbers, times and durations as text.
 */
import { signal } from './html.js';

/** The time zone of all times: UTC, or undefined for the zone of the browser. */
export const zone = signal(undefined);
/** True if the zone of the browser is UTC: there is no choice of the zone. */
export const isBrowserUtc = new Intl.DateTimeFormat().resolvedOptions().timeZone.endsWith('UTC');

/** By zone and options: one takes 0.3 ms to make. */
const clocks = new Map();
function clock(options) {
  const key = JSON.stringify([zone.value, options]);
  if (!clocks.has(key)) clocks.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: zone.value, hourCycle: 'h23', ...options }));
  return clocks.get(key);
}
const EXACT = { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' };
const DAY_MS = 86_400_000;
const DATE = { day: 'numeric', month: 'short' };
const MINUTE = { hour: '2-digit', minute: '2-digit' };

/** A day and a time of day with the year and the zone. */
export const fullTime = (at) => clock(EXACT).format(new Date(at));
const calendarDay = (at) => clock({ year: 'numeric', month: '2-digit', day: '2-digit' }).format(new Date(at)).split('/').reverse();
const isOfThisYear = (at) => calendarDay(at)[0] === calendarDay(Date.now())[0];
/** The year too, unless it is this one. */
const dateOf = (at) => (isOfThisYear(at) ? DATE : { ...DATE, year: 'numeric' });

/** A day and a time of day. */
export const dayTime = (at) => clock({ ...dateOf(at), ...MINUTE }).format(new Date(at));
/** A weekday, a day and a time of day in a time zone, such as that of a schedule. */
export const weekdayTime = (at, timeZone = zone.value) => clock({ ...dateOf(at), ...MINUTE, weekday: 'short', timeZone }).format(new Date(at)).replace(',', '');
/** A time of day with the name of its zone. */
export const zonedHour = (at) => clock({ hour: '2-digit', minute: '2-digit', timeZoneName: 'short' }).format(new Date(at));
/** A day. */
export const dayOf = (at) => clock(dateOf(at)).format(new Date(at));
/** A day as a heading: the last two by their names, that of another year with it. */
export function dayName(at) {
  const [day, today] = [at, Date.now()].map(calendarDay);
  const name = ['Today', 'Yesterday'][(Date.UTC(...today) - Date.UTC(...day)) / DAY_MS];
  return name ?? clock({ weekday: 'long', ...dateOf(at) }).format(new Date(at)).replace(',', '');
}
export const monthName = (at) => clock({ month: 'long', year: 'numeric' }).format(new Date(at));
/** A time of day, without seconds. */
export const hourOf = (at) => clock(MINUTE).format(new Date(at));
/** A time of day, with seconds. */
export const secondOf = (at) => clock({ hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(at));

/** A span of time; its day only once if that is the same. */
export const timeSpan = (from, to) => `${dayTime(from)} to ${dayOf(from) === dayOf(to) ? hourOf(to) : dayTime(to)}`;

const UNITS = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [1000, 's'], [0, 'ms']];
/** A duration in its largest unit; from a minute, with the rest in the next one. */
export function duration(ms) {
  const place = UNITS.findIndex(([length]) => ms >= length), [size, unit] = UNITS[place];
  if (size <= 1000) return `${(ms / (size || 1)).toLocaleString('en', { maximumFractionDigits: 1 })} ${unit}`;
  const [less, lesser] = UNITS[place + 1], all = Math.round(ms / less), rest = all % (size / less);
  return `${number((all - rest) / (size / less))} ${unit}${rest > 0 ? ` ${rest} ${lesser}` : ''}`;
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'narrow' });
const STEPS = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** A time relative to now; a day and a time of day if it is more than a day away, in another year only the day. */
export function relativeTime(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS.at(-1);
  return unit === 'day' ? (isOfThisYear(iso) ? dayTime : dayOf)(iso) : RELATIVE.format(Math.trunc(seconds / size), unit);
}

export const number = (value) => value.toLocaleString('en');
/** A number with its noun. */
export const count = (value, one, several = `${one}s`) => `${number(value)} ${value === 1 ? one : several}`;
/** A count that stops at a maximum. */
export const many = (value) => (value >= 10_000 ? '10,000 or more' : number(value));

const TONES = 8;
/** One of eight colours, which a key always has. */
export function toneOf(key) {
  let hash = 0;
  for (const letter of key) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return hash % TONES;
}

/** One or two letters for a person. */
export function initials(name) {
  const all = name.split(/[\s@._-]+/).filter(Boolean), words = all.filter((word) => /\D/.test(word) || all.length === 1);
  return ((words[0]?.[0] ?? '?') + (words.length > 1 ? words.at(-1)[0] : '')).toUpperCase();
}

/** The value of a text as JSON; null if it is empty. */
export function parsed(text) {
  if (!text.trim()) return null;
  try {
    return JSON.parse(text);
  } catch (problem) {
    throw new Error(`The data is not valid JSON: ${problem.message}.`);
  }
}

/** A text as one word of a shell; plain words need no quotes. */
export const inShell = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

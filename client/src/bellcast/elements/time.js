/** When it happened, as people say it. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @type {[Intl.RelativeTimeFormatUnit, number, number][]} unit, its length, how far it reaches */
const UNITS = [
  ['minute', MINUTE, HOUR],
  ['hour', HOUR, DAY],
  ['day', DAY, 7 * DAY],
];

/** Making formatters is slow: once a language. @param {string} lang @param {string} now  the word for it */
export function clock(lang, now) {
  const relative = new Intl.RelativeTimeFormat(lang, { style: 'narrow' });
  const day = new Intl.DateTimeFormat(lang, { month: 'short', day: 'numeric' });
  const date = new Intl.DateTimeFormat(lang, { dateStyle: 'medium' });
  const full = new Intl.DateTimeFormat(lang, { dateStyle: 'full', timeStyle: 'short' });
  return {
    /** @param {string} at @param {number} today */
    ago(at, today) {
      const age = today - Date.parse(at);
      if (age < MINUTE) return now;
      const unit = UNITS.find(([, , reach]) => age < reach);
      if (unit) return relative.format(-Math.floor(age / unit[1]), unit[0]);
      return (at.slice(0, 4) === new Date(today).toISOString().slice(0, 4) ? day : date).format(new Date(at));
    },
    /** @param {string} at */
    full: (at) => full.format(new Date(at)),
  };
}

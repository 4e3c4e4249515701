/** Relative and absolute times. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @type {[Intl.RelativeTimeFormatUnit, number, number][]} unit, its length, its maximum age */
const UNITS = [
  ['minute', MINUTE, HOUR],
  ['hour', HOUR, DAY],
  ['day', DAY, 7 * DAY],
];

/** Formatters are slow to create: each is created once, on first use. @param {string} lang @param {string} now  the text for "now" */
export function clock(lang, now) {
  /** @param {Intl.DateTimeFormatOptions} options @returns {(at: string) => string} */
  const dates = (options) => {
    /** @type {Intl.DateTimeFormat | undefined} */
    let format;
    return (at) => (format ??= new Intl.DateTimeFormat(lang, options)).format(new Date(at));
  };
  const day = dates({ month: 'short', day: 'numeric' });
  const date = dates({ dateStyle: 'medium' });
  /** @type {Intl.RelativeTimeFormat | undefined} */
  let relative;
  return {
    full: dates({ dateStyle: 'full', timeStyle: 'short' }),
    /** @param {string} at @param {number} today */
    ago(at, today) {
      const age = today - Date.parse(at);
      if (age < MINUTE) return now;
      for (const [unit, length, reach] of UNITS) {
        if (age < reach) return (relative ??= new Intl.RelativeTimeFormat(lang, { style: 'narrow' })).format(-Math.floor(age / length), unit);
      }
      return (at.slice(0, 4) === new Date(today).toISOString().slice(0, 4) ? day : date)(at);
    },
  };
}

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

/** Making a formatter is slow: each once, and not before it is needed. @param {string} lang @param {string} now  the word for it */
export function clock(lang, now) {
  /** @param {Intl.DateTimeFormatOptions} options @returns {(at: string) => string} */
  const dates = (options) => {
    /** @type {Intl.DateTimeFormat | undefined} */
    let made;
    return (at) => (made ??= new Intl.DateTimeFormat(lang, options)).format(new Date(at));
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

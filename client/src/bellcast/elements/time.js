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

/** Start of the day in the local time zone. @param {number} at */
export const startOfDay = (at) => new Date(at).setHours(0, 0, 0, 0);

/** Formatters are slow to create: each is created once, on first use. @param {{lang: string, now: string, today: string, yesterday: string}} texts */
export function clock(texts) {
  const { lang } = texts;
  /** @param {Intl.DateTimeFormatOptions} options @returns {(at: string | number) => string} */
  const dates = (options) => {
    /** @type {Intl.DateTimeFormat | undefined} */
    let format;
    return (at) => (format ??= new Intl.DateTimeFormat(lang, options)).format(new Date(at));
  };
  const day = dates({ month: 'short', day: 'numeric' });
  const date = dates({ dateStyle: 'medium' });
  const thisYear = dates({ weekday: 'long', day: 'numeric', month: 'long' });
  const longDate = dates({ dateStyle: 'long' });
  const weekday = dates({ weekday: 'short', hour: 'numeric', minute: '2-digit' });
  const dayTime = dates({ month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' });
  /** @type {Intl.RelativeTimeFormat | undefined} */
  let relative;
  return {
    full: dates({ dateStyle: 'full', timeStyle: 'short' }),
    /** Format a future time: the weekday if it is within a week, else the date. @param {string | number} at @param {number} now */
    until: (at, now) => (new Date(at).getTime() - now < 6 * DAY ? weekday : dayTime)(at),
    /** Name of a day, for a heading. @param {number} day  its start @param {number} now */
    day(day, now) {
      const age = Math.round((startOfDay(now) - day) / DAY);
      if (age <= 0) return texts.today;
      if (age === 1) return texts.yesterday;
      return (new Date(day).getFullYear() === new Date(now).getFullYear() ? thisYear : longDate)(day);
    },
    /** @param {string} at @param {number} today */
    ago(at, today) {
      const age = today - Date.parse(at);
      if (age < MINUTE) return texts.now;
      for (const [unit, length, reach] of UNITS) {
        // Outside English the narrow style drops words: "-5 min" in French, "vor 5 m" (metres) in German.
        if (age < reach) return (relative ??= new Intl.RelativeTimeFormat(lang, { style: /^en\b/.test(lang) ? 'narrow' : 'short' })).format(-Math.floor(age / length), unit);
      }
      return (at.slice(0, 4) === new Date(today).toISOString().slice(0, 4) ? day : date)(at);
    },
  };
}

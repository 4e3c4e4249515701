/** Times at which a snoozed notification can return, in the user's time zone. Pure. */

/** @typedef {{choice: 'later' | 'evening' | 'tomorrow' | 'week', at: number}} SnoozeTime */

const LATER = 3 * 3_600_000; // ms
const MORNING = 8; // o'clock
const EVENING = 18;
const LAST_HOUR_FOR_EVENING = 16; // after this hour, the evening comes sooner than "in 3 hours"
const WEEK = 7; // days

/** @param {number} now @returns {SnoozeTime[]} */
export function snoozeTimes(now) {
  const { day, hour } = { day: new Date(now).getDay(), hour: new Date(now).getHours() };
  /** Calendar days, so that daylight saving time does not shift the hour. @param {number} days @param {number} hours */
  const at = (days, hours) => {
    const date = new Date(now);
    date.setDate(date.getDate() + days);
    return date.setHours(hours, 0, 0, 0);
  };
  const toMonday = (WEEK + 1 - day) % WEEK || WEEK;
  return [
    { choice: 'later', at: now + LATER },
    ...(hour < LAST_HOUR_FOR_EVENING ? [{ choice: /** @type {const} */ ('evening'), at: at(0, EVENING) }] : []),
    { choice: 'tomorrow', at: at(1, MORNING) },
    ...(toMonday > 1 ? [{ choice: /** @type {const} */ ('week'), at: at(toMonday, MORNING) }] : []),
  ];
}

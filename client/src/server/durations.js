/** Durations: seconds, or a text such as "90", "15m", "2h" or "7d". Moments: seconds since 1970, or a Date. */

import { InvalidArgument } from './errors.js';

/** @type {Record<string, number>} */
const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** @param {string} argument @param {number | string} value @returns {number} */
export function seconds(argument, value) {
  if (typeof value === 'number' && value > 0) return value;
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value)) ?? [];
  if (!amount) throw new InvalidArgument(`${argument}: expected a duration such as 90, "15m", "2h" or "7d", got ${JSON.stringify(value)}`);
  return Number(amount) * (UNITS[unit] ?? 1);
}

/** @param {string} argument @param {number | Date} value @returns {number} */
export function epochSeconds(argument, value) {
  const found = value instanceof Date ? value.getTime() / 1000 : value;
  if (Number.isFinite(found) && found >= 0) return found;
  throw new InvalidArgument(`${argument}: expected seconds since 1970 or a Date, got ${JSON.stringify(value)}`);
}

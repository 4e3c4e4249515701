/** What bad weather takes is fetched in good weather, and asked for again where it cannot be had. */

/** @import { World } from './world.js' */

const AGAIN = 5_000; // ms

/** @param {World} world @param {AbortSignal} signal  when nobody wants it any more @returns {Promise<typeof import('./weather.js')>} */
export const forecast = (world, signal) =>
  import('./weather.js').catch(() => later(world, signal).then(() => forecast(world, signal)));

/** @param {World} world @param {AbortSignal} signal */
const later = ({ setTimeout }, signal) => new Promise((resolve) => setTimeout(() => signal.aborted || resolve(null), AGAIN));

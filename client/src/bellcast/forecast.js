/** What a page does not need at first: fetched, and asked for again where it cannot be had. */

/** @import { World } from './world.js' */

const AGAIN = 5_000; // ms

/** @template T @param {() => Promise<T>} load @param {World} world @param {AbortSignal} [signal]  when nobody wants it any more @returns {Promise<T>} */
const fetched = (load, world, signal) => load().catch(() => later(world, signal).then(() => fetched(load, world, signal)));

/** @param {World} world @param {AbortSignal} [signal] */
const later = ({ setTimeout }, signal) => new Promise((resolve) => setTimeout(() => signal?.aborted || resolve(null), AGAIN));

/** What a session needs when the line breaks. @param {World} world @param {AbortSignal} [signal] */
export const weather = (world, signal) => fetched(() => import('./weather.js'), world, signal);

/** What it needs to follow a topic and to speak. @param {World} world @param {AbortSignal} [signal] */
export const topics = (world, signal) => fetched(() => import('./topics.js'), world, signal);

/** What a page does not need at first: fetched, and asked for again where it cannot be had. */

/** @import { Environment } from './environment.js' */

const RETRY_DELAY = 5_000; // ms

/** @template T @param {() => Promise<T>} load @param {Environment} environment @param {AbortSignal} [signal]  when nobody wants it any more @returns {Promise<T>} */
const loadWithRetry = (load, environment, signal) => load().catch(() => retryDelay(environment, signal).then(() => loadWithRetry(load, environment, signal)));

/** @param {Environment} environment @param {AbortSignal} [signal] */
const retryDelay = ({ setTimeout }, signal) => new Promise((resolve) => setTimeout(() => signal?.aborted || resolve(null), RETRY_DELAY));

/** What a session needs when the line breaks. @param {Environment} environment @param {AbortSignal} [signal] */
export const loadResilience = (environment, signal) => loadWithRetry(() => import('./resilience.js'), environment, signal);

/** What it needs to follow a topic and to speak. @param {Environment} environment @param {AbortSignal} [signal] */
export const loadTopics = (environment, signal) => loadWithRetry(() => import('./live-topics.js'), environment, signal);

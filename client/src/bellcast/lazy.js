/** Loaders of modules that a page does not need initially. A failed import is retried until the signal is aborted. */

/** @import { Environment } from './environment.js' */

const RETRY_DELAY = 5_000; // ms

/** @template T @param {() => Promise<T>} load @param {Environment} environment @param {AbortSignal} [signal]  stops retrying @returns {Promise<T>} */
export const loadWithRetry = (load, environment, signal) => load().catch(() => retryDelay(environment, signal).then(() => loadWithRetry(load, environment, signal)));

/** @param {Environment} environment @param {AbortSignal} [signal] */
const retryDelay = ({ setTimeout }, signal) => new Promise((resolve) => setTimeout(() => signal?.aborted || resolve(null), RETRY_DELAY));

/** Loads the reconnect policy and the offline store. @param {Environment} environment @param {AbortSignal} [signal] */
export const loadResilience = (environment, signal) => loadWithRetry(() => import('./resilience.js'), environment, signal);

/** Loads live topics and requests. @param {Environment} environment @param {AbortSignal} [signal] */
export const loadTopics = (environment, signal) => loadWithRetry(() => import('./live-topics.js'), environment, signal);

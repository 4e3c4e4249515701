/** Alias of `cache-invalidation.js`. */

export * from './cache-invalidation.js';

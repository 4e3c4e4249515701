/**
 * Cache invalidation for React Query, SWR and other keyed caches: a notification names the entities it affects
 * (`data.touches: ["booking:7"]`), and their cached entries are invalidated.
 */

/** @import { Notification } from './events.js' */
/** @import { Session } from './session.js' */

/**
 * @typedef {(key: unknown) => boolean} Touched  true if the entry of a cache key is affected
 */

/** `booking:7` affects the keys `['booking', 7, …]`, `['booking']` (the list that contains it) and `'booking:7'`. @param {readonly string[]} touches @returns {Touched} */
export function touched(touches) {
  const paths = touches.map((each) => each.split(':'));
  return (key) => {
    const parts = Array.isArray(key) ? key.map(String) : String(key).split(':');
    return paths.some((path) => path.every((part, at) => at >= parts.length || part === parts[at]));
  };
}

/** Call `invalidate` for each notification or event with `touches`; returns a function that stops it. @param {Session} session @param {(touched: Touched, touches: string[]) => void} invalidate */
export function onTouches(session, invalidate) {
  /** @param {Event} event */
  const listen = (event) => {
    const { data } = /** @type {CustomEvent<Notification | {data: unknown}>} */ (event).detail;
    const { touches } = /** @type {{touches?: unknown}} */ (data ?? {});
    const named = Array.isArray(touches) ? touches.filter((each) => typeof each === 'string') : [];
    if (named.length) invalidate(touched(named), named);
  };
  const types = ['notification', 'event'];
  for (const type of types) session.addEventListener(type, listen);
  return () => types.forEach((type) => session.removeEventListener(type, listen));
}

/** React Query. @param {Session} session @param {{invalidateQueries: (filters: {predicate: (query: {queryKey: readonly unknown[]}) => boolean}) => unknown}} client */
export const invalidateQueries = (session, client) =>
  onTouches(session, (hit) => void client.invalidateQueries({ predicate: ({ queryKey }) => hit(queryKey) }));

/**
 * SWR: pass its global `mutate`, or the one from `useSWRConfig`.
 * @param {Session} session @param {(filter: (key?: unknown) => boolean) => unknown} mutate
 */
export const revalidate = (session, mutate) => onTouches(session, (hit) => void mutate((key) => hit(key)));

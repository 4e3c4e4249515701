/**
 * What an object did last: its numbers, its last messages, and its events while they arrive.
 */
import { number } from './format.js';
import { html, useEffect, useState } from './html.js';
import { refreshes, useLoad } from './load.js';
import { State, Time } from './parts.js';
import { inTenant, shownTenant } from './router.js';
import { follow, get, path, withQuery } from './server.js';

/** Rows beside an object; the linked list has all. */
export const FEW = 5;

/** A number of rows, or a plus after what was counted of them. */
export const amountOf = ({ value, exact }) => `${number(value)}${exact ? '' : '+'}`;

/** The row of an object in the list of its kind, which has what it did in a day. */
export const rowOf = async (kind, one, query, signal) => (await get(withQuery(`/v1/${kind}`, { limit: 200, ...query }), signal))[kind].find(({ key, tenant }) => key === one.key && tenant === one.tenant);

/** The row of an object, and by `setUsed` whether it was used in a day; null while that is not known. */
export function useRow(kind, one, field, setUsed) {
  const found = useLoad((signal) => rowOf(kind, one, { text: one.key, tenant: shownTenant() || '*' }, signal), [one.key, one.tenant]), isUsed = found.value?.[field]?.value > 0;
  useEffect(() => { if (!found.isLoading) setUsed(isUsed); }, [found.isLoading, isUsed]);
  useEffect(() => () => setUsed(null), []);
  return found.value;
}

/** Messages by their subjects, with links. */
export const MessageRows = ({ page, of }) => html`<ul class="rows-of sends">${of.map((one) => html`<li key=${one.id}><${State} of=${one.state} /><a class="plain grow" href=${inTenant(page, path`/messages/${one.id}`, one)} dir="auto">${one.content.subject || one.content.title || one.to}</a><${Time} at=${one.created_at} />${one.reason && html`<small class="reason" dir="auto">${one.reason}</small>`}</li>`)}</ul>`;

/** The feed begins with at most this number of events that a server has in memory. It is closed after them, or once it is silent. */
const MAX_RECENT = 200, SILENT_MS = 5000;

/** The last events of the live feed that fit a query, the newest first, as they arrive. Without the feed, there are none. */
export function useRecent(query, isWanted, isAllowed, max) {
  const [events, setEvents] = useState([]);
  const url = withQuery('/v1/feed', { ...query, last: MAX_RECENT });
  useEffect(() => {
    if (!isAllowed) return undefined;
    const abort = new AbortController(), found = [];
    let left = MAX_RECENT, timer = null;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENT_MS);
    };
    const add = (name, event) => {
      if (isWanted(name, event)) found.unshift(event);
      setEvents(found.slice(0, max));
      left -= 1;
      if (left === 0) abort.abort();
      else wait();
    };
    follow(url, abort.signal, wait, add).catch(() => {});
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [url, refreshes.value]);
  return events;
}

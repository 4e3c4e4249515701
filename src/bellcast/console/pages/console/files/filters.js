/**
 * The filters of lists: their names in URLs, their words, and what is suggested as their values.
 */
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';

/** Maximum values that are suggested. */
export const MAX_SUGGESTED = 20;
/** What is typed is applied after a pause of this length. */
export const TYPING_MS = 200;

/** Time ranges in minutes, by their name in the URL. */
const RANGES = { '15m': 15, '1h': 60, '24h': 1440, '7d': 10_080, '30d': 43_200 };
/** The start of a time range as an ISO 8601 string; empty if there is none. */
export const startOf = (range) => (!Object.hasOwn(RANGES, range) ? '' : new Date(Date.now() - RANGES[range] * 60_000).toISOString());

export const RANGE = { name: 'range', label: 'Time', options: Object.keys(RANGES), words: { '15m': 'last 15 minutes', '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days', '30d': 'last 30 days' } };
export const CREATED = { ...RANGE, label: 'Created' };
/** A search for a part of keys and names; `findIn` searches the rows themselves, for lists that the server does not search. */
export const findIn = (noun) => ({ name: 'find', label: `Search ${noun}`, isSearch: true, isLocal: true });
export const searchOf = (noun) => ({ name: 'text', label: `Search ${noun}`, isSearch: true });
export const CHANNEL = { name: 'channel', label: 'Channel', options: ['email', 'sms', 'push', 'chat'] };
const rowsOf = (path, rows, parameter) => async (text, signal) => (await get(withQuery(path, { tenant: shownTenant() || '*', limit: MAX_SUGGESTED, ...(parameter && { [parameter]: text }) }), signal))[rows];
export const RECIPIENT = { name: 'recipient', label: 'Recipient', suggest: (...typed) => rowsOf('/v1/recipients', 'recipients', me.value.role === 'viewer' ? 'search' : 'text')(...typed) };
export const WORKFLOW = { name: 'workflow', label: 'Workflow', suggest: rowsOf('/v1/workflows', 'workflows', 'text') };
export const PROVIDER = { name: 'provider', label: 'Provider', suggest: rowsOf('/v1/providers', 'providers') };
export const TYPE = { name: 'type', label: 'Type', suggest: rowsOf('/v1/types', 'types', 'text') };

/** The range in the URL's `from` and `to`, as set by a chart; null if there is none. */
export function chosenRange(query) {
  const [from, to] = ['from', 'to'].map((name) => Date.parse(query.get(name)));
  return from < to ? { from: new Date(from).toISOString(), to: new Date(to).toISOString() } : null;
}

/** "Channel is", or a label that has a verb, such as "Key begins with". */
export const beginOf = ({ label }) => (/ with$/.test(label) ? label : `${label} is`);
export const wordOf = (filter, value) => filter.words?.[value] ?? value;

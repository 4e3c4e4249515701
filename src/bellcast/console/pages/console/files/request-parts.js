/**
 * Parts of requests: their paths, and the latest ones of a key or a route.
 */
import { html } from './html.js';
import { useLoad } from './load.js';
import { Card, State, Time } from './parts.js';
import { get, path, withQuery } from './server.js';
import { amountOf } from './traffic.js';

/** Requests that are shown. */
const FEW = 8;

/** Ids in a path are cut in the middle: what follows them says more. */
export const withShortIds = (text) => text.replace(/([0-9a-f]{4})[0-9a-f]{4}-[0-9a-f-]{23}([0-9a-f]{4})/g, '$1…$2');

/** The last requests with a key or of a route, if this node has others than the one that is shown in memory, or `none`. They come last, so that nothing moves when they arrive. */
export function LatestRequests({ page, title, of, shown, none }) {
  const found = useLoad((signal) => get(withQuery('/v1/requests', { ...of, limit: FEW }), signal), Object.values(of));
  const { requests = [], total } = found.value ?? {}, others = requests.filter(({ id }) => id !== shown);
  if (others.length === 0) return found.value && none && html`<${Card} title=${title}><p class="muted">${none}</p><//>`;
  return html`<${Card} title=${title}><ul class="rows-of">${others.map((one) => html`<li key=${one.id}><${State} of=${String(one.status)} kind=${one.status >= 500 ? 'bad' : one.status >= 400 ? 'warn' : 'ok'} /><a class="plain grow" href=${page.url(path`/requests/${one.id}`)}>${one.method} ${withShortIds(one.path)}</a><${Time} at=${one.at} /></li>`)}</ul>
    ${(total.value > requests.length || !total.exact) && html`<a href=${withQuery(page.url('/requests'), of)}>All ${amountOf(total)} requests</a>`}<//>`;
}

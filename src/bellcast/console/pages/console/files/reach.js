/**
 * The reach of announcements: how many recipients they are for, how many of these have them in their inboxes, and how many have seen and read them.
 */
import { count, number } from './format.js';
import { html } from './html.js';
import { loadStyle } from './load.js';
import { Headline, Lines } from './object-parts.js';
import { get, withQuery } from './server.js';

await loadStyle('reach.css');

/** The topic of an announcement: a role is one too. None is that of a whole tenant. */
const topicOf = ({ topic, role }) => topic ?? (role && `role.${role}`);
const isSized = ({ audience, reach, tenant }) => audience && reach && tenant !== '*' && (topicOf(audience) || tenant);
const find = (path, query) => get(withQuery(path, query)).catch(() => ({}));
/** How many recipients are in the audience of a tenant: one row of the server. A topic is the first one that begins with its name. */
const sizeOf = async ({ audience, tenant }, topic = topicOf(audience)) => (topic ? (await find('/v1/topics', { tenant, prefix: topic, limit: 1 })).topics?.find((one) => one.topic === topic)?.subscribers : (await find('/v1/tenants', { tenant })).tenants?.[0]?.recipients);
/** Add how many recipients an announcement is for to its reach, if that is one row of the server. It is the number of now: some may have left since. */
export async function readAudience(one) {
  const size = isSized(one) && await sizeOf(one);
  if (size) one.reach.size = Math.max(size, one.reach.inboxes);
}

const amountOf = (value, exact) => `${number(value)}${exact ? '' : '+'}`;

const Bar = ({ of: { inboxes, seen, read }, size }) => html`<span class="reach" aria-hidden="true">${[['delivered', inboxes], ['seen', seen], ['read', read]].map(([name, value]) => html`<span key=${name} class=${name} style=${{ width: `${(value / Math.max(size, 1)) * 100}%` }}></span>`)}</span>`;

/** In a row: to how many it was delivered, and how many read it. A bar needs the size of the audience, which is read with one announcement only. */
export const Delivered = ({ of }) => (of.inboxes === 0
  ? html`<span class="muted">not delivered yet</span>`
  : html`<span class="audience"><${Lines} isKept of=${`${amountOf(of.inboxes, of.exact)} reached`} note=${`${amountOf(of.read, of.exact)} read`} /></span>`);

/** As the first sentence of its page, with a bar. It is a success if half of the recipients have read it. */
export function Reach({ of }) {
  const { inboxes, seen, read, exact, size } = of;
  const all = size ?? inboxes, kind = inboxes === 0 ? 'wait' : read * 2 < all ? 'info' : 'ok';
  const parts = [['delivered', inboxes], ['seen', seen], ['read', read]];
  const bar = html`<${Bar} of=${of} size=${all} />
    <span class="reach-parts">${[['recipients', size], ...parts].map(([name, value]) => value !== undefined && html`<span key=${name} class=${name}><b>${amountOf(value, exact || name === 'recipients')}</b> ${name === 'recipients' ? count(value, 'recipient').split(' ').pop() : name}</span>`)}</span>`;
  return html`<${Headline} kind=${kind} note=${html`${all > 0 && bar}${inboxes < all || !exact ? 'A recipient gets it while connected, or when the inbox is opened next.' : ''}`}>${inboxes === 0 ? 'In no inbox yet' : `Read by ${number(read)} of ${exact ? '' : 'the first '}${count(all, 'recipient')}`}<//>`;
}

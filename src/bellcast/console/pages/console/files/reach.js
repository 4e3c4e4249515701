/**
 * The reach of announcements: how many recipients they are for, how many of these have them in their inboxes, and how many have seen and read them.
 */
import { count, number } from './format.js';
import { html } from './html.js';
import { loadStyle } from './load.js';
import { Headline } from './object-parts.js';
import { get, withQuery } from './server.js';

await loadStyle('reach.css');

/** The topic of an announcement: a role is one too. None is that of a whole tenant. */
const topicOf = ({ topic, role }) => topic ?? (role && `role.${role}`);
const isSized = ({ audience, reach, tenant }) => audience && reach && tenant !== '*' && (topicOf(audience) || tenant);
const find = (path, query) => get(withQuery(path, query)).catch(() => ({}));
/** How many recipients are in the audience of a tenant: one row of the server. A topic is the first one that begins with its name. */
const sizeOf = async ({ audience, tenant }, topic = topicOf(audience)) => (topic ? (await find('/v1/topics', { tenant, prefix: topic, limit: 1 })).topics?.find((one) => one.topic === topic)?.subscribers : (await find('/v1/tenants', { tenant })).tenants?.[0]?.recipients);
// Some may have left since.
const withSize = (reach, size) => { if (size) reach.size = Math.max(size, reach.inboxes); };

/** Add how many recipients an announcement is for to its reach, if that is one row of the server. It is the number of now. */
export async function readAudience(one) {
  if (isSized(one)) withSize(one.reach, await sizeOf(one));
}

/** Audiences of a page of rows that are read: each is a request. */
const MAX_AUDIENCES = 12;
/** The same for rows, of which many have the same audience. One that is in no inbox yet says so. */
export async function readAudiences(rows) {
  const groups = Map.groupBy(rows.filter((one) => isSized(one) && one.reach.inboxes > 0), ({ audience, tenant }) => JSON.stringify([tenant, topicOf(audience)]));
  await Promise.all([...groups.values()].slice(0, MAX_AUDIENCES).map(async (some) => {
    const size = await sizeOf(some[0]);
    for (const { reach } of some) withSize(reach, size);
  }));
}

const amountOf = (value, exact) => `${number(value)}${exact ? '' : '+'}`;

const Bar = ({ of: { inboxes, seen, read, size = inboxes } }) => html`<span class="reach" aria-hidden="true">${[['delivered', inboxes], ['seen', seen], ['read', read]].map(([name, value]) => html`<span key=${name} class=${name} style=${{ width: `${(value / Math.max(size, 1)) * 100}%` }}></span>`)}</span>`;

/** In a row: to how many it was delivered, and how many read it. */
export const Delivered = ({ of }) => (of.inboxes === 0
  ? html`<span class="muted">not delivered yet</span>`
  : html`<span class="reached"><${Bar} of=${of} /><small>${amountOf(of.inboxes, of.exact)} ${of.size ? `of ${number(of.size)} ` : ''}reached<span>, ${amountOf(of.read, of.exact)} read</span></small></span>`);

/** As the first sentence of its page, with a bar. It is a success if half of the recipients have read it. */
export function Reach({ of }) {
  const { inboxes, seen, read, exact, size } = of;
  const all = size ?? inboxes, kind = inboxes === 0 ? 'wait' : read * 2 < all ? 'info' : 'ok';
  const parts = [['delivered', inboxes], ['seen', seen], ['read', read]];
  const bar = html`<${Bar} of=${of} />
    <span class="reach-parts">${[['recipients', size], ...parts].map(([name, value]) => value !== undefined && html`<span key=${name} class=${name}><b>${amountOf(value, exact || name === 'recipients')}</b> ${name === 'recipients' ? count(value, 'recipient').split(' ').pop() : name}</span>`)}</span>`;
  return html`<${Headline} kind=${kind} note=${html`${all > 0 && bar}${inboxes < all || !exact ? 'A recipient gets it while connected, or when the inbox is opened next.' : ''}`}>${inboxes === 0 ? 'In no inbox yet' : `Read by ${number(read)} of ${exact ? '' : 'the first '}${count(all, 'recipient')}`}<//>`;
}

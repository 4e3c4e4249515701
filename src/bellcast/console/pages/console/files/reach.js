/**
 * The reach of announcements: how many recipients they are for, how many of these have them in their inboxes, and how many have seen and read them.
 */
import { count, number } from './format.js';
import { html } from './html.js';
import { loadStyle } from './load.js';
import { Headline, Lines } from './object-parts.js';
import { get, withQuery } from './server.js';

await loadStyle('reach.css');

/** Topics and tenants of which the recipients are read. */
const MAX_AUDIENCES = 200;

/** Add how many recipients announcements are for to their reach: those of a tenant, or the subscribers of the topic that a role is too. It is the number of now. */
export async function readAudiences(rows) {
  const reached = rows.filter(({ audience, reach, tenant }) => audience && reach && tenant !== '*'), ofTopics = reached.filter(({ audience }) => audience.topic || audience.role);
  const read = (some, name) => (some.length > 0 ? get(withQuery(`/v1/${name}`, { tenant: name === 'topics' ? '*' : null, limit: MAX_AUDIENCES })).then((found) => found[name], () => []) : []);
  const [topics, tenants] = await Promise.all([read(ofTopics, 'topics'), read(reached.filter((one) => !ofTopics.includes(one)), 'tenants')]);
  for (const { audience: { topic, role }, tenant, reach } of reached) {
    const size = topic || role ? topics.find((one) => one.tenant === tenant && one.topic === (topic ?? `role.${role}`))?.subscribers : tenants.find(({ key }) => key === tenant)?.recipients;
    // Some may have left since.
    if (size) reach.size = Math.max(size, reach.inboxes);
  }
}

const amountOf = (value, exact) => `${number(value)}${exact ? '' : '+'}`;

/** In a row: to how many it was delivered, and how many read it. */
export const Delivered = ({ of: { inboxes, read, exact, size } }) => (inboxes === 0
  ? html`<span class="muted">${size ? `0 of ${number(size)} delivered` : 'not delivered yet'}</span>`
  : html`<span class="reached"><${Lines} isKept of=${`${amountOf(inboxes, exact)}${size ? ` of ${number(size)}` : ''} delivered`} note=${`${amountOf(read, exact)} read`} /></span>`);

/** As the first sentence of its page, with a bar. It is a success if half of the recipients have read it. */
export function Reach({ of: { inboxes, seen, read, exact, size } }) {
  const all = size ?? inboxes, kind = inboxes === 0 ? 'wait' : read * 2 < all ? 'info' : 'ok';
  const parts = [['delivered', inboxes], ['seen', seen], ['read', read]];
  const bar = html`<span class="reach" aria-hidden="true">${parts.map(([name, value]) => html`<span key=${name} class=${name} style=${{ width: `${(value / Math.max(all, 1)) * 100}%` }}></span>`)}</span>
    <span class="reach-parts">${[['recipients', size], ...parts].map(([name, value]) => value !== undefined && html`<span key=${name} class=${name}><b>${amountOf(value, exact || name === 'recipients')}</b> ${name === 'recipients' ? count(value, 'recipient').split(' ').pop() : name}</span>`)}</span>`;
  return html`<${Headline} kind=${kind} note=${html`${all > 0 && bar}${inboxes < all || !exact ? 'A recipient gets it while connected, or when the inbox is opened next.' : ''}`}>${inboxes === 0 ? 'In no inbox yet' : `Read by ${number(read)} of ${exact ? '' : 'the first '}${count(all, 'recipient')}`}<//>`;
}

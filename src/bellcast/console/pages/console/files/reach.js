/**
 * The reach of announcements: how many recipients they are for, how many of these have them in their inboxes, and how many have seen and read them.
 */
import { count, number } from './format.js';
import { html } from './html.js';
import { loadStyle } from './load.js';
import { Headline, Lines } from './object-parts.js';
import { get, withQuery } from './server.js';

await loadStyle('reach.css');

/** Add how many recipients an announcement is for to its reach, if that is one row of the server: of its tenant, or of the topic that a role is too. It is the number of now. */
export async function readAudience({ audience, reach, tenant }) {
  if (!audience || !reach || tenant === '*') return;
  const topic = audience.topic ?? (audience.role && `role.${audience.role}`), read = (path, query) => get(withQuery(path, { tenant, ...query })).catch(() => ({}));
  // A name is the first one that begins with it.
  const size = topic ? (await read('/v1/topics', { prefix: topic, limit: 1 })).topics?.find((one) => one.topic === topic)?.subscribers : tenant && (await read('/v1/tenants')).tenants?.[0]?.recipients;
  // Some may have left since.
  if (size) reach.size = Math.max(size, reach.inboxes);
}

const amountOf = (value, exact) => `${number(value)}${exact ? '' : '+'}`;

/** In a row: to how many it was delivered, and how many read it. */
export const Delivered = ({ of: { inboxes, read, exact } }) => (inboxes === 0
  ? html`<span class="muted">not delivered yet</span>`
  : html`<span class="reached"><${Lines} isKept of=${`${amountOf(inboxes, exact)} delivered`} note=${`${amountOf(read, exact)} read`} /></span>`);

/** As the first sentence of its page, with a bar. It is a success if half of the recipients have read it. */
export function Reach({ of: { inboxes, seen, read, exact, size } }) {
  const all = size ?? inboxes, kind = inboxes === 0 ? 'wait' : read * 2 < all ? 'info' : 'ok';
  const parts = [['delivered', inboxes], ['seen', seen], ['read', read]];
  const bar = html`<span class="reach" aria-hidden="true">${parts.map(([name, value]) => html`<span key=${name} class=${name} style=${{ width: `${(value / Math.max(all, 1)) * 100}%` }}></span>`)}</span>
    <span class="reach-parts">${[['recipients', size], ...parts].map(([name, value]) => value !== undefined && html`<span key=${name} class=${name}><b>${amountOf(value, exact || name === 'recipients')}</b> ${name === 'recipients' ? count(value, 'recipient').split(' ').pop() : name}</span>`)}</span>`;
  return html`<${Headline} kind=${kind} note=${html`${all > 0 && bar}${inboxes < all || !exact ? 'A recipient gets it while connected, or when the inbox is opened next.' : ''}`}>${inboxes === 0 ? 'In no inbox yet' : `Read by ${number(read)} of ${exact ? '' : 'the first '}${count(all, 'recipient')}`}<//>`;
}

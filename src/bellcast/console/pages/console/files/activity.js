/**
 * Activity: lists of notifications and announcements, and the page of one with its timeline.
 */
import { Field, Form } from './form.js';
import { html, useState } from './html.js';
import { BellRow } from './bell-row.js';
import { Confirm } from './dialogs.js';
import { Verdict } from './explain.js';
import { RANGE, RECIPIENT, TYPE, findIn } from './filters.js';
import { Loaded, Together, loadStyle, refresh, useLoad, useOpened } from './load.js';
import { histogramOf } from './histogram.js';
import { CancelEdit, edit, endEdit } from './new-object.js';
import { Headline, Lines, More, To } from './object-parts.js';
import { Named, RECIPIENT_COLUMN, nameOf, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { Facts, Heading, Icon, Id, Json, Moment, Opening, Type } from './parts.js';
import { go, shownTenant, tenantOf } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { Seen, Story } from './story.js';
import { tenantName } from './tenant-names.js';
import { say } from './toast.js';
import { count, number } from './format.js';

await loadStyle('reach.css');

const TAG = { name: 'tag', label: 'Tag', of: (one) => one.tags ?? [] };
const STATE = { name: 'state', label: 'State', options: ['unread', 'read', 'archived'] };

/** What is new, also on the screen, is unread. */
const stateOf = (one) => inboxState(one).replace('unseen', 'unread');

export const notifications = {
  histogram: histogramOf('sends', 'send'), path: '/v1/notifications', rows: 'notifications', readMore: readNames, link: (one) => path`/notifications/${one.id}`, isNewestFirst: true, pinsOpened: true, isDense: true, single: ['recipient'],
  filters: [RECIPIENT, TYPE, TAG, STATE, RANGE],
  views: [['Unread', { state: 'unread' }], ['Last hour', { range: '1h' }]],
  columns: [
    { name: 'State', kind: 'state', of: stateOf }, RECIPIENT_COLUMN, { name: 'Notification', kind: 'title', of: (one) => one.title || 'Without a title', text: (one) => one.body || (!one.title && one.id) },
    { name: 'Type', kind: 'type', of: (one) => one.type }, { name: 'Tenant', of: (one) => one.tenant, none: 'Default tenant' }, { name: 'Sent', kind: 'time', of: (one) => one.created_at },
  ],
  none: { text: 'No notifications yet. Notifications to recipients appear here, with their timelines.', command: 'bellcast notify alice "Hello"', tools: (page) => page.mayOpen('/playground') && html`<a class="button primary" href=${page.url('/playground')}><${Icon} name="playground" /> Send one in the playground</a>` },
};

export const announcements = {
  path: '/v1/announcements', rows: 'announcements', link: (one) => path`/announcements/${one.id}`, isNewestFirst: true, pinsOpened: true, single: ['recipient'], isTall: true,
  // An announcement has a state in each inbox.
  filters: [findIn('announcements'), RECIPIENT, TYPE, TAG, { ...STATE, needs: 'recipient' }, RANGE],
  columns: (page) => [
    { name: 'Announcement', kind: 'title', of: (one) => one.title || one.id, text: (one) => one.body }, { name: 'Type', kind: 'type', of: (one) => one.type, width: '7.5rem' },
    { name: 'Audience', of: (one) => one, show: ({ audience, tenant }) => html`<span class="audience"><${Lines} isKept of=${html`<${To} of=${audience} />`} note=${!shownTenant(page.query) && (tenant === '*' ? 'all tenants' : tenantName(tenant))} /></span>`, width: '9rem' }, { name: 'Reach', of: ({ reach }) => reach && html`<${Delivered} of=${reach} />`, show: (reach) => reach, by: ({ reach }) => reach?.inboxes, width: '10.5rem' }, { name: 'Sent', kind: 'time', of: (one) => one.created_at, width: '6rem' },
  ],
  none: { text: 'No announcements yet. Notifications to a topic, a role or everyone appear here.', command: 'bellcast notify --all "Maintenance at 22:00"' },
};

export function inboxState(one) {
  if (!one.in_inbox) return 'not in inbox';
  if (one.archived_at) return 'archived';
  if (one.read_at) return 'read';
  return one.seen_at ? 'seen' : 'unseen';
}

export function Notification({ page }) {
  const tenant = tenantOf(page);
  const url = withQuery(path`/v1/notifications/${page.key}`, tenant);
  const found = useLoad(async (signal) => {
    const one = await get(url, signal);
    await Promise.all([readAudience(one), readNames([one])]);
    return one;
  }, [url]);
  useOpened(found.value);
  if (found.value === undefined) return html`<${Opening} page=${page} of=${found} />`;
  return html`<${Opened} page=${page} one=${found.value} tenant=${tenant} url=${url} />`;
}

/** Maximum messages of a notification that are shown. */
const MAX_MESSAGES = 20;

function Opened({ page, one, tenant, url }) {
  // An announcement has too many recipients to explain one.
  const explained = useLoad(async (signal) => (one.recipient ? get(withQuery('/v1/explain', { recipient: one.recipient, notification: one.id, ...tenant }), signal) : { channels: [], facts: one.timeline }), [one.id]);
  const sent = useLoad(async (signal) => {
    if (one.audience) return { messages: [] };
    const found = await get(withQuery('/v1/messages', { notification: one.id, limit: MAX_MESSAGES, ...tenant }), signal), id = found.messages.find((message) => message.run)?.run;
    // The run may have been deleted, or be hidden from the operator.
    return { ...found, run: id && await get(withQuery(path`/v1/runs/${id}`, tenant), signal).catch(() => ({ id })) };
  }, [one.id]);
  const target = (name, more) => withQuery(page.url(name), { ...tenant, ...more });
  const run = sent.value?.run;
  const recall = async () => {
    await request('DELETE', url);
    go(target(one.audience ? '/announcements' : '/notifications'));
  };
  const mayEdit = page.may(BUILDERS) && one.in_inbox;
  if (mayEdit && page.query.has('focus')) return html`<${Heading} title="Edit notification" /><${Together}><${Correction} one=${one} url=${url} /><//>`;
  return html`<${Heading} title=${one.title || 'Without a title'}>${mayEdit && html`<button type="button" onClick=${() => edit('title')}>Edit</button>`}${page.may(BUILDERS) && html`<${More} of="this notification"><${Confirm} isDanger label="Recall this notification" word="Recall" about=${`It disappears from ${one.recipient ? 'the inbox' : 'every inbox'}. Messages that were sent cannot be recalled.`} act=${recall} /><//>`}<//><${Together}>
    <${Loaded} of=${explained}>${(why) => html`<${Loaded} of=${sent}>${({ messages, next }) => html`
      ${one.reach && html`<${Reach} of=${one.reach} />`}${why.verdict && html`<${Verdict} page=${page} of=${why} recipient=${one.recipient} type=${one.type} tenant=${tenant} messages=${messages} />`}
      <div class="story-columns"><div><${Story} one=${one} entries=${why.facts} channels=${why.channels} messages=${messages} messageUrl=${(id) => target(path`/messages/${id}`)} note=${isUnwritten(one.timeline) && html`<details class="muted"><summary>Not written to a live connection</summary><p>No node has a record of it: the recipients were offline, or the record is gone. Each node keeps its last 10,000 writes until it restarts.</p></details>`} /><${Seen} one=${one} messages=${messages} tenant=${tenant} /></div></div>
      ${next && html`<p><a href=${target('/messages', { notification: one.id })}>All messages</a></p>`}`}<//>`}<//>
    <${Facts} of=${[
    ['Audience', one.audience && html`<${To} of=${one.audience} />`], ['Recipient', one.recipient && html`<${Named} of=${one} href=${page.may(CONTENT) ? target(path`/recipients/${one.recipient}`) : null} />`], ['Tenant', one.tenant],
    ['Type', html`<${Type} of=${one.type} />`], ['Run', run && html`<a href=${target(path`/runs/${run.id}`)}>${run.workflow ?? run.id}</a>`], ['Inbox', one.in_inbox ? null : 'not in the inbox: sent to other channels only, or excluded by preferences'], ['Priority', one.priority !== 'normal' && one.priority], ['Created', html`<${Moment} at=${one.created_at} />`], ['Expires', one.expires_at && html`<${Moment} at=${one.expires_at} />`], ['Text', !one.in_inbox && one.body], ['Id', html`<${Id} of=${one.id} />`],
  ]} />
    <details><summary>JSON</summary><${Json} of=${one} /></details><//>`;
}

/** A form with the current text, and the row of the bell with what is entered. A change applies to every inbox that has the notification. */
function Correction({ one, url }) {
  const [entered, setEntered] = useState({});
  return html`<p class="muted">It changes at once in ${one.recipient ? `the inbox of ${nameOf(one)}` : 'every inbox'}. Messages that were sent stay as they are.</p><div onInput=${({ target: { name, value } }) => setEntered((last) => ({ ...last, [name]: value }))}><${Form} isGuarded isEdit button="Save" more=${html`<${CancelEdit} />`} send=${async (values) => {
    const changed = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value || null]).filter(([name, value]) => value !== one[name]));
    if (Object.keys(changed).length > 0) await request('PATCH', url, changed);
    endEdit();
    say('Saved the notification');
    refresh();
  }}><${Field} label="Title" name="title" defaultValue=${one.title} required autofocus maxlength="500" autocomplete="off" /><${Field} isLong class="words" label="Body" name="body" defaultValue=${one.body ?? ''} /><${Field} label="Link" name="action_url" defaultValue=${one.action_url ?? ''} maxlength="2000" autocomplete="off" hint="Such as https://app.example.com/orders/4711." />
    <section class="seen panel"><h2>As the recipient sees it</h2><${BellRow} of=${{ ...one, ...entered }} at=${one.created_at} /></section><//></div>`;
}

/** True if a notification is in an inbox, but no node reported writing it to a live connection. */
const isUnwritten = (entries) => entries.some(({ what }) => what === 'created') && !entries.some(({ what }) => what === 'written');

// --- The reach of announcements: how many recipients they are for, how many of these have them in their inboxes, and how many have seen and read them.

/** The topic of an announcement: a role is one too. None is that of a whole tenant. */
const topicOf = ({ topic, role }) => topic ?? (role && `role.${role}`);
const isSized = ({ audience, reach, tenant }) => audience && reach && tenant !== '*' && (topicOf(audience) || tenant);
const find = (path, query) => get(withQuery(path, query)).catch(() => ({}));
/** How many recipients are in the audience of a tenant: one row of the server. A topic is the first one that begins with its name. */
const sizeOf = async ({ audience, tenant }, topic = topicOf(audience)) => (topic ? (await find('/v1/topics', { tenant, prefix: topic, limit: 1 })).topics?.find((one) => one.topic === topic)?.subscribers : (await find('/v1/tenants', { tenant })).tenants?.[0]?.recipients);
/** Add how many recipients an announcement is for to its reach, if that is one row of the server. It is the number of now: some may have left since. */
async function readAudience(one) {
  const size = isSized(one) && await sizeOf(one);
  if (size) one.reach.size = Math.max(size, one.reach.inboxes);
}

const amountOf = (value, exact) => `${number(value)}${exact ? '' : '+'}`;

const Bar = ({ of: { inboxes, seen, read }, size }) => html`<span class="reach" aria-hidden="true">${[['delivered', inboxes], ['seen', seen], ['read', read]].map(([name, value]) => html`<span key=${name} class=${name} style=${{ width: `${(value / Math.max(size, 1)) * 100}%` }}></span>`)}</span>`;

/** In a row: to how many it was delivered, and how many read it. A bar needs the size of the audience, which is read with one announcement only. */
const Delivered = ({ of }) => (of.inboxes === 0
  ? html`<span class="muted">not delivered yet</span>`
  : html`<span class="audience"><${Lines} isKept of=${`${amountOf(of.inboxes, of.exact)} reached`} note=${`${amountOf(of.read, of.exact)} read`} /></span>`);

/** As the first sentence of its page, with a bar. It is a success if half of the recipients have read it. */
function Reach({ of }) {
  const { inboxes, seen, read, exact, size } = of;
  const all = size ?? inboxes, kind = inboxes === 0 ? 'wait' : read * 2 < all ? 'info' : 'ok';
  const parts = [['delivered', inboxes], ['seen', seen], ['read', read]];
  const bar = html`<${Bar} of=${of} size=${all} />
    <span class="reach-parts">${[['recipients', size], ...parts].map(([name, value]) => value !== undefined && html`<span key=${name} class=${name}><b>${amountOf(value, exact || name === 'recipients')}</b> ${name === 'recipients' ? count(value, 'recipient').split(' ').pop() : name}</span>`)}</span>`;
  return html`<${Headline} kind=${kind} note=${html`${all > 0 && bar}${inboxes < all || !exact ? 'A recipient gets it while connected, or when the inbox is opened next.' : ''}`}>${inboxes === 0 ? 'In no inbox yet' : `Read by ${number(read)} of ${exact ? '' : 'the first '}${count(all, 'recipient')}`}<//>`;
}

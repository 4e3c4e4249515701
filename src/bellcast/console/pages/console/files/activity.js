/**
 * Activity: lists of notifications and announcements, and the page of one with its timeline.
 */
import { area, field, form, h, id, moment, state } from './dom.js';
import { RANGE, RECIPIENT, TYPE } from './filters.js';
import { empty, facts, heading, json } from './list.js';
import { attemptList } from './messages.js';
import { BUILDERS, card, detail, inTenant, part, recipientLink, remove, tenantOf } from './page.js';
import { path, request, withQuery } from './server.js';

const TAG = { name: 'tag', label: 'Tag', of: (one) => one.tags ?? [] };
const STATE = { name: 'state', label: 'State', options: ['unread', 'read', 'archived'] };

export const notifications = {
  path: '/v1/notifications', rows: 'notifications', link: (one) => path`/notifications/${one.id}`, isNewestFirst: true, single: ['recipient'],
  filters: [RECIPIENT, TYPE, TAG, STATE, RANGE],
  views: [['Unread', { state: 'unread' }], ['Last hour', { range: '1h' }]],
  columns: [
    { name: 'State', kind: 'state', of: inboxState }, { name: 'Notification', kind: 'title', of: (one) => one.title || one.id, text: (one) => one.body },
    { name: 'Type', kind: 'type', of: (one) => one.type }, { name: 'Recipient', kind: 'person', of: (one) => one.recipient }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'Sent', kind: 'time', of: (one) => one.created_at },
  ],
  none: { text: 'No notification has been sent yet. Notifications to recipients appear here, with their timelines.', command: 'bellcast notify alice "Hello"' },
};

export const announcements = {
  path: '/v1/announcements', rows: 'announcements', link: (one) => path`/announcements/${one.id}`, isNewestFirst: true, single: ['recipient'],
  // An announcement has a state in each inbox.
  filters: [RECIPIENT, TYPE, TAG, { ...STATE, needs: 'recipient' }, RANGE],
  columns: [
    { name: 'Announcement', kind: 'title', of: (one) => one.title || one.id, text: (one) => one.body }, { name: 'Type', kind: 'type', of: (one) => one.type },
    { name: 'Audience', of: (one) => audienceOf(one.audience), width: '9rem' }, { name: 'Tenant', of: (one) => (one.tenant === '*' ? 'all tenants' : one.tenant), width: '6rem' }, { name: 'Sent', kind: 'time', of: (one) => one.created_at },
  ],
  none: { text: 'No announcement has been sent yet. Notifications to a topic, a role or everyone appear here.', command: 'bellcast notify --all "Maintenance at 22:00"' },
};

export function inboxState(one) {
  if (!one.in_inbox) return 'not in the inbox';
  if (one.archived_at) return 'archived';
  if (one.read_at) return 'read';
  return one.seen_at ? 'seen' : 'unseen';
}

function audienceOf({ topic, role, tenant }) {
  if (topic) return `topic ${topic}`;
  if (role) return `role ${role}`;
  return tenant ? `tenant ${tenant}` : 'everyone';
}

export function notification(page) {
  const tenant = tenantOf(page);
  const url = withQuery(path`/v1/notifications/${page.key}`, tenant);
  return detail(page, url, (one) => [
    heading(one.title, one.recipient && h('a', { class: 'button', href: withQuery(page.url(path`/recipients/${one.recipient}`), { ...tenant, notification: one.id }) }, 'Explain'), page.may(BUILDERS) && remove(page, 'Recall this notification', 'Recall', url, inTenant(page, one.audience ? '/announcements' : '/notifications'))),
    facts([
      ['Id', id(one.id)], ['Audience', one.audience && audienceOf(one.audience)], ['Recipient', recipientLink(page, one.recipient)], ['Tenant', one.tenant],
      ['Type', one.type], ['Inbox', one.in_inbox ? null : 'not in the inbox: sent to other channels only, or excluded by preferences'], ['Priority', one.priority], ['Created', moment(one.created_at)], ['Seen', moment(one.seen_at)], ['Read', moment(one.read_at)], ['Expires', moment(one.expires_at)],
      ['Text', one.body],
    ]),
    card('Timeline', timeline(page, one.timeline), isUnwritten(one.timeline) && h('p', { class: 'muted' }, 'No node has a record of writing this to a live connection: the recipients were offline, or the record is gone. Each node keeps its last 10,000 writes until it restarts.')),
    !one.audience && card('Messages', attempts(page, one, tenant)),
    page.may(BUILDERS) && one.in_inbox && correction(page, one, url),
    h('details', {}, h('summary', {}, 'JSON'), json(one)),
  ]);
}

/** The messages of the notification, each with its attempts and the provider's responses. */
function attempts(page, one, tenant) {
  return part(page, withQuery('/v1/messages', { notification: one.id, ...tenant }), ({ messages, next }) => messages.length === 0
    ? h('p', { class: 'muted' }, 'The notification was for the inbox only, or its rules stopped the other channels.')
    : [messages.map((message) => [
      h('p', {}, h('span', { class: 'tag' }, message.channel), h('a', { href: inTenant(page, path`/messages/${message.id}`) }, message.to), ' ', state(message.state), message.reason && ` ${message.reason}`),
      message.attempts.length > 0 && attemptList(message.attempts),
    ]), next && h('a', { href: withQuery(page.url('/messages'), { notification: one.id, ...tenant }) }, 'All messages')]);
}

/** A form with the current text. A change applies to every inbox that has the notification. */
function correction(page, one, url) {
  return h('details', { class: 'panel' }, h('summary', {}, 'Correct this notification'),
    form([
      field('Title', { name: 'title', value: one.title, required: true, maxlength: 500, autocomplete: 'off' }),
      area('Body', { name: 'body', value: one.body ?? '' }),
      field('Link', { name: 'action_url', value: one.action_url ?? '', maxlength: 2000, autocomplete: 'off' }),
    ], 'Correct in every inbox', async (values) => {
      const changed = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value || null]).filter(([name, value]) => value !== one[name]));
      if (Object.keys(changed).length === 0) throw new Error('Nothing was changed.');
      await request('PATCH', url, changed);
      page.reload();
    }));
}

/** True if a notification is in an inbox, but no node reported writing it to a live connection. */
const isUnwritten = (entries) => entries.some(({ what }) => what === 'created') && !entries.some(({ what }) => what === 'written');

function timeline(page, entries) {
  if (entries.length === 0) return empty('Nothing has been recorded yet.');
  return h('ol', { class: 'timeline' }, entries.map((one) => h('li', {},
    h('div', {}, h('b', {}, one.what.replaceAll('_', ' ')), one.channel && h('span', { class: 'tag' }, one.channel), ' ', moment(one.at)),
    one.detail && h('p', {}, one.detail),
    one.rule && h('p', { class: 'muted' }, `Rule: ${one.rule}`),
    one.message && h('p', {}, h('a', { href: inTenant(page, path`/messages/${one.message}`) }, 'Message')))));
}

/**
 * Recipients, and the page of one: inbox, Explain, devices, topics, preferences, and actions that end its sessions or
 * delete its data.
 */
import { inboxState } from './activity.js';
import { field, fill, form, h, id, moment, time } from './dom.js';
import { CREATED } from './filters.js';
import { empty, facts, heading, json, load, pagedList } from './list.js';
import { BUILDERS, CONTENT, OWNERS, card, detail, dialect, inTenant, inline, number, part, remove, tenantOf } from './page.js';
import { preferences } from './preferences.js';
import { ROOT, get, path, request, withQuery } from './server.js';

/** Maximum rows of each list on the page; the linked lists contain all. */
const FEW = 10;

export const recipients = {
  path: '/v1/recipients', rows: 'recipients', link: (one) => path`/recipients/${one.key}`,
  filters: [{ name: 'search', label: 'Key begins with', isSearch: true }, CREATED],
  views: [['New this week', { range: '7d' }]],
  columns: [
    { name: 'Recipient', kind: 'title', of: (one) => one.key, text: (one) => one.name },
    { name: 'E-mail', of: (one) => one.email, width: '14rem' },
    { name: 'Unread', kind: 'number', of: (one) => number(one.unread), width: '4.5rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  none: { text: 'There are no recipients yet. The first send to a key creates one.', command: 'bellcast notify alice "Hello"' },
};

export function recipient(page) {
  const tenant = tenantOf(page);
  const url = (more = '') => withQuery(path`/v1/recipients/${page.key}` + more, tenant);
  return detail(page, url(), (one) => [
    heading(one.key, actions(page, one, url)),
    facts([
      ['Tenant', one.tenant], ['Name', one.name],
      ['E-mail', one.email], ['Phone', one.phone],
      ['Locale', one.locale], ['Time zone', one.timezone], ['Roles', one.roles.join(', ')],
      ['Unread', number(one.unread)], ['Unseen', number(one.unseen)], ['Created', moment(one.created_at)],
    ]),
    h('nav', { class: 'links', 'aria-label': 'About this recipient' },
      [['Live', '/live'], ['Notifications', '/notifications'], ['Messages', '/messages'], ['Workflow runs', '/runs'], ['Connections', '/connections']]
        .map(([name, target]) => h('a', { href: withQuery(page.url(target), { recipient: one.key, ...tenant }) }, name))),
    card('Last notifications', inbox(page, one.key, tenant)),
    explain(page, one.key, tenant),
    card('Preferences', preferences(page, url('/preferences'))),
    card('Devices', devices(page, one.key, tenant, url)),
    card('Topics', topics(page, one.key)),
    h('details', {}, h('summary', {}, 'JSON'), json(one)),
    page.may(OWNERS) && erasure(page, one, url),
  ]);
}

function actions(page, one, url) {
  return [
    page.may(CONTENT) && h('a', { class: 'button', href: `${ROOT}${url('/export')}`, download: `${one.key}.json` }, 'Export'),
    page.may(BUILDERS) && remove(page, `End sessions of ${one.key}`, 'End sessions', url('/sessions')),
  ];
}

function inbox(page, key, tenant) {
  const all = { recipient: key, ...tenant };
  return part(page, withQuery('/v1/notifications', { ...all, limit: FEW }), ({ notifications, next }) => notifications.length === 0
    ? empty('Nothing has been sent yet.', `bellcast notify ${key} "Hello"`)
    : [h('ul', { class: 'rows-of' }, notifications.map((one) => h('li', {},
      h('a', { href: inTenant(page, path`/notifications/${one.id}`, one), dir: 'auto' }, one.title), h('span', { class: 'muted' }, inboxState(one)), time(one.created_at)))),
    next && h('a', { href: withQuery(page.url('/notifications'), all) }, 'All notifications')]);
}

/** The facts of each notification, in order of its first fact; those about no notification come last. */
function byNotification(facts) {
  const groups = new Map();
  for (const one of facts) groups.set(one.notification, [...groups.get(one.notification) ?? [], one]);
  return [...groups].sort(([one], [other]) => (one === null) - (other === null));
}

function explain(page, recipient, tenant) {
  const output = h('div', { 'aria-live': 'polite' });
  const read = ({ notification, type }) => get(withQuery('/v1/explain', { recipient, notification: notification.trim(), type: notification ? '' : type.trim(), ...tenant }), page.signal);
  const show = (result) => [h('p', { class: 'text' }, result.text), result.channels.map((one) => h('p', {}, h('span', { class: 'tag' }, one.channel), ` ${one.text}`)),
    byNotification(result.facts).map(([id, facts]) => [
      id ? h('h3', { dir: 'auto' }, h('a', { href: withQuery(page.url(path`/notifications/${id}`), tenant) }, facts[0].title || id), ' ', h('span', { class: 'tag' }, facts[0].type)) : h('h3', {}, 'Connections and refused requests'),
      h('ol', { class: 'rows-of' }, facts.map((one) => h('li', {}, one.text, time(one.at)))),
    ]),
    result.actions.map((one) => h('p', {}, `${one.text} `, h('code', {}, `${one.method} ${one.path}`)))];
  const notification = page.query.get('notification') ?? '';
  const question = form([h('div', { class: 'columns' },
    field('Notification', { name: 'notification', value: notification, autocomplete: 'off', spellcheck: 'false' }, 'The id of a notification. If both are empty: the last notification, and the events since yesterday.'),
    field('Type', { name: 'type', autocomplete: 'off' }, 'What would happen now to a notification of this type.')),
  ], 'Explain', async (values) => fill(output, show(await read(values))));
  // A link from a notification already contains the query.
  if (page.query.has('notification')) load(output, page.signal, () => read({ notification, type: '' }), show);
  return card('Why did it arrive, or not?', question, output);
}

/** The open connections and the endpoints of push messages. */
function devices(page, key, tenant, url) {
  const all = { recipient: key, ...tenant };
  const connected = part(page, withQuery('/v1/connections', { ...all, limit: FEW }), ({ connections, next }) => connections.length === 0
    ? h('p', { class: 'muted' }, 'No page or app is connected.')
    : [h('ul', { class: 'rows-of' }, connections.map((one) => h('li', {}, h('code', {}, one.id), dialect(one), one.address, time(one.connected_at)))),
      next && h('a', { href: withQuery(page.url('/connections'), all) }, 'All connections')]);
  const push = part(page, url('/push-endpoints'), ({ push_endpoints: endpoints }) => endpoints.length === 0
    ? h('p', { class: 'muted' }, 'No device is registered for push messages.')
    : h('ul', { class: 'rows-of' }, endpoints.map((one) => h('li', {}, h('b', {}, one.kind), id(one.id), time(one.created_at),
      page.may(BUILDERS) && remove(page, `Delete the push endpoint ${one.id}`, 'Delete', url(path`/push-endpoints/${one.id}`))))));
  return [connected, push];
}

function topics(page, key) {
  const place = h('div');
  const topicUrl = (topic) => withQuery(path`/v1/topics/${topic}/subscriptions/${key}`, tenantOf(page));
  const read = (after, signal) => get(withQuery(path`/v1/recipients/${key}/subscriptions`, { ...tenantOf(page), after }), signal);
  const row = (one) => h('li', {}, h('a', { href: inTenant(page, path`/topics/${one.topic}`) }, one.topic), time(one.created_at),
    page.may(BUILDERS) && !one.topic.startsWith('role.') && remove(page, `Unsubscribe from ${one.topic}`, 'Unsubscribe', topicUrl(one.topic), show));
  const show = () => load(place, page.signal, (signal) => read('', signal), (response) => [
    response.subscriptions.length === 0
      ? h('p', { class: 'muted' }, 'The recipient subscribes to no topic.')
      : pagedList(page, h('ul', { class: 'rows-of' }), response, (after) => read(after, page.signal), ({ subscriptions }) => subscriptions.map(row)),
    page.may(BUILDERS) && inline(form([field('Subscribe to', { name: 'topic', required: true, maxlength: 164, autocomplete: 'off' })], 'Subscribe', async ({ topic }) => {
      await request('PUT', topicUrl(topic.trim()), {});
      await show();
    })),
  ]);
  show();
  return place;
}

/** Deletes all data. The operator must type the key, so that a click on the wrong button or page deletes nothing. */
function erasure(page, one, url) {
  return h('details', { class: 'panel' }, h('summary', { class: 'bad' }, 'Erase this recipient'),
    h('p', {}, 'Deletes the recipient with its inbox, messages, preferences, devices and subscriptions, and ends its sessions. It cannot be undone; export the data first.'),
    form([field(`Type ${one.key} to confirm`, { name: 'key', required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' })], 'Erase', async ({ key }) => {
      if (key !== one.key) throw new Error('This is not the key of the recipient.');
      await request('DELETE', url());
      page.go(inTenant(page, '/recipients'));
    }));
}

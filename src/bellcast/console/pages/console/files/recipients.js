/**
 * Recipients, and the page of one: inbox, Explain, devices, topics, preferences, and actions that end its sessions or
 * delete its data.
 */
import { inboxState } from './activity.js';
import { BuiltPage } from './built-page.js';
import { field, form, h, id, time } from './dom.js';
import { Explanation } from './explain.js';
import { CREATED } from './filters.js';
import { html } from './html.js';
import { empty, load, pagedList } from './list.js';
import { Loaded, Skeleton, refresh, useLoad } from './load.js';
import { BUILDERS, CONTENT, OWNERS, card, dialect, inTenant, inline, number, part, remove, tenantOf } from './page.js';
import { Confirm, Facts, Heading, Json, Moment } from './parts.js';
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

const ABOUT = [['Live', '/live'], ['Notifications', '/notifications'], ['Messages', '/messages'], ['Workflow runs', '/runs'], ['Connections', '/connections']];

export function Recipient({ page }) {
  const tenant = tenantOf(page);
  const url = urlOf(page);
  const found = useLoad((signal) => get(url(), signal), [url()]);
  const title = html`<${Heading} title=${page.key} />`;
  if (found.value === undefined) return html`${found.problem && !found.isLoading && title}<${Loaded} of=${found} skeleton=${html`${title}<${Skeleton} />`} />`;
  const one = found.value;
  const endSessions = async () => {
    await request('DELETE', url('/sessions'));
    refresh();
  };
  return html`<${Heading} title=${one.key}>${page.may(CONTENT) && html`<a class="button" href=${`${ROOT}${url('/export')}`} download=${`${one.key}.json`}>Export</a>`}${page.may(BUILDERS) && html`<${Confirm} isDanger label=${`End sessions of ${one.key}`} word="End sessions" act=${endSessions} />`}<//>
    <${Facts} of=${facts(one)} />
    <nav class="links" aria-label="About this recipient">${ABOUT.map(([name, target]) => html`<a key=${name} href=${withQuery(page.url(target), { recipient: one.key, ...tenant })}>${name}</a>`)}</nav>
    <${Explanation} key=${page.query.get('notification')} page=${page} recipient=${one.key} tenant=${tenant} />
    <${BuiltPage} build=${parts} page=${page} />
    <details><summary>JSON</summary><${Json} of=${one} /></details>`;
}

const facts = (one) => [
  ['Tenant', one.tenant],
  ['Name', one.name],
  ['E-mail', one.email],
  ['Phone', one.phone],
  ['Locale', one.locale],
  ['Time zone', one.timezone],
  ['Roles', one.roles.join(', ')],
  ['Unread', number(one.unread)],
  ['Unseen', number(one.unseen)],
  ['Created', html`<${Moment} at=${one.created_at} />`],
];

const urlOf = (page) => (more = '') => withQuery(path`/v1/recipients/${page.key}` + more, tenantOf(page));

function parts(page) {
  const tenant = tenantOf(page), url = urlOf(page);
  return [
    card('Last notifications', inbox(page, page.key, tenant)),
    card('Preferences', preferences(page, url('/preferences'))),
    card('Devices', devices(page, page.key, tenant, url)),
    card('Topics', topics(page, page.key)),
    page.may(OWNERS) && erasure(page, { key: page.key }, url),
  ];
}

function inbox(page, key, tenant) {
  const all = { recipient: key, ...tenant };
  return part(page, withQuery('/v1/notifications', { ...all, limit: FEW }), ({ notifications, next }) => notifications.length === 0
    ? empty('Nothing has been sent yet.', `bellcast notify ${key} "Hello"`)
    : [h('ul', { class: 'rows-of' }, notifications.map((one) => h('li', {},
      h('a', { href: inTenant(page, path`/notifications/${one.id}`, one), dir: 'auto' }, one.title), h('span', { class: 'muted' }, inboxState(one)), time(one.created_at),
      h('a', { href: withQuery(page.path, { ...tenant, notification: one.id }), 'aria-label': `Why? ${one.title}` }, 'Why?')))),
    next && h('a', { href: withQuery(page.url('/notifications'), all) }, 'All notifications')]);
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

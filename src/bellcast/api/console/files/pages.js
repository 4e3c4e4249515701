/**
 * The pages, by their place in the menu.
 */
import { charts } from './charts.js';
import { choices, confirmed, field, fill, form, h, id, state, time } from './dom.js';
import { health } from './health.js';
import { RANGE, empty, facts, heading, json, listPage, load } from './list.js';
import { live, request as servedRequest, requests } from './live.js';
import { playground } from './playground.js';
import { settings } from './settings.js';
import { connections, tenant, tenants, topic, topics } from './topics.js';
import { ROOT, get, path, request, withQuery } from './server.js';
import { mfaSetup, recoveryCodes } from './sign-in.js';

const ALL = ['owner', 'developer', 'support', 'viewer'];
const CONTENT = ['owner', 'developer', 'support'];
const BUILDERS = ['owner', 'developer'];
const OWNERS = ['owner'];
const CHANNELS = ['', 'email', 'sms', 'push', 'chat'];
const MESSAGE_STATES = ['', 'queued', 'sending', 'sent', 'delivered', 'failed', 'bounced', 'suppressed', 'held', 'cancelled', 'expired', 'simulated'];
const RUN_STATES = ['', 'running', 'waiting', 'throttled', 'paused', 'completed', 'failed', 'cancelled', 'merged'];

const card = (title, ...children) => h('section', { class: 'panel' }, h('h2', {}, title), children);
const number = (value) => value.toLocaleString('en');
const panel = (place) => h('div', {}, place);
const tenantOf = (page) => ({ tenant: page.query.get('tenant') ?? '' });
const inTenant = (page, target, row) => withQuery(page.url(target), { tenant: row?.tenant ?? page.query.get('tenant') ?? '' });

function overview(page) {
  const health = panel();
  const counts = panel();
  load(health, page.signal, async (signal) => {
    try {
      await get('/readyz', signal);
      return null;
    } catch (problem) {
      if (problem.status === 503) return problem.message;
      throw problem;
    }
  }, (reason) => [h('p', { class: 'big' }, state(reason ? 'not ready' : 'ready')), h('p', { class: 'muted' }, reason ?? 'Store and broker answer.')]);
  load(counts, page.signal, (signal) => get('/v1/stats', signal), (stats) => [
    card('Connections', stats.connections.length === 0
      ? empty('No page is connected.', '<bellcast-bell server="…" token="…"></bellcast-bell>')
      : h('ul', { class: 'numbers' }, stats.connections.map((one) => h('li', {}, h('b', {}, number(one.count)), h('span', {}, `${one.protocol} over ${one.transport}`))))),
    card('Stored', h('ul', { class: 'numbers' }, Object.entries(stats.store).map(([kind, count]) => h('li', {}, h('b', {}, number(count)), h('span', {}, kind.replaceAll('_', ' ')))))),
  ]);
  return [heading('Overview', h('button', { type: 'button', onclick: page.reload }, 'Refresh')), h('section', { class: 'panel' }, h('h2', {}, 'Health'), health), charts(page), counts];
}

const notifications = (page) => listPage(page, {
  title: 'Notifications', path: '/v1/notifications', rows: 'notifications', tools: activityLinks(page, '/notifications'),
  filters: [{ name: 'recipient', label: 'Recipient' }, { name: 'type', label: 'Type' }, { name: 'tag', label: 'Tag' }, { name: 'state', label: 'State', options: ['', 'unread', 'read', 'archived'] }, RANGE],
  columns: [['Notification', (one) => one.title], ['Recipient', (one) => one.recipient], ['Type', (one) => h('span', { class: 'tag' }, one.type)], ['State', (one) => state(inboxState(one))], ['Tenant', (one) => one.tenant], ['Sent', (one) => time(one.created_at)]],
  link: (one) => inTenant(page, path`/notifications/${one.id}`, one),
  none: 'No notification was sent yet in this tenant.', command: 'bellcast notify alice "Hello"',
});

const announcements = (page) => listPage(page, {
  title: 'Announcements', path: '/v1/announcements', rows: 'announcements', tools: activityLinks(page, '/announcements'),
  filters: [{ name: 'type', label: 'Type' }, RANGE],
  columns: [['Announcement', (one) => one.title], ['Audience', (one) => audienceOf(one.audience)], ['Type', (one) => h('span', { class: 'tag' }, one.type)], ['Tenant', (one) => one.tenant], ['Sent', (one) => time(one.created_at)]],
  link: (one) => withQuery(page.url(path`/notifications/${one.id}`), { tenant: one.tenant === '*' ? '' : one.tenant }),
  none: 'No announcement was sent yet in this tenant.', command: 'bellcast notify --all "Maintenance at 22:00"',
});

/** The lists of what was sent, as tabs. */
function activityLinks(page, selected) {
  const tabs = [['/notifications', 'To recipients'], ['/announcements', 'Announcements']];
  return h('nav', { class: 'tabs', 'aria-label': 'Kinds' }, tabs.map(([target, name]) => h('a', { href: withQuery(page.url(target), tenantOf(page)), 'aria-current': target === selected && 'page' }, name)));
}

function inboxState(one) {
  if (one.archived_at) return 'archived';
  if (one.read_at) return 'read';
  return one.seen_at ? 'seen' : 'unseen';
}

function audienceOf({ topic, role, tenant }) {
  if (topic) return `topic ${topic}`;
  if (role) return `role ${role}`;
  return tenant ? `tenant ${tenant}` : 'everyone';
}

function notification(page) {
  const place = panel();
  load(place, page.signal, (signal) => get(withQuery(path`/v1/notifications/${page.key}`, tenantOf(page)), signal), (one) => [
    heading(one.title, page.may(BUILDERS) && remove(page, 'Recall this notification', 'Recall', withQuery(path`/v1/notifications/${one.id}`, tenantOf(page)), page.url('/notifications'))),
    facts([
      ['Id', id(one.id)], ['Audience', one.audience && audienceOf(one.audience)], ['Recipient', one.recipient && h('a', { href: inTenant(page, path`/recipients/${one.recipient}`, one) }, one.recipient)],
      ['Type', one.type], ['Priority', one.priority], ['Created', time(one.created_at)], ['Seen', time(one.seen_at)], ['Read', time(one.read_at)], ['Expires', time(one.expires_at)],
      ['Text', one.body],
    ]),
    h('section', { class: 'panel' }, h('h2', {}, 'Timeline'), timeline(page, one.timeline)),
    h('details', {}, h('summary', {}, 'JSON'), json(one)),
  ]);
  return place;
}

function timeline(page, entries) {
  if (entries.length === 0) return empty('Nothing was recorded yet.');
  return h('ol', { class: 'timeline' }, entries.map((one) => h('li', {},
    h('div', {}, h('b', {}, one.what.replaceAll('_', ' ')), one.channel && h('span', { class: 'tag' }, one.channel), ' ', time(one.at)),
    one.detail && h('p', {}, one.detail),
    one.rule && h('p', { class: 'muted' }, `Rule: ${one.rule}`),
    one.message && h('p', {}, h('a', { href: inTenant(page, path`/messages/${one.message}`) }, 'Message')))));
}

const recipients = (page) => listPage(page, {
  title: 'Recipients', path: '/v1/recipients', rows: 'recipients', filters: [{ name: 'search', label: 'Key begins with' }],
  columns: [['Recipient', (one) => one.key], ['Name', (one) => one.name], ['E-mail', (one) => one.email], ['Unread', (one) => number(one.unread)], ['Created', (one) => time(one.created_at)]],
  link: (one) => inTenant(page, path`/recipients/${one.key}`, one),
  none: 'No recipient exists yet. The first send to a key creates one.', command: 'bellcast notify alice "Hello"',
});

function recipient(page) {
  const place = panel();
  const tenant = tenantOf(page);
  load(place, page.signal, (signal) => get(withQuery(path`/v1/recipients/${page.key}`, tenant), signal), (one) => [
    heading(one.key),
    facts([['Name', one.name], ['E-mail', one.email], ['Phone', one.phone], ['Locale', one.locale], ['Time zone', one.timezone], ['Roles', one.roles.join(', ')], ['Unread', number(one.unread)], ['Unseen', number(one.unseen)], ['Created', time(one.created_at)]]),
    explain(page, one.key, tenant),
    h('nav', { class: 'links', 'aria-label': 'About this recipient' },
      h('a', { href: withQuery(page.url('/notifications'), { recipient: one.key, ...tenant }) }, 'Notifications'),
      h('a', { href: withQuery(page.url('/messages'), { recipient: one.key, ...tenant }) }, 'Messages'),
      h('a', { href: withQuery(page.url('/runs'), { recipient: one.key, ...tenant }) }, 'Workflow runs')),
    h('details', {}, h('summary', {}, 'JSON'), json(one)),
  ]);
  return place;
}

function explain(page, recipient, tenant) {
  const answer = h('div', { 'aria-live': 'polite' });
  return h('section', { class: 'panel' }, h('h2', {}, 'Why did it arrive, or not?'), form([
    field('Notification', { name: 'notification', autocomplete: 'off', spellcheck: 'false' }, 'Its id; or leave it empty and name a type.'),
    field('Type', { name: 'type', autocomplete: 'off' }, 'What would happen to a notification of this type now.'),
  ], 'Explain', async ({ notification, type }) => {
    const result = await get(withQuery('/v1/explain', { recipient, notification: notification.trim(), type: notification ? '' : type.trim() || 'general', ...tenant }), page.signal);
    answer.replaceChildren(h('p', { class: 'text' }, result.text), ...result.channels.map((one) => h('p', {}, h('span', { class: 'tag' }, one.channel), ` ${one.text}`)));
  }), answer);
}

const messages = (page) => listPage(page, {
  title: 'Messages', path: '/v1/messages', rows: 'messages',
  filters: [{ name: 'recipient', label: 'Recipient' }, { name: 'notification', label: 'Notification' }, { name: 'channel', label: 'Channel', options: CHANNELS }, { name: 'state', label: 'State', options: MESSAGE_STATES }],
  columns: [['To', (one) => one.to], ['Channel', (one) => one.channel], ['State', (one) => state(one.state)], ['Reason', (one) => one.reason], ['Recipient', (one) => one.recipient], ['Provider', (one) => one.provider], ['Created', (one) => time(one.created_at)]],
  link: (one) => inTenant(page, path`/messages/${one.id}`),
  none: 'No e-mail, SMS, push or chat message was sent yet.', command: 'bellcast notify alice "Hello" --channel email',
});

function message(page) {
  const place = panel();
  load(place, page.signal, (signal) => get(withQuery(path`/v1/messages/${page.key}`, tenantOf(page)), signal), (one) => [
    heading(one.content.subject ?? `${one.channel} to ${one.to}`),
    facts([
      ['Id', id(one.id)], ['To', one.to], ['State', state(one.state)], ['Reason', one.reason], ['Channel', one.channel], ['Provider', one.provider],
      ['Recipient', h('a', { href: inTenant(page, path`/recipients/${one.recipient}`) }, one.recipient)],
      ['Notification', one.notification && h('a', { href: inTenant(page, path`/notifications/${one.notification}`) }, one.notification)],
      ['Run', one.run && h('a', { href: inTenant(page, path`/runs/${one.run}`) }, one.run)],
      ['Created', time(one.created_at)], ['Due', time(one.due_at)],
    ]),
    h('section', { class: 'panel' }, h('h2', {}, 'Attempts'), one.attempts.length === 0 ? empty('No provider was called yet.')
      : h('ol', { class: 'timeline' }, one.attempts.map((attempt) => h('li', {}, h('div', {}, state(attempt.outcome), ` ${attempt.provider} `, time(attempt.at)), (attempt.code || attempt.response) && h('p', {}, [attempt.code, attempt.response].filter(Boolean).join(' ')))))),
    one.channel === 'email' ? email(page, one) : card('Content', json(one.content)),
  ]);
  return place;
}

/** The forms of an e-mail. Its HTML is in a frame without scripts, and its policy lets it load nothing. */
function email(page, one) {
  const place = h('div', {});
  const url = (form) => `${ROOT}${withQuery(path`/v1/messages/${one.id}/${form}`, tenantOf(page))}`;
  const forms = {
    ...(one.content.html && { HTML: () => fill(place, h('iframe', { sandbox: true, src: url('html'), title: 'E-mail' }), h('p', { class: 'muted' }, 'Images of other servers are not loaded.')) }),
    Text: () => fill(place, h('pre', { tabindex: '0' }, one.content.text ?? '')),
    Source: () => load(place, page.signal, (signal) => get(withQuery(path`/v1/messages/${one.id}/raw`, tenantOf(page)), signal), (source) => h('pre', { tabindex: '0' }, h('code', {}, source))),
  };
  const buttons = Object.entries(forms).map(([name, show]) => h('button', { type: 'button', 'aria-pressed': 'false', onclick: (event) => {
    for (const other of buttons) other.setAttribute('aria-pressed', String(other === event.currentTarget));
    show();
  } }, name));
  const section = card('E-mail', h('div', { class: 'choice', role: 'group', 'aria-label': 'Form' }, buttons, h('a', { href: url('raw'), download: `${one.id}.eml` }, 'Download .eml')), place);
  buttons[0].click();
  return section;
}

const runs = (page) => listPage(page, {
  title: 'Workflow runs', path: '/v1/runs', rows: 'runs',
  filters: [{ name: 'workflow', label: 'Workflow' }, { name: 'recipient', label: 'Recipient' }, { name: 'state', label: 'State', options: RUN_STATES }],
  columns: [['Workflow', (one) => `${one.workflow} (version ${one.version})`], ['Recipient', (one) => one.recipient], ['State', (one) => state(one.state)], ['Reason', (one) => one.reason], ['Started', (one) => time(one.created_at)], ['Ended', (one) => time(one.ended_at)]],
  link: (one) => inTenant(page, path`/runs/${one.id}`),
  none: 'No workflow ran yet.', command: 'bellcast trigger welcome alice',
});

function run(page) {
  const place = panel();
  load(place, page.signal, (signal) => get(withQuery(path`/v1/runs/${page.key}`, tenantOf(page)), signal), (one) => [
    heading(one.workflow),
    facts([['Id', id(one.id)], ['State', state(one.state)], ['Reason', one.reason], ['Recipient', h('a', { href: inTenant(page, path`/recipients/${one.recipient}`) }, one.recipient)], ['Started', time(one.created_at)], ['Ended', time(one.ended_at)], ['Wakes', time(one.wakes_at)]]),
    h('section', { class: 'panel' }, h('h2', {}, 'Steps'), json(one.steps)),
    h('section', { class: 'panel' }, h('h2', {}, 'Data'), json(one.data)),
  ]);
  return place;
}

const workflows = (page) => listPage(page, {
  title: 'Workflows', path: '/v1/workflows', rows: 'workflows',
  columns: [['Workflow', (one) => one.key], ['Version', (one) => number(one.version)], ['Steps', (one) => number(one.steps.length)], ['Type', (one) => one.type], ['State', (one) => state(one.active ? 'active' : 'inactive')]],
  link: (one) => withQuery(page.url('/runs'), { workflow: one.key, ...tenantOf(page) }),
  none: 'No workflow is defined.', command: 'bellcast workflow apply workflows/',
});

const providers = (page) => listPage(page, {
  title: 'Providers', path: '/v1/providers', rows: 'providers',
  columns: [['Provider', (one) => one.key], ['Channel', (one) => one.channel], ['URL', (one) => h('code', {}, one.url)], ['Priority', (one) => number(one.priority)], ['State', (one) => state(one.active ? 'active' : 'inactive')],
    ['', (one) => page.may(BUILDERS) && testConnection(page, one)]],
  none: 'No provider is configured: messages are simulated, and their content is in the list of messages.', command: 'bellcast provider set mail --channel email --url smtp://…',
  note: 'Secrets in URLs are masked. “Test connection” signs in at the provider; it sends nothing without an address.',
});

function testConnection(page, provider) {
  const result = h('span', { role: 'status' });
  const button = h('button', { type: 'button', 'aria-label': `Test the connection of ${provider.key}`, onclick: async () => {
    button.disabled = true;
    result.replaceChildren('…');
    try {
      const answer = await request('POST', withQuery(path`/v1/providers/${provider.key}/test`, { tenant: provider.tenant ?? '' }), {}, page.signal);
      result.replaceChildren(state(answer.ok ? 'ok' : 'error'), ` ${answer.error ?? 'Connected'}`);
    } catch (problem) {
      result.replaceChildren(state('error'), ` ${problem.message}`);
    }
    button.disabled = false;
  } }, 'Test connection');
  return h('span', { class: 'test' }, button, result);
}

const keys = (page) => {
  const created = h('div', { 'aria-live': 'polite' });
  const scopes = page.may(OWNERS) ? ['send', 'read', 'manage', 'observe', 'configure', 'admin'] : ['send', 'read', 'observe', 'configure'];
  return [listPage(page, {
    title: 'API keys', path: '/v1/keys', rows: 'keys', tenant: false,
    columns: [['Name', (one) => one.name], ['Id', (one) => h('code', {}, one.id)], ['Scopes', (one) => one.scopes.join(', ')], ['Tenants', (one) => one.tenants?.join(', ') ?? 'all'], ['Created', (one) => time(one.created_at)], ['State', (one) => state(one.revoked_at ? 'revoked' : 'active')],
      ['', (one) => !one.revoked_at && remove(page, `Revoke ${one.name}`, 'Revoke', path`/v1/keys/${one.id}`)]],
    none: 'No key exists. Servers can also use the project secret.', command: 'bellcast key create "booking service" --scope send',
  }), card('Create a key', form([
    field('Name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' }),
    choices('Scopes', 'scopes', scopes, ['send']),
    field('Tenants', { name: 'tenants', autocomplete: 'off', placeholder: page.me.tenants?.join(', ') ?? 'all' }, 'The only tenants that the key may use, separated by commas.'),
  ], 'Create key', async ({ name, tenants }, sent) => {
    const key = await request('POST', '/v1/keys', { name, scopes: new FormData(sent).getAll('scopes'), tenants: listed(tenants) });
    created.replaceChildren(h('p', {}, 'Copy it now: it is not shown again.'), id(key.key));
  }), created)];
};

/** The tenants in a field; null for all. */
function listed(text) {
  const names = text.split(',').map((name) => name.trim()).filter(Boolean);
  return names.length > 0 ? names : null;
}

/** A button that deletes on its second click, and then shows the URL `then`, or the page again; or it calls `then`. */
function remove(page, label, word, target, then) {
  return confirmed(label, word, async () => {
    await request('DELETE', target);
    if (typeof then === 'function') await then();
    else if (then) page.go(then);
    else page.reload();
  });
}

const operators = (page) => [listPage(page, {
  title: 'Operators', path: '/v1/operators', rows: 'operators', tenant: false,
  columns: [['Name', (one) => one.name], ['Role', (one) => roleOf(page, one)], ['Tenants', (one) => tenantsOf(one)], ['Second factor', (one) => secondFactorOf(page, one)], ['Created', (one) => time(one.created_at)], ['Last sign-in', (one) => time(one.seen_at)],
    ['', (one) => one.name !== page.me.name && remove(page, `Delete ${one.name}`, 'Delete', path`/v1/operators/${one.id}`)]],
  none: 'There is no operator.',
}), card('Add an operator', form([
  field('Name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' }, 'Lower case, such as an e-mail address.'),
  field('Role', { name: 'role', options: ALL, selected: 'viewer' }, 'Viewers see numbers, support also content, developers change all but operators.'),
  field('Tenants', { name: 'tenants', autocomplete: 'off', placeholder: 'all' }, 'The only tenants that the operator may see, separated by commas. Owners see all.'),
  field('First password', { name: 'password', type: 'password', required: true, minlength: 12, autocomplete: 'new-password' }, 'At least 12 characters. The operator changes it under Account.'),
], 'Add operator', async (values) => {
  await request('POST', '/v1/operators', { ...values, name: values.name.trim().toLowerCase(), tenants: listed(values.tenants) });
  page.reload();
}))];

function secondFactorOf(page, operator) {
  if (!operator.has_mfa) return 'none';
  if (operator.name === page.me.name) return state('active');
  return h('span', { class: 'test' }, state('active'), remove(page, `Reset the second factor of ${operator.name}`, 'Reset', path`/v1/operators/${operator.id}/mfa`));
}

function tenantsOf(operator) {
  if (operator.role === 'owner') return 'all';
  const input = h('input', { 'aria-label': `Tenants of ${operator.name}`, value: operator.tenants?.join(', ') ?? '', placeholder: 'all', autocomplete: 'off', onchange: async () => {
    input.setCustomValidity('');
    try {
      await request('PATCH', path`/v1/operators/${operator.id}`, { tenants: listed(input.value) });
    } catch (problem) {
      input.setCustomValidity(problem.message);
      input.reportValidity();
    }
  } });
  return input;
}

function roleOf(page, operator) {
  if (operator.name === page.me.name) return operator.role;
  const select = h('select', { 'aria-label': `Role of ${operator.name}`, onchange: async () => {
    try {
      await request('PATCH', path`/v1/operators/${operator.id}`, { role: select.value });
      page.reload();
    } catch {
      select.value = operator.role;
    }
  } }, ALL.map((role) => h('option', { value: role, selected: role === operator.role }, role)));
  return select;
}

/** The changed fields, each with its value before and after. */
function changesOf(entry) {
  if (entry.changes.length === 0) return null;
  const value = (one) => h('code', {}, one === null ? '–' : typeof one === 'string' ? one : JSON.stringify(one));
  return entry.changes.map((one) => h('div', {}, `${one.field}: `, value(one.from), ' → ', value(one.to)));
}

const audit = (page) => listPage(page, {
  title: 'Audit', path: '/v1/audit', rows: 'entries',
  filters: [RANGE],
  columns: [['When', (one) => time(one.at)], ['Actor', (one) => one.actor], ['Action', (one) => h('code', {}, `${one.action.split(' ')[0]} ${one.target}`)], ['Changes', (one) => changesOf(one)], ['Outcome', (one) => state(one.outcome)], ['Address', (one) => one.address && h('code', { class: 'fixed' }, one.address)], ['Request', (one) => h('code', { class: 'fixed' }, one.request_id)]],
  none: 'Nothing was recorded yet.',
});

function account(page) {
  const result = h('p', { role: 'status' });
  return [heading('Account'), facts([['Name', page.me.name], ['Role', page.me.role], ['Tenants', page.me.tenants?.join(', ') ?? 'all']]), card('Change the password', form([
    field('Current password', { name: 'current', type: 'password', required: true, autocomplete: 'current-password' }),
    field('New password', { name: 'password', type: 'password', required: true, minlength: 12, autocomplete: 'new-password' }, 'At least 12 characters. Your other sessions end.'),
  ], 'Change password', async (values, element) => {
    await request('PUT', '/v1/me/password', values);
    element.reset();
    result.textContent = 'The password was changed.';
  }), result), secondFactor(page)];
}

function secondFactor(page) {
  const place = h('div', {});
  const reload = async () => {
    page.me.has_mfa = (await get('/v1/me', page.signal)).has_mfa;
    page.reload();
  };
  if (!page.me.has_mfa) return card('Authenticator app', h('p', {}, 'With an app on your phone, a stolen password alone does not sign in.'), mfaSetup(reload));
  return card('Authenticator app', h('p', {}, state('active'), ' Sign-in needs a code of your app.'),
    h('div', { class: 'choice' },
      h('button', { type: 'button', onclick: async () => {
        try {
          fill(place, recoveryCodes((await request('POST', '/v1/me/mfa/recovery-codes')).codes, () => fill(place)));
        } catch (problem) {
          fill(place, h('p', { class: 'error', role: 'alert' }, problem.message));
        }
      } }, 'New recovery codes'),
      remove(page, 'Remove the authenticator app', 'Remove', '/v1/me/mfa', reload)), place);
}

/** Pages by path. `key` pages have the key of their object after the path. */
export const PAGES = [
  { path: '/', title: 'Overview', show: overview, roles: ALL, letter: 'o' },
  { path: '/live', title: 'Live', show: live, roles: CONTENT, letter: 'l' },
  { path: '/notifications', title: 'Notifications', show: notifications, detail: notification, roles: CONTENT, letter: 'n' },
  { path: '/announcements', title: 'Announcements', show: announcements, roles: CONTENT, letter: 'b' },
  { path: '/recipients', title: 'Recipients', show: recipients, detail: recipient, roles: CONTENT, letter: 'r' },
  { path: '/connections', title: 'Connections', show: connections, roles: CONTENT, letter: 'c' },
  { path: '/topics', title: 'Topics', show: topics, detail: topic, roles: CONTENT, letter: 't' },
  { path: '/tenants', title: 'Tenants', show: tenants, detail: tenant, roles: CONTENT, letter: 'f' },
  { path: '/messages', title: 'Messages', show: messages, detail: message, roles: CONTENT, letter: 'm' },
  { path: '/requests', title: 'Requests', show: requests, detail: servedRequest, roles: CONTENT, letter: 'q' },
  { path: '/workflows', title: 'Workflows', show: workflows, roles: CONTENT, letter: 'w' },
  { path: '/runs', title: 'Workflow runs', show: runs, detail: run, roles: CONTENT, letter: 'u' },
  { path: '/playground', title: 'Playground', show: playground, roles: OWNERS, letter: 'y' },
  { path: '/settings', title: 'Settings', show: settings, roles: BUILDERS, letter: 'i' },
  { path: '/providers', title: 'Providers', show: providers, roles: BUILDERS, letter: 'p' },
  { path: '/keys', title: 'API keys', show: keys, roles: BUILDERS, letter: 'k' },
  { path: '/operators', title: 'Operators', show: operators, roles: OWNERS, letter: 'e' },
  { path: '/audit', title: 'Audit', show: audit, roles: OWNERS, letter: 'a' },
  { path: '/health', title: 'Health', show: health, roles: ALL, letter: 'h' },
  { path: '/account', title: 'Account', show: account, roles: ALL, letter: 's' },
];

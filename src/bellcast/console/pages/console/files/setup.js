/**
 * Setup: checklists whose items are checked when the server receives the first send, connection and read, and the Pusher events of an app.
 */
import { field, fill, form, h, hours, state } from './dom.js';
import { heading } from './list.js';
import { card, dialectName, inline } from './page.js';
import { runTest } from './pusher-apps.js';
import { ROOT, follow, get, withQuery } from './server.js';

const POLL_MS = 3000;
/** Delay before the feed is opened again after it was lost. */
const RETRY_MS = 2000;
/** Events before the page was opened, to check items that are already done. */
const RECENT = 200;
/** The key in localStorage of completed checklist lines whose events the server keeps in memory only. It contains the operator's id, so that a new server at the same address begins with an empty checklist. */
const memoryOf = ({ me }) => `bellcast-setup ${ROOT} ${me.id}`;

const CHANNELS = [
  { name: 'admins', label: 'Channel of all admins', value: 'admin' },
  { name: 'provider', label: 'Channel of one provider', value: 'private-provider.1' },
  { name: 'assigned', label: 'Event of a new lead', value: 'lead.assigned' },
  { name: 'updated', label: 'Event of a changed status', value: 'lead.status.updated' },
  { name: 'tenant', label: 'Tenant', value: '' },
];

export function setup(page) {
  const channels = Object.fromEntries(CHANNELS.map(({ name, value }) => [name, page.query.get(name)?.trim() || value]));
  const events = new Map();
  const result = h('div', { 'aria-live': 'polite' });
  const update = () => lists.forEach((one) => one.update());
  const lists = [checklist(page, 'first', firstSteps()), checklist(page, `pusher ${JSON.stringify(channels)}`, pusherLines(page, channels, events, result, update))];
  update();
  const timer = setInterval(() => document.hidden || update(), POLL_MS);
  page.signal.addEventListener('abort', () => clearInterval(timer));
  watch(page, channels.tenant, (event) => {
    const key = keyOf(event.topic, event.detail.name);
    events.set(key, Math.max(events.get(key) ?? 0, event.detail.delivered));
    update();
  });
  return [
    heading('Setup', h('a', { class: 'button', href: page.url('/setup/pusher') }, 'Troubleshooting')),
    h('p', { class: 'muted' }, 'Each line is ticked as soon as the server sees the event.'),
    card('First steps', lists[0].place),
    card('An app with Pusher', h('p', { class: 'muted' }, 'Open your app beside this page, and go through it with your own channels and events.'),
      inline(form(CHANNELS.map(({ name, label }) => field(label, { name, value: channels[name], autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' })), 'Use these', (values) => page.go(withQuery(page.path, values)))),
      lists[1].place, result, h('p', {}, lists[1].reset, ' A line stays open? ', h('a', { href: page.url('/setup/pusher') }, 'Pusher troubleshooting'))),
  ];
}

const keyOf = (topic, name) => `${topic} ${name}`;

/** Follow the published events, until the page is left. */
async function watch(page, tenant, receive) {
  while (!page.signal.aborted) {
    try {
      await follow(withQuery('/v1/feed', { kind: 'publish', tenant: tenant || '*', last: RECENT }), page.signal, () => {}, (name, event) => {
        if (name === 'publish' && (event.tenant ?? '') === tenant) receive(event);
      });
    } catch (problem) {
      if (problem.status >= 400 && problem.status < 500) return; // the other lines still work
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * A list of lines. The `check` of a line resolves to what the server received, or null; a line that is `isPersistent` stays checked in this browser.
 * @param {{title: string, check: (signal: AbortSignal) => Promise<string | null>, hint: any, extra?: Node, isPersistent?: boolean}[]} lines
 */
function checklist(page, name, lines) {
  const count = h('p', { class: 'muted', role: 'status' });
  const shown = lines.map((line) => ({ line, mark: h('div', {}, state('waiting')), detail: h('p', { class: 'muted' }, line.hint, line.extra && [' ', line.extra]), isDone: false }));
  const update = async () => {
    await Promise.all(shown.filter((one) => !one.isDone || !one.line.isPersistent).map(async (one) => {
      const key = `${name} ${one.line.title}`;
      let seen = one.line.isPersistent ? remembered(page)[key] : null;
      try {
        seen ??= await one.line.check(page.signal);
      } catch (problem) {
        if (!page.signal.aborted && !one.isDone) fill(one.detail, problem.message);
        return;
      }
      if (seen && one.line.isPersistent) remember(page, { ...remembered(page), [key]: seen });
      if (Boolean(seen) === one.isDone) return;
      one.isDone = Boolean(seen);
      fill(one.mark, state(seen ? 'done' : 'waiting'));
      fill(one.detail, seen || one.line.hint, one.line.extra && [' ', one.line.extra]);
    }));
    const text = `${shown.filter((one) => one.isDone).length} of ${lines.length} done`;
    if (count.textContent !== text) fill(count, text);
  };
  const reset = h('button', { type: 'button', onclick: () => {
    remember(page, Object.fromEntries(Object.entries(remembered(page)).filter(([key]) => !key.startsWith(name))));
    page.reload();
  } }, 'Start over');
  const place = h('div', {}, count, h('ol', { class: 'checks' }, shown.map((one) => h('li', {}, one.mark, h('div', {}, h('b', {}, one.line.title), one.detail)))));
  return { place, update, reset };
}

function remembered(page) {
  try {
    return JSON.parse(localStorage.getItem(memoryOf(page))) ?? {};
  } catch {
    return {};
  }
}

const remember = (page, lines) => localStorage.setItem(memoryOf(page), JSON.stringify(lines));

const code = (text) => h('code', {}, text);
const one = (path, parameters) => (signal) => get(withQuery(path, { tenant: '*', limit: 1, ...parameters }), signal);

function firstSteps() {
  const [sent, announced, read, open, closed] = [
    one('/v1/notifications'), one('/v1/announcements'), one('/v1/notifications', { state: 'read' }), one('/v1/connections'), one('/v1/connections', { state: 'closed' })];
  return [
    { title: 'A notification was sent', isPersistent: true, hint: code('bellcast notify alice "Hello"'), check: async (signal) => {
      const first = (await sent(signal)).notifications[0] ?? (await announced(signal)).announcements[0];
      return first ? 'The server has notifications.' : null;
    } },
    { title: 'A page connected', isPersistent: true, hint: code(`<bellcast-bell server="${location.origin}${ROOT}" token="…"></bellcast-bell>`), check: async (signal) => {
      const first = (await open(signal)).connections[0] ?? (await closed(signal)).connections[0];
      return first ? `${dialectName(first)}${first.recipient ? `, ${first.recipient}` : ''}` : null;
    } },
    { title: 'A recipient read a notification', isPersistent: true, hint: 'Open the bell in your page, and the notification in it.', check: async (signal) => {
      const first = (await read(signal)).notifications[0];
      return first ? `${first.recipient} read “${first.title}”.` : null;
    } },
  ];
}

/** The lines of a testing checklist for two dashboards over Pusher's protocol. `update` checks them again immediately. */
function pusherLines(page, { admins, provider, assigned, updated, tenant }, events, result, update) {
  let isTested = false;
  let isRefreshed = false;
  const button = h('button', { type: 'button', onclick: async () => {
    isTested = await runTest(page, button, result, {});
    update();
  } }, 'Test connection');
  const refreshed = h('input', { type: 'checkbox', id: 'refreshed', onchange: () => {
    isRefreshed = refreshed.checked;
    update();
  } });
  const connected = (title, channel) => ({ title, isPersistent: true, check: async (signal) => {
    const { connections: [first] } = await get(withQuery('/v1/connections', { tenant, protocol: 'pusher', topic: channel, limit: 1 }), signal);
    return first ? `${channel} has a connection since ${hours(Date.parse(first.connected_at))}.` : null;
  }, hint: ['Open the dashboard: a page that subscribes to ', code(channel), '. To log it: ', code("pusher.connection.bind('connected', () => console.log('Pusher connected'))")] });
  const received = (title, ...pairs) => ({ title, isPersistent: true, check: async () => {
    const counts = pairs.map(([channel, name]) => events.get(keyOf(channel, name)));
    if (counts.every((count) => count > 0)) return pairs.map(([channel, name], index) => `${name} on ${channel}: ${counts[index]} connected`).join('; ');
    return null;
  }, hint: ['The server waits for ', pairs.map(([channel, name], index) => [index > 0 && ' and ', code(name), ' on ', code(channel)]), ' while a page follows the channel.'] });
  return [
    { title: 'Pusher enabled in admin settings', hint: ['Switch on ', code('pusher_enabled'), ' under ', h('a', { href: page.url('/settings') }, 'Settings'), '.'], check: async (signal) => {
      const { settings } = await get('/v1/settings', signal);
      const setting = settings.find((item) => item.name === 'pusher_enabled');
      return setting.value === 'on' ? `pusher_enabled is on (${setting.source}).` : null;
    } },
    { title: 'All Pusher credentials filled in', hint: ['Add an app under ', h('a', { href: page.url('/settings') }, 'Settings'), ', and copy its id, key and secret to your app.'], check: async (signal) => {
      const { apps } = await get(withQuery('/v1/pusher-apps', { tenant }), signal);
      const app = apps.findLast((item) => item.state === 'active' && (item.tenant ?? '') === tenant);
      return app ? `App ${app.name || app.id} with the key ${app.key}.` : null;
    } },
    { title: 'Test connection successful', isPersistent: true, extra: button, hint: 'A signed call, a WebSocket, a private subscription and an event back.', check: async () => (isTested ? 'Pusher connected.' : null) },
    connected('Admin dashboard shows “Pusher connected” in console', admins),
    connected('Provider dashboard shows “Pusher connected” in console', provider),
    received('Create new lead → Admin receives notification', [admins, assigned]),
    received('Create new lead assigned to provider → Provider receives notification', [provider, assigned]),
    received('Change lead status → Both admin and provider receive notification', [admins, updated], [provider, updated]),
    { title: 'Dashboards auto-refresh on events', isPersistent: true, check: async () => (isRefreshed ? 'Ticked by you.' : null), hint: h('label', { class: 'test' }, refreshed, 'Only you can see this: tick it when both dashboards show the change without a reload.') },
  ];
}

/** Symptoms of pages over Pusher's protocol, with their causes and the place of the fix. */
export function troubleshooting(page) {
  const link = (path, text) => h('a', { href: page.url(path) }, text);
  const rows = [
    ['“Pusher connected” never appears', 'The page cannot reach the server, or connects to another host.', ['Set ', code('wsHost'), ' to this host without a scheme, ', code('wsPort'), ' or ', code('wssPort'), ', and ', code("enabledTransports: ['ws', 'wss']"), '. Then ', link('/settings', 'Test connection'), ' shows the failing step.']],
    ['Error 4001', 'No app has the key of the page.', ['Compare it with ', link('/settings', 'Pusher apps'), '.']],
    ['Error 4003', 'Pusher or the app is switched off.', [link('/settings', 'Settings'), ': ', code('pusher_enabled'), ', or Enable the app.']],
    ['Error 4009', 'The sign-in is wrong, or the page did not authorize in time.', 'Your auth endpoint signs with another secret: copy that of the app.'],
    ['The connection is refused with 403', 'The origin of the page is not allowed.', [link('/live?kind=refused', 'Refused'), ' names the origin; add it to ', code('origins'), ' under ', link('/settings', 'Settings'), '.']],
    ['pusher:subscription_error on a private channel', 'The auth endpoint fails, or signs with another secret.', 'Open the endpoint’s request in the network panel of the browser. It must return 200 and a signature of socket id and channel.'],
    ['pusher:subscription_error on a public channel', 'Public channels must be declared.', ['Add it to ', code('public_topics'), ' under ', link('/settings', 'Settings'), '.']],
    ['Connected, but no event arrives', 'The event goes to another channel, has another name, or comes from another app.', [link('/live?kind=publish', 'Published events'), ' show the channel, the name and the number of connections. 0: no page follows the channel.']],
    ['The server SDK gets 401', 'Another secret, or a clock that differs by more than 10 minutes.', [link('/requests?status=401', 'Requests'), ' name the reason; ', link('/health', 'the doctor'), ' compares clocks.']],
    ['It worked, and stopped after a minute', 'A proxy cuts idle connections.', ['Read the proxy’s timeout; pages ping after ', code('pusher_activity_timeout'), '.']],
  ];
  return [
    heading('Pusher troubleshooting', h('a', { class: 'button', href: page.url('/setup') }, 'Back to the checklist')),
    h('section', { class: 'panel' }, h('ul', { class: 'checks symptoms' }, rows.map(([symptom, cause, fix]) => h('li', {}, h('b', {}, symptom), h('div', {}, h('p', {}, cause), h('p', { class: 'muted' }, fix)))))),
    h('p', {}, 'Every error of the server has a page with its causes and fixes: ', h('a', { href: `${page.root}/errors`, target: '_blank', rel: 'noopener' }, 'all errors'), '. For pages with a bell, ', h('a', { href: `${page.root}/check`, target: '_blank', rel: 'noopener' }, 'test the page’s bell'), '.'),
  ];
}

/**
 * Setup: checklists whose items are checked when the server receives the first send, connection and read, and the Pusher events of an app.
 */
import { dialectName } from './dialects.js';
import { Field, Form } from './form.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { count, hourOf } from './format.js';
import { Together, loadStyle, openLoads, useEvery } from './load.js';
import { Copy, Heading, Icon, State, copiedWith, inTerminal } from './parts.js';
import { PusherTest } from './pusher-apps.js';
import { nameOf, readNames } from './recipient-names.js';
import { go } from './router.js';
import { ROOT, follow, get, withQuery } from './server.js';

await Promise.all(['setup.css', 'tiles.css'].map(loadStyle));

const POLL_MS = 3000;
/** Delay before the feed is opened again after it was lost. */
const RETRY_MS = 2000;
/** Events before the page was opened, to check items that are already done. */
const RECENT = 200;
/** Parts of the stored rows that are searched for a notification that was read. */
const MAX_PARTS = 10;
/** The key in localStorage of completed checklist lines whose events the server keeps in memory only. It contains the operator's id, so that a new server at the same address begins with an empty checklist. */
const memoryOf = ({ me }) => `bellcast-setup ${ROOT} ${me.id}`;

const CHANNELS = [
  { name: 'admins', label: 'Channel of all admins', value: 'admin' },
  { name: 'provider', label: 'Channel of one provider', value: 'private-provider.1' },
  { name: 'assigned', label: 'Event of a new lead', value: 'lead.assigned' },
  { name: 'updated', label: 'Event of a changed status', value: 'lead.status.updated' },
  { name: 'tenant', label: 'Tenant', value: '' },
];

/** What most servers need after their first notification. */
const NEXT = [['/providers?new=yes', 'providers', 'New provider', 'Deliver e-mail, SMS, push'], ['/workflows?edit=new', 'workflows', 'New workflow', 'Delays and conditions'], ['/templates?edit=new', 'templates', 'New template', 'Texts and e-mail design'], ['/keys?new=yes', 'keys', 'New API key', 'For your own servers']];

export function Setup({ page }) {
  const channels = Object.fromEntries(CHANNELS.map(({ name, value }) => [name, page.query.get(name)?.trim() || value]));
  const events = useRef(new Map()).current;
  // Each event, and each line that the operator ticks, checks the lines again.
  const [round, setRound] = useState(0);
  const check = () => setRound((last) => last + 1);
  useEvery(POLL_MS, check);
  useEffect(() => {
    const abort = new AbortController();
    watch(channels.tenant, abort.signal, (event) => {
      const key = keyOf(event.topic, event.detail.name);
      events.set(key, Math.max(events.get(key) ?? 0, event.detail.delivered));
      check();
    });
    return () => abort.abort();
  }, [channels.tenant]);
  const name = `pusher ${JSON.stringify(channels)}`;
  // The first steps come last once they were done before.
  const [isBegun, setBegun] = useState(false), first = html`<${First} key="first" page=${page} round=${round} settled=${setBegun} />`, next = html`<${Checklist} key="next" page=${page} title="What comes next" name="next" isSorted round=${0} lines=${nextSteps(page)} />`;
  return html`<${Heading} title="Setup" note=${html`<span class="muted">Each step is ticked when the server sees it.</span>`} /><div class="setup"><${Together}>
    ${isBegun ? [next, first] : [first, next]}
    <details class="panel" open=${CHANNELS.some((one) => page.query.has(one.name))}><summary>An app with Pusher</summary><p class="muted">Open your app beside this page, and go through it with your own channels and events.</p>
      <${Form} isInline button="Use these" send=${async (values) => go(withQuery(page.path, values))}>${CHANNELS.map((one) => html`<${Field} key=${one.name} label=${one.label} name=${one.name} defaultValue=${channels[one.name]} autocomplete="off" spellcheck=${false} autocapitalize="none" />`)}<//>
      <${Checklist} key=${name} page=${page} name=${name} round=${round} canReset lines=${pusherLines(page, channels, events)} />
      <p>A line stays open? <a href=${page.url('/setup/pusher')}>Pusher troubleshooting</a></p></details><//></div>`;
}

/** The way to the first notification, on this page and on the Overview of a server that has sent nothing. */
export function FirstSteps({ page }) {
  const [round, setRound] = useState(0);
  useEvery(POLL_MS, () => setRound((last) => last + 1));
  return html`<${First} page=${page} round=${round} />
    <nav aria-label="Next"><ul class="tiles">${NEXT.map(([target, icon, title, text]) => html`<li key=${target}><a class="tile" href=${page.url(target)}><span class="avatar tone-0" aria-hidden="true"><${Icon} name=${icon} /></span><b>${title}</b><small>${text}</small></a></li>`)}</ul></nav>`;
}

const First = ({ page, round, settled }) => html`<${Checklist} page=${page} title="First steps" name="first" round=${round} settled=${settled} lines=${firstSteps(page)} note=${page.me.data_folder && html`<p class="muted">Copied commands name the data folder of this server: <code>${inTerminal('bellcast …')}</code></p>`} />`;

const keyOf = (topic, name) => `${topic} ${name}`;

/** Follow the published events, until the page is left. */
async function watch(tenant, signal, receive) {
  while (!signal.aborted) {
    try {
      await follow(withQuery('/v1/feed', { kind: 'publish', tenant: tenant || '*', last: RECENT }), signal, () => {}, (name, event) => {
        if (name === 'publish' && (event.tenant ?? '') === tenant) receive(event);
      });
    } catch (problem) {
      if (problem.status >= 400 && problem.status < 500) return; // the other lines still work
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * A list of lines. The `check` of a line resolves to what the server received, or null; `settled` receives whether all of them were done when the page opened; a line that is `isPersistent` stays checked in this browser. `act` shows
 * what the operator does for it, and gets a function that ticks the line, and whether it is ticked. If they `isSorted`, what was done when the page opened comes last. A list with a title that was done then is folded. The `note` is about what is left to do.
 * @param {{lines: {title: string, check: (signal: AbortSignal) => Promise<string | null>, hint?: any, to?: [path: string, word: string], act?: (tick: (text: string) => void) => any, isPersistent?: boolean}[]}} of
 */
function Checklist({ page, title: heading, name, lines, round, isSorted, canReset, note, settled }) {
  const [seen, setSeen] = useState({}), [isKnown, setKnown] = useState(false), [isFolded, setFolded] = useState(false);
  const keep = (title, text, isPersistent) => {
    if (isPersistent) remember(page, { ...remembered(page), [`${name} ${title}`]: text });
    setSeen((last) => ({ ...last, [title]: { text } }));
  };
  const isFirst = useRef(true), unmounted = useRef(null);
  useLayoutEffect(() => {
    if (!isKnown && !isFirst.current) return undefined; // an event does not cut off the first checks
    const abort = new AbortController(), checks = [];
    for (const { title, isPersistent, check } of lines) {
      const kept = isPersistent && remembered(page)[`${name} ${title}`];
      if (kept) {
        setSeen((last) => (last[title]?.text === kept ? last : { ...last, [title]: { text: kept } }));
        continue;
      }
      if (isPersistent && seen[title]?.text) continue;
      checks.push(check(abort.signal, isFirst.current).then((text) => {
        if (abort.signal.aborted || (seen[title]?.text ?? null) === text) return;
        if (text) keep(title, text, isPersistent);
        else setSeen((last) => ({ ...last, [title]: { text: null } }));
      }, (problem) => { if (!abort.signal.aborted && !seen[title]?.text) setSeen((last) => ({ ...last, [title]: { text: null, problem } })); }));
    }
    // The first answers appear with the lines, which keep their places.
    if (isFirst.current) {
      openLoads.value += 1;
      Promise.all(checks).finally(() => {
        setKnown(true);
        openLoads.value -= 1;
      });
    }
    if (isFirst.current) unmounted.current = () => abort.abort();
    else return () => abort.abort();
    isFirst.current = false;
    return undefined;
  }, [round]);
  useEffect(() => () => unmounted.current(), []);
  const reset = () => {
    remember(page, Object.fromEntries(Object.entries(remembered(page)).filter(([key]) => !key.startsWith(name))));
    setSeen({});
  };
  const done = lines.filter(({ title }) => seen[title]?.text).length;
  const first = lines.find(({ title, to }) => to && !seen[title]?.text);
  useLayoutEffect(() => {
    if (!isKnown) return;
    setFolded(Boolean(heading) && done === lines.length);
    settled?.(done === lines.length);
  }, [isKnown]);
  const isDone = ({ title }) => Boolean(seen[title]?.text), shown = isSorted ? lines.toSorted((one, other) => isDone(one) - isDone(other)) : lines;
  const head = html`${heading && html`<h2>${heading}</h2>`}<span class="muted" role="status">${done} of ${lines.length} done</span>`;
  const list = html`<ol class="checks">${shown.map(({ title, hint, act, to, isPersistent }) => html`<li key=${title} class=${seen[title]?.text ? 'done' : null}><${State} of=${seen[title]?.text ? 'done' : 'waiting'} kind=${seen[title]?.text ? 'ok' : 'open'} /><div><b>${title}</b><p class="muted">${seen[title]?.text || seen[title]?.problem?.message || hint}</p>${act && (!seen[title]?.text || act.stays) && act((text) => keep(title, text, isPersistent), Boolean(seen[title]?.text))}</div>${to && !seen[title]?.text && html`<a class=${title === first.title ? 'button primary' : 'button'} href=${page.url(to[0])}>${to[1]}</a>`}</li>`)}</ol>
    ${canReset && html`<button type="button" onClick=${reset}>Start over</button>`}`;
  if (isFolded) return html`<section class="panel folded" aria-label=${heading}><details><summary class="checks-head">${head}</summary>${list}</details></section>`;
  const whole = html`<header class="checks-head">${head}</header><progress max=${lines.length} value=${done} aria-label="Progress"></progress>${list}`;
  return heading ? html`<section class="panel" aria-label=${heading}>${whole}${done < lines.length && note}</section>` : whole;
}

function remembered(page) {
  try {
    return JSON.parse(localStorage.getItem(memoryOf(page))) ?? {};
  } catch {
    return {};
  }
}

const remember = (page, lines) => localStorage.setItem(memoryOf(page), JSON.stringify(lines));

const code = (text) => html`<code>${text}</code>`;
const example = (text) => html`<span class="example"><code>${text}</code><${Copy} what="the example" text=${inTerminal(text)} title=${copiedWith(inTerminal(text), text)} /></span>`;
/** The tenant of the bell on the server's landing page, which is no page of the app. */
const LANDING = 'bellcast-landing';
/** Enough rows to find one beside those of the landing page and the playground. */
const FEW = 20;
/** The newest row. The server examines a part of the rows at a time; when the page opens, also the older parts. */
const one = (path, rows, parameters, isWanted = () => true) => async (signal, isFirst) => {
  let found = {};
  for (let part = 0; part === 0 || (isFirst && found.scanned_until && part < MAX_PARTS); part += 1) {
    found = await get(withQuery(path, { tenant: '*', limit: FEW, after: found.scanned_until, ...parameters }), signal);
    if (found[rows].some(isWanted)) break;
  }
  return found[rows].find(isWanted);
};
const nothing = async () => null;
/** The recipient of a row by its name. */
async function named(row) {
  await readNames([row]);
  return nameOf(row);
}

/** The topic that the playground suggests. Its connections are none of the app. */
export const PLAYGROUND_TOPIC = 'private-playground';
const isOfApp = ({ tenant, recipient, topics }) => tenant !== LANDING && recipient !== 'playground' && !topics?.includes(PLAYGROUND_TOPIC);
const [sent, announced, read] = [one('/v1/notifications', 'notifications'), one('/v1/announcements', 'announcements'), one('/v1/notifications', 'notifications', { state: 'read' }, isOfApp)];
const [open, closed] = [one('/v1/connections', 'connections', {}, isOfApp), one('/v1/connections', 'connections', { state: 'closed' }, isOfApp)];
/** The code of the bell, folded once a page has connected. */
const bell = (tick, isDone) => html`<details open=${!isDone}><summary>The code</summary><p>${example(`<script type="module" src="${location.origin}${ROOT}/bellcast.js"></script>`)}</p><p>${example(`<bellcast-bell server="${location.origin}${ROOT}" token="…"></bellcast-bell>`)}</p><p class="muted">A token to try it with: ${example('bellcast token alice')}</p></details>`;
bell.stays = true;
const firstSteps = (page) => [
  { title: 'Send a notification', isPersistent: true, hint: [example('bellcast notify alice "Hello"'), ' or in the ', html`<a href=${page.url('/playground')}>Playground</a>`], check: async (...how) => (await sent(...how) ?? await announced(...how) ? 'The server has notifications.' : null) },
  { title: 'Connect a page', isPersistent: true, hint: 'Add the bell to a page of your app, with a token of the recipient.', act: bell, check: async (...how) => {
    const first = await open(...how) ?? await closed(...how);
    return first ? [dialectName(first), await named(first)].filter(Boolean).join(', ') : null;
  } },
  { title: 'Read it in the bell', isPersistent: true, hint: 'Open the bell in your page, and the notification in it.', check: async (...how) => {
    const first = await read(...how);
    return first ? `${await named(first)} read “${first.title}”.` : null;
  } },
];

/** What most servers need after their first notification. It is read when the page opens. */
function nextSteps(page) {
  const any = (address, rows, word) => async (signal) => {
    const { [rows]: found } = await get(withQuery(address, { tenant: '*', limit: FEW }), signal);
    return found.length > 0 ? count(found.length, word) : null;
  };
  return [
    { title: 'Add a provider', hint: 'Without one, e-mails, SMS and push messages are simulated.', to: ['/providers?new=yes', 'New provider'], check: any('/v1/providers', 'providers', 'provider') },
    { title: 'Write a workflow', hint: 'Delays, conditions and several channels.', to: ['/workflows?edit=new', 'New workflow'], check: any('/v1/workflows', 'workflows', 'workflow') },
    { title: 'Allow the pages of your app', hint: 'Browsers elsewhere are refused once their origins are set, under Settings.', to: ['/settings?find=origins', 'Allowed origins'], check: async (signal) => (await get('/v1/settings', signal)).settings.find(({ name }) => name === 'origins').value ? 'Origins are set.' : null },
    { title: 'Give each of your servers a key', hint: 'With the scopes that it needs, instead of the project secret.', to: ['/keys?new=yes', 'New API key'], check: any('/v1/keys', 'keys', 'key') },
    { title: 'Protect your account', hint: 'With an authenticator app or a passkey, under Account.', to: ['/account', 'Set up a second factor'], check: async () => (page.me.is_external ? 'Your identity provider protects it.' : page.me.has_mfa ? 'The second factor is on.' : null) },
  ];
}

/** The lines of a testing checklist for two dashboards over Pusher's protocol. */
function pusherLines(page, { admins, provider, assigned, updated, tenant }, events) {
  const connected = (title, channel) => ({ title, isPersistent: true, check: async (signal) => {
    const { connections: [first] } = await get(withQuery('/v1/connections', { tenant, protocol: 'pusher', topic: channel, limit: 1 }), signal);
    return first ? `${channel} has a connection since ${hourOf(Date.parse(first.connected_at))}.` : null;
  }, hint: ['Open the dashboard: a page that subscribes to ', code(channel), '. To log it: ', code("pusher.connection.bind('connected', () => console.log('Pusher connected'))")] });
  const received = (title, ...pairs) => ({ title, isPersistent: true, check: async () => {
    const counts = pairs.map(([channel, name]) => events.get(keyOf(channel, name)));
    if (counts.every((count) => count > 0)) return pairs.map(([channel, name], index) => `${name} on ${channel}: ${counts[index]} connected`).join('; ');
    return null;
  }, hint: ['The server waits for ', pairs.map(([channel, name], index) => [index > 0 && ' and ', code(name), ' on ', code(channel)]), ' while a page follows the channel.'] });
  const test = (tick) => html`<${PusherTest} done=${() => tick('Pusher connected.')} />`;
  test.stays = true;
  return [
    { title: 'Pusher enabled in admin settings', hint: ['Switch on ', code('pusher_enabled'), ' under ', html`<a href=${page.url('/settings')}>Settings</a>`, '.'], check: async (signal) => {
      const { settings } = await get('/v1/settings', signal);
      const setting = settings.find((item) => item.name === 'pusher_enabled');
      return setting.value === 'on' ? `pusher_enabled is on (${setting.source}).` : null;
    } },
    { title: 'All Pusher credentials filled in', hint: ['Add an app under ', html`<a href=${page.url('/pusher-apps')}>Pusher apps</a>`, ', and copy its id, key and secret to your app.'], check: async (signal) => {
      const { apps } = await get(withQuery('/v1/pusher-apps', { tenant }), signal);
      const app = apps.findLast((item) => item.state === 'active' && (item.tenant ?? '') === tenant);
      return app ? `App ${app.name || app.id} with the key ${app.key}.` : null;
    } },
    { title: 'Test connection successful', isPersistent: true, act: test, hint: 'A signed call, a WebSocket, a private subscription and an event back.', check: nothing },
    connected('Admin dashboard shows “Pusher connected” in console', admins),
    connected('Provider dashboard shows “Pusher connected” in console', provider),
    received('Create new lead → Admin receives notification', [admins, assigned]),
    received('Create new lead assigned to provider → Provider receives notification', [provider, assigned]),
    received('Change lead status → Both admin and provider receive notification', [admins, updated], [provider, updated]),
    { title: 'Dashboards auto-refresh on events', isPersistent: true, check: nothing, act: (tick) => html`<label class="test"><input type="checkbox" onChange=${() => tick('Ticked by you.')} />Only you can see this: tick it when both dashboards show the change without a reload.</label>` },
  ];
}

/** Symptoms of pages over Pusher's protocol, with their causes, and fixes with links to their places. */
export function Troubleshooting({ page }) {
  const to = (target, word) => html`<a href=${page.url(target)}>${word}</a>`, setting = (name) => to(`/settings?find=${name}`, code(name));
  const groups = { Connection: [
    ['“Pusher connected” never appears', 'The page connects to another host, or to none.', ['Set ', code('wsHost'), ' to this host without a scheme, ', code('wsPort'), ' or ', code('wssPort'), ', and ', code("enabledTransports: ['ws']"), ', as ', to('/pusher-apps', 'Pusher apps'), ' shows.']],
    ['Error 4001', 'No app has the key of the page.', ['Compare it with the keys of your ', to('/pusher-apps', 'Pusher apps'), '.']],
    ['Error 4003', 'Pusher or the app is switched off.', ['Switch on ', setting('pusher_enabled'), ', or enable the ', to('/pusher-apps', 'app'), '.']],
    ['Error 4009', 'The sign-in is wrong, or late.', ['Sign with the secret of this ', to('/pusher-apps', 'app'), ' in your auth endpoint.']],
    ['Refused with 403', 'The origin of the page is not allowed.', ['Add the origin, which ', to('/live?kind=refused', 'Live'), ' names, to ', setting('origins'), '.']],
    ['It stops after a minute', 'A proxy cuts idle connections.', ['Its timeout must exceed ', setting('pusher_activity_timeout'), '.']],
  ], Subscriptions: [
    ['pusher:subscription_error on a private channel', 'The auth endpoint fails, or signs with another secret.', ['The endpoint must return 200 and a signature of socket id and channel, with the secret of the ', to('/pusher-apps', 'app'), '.']],
    ['pusher:subscription_error on a public channel', 'Public channels must be declared.', ['Add it to ', setting('public_topics'), '.']],
  ], Events: [
    ['Connected, but no event arrives', 'It has another channel, another name, or comes from another app.', ['Compare both in ', to('/live?kind=publish', 'Live'), '. “0 connections”: no page follows the channel.']],
    ['The server SDK gets 401', 'Another secret, or a clock that differs by more than 10 minutes.', ['The ', to('/requests?status=401', 'request'), ' names the reason. The doctor under ', to('/health', 'Health'), ' compares clocks.']],
  ] };
  return html`<${Heading} title="Pusher troubleshooting" /><section class="panel tester" aria-label="Test"><div><h2>Test the connection</h2><p class="muted">Connects as your app does, and names the step that fails.</p></div><${PusherTest} word="Run the test" /></section>
    <div class="symptoms" aria-hidden="true"><p class="muted">Symptom</p><p class="muted">Cause</p><p class="muted">Fix</p></div>
    ${Object.entries(groups).map(([group, rows]) => html`<h2 key=${group}>${group}</h2><ul class="checks symptoms" aria-label=${group}>${rows.map(([symptom, cause, fix]) => html`<li key=${symptom} id=${/^Error (\d+)$/.exec(symptom)?.[1]}><b>${symptom}</b><p class="muted"><span class="hidden">Cause: </span>${cause}</p><p><span class="hidden">Fix: </span>${fix}</p></li>`)}</ul>`)}
    <p class="muted">See also <a href=${`${page.root}/errors`} target="_blank" rel="noopener">all errors</a> of the server, and <a href=${`${page.root}/check`} target="_blank" rel="noopener">a test of your page</a> with a bell.</p>`;
}

/**
 * Pusher apps: the project's and those in the store, their credentials, and the test of their connection.
 */
import { Sample } from './code.js';
import { Confirm } from './dialogs.js';
import { Field, Form } from './form.js';
import { count, number, toneOf } from './format.js';
import { html, useRef, useState } from './html.js';
import { loadStyle, refresh, useLoad } from './load.js';
import { cancel } from './new-object.js';
import { Headline, More, Sign, stated } from './object-parts.js';
import { Card, Copy, Facts, Heading, Id, Moment, Opening, Snippet, State, inTerminal, withSettings } from './parts.js';
import { BUILDERS, OWNERS } from './roles.js';
import { go } from './router.js';
import { Segments } from './segments.js';
import { ROOT, get, path, request, withQuery } from './server.js';
import { TenantField } from './tenant-field.js';

await loadStyle('pusher-apps.css');

/** Timeout of the browser's own attempt. */
const BROWSER_MS = 10_000;
/** Bytes of generated credentials. */
const KEY_BYTES = 10;
const SECRET_BYTES = 24;

const TECHNICAL = { autocomplete: 'off', spellcheck: false, autocapitalize: 'none' };
const ORIGINS_HINT = 'Origins whose pages may connect, such as https://app.example.com, separated by commas. Empty: those of the settings.';

/** A secret can sign in any user, so only owners see secrets and decide where they are accepted. */
const mayIssue = (page) => page.may(OWNERS);
const nameOf = (one) => one.name || (one.source === 'project' ? 'This project' : one.id);

/** From which pages clients connect. */
const originsOf = (one) => one.origins.join(', ') || 'the origins that the settings allow';
/** What a state means for the clients of an app. */
const HEADLINES = { active: ['ok', 'Clients can connect'], disabled: ['wait', 'Disabled: its clients are refused until it is enabled'], overridden: ['warn', 'Not used: the app of this project has the same id or key'] };

/** A connection has a tenant, not an app: their number is known while one app has them all. */
async function readConnections(apps) {
  const active = apps.filter(({ state }) => state === 'active');
  if (active.length !== 1) return;
  const { connections } = await get(withQuery('/v1/stats', { tenant: '*' })).catch(() => ({}));
  if (connections) active[0].connections = connections.filter(({ protocol }) => protocol === 'pusher').reduce((sum, { count }) => sum + count, 0);
}

export const pusherApps = {
  path: '/v1/pusher-apps', rows: 'apps', isTall: true, link: (one) => path`/pusher-apps/${one.id}`, readMore: readConnections, isOfServer: true, create: { form: NewApp, button: 'New Pusher app', roles: OWNERS },
  columns: (page) => [
    { name: 'App', kind: 'title', lead: (one) => html`<${Sign} icon="app" tone=${toneOf(one.key)} />`, of: nameOf, text: (one) => html`<code>${one.key}</code>` }, { name: 'State', of: (one) => stated(one.state), show: (state) => state, width: '7rem' },
    { name: 'App id', of: (one) => one.id, show: (id) => html`<code class="value">${id}</code>`, width: '7rem' }, { name: 'Origins', of: (one) => one.origins.join(', ') || 'as in Settings', width: '12rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '7rem' },
    { name: 'Connections', kind: 'number', of: ({ connections }) => connections !== undefined && html`<a class="plain" href=${page.url('/connections?protocol=pusher')}>${number(connections)}</a>`, by: ({ connections }) => connections }, { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  note: 'Clients connect with the key of an app. One that needs its own channels gets its own app.', below: ({ page, rows: [one, ...others] }) => page.key === null && !page.query.has('new') && one?.state === 'active' && others.length === 0 && html`<${Card} title="Connect your app"><${ClientCode} of=${one} /><//>`,
  none: { text: 'No Pusher apps yet.' },
};

/** An app: the test of its connection, its name and origins, and its secret. */
export function PusherApp({ page }) {
  const url = path`/v1/pusher-apps/${page.key}`, found = useLoad(async (signal) => {
    const [one, { apps }] = await Promise.all([get(url, signal), get('/v1/pusher-apps', signal)]);
    await readConnections(apps);
    return { ...one, connections: apps.find(({ id }) => id === one.id)?.connections };
  }, [url]);
  const [made, setMade] = useState(null);
  return html`<${Opening} page=${page} of=${found}>${(one) => {
    const name = nameOf(one), isStored = one.source !== 'project' && page.may(BUILDERS);
    const change = async (values) => {
      await request('PATCH', url, values);
      refresh();
    };
    const word = one.enabled ? 'Disable' : 'Enable';
    return html`<${Heading} title=${name}>${isStored && html`<${More} of=${name}>${(one.enabled || mayIssue(page)) && html`<${Confirm} label=${`${word} ${name}`} word=${word} about=${one.enabled ? 'Its clients and servers are refused until it is enabled again.' : 'Its clients and servers are accepted again.'} act=${() => change({ enabled: !one.enabled })} />`}
        ${mayIssue(page) && html`<${Confirm} label=${`Rotate secret of ${name}`} word="Rotate secret" about="The new secret is shown once. The previous one stays valid for a day." act=${async () => setMade(await request('POST', `${url}/rotate`))} />`}
        <${Confirm} isDanger label=${`Delete ${name}`} word="Delete" about="Its clients and servers are refused, and its credentials are lost." act=${async () => {
      await request('DELETE', url);
      go(page.url('/pusher-apps'));
    }} /><//>`}<//>
      ${made && html`<${Credentials} of=${made} note="The previous secret stays valid for a day." />`}
      <${Headline} kind=${HEADLINES[one.state]?.[0]} note=${one.state === 'active' && html`With its key, from ${originsOf(one)}.${one.connections > 0 && html` <a href=${page.url('/connections?protocol=pusher')}>Show them</a>`}`}>${one.connections > 0 ? `${count(one.connections, 'client is', 'clients are')} connected` : HEADLINES[one.state]?.[1] ?? one.state}<//>
      <${Facts} of=${[['Id', html`<${Id} of=${one.id} />`], ['Key', html`<${Id} of=${one.key} />`], ['Secret', one.source === 'project' ? html`<span class="id">printed by <code>bellcast env</code><${Copy} what="the command" text=${inTerminal('bellcast env')} /></span>` : 'shown when it was created'], ['Tenant', one.tenant], ['Old secret until', one.previous_until < '9000' && one.previous_until && html`<${Moment} at=${one.previous_until} />`], ['Created', one.created_at && html`<${Moment} at=${one.created_at} />`]]} />
      <${Card} title="Connect your app"><ol class="numbered"><li><b>In your pages</b><p class="muted">pusher-js connects to this server.</p><${PageCode} of=${one} /></li>
        <li><b>On your server</b><p class="muted">Laravel and other frameworks read these variables.</p><${Snippet} of=${environmentOf({ ...one, secret: '…' })} /></li>
        <li><b>Test the connection</b><p class="muted">A signed call, a WebSocket, a private subscription and an event back, on the public URL; then from this browser.</p><${PusherTest} tested=${() => ({ app: one.id })} /></li></ol><//>
      ${isStored && html`<${Card} title="Name and origins"><${Form} isGuarded isEdit key=${one.name + one.origins} button="Save" send=${({ new_name: newName, origins }) => change({ ...(newName.trim() !== one.name && { name: newName.trim() }), ...(origins !== undefined && String(listed(origins)) !== String(one.origins) && { origins: listed(origins) }) })}>
        <${Field} label="Name of the app" name="new_name" defaultValue=${one.name} required maxlength="100" autocomplete="off" />${mayIssue(page) && html`<${Field} label="Origins of its pages" name="origins" defaultValue=${one.origins.join(', ')} ...${TECHNICAL} hint=${ORIGINS_HINT} />`}<//><//>`}`;
  }}<//>`;
}

function NewApp({ page }) {
  const [made, setMade] = useState(null);
  const form = useRef(null);
  if (made) return html`<${Heading} title="App created" /><${Credentials} of=${made} /><p><a class="button primary" href=${page.url(path`/pusher-apps/${made.id}`)}>Connect your app</a></p>`;
  /** The values of the form, of which those that are needed are generated. */
  const values = () => {
    const { elements } = form.current;
    elements.id.value ||= String(1_000_000 + (crypto.getRandomValues(new Uint32Array(1))[0] % 9_000_000));
    elements.key.value ||= hex(KEY_BYTES);
    elements.secret.value ||= hex(SECRET_BYTES);
    return { values: Object.fromEntries(['id', 'key', 'secret'].map((name) => [name, elements[name].value.trim()])) };
  };
  return html`<${Heading} title="New Pusher app" /><div ref=${(place) => { form.current = place?.querySelector('form'); }}><${Form} isGuarded button="Create Pusher app" more=${cancel(page)} send=${async ({ name, origins, ...rest }) => {
    const given = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value.trim()]).filter(([, value]) => value));
    setMade(await request('POST', '/v1/pusher-apps', { name: name.trim(), origins: listed(origins), ...given }));
    refresh();
  }}><${Field} label="App name" name="name" required autofocus maxlength="100" autocomplete="off" /><${TenantField} of="" hint="Its connections and events belong to this tenant." />
    <${Field} label="Origins" name="origins" ...${TECHNICAL} hint=${ORIGINS_HINT} />
    <details><summary>Move an app from another server</summary><p class="muted">Empty fields are generated.</p><${Field} label="App id" name="id" ...${TECHNICAL} /><${Field} label="App key" name="key" ...${TECHNICAL} /><${Field} label="App secret" name="secret" type="password" ...${TECHNICAL} autocomplete="new-password" />
    <${PusherTest} word="Test these values" tested=${values} /></details><//></div>`;
}

/** The origins in a field. */
const listed = (text) => text.split(',').map((one) => one.trim()).filter(Boolean);

const hex = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** The code of an app by client, beside what a server reads. */
function ClientCode({ of: one }) {
  const [client, setClient] = useState('pusher-js');
  return html`<div class="columns client-code"><div><div class="choice"><${Segments} label="Client" options=${['pusher-js', 'Laravel Echo']} value=${client} choose=${setClient} /></div><${PageCode} of=${one} isEcho=${client !== 'pusher-js'} /></div>
    <div><div class="choice"><span class="muted">Laravel and other frameworks read these variables.</span></div><${Snippet} of=${environmentOf({ ...one, secret: '…' })} /></div></div>`;
}

/** How a page connects with pusher-js, or with Echo, which uses it. */
function PageCode({ of: { key }, isEcho = false }) {
  const isSecure = location.protocol === 'https:', port = location.port || (isSecure ? 443 : 80);
  const code = `${isEcho ? `window.Echo = new Echo({\n  broadcaster: 'pusher',\n  key: '${key}',` : `new Pusher('${key}', {`}\n  cluster: '',\n  wsHost: '${location.hostname}',\n  ${isSecure ? 'wssPort' : 'wsPort'}: ${port},\n  forceTLS: ${isSecure},\n  enabledTransports: ['${isSecure ? 'wss' : 'ws'}'],\n});`;
  return html`<${Sample} label="Code of a page" text=${code} />`;
}

/** The environment variables that Laravel and other frameworks read. */
function environmentOf({ id, key, secret }) {
  const isSecure = location.protocol === 'https:';
  return [
    `PUSHER_APP_ID=${id}`, `PUSHER_APP_KEY=${key}`, `PUSHER_APP_SECRET=${secret}`,
    `PUSHER_HOST=${location.hostname}`, `PUSHER_PORT=${location.port || (isSecure ? 443 : 80)}`, `PUSHER_SCHEME=${isSecure ? 'https' : 'http'}`,
  ].join('\n');
}

const Credentials = ({ of: app, note }) => html`<div class="notice" aria-live="polite"><p><b>Copy the secret of ${nameOf(app)} now: it is not shown again.</b> ${note}</p><${Id} of=${app.secret} /><${Snippet} of=${environmentOf(app)} /></div>`;

const STEP_NAMES = { syntax: 'URL', dns: 'DNS', tcp: 'TCP connection', tls: 'Encryption', auth: 'Sign-in', send: 'Message', enabled: 'Switched on', url: 'Public URL', connect: 'Connection', signed_call: 'Signed call', websocket: 'WebSocket', subscription: 'Subscription', event: 'Event', browser: 'Browser' };

/** The steps of a test, with what failed and how to fix it. */
export const TestSteps = ({ steps }) => html`<ol class="timeline">${steps.map((one) => html`<li key=${one.step} class=${one.state === 'ok' ? 'ok' : one.state === 'failed' ? 'bad' : 'info'}><div><span class="story-text">${STEP_NAMES[one.step] ?? one.step.replaceAll('_', ' ')}</span>${one.state !== 'skipped' && html`<time>${one.ms} ms</time>`}</div>
  ${one.detail && html`<p class="muted">${withSettings(one.detail)}</p>`}${one.fix && html`<p>${one.fix}</p>`}</li>`)}</ol>`;

/**
 * A button that tests the connection of the project's app, or of what `tested` returns: a stored app, or values that are not saved. Those are accepted
 * during the server's test only. `done` is called after a success.
 */
export function PusherTest({ word = 'Test connection', tested = () => ({}), done }) {
  const [state, setState] = useState({ steps: [], isRunning: false });
  const test = async () => {
    const what = tested();
    setState({ steps: [], isRunning: true });
    try {
      const response = await request('POST', '/v1/settings/test', { target: 'pusher', ...what });
      const steps = [...response.steps, ...(response.state === 'ok' && !what.values ? [await browserStep(response)] : [])];
      const isOk = response.state === 'ok' && steps.every((one) => one.state !== 'failed');
      setState({ steps, isOk, isRunning: false });
      if (isOk) done?.();
    } catch (problem) {
      setState({ steps: [], isRunning: false, problem });
    }
  };
  return html`<button type="button" aria-disabled=${state.isRunning ? 'true' : null} onClick=${state.isRunning ? null : test}>${word}</button><div class="tested" aria-live="polite">${state.isRunning && html`<p class="muted">Testing…</p>`}${state.problem && html`<p class="error" role="alert">${state.problem.message}</p>`}
    ${state.steps.length > 0 && html`<p class="big"><${State} of=${state.isOk ? 'Pusher connected' : 'Pusher is not reachable'} kind=${state.isOk ? 'ok' : 'bad'} /></p><${TestSteps} steps=${state.steps} />`}</div>`;
}

/** The last step: a connection from this browser. */
async function browserStep({ steps }) {
  const started = performance.now();
  const key = /key (\S+)\.$/.exec(steps.find((one) => one.step === 'enabled')?.detail ?? '')?.[1] ?? '';
  const url = new URL(`${ROOT}/app/${encodeURIComponent(key)}?protocol=7&client=console&version=1`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const detail = await new Promise((resolve) => {
    const socket = new WebSocket(url);
    const timer = setTimeout(() => end('No response.'), BROWSER_MS);
    const end = (text) => {
      clearTimeout(timer);
      socket.close();
      resolve(text);
    };
    socket.onerror = () => end('The WebSocket could not be opened.');
    socket.onmessage = ({ data }) => {
      const { event, data: inner } = JSON.parse(data);
      if (event === 'pusher:connection_established') end(null);
      else if (event === 'pusher:error') end(String(inner?.message));
    };
  });
  return { step: 'browser', state: detail === null ? 'ok' : 'failed', ms: Math.round(performance.now() - started), detail: detail ?? 'This browser is connected.', fix: detail && 'Compare this page’s address with BELLCAST_PUBLIC_URL, and check extensions that block WebSockets.' };
}

/**
 * Pusher apps: the project's and those in the store; the test of their connection.
 */
import { openDialog } from './dialog.js';
import { confirmed, field, fill, form, h, id, state } from './dom.js';
import { load, pagedTable, tenantField } from './list.js';
import { moreActions } from './more-actions.js';
import { OWNERS, card } from './page.js';
import { ROOT, get, path, request } from './server.js';

const APPS = '/v1/pusher-apps';
/** Timeout of the browser's own attempt. */
const BROWSER_MS = 10_000;
/** Bytes of generated credentials. */
const KEY_BYTES = 10;
const SECRET_BYTES = 24;

const TECHNICAL = { autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
const ORIGINS_HINT = 'Origins whose pages may connect, separated by commas. Empty: those of the setting origins.';

/** The list of apps and the form for a new one. */
export function pusherApps(page) {
  const list = h('div');
  const shown = h('div', { 'aria-live': 'polite' });
  const reload = () => load(list, page.signal, (signal) => get(APPS, signal), (response) => pagedTable(page, { title: 'Pusher apps', path: APPS, rows: 'apps', columns: columns(page, shown, reload) }, {}, response));
  reload();
  return card('Pusher apps',
    h('p', { class: 'muted' }, 'Credentials for Pusher’s clients and SDKs. The project’s app always exists; add others for separate apps or tenants. Secrets are encrypted in the database.'),
    list, shown, mayIssue(page) ? h('details', {}, h('summary', {}, 'Add an app'), creation(page, shown, reload)) : h('p', { class: 'muted' }, 'Only owners can add apps and rotate their secrets.'));
}

function columns(page, shown, reload) {
  return [
    ['App', (one) => h('b', {}, nameOf(one))], ['Id', (one) => h('span', { class: 'wide' }, id(one.id))], ['Key', (one) => id(one.key)], ['Tenant', (one) => one.tenant],
    ['Origins', (one) => h('span', { class: 'wide' }, one.origins.join(', ') || 'of the settings')], ['State', (one) => state(one.state)],
    ['', (one) => actions(page, one, shown, reload)],
  ];
}

/** A secret can sign in any user, so only owners see secrets and decide where they are accepted. */
const mayIssue = (page) => page.may(OWNERS);
const nameOf = (one) => one.name || (one.source === 'project' ? 'This project' : one.id);

function actions(page, one, shown, reload) {
  const name = nameOf(one);
  const test = h('button', { type: 'button', 'aria-label': `Test ${name}`, onclick: () => runTest(page, test, shown, { app: one.id }) }, 'Test');
  if (one.source === 'project') return h('div', { class: 'actions' }, test, h('small', { class: 'muted' }, 'Configured on the server'));
  const change = (act) => async () => {
    await act();
    reload();
  };
  const toggle = one.enabled
    ? confirmed(`Disable ${name}`, 'Disable', change(() => request('PATCH', path`/v1/pusher-apps/${one.id}`, { enabled: false })))
    : mayIssue(page) && h('button', { type: 'button', 'aria-label': `Enable ${name}`, onclick: showingErrors(shown, change(() => request('PATCH', path`/v1/pusher-apps/${one.id}`, { enabled: true }))) }, 'Enable');
  const rotate = mayIssue(page) && confirmed(`Rotate secret of ${name}`, 'Rotate secret', async () => {
    showCredentials(shown, await request('POST', path`/v1/pusher-apps/${one.id}/rotate`), 'The previous secret stays valid for a day.');
    reload();
  });
  const edit = h('button', { type: 'button', 'aria-label': `Change ${name}`, onclick: () => openChange(page, one, reload) }, 'Change…');
  const remove = confirmed(`Delete ${name}`, 'Delete', change(() => request('DELETE', path`/v1/pusher-apps/${one.id}`)));
  return h('div', { class: 'actions' }, test, moreActions(`More actions of ${name}`, [edit, toggle, rotate, remove]));
}

/** Change the name of an app and, as an owner, its origins. Its credentials stay. */
function openChange(page, one, done) {
  const dialog = openDialog(page, `Change ${nameOf(one)}`, h('p', { class: 'muted' }, 'App id ', id(one.id)), form([
    field('Name of the app', { name: 'new_name', value: one.name, required: true, maxlength: 100, autocomplete: 'off' }),
    mayIssue(page) && field('Origins of its pages', { name: 'new_origins', value: one.origins.join(', '), ...TECHNICAL }, ORIGINS_HINT),
  ], 'Save', async ({ new_name: name, new_origins: origins }) => {
    await request('PATCH', path`/v1/pusher-apps/${one.id}`, { name: name.trim(), ...(origins !== undefined && { origins: listed(origins) }) }, page.signal);
    dialog.close();
    done();
  }), h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'));
}

/** A listener that shows why `act` failed. */
const showingErrors = (shown, act) => async () => {
  try {
    await act();
  } catch (problem) {
    fill(shown, h('p', { class: 'error', role: 'alert' }, problem.message));
  }
};

function creation(page, shown, reload) {
  const test = h('button', { type: 'button', onclick: (event) => {
    const fields = event.target.form;
    fields.elements.id.value ||= String(1_000_000 + (crypto.getRandomValues(new Uint32Array(1))[0] % 9_000_000));
    fields.elements.key.value ||= hex(KEY_BYTES);
    fields.elements.secret.value ||= hex(SECRET_BYTES);
    const values = Object.fromEntries(['id', 'key', 'secret'].map((name) => [name, fields.elements[name].value.trim()]));
    runTest(page, test, shown, { values });
  } }, 'Test these values');
  return form([
    field('App name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' }),
    tenantField(page, 'Tenant', { name: 'tenant', ...TECHNICAL }, 'Its connections and events belong to this tenant. Empty: the default tenant, shared with the project.'),
    field('Origins', { name: 'origins', ...TECHNICAL, placeholder: 'https://app.example.com' }, ORIGINS_HINT),
    field('App id', { name: 'id', ...TECHNICAL }, 'Fill in these three to move an app from another server. Empty fields are generated.'),
    field('App key', { name: 'key', ...TECHNICAL }),
    field('App secret', { name: 'secret', type: 'password', ...TECHNICAL, autocomplete: 'new-password' }),
    h('div', { class: 'test' }, test),
  ], 'Create app', async ({ name, origins, ...rest }, element) => {
    const given = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value.trim()]).filter(([, value]) => value));
    showCredentials(shown, await request('POST', '/v1/pusher-apps', { name: name.trim(), origins: listed(origins), ...given }));
    element.reset();
    reload();
  });
}

/** The origins in a field. */
const listed = (text) => text.split(',').map((one) => one.trim()).filter(Boolean);

const hex = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** The environment variables that Laravel and other frameworks read. */
function showCredentials(place, app, note) {
  const isSecure = location.protocol === 'https:';
  const lines = [
    `PUSHER_APP_ID=${app.id}`, `PUSHER_APP_KEY=${app.key}`, `PUSHER_APP_SECRET=${app.secret}`,
    `PUSHER_HOST=${location.hostname}`, `PUSHER_PORT=${location.port || (isSecure ? 443 : 80)}`, `PUSHER_SCHEME=${isSecure ? 'https' : 'http'}`,
  ];
  fill(place, h('div', { class: 'notice' }, h('p', {}, h('b', {}, `Copy the secret of ${nameOf(app)} now: it is not shown again.`), note && ` ${note}`), id(app.secret), h('pre', { tabindex: '0' }, h('code', {}, lines.join('\n')))));
}

/** “Test connection” of the project's app: from the server, then from this browser. */
export function pusherTest(page) {
  const result = h('div', { 'aria-live': 'polite' });
  const button = h('button', { type: 'button', onclick: () => runTest(page, button, result, {}) }, 'Test connection');
  return card('Pusher connection', h('p', { class: 'muted' }, 'A signed call, a WebSocket, a private subscription and an event back, on the public URL; then from this browser.'), button, result);
}

/** The test of the e-mail provider that is tried first. */
export function mailTest(page) {
  const result = h('div', { 'aria-live': 'polite' });
  const button = h('button', { type: 'button', onclick: () => runTest(page, button, result, { target: 'smtp' }) }, 'Test the mail server');
  return card('E-mail connection', h('p', { class: 'muted' }, 'Signs in at the e-mail provider that is tried first, and sends nothing. ', h('a', { href: page.url('/providers') }, 'Providers'), ' tests each one.'), button, result);
}

const OUTCOMES = { pusher: [' Pusher connected', ' Pusher is not reachable'], smtp: [' The mail server is connected', ' The mail server is not reachable'] };

/** Show the test of `tested`, a target, a stored app or values that are not saved, and return whether it succeeded. Values are accepted
 * during the server's test only. */
export async function runTest(page, button, place, { target = 'pusher', ...tested }) {
  button.disabled = true;
  fill(place, h('p', { class: 'muted' }, 'Testing…'));
  let isOk = false;
  try {
    const response = await request('POST', '/v1/settings/test', { target, ...tested }, page.signal);
    const own = target === 'pusher' && response.state === 'ok' && !tested.values ? [await browserStep(response)] : [];
    const steps = [...response.steps, ...own];
    isOk = response.state === 'ok' && own.every((one) => one.state === 'ok');
    fill(place, h('p', { class: 'big' }, state(isOk ? 'ok' : 'error'), OUTCOMES[target][isOk ? 0 : 1]),
      h('ol', { class: 'timeline' }, steps.map((one) => h('li', {}, h('div', {}, state(one.state), ` ${one.step.replaceAll('_', ' ')}`, one.state !== 'skipped' && h('span', { class: 'muted' }, ` ${one.ms} ms`)),
        one.detail && h('p', { class: 'muted' }, one.detail), one.fix && h('p', {}, one.fix)))));
  } catch (problem) {
    fill(place, h('p', { class: 'error', role: 'alert' }, problem.message));
  }
  button.disabled = false;
  return isOk;
}

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

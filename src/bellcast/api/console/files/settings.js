/**
 * Settings: values with their source, the history, and the test of the Pusher connection.
 */
import { confirmed, fill, h, state, time } from './dom.js';
import { empty, heading, load } from './list.js';
import { ROOT, get, request } from './server.js';

const GROUPS = { access: 'Access', pusher: 'Pusher', limits: 'Limits' };
const SOURCES = { option: 'command line', environment: 'environment', file: 'file', database: 'set here', default: 'default' };
/** The browser's own attempt may not take longer. */
const BROWSER_MS = 10_000;

const card = (title, ...children) => h('section', { class: 'panel' }, h('h2', {}, title), children);

export function settings(page) {
  const place = h('div');
  const past = h('div');
  load(place, page.signal, (signal) => get('/v1/settings', signal), (document) => form(page, document, () => {
    page.reload();
  }));
  load(past, page.signal, (signal) => get('/v1/settings/history', signal), ({ revisions }) => history(page, revisions));
  return [heading('Settings', h('span', { class: 'muted' }, 'Changes take effect on all servers within seconds.')), place, pusherTest(page), card('History', past)];
}

function form(page, { revision, settings: all }, done) {
  const error = h('p', { class: 'error', role: 'alert' });
  const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
  return h('form', { class: 'settings', onsubmit: async (event) => {
    event.preventDefault();
    save.disabled = true;
    error.textContent = '';
    try {
      await request('PATCH', '/v1/settings', { revision, ...changesOf(all, new FormData(event.target)) });
      done();
    } catch (problem) {
      error.textContent = problem.status === 409 ? 'The settings were changed meanwhile. Reload the page to see them.' : problem.message;
    }
    save.disabled = false;
  } }, Object.entries(GROUPS).map(([group, title]) => card(title, all.filter((one) => one.group === group).map(row))), error, save);
}

function changesOf(all, entered) {
  const set = {};
  const reset = [];
  for (const one of all.filter((setting) => !setting.locked)) {
    const value = entered.get(one.name).trim();
    if (value === one.value) continue;
    if (value === one.default) reset.push(one.name);
    else set[one.name] = value;
  }
  return { set, reset };
}

function row(one) {
  const id = `setting-${one.name}`;
  const isSwitch = ['on', 'off'].includes(one.default);
  const attributes = { id, name: one.name, disabled: one.locked, 'aria-describedby': `${id}-hint` };
  const input = isSwitch
    ? h('select', attributes, ['on', 'off'].map((value) => h('option', { value, selected: value === one.value }, value)))
    : h('input', { ...attributes, value: one.value, autocomplete: 'off', spellcheck: 'false', placeholder: one.default });
  return h('div', { class: 'setting' }, h('label', { for: id }, h('code', {}, one.name), ' ', h('span', { class: 'tag' }, SOURCES[one.source])), input,
    h('small', { class: 'muted', id: `${id}-hint` }, one.locked ? `${one.locked_by} sets this and takes precedence. ` : '', one.description, ` Default: ${one.default || 'none'}.`));
}

function history(page, revisions) {
  if (revisions.length === 0) return empty('Nothing was changed yet: the servers use their options, the environment and the defaults.');
  const newest = revisions[0].revision;
  return h('ol', { class: 'timeline' }, revisions.map((one) => h('li', {},
    h('div', {}, h('b', {}, `Revision ${one.revision}`), ` by ${one.by} `, time(one.at), ' ',
      one.revision !== newest && confirmed(`Restore revision ${one.revision}`, 'Restore', async () => {
        await request('POST', '/v1/settings/rollback', { revision: newest, to: one.revision });
        page.reload();
      })),
    one.changes.map((change) => h('p', {}, h('code', {}, change.name), ': ', change.before ?? 'not set', ' → ', change.after ?? 'not set')))));
}

/** “Test connection”: from the server, then from this browser. */
function pusherTest(page) {
  const result = h('div', { 'aria-live': 'polite' });
  const button = h('button', { type: 'button', onclick: async () => {
    button.disabled = true;
    fill(result, h('p', { class: 'muted' }, 'Testing…'));
    try {
      const answer = await request('POST', '/v1/settings/test', { target: 'pusher' }, page.signal);
      const own = answer.state === 'ok' ? [await browserStep(answer)] : [];
      const steps = [...answer.steps, ...own];
      const isOk = steps.every((one) => one.state === 'ok');
      fill(result, h('p', { class: 'big' }, state(isOk ? 'ok' : 'error'), isOk ? ' Pusher connected' : ' Pusher is not reachable'),
        h('ol', { class: 'timeline' }, steps.map((one) => h('li', {}, h('div', {}, state(one.state), ` ${one.step.replaceAll('_', ' ')}`, one.state !== 'skipped' && h('span', { class: 'muted' }, ` ${one.ms} ms`)),
          one.detail && h('p', { class: 'muted' }, one.detail), one.fix && h('p', {}, one.fix)))));
    } catch (problem) {
      fill(result, h('p', { class: 'error' }, problem.message));
    }
    button.disabled = false;
  } }, 'Test connection');
  return card('Pusher connection', h('p', { class: 'muted' }, 'A signed call, a WebSocket, a private subscription and an event back, on the public URL; then from this browser.'), button, result);
}

async function browserStep({ steps }) {
  const started = performance.now();
  const key = /key (\S+)\.$/.exec(steps.find((one) => one.step === 'enabled')?.detail ?? '')?.[1] ?? '';
  const url = new URL(`${ROOT}/app/${encodeURIComponent(key)}?protocol=7&client=console&version=1`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const detail = await new Promise((resolve) => {
    const socket = new WebSocket(url);
    const timer = setTimeout(() => end('No answer.'), BROWSER_MS);
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

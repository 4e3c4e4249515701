/**
 * Checks the connection of this page to a Bellcast server, step by step, each with its cause and fix. Import it on the page
 * of your app, because the page's origin, its policy and its token exist only there:
 *
 *   (await import('https://bell.example.com/bellcast/check.js')).check()
 *
 * The server appends `DIAGNOSES`, the causes and fixes by code, which it shares with `bellcast doctor`.
 */
/* global DIAGNOSES */

/** Steps that wait for the network end after this long. */
const TIMEOUT_MS = 10_000;
/** If the first byte takes longer, a proxy buffers the stream. */
const SLOW_MS = 2_000;
const IDLE_MS = 30_000;
/** The server limits checks by the second: several tabs that start simultaneously succeed after a few retries. */
const SECOND_MS = 1_000;
const ATTEMPTS = 4;
const HERE = new URL('..', import.meta.url).href;

/**
 * @param {{server?: string, token?: string | null | (() => unknown), topics?: string[], idle?: boolean, show?: boolean}} [options]
 *   by default those of the page's bell; `idle` also waits for half a minute, as proxies that cut idle connections do
 * @returns {Promise<{state: 'ok' | 'failed', steps: {step: string, state: 'ok' | 'failed' | 'skipped', ms: number, detail: string, fix: string}[], text: string}>}
 */
export async function check(options = {}) {
  const bell = document.querySelector('bellcast-bell, bellcast-inbox, bellcast-toasts');
  const server = new URL(options.server ?? bell?.getAttribute('server') ?? HERE, location.href).href.replace(/\/?$/, '/');
  const context = { server, topics: options.topics ?? parseTopics(bell?.getAttribute('topics') ?? ''), token: null, result: null, blocked: new Set(), isIdle: options.idle === true };
  // Only the origin of a URL: its query may contain the token.
  const onViolation = ({ blockedURI, effectiveDirective }) => context.blocked.add(`${effectiveDirective} ${originOf(blockedURI)}`);
  document.addEventListener('securitypolicyviolation', onViolation);
  const steps = [];
  try {
    for (const [step, run, needs] of STEPS) {
      const missing = needs.find((name) => steps.find((one) => one.step === name)?.state !== 'ok');
      if (missing) steps.push({ step, state: 'skipped', ms: 0, detail: `Needs ${missing}.`, fix: '' });
      else steps.push(await outcome(step, () => run(context, options, bell)));
    }
  } finally {
    document.removeEventListener('securitypolicyviolation', onViolation);
  }
  for (const one of steps) {
    one.detail = withoutToken(one.detail, context.token);
    one.fix = withoutToken(one.fix, context.token);
  }
  const report = { state: steps.some((one) => one.state === 'failed') ? 'failed' : 'ok', steps, text: '' };
  report.text = textOf(server, steps);
  if (options.show !== false) show(report);
  return report;
}

const originOf = (uri) => (URL.canParse(uri) ? new URL(uri).origin : uri);
const withoutToken = (text, token) => (token ? text.replaceAll(token, '[token]').replaceAll(encodeURIComponent(token), '[token]') : text);

/** A problem with the texts of its code. */
class Failed extends Error {
  constructor(code, values = {}) {
    const [what, fix] = DIAGNOSES[code];
    super(sentence(what, values));
    this.fix = sentence(fix, values);
  }
}

/** A sentence of a phrase, with its values in place of `{name}`. */
function sentence(phrase, values) {
  const text = phrase[0].toUpperCase() + phrase.slice(1);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]).replace(/\.*$/, '.');
}

async function outcome(step, run) {
  const started = performance.now();
  let state = 'ok';
  let detail;
  let fix = '';
  try {
    detail = await run();
  } catch (failure) {
    const known = failure instanceof Failed ? failure : new Failed('unexpected', { error: failure.message });
    state = 'failed';
    detail = known.message;
    fix = known.fix;
  }
  return { step, state, ms: Math.round(performance.now() - started), detail, fix };
}

/** The names of topics in a text, as in the attribute `topics` of a bell: separated by commas, or as a JSON array. */
export function parseTopics(text) {
  let names = text.split(',');
  try {
    if (text.trim().startsWith('[')) names = JSON.parse(text);
  } catch {
    // The server refuses the names with brackets, and the step `topics` shows the refusal.
  }
  return names.map((one) => String(one).trim()).filter(Boolean);
}

/** Names of steps, what they do, and the steps without which they cannot work. */
const STEPS = [
  ['page', checkPage, []],
  ['reach', checkReach, ['page']],
  ['cors', checkCors, ['reach']],
  ['origin', checkOrigin, ['cors']],
  ['token', checkToken, ['cors']],
  ['polling', checkPolling, ['origin', 'token']],
  ['event stream', checkStream, ['origin', 'token']],
  ['websocket', checkSocket, ['origin', 'token']],
  ['topics', checkTopics, ['websocket']],
  ['ring', checkRing, ['websocket']],
  ['alerts', checkAlerts, []],
];

function checkPage({ server }) {
  const isSecure = location.protocol === 'https:';
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  if (isSecure && server.startsWith('http:')) throw new Failed('mixed_content', { server });
  if (!isSecure && !isLocal) return `${location.origin} is loaded over plain HTTP: tokens are readable in transit, and push messages do not work.`;
  return `${location.origin}, server ${server}`;
}

async function checkReach(context) {
  try {
    await fetch(`${context.server}healthz`, { mode: 'no-cors', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw (await blocked(context, 'connect-src')) ?? new Failed('no_response', context);
  }
  return 'The server responds.';
}

async function blocked({ blocked: all, server }, directive) {
  await new Promise((resolve) => setTimeout(resolve)); // the event of the violation follows the failure
  const found = [...all].find((one) => one.startsWith(directive));
  return found && new Failed('policy', { directive: found, server, socket: server.replace(/^http/, 'ws') });
}

async function checkCors(context, options, bell) {
  try {
    context.token = await tokenOf(options, bell);
  } catch (failure) {
    context.tokenFailure = failure; // of the step `token`
  }
  let response;
  try {
    // Text without a preflight: an undeclared origin may read the response too.
    response = await retryLimited(() => fetch(`${context.server}v1/check`, { method: 'POST', body: context.token ?? '', signal: AbortSignal.timeout(TIMEOUT_MS) }));
  } catch (failure) {
    throw failure instanceof Failed ? failure : new Failed('unreadable', { origin: location.origin, server: context.server });
  }
  context.result = response.ok ? await response.json().catch(() => null) : null;
  if (typeof context.result?.origin_allowed !== 'boolean') throw new Failed('other_server', response);
  return 'The page can read responses.';
}

/** The token in the options, or as the bell gets it. */
async function tokenOf(options, bell) {
  if (typeof options.token === 'function') return tokenIn('getToken', options.token);
  if (options.token !== undefined) return options.token;
  const { getToken } = bell ?? {};
  if (getToken) return tokenIn('getToken', getToken);
  const url = bell?.getAttribute('token-url');
  if (url) return tokenIn(url, () => fetch(url, { credentials: 'include' }));
  return bell?.getAttribute('token') ?? null;
}

/** The token that `read` returns: as text, as `{token}`, or in a response with either. */
async function tokenIn(name, read) {
  let result;
  try {
    result = await read();
  } catch (failure) {
    throw new Failed('token_failed', { name, error: failure.message });
  }
  if (!(result instanceof Response)) return typeof result === 'string' ? result : result?.token ?? null;
  if (!result.ok) throw new Failed('token_status', { name, status: result.status });
  const text = (await result.text()).trim();
  try {
    return JSON.parse(text).token ?? text;
  } catch {
    return text;
  }
}

function checkOrigin({ result }) {
  if (!result.origin_allowed) throw new Failed('origin_refused', location);
  return `${location.origin} is allowed.`;
}

async function checkToken(context) {
  const { result, token, tokenFailure } = context;
  if (tokenFailure) throw tokenFailure;
  const drift = Math.abs(Date.parse(result.time) - Date.now()) / 1000;
  const clocks = drift > 60 ? ` The clocks of server and browser differ by ${Math.round(drift)} s.` : '';
  if (token === null) {
    const response = await request(context, 'v1/inbox/counts').catch(() => null);
    if (!response?.ok) throw new Failed('no_token');
    return `The server accepts the cookie of your app.${clocks}`;
  }
  if (result.token !== 'ok') throw new Failed('token_refused', { reason: `${result.reason}${clocks}`, key: result.key });
  return `For ${result.recipient}${result.tenant ? ` of ${result.tenant}` : ''}.${clocks}`;
}

/** The address of a path with the token. Without a token, the app's cookie is the credential. */
function address({ server, token }, path, topics = []) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]));
  if (token !== null) query.set('token', token);
  return `${server}${path}?${query}`;
}

const request = (context, path, options) => fetch(address(context, path), { credentials: context.token === null ? 'include' : 'omit', signal: AbortSignal.timeout(TIMEOUT_MS), ...options });

/** The response to a request that the server limits by the second. It waits for the next second after a 429. */
async function retryLimited(send) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const response = await send();
    if (response.status !== 429) return response;
    if (attempt < ATTEMPTS) await new Promise((resolve) => setTimeout(resolve, SECOND_MS));
  }
  throw new Failed('too_many_checks');
}

const openSocket = (context, topics) => new WebSocket(address(context, 'v1/ws', topics).replace(/^http/, 'ws'));

async function checkPolling(context) {
  const response = await request(context, 'v1/inbox/counts');
  if (!response.ok) throw new Failed('polling_status', response);
  return `${(await response.json()).unread} unread.`;
}

async function checkStream(context) {
  const started = performance.now();
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), TIMEOUT_MS);
  try {
    const response = await request(context, 'v1/stream', { headers: { accept: 'text/event-stream' }, signal: ending.signal });
    if (!response.ok) throw new Failed('stream_status', response);
    await response.body.getReader().read();
  } catch (failure) {
    throw failure instanceof Failed ? failure : (await blocked(context, 'connect-src')) ?? new Failed('no_event', { seconds: TIMEOUT_MS / 1000 });
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
  const elapsed = Math.round(performance.now() - started);
  if (elapsed > SLOW_MS) throw new Failed('late_event', { seconds: (elapsed / 1000).toFixed(1) });
  return `The first byte took ${elapsed} ms.`;
}

async function checkSocket(context) {
  const socket = openSocket(context, context.topics);
  try {
    const ready = await frame(socket, context);
    context.ready = ready;
    if (context.isIdle) await idle(socket);
    return context.isIdle ? `Connected, and still after ${IDLE_MS / 1000} s.` : `Connected as ${ready.recipient}.`;
  } finally {
    socket.close();
  }
}

function frame(socket, context) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Failed('no_frame', { seconds: TIMEOUT_MS / 1000 })), TIMEOUT_MS);
    const end = (settle, value) => {
      clearTimeout(timer);
      settle(value);
    };
    socket.onmessage = ({ data }) => {
      const received = JSON.parse(data);
      if (received.type === 'ready') end(resolve, received);
    };
    socket.onclose = async ({ code, reason }) => {
      const closed = reason ? new Failed('socket_closed', { code, reason, server: context.server }) : new Failed('upgrade_failed', { error: code });
      end(reject, (await blocked(context, 'connect-src')) ?? closed);
    };
    // In Chromium, a policy that blocks the WebSocket causes no close event.
    socket.onerror = async () => {
      const violation = await blocked(context, 'connect-src');
      if (violation) end(reject, violation);
    };
  });
}

function idle(socket) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, IDLE_MS);
    socket.onclose = ({ code }) => {
      clearTimeout(timer);
      reject(new Failed('idle_closed', { connections: `WebSocket (${code})` }));
    };
  });
}

function checkTopics({ ready }) {
  const [refused] = ready.refused;
  if (refused) throw new Failed('topic_refused', { topic: refused.topic, reason: refused.message ?? refused.reason ?? 'refused' });
  return ready.topics.length === 0 ? 'No topic was requested.' : ready.topics.join(', ');
}

/** Sends a test event to this recipient, and waits for it on a connection. It is not stored. */
async function checkRing(context) {
  const socket = openSocket(context);
  try {
    await frame(socket, context);
    let started;
    const ids = new Set(); // the event may arrive before the response
    let onArrival = () => {};
    socket.onmessage = ({ data }) => {
      const { type, name, data: content } = JSON.parse(data);
      if (type === 'event' && name === 'bellcast.test') ids.add(content.id);
      onArrival();
    };
    const response = await retryLimited(() => {
      started = performance.now();
      return request(context, 'v1/inbox/test', { method: 'POST' });
    });
    if (!response.ok) throw new Failed('test_refused', response);
    const { id } = await response.json();
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Failed('test_lost', { seconds: TIMEOUT_MS / 1000 })), TIMEOUT_MS);
      onArrival = () => {
        if (!ids.has(id)) return;
        clearTimeout(timer);
        resolve();
      };
      onArrival();
    });
    return `A test event arrived after ${Math.round(performance.now() - started)} ms.`;
  } finally {
    socket.close();
  }
}

function checkAlerts() {
  if (!('Notification' in globalThis)) return 'This browser shows no desktop notifications.';
  if (Notification.permission === 'denied') throw new Failed('alerts_blocked');
  return Notification.permission === 'granted' ? 'Desktop notifications are allowed.' : 'Desktop notifications have not been requested.';
}

const SIGNS = { ok: '✓', failed: '✕', skipped: '·' };

/** The report to copy. It has no token. */
function textOf(server, steps) {
  const lines = steps.map((one) => `${SIGNS[one.state]} ${one.step}: ${one.detail}${one.fix ? `\n  Fix: ${one.fix}` : ''}`);
  return [`Bellcast check of ${server} from ${location.origin}, ${new Date().toISOString()}`, ...lines].join('\n');
}

/** Show the report on the page. Styles are set one by one, which a Content-Security-Policy permits. */
function show(report) {
  const dialog = document.createElement('dialog');
  const text = document.createElement('pre');
  Object.assign(dialog.style, { maxWidth: 'min(46rem, 92vw)', padding: '20px', borderRadius: '12px', border: '1px solid #8888', colorScheme: 'light dark' });
  Object.assign(text.style, { whiteSpace: 'pre-wrap', font: '13px/1.6 ui-monospace, monospace', userSelect: 'text' });
  dialog.setAttribute('aria-label', 'Bellcast check');
  text.textContent = report.text;
  const copy = button('Copy', () => {
    if (copyText(report.text)) copy.textContent = 'Copied';
    else getSelection()?.selectAllChildren(text);
  });
  dialog.addEventListener('close', () => dialog.remove());
  dialog.append(text, copy, button('Close', () => dialog.close()));
  document.body.append(dialog);
  dialog.showModal();
}

/** Copy a text, in the handler of a click: `navigator.clipboard` is absent on a page that was loaded over plain HTTP. Returns whether the browser permits it. */
export function copyText(text) {
  const write = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData.setData('text/plain', text);
  };
  document.addEventListener('copy', write, { capture: true });
  const isCopied = document.execCommand('copy');
  document.removeEventListener('copy', write, { capture: true });
  return isCopied;
}

function button(text, onclick) {
  const element = Object.assign(document.createElement('button'), { type: 'button', textContent: text, onclick });
  Object.assign(element.style, { font: '14px/1.4 system-ui, sans-serif', padding: '6px 14px', marginRight: '8px' });
  return element;
}

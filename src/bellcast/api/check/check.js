/**
 * Checks the connection of this page to a Bellcast server, step by step, each with its cause and fix. Import it on the page
 * of your app, because the page's origin, its policy and its token exist only there:
 *
 *   (await import('https://bell.example.com/bellcast/check.js')).check()
 */

/** Steps that wait for the network end after this long. */
const TIMEOUT_MS = 10_000;
/** A first byte that takes longer was held back by a proxy. */
const SLOW_MS = 2_000;
const IDLE_MS = 30_000;
const HERE = new URL('..', import.meta.url).href;

/**
 * @param {{server?: string, token?: string | null, topics?: string[], idle?: boolean, show?: boolean}} [options] by default those
 *   of the page's bell; `idle` also waits for half a minute, as proxies that cut idle connections do
 * @returns {Promise<{state: 'ok' | 'failed', steps: {step: string, state: 'ok' | 'failed' | 'skipped', ms: number, detail: string, fix: string}[], text: string}>}
 */
export async function check(options = {}) {
  const bell = document.querySelector('bellcast-bell, bellcast-inbox, bellcast-toasts');
  const server = new URL(options.server ?? bell?.getAttribute('server') ?? HERE, location.href).href.replace(/\/?$/, '/');
  const context = { server, topics: options.topics ?? parseTopics(bell?.getAttribute('topics') ?? ''), token: null, answer: null, blocked: new Set(), isIdle: options.idle === true };
  // Of a URL only the origin: its query may have the token.
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

class Failed extends Error {
  constructor(detail, fix) {
    super(detail);
    this.fix = fix;
  }
}

async function outcome(step, run) {
  const started = performance.now();
  let state = 'ok';
  let detail;
  let fix = '';
  try {
    detail = await run();
  } catch (failure) {
    state = 'failed';
    detail = failure.message;
    fix = failure.fix ?? 'Look at the network panel of the browser for this request.';
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
  ['alerts', checkAlerts, []],
];

function checkPage({ server }) {
  const isSecure = location.protocol === 'https:';
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  if (isSecure && server.startsWith('http:')) throw new Failed(`The page is loaded over HTTPS, the server ${server} is not: browsers block this as mixed content.`, 'Serve Bellcast over HTTPS, and set `server` to its https URL.');
  if (!isSecure && !isLocal) return `${location.origin} is loaded over plain HTTP: tokens are readable on the way, and push messages do not work.`;
  return `${location.origin}, server ${server}`;
}

async function checkReach(context) {
  try {
    await fetch(`${context.server}healthz`, { mode: 'no-cors', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw (await blocked(context, 'connect-src')) ?? new Failed(`No response from ${context.server}.`, 'Check the server’s address, that it is running, and extensions that block requests.');
  }
  return 'The server responds.';
}

async function blocked({ blocked: all, server }, directive) {
  await new Promise((resolve) => setTimeout(resolve)); // the event of the violation follows the failure
  const found = [...all].find((one) => one.startsWith(directive));
  return found && new Failed(`The page’s Content-Security-Policy blocks it (${found}).`, `Add ${server} and ${server.replace(/^http/, 'ws')} to connect-src.`);
}

async function checkCors(context, options, bell) {
  try {
    context.token = await tokenOf(options, bell);
  } catch (failure) {
    context.tokenFailure = failure; // of the step `token`
  }
  let response;
  try {
    // Text without a preflight: an undeclared origin may read the answer too.
    response = await fetch(`${context.server}v1/check`, { method: 'POST', body: context.token ?? '', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Failed(`${location.origin} may not read responses of ${context.server}.`, 'Check that this is the server’s address, and that the proxy before it keeps its CORS headers.');
  }
  if (response.status === 429) throw new Failed('Too many checks from this address.', 'Wait for a minute.');
  if (!response.ok) throw new Failed(`The response has the status ${response.status}, which is not from Bellcast.`, 'Check the path: the proxy may pass another one.');
  context.answer = await response.json().catch(() => null);
  if (typeof context.answer?.origin_allowed !== 'boolean') throw new Failed('The response is not from Bellcast.', 'Check the server’s address.');
  return 'The page can read responses.';
}

/** The token in the options, or as the bell gets it. */
async function tokenOf(options, bell) {
  if (options.token !== undefined) return options.token;
  const { getToken } = bell ?? {};
  if (getToken) return tokenIn('getToken', getToken);
  const url = bell?.getAttribute('token-url');
  if (url) return tokenIn(url, () => fetch(url, { credentials: 'include' }));
  return bell?.getAttribute('token') ?? null;
}

/** The token that `read` returns: as text, as `{token}`, or in a response with either. */
async function tokenIn(name, read) {
  const fix = `${name} must return a token, {"token": …}, or a response with either, for a signed-in user.`;
  let answer;
  try {
    answer = await read();
  } catch (failure) {
    throw new Failed(`${name} failed: ${failure.message}`, fix);
  }
  if (!(answer instanceof Response)) return typeof answer === 'string' ? answer : answer?.token ?? null;
  if (!answer.ok) throw new Failed(`${name} did not return a token (${answer.status}).`, fix);
  const text = (await answer.text()).trim();
  try {
    return JSON.parse(text).token ?? text;
  } catch {
    return text;
  }
}

function checkOrigin({ answer }) {
  if (!answer.origin_allowed) throw new Failed(`The server does not accept pages of ${location.origin}.`, `Add it: bellcast settings set origins=…,${location.origin}, or BELLCAST_ORIGINS.`);
  return `${location.origin} is allowed.`;
}

function checkToken({ answer, token, tokenFailure }) {
  if (tokenFailure) throw tokenFailure;
  const drift = Math.abs(Date.parse(answer.time) - Date.now()) / 1000;
  const clocks = drift > 60 ? ` The clocks of server and browser differ by ${Math.round(drift)} s.` : '';
  if (token === null) throw new Failed('The page has no token that this check can find.', 'Pass it: check({ token }). A bell needs `token`, `token-url` or `getToken`.');
  if (answer.token !== 'ok') throw new Failed(`${answer.reason}${clocks}`, `The server’s public key is ${answer.key}: sign with the secret of the same project, and check \`exp\` and both clocks.`);
  return `For ${answer.recipient}${answer.tenant ? ` of ${answer.tenant}` : ''}.${clocks}`;
}

const withToken = ({ token, topics }) => new URLSearchParams([['token', token], ...topics.map((topic) => ['topic', topic])]);

async function checkPolling(context) {
  const response = await fetch(`${context.server}v1/inbox/counts?${withToken({ ...context, topics: [] })}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Failed(`The inbox answers ${response.status}.`, 'Read the server’s log for this request.');
  return `${(await response.json()).unread} unread.`;
}

async function checkStream(context) {
  const started = performance.now();
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), TIMEOUT_MS);
  const fix = 'The proxy buffers or cuts the stream: turn off buffering and compression for /v1/stream. See the guide to proxies.';
  try {
    const response = await fetch(`${context.server}v1/stream?${withToken(context)}`, { headers: { accept: 'text/event-stream' }, signal: ending.signal });
    if (!response.ok) throw new Failed(`The stream answers ${response.status}.`, 'The server’s log has the reason.');
    await response.body.getReader().read();
  } catch (failure) {
    throw failure instanceof Failed ? failure : (await blocked(context, 'connect-src')) ?? new Failed(`No data within ${TIMEOUT_MS / 1000} s.`, fix);
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
  const elapsed = Math.round(performance.now() - started);
  if (elapsed > SLOW_MS) throw new Failed(`The first byte took ${elapsed} ms.`, fix);
  return `The first byte took ${elapsed} ms.`;
}

async function checkSocket(context) {
  const fix = 'The proxy must pass `Upgrade` and `Connection` for /v1/ws, and wait longer than the heartbeat. See the guide to proxies.';
  const socket = new WebSocket(`${context.server.replace(/^http/, 'ws')}v1/ws?${withToken(context)}`);
  try {
    const ready = await frame(socket, context, fix);
    context.ready = ready;
    if (context.isIdle) await idle(socket, fix);
    return context.isIdle ? `Connected, and still after ${IDLE_MS / 1000} s.` : `Connected as ${ready.recipient}.`;
  } finally {
    socket.close();
  }
}

function frame(socket, context, fix) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Failed(`No frame within ${TIMEOUT_MS / 1000} s.`, fix)), TIMEOUT_MS);
    const end = (settle, value) => {
      clearTimeout(timer);
      settle(value);
    };
    socket.onmessage = ({ data }) => {
      const received = JSON.parse(data);
      if (received.type === 'ready') end(resolve, received);
    };
    socket.onclose = async ({ code, reason }) => {
      const closed = new Failed(`The WebSocket was closed (${code}${reason ? `, ${reason}` : ''}).`, fix);
      end(reject, (await blocked(context, 'connect-src')) ?? closed);
    };
    // In Chromium, a policy that blocks the WebSocket causes no close event.
    socket.onerror = async () => {
      const violation = await blocked(context, 'connect-src');
      if (violation) end(reject, violation);
    };
  });
}

function idle(socket, fix) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, IDLE_MS);
    socket.onclose = ({ code }) => {
      clearTimeout(timer);
      reject(new Failed(`The connection was cut while it was idle (${code}).`, fix));
    };
  });
}

function checkTopics({ ready }) {
  const [refused] = ready.refused;
  if (refused) throw new Failed(`${refused.topic}: ${refused.message ?? refused.reason ?? 'refused'}`, 'Subscribe the recipient, put the topic into the token’s `topics`, or declare it in BELLCAST_PUBLIC_TOPICS.');
  return ready.topics.length === 0 ? 'No topic was requested.' : ready.topics.join(', ');
}

function checkAlerts() {
  if (!('Notification' in globalThis)) return 'This browser shows no desktop notifications.';
  if (Notification.permission === 'denied') throw new Failed('Desktop notifications are blocked for this site.', 'Allow them in the browser’s settings of this site.');
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
  const close = document.createElement('button');
  Object.assign(dialog.style, { maxWidth: 'min(46rem, 92vw)', padding: '20px', borderRadius: '12px', border: '1px solid #8888', colorScheme: 'light dark' });
  Object.assign(text.style, { whiteSpace: 'pre-wrap', font: '13px/1.6 ui-monospace, monospace', userSelect: 'text' });
  dialog.setAttribute('aria-label', 'Bellcast check');
  text.textContent = report.text;
  close.textContent = 'Close';
  close.type = 'button';
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  dialog.append(text, close);
  document.body.append(dialog);
  dialog.showModal();
}

/** Console warnings about problems that a developer can fix, each shown once. Loaded when there is one. */

/** @import { Environment } from './environment.js' */

/**
 * @typedef {{base: string, environment: Environment, credential: {token: () => Promise<string | null>, getToken?: unknown}}} ServerContext
 * @typedef {{name?: string, status?: number, code?: string, message?: string, topic?: string}} Problem
 */

const TEMPORARY = [429, 502, 503, 504]; // the server is busy or restarting: the page is not at fault
const NO_PAGE = ['unknown', 'no_token']; // codes of the client, which have no error page on the server
/** Error code of a close code, where the reason differs from it. @type {Record<string, string>} */
const CODES = { 4400: 'bad_request', 4401: 'unauthenticated', 4403: 'forbidden', 4413: 'too_large' };
// The server's advice for a request without credentials names a header, which the author of a page cannot set.
const NO_CREDENTIALS = 'no token, and no session cookie that the server accepts: set `token`, `token-url` (`tokenUrl` of a `Session`) or `getToken`.';
const NO_TOKEN = 'getToken (or the response of `token-url`) has no token, and there is no session cookie that the server accepts. Return a token for each signed-in user.';
const PROBE_TIMEOUT = 10_000; // ms
const MAX_WARNINGS = 50; // bounds the memory of a page that stays open for weeks

/** @type {Set<string>} */
const reported = new Set();

/** @param {ServerContext} context @param {Problem} problem */
export async function warn(context, problem) {
  const { base, environment } = context;
  const { name, status = 0, code, message, topic } = problem;
  const key = [base, status, code, topic, message].join(' ');
  if (TEMPORARY.includes(status) && code !== 'no_token') return;
  const hasResponse = topic || name === 'Refused';
  if ((!hasResponse && !environment.online()) || reported.has(key) || reported.size >= MAX_WARNINGS) return;
  reported.add(key);
  const text = hasResponse ? explain(problem, context) : await explainNoResponse(context, problem);
  console.warn(`Bellcast: ${text}`);
}

/** Text for an error response. @param {Problem} problem @param {ServerContext} context */
function explain({ status = 0, code = 'unknown', message, topic }, { base, credential }) {
  const error = CODES[status] ?? code;
  const page = NO_PAGE.includes(error) ? '' : ` See ${new URL(`errors/${error}`, base).href}`;
  if (topic) return `the topic "${topic}" was refused: ${message}${page}`;
  const version = /\/v1\/$/.test(base) ? ', without /v1' : '';
  if (version || code === 'unknown') return `${base} responded with HTTP ${status}, but not like a Bellcast server. Set \`server\` to the server's address${version}.`;
  if (code === 'unauthenticated' && message?.includes('Authorization')) return `${credential.getToken ? NO_TOKEN : NO_CREDENTIALS}${page}`;
  return CODES[status] ? `the server closed the connection: ${code}.${page}` : `${message}${page}`;
}

/** Text for a failed request. The browser does not report why it failed; an opaque request shows whether the server can be reached. @param {ServerContext} context @param {Problem} problem */
async function explainNoResponse({ base, environment, credential }, { message }) {
  const failed = await credential.token().then(() => null, (error) => error);
  if (failed) return `getToken failed: ${failed.message}`;
  const probe = { mode: /** @type {const} */ ('no-cors'), signal: environment.timeout(PROBE_TIMEOUT) };
  const isReachable = await environment.fetch(new URL('healthz', base).href, probe).then(() => true, () => false);
  const { origin = 'this page' } = globalThis.location ?? {};
  return isReachable
    ? `${base} responds, but ${origin} may not read it (${message}). Is that the server's address, and does a proxy before it keep its CORS headers?`
    : `no response from ${base} (${message}). Is that the server's address, is it running, and does this page's Content-Security-Policy (connect-src) allow it?${/^https/.test(base) ? ' Or use http://.' : ''}`;
}

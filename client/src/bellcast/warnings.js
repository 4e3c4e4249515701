/** What a developer should know and a page cannot show, in the browser's console: each problem once. Fetched when there is one. */

/** @import { Environment } from './environment.js' */

/**
 * @typedef {{base: string, environment: Environment, credential: {token: () => Promise<string | null>}}} Place
 * @typedef {{name?: string, status?: number, code?: string, message?: string, topic?: string}} Problem
 */

const TEMPORARY = [429, 502, 503, 504]; // the server is busy or restarting: nothing to repair in the page
const NO_PAGE = ['unknown', 'no_token']; // codes of the client's own
/** The error behind a reason or a code to close with, where these differ. @type {Record<string, string>} */
const CODES = { 4400: 'bad_request', 4401: 'unauthenticated', 4403: 'forbidden', 4413: 'too_large' };
const PROBE_TIMEOUT = 10_000; // ms
const MAX_WARNINGS = 50; // a page that lives for weeks must not keep more

/** @type {Set<string>} */
const known = new Set();

/** @param {Place} place @param {Problem} problem */
export async function warn(place, problem) {
  const { base, environment } = place;
  const { name, status = 0, code, message, topic } = problem;
  const key = [base, status, code, topic, message].join(' ');
  if (TEMPORARY.includes(status) && code !== 'no_token') return;
  if (!environment.online() || known.has(key) || known.size >= MAX_WARNINGS) return;
  known.add(key);
  const text = topic || name === 'Refused' ? explain(problem, base) : await unanswered(place, problem);
  console.warn(`Bellcast: ${text}`);
}

/** The server said no. @param {Problem} problem @param {string} base */
function explain({ status = 0, code = 'unknown', message, topic }, base) {
  const error = CODES[status] ?? code;
  const page = NO_PAGE.includes(error) ? '' : ` See ${new URL(`errors/${error}`, base).href}`;
  if (topic) return `the topic "${topic}" was refused: ${message}${page}`;
  if (code === 'unknown') return `${base} answered with HTTP ${status}, and not as Bellcast does. Is that the server's address?`;
  return CODES[status] ? `the server closed the connection: ${code}.${page}` : `${message}${page}`;
}

/** No answer could be read: a browser does not say why, but an opaque request finds out whether anything is there. @param {Place} place @param {Problem} problem */
async function unanswered({ base, environment, credential }, { message }) {
  const failed = await credential.token().then(() => null, (error) => error);
  if (failed) return `getToken failed: ${failed.message}`;
  const probe = { mode: /** @type {const} */ ('no-cors'), signal: environment.timeout(PROBE_TIMEOUT) };
  const answers = await environment.fetch(new URL('healthz', base).href, probe).then(() => true, () => false);
  const { origin = 'this page' } = globalThis.location ?? {};
  return answers
    ? `${base} answers, but ${origin} may not read it (${message}). Is that the server's address, and does a proxy before it keep its CORS headers?`
    : `no answer from ${base} (${message}). Is that the server's address, is it running, and does this page's Content-Security-Policy allow it in connect-src?`;
}

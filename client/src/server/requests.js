/** Requests with a timeout and retries: the same policy as the Python client. */

import { data, parameter } from './arguments.js';
import { BellcastError, REFUSALS, RequestRefused, Unavailable, Unreadable, WrongProject } from './errors.js';

const DEADLINE = 8000; // ms for all attempts of a request and the waits between them
const FIRST_WAIT = 200; // ms; doubles, with jitter
const LONGEST_RETRY_AFTER = 20_000; // ms
/** Idempotent in this API. */
const REPEATABLE = new Set(['GET', 'PUT', 'PATCH', 'DELETE']);

/**
 * @typedef {object} Options
 * @property {Record<string, unknown>} [query]
 * @property {unknown} [body]
 * @property {string} [text]  a body that is not JSON
 * @property {Record<string, string>} [headers]
 * @property {boolean} [harmless]  repeating the request changes nothing
 * @property {string[]} [expects]  fields of which every response has one
 * @property {number} [timeout]  ms
 * @property {AbortSignal | undefined} [signal]
 *
 * @typedef {object} Transport
 * @property {string} url
 * @property {string} bearer
 * @property {string | null} project  the public key of the secret's project, if it is known
 * @property {number} timeout
 * @property {number} retries
 * @property {typeof fetch} fetch
 *
 * @typedef {{ok: boolean, status: number, headers: Headers, text: string}} Reply  a response with its whole body
 */

/** Send a request and return the decoded response; null without a body. @param {Transport} transport @param {string} method @param {string} path @param {Options} [options] @returns {Promise<any>} */
export async function request(transport, method, path, options = {}) {
  const address = transport.url + path;
  const query = Object.entries(options.query ?? {}).flatMap(([name, value]) => (value === undefined || value === null ? [] : [value].flat().map((one) => [name, parameter(one, name)])));
  const url = query.length ? `${address}?${new URLSearchParams(query)}` : address;
  const content = options.text ?? (options.body === undefined ? undefined : JSON.stringify(data(options.body, 'body')));
  const deadline = Date.now() + Math.max(DEADLINE, options.timeout ?? transport.timeout);
  const isRepeatable = options.harmless || REPEATABLE.has(method);
  let mayHaveSucceeded = false;
  for (let tried = 1; ; tried++) {
    const outcome = await attempt(transport, method, url, options, deadline - Date.now(), content);
    if (!(outcome instanceof Error)) {
      if (outcome.ok) return decode(outcome, address, options.expects);
      // The first attempt succeeded, but its response was lost.
      if (mayHaveSucceeded && method === 'DELETE' && outcome.status === 404) return null;
    }
    const isLost = outcome instanceof Error || outcome.status === 502 || outcome.status === 504;
    mayHaveSucceeded ||= isLost;
    const mayRepeat = isLost ? isRepeatable : outcome.status === 429 || outcome.status === 503;
    const wait = waitBefore(outcome, tried);
    if (!mayRepeat || tried > transport.retries || wait === null || Date.now() + wait >= deadline) throw await failure(transport, outcome, address);
    await pause(wait, options.signal);
  }
}

/**
 * One attempt: returns the response, or the error of a lost connection.
 * @param {Transport} transport @param {string} method @param {string} url @param {Options} options @param {number} left @param {string} [content] @returns {Promise<Reply | Error>}
 */
async function attempt(transport, method, url, options, left, content) {
  const controller = new AbortController();
  const stop = () => controller.abort(options.signal?.reason);
  const timer = setTimeout(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), Math.max(1, Math.min(options.timeout ?? transport.timeout, left)));
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();
  const headers = { authorization: `Bearer ${transport.bearer}`, ...(content !== undefined && { 'content-type': 'application/json' }), ...options.headers };
  try {
    const response = await transport.fetch(url, { method, headers, redirect: 'manual', signal: controller.signal, ...(content !== undefined && { body: content }) });
    return { ok: response.ok, status: response.status, headers: response.headers, text: await response.text() };
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop); // it may outlive many requests
  }
}

/**
 * Milliseconds before the next attempt; null if the server requests a longer delay than a caller would wait.
 * @param {Reply | Error} outcome @param {number} tried
 */
function waitBefore(outcome, tried) {
  const after = retryAfter(outcome);
  if (after === null) return Math.random() * FIRST_WAIT * 2 ** tried;
  return after * 1000 > LONGEST_RETRY_AFTER ? null : after * 1000 + Math.random() * FIRST_WAIT;
}

/** @param {Reply | Error} outcome @returns {number | null} seconds */
function retryAfter(outcome) {
  const text = outcome instanceof Error ? null : outcome.headers.get('retry-after');
  return text && /^\d+$/.test(text) ? Number(text) : null;
}

/** @param {number} milliseconds @param {AbortSignal | undefined} signal @returns {Promise<void>} */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => (clearTimeout(timer), reject(signal?.reason));
    const timer = setTimeout(() => (signal?.removeEventListener('abort', stop), resolve()), milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** @param {Reply} reply @param {string} address @param {string[]} [expects] */
function decode({ status, text }, address, expects) {
  let value = null;
  try {
    if (text) value = JSON.parse(text);
  } catch (cause) {
    throw new Unreadable(`${address}: the response with status ${status} is not JSON; is this the address of a Bellcast server?`, { cause });
  }
  // Another server may respond with 200 to any request.
  if (expects?.every((name) => value?.[name] == null)) throw new Unreadable(`${address}: the response with status ${status} has no ${expects[0]}; is this the address of a Bellcast server?`);
  return value;
}

/** The problem document of a refusal; a proxy may have replaced it by its own page. @param {string} text @returns {any} */
function documentOf(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** @param {Transport} transport @param {Reply | Error} outcome @param {string} address @returns {Promise<BellcastError>} */
async function failure(transport, outcome, address) {
  if (outcome instanceof Error) {
    const { cause } = /** @type {{cause?: {message?: string}}} */ (outcome);
    return new Unavailable(`${address}: no response: ${cause?.message ?? outcome.message}`, null, { cause: outcome });
  }
  const { status } = outcome;
  // Followed, a redirect of a POST can become a GET, whose response looks like that to a send.
  const problem = status < 400 ? { detail: 'redirects to another address: check the URL' } : documentOf(outcome.text);
  if (status === 502 || status === 503 || status === 504) return new Unavailable(`${address}: ${status} ${problem.detail ?? problem.title ?? ''}`, status);
  const project = status === 401 && transport.project ? await projectOf(transport) : null;
  if (project && project !== transport.project) return new WrongProject(status, problem, address, project);
  const error = new (REFUSALS[status] ?? RequestRefused)(status, problem, address);
  error.retryAfter = retryAfter(outcome);
  return error;
}

/** The public key of the server's project; null if the server does not name it. @param {Transport} transport @returns {Promise<string | null>} */
async function projectOf(transport) {
  const reply = await attempt(transport, 'GET', `${transport.url}/healthz`, {}, transport.timeout);
  return reply instanceof Error ? null : (documentOf(reply.text).project ?? null);
}

/** The REST API of the inbox, and the session token. A refused request throws `Refused`. */

import { rejectLost } from './strict.js';

/** @import { Page, Query, Target, Verb } from './events.js' */
/** @import { Environment } from './environment.js' */

const REQUEST_TIMEOUT = 30_000; // ms: longer than any timeout of the server, so only a hanging request reaches it
const TOKEN_TIMEOUT = 30_000; // ms for the page's `getToken`, usually one request: every action and reconnect waits for it

/** An error response of the server: the fields of its problem+json. */
export class Refused extends Error {
  /** @param {number} status @param {{code?: string, detail?: string, title?: string}} problem @param {number} [after] */
  constructor(status, problem, after) {
    super(problem.detail ?? problem.title ?? problem.code ?? `HTTP ${status}`);
    this.name = 'Refused';
    this.status = status;
    /** @type {string} */
    this.code = problem.code ?? 'unknown';
    /** Milliseconds to wait before a retry. */
    this.after = after;
  }
}

/** @typedef {{sub?: string, exp?: number, iat?: number, [claim: string]: unknown}} Claims */
/** @typedef {string | {token: string | null} | Response | null | undefined} TokenResult  the result of a page's `getToken` */
/** @typedef {() => TokenResult | Promise<TokenResult>} GetToken */

/** The session token, requested once for concurrent callers. Without a token the browser's cookies authenticate. */
export class Credential {
  /** @type {Promise<string | null> | undefined} */
  #token;
  #recipient;
  #timeout;

  /**
   * @param {string | null | undefined} token @param {GetToken | undefined} getToken @param {string | undefined} recipient  the user the cookies belong to
   * @param {Environment['timeout']} timeout
   */
  constructor(token, getToken, recipient, timeout) {
    this.getToken = getToken;
    this.#recipient = recipient;
    this.#timeout = timeout;
    if (token) this.#token = Promise.resolve(token);
  }

  token() {
    this.#token ??= this.#requestToken();
    const discard = () => (this.#token = undefined); // without a token the next call tries again
    this.#token.then((token) => token || discard(), discard);
    return this.#token;
  }

  async #requestToken() {
    if (!this.getToken) return null;
    const signal = this.#timeout(TOKEN_TIMEOUT);
    const expired = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    return Promise.race([Promise.resolve(this.getToken()).then(tokenOf), /** @type {Promise<never>} */ (expired)]);
  }

  /** Replace a refused or expiring token. False if there is no other token. @param {string | null} old */
  async renew(old) {
    if (!this.getToken) return false;
    const current = this.token();
    if ((await current) === old && this.#token === current) this.#token = undefined;
    const token = await this.token();
    return Boolean(token) && token !== old;
  }

  /** Decode the claims of a JWT; empty for any other token. @param {string | null} token @returns {Claims} */
  claims(token) {
    try {
      const [, payload] = /** @type {any} */ (token).split('.');
      return JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/'))); // not decoded as UTF-8: names are compared, not shown
    } catch {
      return {};
    }
  }

  /** Key for sharing a connection: all claims of the token except its times, or the recipient; '' if the user is unknown. */
  async sharingKey() {
    const token = await this.token();
    const { exp, iat, nbf, jti, ...identity } = this.claims(token);
    return identity.sub ? JSON.stringify(identity) : (token === null && this.#recipient) || '';
  }
}

/** @typedef {{changed?: number, ids?: string[] | null}} Outcome  `ids` is null if there are too many */

export class Api {
  #base;
  #credential;
  #environment;

  /** @param {string} base @param {Credential} credential @param {Pick<Environment, 'fetch' | 'timeout'>} environment */
  constructor(base, credential, environment) {
    this.#base = base;
    this.#credential = credential;
    this.#environment = environment;
  }

  /** @param {Query & {limit?: number, before?: string}} query @returns {Promise<Page>} */
  inbox(query) {
    return this.call('GET', `v1/inbox?${new URLSearchParams(/** @type {Record<string, string>} */ (query))}`);
  }

  /** Return how many notifications changed, and which. @param {Verb | 'snooze' | 'back'} verb @param {Target | object} [target] @returns {Promise<Outcome>} */
  act(verb, target) {
    return this.call('POST', `v1/inbox/${verb}`, target);
  }

  /** @param {string} method @param {string} path @param {object} [body] @param {boolean} [last]  do not retry with another token @returns {Promise<any>} */
  async call(method, path, body, last) {
    const token = await this.#credential.token();
    const response = await this.#environment.fetch(this.#base + path, {
      method,
      credentials: token ? 'omit' : 'include',
      keepalive: method !== 'GET', // outlive the page: the click that marks as read may navigate away
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
      body: JSON.stringify(body, rejectLost),
      signal: this.#environment.timeout(REQUEST_TIMEOUT),
    });
    const { ok, status, headers } = response;
    if (!last && status === 401 && (await this.#credential.renew(token))) return this.call(method, path, body, true);
    const decoded = await response.json().catch((error) => {
      if (error.name !== 'SyntaxError') throw error; // a truncated body, or a proxy's error page, which is not JSON
    });
    if (ok && (decoded || status === 204)) return decoded;
    throw new Refused(status, decoded ?? {}, Number(headers.get('retry-after')) * 1000 || undefined);
  }
}

/** Extract the token from the result of `getToken`: text, JSON, an object or a response. @param {TokenResult} result @returns {Promise<string | null>} */
async function tokenOf(result) {
  let token = /** @type {any} */ (result);
  if (token?.text) {
    const { ok, status, url } = token;
    const from = url ? ` from ${url}` : '';
    // Only 401 and 403 mean that the user is signed out; any other failure is retried.
    if (!ok) throw noToken(/40[13]/.test(status) ? status : 503, `: HTTP ${status}${from}`);
    token = await token.text();
    // The app redirects to its sign-in page.
    if (/^\s*</.test(token)) throw noToken(401, `: a page instead of a token${from}. Is the user signed in?`);
  }
  try {
    token = JSON.parse(token);
  } catch {} // the token itself is not JSON
  if (typeof token !== 'object') return token ?? null;
  if (token && !('token' in token)) throw noToken(503, ` returned an object without "token": ${Object.keys(token)}`);
  return token?.token ?? null;
}

/** @param {number} status @param {string} detail */
const noToken = (status, detail) => new Refused(status, { code: 'no_token', detail: `getToken${detail}` });

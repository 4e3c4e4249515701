/** Asking the server over HTTP: the inbox and what is done to it. Says no by throwing `Refused`. */

/** @import { Page, Query, Target, Verb } from './events.js' */
/** @import { Environment } from './environment.js' */

const REQUEST_TIMEOUT = 30_000; // ms: longer than any server's own limit, so only a request that hangs reaches it

/** The server understood and said no: the fields of its problem+json. */
export class Refused extends Error {
  /** @param {number} status @param {{code?: string, detail?: string, title?: string}} problem @param {number} [after] */
  constructor(status, problem, after) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = 'Refused';
    this.status = status;
    this.code = problem.code ?? 'unknown';
    /** Milliseconds to wait before asking again. */
    this.after = after;
  }
}

/** @typedef {{sub?: string, exp?: number, iat?: number, [claim: string]: unknown}} Claims */
/** @typedef {string | {token: string | null} | Response | null | undefined} TokenResult  what a page's `getToken` may return */
/** @typedef {() => TokenResult | Promise<TokenResult>} GetToken */

/** The session token, asked for once however many need it. Without one the browser's cookies speak for the person. */
export class Credential {
  /** @type {Promise<string | null> | undefined} */
  #token;
  #recipient;

  /** @param {string | null | undefined} token @param {GetToken | undefined} ask @param {string} [recipient]  for whom cookies speak */
  constructor(token, ask, recipient) {
    this.getToken = ask;
    this.#recipient = recipient;
    if (token) this.#token = Promise.resolve(token);
  }

  token() {
    this.#token ??= Promise.resolve(this.getToken?.()).then(tokenOf);
    const again = () => (this.#token = undefined); // whoever gave none may be away for a moment
    this.#token.then((token) => token || again(), again);
    return this.#token;
  }

  /** Another token in place of one that was refused or grows old; false if there is none. @param {string | null} old */
  async renew(old) {
    if (!this.getToken) return false;
    const held = this.token();
    if ((await held) === old && this.#token === held) this.#token = undefined;
    const token = await this.token();
    return Boolean(token) && token !== old;
  }

  /** What a token says; nothing of a token that is no JWT. @param {string | null} token @returns {Claims} */
  claims(token) {
    try {
      const [, payload] = /** @type {any} */ (token).split('.');
      return JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/'))); // a name may be garbled: it is compared, not shown
    } catch {
      return {};
    }
  }

  /** Whose token that is and what it may, '' if that cannot be told: those who differ in any of it have nothing to share. */
  async sharingKey() {
    const token = await this.token();
    const { exp, iat, nbf, jti, ...who } = this.claims(token);
    return who.sub ? JSON.stringify(who) : (token === null && this.#recipient) || '';
  }
}

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
    return this.#request('GET', `v1/inbox?${new URLSearchParams(/** @type {Record<string, string>} */ (query))}`);
  }

  /** Says how many it changed, where the server tells. @param {Verb} verb @param {Target} target @returns {Promise<number | undefined>} */
  async act(verb, target) {
    return (await this.#request('POST', `v1/inbox/${verb}`, target)).changed;
  }

  /** @param {string} method @param {string} path @param {object} [body] @param {boolean} [last]  after it no other token is tried @returns {Promise<any>} */
  async #request(method, path, body, last) {
    const token = await this.#credential.token();
    const response = await this.#environment.fetch(this.#base + path, {
      method,
      credentials: token ? 'omit' : 'include',
      keepalive: method !== 'GET', // marking as read outlives the page that its click leaves
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
      body: JSON.stringify(body),
      signal: this.#environment.timeout(REQUEST_TIMEOUT),
    });
    const { ok, status, headers } = response;
    if (!last && status === 401 && (await this.#credential.renew(token))) return this.#request(method, path, body, true);
    const answer = await response.json().catch((error) => {
      if (error.name !== 'SyntaxError') throw error; // it broke off; a proxy's error page is no JSON
    });
    if (ok && answer) return answer;
    throw new Refused(status, answer ?? {}, Number(headers.get('retry-after')) * 1000 || undefined);
  }
}

/** The token in what `getToken` returned: text, JSON or an object. @param {TokenResult} given @returns {Promise<string | null>} */
async function tokenOf(given) {
  let token = /** @type {any} */ (given);
  if (token?.text) {
    const { ok, status } = token;
    // Only 401 and 403 say that nobody is signed in; after anything else it is asked again.
    if (!ok) throw new Refused(/40[13]/.test(status) ? status : 503, { code: 'no_token', detail: `getToken: HTTP ${status}` });
    token = await token.text();
  }
  try {
    token = JSON.parse(token);
  } catch {} // a token itself is no JSON
  return token?.token ?? token ?? null;
}

/** Reconnect policy: transport selection, retry delays, silence detection, token refresh, and when to give up. */

/** @import { Claims, Credential, Refused } from './api.js' */
/** @import { BellcastEvent, Ready } from './events.js' */
/** @import { End, Link, Open } from './transports/sse.js' */
/** @import { Environment } from './environment.js' */

/**
 * @typedef {'closed' | 'connecting' | 'live' | 'waiting' | 'offline'} Status
 *
 * @typedef {object} ConnectionOptions
 * @property {string} base
 * @property {Environment} environment
 * @property {Pick<Credential, 'getToken' | 'claims' | 'renew' | 'token'>} credential
 * @property {Open} [transport]  the only transport to use; without it WebSocket, SSE and polling are tried in order
 * @property {() => Iterable<string>} topics
 * @property {() => string | null} position
 * @property {{id?: string | undefined}} lastEvent  the live event after which missed ones are replayed; outlives the connection
 * @property {() => Promise<void>} prepare  runs before each attempt to open a connection
 * @property {(event: BellcastEvent, since?: string | null) => void} onEvent  `since` is the leader's position before an event that it forwarded
 * @property {() => void} onStatusChange
 * @property {() => void} restoreActions  reloads stored actions, once the code that stores them is loaded
 *
 * @typedef {object} ConnectionHandle  the part of `Connection` that the policy uses
 * @property {Status} status
 * @property {string | null} token
 * @property {number} generation  changes with each attempt; callbacks of an older generation are ignored
 * @property {number} lastHeardAt  ms since the epoch
 * @property {Ready | null} greeting
 * @property {Open} transport
 * @property {boolean} twoWay
 * @property {() => void} open
 * @property {() => void} reopen
 * @property {(end?: End) => void} onDisconnected
 * @property {(status: number, problem: {code: string}) => Refused} createError
 * @property {(status: Status) => void} suspend
 * @property {(error: Refused) => void} close
 * @property {Link | null} link
 * @property {(transport: Open, onEvent: ConnectionOptions['onEvent'], end: (end?: End) => void) => Link | null} dial
 */

/** Loaded when a WebSocket fails. */
const httpTransports = () => import('./transports/http.js');

const READY_TIMEOUT = 10_000; // ms until `ready`: some proxies drop an upgrade without a response
const SILENCE_PER_HEARTBEAT_SECOND = 2_500; // ms of silence allowed for each second of the heartbeat interval: 2.5 heartbeats
const SILENCE_POLL_INTERVAL = 10_000; // ms between checks of the clock: timers stop while the machine sleeps
const MIN_RETRY_DELAY = 1_000;
// The longest wait after a restart of the server. 50,000 pages of a node then return at 5,000 a second, which one process accepts.
const MAX_RETRY_DELAY = 10_000;
const MAX_TIMER = 2 ** 31 - 1;
// Bad request, unauthenticated, forbidden, frame too large: a retry would get the same response.
const FINAL_CODES = [4400, 4401, 4403, 4413];
const EXPIRED_CODES = [4401, 4402];
const LAST_TRANSPORT = 2; // index into the transports: WebSocket, SSE, polling
const WAKE_EVENTS = ['visibilitychange', 'pageshow', 'resume', 'focus'];

export class ReconnectPolicy {
  #connection;
  #options;
  /** Best first; the HTTP transports are added once they are loaded. @type {[Open, ...Open[]]} */
  #transports;
  #current = 0;
  #best = Infinity; // index of the best transport that was ever live
  #failures = 0;
  #liveSince = 0;
  #hasRenewedToken = false;
  /** Timers of the current attempt. @type {Set<any>} */
  #timers = new Set();

  /** @param {ConnectionHandle} connection @param {ConnectionOptions} options @param {AbortSignal} signal  aborted when the connection is closed */
  constructor(connection,  options, signal) {
    const { page } = options.environment;
    this.#connection = connection;
    this.#options = options;
    this.#transports = [connection.transport];
    for (const type of WAKE_EVENTS) page.addEventListener(type, () => this.#wake(), { signal });
    options.restoreActions(); // the offline store is in the same chunk
  }

  /** Reconnect on wake or focus if nothing arrived within half the silence timeout: the connection may have died while the machine slept. */
  #wake() {
    const { status, lastHeardAt } = this.#connection;
    const silent = this.#options.environment.now() - lastHeardAt > this.#silenceTimeout / 2;
    if (status === 'waiting' || (status === 'live' && silent)) this.#connection.reopen();
  }

  cancelTimers() {
    for (const timer of this.#timers) this.#options.environment.clearTimeout(timer);
    this.#timers.clear();
  }

  /** Milliseconds without a frame before the connection counts as broken: a fixed time until `ready`, then a multiple of the heartbeat interval. */
  get #silenceTimeout() {
    const { greeting } = this.#connection;
    return greeting ? (greeting.heartbeat || 25) * SILENCE_PER_HEARTBEAT_SECOND : READY_TIMEOUT;
  }

  onDial() {
    this.#checkSilence();
  }

  onReady() {
    this.#liveSince = this.#options.environment.now();
    this.#hasRenewedToken = false;
    this.#scheduleTokenRefresh();
    if (this.#current) void this.#tryUpgrade();
  }

  /** @param {boolean} wasLive @param {End} [end] */
  onClose(wasLive, end) {
    // A connection that was live only briefly does not reset the backoff: a server that accepts connections and closes them must not be flooded.
    if (wasLive && this.#options.environment.now() - this.#liveSince > READY_TIMEOUT) this.#failures = 0;
    if (wasLive) this.#best = Math.min(this.#best, this.#current);
    // Codes below 4400 are the transport's own; only the server's close codes determine whether to reconnect.
    const closed =  end && (end.code >= 4400 || end.reconnect !== undefined) ? end : undefined;
    if (closed && EXPIRED_CODES.includes(closed.code)) return void this.#renewToken(closed);
    if (closed && !(closed.reconnect ?? !FINAL_CODES.includes(closed.code))) return this.#giveUp(closed);
    const { environment, transport } = this.#options;
    if (!wasLive && !closed && !transport && this.#current < LAST_TRANSPORT && environment.online()) return void this.#downgrade();
    this.#scheduleRetry(wasLive ? this.#best : 0, closed?.after);
  }

  /** Handle a failed preparation or a refused connection. `final`: a retry would get the same result. @param {any} error @param {boolean} [final]  trying again would change nothing */
  onError(error, final = [401, 403].includes(error.status)) {
    void import('./warnings.js').then(({ warn }) => warn(this.#options, error), () => {});
    if (final) this.#connection.close(error);
    else this.#scheduleRetry(0, error.after);
  }

  /** Switch to the next fallback transport. */
  async #downgrade() {
    const { generation } = this.#connection;
    const fallback = await httpTransports().catch(() => null);
    if (generation !== this.#connection.generation) return;
    if (!fallback) return this.#scheduleRetry(0);
    this.#transports = [this.#transports[0], fallback.sse, fallback.polling];
    this.#switchTo(this.#current + 1);
  }

  /** @param {number} index */
  #transportAt(index) {
    return this.#transports[index] ?? this.#connection.transport;
  }

  /** @param {number} index */
  #switchTo(index) {
    this.#current = index;
    this.#connection.transport = this.#transportAt(index);
    this.#connection.reopen();
  }

  /** @param {number} index @param {number} [after] */
  #scheduleRetry(index, after) {
    const { environment } = this.#options;
    const maxDelay =  Math.min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2 ** this.#failures++);
    this.#current = index;
    this.#schedule(after ?? environment.random() * maxDelay, () => this.#switchTo(index));
  }

  /** @param {number} after @param {() => unknown} run */
  #schedule(after, run) {
    const timer = this.#options.environment.setTimeout(() => {
      this.#timers.delete(timer);
      void run();
    }, Math.min(after, MAX_TIMER));
    this.#timers.add(timer);
  }

  /** Report a disconnect after too long a silence. Compares clock times, since timers stop while the machine sleeps. */
  #checkSilence() {
    const left = this.#connection.lastHeardAt + this.#silenceTimeout - this.#options.environment.now();
    if (left > 0) this.#schedule(Math.min(left, SILENCE_POLL_INTERVAL), () => this.#checkSilence());
    else this.#connection.onDisconnected();
  }

  /** Renew the token before it expires. */
  #scheduleTokenRefresh() {
    const { credential, environment } = this.#options;
    const left = tokenRefreshDelay(environment.now(), credential.claims(this.#connection.token));
    if (left && credential.getToken) this.#schedule(left, () => this.#refreshToken());
  }

  async #refreshToken() {
    const { credential } = this.#options;
    const connection = this.#connection;
    const { generation } = connection;
    const renewed = await credential.renew(connection.token).catch(() => false);
    if (generation !== connection.generation) return;
    const token = renewed ? await credential.token() : connection.token;
    if (renewed && !connection.twoWay) return connection.reopen();
    if (renewed) connection.link?.send?.({ type: 'auth', token }); // if the server refuses it, the old token stays valid
    connection.token = token;
    this.#scheduleTokenRefresh();
  }

  /** @param {End} end */
  #giveUp({ code, reason }) {
    this.onError(this.#connection.createError(code, { code: reason }), true);
  }

  /** Let the app decide, once. Signing out revokes the tokens of all devices, and the others are still signed in. @param {End} end */
  async #renewToken(end) {
    const { reason } = end;
    const { generation, token } = this.#connection;
    if (this.#hasRenewedToken) return this.#giveUp(end);
    // The app may end its own session only after it has revoked the tokens.
    if (reason === 'revoked') await new Promise((done) => this.#schedule(MIN_RETRY_DELAY, () => done(0)));
    // The server has the owner of a cookie checked at each connection.
    const renewal = token ? this.#options.credential.renew(token) : reason !== 'unauthenticated';
    const renewed = await Promise.resolve(renewal).catch((error) => error);
    if (generation !== this.#connection.generation) return;
    if (renewed instanceof Error) return this.onError(renewed); // the app may only be unreachable
    this.#hasRenewedToken = true;
    if (renewed) this.#connection.reopen();
    else this.#giveUp(end);
  }

  /** Retry the better transports while the current one stays in use. */
  async #tryUpgrade() {
    const { generation } = this.#connection;
    const { scheduleUpgrade } = await httpTransports();
    if (generation !== this.#connection.generation) return;
    scheduleUpgrade(this.#current, (index, onEvent, onClose) => this.#connection.dial(this.#transportAt(index), onEvent, onClose), (delay, run) => this.#schedule(delay, run), (index) => this.#switchTo(index));
  }
}

/**
 * Milliseconds until a token should be renewed: when a quarter of its lifetime is left, but at least a quarter of the lifetime from now, so
 * that a wrong clock does not cause a renewal loop.
 * @param {number} now @param {Claims} claims
 */
export function tokenRefreshDelay(now, { exp, iat = now / 1000 }) {
  const quarter = Math.max(1, (exp ?? 0) - iat) * 250;
  return exp && Math.max(quarter, exp * 1000 - now - quarter);
}

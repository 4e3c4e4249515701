/** Staying connected: which transport, when to try again, when to give up, when a silent line is a dead one, when a token grows old. */

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
 * @property {Open} [transport]  the only one there is
 * @property {() => Iterable<string>} topics
 * @property {() => string | null} position
 * @property {() => Promise<void>} prepare  what must be there before the line is opened
 * @property {(event: BellcastEvent, since?: string | null) => void} onEvent  `since` is the position of who passed it on
 * @property {() => void} onStatusChange
 * @property {() => void} restoreActions  what is kept may be another than it was
 *
 * @typedef {object} ConnectionHandle  the connection, as it is seen from here
 * @property {Status} status
 * @property {string | null} token
 * @property {number} generation  another one: what was waited for is over
 * @property {number} lastHeardAt  when it was heard last
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
 * @property {(transport: Open, hear: ConnectionOptions['onEvent'], end: (end?: End) => void) => Link | null} dial
 */

/** Fetched when a WebSocket could not pass. */
const fallbacks = () => import('./transports/fallbacks.js');

const READY_TIMEOUT = 10_000; // ms until `ready`: some proxies swallow an upgrade without a word
const SILENCE_PER_HEARTBEAT_SECOND = 2_500; // ms of silence for each second of the heartbeat: two and a half of them
const SILENCE_POLL_INTERVAL = 10_000; // ms between looks at the clock: a machine that slept must not wait out a timer that slept too
const MIN_RETRY_DELAY = 1_000;
const MAX_RETRY_DELAY = 30_000;
const MAX_TIMER = 2 ** 31 - 1;
// Bad request, unauthenticated, forbidden, frame too large: asking again would get the same answer.
const FINAL_CODES = [4400, 4401, 4403, 4413];
const EXPIRED_CODES = [4401, 4402];
const LAST_TRANSPORT = 2; // of three ways
const WAKE_EVENTS = ['visibilitychange', 'pageshow', 'resume', 'focus'];

export class ReconnectPolicy {
  #connection;
  #options;
  /** The best first; the lesser once they are fetched. @type {[Open, ...Open[]]} */
  #transports;
  #current = 0;
  #best = Infinity; // the first that ever went live
  #failures = 0;
  #liveSince = 0;
  #hasRenewedToken = false;
  /** What is to be done while this turn lasts. @type {Set<any>} */
  #timers = new Set();

  /** @param {ConnectionHandle} line @param {ConnectionOptions} options @param {AbortSignal} signal  ends with the line */
  constructor(line, options, signal) {
    const { page } = options.environment;
    this.#connection = line;
    this.#options = options;
    this.#transports = [line.transport];
    for (const type of WAKE_EVENTS) page.addEventListener(type, () => this.#wake(), { signal });
    options.restoreActions(); // as what keeps it came with us
  }

  /** Somebody looks: a line silent for longer than its heartbeat may have died in a sleep, and nobody waits for a timer. */
  #wake() {
    const { status, lastHeardAt } = this.#connection;
    const silent = this.#options.environment.now() - lastHeardAt > this.#silenceTimeout / 2;
    if (status === 'waiting' || (status === 'live' && silent)) this.#connection.reopen();
  }

  /** The turn is over. */
  cancelTimers() {
    for (const timer of this.#timers) this.#options.environment.clearTimeout(timer);
    this.#timers.clear();
  }

  /** How long silence may last: until it greets, then by its heartbeat. */
  get #silenceTimeout() {
    const { greeting } = this.#connection;
    return greeting ? (greeting.heartbeat || 25) * SILENCE_PER_HEARTBEAT_SECOND : READY_TIMEOUT;
  }

  /** Somebody is to greet. */
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
    // A server that greets and hangs up is waited for as one that does not greet.
    if (wasLive && this.#options.environment.now() - this.#liveSince > READY_TIMEOUT) this.#failures = 0;
    if (wasLive) this.#best = Math.min(this.#best, this.#current);
    // Below are the codes of links that broke by themselves; a farewell has a rule of its own.
    const told = end && (end.code >= 4400 || end.reconnect !== undefined) ? end : undefined;
    if (told && EXPIRED_CODES.includes(told.code) && told.reason !== 'revoked') return void this.#renewToken(told);
    if (told && !(told.reconnect ?? !FINAL_CODES.includes(told.code))) return this.#giveUp(told);
    if (!wasLive && !told && !this.#options.transport && this.#current < LAST_TRANSPORT) return void this.#downgrade();
    this.#scheduleRetry(wasLive ? this.#best : 0, told?.after);
  }

  /** Nothing could be prepared for a line, or it was refused. @param {any} error @param {boolean} [final]  trying again would change nothing */
  onError(error, final = [401, 403].includes(error.status)) {
    void import('./warnings.js').then(({ warn }) => warn(this.#options, error), () => {});
    if (final) this.#connection.close(error);
    else this.#scheduleRetry(0, error.after);
  }

  /** To the next lesser way. */
  async #downgrade() {
    const { generation } = this.#connection;
    const lesser = await fallbacks().catch(() => null);
    if (generation !== this.#connection.generation) return;
    if (!lesser) return this.#scheduleRetry(0);
    this.#transports = [this.#transports[0], lesser.sse, lesser.polling];
    this.#switchTo(this.#current + 1);
  }

  /** @param {number} way */
  #transportAt(way) {
    return this.#transports[way] ?? this.#connection.transport;
  }

  /** @param {number} way */
  #switchTo(way) {
    this.#current = way;
    this.#connection.transport = this.#transportAt(way);
    this.#connection.reopen();
  }

  /** @param {number} way @param {number} [after] */
  #scheduleRetry(way, after) {
    const { environment } = this.#options;
    const most = Math.min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2 ** this.#failures++);
    this.#current = way;
    if (environment.online()) this.#schedule(after ?? environment.random() * most, () => this.#switchTo(way));
    else this.#connection.suspend('offline');
  }

  /** @param {number} after @param {() => unknown} run */
  #schedule(after, run) {
    const timer = this.#options.environment.setTimeout(() => {
      this.#timers.delete(timer);
      void run();
    }, Math.min(after, MAX_TIMER));
    this.#timers.add(timer);
  }

  /** Has it been silent for too long? Asked of the clock. */
  #checkSilence() {
    const left = this.#connection.lastHeardAt + this.#silenceTimeout - this.#options.environment.now();
    if (left > 0) this.#schedule(Math.min(left, SILENCE_POLL_INTERVAL), () => this.#checkSilence());
    else this.#connection.onDisconnected();
  }

  /** A fresh token before the old one ends. */
  #scheduleTokenRefresh() {
    const { credential, environment } = this.#options;
    const left = tokenRefreshDelay(environment.now(), credential.claims(this.#connection.token));
    if (left && credential.getToken) this.#schedule(left, () => this.#refreshToken());
  }

  async #refreshToken() {
    const { credential } = this.#options;
    const line = this.#connection;
    const { generation } = line;
    const renewed = await credential.renew(line.token).catch(() => false);
    if (generation !== line.generation) return;
    const token = renewed ? await credential.token() : line.token;
    if (renewed && !line.twoWay) return line.reopen();
    if (renewed) line.link?.send?.({ type: 'auth', token }); // a bad one is refused and the old one goes on
    line.token = token;
    this.#scheduleTokenRefresh();
  }

  /** @param {End} end */
  #giveUp({ code, reason }) {
    this.onError(this.#connection.createError(code, { code: reason }), true);
  }

  /** @param {End} end */
  async #renewToken(end) {
    const { generation, token } = this.#connection;
    const renewed = !this.#hasRenewedToken && (await this.#options.credential.renew(token).catch(() => false));
    if (generation !== this.#connection.generation) return;
    this.#hasRenewedToken = true;
    if (renewed) this.#connection.reopen();
    else this.#giveUp(end);
  }

  /** Back to a better transport when that can be had. */
  async #tryUpgrade() {
    const { generation } = this.#connection;
    const { scheduleUpgrade } = await fallbacks();
    if (generation !== this.#connection.generation) return;
    scheduleUpgrade(this.#current, (way, hear, end) => this.#connection.dial(this.#transportAt(way), hear, end), (after, run) => this.#schedule(after, run), (way) => this.#switchTo(way));
  }
}

/**
 * Milliseconds until a token wants renewing: a quarter of its life before its end, and never sooner than a quarter from now, so that a wrong clock
 * does not ask all the time.
 * @param {number} now @param {Claims} claims
 */
export function tokenRefreshDelay(now, { exp, iat = now / 1000 }) {
  const quarter = Math.max(1, (exp ?? 0) - iat) * 250;
  return exp && Math.max(quarter, exp * 1000 - now - quarter);
}

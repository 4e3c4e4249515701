/** Staying connected: which transport, when to try again, when to give up, when a silent line is a dead one, when a token grows old. */

/** @import { Claims, Credential, Refused } from './api.js' */
/** @import { BellcastEvent, Ready } from './events.js' */
/** @import { End, Link, Open } from './transports/sse.js' */
/** @import { World } from './world.js' */

/**
 * @typedef {'closed' | 'connecting' | 'live' | 'waiting' | 'offline'} Status
 *
 * @typedef {object} Plan
 * @property {string} base
 * @property {World} world
 * @property {Pick<Credential, 'ask' | 'claims' | 'renew' | 'token'>} credential
 * @property {Open} [transport]  the only one there is
 * @property {() => Iterable<string>} topics
 * @property {() => string | null} position
 * @property {() => Promise<void>} prepare  what must be there before the line is opened
 * @property {(event: BellcastEvent, since?: string | null) => void} hear  `since` is the position of who passed it on
 * @property {() => void} moved
 * @property {() => void} recalled  what is kept may be another than it was
 *
 * @typedef {object} Line  the connection, as it is seen from here
 * @property {Status} status
 * @property {string | null} token
 * @property {number} turn  another one: what was waited for is over
 * @property {number} heard  when it was heard last
 * @property {Ready | null} greeting
 * @property {Open} transport
 * @property {boolean} twoWay
 * @property {() => void} open
 * @property {() => void} reopen
 * @property {(end?: End) => void} lost
 * @property {(status: number, problem: {code: string}) => Refused} refusal
 * @property {(status: Status) => void} rest
 * @property {(error: Refused) => void} close
 * @property {Link | null} link
 * @property {(transport: Open, hear: Plan['hear'], end: (end?: End) => void) => Link | null} dial
 */

/** Fetched when a WebSocket could not pass. */
const fallbacks = () => import('./transports/fallbacks.js');

const PATIENCE = 10_000; // ms until `ready`: some proxies swallow an upgrade without a word
const SILENCE = 2_500; // ms of silence for each second of the heartbeat: two and a half of them
const LOOK = 10_000; // ms between looks at the clock: a machine that slept must not wait out a timer that slept too
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const LONGEST_TIMER = 2 ** 31 - 1;
// Bad request, unauthenticated, forbidden, frame too large: asking again would get the same answer.
const FINAL = [4400, 4401, 4403, 4413];
const EXPIRED = [4401, 4402];
const LAST = 2; // of three ways
const WAKING = ['visibilitychange', 'pageshow', 'resume', 'focus'];

export class Pilot {
  #line;
  #plan;
  /** The best first; the lesser once they are fetched. @type {[Open, ...Open[]]} */
  #ways;
  #way = 0;
  #best = Infinity; // the first that ever went live
  #failures = 0;
  #since = 0;
  #renewed = false;
  /** What is to be done while this turn lasts. @type {Set<any>} */
  #timers = new Set();

  /** @param {Line} line @param {Plan} plan @param {AbortSignal} signal  ends with the line */
  constructor(line, plan, signal) {
    const { page } = plan.world;
    this.#line = line;
    this.#plan = plan;
    this.#ways = [line.transport];
    for (const type of WAKING) page.addEventListener(type, () => this.#wake(), { signal });
    plan.recalled(); // as what keeps it came with us
  }

  /** Somebody looks: a line silent for longer than its heartbeat may have died in a sleep, and nobody waits for a timer. */
  #wake() {
    const { status, heard } = this.#line;
    const silent = this.#plan.world.now() - heard > this.#patience / 2;
    if (status === 'waiting' || (status === 'live' && silent)) this.#line.reopen();
  }

  /** The turn is over. */
  rest() {
    for (const timer of this.#timers) this.#plan.world.clearTimeout(timer);
    this.#timers.clear();
  }

  /** How long silence may last: until it greets, then by its heartbeat. */
  get #patience() {
    const { greeting } = this.#line;
    return greeting ? (greeting.heartbeat || 25) * SILENCE : PATIENCE;
  }

  /** Somebody is to greet. */
  dialled() {
    this.#watch();
  }

  ready() {
    this.#since = this.#plan.world.now();
    this.#renewed = false;
    this.#mind();
    if (this.#way) void this.#climb();
  }

  /** @param {boolean} wasLive @param {End} [end] */
  broken(wasLive, end) {
    // A server that greets and hangs up is waited for as one that does not greet.
    if (wasLive && this.#plan.world.now() - this.#since > PATIENCE) this.#failures = 0;
    if (wasLive) this.#best = Math.min(this.#best, this.#way);
    // Below are the codes of links that broke by themselves; a farewell has a rule of its own.
    const told = end && (end.code >= 4400 || end.reconnect !== undefined) ? end : undefined;
    if (told && EXPIRED.includes(told.code) && told.reason !== 'revoked') return void this.#renew(told);
    if (told && !(told.reconnect ?? !FINAL.includes(told.code))) return this.#refuse(told);
    if (!wasLive && !told && !this.#plan.transport && this.#way < LAST) return void this.#descend();
    this.#wait(wasLive ? this.#best : 0, told?.after);
  }

  /** Nothing could be prepared for a line, or it was refused. @param {any} error @param {boolean} [final]  trying again would change nothing */
  failed(error, final = [401, 403].includes(error.status)) {
    void import('./warnings.js').then(({ warn }) => warn(this.#plan, error), () => {});
    if (final) this.#line.close(error);
    else this.#wait(0, error.after);
  }

  /** To the next lesser way. */
  async #descend() {
    const { turn } = this.#line;
    const lesser = await fallbacks().catch(() => null);
    if (turn !== this.#line.turn) return;
    if (!lesser) return this.#wait(0);
    this.#ways = [this.#ways[0], lesser.sse, lesser.polling];
    this.#take(this.#way + 1);
  }

  /** @param {number} way */
  #at(way) {
    return this.#ways[way] ?? this.#line.transport;
  }

  /** @param {number} way */
  #take(way) {
    this.#way = way;
    this.#line.transport = this.#at(way);
    this.#line.reopen();
  }

  /** @param {number} way @param {number} [after] */
  #wait(way, after) {
    const { world } = this.#plan;
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    this.#way = way;
    if (world.online()) this.#later(after ?? world.random() * most, () => this.#take(way));
    else this.#line.rest('offline');
  }

  /** @param {number} after @param {() => unknown} run */
  #later(after, run) {
    const timer = this.#plan.world.setTimeout(() => {
      this.#timers.delete(timer);
      void run();
    }, Math.min(after, LONGEST_TIMER));
    this.#timers.add(timer);
  }

  /** Has it been silent for too long? Asked of the clock. */
  #watch() {
    const left = this.#line.heard + this.#patience - this.#plan.world.now();
    if (left > 0) this.#later(Math.min(left, LOOK), () => this.#watch());
    else this.#line.lost();
  }

  /** A fresh token before the old one ends. */
  #mind() {
    const { credential, world } = this.#plan;
    const left = patience(world.now(), credential.claims(this.#line.token));
    if (left && credential.ask) this.#later(left, () => this.#refresh());
  }

  async #refresh() {
    const { credential } = this.#plan;
    const line = this.#line;
    const { turn } = line;
    const renewed = await credential.renew(line.token).catch(() => false);
    if (turn !== line.turn) return;
    const token = renewed ? await credential.token() : line.token;
    if (renewed && !line.twoWay) return line.reopen();
    if (renewed) line.link?.send?.({ type: 'auth', token }); // a bad one is refused and the old one goes on
    line.token = token;
    this.#mind();
  }

  /** @param {End} end */
  #refuse({ code, reason }) {
    this.failed(this.#line.refusal(code, { code: reason }), true);
  }

  /** @param {End} end */
  async #renew(end) {
    const { turn, token } = this.#line;
    const renewed = !this.#renewed && (await this.#plan.credential.renew(token).catch(() => false));
    if (turn !== this.#line.turn) return;
    this.#renewed = true;
    if (renewed) this.#line.reopen();
    else this.#refuse(end);
  }

  /** Back to a better transport when that can be had. */
  async #climb() {
    const { turn } = this.#line;
    const { climb } = await fallbacks();
    if (turn !== this.#line.turn) return;
    climb(this.#way, (way, hear, end) => this.#line.dial(this.#at(way), hear, end), (after, run) => this.#later(after, run), (way) => this.#take(way));
  }
}

/**
 * Milliseconds until a token wants renewing: a quarter of its life before its end, and never sooner than a quarter from now, so that a wrong clock
 * does not ask all the time.
 * @param {number} now @param {Claims} claims
 */
export function patience(now, { exp, iat = now / 1000 }) {
  const quarter = Math.max(1, (exp ?? 0) - iat) * 250;
  return exp && Math.max(quarter, exp * 1000 - now - quarter);
}

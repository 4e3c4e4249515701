/** The client of a Bellcast server, for servers: Node, Deno, Bun, edge runtimes and Workers. */

import { data as checkedData, text } from './arguments.js';
import { findCredentials, findUrl } from './configuration.js';
import { epochSeconds, seconds } from './durations.js';
import { BellcastError, BulkInterrupted, InvalidArgument, Unauthorized, UnknownArgument } from './errors.js';
import { callHandler, sessionHandler, tokenHandler } from './responders.js';
import { request } from './requests.js';
import { isSigned, signToken } from './signatures.js';
import { rowKey } from './uuid.js';

/** @import { Call, FindUser } from './responders.js' */
/** @import { OfType, TriggerArguments } from './data-types.js' */
/** @import { Options as RequestOptions, Transport } from './requests.js' */
/** @import { WebCrypto } from './signatures.js' */

const TIMEOUT = 5000; // ms for a response
const BULK_TIMEOUT = 30_000; // ms: 10,000 items take about a second on an idle server
const BULK_ITEMS = 10_000; // the server's limit for one request
const BULK_CHARACTERS = 5 * 1024 * 1024; // at most 15 MiB of UTF-8, below the server's 16
const API_KEY = 'bc_'; // prefix of API keys, which cannot sign tokens
const DEFAULT_TTL = 3600; // seconds
const LONGEST_TTL = 30 * 86_400;
/** SQL dialects of outbox tables; one has two names. */
const DIALECTS = new Set(['sqlite', 'postgresql', 'postgres', 'mysql']);
// How a refused row gets the values of a new send with its key. MySQL evaluates these in order, so `refused_at` is the last one.
const RENEWED = 'ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, payload = excluded.payload, created_at = NULL, next_attempt_at = NULL, attempts = 0, error = NULL, refused_at = NULL WHERE bellcast_outbox.refused_at IS NOT NULL';
const NEW_VALUES = { kind: 'VALUES(kind)', payload: 'VALUES(payload)', created_at: 'NULL', next_attempt_at: 'NULL', attempts: '0', error: 'NULL', refused_at: 'NULL' };
const RENEWED_MYSQL = `ON DUPLICATE KEY UPDATE ${Object.entries(NEW_VALUES).map(([name, value]) => `${name} = IF(refused_at IS NULL, ${name}, ${value})`).join(', ')}`;
const TOLERANCE = 300; // maximum seconds between a signature's time and now

/**
 * @typedef {string | number} Id
 * @typedef {Id | Id[] | {topic: string} | {role: string} | {tenant: string} | {all: true}} Target  one recipient, several, or an audience
 * @typedef {'low' | 'normal' | 'high' | 'urgent'} Priority
 *
 * @typedef {object} Draft  the fields of POST /v1/notifications
 * @property {string} [title]
 * @property {string | null} [body]
 * @property {string} [type]
 * @property {Priority} [priority]
 * @property {string | null} [action_url]
 * @property {string | null} [action_text]
 * @property {string | null} [icon]
 * @property {string | {id?: string, name?: string, avatar?: string} | null} [actor]
 * @property {Record<string, unknown>} [data]
 * @property {string[]} [tags]
 * @property {string | null} [group]
 * @property {string | Date | null} [expires_at]
 * @property {'plain' | 'markdown'} [body_format]
 * @property {{key: string, label: string, url?: string, call?: string, style?: 'primary' | 'default' | 'danger'}[]} [actions]
 * @property {(string | {channel: string, after?: string | number, unless?: string})[]} [channels]
 * @property {string} [template]
 * @property {Record<string, unknown>} [email]
 * @property {Record<string, unknown>} [sms]
 * @property {Record<string, unknown>} [push]
 * @property {Record<string, unknown>} [chat]
 * @property {string | Date} [send_at]  sends later: a time with an offset, or one in `timezone`
 * @property {string} [timezone]  an IANA name, or "recipient"
 * @property {string | null} [tenant]
 *
 * @typedef {Draft & {to: Target, idempotency_key?: string}} Item
 * @typedef {{tenant?: string | null, signal?: AbortSignal}} CallOptions
 * @typedef {CallOptions & {actor?: Draft['actor'], sendAt?: string | Date, timezone?: string, cancelKey?: string, idempotencyKey?: string}} TriggerOptions
 * @typedef {{key: string, next_at: string}} Schedule  sends later; deleting it cancels the send
 * @typedef {{id?: string, ids?: string[], schedule?: Schedule, error?: {status: number, code: string, detail?: string, errors?: {field: string, message: string}[]} | null}} BulkResult
 *
 * @typedef {object} Notification
 * @property {string} id
 * @property {string} type
 * @property {string} title
 * @property {string | null} body
 * @property {Priority} priority
 * @property {string | null} action_url
 * @property {string | null} action_text
 * @property {string | null} icon
 * @property {Record<string, any>} data
 * @property {string[]} tags
 * @property {string} created_at
 * @property {string | null} expires_at
 * @property {string | null} seen_at
 * @property {string | null} read_at
 * @property {string | null} archived_at
 *
 * @typedef {{notifications: Notification[], next: string | null, unread: number, unseen: number, position: string}} Page
 * @typedef {{changed: number, unread: number, unseen: number}} Changed
 * @typedef {string[] | {all: true, of?: {type?: string, view?: string, tag?: string}}} Which
 *
 * @typedef {object} Options
 * @property {string} [url]  default: BELLCAST_URL
 * @property {string} [secret]  the project's secret or an API key; default: BELLCAST_SECRET, or the one in BELLCAST_PROJECT
 * @property {string} [key]  the project's public key
 * @property {number} [timeout]  ms for one response
 * @property {number} [retries]
 * @property {typeof fetch} [fetch]
 * @property {WebCrypto} [crypto]  `webcrypto` of node:crypto in Node 18
 */

/** @param {...Id} segments */
const path = (...segments) => ['/v1', ...segments.map((segment) => encodeURIComponent(text(segment, 'key')).replace(/^\.{1,2}$/, (dots) => dots.replace(/\./g, '%2E')))].join('/');

/** @param {Target} to @returns {unknown} */
function target(to) {
  if (Array.isArray(to)) return to.map((one) => text(one, 'to'));
  return typeof to === 'object' && to !== null ? to : text(to, 'to');
}

/** The address of a live event. @param {string | string[] | {recipient: Id}} to */
function address(to) {
  if (Array.isArray(to)) {
    if (!to.length) throw new InvalidArgument('to: must name at least one topic');
    return { topics: to.map((one, at) => text(one, `to[${at}]`)) };
  }
  if (typeof to !== 'object' || to === null) return { topic: text(to, 'to') };
  const unknown = Object.keys(to).find((name) => name !== 'recipient');
  if (unknown !== undefined) throw new UnknownArgument(`to.${unknown}: is not known; expected a topic, a list of topics or {recipient}`);
  return { recipient: text(to.recipient, 'to.recipient') };
}

/** Parameters that are set, as strings. @param {Record<string, unknown>} values @returns {Record<string, string>} */
function dropUnset(values) {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined || value === null || value === '' ? [] : [[name, text(value, name)]])));
}

/** The operations of one kind of object. */
class Objects {
  #send;
  #kind;

  /** @param {Bellcast['request']} send @param {string} kind */
  constructor(send, kind) {
    this.#send = send;
    this.#kind = kind;
  }

  /** @param {Record<string, unknown>} [query] @returns {Promise<any>} */
  list(query) {
    return this.#send('GET', path(this.#kind), { query: query ?? {} });
  }

  /** @param {Id} key @param {CallOptions} [options] @returns {Promise<any>} */
  async get(key, options) {
    return this.#send('GET', path(this.#kind, key), from(options));
  }

  /** @param {Id} key @param {object} body @param {CallOptions} [options] @returns {Promise<any>} */
  async put(key, body, options) {
    return this.#send('PUT', path(this.#kind, key), { body, ...from(options) });
  }

  /** @param {Id} key @param {CallOptions} [options] @returns {Promise<void>} */
  async delete(key, options) {
    await this.#send('DELETE', path(this.#kind, key), from(options));
  }
}

/** Records of recipients. */
class Recipients extends Objects {
  #send;

  /** @param {Bellcast['request']} send */
  constructor(send) {
    super(send, 'recipients');
    this.#send = send;
  }

  /** Change the given fields. @param {Id} key @param {object} body @param {CallOptions} [options] @returns {Promise<any>} */
  async patch(key, body, options) {
    return this.#send('PATCH', path('recipients', key), { body, ...from(options) });
  }

  /** @param {Id} key @param {CallOptions} [options] @returns {Promise<any>} */
  async export(key, options) {
    return this.#send('GET', `${path('recipients', key)}/export`, from(options));
  }
}

/** Workflows: steps that run for a recipient. */
class Workflows extends Objects {
  #send;

  /** @param {Bellcast['request']} send */
  constructor(send) {
    super(send, 'workflows');
    this.#send = send;
  }

  /** What a workflow would do for up to 10 recipients, by key or as records whose fields replace those of the stored ones. Nothing is sent. @param {Id} key @param {Id | object | (Id | object)[]} to @param {Record<string, unknown>} [data] @param {CallOptions & Record<string, unknown>} [options]  fields of `POST /v1/workflows/{key}/simulate`, such as `values` and `events`, and `tenant` and `signal` @returns {Promise<{recipients: {recipient: string, timezone: string, state: string, reason: string | null, ends_at: string | null, path: Record<string, any>[]}[], truncated: boolean}>} */
  simulate(key, to, data = {}, { tenant, signal, ...fields } = {}) {
    const recipients = [to].flat().map((one) => (typeof one === 'object' && one !== null ? one : text(one, 'to')));
    const body = checkedData({ to: recipients, data, ...fields }, 'data');
    return this.#send('POST', `${path('workflows', key)}/simulate`, { body, query: { tenant }, signal, harmless: true });
  }
}

/** Preferences of recipients: the types and channels that they switched off, digests and quiet hours. */
class Preferences {
  #send;

  /** @param {Bellcast['request']} send */
  constructor(send) {
    this.#send = send;
  }

  /** @param {Id} recipient @param {CallOptions} [options] @returns {Promise<any>} */
  async get(recipient, options) {
    return this.#send('GET', `${path('recipients', recipient)}/preferences`, from(options));
  }

  /** @param {Id} recipient @param {object} body @param {CallOptions} [options] @returns {Promise<any>} */
  async put(recipient, body, options) {
    return this.#send('PUT', `${path('recipients', recipient)}/preferences`, { body, ...from(options) });
  }

  /** Null removes a field. @param {Id} recipient @param {object} body @param {CallOptions} [options] @returns {Promise<any>} */
  async change(recipient, body, options) {
    return this.#send('PATCH', `${path('recipients', recipient)}/preferences`, { body, ...from(options) });
  }
}

/** @param {CallOptions | undefined} options @returns {RequestOptions} */
const from = (options) => ({ query: { tenant: options?.tenant }, signal: options?.signal });

/** The inbox of a session token's recipient. */
class Inbox {
  #send;

  /** @param {Bellcast['request']} send */
  constructor(send) {
    this.#send = send;
  }

  /** A page, newest first; `next` goes into `before`. @param {{view?: string, type?: string | string[], tag?: string | string[], priority?: string | string[], since?: string, limit?: number, before?: string}} [query] @returns {Promise<Page>} */
  list(query) {
    return this.#send('GET', '/v1/inbox', { query: query ?? {} });
  }

  /** @returns {Promise<{unread: number, unseen: number, position: string, by_type: Record<string, number>}>} */
  counts() {
    return this.#send('GET', '/v1/inbox/counts');
  }

  /** @param {string} id @returns {Promise<Notification>} */
  async get(id) {
    return this.#send('GET', path('inbox', id));
  }

  /** @param {string} id @param {{seen?: boolean, read?: boolean, archived?: boolean}} state @returns {Promise<Notification>} */
  async mark(id, state) {
    return this.#send('PATCH', path('inbox', id), { body: state });
  }

  /** @param {Which} which @returns {Promise<Changed>} */
  seen(which) { return this.#act('seen', which); }

  /** @param {Which} which @returns {Promise<Changed>} */
  read(which) { return this.#act('read', which); }

  /** @param {Which} which @returns {Promise<Changed>} */
  unread(which) { return this.#act('unread', which); }

  /** @param {Which} which @returns {Promise<Changed>} */
  archive(which) { return this.#act('archive', which); }

  /** @param {Which} which @returns {Promise<Changed>} */
  unarchive(which) { return this.#act('unarchive', which); }

  /** @param {string[]} ids @param {{until: string} | {for: string | number}} end @returns {Promise<Changed>} */
  snooze(ids, end) {
    return this.#send('POST', path('inbox', 'snooze'), { body: { ids, ...end }, harmless: true });
  }

  /** Return the notifications snoozed with `{ until: 'back' }`. @returns {Promise<Changed>} */
  back() {
    return this.#send('POST', path('inbox', 'back'), { harmless: true });
  }

  /**
   * Take an action of a notification. Repeating the call changes nothing.
   * @param {string} id @param {string} key @returns {Promise<Notification>}
   */
  async act(id, key) {
    return this.#send('POST', path('inbox', id, 'actions', key), { harmless: true });
  }

  /** @param {string} id @returns {Promise<void>} */
  async delete(id) {
    await this.#send('DELETE', path('inbox', id));
  }

  /** @param {'read' | 'archived' | 'snoozed' | 'all'} view @param {{type?: string}} [query] @returns {Promise<Changed>} */
  clear(view, query) {
    return this.#send('DELETE', '/v1/inbox', { query: { view, ...query } });
  }

  /** @param {string} verb @param {Which} which @returns {Promise<Changed>} */
  #act(verb, which) {
    return this.#send('POST', path('inbox', verb), { body: Array.isArray(which) ? { ids: which } : which, harmless: true });
  }
}

/** A Bellcast server, called with the project's secret or an API key. */
export class Bellcast {
  #transport;
  #secret;
  #key;
  #crypto;

  /** @param {Options} [options] */
  constructor({ url, secret, key, timeout = TIMEOUT, retries = 2, fetch: send = globalThis.fetch, crypto = globalThis.crypto, ...others } = {}) {
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw new UnknownArgument(`${unknown}: is not known; expected url, secret, key, timeout, retries, fetch or crypto`);
    const credentials = findCredentials(secret, key);
    this.#secret = credentials.secret;
    this.#key = credentials.key;
    this.#crypto = crypto;
    /** @type {Transport} */
    this.#transport = { url: findUrl(url), bearer: credentials.secret, project: credentials.key, timeout, retries, fetch: (...args) => send(...args) };
    const bound = this.request.bind(this);
    this.recipients = new Recipients(bound);
    this.preferences = new Preferences(bound);
    this.templates = new Objects(bound, 'templates');
    this.types = new Objects(bound, 'types');
    this.workflows = new Workflows(bound);
    this.schedules = new Objects(bound, 'schedules');
  }

  /** Send any request of the REST API, with the client's retries. @param {string} method @param {string} address  with `/v1` @param {RequestOptions} [options] @returns {Promise<any>} */
  request(method, address, options) {
    return request(this.#transport, method, address, options);
  }

  /**
   * Notify one recipient, several, or an audience. It is sent exactly once, even if it takes several attempts.
   * @template {string} [Type=string] @param {Target} to @param {string | Draft & OfType<Type>} draft  a string is the title @param {CallOptions & {idempotencyKey?: string}} [options] @returns
   * {Promise<{id: string, ids: string[], notifications: {id: string, recipient: string}[], announcement: {id: string} |
   * null, schedule: Schedule | null}>}  with `send_at`, it contains the schedule and no ids yet
   */
  async notify(to, draft, { idempotencyKey, tenant, signal } = {}) {
    const body = { to: target(to), ...(typeof draft === 'string' ? { title: draft } : draft), ...(tenant && { tenant }) };
    const headers = { 'idempotency-key': idempotencyKey ?? this.#crypto.randomUUID() };
    const sent = await this.request('POST', '/v1/notifications', { body, headers, signal, harmless: true, expects: ['notifications', 'announcement', 'schedule'] });
    const notifications = sent.notifications ?? [];
    const ids = sent.announcement ? [sent.announcement.id] : notifications.map((/** @type {{id: string}} */ { id }) => id);
    return { id: ids[0], ids, notifications, announcement: sent.announcement ?? null, schedule: sent.schedule ?? null };
  }

  /**
   * Send any number of notifications; results are in the same order, and a refused notification does not stop the
   * others, nor does one that JSON cannot express: its error has the code `invalid`.
   * @param {Iterable<Item>} drafts @param {{signal?: AbortSignal}} [options] @returns {Promise<BulkResult[]>}
   */
  async notifyMany(drafts, { signal } = {}) {
    /** @type {BulkResult[]} */
    const results = [];
    for (const entries of slices(drafts)) {
      const lines = entries.filter((entry) => typeof entry === 'string');
      try {
        const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': this.#crypto.randomUUID() };
        const response = lines.length ? await this.request('POST', '/v1/notifications/bulk', { text: lines.join('\n'), headers, signal, harmless: true, timeout: BULK_TIMEOUT, expects: ['results'] }) : { results: [] };
        const sent = response.results.values();
        results.push(...entries.map((entry) => (typeof entry === 'string' ? sent.next().value : entry)));
      } catch (error) {
        if (error instanceof BellcastError) throw new BulkInterrupted(results, error);
        throw error;
      }
    }
    return results;
  }

  /** A notification with its recipient and timeline. @param {string} id @param {CallOptions} [options] @returns {Promise<Notification & {recipient: string | null, timeline: object[]}>} */
  async notification(id, options) {
    return this.request('GET', path('notifications', id), from(options));
  }

  /** Change a sent notification in every inbox that has it; null removes a field. @param {string} id @param {Draft} changes @param {CallOptions} [options] @returns {Promise<Notification>} */
  async edit(id, changes, options) {
    return this.request('PATCH', path('notifications', id), { body: changes, ...from(options) });
  }

  /** Remove a sent notification from every inbox that has it. @param {string} id @param {CallOptions} [options] @returns {Promise<void>} */
  async recall(id, options) {
    await this.request('DELETE', path('notifications', id), from(options));
  }

  /** Publish a live event to a topic, several topics or `{recipient}`. It is in no inbox; clients that reconnect receive it while it is kept. `except` is the id of a connection that does not receive it. @param {string | string[] | {recipient: Id}} to @param {string} name @param {unknown} [data] @param {CallOptions & {except?: string}} [options] @returns {Promise<void>} */
  async publish(to, name, data = null, { except, tenant, signal } = {}) {
    const body = { ...address(to), name: text(name, 'name'), data: checkedData(data, 'data'), ...dropUnset({ except, tenant }) };
    await this.request('POST', '/v1/events', { body, signal });
  }

  /** Start a workflow, now or at `sendAt`: a time with an offset, or one in `timezone`. After the recipient follow the `data`, and options: `actor`, `sendAt`, `timezone`, `cancelKey`, `idempotencyKey`, `tenant`, `signal`. @template {string} Workflow @param {Workflow} workflow @param {Target} to @param {TriggerArguments<Workflow, TriggerOptions>} more  the data, and options @returns {Promise<{trigger: string, run: string, runs: {id: string, recipient: string}[]} & {schedule?: Schedule}>}  with `sendAt` the schedule, and no ids yet */
  trigger(workflow, to, ...more) {
    const [data = {}, { actor, sendAt, timezone, cancelKey, idempotencyKey, tenant, signal } = {}] = /** @type {[data?: Record<string, unknown>, options?: TriggerOptions]} */ (more);
    const body = { to: target(to), data, actor, send_at: sendAt, timezone, cancel_key: cancelKey, ...(tenant && { tenant }) };
    const headers = { 'idempotency-key': idempotencyKey ?? this.#crypto.randomUUID() };
    return this.request('POST', `${path('workflows', workflow)}/trigger`, { body, headers, signal, harmless: true, expects: ['run', 'schedule'] });
  }

  /** Cancel the runs of a workflow that were triggered with this key: of all recipients, or those of `to`. @param {string} workflow @param {string} cancelKey @param {CallOptions & {to?: Target}} [options] @returns {Promise<{cancelled: number}>} */
  cancel(workflow, cancelKey, options = {}) {
    const body = { cancel_key: text(cancelKey, 'cancelKey'), ...('to' in options && { to: target(/** @type {Target} */ (options.to)) }) };
    return this.request('POST', `${path('workflows', workflow)}/cancel`, { body, harmless: true, ...from(options) });
  }

  /** Why a recipient got a `notification`, or what a `run` sent, or did not; or what would happen now to one of a `type`. Without these: the last notification, and the facts since `since`. @param {Id} recipient @param {CallOptions & {notification?: string, run?: string, type?: string, channel?: string, since?: string | Date}} [options] @returns {Promise<{verdict: string, text: string, channels: object[], facts: object[], actions: object[]}>} */
  explain(recipient, { tenant, signal, since, ...of } = {}) {
    const query = { recipient: text(recipient, 'recipient'), ...of, since: since instanceof Date ? since.toISOString() : since, tenant };
    return this.request('GET', '/v1/explain', { query, signal });
  }

  /** A session token for a recipient's page, signed in this process; with an API key, by the server. `ttl` is in seconds, or "2h"; `since` (epoch seconds or a Date) is when the recipient joined the app. @param {Id} recipient @param {{ttl?: number | string, topics?: string[] | undefined, publish?: string[] | undefined, roles?: string[] | undefined, tenant?: string | null | undefined, name?: string | undefined, since?: number | Date | null | undefined}} [options] @returns {Promise<string>} */
  async token(recipient, { ttl = DEFAULT_TTL, since, topics, publish, roles, tenant, name, ...others } = {}) {
    const sub = text(recipient, 'recipient');
    const [unknown] = Object.keys(others); // as a claim, it could replace `sub` or `exp`
    if (unknown !== undefined) throw new UnknownArgument(`${unknown}: is not known; expected ttl, topics, publish, roles, tenant, name or since`);
    for (const [argument, list] of Object.entries({ topics, publish, roles })) {
      if (list != null && !(Array.isArray(list) && list.every((one) => typeof one === 'string'))) throw new InvalidArgument(`${argument}: expected a list of strings`);
    }
    const lifetime = seconds('ttl', ttl);
    if (lifetime < 1 || lifetime > LONGEST_TTL) throw new InvalidArgument('ttl: must be between 1 second and 30 days');
    const claims = Object.fromEntries(Object.entries({ topics, publish, roles, tenant, name, since: since == null ? since : epochSeconds('since', since) }).filter(([, value]) => value !== undefined && value !== null));
    if (this.#secret.startsWith(API_KEY)) return (await this.request('POST', '/v1/tokens', { body: { recipient: sub, ttl: lifetime, ...claims }, harmless: true, expects: ['token'] })).token;
    const now = Date.now() / 1000;
    return signToken(this.#crypto, this.#secret, this.#key, { sub, iat: now, exp: now + lifetime, ...claims });
  }

  /** A token for `<bellcast-template-editor>`: it opens these templates of a tenant (`news-*`) in a page of `origin`. `can` are `edit`, `publish`, `test`, `brand` and `html`; `name` is that of the user, for the audit log, and tests are sent to `email`. `ttl` is in seconds, or "2h", at most 8 hours. @param {string} tenant @param {string[]} templates @param {{can: string[], origin: string, name: string, email?: string, ttl?: number | string}} options @returns {Promise<string>} */
  async editorToken(tenant, templates, { ttl = 3600, ...options }) {
    const body = { tenant: text(tenant, 'tenant'), templates, ...options, ttl: seconds('ttl', ttl) };
    return (await this.request('POST', '/v1/editor-tokens', { body, harmless: true })).token;
  }

  /** Refuse all editor tokens of a tenant that were made so far. @param {string} tenant @returns {Promise<void>} */
  async endEditorTokens(tenant) {
    await this.request('DELETE', '/v1/editor-tokens', { query: { tenant: text(tenant, 'tenant') } });
  }

  /** Close a recipient's live connections and refuse the tokens issued so far. @param {Id} recipient @param {CallOptions} [options] @returns {Promise<void>} */
  async revoke(recipient, options) {
    await this.request('DELETE', `${path('recipients', recipient)}/sessions`, from(options));
  }

  /** @param {string} topic @param {Id} recipient @param {CallOptions} [options] @returns {Promise<void>} */
  async subscribe(topic, recipient, options) {
    await this.request('PUT', path('topics', text(topic, 'topic'), 'subscriptions', text(recipient, 'recipient')), from(options));
  }

  /** @param {string} topic @param {Id} recipient @param {CallOptions} [options] @returns {Promise<void>} */
  async unsubscribe(topic, recipient, options) {
    await this.request('DELETE', path('topics', text(topic, 'topic'), 'subscriptions', text(recipient, 'recipient')), from(options));
  }

  /** The members connected to a topic now. @param {string} topic @param {CallOptions} [options] @returns {Promise<{topic: string, members: {recipient: string, name: string | null, connections: number}[]}>} */
  async presence(topic, options) {
    return this.request('GET', `${path('topics', text(topic, 'topic'))}/presence`, from(options));
  }

  /** The live connections. @param {{limit?: number, after?: string, tenant?: string}} [query] @returns {Promise<any>} */
  connections(query) {
    return this.request('GET', '/v1/connections', { query: query ?? {} });
  }

  /** @param {CallOptions} [options] @returns {Promise<any>} */
  stats(options) {
    return this.request('GET', '/v1/stats', from(options));
  }

  /** The inbox of the recipient of this session token. @param {string} token @returns {Inbox} */
  inbox(token) {
    return new Inbox((method, address, options) => request({ ...this.#transport, bearer: token }, method, address, options));
  }

  /** Check a webhook's signature and return its payload. Throws Unauthorized, and InvalidArgument for a body that is not JSON. @param {Request | {headers: Headers | Record<string, string | string[] | undefined>, body: string | Uint8Array}} incoming @param {{tolerance?: number, secret?: string}} [options]  `tolerance` in seconds; `secret` of the webhook @returns {Promise<any>} */
  async verifyWebhook(incoming, { tolerance = TOLERANCE, secret = this.#secret } = {}) {
    const sent = incoming instanceof Request ? await incoming.text() : incoming.body;
    const body = sent instanceof Uint8Array ? new TextDecoder().decode(sent) : sent;
    if (typeof body !== 'string') throw new InvalidArgument('body: expected the text or the bytes of the request, before they are parsed as JSON');
    if (!(await isSigned(this.#crypto, secret, (name) => headerOf(incoming.headers, name), body, tolerance))) throw new Unauthorized(401, { code: 'unauthenticated', detail: 'The signature is missing, wrong or too old.' }, 'webhook');
    try {
      return JSON.parse(body);
    } catch (cause) {
      throw new InvalidArgument('body: must be JSON', { cause });
    }
  }

  /** The statement that writes a send into the outbox table `bellcast_outbox`, to run in your transaction. A waiting row with the same key stays; a refused one is replaced. @param {'notify' | 'publish'} kind @param {object} payload  the REST body @param {{key?: string, dialect?: 'sqlite' | 'postgresql' | 'postgres' | 'mysql'}} [options]  `postgres` is another name of `postgresql`; the default, `sqlite`, has the placeholders `?` @returns {{sql: string, params: [string, string, string]}} */
  outboxRow(kind, payload, { key, dialect = 'sqlite' } = {}) {
    if (kind !== 'notify' && kind !== 'publish') throw new InvalidArgument(`kind: expected notify or publish, got ${JSON.stringify(kind)}`);
    if (!DIALECTS.has(dialect)) throw new InvalidArgument(`dialect: expected one of ${[...DIALECTS].join(', ')}, got ${JSON.stringify(dialect)}`);
    const mark = (/** @type {number} */ at) => (dialect.startsWith('postgres') ? `$${at}` : '?');
    const [column, end] = dialect === 'mysql' ? ['`key`', RENEWED_MYSQL] : ['key', RENEWED];
    const sql = `INSERT INTO bellcast_outbox (${column}, kind, payload) VALUES (${mark(1)}, ${mark(2)}, ${mark(3)}) ${end}`;
    return { sql, params: [key === undefined ? this.#crypto.randomUUID() : rowKey(key), kind, JSON.stringify(checkedData(payload, 'payload'))] };
  }

  /** A handler that responds with a session token for the signed-in user. @param {FindUser} who @returns {(request: Request) => Promise<Response>} */
  tokenHandler(who) {
    return tokenHandler(this, who);
  }

  /** A handler for BELLCAST_SESSION_URL. @param {FindUser} who @returns {(request: Request) => Promise<Response>} */
  sessionHandler(who) {
    return sessionHandler(who);
  }

  /** A handler for BELLCAST_HANDLER_URL: functions of a call, by name. @param {Record<string, (call: Call) => any>} handlers @returns {(request: Request) => Promise<Response>} */
  callHandler(handlers) {
    return callHandler(this.#crypto, this.#secret, handlers);
  }
}

/**
 * Read a header by its lower-case name. Names in a plain object may have any case; those of HTTP/2, such as `:path`,
 * are none for `Headers`.
 * @param {Headers | Record<string, string | string[] | undefined>} headers @param {string} name @returns {string | null}
 */
function headerOf(headers, name) {
  if (headers instanceof Headers) return headers.get(name);
  const found = Object.keys(headers).find((one) => one.toLowerCase() === name);
  return found === undefined ? null : ([headers[found]].flat()[0] ?? null);
}

/** Split drafts into requests within the server's limits: their lines, or their errors in the server's form. @param {Iterable<Item>} drafts @returns {Generator<(string | BulkResult)[]>} */
function* slices(drafts) {
  /** @type {(string | BulkResult)[]} */
  let entries = [];
  let size = 0;
  for (const draft of drafts) {
    const entry = lineOf(draft);
    const length = typeof entry === 'string' ? entry.length : 0;
    if (entries.length === BULK_ITEMS || (entries.length && size + length > BULK_CHARACTERS)) {
      yield entries;
      [entries, size] = [[], 0];
    }
    entries.push(entry);
    size += length;
  }
  if (entries.length) yield entries;
}

/** A draft as a line of NDJSON, or its error in the server's form. @param {Item} item @returns {string | BulkResult} */
function lineOf(item) {
  try {
    const draft = { ...item, to: target(item?.to) };
    for (const [name, value] of Object.entries(draft)) checkedData({ [name]: value }, name);
    return JSON.stringify(draft);
  } catch (error) {
    if (!(error instanceof InvalidArgument)) throw error;
    const [field = '', ...message] = error.message.split(': ');
    return { error: { status: 422, code: 'invalid', detail: error.message, errors: [{ field, message: message.join(': ') }] } };
  }
}

/** Handlers of requests, `(Request) => Promise<Response>`: for Next.js, Hono, Deno, Bun and Workers; `toNode` adapts them to Express and node:http. */

import { text } from './arguments.js';
import { epochSeconds } from './durations.js';
import { BellcastError, InvalidArgument, Refused } from './errors.js';
import { isSigned } from './signatures.js';

/** @import { Bellcast } from './client.js' */
/** @import { WebCrypto } from './signatures.js' */

/**
 * @typedef {{recipient: string | number, tenant?: string | null, roles?: string[], topics?: string[], publish?: string[], name?: string, since?: string | number | Date | null, expires_at?: string | number | Date | null}} Identity  `since`: see `token`; it may be a text, as a session in JSON has it
 * @typedef {string | number | Identity | null | undefined} Who  a user id, an identity, or null for a visitor who is not signed in
 * @typedef {(request: Request) => Who | Promise<Who>} FindUser
 */

const DEFAULT_TTL = 3600; // seconds
const TOLERANCE = 300; // maximum seconds between a signature's time and now
const MAX_BODY = 16 * 1024 * 1024; // characters of an unsigned body in memory; a call has about a million by default

/** @param {number} status @param {unknown} body */
const json = (status, body) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });

/** @param {Who} who @returns {Identity | null} */
function identityOf(who) {
  if (who === null || who === undefined || who === '') return null;
  return typeof who === 'object' ? who : { recipient: who };
}

/** @param {string} name @param {string | number | Date} value */
function timeOf(name, value) {
  const time = new Date(value);
  if (Number.isNaN(time.getTime())) throw new InvalidArgument(`${name}: expected a time, got ${JSON.stringify(value)}`);
  return time;
}

/** When the session ends, in ms since the epoch; NaN if it does not. @param {Identity} identity */
const endOf = ({ expires_at: end }) => (end === null || end === undefined ? NaN : timeOf('expires_at', end).getTime());

/** When the recipient joined the app. @param {Identity} identity */
const joinedOf = ({ since }) => (typeof since === 'string' ? timeOf('since', since) : since);

/** Respond with a session token of the user, which ends with the session. @param {Bellcast} bell @param {FindUser} who @returns {(request: Request) => Promise<Response>} */
export function tokenHandler(bell, who) {
  return async (request) => {
    const identity = identityOf(await who(request));
    if (!identity) return json(401, { detail: 'Not signed in.' });
    const { recipient, tenant, roles, topics, publish, name } = identity; // the app's session may have more
    const left = (endOf(identity) - Date.now()) / 1000;
    if (left <= 0) return json(401, { detail: 'The session has ended.' });
    const ttl = Number.isNaN(left) ? DEFAULT_TTL : Math.max(1, Math.min(left, DEFAULT_TTL));
    return json(200, { token: await bell.token(recipient, { tenant, roles, topics, publish, name, since: joinedOf(identity), ttl }), expires_at: new Date(Date.now() + ttl * 1000).toISOString() });
  };
}

/** Respond in the format that BELLCAST_SESSION_URL expects. @param {FindUser} who @returns {(request: Request) => Promise<Response>} */
export function sessionHandler(who) {
  return async (request) => {
    const identity = identityOf(await who(request));
    if (!identity) return json(401, { detail: 'Not signed in.' });
    const { recipient, tenant = null, roles, topics, publish, name } = identity;
    const end = endOf(identity), since = joinedOf(identity);
    return json(200, { recipient: text(recipient, 'recipient'), tenant, ...(roles && { roles }), ...(topics && { topics }), ...(publish && { publish }), ...(name && { name }), ...(since != null && { since: epochSeconds('since', since) }), ...(!Number.isNaN(end) && { expires_at: new Date(end).toISOString() }) });
  };
}

/** A call of a page, and its effects. */
export class Call {
  /** @type {Record<string, any>} */
  #response;

  /** @param {Record<string, any>} fields @param {Record<string, any>} response */
  constructor(fields, response) {
    this.#response = response;
    /** @type {string} */
    this.name = fields.name;
    /** @type {any[]} */
    this.args = fields.args ?? [];
    /** The first argument. @type {any} */
    this.data = this.args[0];
    /** @type {string | null} */
    this.recipient = fields.recipient ?? null;
    /** @type {string | null} */
    this.tenant = fields.tenant ?? null;
    /** @type {string[]} */
    this.roles = fields.roles ?? [];
    /** @type {string} */
    this.connection = fields.connection ?? '';
    /** @type {string} */
    this.dialect = fields.dialect ?? '';
    /** @type {string} */
    this.namespace = fields.namespace ?? '/';
  }

  /** Emit to the caller, before the reply. @param {string} name @param {...any} args */
  emit(name, ...args) {
    (this.#response.emit ??= []).push({ name, args });
  }

  /** Publish to a topic of the caller's tenant. @param {string} topic @param {string} name @param {any} [data] */
  publish(topic, name, data = null) {
    (this.#response.emit ??= []).push({ name, args: [data], to: topic });
  }

  /** Subscribe the caller to topics. @param {...string} topics */
  join(...topics) {
    (this.#response.join ??= []).push(...topics);
  }

  /** @param {...string} topics */
  leave(...topics) {
    (this.#response.leave ??= []).push(...topics);
  }

  /** In `connect`: authenticate the connection as this recipient. @param {string | number} recipient @param {{roles?: string[], tenant?: string | null}} [options] */
  accept(recipient, { roles, tenant } = {}) {
    if (this.name !== 'connect') throw new Error(`call.accept() is for the connect handler, not for ${JSON.stringify(this.name)}`);
    this.#response.accept = { recipient: text(recipient, 'recipient'), ...(roles && { roles }), ...(tenant && { tenant }) };
  }
}

/**
 * Handle calls from pages, for BELLCAST_HANDLER_URL.
 * @param {WebCrypto} crypto @param {string} secret @param {Record<string, (call: Call) => any>} handlers @returns {(request: Request) => Promise<Response>}
 */
export function callHandler(crypto, secret, handlers) {
  return async (request) => {
    const body = await request.text();
    // Requests of workflow steps are signed with the same secret, and their body may have any format. Only their ids
    // have a dot.
    const isStep = request.headers.get('webhook-id')?.includes('.');
    if (isStep || !(await isSigned(crypto, secret, (name) => request.headers.get(name), body, TOLERANCE))) return json(401, { detail: 'The signature is missing, wrong or too old.' });
    const fields = JSON.parse(body);
    const handler = Object.hasOwn(handlers, fields.name) ? handlers[fields.name] : undefined;
    if (!handler) return json(404, { detail: `No handler exists for ${JSON.stringify(fields.name)}.` });
    /** @type {Record<string, any>} */
    const response = {};
    try {
      return json(200, { ...response, reply: (await handler(new Call(fields, response))) ?? null, ...response });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return json(200, { ...response, refuse: { message: error.message, data: error.data ?? null } });
    }
  };
}

/** Adapt a handler to node:http and Express. A body that a parser has read is encoded again, so put signed paths before parsers. @param {(request: Request) => Promise<Response>} handler */
export function toNode(handler) {
  /** @param {any} incoming @param {any} outgoing @param {(error: unknown) => void} [next] */
  return async (incoming, outgoing, next) => {
    try {
      const headers = new Headers();
      for (const [name, value] of Object.entries(incoming.headers)) for (const one of [value].flat()) headers.append(name, String(one));
      const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
      const body = hasBody ? await bodyOf(incoming) : null;
      const url = `http://${incoming.headers.host ?? 'localhost'}${incoming.originalUrl ?? incoming.url}`;
      const response = await handler(new Request(url, { method: incoming.method, headers, body }));
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(await response.text());
    } catch (error) {
      if (next) return next(error);
      if (!outgoing.headersSent) outgoing.writeHead(500, { 'content-type': 'application/json' });
      outgoing.end('{"detail":"Internal error."}');
    }
  };
}

/** @param {any} incoming @returns {Promise<string>} */
async function bodyOf(incoming) {
  if (incoming.body !== undefined) return typeof incoming.body === 'string' ? incoming.body : ArrayBuffer.isView(incoming.body) ? new TextDecoder().decode(incoming.body) : JSON.stringify(incoming.body);
  const decoder = new TextDecoder();
  let body = '';
  for await (const chunk of incoming) {
    body += decoder.decode(chunk, { stream: true });
    if (body.length > MAX_BODY) throw Object.assign(new BellcastError(`the body has more than ${MAX_BODY} characters`), { status: 413 }); // Express responds with the status
  }
  return body + decoder.decode();
}

/**
 * The bell on a page, with a fake server: `node test/page/server.js [port]`, then open the address it prints.
 * Canned inbox, REST and SSE; no WebSocket, so this is also the way through a proxy that blocks them.
 * `?state=` of the page picks an inbox: full, empty, slow, broken, ended.
 */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

import { inboxOf } from './inboxes.js';

const SRC = new URL('../../src/', import.meta.url);
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'";
const NAMES = { unread: 'unread', read: 'read', seen: 'seen', archive: 'archived', unarchive: 'unarchived', delete: 'deleted' };

/** @type {Map<string, ReturnType<typeof inboxOf>>} */
const inboxes = new Map();
/** @type {Map<string, Set<import('node:http').ServerResponse>>} */
const streams = new Map();

const inbox = (token) => inboxes.get(token) ?? inboxes.set(token, inboxOf(token)).get(token);
const counts = ({ rows, revision }) => ({
  unread: rows.filter((n) => !n.read_at && !n.archived_at).length,
  unseen: rows.filter((n) => !n.seen_at && !n.archived_at).length,
  position: String(revision),
});

function sendFrame(token, type, fields) {
  const event = { ...fields, ...counts(inbox(token)) };
  for (const stream of streams.get(token) ?? []) {
    stream.write(`event: ${type}\nid: ${event.position}\ndata: ${JSON.stringify(event)}\n\n`);
  }
}

function act(token, verb, { ids, all }) {
  const mine = inbox(token);
  const at = new Date().toISOString();
  const meant = mine.rows.filter((n) => (all ? !n.archived_at : ids.includes(n.id)));
  for (const n of meant) {
    if (verb === 'seen' || verb === 'read') n.seen_at ??= at;
    if (verb === 'read') n.read_at ??= at;
    if (verb === 'unread') n.read_at = null;
    if (verb === 'archive') n.archived_at = at;
    if (verb === 'unarchive') n.archived_at = null;
  }
  if (verb === 'delete') mine.rows = mine.rows.filter((n) => !meant.includes(n));
  mine.revision++;
  sendFrame(token, 'counts', { changed: NAMES[verb], ids: all ? 'all' : ids, at });
  return { changed: meant.length, ...counts(mine) };
}

function page(token, search) {
  const limit = Number(search.get('limit') ?? 20);
  const [view, type, tag] = ['view', 'type', 'tag'].map((name) => search.get(name));
  const meant = (n) => Boolean(n.archived_at) === (view === 'archived') && (view !== 'unread' || !n.read_at) && (!type || n.type === type) && (!tag || n.tags.includes(tag));
  const rows = inbox(token).rows.filter((n) => meant(n) && n.id < (search.get('before') ?? '~'));
  const notifications = rows.slice(0, limit);
  return { notifications, next: rows.length > limit ? notifications.at(-1).id : null, ...counts(inbox(token)) };
}

async function rest(request, token, { pathname, searchParams }) {
  const id = pathname.split('/')[3];
  const chunks = await request.toArray();
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
  if (request.method === 'POST' && pathname === '/v1/inbox') return arrive(token, body);
  if (request.method === 'POST') return act(token, id, body);
  return id === 'counts' ? counts(inbox(token)) : page(token, searchParams);
}

function arrive(token, notification) {
  const mine = inbox(token);
  mine.revision++;
  const made = mine.make(notification);
  mine.rows.unshift(made);
  sendFrame(token, 'notification', { notification: made });
  return made;
}

function stream(token, request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const ready = { connection: 'c', recipient: token, heartbeat: 25, resumed: true, topics: [], refused: [] };
  response.write(`event: ready\ndata: ${JSON.stringify({ ...ready, ...counts(inbox(token)) })}\n\n`);
  const open = streams.get(token) ?? streams.set(token, new Set()).get(token);
  open.add(response);
  request.on('close', () => open.delete(response));
}

async function file(pathname, response) {
  const place = pathname.startsWith('/bellcast') ? new URL(`.${pathname}`, SRC) : new URL(`.${pathname}`, import.meta.url);
  const type = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }[pathname.split('.').pop()] ?? 'text/html';
  const content = await readFile(fileURLToPath(place)).catch(() => null);
  response.writeHead(content ? 200 : 404, { 'content-type': type, 'content-security-policy': CSP }).end(content ?? '');
}

async function respond(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (!url.pathname.startsWith('/v1/')) return file(url.pathname === '/' ? '/index.html' : url.pathname, response);
  const token = url.searchParams.get('token') ?? (request.headers.authorization ?? '').slice('Bearer '.length);
  if (token === 'slow') return undefined;
  if (token === 'ended' || token === 'broken') return problem(response, token === 'ended' ? 401 : 503);
  if (url.pathname === '/v1/stream') return stream(token, request, response);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(await rest(request, token, url)));
}

function problem(response, status) {
  const code = status === 401 ? 'unauthenticated' : 'unavailable';
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ code, status, title: code }));
}

const server = createServer((request, response) => void respond(request, response));
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));

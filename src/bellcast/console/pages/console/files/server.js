/**
 * Requests to the REST API of this server, with the operator's session.
 */

/** The path at which the server is mounted, without a trailing slash. */
export const ROOT = new URL('..', import.meta.url.replace(/~\w+\/(?=server\.js$)/, '')).pathname.replace(/\/$/, '');

/** An error of the server, with the fields of its problem document. */
export class Problem extends Error {
  constructor(status, body, requestId) {
    const fields = (body.errors ?? []).map((one) => `${one.field} ${one.message}`).join('; ');
    super(fields || body.detail || body.title || `The server responded with ${status}.`);
    this.errors = body.errors ?? [];
    this.status = status;
    this.code = body.code;
    this.requestId = requestId;
  }
}

let signInAgain = async () => false;
let askPassword = async () => false;

/** Call this when the session has ended; it resolves to true if the operator signed in again, so that nothing of the page is lost. */
export function whenSignedOut(callback) {
  signInAgain = callback;
}

/** Call this when the server needs the password again; it resolves to true if the operator entered it. */
export function whenPasswordRequired(callback) {
  askPassword = callback;
}

let reach = () => {};
/** Call this after each request, with whether the server answered. */
export function whenReached(callback) {
  reach = callback;
}

let bearer = null;

/** Authenticate requests with a token instead of the operator's session. */
export function useToken(token) {
  bearer = token;
}

/** Send a request with a JSON body; return the decoded response. Throws Problem. */
export async function request(method, path, body, signal) {
  const json = body === undefined ? {} : { type: 'application/json', body: JSON.stringify(body) };
  return (await exchange(method, path, { signal, ...json })).value;
}

/** Send a change as JSON, with the condition If-Match or If-None-Match. Return the object. Throws Problem. */
export async function sendIf(method, path, body, condition) {
  return (await exchange(method, path, { type: 'application/json', body: JSON.stringify(body), headers: condition })).value;
}

/** Write an object as YAML, with the condition If-Match or If-None-Match. Return the object. Throws Problem. */
export async function putYaml(path, body, condition, signal) {
  return (await exchange('PUT', path, { type: 'application/yaml', body, headers: condition, signal })).value;
}

/** Read an object: its value, and its ETag for a conditional write. Throws Problem. */
export async function getTagged(path, signal) {
  const { value, response } = await exchange('GET', path, { signal });
  return { value, tag: response.headers.get('etag') };
}

/** Send a request; return the decoded body and the response. Throws Problem. */
export async function exchange(method, path, { type, body, headers, signal }) {
  const sent = bearer;
  const options = { method, signal, body, ...(bearer && { credentials: 'omit' }), headers: { accept: 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }), ...(type && { 'content-type': type }), ...headers } };
  let response;
  try {
    response = await fetch(`${ROOT}${path}`, options);
  } catch (failure) {
    if (signal?.aborted) throw failure;
    reach(false);
    throw new Problem(0, { detail: 'The server cannot be reached.' }, null);
  }
  reach(true);
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  const value = isJson ? await response.json() : await response.text();
  if (response.ok) return { value, response };
  const isEnded = response.status === 401 && !path.startsWith('/v1/session') && path !== '/v1/me/password';
  // A refusal that arrives after the next token says nothing about that one.
  if (isEnded && (sent !== bearer || await signInAgain())) return exchange(method, path, { type, body, headers, signal });
  if (value.code === 'password_required' && await askPassword(method, path)) return exchange(method, path, { type, body, headers, signal });
  throw new Problem(response.status, isJson ? value : {}, response.headers.get('x-request-id'));
}

/** Follow an event stream: call `opened` with the server's time, then `receive` with the name and the data of each event. Throws Problem. */
export async function follow(path, signal, opened, receive) {
  const response = await open(path, { signal, headers: { accept: 'text/event-stream' } });
  opened(Date.parse(response.headers.get('date')));
  await split(response, '\n\n', (block) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
    if (name) receive(name, JSON.parse(data));
  });
}

/** Send a request, and call `receive` with each line of JSON as it arrives. Throws Problem. */
export async function lines(method, path, signal, receive) {
  const response = await open(path, { method, signal, headers: { accept: 'application/x-ndjson' } });
  await split(response, '\n', (line) => receive(JSON.parse(line)));
}

async function open(path, options) {
  let response;
  try {
    response = await fetch(`${ROOT}${path}`, options);
  } catch (failure) {
    if (options.signal?.aborted) throw failure;
    throw new Problem(0, { detail: 'The server cannot be reached.' }, null);
  }
  if (response.ok) return response;
  if (response.status === 401 && await signInAgain()) return open(path, options);
  throw new Problem(response.status, await response.json().catch(() => ({})), response.headers.get('x-request-id'));
}

/** Read a body, and call `receive` with each part that ends with a separator. */
async function split(response, separator, receive) {
  let rest = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(separator);
    rest = parts.pop();
    parts.forEach(receive);
  }
}

export const get = (path, signal) => request('GET', path, undefined, signal);

/** The rows of all pages of a short list; `target` returns the path of the page after a cursor. */
export async function readAll(target, rows, signal) {
  const all = [];
  for (let after = ''; after !== null;) {
    const response = await get(target(after), signal);
    all.push(...response[rows]);
    after = response.next ?? null;
  }
  return all;
}

/** A path with encoded segments. */
export function path(strings, ...values) {
  return String.raw({ raw: strings }, ...values.map(encodeURIComponent));
}

/** A path, which can have a query, with those query parameters that have a value. */
export function withQuery(base, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== '' && value !== null && value !== undefined));
  return query.size ? `${base}${base.includes('?') ? '&' : '?'}${query}` : base;
}

/** Save a response as a file of this computer. Throws Problem. */
export async function download(target, type, name) {
  const response = await open(target, { headers: { accept: type } });
  save(await response.blob(), name);
}

/** Save a file under a name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

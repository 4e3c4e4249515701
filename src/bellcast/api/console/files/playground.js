/**
 * The playground: one recipient on all four dialects, a composer, and the same as code.
 */
import { clockTime, field, fill, form, h, state } from './dom.js';
import { heading } from './list.js';
import { card } from './page.js';
import { ROOT, get, request } from './server.js';

/** Frames that a pane keeps. */
const MAX_FRAMES = 50;
const TTL = '1h';
const PROTOCOL = 7;

export function playground(page) {
  const panes = h('div', { class: 'panes', hidden: true });
  const compose = h('div', { hidden: true });
  const technical = { required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
  let session = new AbortController();
  page.signal.addEventListener('abort', () => session.abort());
  const start = form([
    field('Recipient', { name: 'recipient', value: page.query.get('recipient') ?? 'playground', ...technical }),
    field('Topic', { name: 'topic', value: 'private-playground', ...technical }),
    field('Tenant', { name: 'tenant', value: page.query.get('tenant') ?? '', ...technical, required: false }),
  ], 'Connect', async ({ recipient, topic, tenant }) => {
    const granted = { recipient, topics: [topic], publish: [topic], ttl: TTL, ...(tenant && { tenant }) };
    const [{ token }, { apps }] = await Promise.all([request('POST', '/v1/tokens', granted), get('/v1/pusher-apps', page.signal)]);
    session.abort();
    session = new AbortController();
    const app = apps.find((one) => (one.tenant ?? '') === tenant && one.enabled && one.state === 'active');
    const target = { recipient, topic, tenant, token, key: app?.key, signal: session.signal };
    fill(panes, DIALECTS.map(([name, transport, connect]) => pane(name, transport, connect, target)));
    fill(compose, composer(target), code(target));
    panes.hidden = compose.hidden = false;
  });
  start.classList.add('inline');
  return [
    heading('Playground'),
    h('p', { class: 'muted' }, 'One recipient on SSE, WebSocket, Socket.IO and Pusher at the same time: send, and compare what arrives.'),
    card('Connect on all four dialects', start), panes, compose,
  ];
}

/** A connection's frames, newest first. `connect` gets callbacks, and returns what closes the connection. */
function pane(name, transport, connect, target) {
  const status = h('span', { role: 'status' }, state('waiting'));
  const frames = h('ol', { class: 'frames', tabindex: '0', 'aria-label': `Frames of ${name}` });
  const show = (word) => {
    fill(status, state(word));
  };
  const receive = (event, data) => {
    frames.prepend(h('li', {}, h('div', {}, h('b', {}, event), ' ', h('small', { class: 'muted' }, clockTime(new Date().toISOString()))), data !== undefined && h('code', {}, typeof data === 'string' ? data : JSON.stringify(data))));
    while (frames.children.length > MAX_FRAMES) frames.lastElementChild.remove();
  };
  const close = connect(target, { opened: () => show('connected'), closed: () => target.signal.aborted || show('closed'), failed: (text) => {
    show('error');
    receive('error', text);
  }, receive });
  target.signal.addEventListener('abort', close);
  return h('section', { class: 'panel pane', 'aria-label': name }, h('h2', {}, name, ' ', h('small', { class: 'muted' }, transport), ' ', status), frames);
}

const query = ({ token, topic }) => new URLSearchParams({ token, topics: topic });

function socketUrl(path) {
  const url = new URL(`${ROOT}${path}`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

function socket(url, { closed, failed }, receive) {
  const connection = new WebSocket(url);
  connection.onmessage = ({ data }) => receive(data);
  connection.onerror = () => failed('The WebSocket could not be opened.');
  connection.onclose = closed;
  return connection;
}

const NATIVE = ['ready', 'notification', 'notification-update', 'notification-delete', 'counts', 'event', 'presence', 'typing', 'preferences', 'reset', 'close'];

function eventStream(target, { opened, failed, receive }) {
  const source = new EventSource(`${ROOT}/v1/stream?${query(target)}`);
  source.onopen = opened;
  source.onerror = () => failed(source.readyState === EventSource.CLOSED ? 'The stream was refused.' : 'The stream ended; the browser opens it again.');
  for (const name of NATIVE) source.addEventListener(name, ({ data }) => data && receive(name, data));
  return () => source.close();
}

function webSocket(target, callbacks) {
  const connection = socket(socketUrl(`/v1/ws?${query(target)}`), callbacks, (text) => {
    const { type, ...fields } = JSON.parse(text);
    if (type === 'ready') callbacks.opened();
    callbacks.receive(type, fields);
  });
  return () => connection.close();
}

/** Engine.IO 4: `0` opens, `2` is a ping, `4` a message. Socket.IO 5: `40` connects, `42` is an event, `44` a refusal. */
function socketIO(target, callbacks) {
  const connection = socket(socketUrl('/socket.io/?EIO=4&transport=websocket'), callbacks, (text) => {
    if (text.startsWith('0')) connection.send(`40${JSON.stringify({ token: target.token })}`);
    else if (text === '2') connection.send('3');
    else if (text.startsWith('40')) callbacks.opened();
    else if (text.startsWith('44')) callbacks.failed(JSON.parse(text.slice(2)).message);
    else if (text.startsWith('42')) {
      const [name, ...values] = JSON.parse(text.slice(2));
      callbacks.receive(name, values.length === 1 ? values[0] : values);
    }
  });
  return () => connection.close();
}

function pusher(target, callbacks) {
  if (!target.key) {
    callbacks.failed('This tenant has no Pusher app: add one under Settings.');
    return () => {};
  }
  const url = socketUrl(`/app/${encodeURIComponent(target.key)}?protocol=${PROTOCOL}&client=console&version=1`);
  const send = (event, data) => connection.send(JSON.stringify({ event, data }));
  const connection = socket(url, callbacks, async (text) => {
    const { event, data, channel } = JSON.parse(text);
    if (event === 'pusher:ping') return send('pusher:pong', {});
    callbacks.receive(channel ? `${event} on ${channel}` : event, data);
    if (event !== 'pusher:connection_established') return undefined;
    callbacks.opened();
    try {
      const { socket_id } = JSON.parse(data);
      send('pusher:signin', await authorize('/pusher/user-auth', target, { socket_id }));
      send('pusher:subscribe', { channel: target.topic, ...(target.topic.startsWith('private-') || target.topic.startsWith('presence-')) && await authorize('/pusher/auth', target, { socket_id, channel_name: target.topic }) });
    } catch (problem) {
      callbacks.failed(problem.message);
    }
    return undefined;
  });
  return () => connection.close();
}

/** Sign for the recipient, as pusher-js does: the token is its, not the operator's. */
async function authorize(path, { token, signal }, body) {
  const response = await fetch(`${ROOT}${path}`, { method: 'POST', signal, credentials: 'omit', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const DIALECTS = [
  ['SSE', 'GET /v1/stream', eventStream],
  ['WebSocket', 'GET /v1/ws', webSocket],
  ['Socket.IO', 'version 5', socketIO],
  ['Pusher', 'protocol 7', pusher],
];

function composer({ recipient, topic, tenant }) {
  const inTenant = tenant && { tenant };
  const sent = h('p', { role: 'status', class: 'muted' });
  return h('div', { class: 'columns' },
    card('Send a notification', form([
      field('Title', { name: 'title', value: 'Hello', required: true, autocomplete: 'off' }),
      field('Text', { name: 'body', autocomplete: 'off' }),
    ], 'Send', async ({ title, body }) => {
      const { notifications } = await request('POST', '/v1/notifications', { to: recipient, title, ...(body && { body }), ...inTenant });
      sent.textContent = `Stored as ${notifications[0].id}, and delivered to every pane.`;
    }), sent),
    card('Publish a live event', form([
      field('Event', { name: 'name', value: 'lead.assigned', required: true, autocomplete: 'off' }),
      field('Data', { name: 'data', value: '{"lead": 7}', autocomplete: 'off', spellcheck: 'false' }, 'JSON.'),
    ], 'Publish', async ({ name, data }) => {
      await request('POST', '/v1/events', { topic, name, data: data.trim() ? parsed(data) : null, ...inTenant });
    })));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('The data is not valid JSON.');
  }
}

/** The same send and subscription in the languages of apps. */
function code({ recipient, topic, tenant, key }) {
  const url = `${location.origin}${ROOT}`;
  const body = JSON.stringify({ to: recipient, title: 'Hello', ...(tenant && { tenant }) });
  const python = tenant ? `, tenant="${tenant}"` : '';
  const texts = {
    curl: `curl ${url}/v1/notifications -H "Authorization: Bearer $BELLCAST_SECRET" \\\n  -H "Content-Type: application/json" -d '${body}'`,
    Python: `from bellcast import Bellcast\n\nbell = Bellcast("${url}")\nbell.notify("${recipient}", title="Hello"${python})`,
    Node: `await fetch('${url}/v1/notifications', {\n  method: 'POST',\n  headers: { authorization: \`Bearer \${process.env.BELLCAST_SECRET}\`, 'content-type': 'application/json' },\n  body: JSON.stringify(${body}),\n});`,
    PHP: `$pusher = new Pusher\\Pusher('${key ?? 'KEY'}', getenv('PUSHER_APP_SECRET'), getenv('PUSHER_APP_ID'),\n  ['host' => '${location.hostname}', 'port' => ${location.port || (location.protocol === 'https:' ? 443 : 80)}, 'scheme' => '${location.protocol.slice(0, -1)}']);\n$pusher->trigger('${topic}', 'lead.assigned', ['lead' => 7]);`,
    Browser: `<script type="module" src="${url}/bellcast.js"></script>\n<bellcast-bell server="${url}" token-url="/bell-token"></bellcast-bell>`,
  };
  const place = h('pre', { tabindex: '0' });
  const buttons = Object.entries(texts).map(([name, text]) => h('button', { type: 'button', 'aria-pressed': 'false', onclick: (event) => {
    for (const other of buttons) other.setAttribute('aria-pressed', String(other === event.currentTarget));
    fill(place, h('code', {}, text));
  } }, name));
  const section = card('The same as code', h('div', { class: 'choice', role: 'group', 'aria-label': 'Language' }, buttons), place);
  buttons[0].click();
  return section;
}

/**
 * The playground: one recipient on all four dialects, a composer, and the equivalent code.
 */
import { samples } from './code-samples.js';
import { clockTime, copyButton, field, fill, form, h, state } from './dom.js';
import { heading, json, tenantField } from './list.js';
import { card, parsed } from './page.js';
import { ROOT, get, request, withQuery } from './server.js';
import { DIALECTS } from './stock-clients.js';

/** Maximum frames per pane. */
const MAX_FRAMES = 50;
const TTL = '1h';

export function playground(page) {
  const panes = h('div', { class: 'panes', hidden: true });
  const compose = h('div', { hidden: true });
  const technical = { required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
  let session = new AbortController();
  page.signal.addEventListener('abort', () => session.abort());
  const start = form([
    field('Recipient', { name: 'recipient', value: page.query.get('recipient') ?? 'playground', ...technical }),
    field('Topic', { name: 'topic', value: 'private-playground', ...technical }),
    tenantField(page, 'Tenant', { name: 'tenant', value: page.query.get('tenant') ?? '', ...technical, required: false, placeholder: 'none' }),
  ], 'Connect', async ({ recipient, topic, tenant }) => {
    const granted = { recipient, topics: [topic], publish: [topic], ttl: TTL, ...(tenant && { tenant }) };
    const [{ token }, { apps }] = await Promise.all([request('POST', '/v1/tokens', granted), get(withQuery('/v1/pusher-apps', { tenant }), page.signal)]);
    session.abort();
    session = new AbortController();
    const app = apps.find((one) => (one.tenant ?? '') === tenant && one.enabled && one.state === 'active');
    const target = { recipient, topic, tenant, token, key: app?.key, signal: session.signal };
    fill(panes, DIALECTS.map((dialect) => pane(dialect, target)));
    fill(compose, composer(target));
    panes.hidden = compose.hidden = false;
  });
  start.classList.add('inline');
  return [
    heading('Playground'),
    h('p', { class: 'muted' }, 'One recipient on SSE, WebSocket, Socket.IO and Pusher at the same time: send, and compare what arrives.'),
    card('Connect on all four dialects', start), panes, compose,
  ];
}

/** A connection's frames, newest first. `connect` resolves to a function that closes the connection. */
function pane([name, kind, client, connect], target) {
  const { signal } = target;
  const status = h('span', { role: 'status' }, state('waiting'));
  const frames = h('ol', { class: 'frames', tabindex: '0', 'aria-label': `Frames of ${name}` });
  const show = (word) => signal.aborted || fill(status, state(word));
  const receive = (event, data) => {
    frames.prepend(frame(event, data));
    while (frames.children.length > MAX_FRAMES) frames.lastElementChild.remove();
  };
  const failed = (text) => {
    show('error');
    receive('error', text);
  };
  connect(target, { opened: () => show('connected'), closed: () => show('closed'), failed, receive }).then((close) => {
    if (signal.aborted) close();
    else signal.addEventListener('abort', close);
  }, (problem) => failed(problem.message));
  return h('section', { class: 'panel pane', 'aria-label': name }, h('h2', {}, h('span', { class: `dialect ${kind}` }, name), ' ', h('small', { class: 'muted' }, client), ' ', status), frames);
}

/** A frame on one line, which expands to its full data. */
function frame(event, data) {
  const title = [h('b', {}, event), ' ', h('small', { class: 'muted' }, clockTime(new Date().toISOString()))];
  if (data === undefined) return h('li', {}, title);
  return h('li', {}, h('details', {}, h('summary', {}, title, h('code', {}, typeof data === 'string' ? data : JSON.stringify(data))), json(data)));
}

/** Two forms that send, with the equivalent code, which is updated as the operator types. */
function composer({ recipient, topic, tenant }) {
  const inTenant = tenant && { tenant };
  const sent = h('p', { role: 'status', class: 'muted' });
  const notification = form([
    field('Title', { name: 'title', value: 'Hello', required: true, autocomplete: 'off' }),
    field('Text', { name: 'body', autocomplete: 'off' }),
  ], 'Send', async (draft) => {
    const { notifications } = await request('POST', '/v1/notifications', { to: recipient, title: draft.title, ...(draft.body && { body: draft.body }), ...inTenant });
    sent.textContent = `Stored as ${notifications[0].id}.`;
  });
  const event = form([
    field('Event', { name: 'name', value: 'lead.assigned', required: true, autocomplete: 'off' }),
    field('Data', { name: 'data', value: '{"lead": 7}', autocomplete: 'off', spellcheck: 'false' }, 'JSON.'),
  ], 'Publish', async ({ name, data }) => {
    await request('POST', '/v1/events', { topic, name, data: parsed(data), ...inTenant });
  });
  const drafts = () => {
    const { name, data } = Object.fromEntries(new FormData(event));
    return { draft: Object.fromEntries(new FormData(notification)), event: { name, data: parsed(data) } };
  };
  const [section, update] = code(() => samples({ url: `${location.origin}${ROOT}`, recipient, topic, tenant, ...drafts() }));
  return [h('div', { class: 'columns', oninput: update }, card('Send a notification', notification, sent), card('Publish a live event', event)), section];
}

/** Code in the chosen language, and a function that updates it. While the input is incomplete, the last code stays. */
function code(read) {
  const shown = h('code');
  let language = 'curl';
  const update = () => {
    try {
      shown.textContent = read()[language];
    } catch {
      // The form reports invalid input when it is submitted.
    }
  };
  const buttons = ['curl', 'Python', 'Node', 'PHP', 'Browser'].map((name) => h('button', { type: 'button', 'aria-pressed': String(name === language), onclick: () => {
    language = name;
    for (const one of buttons) one.setAttribute('aria-pressed', String(one.textContent === name));
    update();
  } }, name));
  update();
  const section = card('The same as code', h('div', { class: 'choice' }, h('div', { class: 'choice', role: 'group', 'aria-label': 'Language' }, buttons), copyButton('the code', () => shown.textContent)), h('pre', { tabindex: '0' }, shown));
  return [section, update];
}

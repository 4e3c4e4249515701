/**
 * The live feed: the server's events as they happen, newest first, with their JSON and, for a refusal, a fix.
 */
import { originFix } from './allow-origin.js';
import { clockTime, duration, fill, h, id, moment, prose } from './dom.js';
import { RANGE } from './filters.js';
import { html } from './html.js';
import { RECIPIENT, empty, facts, failure, filterBar, heading, json, load } from './list.js';
import { State } from './parts.js';
import { follow, get, path, withQuery } from './server.js';

const KINDS = ['', 'request', 'refused', 'send', 'publish', 'connect', 'disconnect', 'subscribe', 'call', 'run', 'attempt', 'webhook', 'settings', 'operator', 'warning'];
const filtersOf = ({ me }) => [
  { name: 'kind', label: 'Kind', options: KINDS }, { name: 'tenant', label: 'Tenant', ...(me.tenants && { options: ['', ...me.tenants] }) }, RECIPIENT,
  { name: 'topic', label: 'Topic' }, { name: 'connection', label: 'Connection' }, { name: 'text', label: 'Text' },
];
/** More events than an operator can read would slow the page down. */
const MAX_EVENTS = 250;
const RECENT = 100;
/** Delay before the feed is opened again after it was lost. */
const RETRY_MS = 2000;
const BAD = new Set(['refused', 'warning']);
const WIDE = matchMedia('(min-width: 1200px)');
/** After a touch, no pointer is over the list. */
const HAS_POINTER = matchMedia('(hover: hover)');

export function live(page) {
  const filters = filtersOf(page);
  const query = Object.fromEntries(filters.map(({ name }) => [name, page.query.get(name) ?? '']));
  const body = h('tbody');
  const status = h('span', { class: 'muted', role: 'status' }, 'Connecting');
  const skipped = h('p', { class: 'muted' });
  const place = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Events', hidden: true },
    h('table', { class: 'feed' }, h('thead', {}, h('tr', {}, ['Event', 'Kind', 'Tenant, recipient, topic', 'Time'].map((name) => h('th', { scope: 'col' }, name)))), body));
  const none = empty('No event matches yet. All events of this server appear here immediately.', 'bellcast notify alice "Hello"');
  const error = h('div');
  let waiting = [];
  let isPaused = false;
  let frame = 0;
  let left = 0;
  let isOpened = false;
  const known = new Set();
  let newestAt = '';
  let lostAt = '';

  const setPaused = (wanted) => {
    if (isPaused === wanted) return;
    isPaused = wanted;
    pause.setAttribute('aria-pressed', String(isPaused));
    pause.textContent = isPaused ? 'Resume' : 'Pause';
    draw();
  };
  const opened = openedEvent(page, () => setPaused(true));
  // Rows must not move while the pointer is about to click one.
  const isPointedAt = () => HAS_POINTER.matches && place.matches(':hover');
  place.addEventListener('pointerleave', () => draw());
  const isScrolled = () => place.getBoundingClientRect().top < 0;
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
    if (isPaused && isScrolled()) scrollTo({ top: 0 });
    setPaused(!isPaused);
  } }, 'Pause');
  // New events would move or replace the ones being read.
  addEventListener('scroll', () => isScrolled() && setPaused(true), { passive: true, signal: page.signal });
  const clear = h('button', { type: 'button', onclick: () => {
    opened.close();
    body.replaceChildren();
    waiting = [];
    draw();
  } }, 'Clear');

  function draw() {
    frame = 0;
    const isHeld = isPaused || isPointedAt();
    if (!isHeld) {
      const rows = waiting.slice(-MAX_EVENTS).reverse().map((event) => row(event, opened));
      waiting = [];
      body.prepend(...rows);
      while (body.rows.length > MAX_EVENTS) body.lastElementChild.remove();
    }
    place.hidden = body.children.length === 0;
    none.hidden = !place.hidden;
    const newer = `${waiting.length < MAX_EVENTS ? '' : 'more than '}${Math.min(waiting.length, MAX_EVENTS)} new`;
    status.textContent = isPaused ? `Paused, ${newer}` : isHeld ? `Waits for the pointer to leave the list, ${newer}` : 'Live';
    skipped.textContent = left === 0 ? '' : `${left.toLocaleString('en')} events were omitted, because there were more than 200 per second. Narrow the filters to see all.`;
  }

  /** False for an event that was already shown before the connection was lost. */
  function isNew({ at, node, trace, text }) {
    const key = [at, node, trace, text].join(' ');
    const isRepeated = at <= lostAt && known.has(key);
    known.add(key);
    if (known.size > 2 * MAX_EVENTS) known.delete(known.values().next().value);
    if (at > newestAt) newestAt = at;
    return !isRepeated;
  }

  function receive(name, event) {
    if (name === 'skipped') left += event.count;
    else if (event.kind && isNew(event)) waiting.push(event);
    if (waiting.length > 2 * MAX_EVENTS) waiting = waiting.slice(-MAX_EVENTS);
    // A hidden tab has no animation frames; its events wait within the bound above.
    if (!frame) frame = requestAnimationFrame(draw);
  }

  async function watch() {
    try {
      // After an interruption, the recent events contain those that were missed.
      await follow(withQuery('/v1/feed', { ...query, tenant: query.tenant || '*', last: RECENT }), page.signal, () => {
        isOpened = true;
        error.replaceChildren();
        draw();
      }, receive);
    } catch (problem) {
      if (page.signal.aborted) return;
      // While a server restarts, its proxy responds with 502 or 503.
      if (problem.status >= 400 && !(isOpened && problem.status >= 500)) {
        fill(error, failure(problem, watch));
        status.textContent = 'Stopped';
        return;
      }
    }
    if (page.signal.aborted) return;
    lostAt = newestAt;
    status.textContent = 'Connection lost, trying again';
    setTimeout(() => page.signal.aborted || watch(), RETRY_MS);
  }

  place.hidden = true;
  none.hidden = true;
  watch();
  return [
    heading('Live', status, ' ', pause, ' ', clear),
    filterBar(page, filters, query),
    error, skipped, none, h('div', { class: 'log' }, place, opened.aside),
  ];
}

/** One opened event, beside the list on a wide screen and else below its row. `reads` is called when one is opened. */
function openedEvent(page, reads) {
  const content = h('div', {});
  const aside = h('aside', { class: 'panel beside', 'aria-label': 'Opened event', hidden: true });
  const below = h('tr', {}, h('td', { colspan: '4', class: 'details' }));
  let opened = null;
  const close = () => {
    opened?.setAttribute('aria-expanded', 'false');
    opened = null;
    aside.hidden = true;
    below.remove();
  };
  const open = (button, event) => {
    close();
    opened = button;
    button.setAttribute('aria-expanded', 'true');
    fill(content, h('h2', {}, event.text), fixOf(page, event), links(page, event), json(event));
    aside.hidden = !WIDE.matches;
    if (WIDE.matches) aside.append(content);
    else {
      below.firstChild.append(content);
      button.closest('tr').after(below);
    }
    reads();
  };
  const escape = (press) => {
    if (press.key !== 'Escape' || !opened) return;
    press.preventDefault();
    opened.focus();
    close();
  };
  content.addEventListener('keydown', escape);
  const button = (event) => h('button', { type: 'button', class: 'row-link', 'aria-expanded': 'false', onkeydown: escape,
    onclick: ({ currentTarget }) => (opened === currentTarget ? close() : open(currentTarget, event)),
    // The keys `j` and `k` move through the events beside the list.
    onfocus: ({ currentTarget }) => opened && opened !== currentTarget && WIDE.matches && open(currentTarget, event) }, event.text);
  return { aside, button, close };
}

function row(event, opened) {
  return h('tr', {}, h('td', {}, opened.button(event)), h('td', {}, h('span', { class: `tag${BAD.has(event.kind) ? ' bad' : ''}` }, event.kind)),
    h('td', {}, [event.tenant, event.recipient, event.topic].filter(Boolean).join(' · ') || '–'),
    h('td', { class: 'when' }, clockTime(event.at)));
}

/** The fix for the cause of a refusal. */
export function fixOf(page, { kind, detail }) {
  if (kind !== 'refused' || !detail) return null;
  const errors = detail.errors?.map((one) => `${one.field} ${one.message}`).join('; ');
  const reason = errors || detail.detail || detail.reason || detail.code;
  const code = detail.code ?? detail.reason;
  return [h('p', {}, h('b', {}, prose(String(reason))), ' ',
    typeof code === 'string' && /^[a-z_]+$/.test(code) && h('a', { href: `${page.root}/errors/${code}`, target: '_blank', rel: 'noopener' }, 'Causes and fixes')), originFix(page, detail)];
}

function links(page, event) {
  const tenant = event.tenant ?? '';
  const targets = [
    event.recipient && ['Recipient', path`/recipients/${event.recipient}`],
    event.kind === 'send' && event.detail.id && ['Notification', path`/notifications/${event.detail.id}`],
    event.kind === 'attempt' && ['Message', path`/messages/${event.detail.id}`],
    event.kind === 'run' && ['Run', path`/runs/${event.detail.id}`],
  ].filter(Boolean);
  return targets.length > 0 && h('p', {}, targets.map(([name, target]) => [h('a', { href: withQuery(page.url(target), { tenant }) }, name), ' ']));
}

export const requests = {
  path: '/v1/requests', rows: 'requests', link: (one) => path`/requests/${one.id}`, isNewestFirst: true,
  filters: [{ name: 'status', label: 'Status', options: ['2xx', '4xx', '5xx', '401', '403', '404', '422', '429'] }, { name: 'route', label: 'Route' }, { name: 'key', label: 'API key' }, RANGE],
  views: [['Refused', { status: '4xx' }], ['Failed', { status: '5xx' }]],
  columns: [
    { name: 'Status', kind: 'state', of: (one) => html`<${State} of=${String(one.status)} kind=${one.status < 400 && !one.code ? 'ok' : one.status < 500 ? 'warn' : 'bad'} />`, show: (one) => one, width: '4.5rem' },
    { name: 'Request', kind: 'title', of: (one) => `${one.method} ${one.path}`, text: (one) => one.code }, { name: 'By', of: (one) => one.key ?? one.operator ?? one.recipient, width: '10rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'Duration', kind: 'number', of: (one) => duration(one.ms), width: '5rem' }, { name: 'Time', kind: 'time', of: (one) => one.at },
  ],
  note: 'The last 2,000 requests and 500 refusals of this node, from memory.',
  none: { text: 'No request has been served since the server started.', command: 'bellcast notify alice "Hello"' },
};

function statusOf(one) {
  const kind = one.status < 400 && !one.code ? 'ok' : one.status < 500 ? 'warn' : 'bad';
  return h('span', { class: `state ${kind}` }, String(one.status));
}

export function request(page) {
  const place = h('div');
  load(place, page.signal, (signal) => get(withQuery('/v1/requests', { id: page.key, tenant: '*' }), signal), ({ requests: [one] }) => one === undefined
    ? [heading('Request'), empty('This request is no longer in the memory of this node.')]
    : [
      heading(`${one.method} ${one.path}`),
      fixOf(page, { kind: one.code ? 'refused' : '', detail: one }),
      facts([['Id', id(one.id)], ['Status', statusOf(one)], ['Duration', duration(one.ms)], ['Time', moment(one.at)], ['Route', one.route], ['Key', one.key], ['Operator', one.operator], ['Recipient', one.recipient], ['Tenant', one.tenant], ['Origin', one.origin], ['Network', one.address]]),
      h('section', { class: 'panel' }, h('h2', {}, 'Body'), one.body === null ? h('p', { class: 'muted' }, 'Not stored. The server keeps only small JSON bodies, of requests with a secret or an API key.') : json(one.body)),
    ], 'Request');
  return place;
}

/**
 * The live feed: the server's events as they happen, newest first, with their JSON and, for a refusal, a fix.
 */
import { OriginFix } from './allow-origin.js';
import { FilterBar, RANGE, RECIPIENT } from './filters.js';
import { count, number, secondOf } from './format.js';
import { html, useLayoutEffect, useRef, useState } from './html.js';
import { Failure, loadStyle, refresh, refreshes, useEvery, useLoad } from './load.js';
import { Avatar, Empty, Facts, Heading, Icon, Id, Json, Moment, Type, prose } from './parts.js';
import { shownTenant } from './router.js';
import { follow, path, withQuery } from './server.js';

const KINDS = ['request', 'refused', 'send', 'publish', 'connect', 'disconnect', 'subscribe', 'call', 'run', 'attempt', 'webhook', 'settings', 'operator', 'warning'];
const ICONS = { request: 'requests', refused: 'bad', send: 'notifications', publish: 'live', connect: 'connections', disconnect: 'connections', subscribe: 'topics', call: 'sources', run: 'runs', attempt: 'messages', webhook: 'webhooks', settings: 'settings', operator: 'operators', warning: 'failures' };
/** What a trace is about, the most telling kind first; its request comes last. */
const TELLING = ['refused', 'warning', 'send', 'publish', 'run', 'webhook', 'attempt', 'settings', 'operator', 'call', 'subscribe', 'connect', 'disconnect', 'request'];
const FILTERS = [{ name: 'kind', label: 'Kind', options: KINDS }, RECIPIENT, { name: 'topic', label: 'Topic' }, { name: 'connection', label: 'Connection' }, { name: 'text', label: 'Search the feed', isSearch: true }];
/** More rows than an operator can read would slow the page down. */
const MAX_ROWS = 250;
const RECENT = 100;
/** The number of events per second is that of so many milliseconds. */
const RATE_MS = 5000;
/** Delay before the feed is opened again after it was lost. */
const RETRY_MS = 2000;
const BAD = new Set(['refused', 'warning']);
/** After a touch, no pointer is over the list. */
const HAS_POINTER = matchMedia('(hover: hover)');

await loadStyle('live.css');

/** The rows of the feed, one for each trace, newest first, without those that wait until the list may move. */
class Feed {
  constructor(changed) {
    this.changed = changed;
    this.clear();
    this.known = new Set();
    this.newestAt = '';
    this.lostAt = '';
    this.left = 0;
  }

  clear() {
    this.rows = [];
    this.waiting = [];
    this.byTrace = new Map();
  }

  receive(name, event) {
    if (name === 'skipped') this.left += event.count;
    else if (event.kind && this.isNew(event)) this.add(event);
    this.changed();
  }

  /** False for an event that was already shown before the connection was lost. */
  isNew({ at, node, trace, text }) {
    const key = [at, node, trace, text].join(' ');
    const isRepeated = at <= this.lostAt && this.known.has(key);
    this.known.add(key);
    if (this.known.size > 2 * MAX_ROWS) this.known.delete(this.known.values().next().value);
    if (at > this.newestAt) this.newestAt = at;
    return !isRepeated;
  }

  add(event) {
    const row = event.trace && this.byTrace.get(event.trace);
    if (row) {
      row.events.push(event);
      return;
    }
    const added = { events: [event] };
    this.waiting.push(added);
    if (event.trace) this.byTrace.set(event.trace, added);
    if (this.waiting.length > 2 * MAX_ROWS) this.forget(this.waiting.splice(0, MAX_ROWS));
  }

  /** How many events arrived per second, of those that are still here. */
  get rate() {
    const since = new Date(Date.now() - RATE_MS).toISOString();
    return Math.round([...this.waiting, ...this.rows].flatMap(({ events }) => events).filter(({ at }) => at > since).length * 1000 / RATE_MS);
  }

  /** Show the rows that wait. */
  flush() {
    if (this.waiting.length === 0) return;
    const all = [...this.waiting.reverse(), ...this.rows];
    this.waiting = [];
    this.rows = all.slice(0, MAX_ROWS);
    this.forget(all.slice(MAX_ROWS));
  }

  forget(rows) {
    for (const { events } of rows) this.byTrace.delete(events[0].trace);
  }
}

const headOf = ({ events }) => events.toSorted((one, other) => TELLING.indexOf(one.kind) - TELLING.indexOf(other.kind))[0];

export function Live({ page }) {
  const query = Object.fromEntries(FILTERS.map(({ name }) => [name, page.query.get(name) ?? '']));
  const target = withQuery('/v1/feed', { ...query, tenant: shownTenant() || '*', last: RECENT });
  const [, draw] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const [connection, setConnection] = useState({ text: 'Connecting', problem: null });
  const [opened, setOpened] = useState(null);
  const place = useRef(null);
  const frame = useRef(0);
  const feed = useRef(null);
  // A hidden tab has no animation frames; its events wait within the bounds of the feed.
  const changed = () => {
    frame.current ||= requestAnimationFrame(() => {
      frame.current = 0;
      draw((last) => last + 1);
    });
  };
  useLayoutEffect(() => {
    const abort = new AbortController();
    const own = new Feed(changed);
    feed.current = own;
    setOpened(null);
    watch(own, target, abort.signal, setConnection);
    return () => abort.abort();
  }, [target, refreshes.value]);
  useEvery(1000, changed);
  const current = feed.current ?? new Feed(changed);
  // Rows must not move while they are read, or while the pointer is about to click one.
  const isPointedAt = (HAS_POINTER.matches && place.current?.matches(':hover')) || place.current?.querySelector('.row-link:focus-visible') != null;
  const isHeld = isPaused || isPointedAt;
  if (!isHeld) current.flush();
  const newer = `${current.waiting.length < MAX_ROWS ? '' : 'more than '}${number(Math.min(current.waiting.length, MAX_ROWS))} new`;
  const status = connection.text !== 'Live' ? connection.text : isPaused ? `Paused, ${newer}` : isPointedAt && current.waiting.length > 0 ? `Waits for the pointer to leave the list, ${newer}` : 'Live';
  const resume = () => {
    if (isPaused) place.current?.scrollTo({ top: 0 });
    setPaused(!isPaused);
  };
  const open = (row) => {
    setOpened(opened === row ? null : row);
    setPaused(true);
  };
  const move = ({ detail: step }) => {
    const buttons = [...place.current.querySelectorAll('.row-link')];
    const index = Math.min(Math.max(buttons.indexOf(document.activeElement) + step, 0), buttons.length - 1);
    buttons[index]?.focus();
    if (opened) setOpened(current.rows[index]);
  };
  const escape = (press) => {
    if (press.key !== 'Escape' || !opened) return;
    press.preventDefault();
    place.current.querySelector('[aria-expanded=true]')?.focus();
    setOpened(null);
  };
  const clear = () => {
    current.clear();
    setOpened(null);
    changed();
  };
  return html`<${Heading} title="Live" note=${html`<span class=${`feed-state ${status === 'Live' ? 'ok' : isPaused || connection.text.startsWith('Connection lost') ? 'warn' : 'muted'}`} role="status">${status === 'Live' ? 'Connected' : status}</span>${status === 'Live' && current.rate > 0 && html`<span class="muted" aria-hidden="true">${number(current.rate)}/s</span>`}`}><button type="button" aria-pressed=${String(isPaused)} onClick=${resume}>${isPaused ? 'Resume' : 'Pause'}</button><button type="button" onClick=${clear}>Clear</button><//>
    <div class="resource"><${FilterBar} filters=${FILTERS} query=${query} chosen=${null} rows=${current.rows.map(headOf)} /></div>
    ${connection.problem && html`<${Failure} problem=${connection.problem} retry=${refresh} />`}
    ${current.left > 0 && html`<p class="muted">${count(current.left, 'event was', 'events were')} omitted, because there were more than 200 per second. Narrow the filters to see all.</p>`}
    ${connection.text !== 'Connecting' && current.rows.length === 0 && !connection.problem && html`<${Empty} icon="live" text=${`No event ${Object.values(query).some(Boolean) ? 'matches ' : ''}yet. All events of this server appear here immediately.`} command='bellcast notify alice "Hello"' />`}
    <div class=${opened ? 'log opened' : 'log'} onKeyDown=${escape}><div class="table feed" role="table" aria-label="Events" tabIndex="0" data-keys onmove=${move} ref=${place} hidden=${current.rows.length === 0} onScroll=${({ currentTarget }) => currentTarget.scrollTop > 0 && setPaused(true)} onPointerLeave=${changed} onFocusOut=${changed}>
      <div class="hidden" role="rowgroup"><div role="row">${['Time', 'Kind', 'Event', 'Tenant, recipient, topic'].map((name) => html`<span key=${name} role="columnheader">${name}</span>`)}</div></div>
      <div class="chunk" role="rowgroup">${current.rows.map((row, index) => html`<${EventRow} key=${index} row=${row} size=${row.events.length} above=${current.rows[index - 1]} isOpen=${opened === row} open=${open} />`)}</div></div>
      ${opened && html`<${OpenedEvent} page=${page} row=${opened} />`}</div>`;
}

/** Follow the feed; after an interruption, the recent events contain those that were missed. */
async function watch(feed, target, signal, setConnection, isOpened = false) {
  let hasOpened = isOpened;
  try {
    await follow(target, signal, () => {
      hasOpened = true;
      setConnection({ text: 'Live', problem: null });
    }, (name, event) => feed.receive(name, event));
  } catch (problem) {
    // While a server restarts, its proxy responds with 502 or 503.
    if (!signal.aborted && problem.status >= 400 && !(hasOpened && problem.status >= 500)) {
      setConnection({ text: 'Stopped', problem });
      return;
    }
  }
  if (signal.aborted) return;
  feed.lostAt = feed.newestAt;
  setConnection({ text: 'Connection lost, trying again', problem: null });
  setTimeout(() => signal.aborted || watch(feed, target, signal, setConnection, hasOpened), RETRY_MS);
}

/** The tenant, recipient and topic of an event, unless its text has them. */
const placeOf = ({ tenant, recipient, topic, text }) => [tenant, !text.endsWith(` to ${recipient}`) && recipient, topic].filter(Boolean).join(' · ');

/** A text, in grey if the row above has it too. */
const Repeated = ({ text, above }) => html`<span class=${text === above ? 'muted' : 'changed'}>${text}</span>`;

/** A notification's type and recipient. */
const Sent = ({ of: { text, recipient }, type }) => (text === `${type} to ${recipient}` ? html`<span class="typed"><${Type} of=${type} /></span> to <span class="person"><${Avatar} of=${recipient} /><span class="name">${recipient}</span></span>` : html`<${Type} of=${type} />${text.slice(type.length)}`);

/** What happened in one trace, by its most telling event. Rows keep their places and change their texts, so that nothing moves. */
function EventRow({ row, size, above, isOpen, open }) {
  const event = headOf(row), last = above && headOf(above), request = row.events.find((one) => one.kind === 'request' && one !== event), others = size - (request ? 2 : 1);
  const { type, title, reason } = event.detail ?? {}, isTyped = type && event.text.startsWith(`${type} to `);
  // The effect of an accepted request is shown instead of the request.
  const isPlain = !request || / 2\d\d$/.test(request.text);
  return html`<div role="row" class="row" data-open=${isOpen ? 'yes' : null}><time role="cell" class="cell at" dateTime=${event.at}>${secondOf(event.at)}<span class="muted">.${String(new Date(event.at).getMilliseconds()).padStart(3, '0')}</span></time>
    <span role="cell" class=${`cell kind${BAD.has(event.kind) || /: failed$/.test(event.text) ? ' bad' : ''}`}><${Icon} name=${ICONS[event.kind]} /><${Repeated} text=${event.kind} above=${last?.kind} /></span>
    <span role="cell" class="cell title"><button type="button" class="row-link" aria-expanded=${String(isOpen)} onClick=${() => open(row)}>${isTyped ? html`<span key=${event.at + event.text}><${Sent} of=${event} type=${type} /></span>` : event.text}</button><span class="muted preview" dir="auto">${[title ?? reason, size > 1 && !isPlain && request.text, others > 0 && count(others, 'other effect')].filter(Boolean).join(' · ')}</span></span>
    <span role="cell" class="cell who"><${Repeated} text=${placeOf(event)} above=${last && placeOf(last)} /></span></div>`;
}

function OpenedEvent({ page, row }) {
  const event = headOf(row);
  const targets = [
    event.recipient && ['Recipient', path`/recipients/${event.recipient}`],
    event.kind === 'send' && event.detail.id && ['Notification', path`/notifications/${event.detail.id}`],
    event.kind === 'attempt' && ['Message', path`/messages/${event.detail.id}`],
    event.kind === 'run' && ['Run', path`/runs/${event.detail.id}`],
  ].filter(Boolean);
  return html`<aside class="details" aria-label="Opened event"><h2 dir="auto">${event.text}</h2><p class="muted">${event.kind}, <${Moment} at=${event.at} /></p><${Refusal} key=${event.text + event.at} page=${page} of=${event} />
    ${targets.length > 0 && html`<p class="links">${targets.map(([name, target]) => html`<a key=${name} href=${withQuery(page.url(target), { tenant: event.tenant ?? '' })}>${name}</a>`)}</p>`}
    ${row.events.length > 1 && html`<ol class="rows-of">${row.events.map((one, index) => html`<li key=${index}><b>${one.kind}</b> ${one.text}<time dateTime=${one.at}>${secondOf(one.at)}</time></li>`)}</ol>`}
    <${Facts} of=${factsOf(event)} /><details><summary>JSON</summary><${Json} of=${event} /></details></aside>`;
}

const IDS = ['id', 'trace', 'node'];

/** The fields of an event that are texts and numbers, such as "Recipients 1". */
function factsOf({ kind, text, at, detail, ...event }) {
  const fields = Object.entries({ ...detail, ...event }).filter(([, value]) => ['string', 'number'].includes(typeof value));
  const rank = ([name]) => IDS.indexOf(name); // ids come last
  return fields.sort((a, b) => rank(a) - rank(b)).map(([name, value]) => [(name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' '), rank([name]) < 0 ? (name === 'type' ? html`<${Type} of=${value} />` : value) : html`<${Id} of=${value} />`]);
}

/** The reason of a refusal, and the fix for its cause. */
export function Refusal({ page, of: { kind, detail } }) {
  if (kind !== 'refused' || !detail) return null;
  const errors = detail.errors?.map((one) => `${one.field} ${one.message}`).join('; ');
  const code = detail.code ?? detail.reason;
  return html`<section class="verdict bad" aria-label="Refusal"><${Icon} name="bad" /><div><p><b>${prose(String(errors || detail.detail || detail.reason || detail.code))}</b> ${typeof code === 'string' && /^[a-z_]+$/.test(code)
    && html`<a href=${`${page.root}/errors/${code}`} target="_blank" rel="noopener">Causes and fixes</a>`}</p><${OriginFix} page=${page} refusal=${detail} /></div></section>`;
}

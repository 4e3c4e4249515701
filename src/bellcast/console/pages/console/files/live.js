/**
 * The live feed: the server's events as they happen, newest first, with their JSON and, for a refusal, a fix.
 */
import { dialectName } from './dialects.js';
import { FilterBar } from './filter-bar.js';
import { RECIPIENT } from './filters.js';
import { count, duration, number, secondOf } from './format.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Failure, loadStyle, refresh, refreshes, useEvery, useLoad } from './load.js';
import { CHANNEL_NAMES, failureOf } from './outcomes.js';
import { Avatar, Empty, Facts, Heading, Icon, Id, Json, Moment, Type, once, prose } from './parts.js';
import { Named } from './recipient-names.js';
import { withShortIds } from './request-parts.js';
import { shownTenant } from './router.js';
import { follow, get, path, request, withQuery } from './server.js';
import { readTenants, tenantName } from './tenant-names.js';
import { Dialog } from './dialogs.js';
import { OWNERS } from './roles.js';

await loadStyle('live.css');

const KINDS = ['request', 'refused', 'send', 'publish', 'connect', 'disconnect', 'subscribe', 'call', 'run', 'attempt', 'webhook', 'settings', 'operator', 'warning'];
const ICONS = { request: 'requests', refused: 'bad', send: 'notifications', publish: 'live', connect: 'connections', disconnect: 'connections', subscribe: 'topics', call: 'sources', run: 'runs', attempt: 'messages', webhook: 'webhooks', settings: 'settings', operator: 'operators', warning: 'failures' };
/** What a trace is about, the most telling kind first; its request comes last. */
const TELLING = ['refused', 'warning', 'send', 'publish', 'run', 'webhook', 'attempt', 'settings', 'operator', 'connect', 'disconnect', 'call', 'subscribe', 'request'];
const FILTERS = [{ name: 'kind', label: 'Kind', options: KINDS }, RECIPIENT, { name: 'topic', label: 'Topic' }, { name: 'connection', label: 'Connection' }, { name: 'text', label: 'Search the feed', isSearch: true }];
/** More rows than an operator can read would slow the page down. */
const MAX_ROWS = 250;
const RECENT = 100;
/** The number of events per second is that of so many milliseconds. */
const RATE_MS = 5000, MINUTE_MS = 60_000;
/** Delay before the feed is opened again after it was lost. */
const RETRY_MS = 2000;
/** What a connection causes in this time after it was opened or closed is shown in its row: calls of the app, and the topics that it follows. */
const SOON_MS = 2000;
const OWN = new Set(['connect', 'call', 'subscribe', 'refused']);
const BAD = new Set(['refused', 'warning']);
/** After a touch, no pointer is over the list. */
const HAS_POINTER = matchMedia('(hover: hover)');


/** The rows of the feed, one for each trace, newest first, without those that wait until the list may move. */
class Feed {
  constructor(changed) {
    this.changed = changed;
    this.clear();
    this.known = new Set();
    this.newestAt = '';
    this.lostAt = '';
    this.left = 0;
    this.ahead = 0;
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
    const own = OWN.has(event.kind) && this.byTrace.get(event.connection), isSoon = own && Date.parse(event.at) - Date.parse(own.events[0].at) < SOON_MS;
    const row = this.byTrace.get(event.trace) ?? (isSoon ? own : { events: [] });
    if (row.events.push(event) === 1) this.waiting.push(row);
    for (const id of idsOf(event)) this.byTrace.set(id, row);
    if (this.waiting.length > 2 * MAX_ROWS) this.forget(this.waiting.splice(0, MAX_ROWS));
  }

  /** How many events arrived, of those that are still here: per second, or per minute if they are few. */
  get rate() {
    const now = Date.now() - this.ahead, times = [...this.waiting, ...this.rows].flatMap(({ events }) => events).map(({ at }) => now - Date.parse(at)), last = (ms) => times.filter((age) => age < ms).length;
    const perSecond = Math.round(last(RATE_MS) * 1000 / RATE_MS);
    return perSecond > 0 ? `${number(perSecond)}/s` : last(MINUTE_MS) > 0 && `${last(MINUTE_MS)}/min`;
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
    for (const row of rows) for (const id of row.events.flatMap(idsOf)) if (this.byTrace.get(id) === row) this.byTrace.delete(id);
  }
}

/** The ids by which later events find the row of an event. */
const idsOf = ({ trace, connection }) => [trace, connection].filter(Boolean);

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
    if (place.current?.contains(document.activeElement)) document.getElementById('main').focus({ preventScroll: true }); // its row goes
    setOpened(null);
    // Names that arrive later would move what is beside them.
    (shownTenant() ? Promise.resolve() : readTenants('', abort.signal).catch(() => null)).then(() => watch(own, target, abort.signal, setConnection));
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
  // Beside the pane, rows can be higher.
  useEffect(() => { place.current?.querySelector('[data-open]')?.scrollIntoView({ block: 'nearest' }); }, [opened]);
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
  return html`<${Heading} title="Live" note=${html`<span class=${`feed-state ${status === 'Live' ? 'ok' : isPaused || connection.text.startsWith('Connection lost') ? 'warn' : 'muted'}`} role="status">${status === 'Live' ? 'Connected' : status}</span>${status === 'Live' && html`<span class="muted" aria-hidden="true">${current.rate}</span>`}`}><button type="button" aria-pressed=${String(isPaused)} onClick=${resume}>${isPaused ? 'Resume' : 'Pause'}</button><button type="button" onClick=${clear}>Clear</button><//>
    <div class="resource"><${FilterBar} filters=${FILTERS} query=${query} chosen=${null} rows=${current.rows.map(headOf)} /></div>
    ${connection.problem && html`<${Failure} problem=${connection.problem} retry=${refresh} />`}
    ${current.left > 0 && html`<p class="muted">${count(current.left, 'event was', 'events were')} omitted, because there were more than 200 per second. Narrow the filters to see all.</p>`}
    ${connection.text !== 'Connecting' && current.rows.length === 0 && !connection.problem && html`<${Empty} icon="live" text=${`No ${Object.values(query).some(Boolean) ? 'matching ' : ''}events yet. All events of this server appear here immediately.`} command='bellcast notify alice "Hello"' />`}
    <div class=${opened ? 'log opened' : 'log'} onKeyDown=${escape}><div class="table feed" role="table" aria-label="Events" tabIndex="0" data-keys onmove=${move} ref=${place} hidden=${current.rows.length === 0} onScroll=${({ currentTarget }) => currentTarget.scrollTop > 0 && setPaused(true)} onPointerLeave=${changed} onFocusOut=${changed}>
      <div class="hidden" role="rowgroup"><div role="row">${['Time', 'Kind', 'Event', 'Recipient', 'Tenant'].map((name) => html`<span key=${name} role="columnheader">${name}</span>`)}</div></div>
      <div class="chunk" role="rowgroup">${current.rows.map((row, index) => html`<${EventRow} key=${index} row=${row} size=${row.events.length} isOpen=${opened === row} open=${open} />`)}</div></div>
      ${opened && html`<${OpenedEvent} page=${page} row=${opened} />`}</div>`;
}

/** Follow the feed; after an interruption, the recent events contain those that were missed. */
async function watch(feed, target, signal, setConnection, isOpened = false) {
  let hasOpened = isOpened;
  try {
    await follow(target, signal, (sentAt) => {
      hasOpened = true;
      // The times of events are those of the server's clock.
      feed.ahead = Date.now() - sentAt || 0;
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

const words = (name) => name.replaceAll('_', ' ');

/** What happened, in a few words and a note, by the kind of the event. */
const SENTENCES = {
  request: ({ text }) => withShortIds(text).match(/^(\S+ .*) (\d{3})$/).slice(1),
  send: ({ recipient, text, detail: { type, title } }) => [title || type, [!recipient && text.slice(type.length + 1)].filter(Boolean).join(' ')],
  publish: ({ topic, detail: { name, delivered } }) => [topic ? `${name} to ${topic}` : name, count(delivered, 'connection')],
  call: ({ detail: { name, outcome, ms } }) => [words(name), `${outcome === 'ok' ? 'handled by the app' : words(outcome)}, ${duration(ms)}`],
  connect: ({ detail }, events) => ['Connected', [dialectName(detail), ...events.filter(({ kind }) => kind === 'subscribe').map(({ topic }) => `follows ${topic}`), detail.origin].filter(Boolean).join(' · ')],
  disconnect: ({ detail: { reason, ms } }) => ['Disconnected', `${words(reason)}, after ${duration(ms)}`],
  attempt: ({ detail: { channel, state, reason, provider } }) => [`${CHANNEL_NAMES[channel]} ${state}`, reason ?? (provider && `through ${provider}`)],
  run: ({ detail: { workflow, state, reason } }) => [`${workflow} ${state}`, failureOf(reason)],
  webhook: ({ text, detail: { error } }) => (error ? [text.slice(0, -error.length - 2), error] : [text.replace(/: ok$/, ''), 'accepted']),
  refused: ({ text, detail }) => {
    const [, what, status] = withShortIds(text).match(/^(.*?)( \d{3})?$/);
    return [what, [status?.trim(), whyRefused(detail)].filter(Boolean).join(' · ')];
  },
};

/** The sentence of a row. Fields are missing for operators who see no content, and in events of other versions. */
function sentenceOf(event, events) {
  try {
    return SENTENCES[event.kind]({ ...event, detail: event.detail ?? {} }, events);
  } catch {
    return [event.text, event.detail?.title ?? event.detail?.reason];
  }
}

/** The tenant, while all are shown. */
const tenantOf = ({ tenant }) => !shownTenant() && tenant && tenantName(tenant);

/** What happened in one trace, by its most telling event. Rows keep their places and change their texts, so that nothing moves. */
function EventRow({ row, size, isOpen, open }) {
  const event = headOf(row), request = row.events.find((one) => one.kind === 'request' && one !== event);
  const others = row.events.filter((one) => one !== event && one !== request && one.kind !== 'subscribe' && one.detail?.outcome !== 'ok').length;
  const [what, note] = sentenceOf(event, row.events);
  // The effect of an accepted request is shown instead of the request.
  const isPlain = !request || / [12]\d\d$/.test(request.text);
  const isBad = BAD.has(event.kind) || /: (failed|bounced)$/.test(event.text);
  return html`<div role="row" class="row" data-open=${isOpen ? 'yes' : null}><time role="cell" class="cell at" dateTime=${event.at}>${secondOf(event.at)}<span class="muted">.${String(new Date(event.at).getMilliseconds()).padStart(3, '0')}</span></time>
    <span role="cell" title=${event.kind} onClick=${() => open(row)} class=${`cell kind ${event.kind === 'refused' && !(event.detail?.status >= 500) ? 'warn' : isBad ? 'bad' : event.kind}`}><${Icon} name=${ICONS[event.kind]} /><span class="hidden">${event.kind}</span></span>
    <span role="cell" class="cell title"><button type="button" class="row-link" aria-expanded=${String(isOpen)} onClick=${() => open(row)}><span key=${event.at + event.text}>${what}</span></button>${event.kind === 'send' && event.detail?.title && html`<${Type} of=${event.detail.type} />`}<span key=${event.at + event.text} class="muted preview" dir="auto">${prose([note, size > 1 && !isPlain && request.text, others > 0 && count(others, 'other effect')].filter(Boolean).join(' · '))}</span></span>
    <span role="cell" class="cell whom">${event.recipient ? html`<${Named} of=${event} />` : event.kind.endsWith('connect') && html`<span class="person muted"><${Avatar} of="" icon="account" tone="grey" /><span>anonymous</span></span>`}</span>
    <span role="cell" class="cell who"><span>${tenantOf(event)}</span></span></div>`;
}

function OpenedEvent({ page, row }) {
  const event = headOf(row);
  const targets = [
    event.recipient && ['Recipient', path`/recipients/${event.recipient}`],
    event.kind === 'send' && event.detail.id && ['Notification', path`/notifications/${event.detail.id}`],
    event.kind === 'attempt' && ['Message', path`/messages/${event.detail.id}`],
    event.kind === 'run' && ['Run', path`/runs/${event.detail.id}`],
  ].filter(Boolean);
  const [what, note] = sentenceOf(event, row.events), isRefusal = event.kind === 'refused';
  return html`<aside class="details" aria-label="Opened event"><h2 dir="auto">${isRefusal ? event.text : what}${event.kind === 'send' && event.detail?.title && html` <${Type} of=${event.detail.type} />`}${!isRefusal && note && html` <span>${note}</span>`}</h2><p class="muted">${event.kind}, <${Moment} at=${event.at} /></p><${Refusal} key=${event.text + event.at} page=${page} of=${event} />
    ${targets.length > 0 && html`<p class="links">${targets.map(([name, target]) => html`<a key=${name} href=${withQuery(page.url(target), { tenant: event.tenant ?? '' })}>${name}</a>`)}</p>`}
    ${row.events.length > 1 && html`<ol class="rows-of">${row.events.map((one, index) => html`<li key=${index}><b>${one.kind}</b> ${one.text}<time dateTime=${one.at}>${secondOf(one.at)}</time></li>`)}</ol>`}
    <${Facts} of=${factsOf(event)} /><details><summary>JSON</summary><${Json} of=${event} /></details></aside>`;
}

const IDS = ['id', 'trace', 'node'];
/** Names of fields in the API that are no words. */
const FIELD_NAMES = { ms: 'Duration' };

/** The fields of an event that are texts and numbers, such as "Recipients 1", unless its heading has them. */
function factsOf({ kind, text, at, detail, ...event }) {
  const { tenant, recipient } = event, isSaid = (value) => String(value).length > 2 && text.includes(value);
  const fields = Object.entries({ ...detail, ...event }).filter(([name, value]) => ['string', 'number'].includes(typeof value) && (name in event || !(isSaid(value) || (name === 'detail' && kind === 'refused'))));
  const rank = ([name]) => IDS.indexOf(name); // ids come last
  const shown = { type: (value) => html`<${Type} of=${value} />`, ms: duration, recipient: () => html`<${Named} of=${{ tenant, recipient }} />`, ...Object.fromEntries(IDS.map((name) => [name, (value) => html`<${Id} of=${value} />`])) };
  return fields.sort((a, b) => rank(a) - rank(b)).map(([name, value]) => [FIELD_NAMES[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' '), shown[name]?.(value) ?? value]);
}

/** Why something was refused. */
const whyRefused = ({ errors, detail, reason, code }) => String(errors?.map((one) => `${one.field} ${one.message}`).join('; ') || detail || reason || code || '');

/** The reason of a refusal, the fix for its cause, and more `about` it. */
export function Refusal({ page, of: { kind, detail }, about }) {
  if (kind !== 'refused' || !detail) return null;
  const code = detail.code ?? detail.reason;
  const tone = detail.status >= 500 ? 'bad' : 'warn';
  return html`<section class=${`verdict ${tone}`} aria-label="Refusal"><${Icon} name=${tone} /><div><p><b>${prose(whyRefused(detail))}</b> ${about && html`<br />${about} `}${typeof code === 'string' && /^[a-z_]+$/.test(code)
    && html`<a href=${`${page.root}/errors/${code}`} target="_blank" rel="noopener">Causes and fixes</a>`}</p><${OriginFix} page=${page} refusal=${detail} /></div></section>`;
}

// --- The fix for a refused origin: adds the origin to the setting once the operator confirms the new value, with Undo.

const FORBIDDEN = new Set([403, 4403]);

/** Whether a request or a connection was refused because of the origin of its page. Only some dialects name the reason. */
function isOfOrigin({ origin, status, code, detail }) {
  // A client other than a browser can send any text, such as two origins and a comma.
  return isOrigin(origin) && (FORBIDDEN.has(status) || FORBIDDEN.has(code)) && (!detail || /origin/i.test(detail));
}

function isOrigin(text) {
  return /^https?:/.test(text ?? '') && URL.canParse(text) && new URL(text).origin === text;
}

/** A button that allows the origin, or the variable that sets the origins; nothing for operators who may not change it. */
const OriginFix = ({ page, refusal }) => isOfOrigin(refusal) && page.may(OWNERS) && html`<${AllowOrigin} key=${refusal.origin} origin=${refusal.origin} />`;

const settingOf = ({ settings }) => settings.find((one) => one.name === 'origins');
const originsOf = ({ value }) => value.split(',').filter(Boolean);

function AllowOrigin({ origin }) {
  const settings = useLoad((signal) => get('/v1/settings', signal), [origin]);
  const [isAsking, setAsking] = useState(false);
  const [isAllowed, setAllowed] = useState(false);
  const [error, setError] = useState('');
  const setting = settings.value && settingOf(settings.value);
  if (!setting) return null; // the refusal is shown without a fix
  const allowed = originsOf(setting), value = [...allowed, origin];
  const change = async (origins, revision) => {
    setError('');
    try {
      await request('PATCH', '/v1/settings', { revision, set: { origins: origins.join(',') } });
      setAsking(false);
      setAllowed(origins.includes(origin));
    } catch (problem) {
      setError(problem.status === 409 ? 'The settings have changed in the meantime. Close this and try again.' : problem.message);
    }
  };
  // Another operator may have changed the origins since.
  const undo = async () => {
    const now = await get('/v1/settings');
    await change(originsOf(settingOf(now)).filter((one) => one !== origin), now.revision);
  };
  if (isAllowed) return html`<p class="fixed" aria-live="polite"><${Icon} name="ok" /> Allowed. Pages of ${origin} can connect now. <button type="button" onClick=${once(undo)}>Undo</button><span class="error" role="alert">${error}</span></p>`;
  if (allowed.includes(origin)) return html`<p>This origin is allowed now.</p>`;
  if (setting.locked) return html`<p>Add this origin to <code>${setting.locked_by}</code>, which sets the origins and takes precedence over the console.</p>`;
  return html`<p><button type="button" class="primary" onClick=${() => setAsking(true)}>Allow this origin</button></p>
    ${isAsking && html`<${Dialog} label="Allow this origin" close=${() => setAsking(false)}><p>The setting <code>origins</code> becomes:</p><pre tabIndex="0"><code>${value.join('\n')}</code></pre>
      ${allowed.length === 0 && html`<p>No origin is set yet. From now on, pages of all other origins are refused.</p>`}<p class="error" role="alert">${error}</p>
      <div class="choice"><button type="button" class="primary" onClick=${once(() => change(value, settings.value.revision))}>Allow this origin</button><button type="button" onClick=${() => setAsking(false)}>Cancel</button></div><//>`}`;
}

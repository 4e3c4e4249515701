/**
 * Charts of the Overview: a time range compared with the previous one, each with its numbers as a table. A selected range opens the list behind
 * the numbers.
 */
import { html, signal, useState } from './html.js';
import { dayOf, dayTime, duration, hourOf } from './format.js';
import { Loaded, useLoad } from './load.js';
import { Empty } from './parts.js';
import { CONTENT } from './roles.js';
import { get, withQuery } from './server.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WIDTH = 320;
const HEIGHT = 72;
/** Durations below this are not worth a look: a chart of them is at least as high, in ms. */
const LEAST_MS = 20;
/** A shorter drag is a click. */
const MIN_DRAG_PX = 4;
/** A highest value of more than this many times the usual ones would flatten all others. Below MANY, it does not. */
const OUTLIER = 3, USUAL = 0.98, MANY = 9;
/** Counts usually below FEW are bars: BAR of an interval wide, LEAST_HEIGHT or higher. */
const FEW = 5, BAR = 0.7, LEAST_HEIGHT = 6;

/** The time under the pointer, in all charts. */
const pointedAt = signal(null);

// Each range is compared with the one before it. `name` follows "Last".
const RANGES = {
  '1h': { name: 'hour', unit: 'in an hour', step: '1m', stepMs: MINUTE_MS, length: HOUR_MS, average: 'average of 1 min', before: 'the previous hour', now: 'this hour' },
  '24h': { name: '24 hours', unit: 'in 24 hours', step: '15m', stepMs: 15 * MINUTE_MS, length: DAY_MS, average: 'average of 15 min', before: 'the previous 24 hours', now: 'these 24 hours' },
  '7d': { name: '7 days', unit: 'in 7 days', step: '15m', stepMs: 15 * MINUTE_MS, length: 7 * DAY_MS, average: 'average of 15 min', before: 'the previous 7 days', now: 'these 7 days' },
  '30d': { name: '30 days', unit: 'in 30 days', step: '1d', stepMs: DAY_MS, length: 30 * DAY_MS, average: 'average of a day', before: 'the previous 30 days', now: 'these 30 days' },
};

// The numbers of a tenant are stored per hour.
const HOURLY = { step: '1h', stepMs: HOUR_MS, average: 'average of an hour' };
const TENANT_RANGES = Object.fromEntries(['24h', '7d', '30d'].map((name) => [name, { ...RANGES[name], ...HOURLY }]));

const whole = (value) => Math.round(value).toLocaleString('en');
// How the headline is computed from the numbers of a range.
const sum = (values) => values.reduce((total, one) => total + one, 0);
const highest = (values) => Math.max(0, ...values);
const newest = (values) => values.at(-1) ?? 0;

// The meaning of the headline, for a range.
const summed = (range) => range.unit;
const averaged = (range) => range.average;
const most = () => 'highest';

// `note` says what a sum counts. `list` with `filter` shows what happened in a selected range, by default the notifications.
const CHARTS = [
  { metric: 'sends', title: 'Sends', note: 'notifications and announcements', headline: sum, about: summed, show: whole },
  { metric: 'deliveries', title: 'Deliveries', note: 'accepted by providers', headline: sum, about: summed, show: whole, list: '/messages' },
  { metric: 'failures', title: 'Failures', isBad: true, headline: sum, about: summed, show: whole, list: '/failures' },
  { metric: 'connections', title: 'Connections', headline: newest, about: averaged, show: whole, list: '/connections', filter: { state: 'closed' } },
  { metric: 'publishes', title: 'Live events', headline: sum, about: summed, show: whole, list: '/requests' },
  { metric: 'refusals', title: 'Refusals', headline: sum, about: summed, show: whole, list: '/requests', filter: { status: '4xx' } },
  { metric: 'latency_p95', title: 'Latency, p95', headline: highest, about: most, show: duration, isOfServer: true, list: '/requests' },
  { metric: 'queue_age', title: 'Queue age', headline: highest, about: most, show: duration, isOfServer: true },
];

/** What the server does for its users, and how it copes. */
export const USE = CHARTS.filter((one) => !one.isOfServer), LOAD = CHARTS.filter((one) => one.isOfServer || ['connections', 'publishes'].includes(one.metric));

/** Charts of a tenant, or of all tenants, with the number of open connections once it is read, and that of failures that are listed. The range is in the URL; a server of less
 * than an hour begins with the last hour. */
export function Charts({ page, tenant, connections, shown = USE }) {
  const ranges = tenant === undefined ? RANGES : TENANT_RANGES;
  const chosen = page.query.get('range');
  const series = useLoad(async (signal) => {
    const read = async (name) => {
      const { stepMs, step, length } = ranges[name];
      // The current interval is the last one; it began at most one step ago.
      const end = Math.floor(Date.now() / stepMs) * stepMs + stepMs;
      const query = withQuery('/v1/stats/series', { metrics: shown.map((one) => one.metric).join(','), step, from: new Date(end - 2 * length).toISOString() });
      const [{ metrics, points }, failed] = await Promise.all([get(tenant === undefined ? query : `${query}&${new URLSearchParams({ tenant })}`, signal), shown === USE && get(withQuery('/v1/failures', { tenant: tenant ?? '*', limit: 1, from: new Date(Date.now() - length).toISOString() }), signal).catch(() => null)]);
      const isYoung = !chosen && '1h' in ranges && name !== '1h' && points.length > 0 && points[0][0] > Date.now() - HOUR_MS;
      return isYoung ? read('1h') : { name, metrics, points, end, listed: { failures: failed?.total } };
    };
    try {
      return await read(chosen in ranges ? chosen : '24h');
    } catch (problem) {
      if (problem.status === 404) return null;
      throw problem;
    }
  }, [chosen, tenant]);
  const name = series.value?.name ?? (chosen in ranges ? chosen : '24h'), range = ranges[name];
  const open = page.may(CONTENT) && ((one, from, to) => page.go(withQuery(page.url(one.list ?? '/notifications'), { ...one.filter, tenant, from: new Date(from).toISOString(), to: new Date(to).toISOString() })));
  return html`<section aria-labelledby="charts"><header class="legend"><h2 id="charts">Last ${range.name}</h2>
      <nav class="segments" aria-label="Range">${Object.keys(ranges).map((one) => html`<a key=${one} href=${withQuery(page.path, { ...Object.fromEntries(page.query), range: one })} aria-current=${one === name ? 'page' : null}>${one}</a>`)}</nav>
      <p class="muted"><span class="key today" aria-hidden="true"></span>${range.now} <span class="key before" aria-hidden="true"></span>${range.before}</p></header>
    <p class="hidden" id="selection">Arrow keys select an interval, with Shift several; Enter opens what happened.</p>
    <${Loaded} of=${series}>${(value) => {
    if (value === null) return html`<${Empty} text="Statistics are turned off." command="BELLCAST_STATS=on bellcast serve" />`;
    if (value.points.length === 0) return html`<${Empty} icon="live" text=${tenant === undefined ? 'The first numbers appear a minute after the start.' : 'There are no numbers for this tenant. They appear a minute after its first event, if it is among the 100 busiest tenants of a node.'} />`;
    return html`<div class="charts">${shown.map((one) => html`<${Chart} key=${one.metric + name} one=${one} series=${value} range=${range} current=${{ connections }[one.metric]} listed=${value.listed[one.metric]} open=${open && ((from, to) => open(one, from, to))} />`)}</div>`;
  }}<//></section>`;
}

/**
 * The selection of intervals by pointer and by keyboard.
 * @param {number} last the number of the last interval
 * @param {any} open gets the first and the last interval
 * @param {(part: number) => number} indexAt the interval at a part of the width
 */
export function useSelection(last, open, indexAt) {
  // From where the selection began; `pressedAt` while the pointer is down.
  const [selection, select] = useState({ anchor: last, focus: last, isShown: false, pressedAt: null });
  const clear = () => select({ ...selection, isShown: false, pressedAt: null });
  const choose = () => open(...[selection.anchor, selection.focus].sort((one, other) => one - other));
  const intervalAt = ({ clientX, currentTarget }) => {
    const box = currentTarget.getBoundingClientRect();
    return Math.min(Math.max(indexAt((clientX - box.left) / box.width), 0), last);
  };
  const press = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const at = intervalAt(event);
    select({ anchor: at, focus: at, isShown: false, pressedAt: event.clientX });
  };
  const drag = (event) => {
    if (selection.pressedAt !== null && Math.abs(event.clientX - selection.pressedAt) >= MIN_DRAG_PX) select({ ...selection, focus: intervalAt(event), isShown: true });
  };
  const release = () => {
    clear();
    if (selection.isShown && selection.pressedAt !== null) choose();
  };
  const keys = (event) => {
    const moved = { ArrowLeft: selection.focus - 1, ArrowRight: selection.focus + 1, Home: 0, End: last }[event.key];
    if (event.key === 'Enter') choose();
    else if (event.key === 'Escape' && selection.isShown) clear();
    else if (moved !== undefined) {
      const focus = Math.min(Math.max(moved, 0), last);
      select({ anchor: event.shiftKey ? selection.anchor : focus, focus, isShown: true, pressedAt: null });
    } else return;
    event.preventDefault();
  };
  return { selection, intervalAt, drag, attributes: { tabIndex: 0, 'aria-describedby': 'selection', onPointerDown: press, onPointerUp: release, onPointerCancel: clear, onBlur: clear, onKeyDown: keys } };
}

/** `current` is the value now, of a metric that has one; `listed` counts the rows of its list, which has others than the numbers before. `open` shows the events between two times; false without permission. */
function Chart({ one, series: { metrics, points: rows, end }, range, current, listed, open }) {
  const { length, stepMs } = range, count = Math.round(length / stepMs), last = count - 1, begin = end - length;
  const about = current !== undefined && one.headline === newest ? 'now' : `${listed ? 'listed ' : ''}${one.about(range)}`, when = length > DAY_MS ? dayOf : hourOf;
  const column = metrics.indexOf(one.metric) + 1;
  const points = rows.map((row) => [row[0], row[column]]).filter(([, value]) => value !== null);
  const today = points.filter(([at]) => at >= begin);
  const before = points.filter(([at]) => at < begin).map(([at, value]) => [at + length, value]);
  const [newer, other] = [today, before].map((part) => (part.length === 0 ? '–' : one.show(one.headline(part.map(([, value]) => value)))));
  // The average of the current interval is that of a part of it.
  const headline = listed ? `${one.show(listed.value)}${listed.exact ? '' : '+'}` : current === undefined ? newer : one.show(current), isCompared = before.length > 0 && !listed;
  const values = points.map(([, value]) => value).sort((first, second) => first - second), top = highest(values);
  const usual = values[Math.floor(values.length * USUAL) - 1], isCut = usual > MANY && top > OUTLIER * usual, peak = isCut ? usual : top;
  // A line between a few would be of numbers that were never there.
  const isFew = one.headline === sum && (top < FEW || usual < FEW), width = Math.max(WIDTH / count * BAR, 2);
  // A flat line at zero is at the bottom. A duration is charted up to a round number above its highest value.
  const isDuration = one.about === most, step = 10 ** Math.floor(Math.log10(peak / 2 || 1));
  const scale = isDuration ? Math.max(LEAST_MS, (Math.floor(peak / step) + 1) * step) : peak || 1;
  // Bars are in the middle of their interval, points at its beginning.
  const slots = isFew ? count : last, half = isFew ? 0.5 : 0;
  const place = ([at, value]) => [((at - begin) / stepMs + half) / slots * WIDTH, HEIGHT - Math.min(value / scale, 1) * (HEIGHT - 4) - 2];
  // The current interval has not ended: a fall to it would be taken for one of the numbers.
  const ended = today.filter(([at]) => at < end - stepMs);
  const pointed = pointedAt.value && today.find(([at]) => at === pointedAt.value);
  const between = ({ anchor, focus }) => [begin + Math.min(anchor, focus) * stepMs, begin + (Math.max(anchor, focus) + 1) * stepMs];
  const { selection, intervalAt, drag, attributes } = useSelection(last, open && ((first, end_) => open(begin + first * stepMs, begin + (end_ + 1) * stepMs)), (part) => Math.floor(part * slots + 0.5 - half));
  const point = (event) => {
    pointedAt.value = begin + intervalAt(event) * stepMs;
    if (open) drag(event);
  };
  const selected = selection.isShown && between(selection).map(dayTime).join(' to ');
  const readout = selected || (isCompared ? `${about} · ${other} before` : about);
  const [cursor] = pointed ? place(pointed) : [], earlier = pointed && before.find(([at]) => at === pointed[0]);
  const label = `${one.title}: ${headline} ${about}${isCompared ? `, ${range.before} ${other}` : ''}`;
  return html`<section class=${`panel chart ${one.isBad && top > 0 ? 'bad' : ''}`}><h3>${one.title}${one.note && html` <small>${one.note}</small>`}</h3><p class=${`value ${one.isBad && headline === '0' ? 'muted' : ''}`}>${headline}</p>
    <div class="scale"><p class="readout muted" aria-hidden="true">${readout}</p>${top > 0 && html`<span class="peak muted" aria-hidden="true" title=${isCut && 'Higher than the chart, so that the other values can be seen'}>${isCut ? '▲ max ' : isDuration ? '' : 'max '}${one.show(isDuration && !isCut ? scale : top)}</span>`}</div>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label} onPointerMove=${point} onPointerLeave=${() => { pointedAt.value = null; }} ...${open && attributes}>
      ${selection.isShown && html`<rect class="mark" y="0" height=${HEIGHT} x=${Math.min(selection.anchor, selection.focus) / slots * WIDTH} width=${Math.max(Math.abs(selection.focus - selection.anchor) + 2 * half, 0.5) / slots * WIDTH} />`}
      ${isFew ? html`<path class="bars earlier" d=${bars(before, place, width)} /><path class="bars" d=${bars(today, place, width)} />` : html`<path class="before" d=${line(before, place, stepMs)} />${one.headline !== newest && html`<path class="area" d=${area(ended, place, stepMs)} />`}<path class="today" d=${line(ended, place, stepMs)} /><path class="today now" d=${line(today.slice(-2), place, stepMs)} />`}
      ${pointed && html`<line class="cursor" x1=${cursor} x2=${cursor} y1="0" y2=${HEIGHT} />`}</svg>
    <p class="hidden" role="status">${selected && `${selected}. Enter opens it.`}</p>
    <p class="axis muted" aria-hidden="true">${[0, 0.5, 1].map((part) => html`<span key=${part}>${when(begin + Math.round(part * last) * stepMs)}</span>`)}${pointed && html`<b style=${{ left: `${cursor / WIDTH * 100}%`, translate: `${-cursor / WIDTH * 100}%` }}>${when(pointed[0])} · ${one.show(pointed[1])}${earlier && html`<small> · ${one.show(earlier[1])} before</small>`}</b>`}</p>
    <${Table} one=${one} today=${today} before=${before} when=${when} /></section>`;
}

/** Consecutive points are connected; a gap in the samples is a gap in the line. */
function parts(points, stepMs) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1)?.at(-1);
    if (last && point[0] - last[0] === stepMs) found.at(-1).push(point);
    else found.push([point]);
  }
  return found;
}

const corner = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** A single point is a short line. */
function line(points, place, stepMs) {
  return parts(points, stepMs).map((part) => `M${part.map(place).map(corner).join('L')}${part.length === 1 ? 'h2' : ''}`).join('');
}

/** A bar for each value that is not 0. */
const bars = (points, place, width) => points.filter(([, value]) => value > 0).map(place).map(([x, y]) => `M${(x - width / 2).toFixed(1)} ${HEIGHT}V${Math.min(y, HEIGHT - LEAST_HEIGHT).toFixed(1)}h${width.toFixed(1)}V${HEIGHT}Z`).join('');

function area(points, place, stepMs) {
  return parts(points, stepMs).map((part) => part.map(place)).map((part) => `M${part[0][0].toFixed(1)} ${HEIGHT}L${part.map(corner).join('L')}V${HEIGHT}Z`).join('');
}

/** The numbers as a table, built when it is opened. */
function Table({ one, today, before, when }) {
  const [isOpen, setOpen] = useState(false);
  const earlier = new Map(before);
  const cell = (value) => (value === undefined ? '–' : one.show(value));
  return html`<details onToggle=${({ currentTarget }) => setOpen(currentTarget.open)}><summary aria-label=${`Table of ${one.title}`}>Table</summary>${isOpen && html`<div class="scroll" tabIndex="0" role="region" aria-label=${`${one.title} as a table`}><table>
    <thead><tr>${['Time', 'Now', 'Before'].map((name) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
    <tbody>${today.toReversed().map(([at, value]) => html`<tr key=${at}><td>${when(at)}</td><td data-label="Now">${cell(value)}</td><td data-label="Before">${cell(earlier.get(at))}</td></tr>`)}</tbody></table></div>`}</details>`;
}

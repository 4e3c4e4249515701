/**
 * Charts of the Overview: a time range compared with the previous one, each with its numbers as a table. A selected range opens the list behind
 * the numbers.
 */
import { days, duration, exact, fill, h, hours } from './dom.js';
import { empty, load } from './list.js';
import { CONTENT } from './page.js';
import { selectRange } from './range-select.js';
import { get, withQuery } from './server.js';

const SVG = 'http://www.w3.org/2000/svg';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WIDTH = 320;
const HEIGHT = 72;

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
const most = () => 'at most';

// `list` with `filter` shows what happened in a selected range, by default the notifications.
const CHARTS = [
  { metric: 'sends', title: 'Sends', headline: sum, about: summed, show: whole },
  { metric: 'deliveries', title: 'Deliveries', headline: sum, about: summed, show: whole, list: '/messages' },
  { metric: 'failures', title: 'Failures', headline: sum, about: summed, show: whole, list: '/failures' },
  { metric: 'connections', title: 'Connections', headline: newest, about: averaged, show: whole, list: '/connections', filter: { state: 'closed' } },
  { metric: 'publishes', title: 'Live events', headline: sum, about: summed, show: whole, list: '/requests' },
  { metric: 'refusals', title: 'Refusals', headline: sum, about: summed, show: whole, list: '/requests', filter: { status: '4xx' } },
  { metric: 'latency_p95', title: 'Latency, p95', headline: highest, about: most, show: duration, isOfAll: true, list: '/requests' },
  { metric: 'queue_age', title: 'Queue age', headline: highest, about: most, show: duration, isOfAll: true },
];

/** The charts of a tenant, or of all tenants. The range is in the URL; a server of less than an hour begins with the last hour. */
export function charts(page, tenant) {
  const place = h('div', {});
  const title = h('h2', { id: 'charts' });
  const keys = h('p', { class: 'muted' });
  const [ranges, shown] = tenant === undefined ? [RANGES, CHARTS] : [TENANT_RANGES, CHARTS.filter((one) => !one.isOfAll)];
  const chosen = page.query.get('range');
  const draw = (name) => {
    const range = ranges[name];
    fill(title, `Last ${range.name}`);
    fill(keys, h('span', { class: 'key today', 'aria-hidden': 'true' }), `${range.now} `, h('span', { class: 'key before', 'aria-hidden': 'true' }), range.before);
    // The current interval is the last one; it began at most one step ago.
    const end = Math.floor(Date.now() / range.stepMs) * range.stepMs + range.stepMs;
    const parameters = { metrics: shown.map((one) => one.metric).join(','), step: range.step, from: new Date(end - 2 * range.length).toISOString() };
    const path = withQuery('/v1/stats/series', parameters) + (tenant === undefined ? '' : `&${new URLSearchParams({ tenant })}`);
    load(place, page.signal, async (signal) => {
      try {
        return await get(path, signal);
      } catch (problem) {
        if (problem.status === 404) return null;
        throw problem;
      }
    }, (series) => {
      if (series === null) return empty('Statistics are turned off.', 'BELLCAST_STATS=on bellcast serve');
      if (series.points.length === 0 && tenant !== undefined) return empty('There are no numbers for this tenant. They appear a minute after its first event, if it is among the 100 busiest tenants of a node.');
      if (series.points.length === 0) return empty('The first numbers appear a minute after the start.');
      if (!chosen && '1h' in ranges && name !== '1h' && series.points[0][0] > Date.now() - HOUR_MS) {
        draw('1h');
        return null;
      }
      return h('div', { class: 'charts' }, shown.map((one) => chart(one, series, end, range, page.may(CONTENT) && ((from, to) => {
        page.go(withQuery(page.url(one.list ?? '/notifications'), { ...one.filter, tenant, from: new Date(from).toISOString(), to: new Date(to).toISOString() }));
      }))));
    });
    fill(links, Object.keys(ranges).map((one) => h('a', { href: withQuery(page.path, { ...Object.fromEntries(page.query), range: one }), 'aria-current': one === name && 'page' }, one)));
  };
  const links = h('nav', { class: 'tabs', 'aria-label': 'Range' });
  draw(chosen in ranges ? chosen : '24h');
  return h('section', { 'aria-labelledby': 'charts' }, h('header', { class: 'legend' }, title, links, keys),
    h('p', { class: 'hidden', id: 'selection' }, 'Arrow keys select an interval, with Shift several; Enter opens what happened.'), place);
}

/** `open` shows the events between two times; false without permission. */
function chart(one, series, end, range, open) {
  const { length, stepMs } = range;
  const about = one.about(range);
  const when = length > DAY_MS ? days : hours;
  const column = series.metrics.indexOf(one.metric) + 1;
  const points = series.points.map((row) => [row[0], row[column]]).filter(([, value]) => value !== null);
  const today = points.filter(([at]) => at >= end - length);
  const before = points.filter(([at]) => at < end - length).map(([at, value]) => [at + length, value]);
  const [headline, other] = [today, before].map((day) => (day.length === 0 ? '–' : one.show(one.headline(day.map(([, value]) => value)))));
  const top = highest([...today, ...before].map(([, value]) => value));
  const label = `${one.title}: ${headline} ${about}${before.length === 0 ? '' : `, ${range.before} ${other}`}`;
  // A flat line at zero is at the bottom.
  const place = ([at, value]) => [(at - end + length) / (length - stepMs) * WIDTH, HEIGHT - value / (top || 1) * (HEIGHT - 4) - 2];
  const readout = h('p', { class: 'readout muted', 'aria-hidden': 'true' });
  const rest = () => fill(readout, before.length === 0 ? about : `${about} · ${other} before`);
  rest();
  // The maximum is also the scale.
  const peak = one.about !== most && top > 0 && h('span', { class: 'peak muted', 'aria-hidden': 'true' }, `max ${one.show(top)}`);
  const cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  const mark = svg('rect', { class: 'mark', y: 0, height: HEIGHT, visibility: 'hidden' });
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    mark, svg('path', { class: 'before', d: line(before, place, stepMs) }), svg('path', { class: 'area', d: area(today, place, stepMs) }), svg('path', { class: 'today', d: line(today, place, stepMs) }), cursor);
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    const at = end - length + (event.clientX - box.left) / box.width * (length - stepMs);
    const nearest = today.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best), today[0]);
    if (!nearest) return;
    const [x] = place(nearest);
    cursor.setAttribute('x1', String(x));
    cursor.setAttribute('x2', String(x));
    cursor.setAttribute('visibility', 'visible');
    fill(readout, `${when(nearest[0])}: ${one.show(nearest[1])}`);
  });
  picture.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    rest();
  });
  const announcement = h('p', { class: 'hidden', role: 'status' });
  if (open) {
    picture.setAttribute('tabindex', '0');
    picture.setAttribute('aria-describedby', 'selection');
    const scale = { begin: end - length, stepMs, count: Math.round(length / stepMs), width: WIDTH };
    selectRange(picture, mark, scale, (from, to) => {
      const text = `${exact(from)} to ${exact(to)}`;
      fill(announcement, `${text}. Enter opens it.`);
      fill(readout, text);
    }, open);
  }
  return h('section', { class: 'panel chart' }, h('h3', {}, one.title), h('p', { class: 'value' }, headline), h('div', { class: 'scale' }, readout, peak), picture, announcement,
    h('p', { class: 'axis muted', 'aria-hidden': 'true' }, [0, 0.5, 1].map((part) => h('span', {}, when(end - length + Math.round(part * (length / stepMs - 1)) * stepMs)))),
    table(one, today, before, when));
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

function area(points, place, stepMs) {
  return parts(points, stepMs).map((part) => part.map(place)).map((part) => `M${part[0][0].toFixed(1)} ${HEIGHT}L${part.map(corner).join('L')}V${HEIGHT}Z`).join('');
}

/** The numbers as a table, built when it is opened. */
function table(one, today, before, when) {
  const place = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${one.title} as a table` });
  const details = h('details', { ontoggle: () => {
    if (!details.open || place.firstChild) return;
    const earlier = new Map(before);
    const cell = (value) => (value === undefined ? '–' : one.show(value));
    fill(place, h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'Now', 'Before'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, today.toReversed().map(([at, value]) => h('tr', {}, h('td', {}, when(at)), h('td', { 'data-label': 'Now' }, cell(value)), h('td', { 'data-label': 'Before' }, cell(earlier.get(at))))))));
  } }, h('summary', { 'aria-label': `Table of ${one.title}` }, 'Table'), place);
  return details;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

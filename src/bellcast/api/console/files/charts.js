/**
 * Charts of the Overview: the last day against the day before, each with its numbers as a table.
 */
import { fill, h, hours } from './dom.js';
import { empty, load } from './list.js';
import { get, withQuery } from './server.js';

const SVG = 'http://www.w3.org/2000/svg';
const STEP_MS = 900_000;
const DAY_MS = 86_400_000;
const WIDTH = 320;
const HEIGHT = 72;

const whole = (value) => Math.round(value).toLocaleString('en');
const decimal = (value) => value.toLocaleString('en', { maximumFractionDigits: 1 });
const duration = (ms) => (ms < 1000 ? `${decimal(ms)} ms` : `${decimal(ms / 1000)} s`);
// How the numbers of a day become its headline.
const sum = (values) => values.reduce((total, one) => total + one, 0);
const highest = (values) => Math.max(0, ...values);
const newest = (values) => values.at(-1) ?? 0;

const CHARTS = [
  { metric: 'connections', title: 'Connections', headline: newest, about: 'on average in 15 min', show: decimal },
  { metric: 'sends', title: 'Sends', headline: sum, about: 'in 24 hours', show: whole },
  { metric: 'publishes', title: 'Live events', headline: sum, about: 'in 24 hours', show: whole },
  { metric: 'deliveries', title: 'Deliveries', headline: sum, about: 'in 24 hours', show: whole },
  { metric: 'refusals', title: 'Refusals', headline: sum, about: 'in 24 hours', show: whole },
  { metric: 'failures', title: 'Failures', headline: sum, about: 'in 24 hours', show: whole },
  { metric: 'latency_p95', title: 'Latency, 95 %', headline: highest, about: 'at most', show: duration },
  { metric: 'queue_age', title: 'Queue age', headline: highest, about: 'at most', show: duration },
];

/** The charts; nothing for operators without these numbers. */
export function charts(page) {
  const place = h('div', {});
  // They are of all tenants together.
  if (page.me.tenants) return null;
  // The current interval began up to a step ago, and is the last one.
  const end = Math.floor(Date.now() / STEP_MS) * STEP_MS + STEP_MS;
  const parameters = { metrics: CHARTS.map((one) => one.metric).join(','), step: '15m', from: new Date(end - 2 * DAY_MS).toISOString() };
  load(place, page.signal, async (signal) => {
    try {
      return await get(withQuery('/v1/stats/series', parameters), signal);
    } catch (problem) {
      if (problem.status === 404) return null;
      throw problem;
    }
  }, (series) => {
    if (series === null) return empty('Numbers over time are turned off.', 'BELLCAST_STATS=on bellcast serve');
    if (series.points.length === 0) return empty('The first numbers appear here a minute after the start.');
    return h('div', { class: 'charts' }, CHARTS.map((one) => chart(one, series, end)));
  });
  return h('section', { 'aria-labelledby': 'charts' },
    h('header', { class: 'legend' }, h('h2', { id: 'charts' }, 'Last 24 hours'),
      h('p', { class: 'muted' }, h('span', { class: 'key today', 'aria-hidden': 'true' }), 'today ', h('span', { class: 'key before', 'aria-hidden': 'true' }), 'the day before')), place);
}

function chart(one, series, end) {
  const column = series.metrics.indexOf(one.metric) + 1;
  const points = series.points.map((row) => [row[0], row[column]]).filter(([, value]) => value !== null);
  const today = points.filter(([at]) => at >= end - DAY_MS);
  const before = points.filter(([at]) => at < end - DAY_MS).map(([at, value]) => [at + DAY_MS, value]);
  const [headline, other] = [today, before].map((day) => (day.length === 0 ? '–' : one.show(one.headline(day.map(([, value]) => value)))));
  const top = highest([...today, ...before].map(([, value]) => value));
  const label = `${one.title}: ${headline} ${one.about}${before.length === 0 ? '' : `, the day before ${other}`}`;
  // A flat line at zero is at the bottom.
  const place = ([at, value]) => [(at - end + DAY_MS) / (DAY_MS - STEP_MS) * WIDTH, HEIGHT - value / (top || 1) * (HEIGHT - 4) - 2];
  const readout = h('p', { class: 'readout muted', 'aria-hidden': 'true' });
  const rest = () => fill(readout, before.length === 0 ? one.about : `${one.about} · ${other} before`);
  rest();
  const cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('path', { class: 'before', d: line(before, place) }), svg('path', { class: 'area', d: area(today, place) }), svg('path', { class: 'today', d: line(today, place) }), cursor);
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    const at = end - DAY_MS + (event.clientX - box.left) / box.width * (DAY_MS - STEP_MS);
    const nearest = today.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best), today[0]);
    if (!nearest) return;
    const [x] = place(nearest);
    cursor.setAttribute('x1', String(x));
    cursor.setAttribute('x2', String(x));
    cursor.setAttribute('visibility', 'visible');
    fill(readout, `${hours(nearest[0])}: ${one.show(nearest[1])}`);
  });
  picture.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    rest();
  });
  return h('section', { class: 'panel chart' }, h('h3', {}, one.title), h('p', { class: 'value' }, headline), readout, picture,
    h('p', { class: 'axis muted', 'aria-hidden': 'true' }, [0, 0.5, 1].map((part) => h('span', {}, hours(end - DAY_MS + Math.round(part * (DAY_MS / STEP_MS - 1)) * STEP_MS)))),
    table(one, today, before));
}

/** Points of an interval that follow each other are connected; a gap of the server is a gap of the line. */
function parts(points) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1)?.at(-1);
    if (last && point[0] - last[0] === STEP_MS) found.at(-1).push(point);
    else found.push([point]);
  }
  return found;
}

const corner = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** A single point is a short line. */
function line(points, place) {
  return parts(points).map((part) => `M${part.map(place).map(corner).join('L')}${part.length === 1 ? 'h2' : ''}`).join('');
}

function area(points, place) {
  return parts(points).map((part) => part.map(place)).map((part) => `M${part[0][0].toFixed(1)} ${HEIGHT}L${part.map(corner).join('L')}V${HEIGHT}Z`).join('');
}

/** The numbers as a table, built when it is opened. */
function table(one, today, before) {
  const place = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${one.title} as a table` });
  const details = h('details', { ontoggle: () => {
    if (!details.open || place.firstChild) return;
    const earlier = new Map(before);
    const cell = (value) => (value === undefined ? '–' : one.show(value));
    fill(place, h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'Today', 'Before'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, today.toReversed().map(([at, value]) => h('tr', {}, h('td', {}, hours(at)), h('td', { 'data-label': 'Today' }, cell(value)), h('td', { 'data-label': 'Before' }, cell(earlier.get(at))))))));
  } }, h('summary', { 'aria-label': `Table of ${one.title}` }, 'Table'), place);
  return details;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

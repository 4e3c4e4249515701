/**
 * A small histogram above a list: how many there were over time. A selected range filters the list.
 */
import { useSelection } from './charts.js';
import { RANGE, startOf } from './filters.js';
import { dayOf, count as amount, hourOf, number, timeSpan } from './format.js';
import { html, useState } from './html.js';
import { loadStyle, useLoad } from './load.js';
import { setQuery, shownTenant } from './router.js';
import { get, withQuery } from './server.js';

const MINUTE_MS = 60_000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS;
/** Lengths of the intervals: the first with which a range has at most this many. */
const LENGTHS = [1, 2, 5, 15, 30, 60, 180, 360, 720].map((minutes) => minutes * MINUTE_MS), MAX_BARS = 72;
/** Numbers per minute are kept for 48 hours. */
const MINUTES_KEPT_MS = 47 * HOUR_MS;
const BAR = 4, HEIGHT = 32;

await loadStyle('histogram.css');

/** The intervals of a time range: their length, the first one, and the step of the numbers in the API. */
function intervalsOf({ from, to }, isOfTenant) {
  const least = LENGTHS.find((one) => (to - from) / one <= MAX_BARS) ?? LENGTHS.at(-1);
  const isRecent = from > Date.now() - MINUTES_KEPT_MS;
  const length = Math.max(least, isOfTenant ? HOUR_MS : isRecent ? MINUTE_MS : 15 * MINUTE_MS), begin = Math.floor(from / length) * length;
  return { length, begin, count: Math.max(1, Math.ceil((to - begin) / length)), step: isOfTenant ? '1h' : length < 15 * MINUTE_MS ? '1m' : '15m' };
}

/** The sums of values in the intervals. */
function barsOf(points, { begin, length, count }) {
  const bars = Array(count).fill(0);
  for (const [at, value] of points) if (Math.floor((at - begin) / length) in bars) bars[Math.floor((at - begin) / length)] += value ?? 0;
  return bars;
}

/** The height of a bar: by the root, so that all others can be seen beside one busy interval. A part has its share of it. */
const heightOf = (value, top) => (value > 0 ? Math.max(2, Math.sqrt(value / top) * HEIGHT) : 0);

/** @param {{page: any, metric: string, noun: string, kind?: string, part?: {metric: string, word: string}, isHidden: boolean, counted?: number | null, range: string, chosen: {from: string, to: string} | null}} of `kind` is the colour of its bars, and a `part` of them has that of a warning; `counted` is the number if it is not the sum, null while it is read; without rows it is not shown, and while nothing was counted it keeps its room */
export function Histogram({ page, metric, noun, kind = 'accent', part, counted, range, chosen, isHidden }) {
  const tenants = shownTenant() ? [shownTenant()] : page.me.tenants;
  const period = chosen ? { from: Date.parse(chosen.from), to: Date.parse(chosen.to) } : { from: Date.parse(startOf(range || '24h')), to: Date.now() };
  const { length, begin, count, step } = intervalsOf(period, tenants !== null);
  const found = useLoad(async (signal) => {
    const query = withQuery('/v1/stats/series', { metrics: [metric, ...(part ? [part.metric] : [])].join(','), step, from: new Date(begin).toISOString(), to: new Date(begin + count * length).toISOString() });
    const queries = tenants?.map((tenant) => `${query}&${new URLSearchParams({ tenant })}`) ?? [query];
    const points = (await Promise.all(queries.map((one) => get(one, signal)))).flatMap((one) => one.points);
    return [1, 2].map((place) => barsOf(points.map((point) => [point[0], point[place]]), { begin, length, count }));
  }, [metric, tenants, begin, count, length]);
  const [bars, parts] = found.value ?? [[], []], top = Math.max(1, ...bars), [sum, sumOfParts] = [bars, parts].map((all) => all.reduce((one, other) => one + other, 0));
  const pathOf = (heights) => heights.map((height, index) => (height > 0 ? `M${index * BAR + 0.5} ${HEIGHT}v${-height}h${BAR - 1}V${HEIGHT}Z` : '')).join('');
  const heights = bars.map((value) => heightOf(value, top));
  const [pointed, setPointed] = useState(null);
  const at = (index) => begin + index * length;
  const open = (first, last) => setQuery({ range: null, from: new Date(at(first)).toISOString(), to: new Date(at(last + 1)).toISOString() });
  const { selection, intervalAt, drag, attributes } = useSelection(count - 1, open, (part) => Math.min(Math.floor(part * count), count - 1));
  const spanOf = (first, last) => timeSpan(at(first), at(last + 1));
  const [first, last] = [selection.anchor, selection.focus].sort((one, other) => one - other);
  const words = chosen ? 'in this range' : `in the ${RANGE.words[range || '24h']}`;
  const total = found.value === undefined || counted === null ? '' : `${amount(counted ?? sum, noun)}${tenants && counted === undefined ? ' counted' : ''} ${words}${sumOfParts > 0 ? `, ${number(sumOfParts)} ${part.word}` : ''}`;
  const readout = selection.isShown ? spanOf(first, last) : pointed !== null && bars[pointed] !== undefined ? `${spanOf(pointed, pointed)}: ${number(bars[pointed])}${parts[pointed] > 0 ? `, ${number(parts[pointed])} ${part.word}` : ''}` : sum > 0 ? `max ${number(top)}` : '';
  const when = count * length > DAY_MS + length ? dayOf : hourOf;
  return html`<section class=${`histogram ${kind}`} hidden=${isHidden} style=${(counted || sum) === 0 ? { visibility: 'hidden' } : null} aria-label=${`${noun[0].toUpperCase()}${noun.slice(1)}s over time`}><p class="muted"><span>${total}</span><span aria-hidden="true">${readout}</span></p><p class="hidden" id="selection">Arrow keys select an interval, with Shift several; Enter filters the list.</p>
    <svg viewBox=${`0 0 ${count * BAR} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${total || `${noun}s`}, at most ${number(Math.max(0, ...bars))} at a time`} ...${attributes} onPointerMove=${(event) => {
      setPointed(intervalAt(event));
      drag(event);
    }} onPointerLeave=${() => setPointed(null)}>
      ${selection.isShown && html`<rect class="mark" x=${first * BAR} width=${(last - first + 1) * BAR} y="0" height=${HEIGHT} />`}
      <path d=${pathOf(heights)} />${part && html`<path class="part" d=${pathOf(parts.map((value, index) => heights[index] * Math.min(1, value / bars[index] || 0)))} />`}
      ${pointed !== null && !selection.isShown && html`<rect class="pointed" x=${pointed * BAR} width=${BAR} y="0" height=${HEIGHT} />`}</svg>
    <p class="axis muted" aria-hidden="true">${[0, 0.5, 1].map((part) => html`<span key=${part}>${when(at(Math.round(part * count)))}</span>`)}</p><p class="hidden" role="status">${selection.isShown ? `${spanOf(first, last)}. Enter filters the list.` : ''}</p></section>`;
}

/** A histogram of a metric, for the declaration of a list. */
export const histogramOf = (metric, noun, kind, part) => function OfList(props) { return html`<${Histogram} metric=${metric} noun=${noun} kind=${kind} part=${part} ...${props} />`; };

/**
 * The difference of two texts by lines.
 */
import { html } from './html.js';
import { count } from './format.js';

/** Number of unchanged lines shown before and after a change. */
const CONTEXT = 3;
/** Maximum comparisons of lines: about 20 ms and 16 MB. Larger changes are shown as removed and added. */
const MAX_COMPARED = 4_000_000;

const KINDS = { '+': 'ok', '-': 'bad', ' ': '' };

/** A view of the changed lines between two texts. */
export function Difference({ before, after }) {
  const lines = compare(before, after);
  const shown = lines.map((_, index) => lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(([sign]) => sign !== ' '));
  const rows = [];
  for (let index = 0; index < lines.length;) {
    const end = shown.indexOf(!shown[index], index);
    const next = end < 0 ? lines.length : end;
    rows.push(...(shown[index] ? lines.slice(index, next).map(([sign, line]) => [KINDS[sign], `${sign} ${line}\n`]) : [['muted', `… ${count(next - index, 'unchanged line')}\n`]]));
    index = next;
  }
  return html`<pre class="diff" tabIndex="0" role="group" aria-label="Changed lines">${rows.map(([kind, line], index) => html`<span key=${index} class=${kind}>${line}</span>`)}</pre>`;
}

/** The lines of two texts as [sign, line]: removed, added or in both. */
function compare(before, after) {
  const [a, b] = [before, after].map((text) => (text === '' ? [] : text.trimEnd().split('\n')));
  let [start, end] = [0, 0];
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const changed = longestCommon(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const same = (lines) => lines.map((line) => [' ', line]);
  return [...same(a.slice(0, start)), ...changed, ...same(a.slice(a.length - end))];
}

/** The lines of two lists as [sign, line], by their longest common subsequence. */
function longestCommon(a, b) {
  if (a.length * b.length > MAX_COMPARED) return [...a.map((line) => ['-', line]), ...b.map((line) => ['+', line])];
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push([' ', a[i++], j++]);
    else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) lines.push(['-', a[i++]]);
    else lines.push(['+', b[j++]]);
  }
  return lines;
}

/**
 * The rows of a list: one line each on a wide list, two on a narrow one. Rows far from the screen leave the document, and the keys `j` and `k` move
 * through all of them. A column that is empty in all rows is left out.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { dayName } from './format.js';
import { Icon, Popup, State, Time, Type, kindOf } from './parts.js';

/** Rows within this distance of the screen stay. */
const MARGIN = '1200px 0px';

/** Kinds of columns: their width, and their content. A column without a kind is a short text. */
const KINDS = {
  state: { width: '16px', show: (value) => html`<${State} of=${value} />` },
  title: { width: 'minmax(10rem, 1fr)', show: null },
  type: { width: '8.5rem', show: (value) => html`<${Type} of=${value} />` },
  time: { width: '6.5rem', show: (value) => html`<${Time} at=${value} />` },
  number: { width: '6rem', show: (value) => value },
};
/** A column has its width while there is room for all. The widest give way first. */
const widthOf = ({ kind, width = KINDS[kind]?.width ?? '7.5rem' }) => (width.startsWith('minmax') ? width : `minmax(0, ${width})`);
const grouped = (value) => html`<${Time} at=${value} isInDay />`;
const plain = (value) => html`<span class="value">${value}</span>`;
const isEmpty = (value) => value === null || value === undefined || value === '' || value === false;
const usedOf = (columns, rows) => columns.filter((one) => one.kind === 'title' || rows.some((row) => !isEmpty(one.of(row))));
/** States of which the icon says enough. The word of others is before the text of each row, unless the rows are filtered by it: the text has the room. */
const ROUTINE = ['unread', 'seen', 'read', 'completed'];
const stateOf = (columns, row) => row && columns.find(({ kind }) => kind === 'state')?.of(row);
const timeOf = (columns) => columns.find(({ kind }) => kind === 'time');

const slugOf = ({ name }) => name.toLowerCase().replace(/\W+/g, '-');
const keyOf = ({ by, share, of }) => by ?? share ?? of;
/** Rows are sorted by a column of texts and times, and by one that says of what. */
const isSortable = (column, rows) => Boolean(column.by ?? column.share) || column.kind !== 'state' && rows.every((row) => isEmpty(column.of(row)) || typeof column.of(row) === 'string');
const { compare } = new Intl.Collator('en', { numeric: true });

/** The rows in the order of the column that is named, with a minus the last one first; else as they are. Rows without a value come last. */
export function sorted(rows, columns, name) {
  const column = columns.find((one) => [slugOf(one), `-${slugOf(one)}`].includes(name)), sign = name?.startsWith('-') ? -1 : 1;
  if (!column || !isSortable(column, rows)) return rows;
  const of = keyOf(column);
  return rows.toSorted((one, other) => isEmpty(of(one)) - isEmpty(of(other)) || sign * compare(of(one), of(other)));
}

/** The name of a column, a button if it sorts the rows: first as is usual for its kind, then the other way, then not. */
function Head({ column, rows, sort }) {
  const { name, kind } = column, slug = slugOf(column), isUp = sort?.name === slug, isDown = sort?.name === `-${slug}`;
  const orders = [slug, `-${slug}`], [first, second] = ['number', 'time'].includes(kind) ? orders.reverse() : orders;
  return html`<div role="columnheader" class=${`cell ${kind ?? ''}`} aria-sort=${isUp ? 'ascending' : isDown ? 'descending' : null}>${sort && isSortable(column, rows) ? html`<button type="button" onClick=${() => sort.choose(sort.name === first ? second : sort.name === second ? null : first)}>${name}${(isUp || isDown) && html`<${Icon} name="up" />`}</button>` : kind === 'state' ? html`<span class="hidden">${name}</span>` : name}</div>`;
}

/** Move to another row of the table, if there is one. */
export const moveInRows = (step) => document.querySelector('.table[data-keys]')?.dispatchEvent(new CustomEvent('move', { detail: step }));

/**
 * @param {object} table
 * @param {string} table.label
 * @param {{name: string, of: (row: any) => any, kind?: string, text?: (row: any) => any, isWrapped?: (row: any) => boolean, lead?: (row: any) => any, isLabeled?: boolean, share?: (row: any) => number, none?: string, by?: (row: any) => any, width?: string}[]} table.columns `by` is the value by which rows are sorted, if it is not the one that is shown; `none` is shown without a value; `lead` is a sign before a title, `text` follows it in grey; on a phone, one that is wrapped is shown as a whole; on a narrow list, a value that `isLabeled` is followed by the name; a `share` is a bar directly before the value, as long as its part of the greatest one of all rows, unless all are small
 * @param {{name: string | null, choose: (name: string | null) => void}} [table.sort] by which column the rows are sorted, if they can be
 * @param {any} [table.pinned] the open object, if it is none of the rows: it is above them, null while it is read
 * @param {any[][]} table.chunks the rows, as the server sent them
 * @param {string} [table.state] the state by which the rows are filtered
 * @param {((row: any) => string) | null} [table.group] the heading of a row, which is shown above the first row that has it
 * @param {boolean} [table.isDense] rows of one short line
 * @param {boolean} [table.isTall] rows of two lines
 * @param {(row: any) => string | null} [table.link] the URL of a row's object
 * @param {(row: any) => any} [table.actions] the buttons of a row's menu
 * @param {(row: any) => boolean} table.isOpen
 * @param {((row: any) => void) | null} table.follow called when the keys move to a row while an object is open
 */
export function Rows({ label, columns: all, chunks, state, sort, pinned, group, isDense, isTall, link, actions, isOpen, follow }) {
  const place = useRef(null);
  // The row of the keys, and the one that has got the focus: several presses can come before the next drawing.
  const active = useRef(-1), settled = useRef(-1);
  const [target, setTarget] = useState(null);
  const rows = chunks.flat(), total = rows.length, columns = usedOf(all, rows);
  const at = (index) => rows[index];
  const move = ({ detail: step }) => {
    const focused = document.activeElement?.closest('.row');
    if (place.current.contains(focused)) {
      if (Number(focused.dataset.index) !== settled.current) active.current = Number(focused.dataset.index);
    } else if (follow) active.current = rows.findIndex(isOpen);
    active.current = Math.min(Math.max(active.current + step, 0), total - 1);
    setTarget({ index: active.current });
    if (follow && total > 0) follow(at(active.current));
  };
  useLayoutEffect(() => {
    if (!target) return;
    settled.current = target.index;
    if (document.activeElement?.closest('.pane-bar')) return;
    place.current.querySelector(`.row[data-index="${target.index}"] .row-link`)?.focus();
  }, [target]);
  const found = rows.find(isOpen), chosen = found && link?.(found);
  useEffect(() => { if (chosen) place.current.querySelector('[data-open]')?.scrollIntoView({ block: 'nearest' }); }, [chosen]);
  const template = columns.map(widthOf).join(' ');
  const groupAt = (index) => (group && rows[index] ? group(rows[index]) : null);
  const most = new Map(columns.filter(({ share }) => share).map((one) => [one, { share: Math.max(1, ...rows.map(one.share)), length: Math.max(...rows.map(one.of).map((value) => (typeof value === 'string' ? value.length : 0))) }]));
  const looks = [isDense && 'dense', isTall && 'tall', columns.some(({ lead }) => lead) ? 'avatars' : columns.some(({ kind }) => kind === 'state') && 'states'].filter(Boolean);
  let start = 0;
  return html`<div class=${['table', ...looks].join(' ')} role="table" aria-label=${label} ref=${place} data-keys onmove=${move} style=${{ '--columns': template }}>
    <div role="rowgroup" class="head"><div role="row" class="row">${columns.map((one) => html`<${Head} key=${one.name} column=${one} rows=${rows} sort=${sort} />`)}${actions && html`<div role="columnheader" class="hidden">Actions</div>`}</div></div>
    ${pinned !== undefined && html`<div role="rowgroup" class="chunk"><div role="row" class="day"><span role="rowheader">Opened</span></div>${pinned ? html`<${Row} row=${pinned} index=${-1} columns=${columns} known=${state} most=${most} href=${link?.(pinned)} actions=${actions} isOpen />` : html`<div class="row" data-open="yes" aria-hidden="true"></div>`}</div>`}
    ${chunks.map((some, index) => {
    const first = start;
    start += some.length;
    return html`<${Chunk} key=${index} isNeeded=${target && target.index >= first && target.index < start} rows=${some} isOnly=${chunks.length === 1}>${() => some.map((row, offset) => html`${groupAt(first + offset) !== groupAt(first + offset - 1) && html`<div key=${`group ${first + offset}`} role="row" class="day"><span role="rowheader">${groupAt(first + offset)}</span></div>`}<${Row} key=${first + offset}
      row=${row} index=${first + offset} columns=${columns} known=${state} most=${most} heading=${groupAt(first + offset)} href=${link?.(row)} actions=${actions} isOpen=${isOpen(row)} />`)}<//>`;
  })}</div>`;
}

/** Rows that are in the document while they are near the screen. */
function Chunk({ rows, isNeeded, isOnly, children }) {
  const place = useRef(null);
  const [isNear, setNear] = useState(true);
  const height = useRef(`calc(var(--row) * ${rows.length})`);
  useEffect(() => {
    if (isOnly) return undefined;
    const observer = new IntersectionObserver(([{ isIntersecting, boundingClientRect }]) => {
      if (!isIntersecting) height.current = `${boundingClientRect.height}px`;
      setNear(isIntersecting);
    }, { rootMargin: MARGIN });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [isOnly]);
  const isShown = isNear || isOnly || isNeeded || place.current?.contains(document.activeElement);
  return html`<div role="rowgroup" class="chunk" ref=${place} aria-hidden=${isShown ? null : 'true'} style=${{ height: isShown ? null : height.current }}>${isShown && children()}</div>`;
}

function Row({ row, index, columns, known, most, heading, href, actions, isOpen }) {
  const menu = actions?.(row), state = stateOf(columns, row), word = state !== known && !ROUTINE.includes(state) && state;
  // On a narrow list, the first line has the title, its state and the time; the second one has all others, on a very narrow one only the first, the tenant, and what comes next in rank.
  const filled = columns.filter((one) => one !== timeOf(columns) && !['title', 'state'].includes(one.kind) && !isNothing(one, row));
  const ranks = filled.toSorted((one, other) => rankOf(one, filled) - rankOf(other, filled)), spares = [null, null, null, 'spare', 'spare rest'];
  return html`<div role="row" class="row" data-index=${index} data-open=${isOpen ? 'yes' : null}>${columns.map((column) => {
    const { name, kind, of, none, share, show = kind === 'time' && of(row) && heading === dayName(of(row)) ? grouped : KINDS[kind]?.show ?? plain } = column, value = of(row), top = most.get(column)?.share;
    if (kind === 'title') return html`<${Title} key=${name} column=${column} row=${row} value=${value} state=${state} word=${word} href=${href} isOpen=${isOpen} />`;
    const place = filled.indexOf(column);
    return html`<div key=${name} role="cell" class=${['cell', kind, isNothing(column, row) && 'none', place >= 0 && 'second', place > 0 && 'next', spares[Math.min(ranks.indexOf(column), 4)]].filter(Boolean).join(' ')} style=${share && { '--length': most.get(column).length }} data-unit=${isCounted(column) ? unitOf(column, row) : null}>${top >= GREATEST && share(row) > 0 && html`<span class="share" style=${{ '--part': Math.max(share(row) / top, LEAST) }}></span>`}${isEmpty(value) ? none && html`<span class="muted">${none}</span>` || ((kind === 'time' || (kind === 'number' && most.size > 0)) && '–') : share && typeof value === 'string' ? html`<span class="amount">${show(value)}</span>` : show(value)}</div>`;
  })}${actions && html`<div role="cell" class="cell acting">${menu && html`<${Popup} buttonClass="quiet" label=${`Actions of ${columns.find(({ kind }) => kind === 'title').of(row)}`} button=${html`<${Icon} name="more" />`}>${() => html`<div class="options">${menu}</div>`}<//>`}</div>`}</div>`;
}

/** Numbers that are all below this one have no bars. */
const GREATEST = 10;
/** The part of a bar that can be seen. */
const LEAST = 1 / 16;

/** On a narrow list, a number is followed by what it counts, "3 events in 24 h", and is left out if it is 0. */
const isCounted = ({ kind, isLabeled = kind === 'number' }) => isLabeled;
const countOf = (column, row) => Number(keyOf(column)(row));
/** Which values of the second line stay when there is little room. */
const rankOf = (column, filled) => (column === filled[0] ? 0 : /^Tenants?$/.test(column.name) ? 1 : column.kind === 'person' ? 2 : isCounted(column) ? 3 : 4);
const isNothing = (column, row) => isEmpty(column.of(row)) || (isCounted(column) && countOf(column, row) === 0);
const unitOf = (column, row) => column.name.toLowerCase().replace(',', ' in').replace(countOf(column, row) === 1 ? /s\b/ : '', '');

const Title = ({ column: { text, isWrapped, lead }, row, value, state, word, href, isOpen }) => html`<div role="cell" class="cell title">${lead?.(row)}${href ? html`<a class="row-link" href=${href} title=${word ? null : state} aria-current=${isOpen ? 'true' : null} dir="auto">${value}</a>` : html`<span class="row-title" dir="auto">${value}</span>`}${(word || text?.(row)) && html`<span class=${isWrapped?.(row) ? 'preview wrapped' : 'preview'} dir="auto">${word && html`<span aria-hidden="true" class=${kindOf(word) === 'ok' ? 'state' : `state ${kindOf(word)}`}>${word}</span>`}${word && text?.(row) && ' · '}${text?.(row)}</span>`}</div>`;

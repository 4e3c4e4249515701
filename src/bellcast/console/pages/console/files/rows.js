/**
 * The rows of a list: one line each on a wide list, two on a narrow one. Rows far from the screen leave the document, and the keys `j` and `k` move
 * through all of them.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Avatar, Icon, Person, Popup, State, Time, Type } from './parts.js';

/** Rows within this distance of the screen stay. */
const MARGIN = '1200px 0px';

/** Kinds of columns: their width, and their content. A column without a kind is a short text. */
const KINDS = {
  state: { width: '6.75rem', show: (value) => html`<${State} of=${value} />` },
  title: { width: 'minmax(10rem, 1fr)', show: null },
  type: { width: '8.5rem', show: (value) => html`<${Type} of=${value} />` },
  person: { width: '11rem', show: (value) => html`<${Person} name=${value} />` },
  time: { width: '6.5rem', show: (value) => html`<${Time} at=${value} />` },
  number: { width: '6rem', show: (value) => value },
};
const widthOf = ({ kind, width }) => width ?? KINDS[kind]?.width ?? '7.5rem';
const plain = (value) => html`<span class="value">${value}</span>`;
const isEmpty = (value) => value === null || value === undefined || value === '' || value === false;

/**
 * @param {object} table
 * @param {string} table.label
 * @param {{name: string, of: (row: any) => any, kind?: string, text?: (row: any) => any, isWrapped?: boolean, hasAvatar?: boolean, isLabeled?: boolean, width?: string}[]} table.columns `text` follows a title in grey; on a narrow list, one that is wrapped is shown as a whole, and one that `isLabeled` follows its name
 * @param {any[][]} table.chunks the rows, as the server sent them
 * @param {(row: any) => string | null} [table.link] the URL of a row's object
 * @param {(row: any) => any} [table.actions] the buttons of a row's menu
 * @param {(row: any) => boolean} table.isOpen
 * @param {((row: any) => void) | null} table.follow called when the keys move to a row while an object is open
 */
export function Rows({ label, columns, chunks, link, actions, isOpen, follow }) {
  const place = useRef(null);
  // The row of the keys, and the one that has got the focus: several presses can come before the next drawing.
  const active = useRef(-1), settled = useRef(-1);
  const [target, setTarget] = useState(null);
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const at = (index) => chunks.flat()[index];
  const move = ({ detail: step }) => {
    const focused = document.activeElement?.closest('.row');
    if (place.current.contains(focused)) {
      if (Number(focused.dataset.index) !== settled.current) active.current = Number(focused.dataset.index);
    } else if (follow) active.current = chunks.flat().findIndex(isOpen);
    active.current = Math.min(Math.max(active.current + step, 0), total - 1);
    setTarget({ index: active.current });
    if (follow && total > 0) follow(at(active.current));
  };
  useLayoutEffect(() => {
    if (!target) return;
    settled.current = target.index;
    place.current.querySelector(`.row[data-index="${target.index}"] .row-link`)?.focus();
  }, [target]);
  const template = columns.map(widthOf).join(' ');
  let start = 0;
  return html`<div class="table" role="table" aria-label=${label} ref=${place} data-keys onmove=${move} style=${{ '--columns': template }}>
    <div role="rowgroup" class="head"><div role="row" class="row">${columns.map(({ name, kind }) => html`<div key=${name} role="columnheader" class=${`cell ${kind ?? ''}`}>${name}</div>`)}${actions && html`<div role="columnheader" class="hidden">Actions</div>`}</div></div>
    ${chunks.map((rows, index) => {
    const first = start;
    start += rows.length;
    return html`<${Chunk} key=${index} isNeeded=${target && target.index >= first && target.index < start} rows=${rows} isOnly=${chunks.length === 1}>${() => rows.map((row, offset) => html`<${Row} key=${first + offset}
      row=${row} index=${first + offset} columns=${columns} href=${link?.(row)} actions=${actions} isOpen=${isOpen(row)} />`)}<//>`;
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

function Row({ row, index, columns, href, actions, isOpen }) {
  const menu = actions?.(row);
  return html`<div role="row" class="row" data-index=${index} data-open=${isOpen ? 'yes' : null}>${columns.map(({ name, kind, of, text, isWrapped, hasAvatar, isLabeled, show = KINDS[kind]?.show ?? plain }) => {
    const value = of(row);
    if (kind === 'title') {
      return html`<div key=${name} role="cell" class="cell title">${hasAvatar && html`<${Avatar} of=${value} />`}${href ? html`<a class="row-link" href=${href} aria-current=${isOpen ? 'true' : null} dir="auto">${value}</a>` : html`<span class="row-title" dir="auto">${value}</span>`}${text?.(row) && html`<span class=${isWrapped ? 'preview wrapped' : 'preview'} dir="auto">${text(row)}</span>`}</div>`;
    }
    return html`<div key=${name} role="cell" class=${`cell ${kind ?? ''}${isEmpty(value) ? ' none' : ''}${isLabeled ? ' labeled' : ''}`} data-label=${name}>${isEmpty(value) ? '' : show(value)}</div>`;
  })}${actions && html`<div role="cell" class="cell acting">${menu && html`<${Popup} buttonClass="quiet" label=${`Actions of ${columns.find(({ kind }) => kind === 'title').of(row)}`} button=${html`<${Icon} name="more" />`}>${() => html`<div class="options">${menu}</div>`}<//>`}</div>`}</div>`;
}

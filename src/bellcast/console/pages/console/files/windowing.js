/**
 * Long tables: each page of rows is a body of the table, and bodies far from the viewport are removed from the document until they are near again.
 */
import { h } from './dom.js';

/** Bodies within this distance of the screen stay, so that scrolling and the keys `j` and `k` find their rows. */
const MARGIN = '1500px 0px';

/** Remove and restore the bodies of a table. Returns a function that adds a body. The height of the page stays the same. */
export function windowed(table, signal) {
  const rowsOf = new Map();
  const observer = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
    if (isIntersecting) restore(target);
    else park(target);
  }), { rootMargin: MARGIN });

  function park(body) {
    if (rowsOf.has(body) || !body.isConnected || body.contains(document.activeElement)) return;
    if (rowsOf.size === 0) fixWidths(table);
    const row = h('tr', { class: 'parked', 'aria-hidden': 'true', onreturn: () => restore(body) }, h('td', { colspan: table.tHead.rows[0].cells.length }));
    row.style.height = `${body.getBoundingClientRect().height}px`;
    rowsOf.set(body, [...body.rows]);
    body.replaceChildren(row);
  }

  function restore(body) {
    const rows = rowsOf.get(body);
    rowsOf.delete(body);
    if (rows) body.replaceChildren(...rows);
  }

  signal.addEventListener('abort', () => observer.disconnect());
  const bodies = [];
  return (body) => {
    table.append(body);
    bodies.push(body);
    // A single page of rows is never removed, even if it is far down on a page with other parts.
    if (bodies.length > 1) bodies.forEach((one) => observer.observe(one));
  };
}

/** Keep the column widths, which would otherwise depend on the rows in the document. */
function fixWidths(table) {
  const cells = [...table.tHead.rows[0].cells];
  const widths = cells.map((cell) => cell.offsetWidth);
  cells.forEach((cell, index) => { cell.style.width = `${widths[index]}px`; });
  table.style.tableLayout = 'fixed';
}

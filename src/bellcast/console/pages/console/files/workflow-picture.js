/**
 * A workflow that is only looked at: its flow with branches that fold, as wide as its place.
 */
import { html, useLayoutEffect, useRef, useState } from './html.js';
import { loadStyle } from './load.js';
import { Flow } from './workflow-canvas.js';
import { valueAt } from './workflow-model.js';

/** Steps are not drawn smaller than this, in percent. */
const MIN_ZOOM = 50;

await loadStyle('workflow-editor.css');

/** @param {any} of `select` and `edit` get the path of a step, `copy` a step; the rest is what the canvas shows */
export function Picture({ values, select, edit, copy, ...shown }) {
  const [closed, setClosed] = useState(new Set());
  const [zoom, setZoom] = useState(100);
  const place = useRef(null);
  useLayoutEffect(() => {
    const scroll = place.current.firstElementChild, tree = scroll.querySelector('.tree');
    const observer = new ResizeObserver(() => {
      const { paddingLeft, paddingRight } = getComputedStyle(scroll);
      const free = scroll.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
      setZoom(Math.min(100, Math.max(MIN_ZOOM, Math.floor(free / tree.offsetWidth * 100))));
    });
    observer.observe(scroll);
    observer.observe(tree);
    return () => observer.disconnect();
  }, []);
  const act = {
    select, open: select, edit, close: () => select(null), nextProblem: () => {}, openActions: () => {},
    fold: (path, isFolding) => setClosed((last) => new Set(isFolding ? [...last, path] : [...last].filter((one) => one !== path))),
    copy: (path) => copy(valueAt(values, path)),
  };
  return html`<div class="flow-place" ref=${place}><${Flow} canvas=${{ values, isReadOnly: true, problems: [], zoom, closed, ...shown }} act=${act} /></div>`;
}

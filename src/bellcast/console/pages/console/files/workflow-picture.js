/**
 * A workflow that is only looked at: its flow with branches that fold, as a list from top to bottom where it does not fit.
 */
import { html, useLayoutEffect, useRef, useState } from './html.js';
import { loadStyle } from './load.js';
import { Flow } from './workflow-canvas.js';
import { flowWidth, valueAt } from './workflow-model.js';

/** The space at the sides of a flow, in px. */
const SIDES_PX = 80;

await loadStyle('workflow-editor.css');

/** @param {any} of `select` and `edit` get the path of a step, `copy` a step; the rest is what the canvas shows */
export function Picture({ values, select, edit, copy, ...shown }) {
  const [closed, setClosed] = useState(new Set());
  const [room, setRoom] = useState(Infinity);
  const place = useRef(null);
  useLayoutEffect(() => {
    const measure = () => setRoom(place.current.clientWidth - SIDES_PX);
    const observer = new ResizeObserver(measure);
    measure();
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  const act = {
    select, open: select, edit, close: () => select(null), nextProblem: () => {}, openActions: () => {},
    fold: (path, isFolding) => setClosed((last) => new Set(isFolding ? [...last, path] : [...last].filter((one) => one !== path))),
    copy: (path) => copy(valueAt(values, path)),
  };
  return html`<div class="flow-place" ref=${place}><${Flow} canvas=${{ values, isReadOnly: true, problems: [], zoom: 100, isStacked: flowWidth(values.steps) > room, closed, ...shown }} act=${act} /></div>`;
}

/**
 * The canvas: a tree of steps, laid out as a flow. Lines between cards are drawn from their places.
 */
import { Fragment, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { count as amount } from './format.js';
import { teaser } from './object-parts.js';
import { Icon } from './parts.js';
import { CardRuns, runsText } from './workflow-counts.js';
import { SENDING, conditionText, lanesOf, listOf, placeOf, summaryOf, typeOf, valueAt } from './workflow-model.js';

/** A press becomes a drag after this distance, in px. */
const DRAG_PX = 5;
/** A step is dropped at the nearest place within this distance, in px. */
const DROP_PX = 140;
/** The canvas scrolls while a drag is this near to its edge, in px. */
const EDGE_PX = 48;

/**
 * @typedef {object} Canvas what the canvas shows and does
 * @property {any} values @property {any} schema @property {string | null} selected the path of the selected item @property {boolean} isReadOnly
 * @property {{field: string, message: string}[]} problems @property {Map<string, any> | null} states of the steps by key @property {number} zoom @property {boolean} [isStacked] a list from top to bottom instead of a flow @property {any} runs what runs did, as `useRunCounts` returns it
 * @property {Set<string>} closed paths of branches that are closed
 */

/** @param {{canvas: Canvas, act: any}} of `act` has the commands of the editor */
export function Flow({ canvas, act }) {
  const { values, selected, isReadOnly, zoom, isStacked, states } = canvas;
  const tree = useRef(null);
  const latest = useRef(null);
  latest.current = act;
  const stable = useMemo(() => new Proxy({}, { get: (_, name) => (...given) => latest.current[name](...given) }), []);
  const first = values.steps?.[0] ? 'steps.0' : null;
  const active = selected && valueAt(values, selected) !== undefined ? selected : first;
  const scroller = useRef(null);
  // Saving and checking draw the editor again, but none of its steps.
  const steps = useMemo(() => html`<${Steps} list="steps" steps=${Array.isArray(values.steps) ? values.steps : []} level=${1} canvas=${canvas} act=${stable} active=${active} />`,
    [values.steps, canvas.schema, canvas.problems, states, canvas.closed, isReadOnly, canvas.runs, selected, active]);
  // A wide flow begins in its middle, or at the step in the URL.
  useLayoutEffect(() => {
    const { current } = scroller;
    current.scrollLeft = (current.scrollWidth - current.clientWidth) / 2;
    if (selected) tree.current.querySelector(`[data-line="${CSS.escape(selected)}"]`)?.scrollIntoView({ block: 'center', inline: 'center' });
  }, []);
  // The form that the first click of a double click opens moves the cards: the second may be beside them.
  return html`<div class="flow-scroll" ref=${scroller} onPointerDown=${(event) => { if (!isReadOnly) startDrag(event, stable); }} onClick=${(event) => { if (event.target === event.currentTarget && event.detail < 2) act.select(null); }}>
    <div class=${`flow ${states ? 'shows-states' : ''} ${isStacked ? 'stacked' : ''}`} style=${{ zoom: zoom / 100 }}>
      ${!isStacked && html`<${Lines} watch=${[values, zoom, canvas.closed, states]} />`}
      <${Trigger} values=${values} act=${act} isSelected=${selected === 'trigger'} />
      <div class="tree" role="tree" aria-label="Steps" ref=${tree} onKeyDown=${(event) => keys(event, tree.current, act, isReadOnly)}>
        ${steps}
      </div>
      <div class="flow-end" aria-hidden="true" data-line="end">End</div>
    </div></div>`;
}

/** What starts the workflow. */
function Trigger({ values, act, isSelected }) {
  return html`<button type="button" class="step-card trigger-card" data-line="trigger" data-path="trigger" aria-pressed=${String(isSelected)} onClick=${() => act.open('trigger')}>
    <span class="step-icon tone-6"><${Icon} name="playground" /></span>
    <span class="step-text"><span class="step-kind">Trigger</span><span class="step-summary">${values.type ? values.type : 'Each trigger starts a run'}</span></span></button>`;
}

/** Steps of a list; sends that follow each other stand side by side. */
function Steps({ list, steps, ...shared }) {
  const groups = [];
  steps.forEach((step, index) => {
    const last = groups.at(-1);
    const isSend = SENDING.includes(step?.type);
    if (isSend && last?.isSend) last.items.push([step, index]);
    else groups.push({ isSend, items: [[step, index]] });
  });
  const item = ([step, index]) => html`<${Step} key=${step?.key ?? index} path=${`${list}.${index}`} step=${step} index=${index} count=${steps.length} ...${shared} />`;
  // Groups have the keys of their first steps, so that the steps after a change are moved, not made again.
  return html`<${Place} list=${list} index=${0} ...${shared} />${groups.map(({ items }) => html`<${Fragment} key=${items[0][0]?.key ?? items[0][1]}>
    ${items.length === 1 ? item(items[0]) : html`<div class="beside"><span class="beside-name" aria-hidden="true">At the same time</span>${items.map((one, place) => html`<${Fragment} key=${one[0]?.key ?? one[1]}>${place > 0 && html`<${Place} list=${list} index=${one[1]} ...${shared} />`}${item(one)}<//>`)}</div>`}
    <${Place} list=${list} index=${items.at(-1)[1] + 1} ...${shared} /><//>`)}`;
}

/** A place at which a step can be added or dropped. The keyboard adds with `a`. */
function Place({ list, index, canvas: { isReadOnly }, act }) {
  return useMemo(() => html`<div class="place" aria-hidden="true" data-place=${isReadOnly ? null : `${list}.${index}`}>
    ${!isReadOnly && html`<span class="place-add" onClick=${(event) => act.openMenu({ list, index, anchor: event.currentTarget })}><${Icon} name="plus" /></span>`}</div>`, [list, index, isReadOnly]);
}

/** A step is drawn again only after a change of what it shows: a key in a workflow of 50 steps changes one or two. */
function Step(props) {
  const { path, step, index, count, level, canvas: { schema, problems, states, closed, isReadOnly, runs, selected }, active } = props;
  const within = (place) => (place === path || place?.startsWith(`${path}.`) ? place : null);
  const marked = problems.map(({ field }) => within(field)).filter(Boolean).join(' ');
  return useMemo(() => html`<${DrawnStep} ...${props} />`, [path, step, index, count, level, schema, marked, states, closed, isReadOnly, runs, within(selected), within(active)]);
}

function DrawnStep({ path, step, index, count, level, canvas, act, active }) {
  const { schema, problems, states, closed, isReadOnly, runs } = canvas;
  const type = typeOf(step);
  const own = problems.filter(({ field }) => field === path || (field.startsWith(`${path}.`) && !/^(branches\.\d+\.steps|else)\.\d/.test(field.slice(path.length + 1))));
  const label = schema.$defs?.[step?.type]?.title ?? String(step?.type ?? '');
  const summary = summaryOf(step);
  const state = states?.get(step?.key);
  // Not drawn again when the step has only moved.
  const text = useMemo(() => html`<span class=${`step-icon tone-${type.tone}`}><${Icon} name=${type.icon} /></span>
    <span class="step-text"><span class="step-kind">${label}<code>${step?.key}</code></span><span class="step-summary">${summary ? teaser(summary) : html`<span class="muted">Nothing yet</span>`}</span>
      ${step?.if && html`<span class="step-if">if ${conditionText(step.if, false)}</span>`}
      ${step?.note && html`<span class="step-note">${step.note}</span>`}
      ${state?.shown && html`<span class=${`step-state ${state.kind}`}>${state.shown}</span>`}</span>`, [step, label, state]);
  const lanes = step?.type === 'branch' ? lanesOf(step, path) : [];
  const isOpen = lanes.length > 0 ? !closed.has(path) : undefined;
  const name = [step?.key, label, summary, `${index + 1} of ${count}`, own.length > 0 && amount(own.length, 'problem'), state?.text].filter(Boolean).join(', ');
  return html`<div class="flow-step" data-shown=${state?.state}><div class="step-box" data-card=${path}>
    <div class="step-item" role="treeitem" aria-label=${name} aria-level=${level} aria-posinset=${index + 1} aria-setsize=${count} aria-owns=${isOpen ? `lanes-${path}` : null}
      aria-selected=${String(canvas.selected === path)} aria-expanded=${isOpen === undefined ? null : String(isOpen)} tabIndex=${active === path ? 0 : -1}
      data-path=${path} data-step=${step?.key} data-type=${step?.type} data-problems=${own.length || null} data-state=${state?.state} aria-description=${runs && runsText(runs, step?.key)}
      onClick=${(event) => { act.open(path); event.currentTarget.focus(); }} onDblClick=${() => act.edit(path)} />
    <div class="step-card" data-line=${path} aria-hidden="true">
      ${text}
      ${own.length > 0 && html`<span class="step-problems">${own.length}</span>`}
      ${!isReadOnly && html`<span class="step-more" onClick=${(event) => act.openActions(path, event.currentTarget)}><${Icon} name="more" /></span>`}
      ${lanes.length > 0 && html`<span class=${`step-fold ${isOpen ? 'open' : ''}`} onClick=${() => act.fold(path, isOpen)}><${Icon} name="chevron" /></span>`}
    </div>${runs && html`<${CardRuns} runs=${runs} step=${step?.key} />`}</div>
    ${isOpen && html`<div class="flow-lanes" role="group" id=${`lanes-${path}`}>${lanes.map((lane, number) => html`<${Lane} key=${number} lane=${lane} number=${number} count=${lanes.length} branch=${step} level=${level + 1} canvas=${canvas} act=${act} active=${active} />`)}</div>`}
  </div>`;
}

function Lane({ lane, number, count, branch, level, canvas, act, active }) {
  const text = lane.isElse ? 'else' : `branch ${lane.number} of ${lane.count}, if ${conditionText(lane.condition)}`;
  const isBad = canvas.problems.some(({ field }) => field === lane.path || field.startsWith(`${lane.path}.if`));
  return html`<div class="flow-lane" data-shown=${canvas.lane?.(branch.key, lane)}><div class="lane-box">
    <div class="step-item" role="treeitem" aria-label=${text} aria-level=${level} aria-posinset=${number + 1} aria-setsize=${count} aria-selected=${String(canvas.selected === lane.path)} aria-expanded="true" aria-owns=${`steps-${lane.path}`}
      tabIndex=${active === lane.path ? 0 : -1} data-path=${lane.path} data-lane=${branch.key} data-problems=${isBad ? 1 : null} data-state=${canvas.lane?.(branch.key, lane)}
      onClick=${(event) => { act.open(lane.path); event.currentTarget.focus(); }} onDblClick=${() => act.edit(lane.path)} />
    <div class="lane-name" data-line=${lane.path} aria-hidden="true">${lane.isElse ? 'Else' : html`<b>If</b> ${conditionText(lane.condition, false)}`}</div></div>
    <div class="lane-steps" role="group" id=${`steps-${lane.path}`}><${Steps} list=${lane.list} steps=${Array.isArray(lane.steps) ? lane.steps : []} level=${level + 1} canvas=${canvas} act=${act} active=${active} /></div>
    <div class="lane-end" aria-hidden="true" data-line=${`${lane.path} end`}></div>
  </div>`;
}

// --- lines

/** Lines from card to card, drawn under them when the layout is known. */
function Lines({ watch }) {
  const svg = useRef(null);
  const [lines, setLines] = useState({ open: '', passed: '', width: 0, height: 0 });
  const draw = () => {
    const flow = svg.current?.parentElement;
    if (!flow) return;
    const frame = flow.getBoundingClientRect();
    const scale = frame.width / flow.offsetWidth || 1;
    const box = (one) => {
      const { left, top, bottom, width } = one.getBoundingClientRect();
      return { x: (left + width / 2 - frame.left) / scale, top: (top - frame.top) / scale, bottom: (bottom - frame.top) / scale };
    };
    setLines({ ...connect(flow, box), width: flow.offsetWidth, height: flow.offsetHeight });
  };
  useLayoutEffect(draw, watch);
  useEffect(() => {
    const observer = new ResizeObserver(draw);
    observer.observe(svg.current.parentElement); // its cards move when a panel opens beside it, without a new size of the tree
    return () => observer.disconnect();
  }, []);
  return html`<svg class="lines" ref=${svg} aria-hidden="true" width=${lines.width} height=${lines.height}><path d=${lines.open} /><path class="passed" d=${lines.passed} /></svg>`;
}

/** All lines of a flow as two paths: those that runs have passed, and the others. */
function connect(flow, box) {
  const found = { open: '', passed: '' };
  const draw = (d, isPassed) => { found[isPassed ? 'passed' : 'open'] += d; };
  const card = (one) => one.querySelector(':scope > .step-box > [data-line]');
  /** Draw a list of steps from `from`; return where it ends. */
  const list = (parent, from) => {
    let ends = from;
    for (const child of parent.children) {
      if (child.matches('.flow-step')) ends = step(child, ends);
      else if (child.matches('.beside')) {
        const all = [...child.children].filter((one) => one.matches('.flow-step'));
        ends = all.flatMap((one) => step(one, ends));
      }
    }
    return ends;
  };
  const step = (item, from) => {
    const place = box(card(item));
    const isDone = item.dataset.shown === 'done' || item.dataset.shown === 'waiting';
    for (const one of from) draw(curve(one, place), isDone && one.isDone !== false);
    const lanes = item.querySelector(':scope > .flow-lanes');
    const out = { ...place, isDone: item.dataset.shown ? item.dataset.shown === 'done' : undefined };
    if (!lanes) return [out];
    return [...lanes.children].flatMap((lane) => {
      const name = box(lane.querySelector(':scope > .lane-box > .lane-name'));
      const isTaken = lane.dataset.shown === 'taken';
      draw(curve(out, name), isTaken);
      const ends = list(lane.querySelector(':scope > .lane-steps'), [{ ...name, isDone: isTaken }]);
      const end = box(lane.querySelector(':scope > .lane-end'));
      for (const one of ends) draw(`${curve(one, end)}V${end.bottom}`, isTaken && one.isDone);
      return [{ ...end, isDone: isTaken }];
    });
  };
  const trigger = box(flow.querySelector('[data-line=trigger]'));
  const ends = list(flow.querySelector('[role=tree]'), [trigger]);
  const end = box(flow.querySelector('[data-line=end]'));
  for (const one of ends) draw(curve(one, end), false);
  return found;
}

/** A line down from one place to another, with round corners if it moves sideways. */
function curve({ x, bottom }, to) {
  const distance = to.x - x;
  if (Math.abs(distance) < 1) return `M${x} ${bottom}V${to.top}`;
  const middle = bottom < to.top - 28 && to.top - bottom > 56 ? to.top - 18 : (bottom + to.top) / 2;
  const radius = Math.min(10, Math.abs(distance) / 2, Math.abs(middle - bottom), Math.abs(to.top - middle));
  const side = Math.sign(distance) * radius;
  return `M${x} ${bottom}V${middle - radius}Q${x} ${middle} ${x + side} ${middle}H${to.x - side}Q${to.x} ${middle} ${to.x} ${middle + radius}V${to.top}`;
}

// --- keyboard

function keys(event, tree, act, isReadOnly) {
  const item = event.target;
  if (!item.matches?.('[role=treeitem]')) return;
  const { path } = item.dataset;
  const isStep = item.dataset.step !== undefined;
  const level = (one) => Number(one?.ariaLevel ?? 0);
  const handle = (command) => {
    event.preventDefault();
    event.stopPropagation();
    command();
  };
  const { key, altKey, shiftKey } = event;
  const isControl = event.ctrlKey || event.metaKey;
  const items = [...tree.querySelectorAll('[role=treeitem]')];
  const move = (place) => handle(() => {
    const one = items[Math.min(Math.max(place, 0), items.length - 1)];
    one.focus();
    act.select(one.dataset.path);
  });
  if (isControl) {
    const letter = key.toLowerCase();
    if (letter === 'c' && isStep) handle(() => act.copy(path));
    else if (isReadOnly) return;
    else if (letter === 'x' && isStep) handle(() => act.cut(path));
    return; // paste is an event of the document, and undo is handled by the editor
  }
  if (altKey) {
    if ((key === 'ArrowUp' || key === 'ArrowDown') && !isReadOnly) handle(() => act.moveBy(path, key === 'ArrowUp' ? -1 : 1));
    return;
  }
  switch (key) {
    case 'ArrowUp': return move(items.indexOf(item) - 1);
    case 'ArrowDown': return move(items.indexOf(item) + 1);
    case 'Home': return move(0);
    case 'End': return move(items.length - 1);
    case 'ArrowRight':
      if (item.getAttribute('aria-expanded') === 'false') handle(() => act.fold(path, false));
      else if (level(items[items.indexOf(item) + 1]) > level(item)) move(items.indexOf(item) + 1);
      return;
    case 'ArrowLeft':
      if (isStep && item.getAttribute('aria-expanded') === 'true') handle(() => act.fold(path, true));
      else if (level(item) > 1) move(items.findLastIndex((one, place) => place < items.indexOf(item) && level(one) < level(item)));
      return;
    case 'Enter': return handle(() => act.edit(path));
    case 'Escape': return handle(() => act.close());
    case 'F8': return handle(() => act.nextProblem(shiftKey ? -1 : 1));
    default:
  }
  if (isReadOnly) return;
  if (key === 'a' || key === 'A') {
    const { list, index } = isStep ? placeOf(path) : { list: listOf(path), index: 0 };
    handle(() => act.openMenu({ list, index: isStep && key === 'a' ? index + 1 : index, anchor: item }));
  } else if (key === 'Delete' || key === 'Backspace') handle(() => act.remove(path));
  else if (key === 'd' && !path.endsWith('.else')) handle(() => act.duplicate(path));
  else if (!isStep) return;
  else if (key === 'F2') handle(() => act.rename(path));
  else if (key === 'ContextMenu' || (shiftKey && key === 'F10')) handle(() => act.openActions(path, item));
}

// --- dragging

/** Drag the card under the pointer. Only classes change until it is dropped: nothing is drawn or laid out again. */
function startDrag(event, act) {
  const box = event.target.closest('[data-card]');
  if (!box || event.button !== 0 || event.pointerType === 'touch' || event.target.closest('.step-more, .step-fold')) return;
  const { card: path } = box.dataset;
  const card = box.querySelector('.step-card');
  const from = { x: event.clientX, y: event.clientY };
  const scroller = event.currentTarget;
  const abort = new AbortController();
  let ghost = null;
  let places = [];
  let target = null;
  const mark = (place) => {
    if (place === target) return;
    target?.element.classList.remove('target');
    place?.element.classList.add('target');
    target = place;
  };
  const end = () => {
    abort.abort();
    ghost?.remove();
    mark(null);
    scroller.firstElementChild.classList.remove('dragging');
    box.parentElement.classList.remove('dragged');
  };
  const begin = () => {
    ghost = card.cloneNode(true);
    ghost.classList.add('ghost');
    ghost.setAttribute('aria-hidden', 'true');
    ghost.style.width = `${card.offsetWidth}px`;
    places = placesOutside(scroller, path);
    document.body.append(ghost);
    scroller.firstElementChild.classList.add('dragging');
    box.parentElement.classList.add('dragged');
  };
  const move = ({ clientX: x, clientY: y }) => {
    if (ghost === null && Math.hypot(x - from.x, y - from.y) < DRAG_PX) return;
    if (ghost === null) begin();
    ghost.style.transform = `translate(${x + 8}px, ${y + 8}px)`;
    const { top, bottom, left, right } = frame;
    if (x > right - EDGE_PX || x < left + EDGE_PX || y > bottom - EDGE_PX || y < top + EDGE_PX) scroller.scrollBy((x > right - EDGE_PX ? 12 : x < left + EDGE_PX ? -12 : 0), (y > bottom - EDGE_PX ? 12 : y < top + EDGE_PX ? -12 : 0));
    mark(nearest(places, x + scroller.scrollLeft, y + scroller.scrollTop));
  };
  const drop = () => {
    const place = target?.element.dataset.place;
    // The click that ends a drag selects nothing else.
    if (ghost !== null) addEventListener('click', (click) => click.stopPropagation(), { capture: true, once: true, signal: AbortSignal.timeout(50) });
    end();
    if (place !== undefined) act.move(path, placeOf(place).list, placeOf(place).index);
  };
  const frame = scroller.getBoundingClientRect();
  const { signal } = abort;
  addEventListener('pointermove', move, { signal });
  addEventListener('pointerup', drop, { signal });
  addEventListener('pointercancel', end, { signal });
  addEventListener('keydown', (key) => {
    if (key.key !== 'Escape') return;
    key.preventDefault();
    key.stopPropagation();
    end();
  }, { signal, capture: true });
}

/** The places outside of a step, where they are in the content of the scroller. */
function placesOutside(scroller, path) {
  const { scrollLeft, scrollTop } = scroller;
  return [...scroller.querySelectorAll('[data-place]')].filter(({ dataset }) => !dataset.place.startsWith(`${path}.`)).map((element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { element, left: left + scrollLeft, right: right + scrollLeft, y: (top + bottom) / 2 + scrollTop };
  });
}

/** The place nearest to a point of the content. */
function nearest(places, x, y) {
  let best = null;
  let distance = DROP_PX;
  for (const place of places) {
    const away = Math.hypot(Math.max(place.left - x, 0, x - place.right), place.y - y);
    if (away < distance) [best, distance] = [place, away];
  }
  return best;
}

/**
 * The blocks of an e-mail: cards that are edited in place, moved, copied and removed, by pointer and by keyboard.
 */
import { Field } from './form.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { TYPES, blockPathOf, copyOf, isBlock, mayHold, movedBy, movedTo, nameOf, pathsWithProblems, typesFor, whereIs } from './block-model.js';
import { copyPart } from './clipboard.js';
import { count } from './format.js';
import { Icon, Popup } from './parts.js';
import { session } from './storage.js';
import { InsertVariable, TextInput, problemAt } from './text-input.js';
import { inserted, placeOf, removed, valueAt } from './workflow-model.js';

const OPERATORS = { eq: 'is', ne: 'is not', gt: 'is more than', gte: 'is at least', lt: 'is less than', lte: 'is at most', contains: 'contains', exists: 'exists', empty: 'is empty' };
const COPIED = 'application/x-bellcast-block';
/** The fields that are shown on demand, as in the path of a problem. */
const SETTINGS = /^(?:key|align|width|limit|columns(?:\.\d+(?:\.width)?)?)$/;
const ALIGNED = ['heading', 'text', 'button', 'image', 'html'];
const MAX_COLUMNS = 3;
const TEXTS = '.block-fields :is(textarea, input)';

/** The blocks of the e-mail `mail`, which is at `place` in the template. `say` announces a change. */
export function EmailBlocks({ mail, place, change, say, isReadOnly, ...tools }) {
  const root = useRef(null), dragged = useRef(null), wanted = useRef(null);
  const [settings, showSettings] = useState(null);
  const card = (path) => root.current?.querySelector(`[data-path="${CSS.escape(path)}"]`);
  const focus = (path, within = '.block-name') => (card(path)?.querySelector(within) ?? card(path)?.querySelector('.block-name') ?? root.current?.querySelector('.add-block'))?.focus();
  const focusDrawn = (...where) => { wanted.current = where; };
  // With the change and not in the next frame: a key that is pressed in between would open what this then closes.
  useLayoutEffect(() => {
    if (wanted.current) focus(...wanted.current);
    if (wanted.current?.[1] === TEXTS) document.activeElement.select?.(); // what is typed replaces the text that a block begins with
    wanted.current = null;
  });
  const apply = (result, verb) => {
    if (!result) return;
    change(place, result.values);
    showSettings(null);
    focusDrawn(result.path);
    say(`${nameOf(valueAt(result.values, result.path))} ${verb} ${whereIs(result.values, result.path)}`);
  };
  const add = (list, index, block) => apply({ values: inserted(mail, list, index, block), path: `${list}.${index}` }, 'added at');
  const addCopy = (path, block) => {
    const { list, index } = placeOf(path), copy = copyOf(mail, block);
    if (mayHold(mail, list, copy)) add(list, index + 1, copy);
    else say(`${nameOf(block)} cannot be placed here`);
  };
  const act = {
    create: (list, index, type) => {
      add(list, index, TYPES[type].make());
      focusDrawn(`${list}.${index}`, TEXTS);
    },
    move: (path, list, index) => apply(movedTo(mail, path, list, index), 'moved to'),
    moveBy: (path, step) => apply(movedBy(mail, path, step), 'moved to'),
    duplicate: (path) => addCopy(path, valueAt(mail, path)),
    remove: (path) => {
      const next = removed(mail, path), { list, index } = placeOf(path), left = valueAt(next, list).length;
      change(place, next);
      showSettings(null);
      focusDrawn(left > 0 ? `${list}.${Math.min(index, left - 1)}` : blockPathOf(list) ?? '');
      say(`${nameOf(valueAt(mail, path))} deleted`);
    },
    copy: (path) => {
      copyPart(COPIED, valueAt(mail, path));
      say(`${nameOf(valueAt(mail, path))} copied`);
    },
    cut: (path) => { act.copy(path); act.remove(path); },
    paste: (path, text = session.getItem(COPIED)) => {
      let block = null;
      try { block = JSON.parse(text); } catch { /* another text */ }
      if (isBlock(block)) addCopy(path, block);
    },
    showSettings: (path) => {
      showSettings(path === settings ? null : path);
      if (path !== settings) focusDrawn(path, '.block-settings :is(input, select)');
    },
    nextProblem: (path, step) => {
      const start = `${place.join('.')}.`;
      const paths = pathsWithProblems(mail, tools.problems.filter(({ field }) => field.startsWith(start)).map(({ field }) => field.slice(start.length)));
      const index = paths.indexOf(path);
      if (paths.length > 0) focus(paths.at(index < 0 && step < 0 ? -1 : (index + step) % paths.length), '[aria-invalid]');
    },
    step: (path, way) => {
      const all = [...root.current.querySelectorAll('[data-path]')].map(({ dataset }) => dataset.path), index = all.indexOf(path);
      const inner = all[index + 1]?.startsWith(`${path}.`) ? all[index + 1] : path;
      focus({ up: all[Math.max(0, index - 1)], down: all[index + 1] ?? path, first: all[0], last: all.at(-1), in: inner, out: blockPathOf(placeOf(path).list) ?? path }[way]);
    },
    enter: (path) => focus(path, TEXTS),
    back: (path) => focus(path),
  };
  const pasted = useRef(null);
  pasted.current = act.paste;
  useEffect(() => {
    const paste = (event) => {
      const path = event.target.closest?.('[data-path]')?.dataset.path;
      if (!path || !root.current.contains(event.target) || event.target.matches('input, textarea')) return;
      pasted.current(path, event.clipboardData?.getData('text/plain') || session.getItem(COPIED));
    };
    if (isReadOnly) return undefined;
    document.addEventListener('paste', paste);
    return () => document.removeEventListener('paste', paste);
  }, [isReadOnly]);
  return html`<div class="email-blocks" ref=${root} ...${dragging(dragged, root, (path, list, index) => act.move(path, list, index), (path, list) => list === placeOf(path).list || (!`${list}.`.startsWith(`${path}.`) && mayHold(mail, list, valueAt(mail, path))))}>
    <${Blocks} blocks=${mail.blocks} list="blocks" shared=${{ mail, place, change, act, settings, isReadOnly, dragged, ...tools }} /></div>`;
}

/** Blocks are dragged to the nearer edge of another one, or to the end of a list. Escape cancels. */
function dragging(dragged, root, move, isAllowed) {
  const unmark = () => root.current.querySelector('[data-drop]')?.removeAttribute('data-drop');
  const targetOf = (event) => {
    const element = event.target.closest('[data-path], [data-end]');
    if (dragged.current === null || !element) return null;
    const { top, height } = element.getBoundingClientRect(), isAfter = event.clientY > top + height / 2;
    const { list, index } = placeOf(element.dataset.path ?? element.dataset.end);
    const side = element.dataset.path ? (isAfter ? 'after' : 'before') : 'before';
    return isAllowed(dragged.current, list) ? { element, side, list, index: index + (side === 'after' ? 1 : 0) } : null;
  };
  return {
    onDragOver: (event) => {
      const target = targetOf(event);
      if (target) event.preventDefault();
      if (target?.element.dataset.drop === target?.side) return;
      unmark();
      if (target) target.element.dataset.drop = target.side;
    },
    onDrop: (event) => {
      const target = targetOf(event);
      if (!target) return;
      event.preventDefault();
      move(dragged.current, target.list, target.index);
    },
    onDragEnd: () => { unmark(); dragged.current = null; },
  };
}

/** The blocks of a list, and the button that adds one at its end. */
function Blocks({ blocks, list, label = 'Blocks', shared }) {
  const { mail, act, isReadOnly } = shared;
  return html`<div class="blocks-of"><ol class=${list === 'blocks' ? 'blocks' : 'blocks inner'} aria-label=${label}>${blocks.map((block, index) => html`${list === 'blocks' && shared.gapAt(index)}<${Block} key=${index} ...${{ block, index }} total=${blocks.length} path=${`${list}.${index}`} ...${shared} shared=${shared} />`)}${list === 'blocks' && shared.gapAt(blocks.length)}</ol>
    ${!isReadOnly && html`<div data-end=${`${list}.${blocks.length}`}><${Popup} label="Add a block" hasText buttonClass="add-block" isStart button=${html`<${Icon} name="plus" /> Add block`}>${(close) => html`<${TypeList} types=${typesFor(mail, list)} choose=${(type) => { close(); act.create(list, blocks.length, type); }} />`}<//></div>`}</div>`;
}

/** The types of blocks, with a filter; Enter chooses the first. */
function TypeList({ types, choose }) {
  const [text, setText] = useState('');
  const input = useRef(null);
  useLayoutEffect(() => input.current.focus(), []);
  const shown = types.filter((type) => `${TYPES[type].title} ${TYPES[type].hint}`.toLowerCase().includes(text.trim().toLowerCase()));
  const enter = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (shown.length > 0) choose(shown[0]);
  };
  return html`<input class="type-filter" aria-label="Type of the block" placeholder="Type of the block" autocomplete="off" spellcheck=${false} ref=${input} value=${text} onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${enter} />
    ${shown.map((type) => html`<button key=${type} type="button" class="option" onClick=${() => choose(type)}><${Icon} name=${TYPES[type].icon} /><span>${TYPES[type].title}</span>${TYPES[type].hint && html`<small class="muted">${TYPES[type].hint}</small>`}</button>`)}
    ${shown.length === 0 && html`<p class="muted">No type has this name.</p>`}`;
}

/** What keys do in a block; in its texts only those with Alt, F-keys and Escape. */
const keysOf = (act, path, { isText, isName, isReadOnly, openTypes }) => ({
  F8: () => act.nextProblem(path, 1), 'Shift+F8': () => act.nextProblem(path, -1),
  ...(isText && { Escape: () => act.back(path) }),
  ...(!isText && { 'Control+c': () => act.copy(path) }),
  ...(isName && { ArrowUp: () => act.step(path, 'up'), ArrowDown: () => act.step(path, 'down'), Home: () => act.step(path, 'first'), End: () => act.step(path, 'last'), ArrowRight: () => act.step(path, 'in'), ArrowLeft: () => act.step(path, 'out'), Enter: () => act.enter(path), ' ': () => act.enter(path) }),
  ...(!isReadOnly && { 'Alt+ArrowUp': () => act.moveBy(path, -1), 'Alt+ArrowDown': () => act.moveBy(path, 1), F2: () => act.showSettings(path) }),
  ...(!isReadOnly && !isText && { a: () => openTypes('after'), 'Shift+a': () => openTypes('before'), d: () => act.duplicate(path), Delete: () => act.remove(path), Backspace: () => act.remove(path), 'Control+x': () => act.cut(path) }),
});

function Block({ block, index, total, path, mail, place, change, act, settings, isReadOnly, dragged, problems, shared, ...tools }) {
  const type = TYPES[block.type];
  const where = [...place, ...path.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))];
  const set = (name) => (next) => change([...where, name], next);
  const text = (name, label, { isOneLine, ...more } = {}) => html`<${TextInput} key=${name} label=${label} value=${block[name] ?? ''} set=${(next) => set(name)(next === '' && more.isOptional ? undefined : isOneLine ? next.replaceAll('\n', ' ') : next)} problem=${problemAt(problems, [...where, name])} focused=${tools.focused} variables=${tools.variables} isReadOnly=${isReadOnly} ...${more} />`;
  const start = `${where.join('.')}.`;
  const own = problemAt(problems, where), inner = problems.filter(({ field }) => field.startsWith(start)).map(({ field }) => field.slice(start.length));
  const card = useRef(null);
  // The menu shows the actions of the block, or the types of blocks to add before or after it.
  const [side, setSide] = useState(null);
  const openTypes = (next) => {
    setSide(next);
    card.current.querySelector('.block-name').scrollIntoView({ block: 'nearest' }); // an undo can have moved it out of the window
    card.current.querySelector('.block-menu').popoverTargetElement.showPopover();
  };
  const keys = (event) => {
    const { key, target } = event;
    if (target.closest('.popup-panel')) return;
    const isText = target.matches('input, textarea, select');
    const modifiers = [(event.ctrlKey || event.metaKey) && 'Control+', event.altKey && 'Alt+', event.shiftKey && 'Shift+'].filter(Boolean).join('');
    const command = keysOf(act, path, { isText, isName: target.matches('.block-name'), isReadOnly, openTypes })[modifiers + (key.length === 1 ? key.toLowerCase() : key)];
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    command();
  };
  const insert = (value) => {
    if (!card.current.contains(tools.focused.current?.input)) card.current.querySelector(TEXTS)?.focus();
    tools.insert(value);
  };
  const choice = (name, label, options, fallback) => html`<select key=${name} aria-label=${label} disabled=${isReadOnly} value=${String(block[name] ?? fallback)} onChange=${(event) => set(name)(options[event.currentTarget.value])}>${Object.keys(options).map((one) => html`<option key=${one} value=${one}>${label === 'Level' ? `Level ${one}` : one}</option>`)}</select>`;
  const menu = (close) => {
    const { list } = placeOf(path);
    const item = (word, keyName, run, more = {}) => html`<button key=${word} type="button" class="option" onClick=${() => { close(); run(); }} ...${more}><span>${word}</span>${keyName && html`<kbd>${keyName}</kbd>`}</button>`;
    const opens = (next) => ({ onClick: () => setSide(next) });
    if (side) return html`<${TypeList} types=${typesFor(mail, list)} choose=${(name) => { close(); act.create(list, index + (side === 'after' ? 1 : 0), name); }} />`;
    return [item('Add before', 'Shift A', null, opens('before')), item('Add after', 'A', null, opens('after')),
      item('Move up', 'Alt ↑', () => act.moveBy(path, -1), { disabled: movedBy(mail, path, -1) === null }), item('Move down', 'Alt ↓', () => act.moveBy(path, 1), { disabled: movedBy(mail, path, 1) === null }),
      block.type !== 'content' && item('Duplicate', 'D', () => act.duplicate(path)), item('Copy', 'Ctrl C', () => act.copy(path)), item('Cut', 'Ctrl X', () => act.cut(path)),
      session.getItem(COPIED) && item('Paste after', 'Ctrl V', () => act.paste(path)), item('More fields', 'F2', () => act.showSettings(path)),
      block.type !== 'content' && item(block.if ? 'Show always' : 'Show only if …', null, () => set('if')(block.if ? undefined : { var: 'data.', op: 'exists' })),
      item('Delete', 'Del', () => act.remove(path), { class: 'option danger' })];
  };
  const name = [type.title, block.key, `${index + 1} of ${total}`, inner.length + Number(Boolean(own)) > 0 && count(inner.length + Number(Boolean(own)), 'problem')].filter(Boolean).join(', ');
  return html`<li class=${`block block-${block.type}`} data-path=${path} data-block=${block.key ?? index} data-problems=${own || inner.length > 0 ? '' : null} onKeyDown=${keys} ref=${card}>
    <div class="block-bar" draggable=${!isReadOnly} onDragStart=${(event) => { dragged.current = path; event.dataTransfer.setData(COPIED, path); }}><span class="block-name" role="button" tabIndex="0" aria-label=${name} onClick=${() => act.enter(path)}><${Icon} name=${type.icon} />${type.title}</span>${block.if && html`<span class="tag">if</span>`}${block.type === 'text' && !isReadOnly && html`<small class="markup">**bold**, _italic_, \`code\`, [link](https://…), - list</small>`}
      ${block.type === 'heading' && choice('level', 'Level', { 1: 1, 2: 2, 3: 3 }, 1)}${block.type === 'button' && choice('style', 'Style', { primary: 'primary', secondary: 'secondary' }, 'primary')}
      ${!isReadOnly && html`<span class="block-tools">${!['divider', 'content', 'columns'].includes(block.type) && html`<${InsertVariable} variables=${tools.variables} choose=${insert} />`}
        <button type="button" class="quiet" aria-label=${`More fields of block ${index + 1}, ${type.title}`} aria-expanded=${String(settings === path)} onClick=${() => act.showSettings(path)}><${Icon} name="preferences" /></button>
        <${Popup} label=${`More of block ${index + 1}, ${type.title}`} buttonClass="quiet block-menu" onClick=${() => setSide(null)} button=${html`<${Icon} name="more" />`}>${menu}<//></span>`}</div>
    ${own && html`<p class="error">${own}</p>`}
    ${block.if && html`<${Condition} of=${block.if} set=${set('if')} isReadOnly=${isReadOnly} problem=${problems.find((one) => one.field.startsWith([...where, 'if'].join('.')))?.message} />`}
    ${(settings === path || inner.some((field) => SETTINGS.test(field) || (field === 'url' && block.type === 'image'))) && html`<${Settings} ...${{ block, set, text, isReadOnly }} problemOf=${(field) => problemAt(problems, [...where, ...field])} />`}
    <div class="block-fields">${fields({ block, path, text, shared })}</div></li>`;
}

/** The fields of a block that few need. */
function Settings({ block, set, text, isReadOnly, problemOf }) {
  const number = (label, value, change, field, limits) => html`<div key=${label}><${Field} label=${label} type="number" ...${limits} readOnly=${isReadOnly} value=${value ?? ''} aria-invalid=${problemOf(field) ? 'true' : null} onInput=${({ currentTarget }) => change(currentTarget.value === '' ? undefined : currentTarget.valueAsNumber)} />${problemOf(field) && html`<small class="error">${problemOf(field)}</small>`}</div>`;
  const { columns } = block;
  const setColumns = (next) => set('columns')(next);
  // All columns have a width, or none.
  const withoutWidths = (all) => all.map(({ width: _, ...column }) => column);
  return html`<div class="block-settings">
    ${block.type === 'image' && [number('Width in px', block.width, set('width'), ['width'], { min: 1, max: 600 }), text('url', 'Link', { isOptional: true })]}
    ${block.type === 'list' && number('At most items', block.limit, set('limit'), ['limit'], { min: 1, max: 100, placeholder: '20' })}
    ${columns?.map((column, index) => number(`Width of column ${index + 1} in %`, column.width, (width) => setColumns(columns.map((one, place) => (place === index ? { ...one, width } : one))), ['columns', index, 'width'], { min: 10, max: 90 }))}
    ${columns && problemOf(['columns']) && html`<p class="error">${problemOf(['columns'])}</p>`}
    ${columns && !isReadOnly && html`<p>${columns.length < MAX_COLUMNS ? html`<button type="button" onClick=${() => setColumns([...withoutWidths(columns), { blocks: [TYPES.text.make()] }])}>Add a column</button>` : columns.map((_, index) => html`<button key=${index} type="button" onClick=${() => setColumns(withoutWidths(columns.toSpliced(index, 1)))}>Remove column ${index + 1}</button>`)}</p>`}
    ${ALIGNED.includes(block.type) && html`<div class="field"><label>Align <select disabled=${isReadOnly} value=${block.align ?? ''} onChange=${({ currentTarget }) => set('align')(currentTarget.value || undefined)}>${['', 'left', 'center', 'right'].map((side) => html`<option key=${side} value=${side}>${side || 'default'}</option>`)}</select></label></div>`}
    ${text('key', 'Key', { isOptional: true, isCode: true, hint: 'The name of the block in checks and differences.' })}</div>`;
}

function fields({ block, path, text, shared }) {
  switch (block.type) {
    case 'heading': return text('text', 'Heading', { isLong: true, isQuiet: true, isOneLine: true, class: `as-heading level-${block.level ?? 1}` });
    case 'text': return text('text', 'Text', { isLong: true, isMarked: true, isQuiet: true });
    case 'button': return [text('text', 'Label'), text('url', 'Link')];
    case 'image': return [text('src', 'Address of the image'), text('alt', 'Description', { hint: 'What the image shows, for people who do not see it. Leave it empty for decoration.' })];
    case 'html': return text('html', 'HTML', { isLong: true, isQuiet: true, isCode: true });
    case 'list': return [text('each', 'For each item in', { isCode: true }), html`<${Blocks} key="blocks" label="Blocks of each item" blocks=${block.blocks} list=${`${path}.blocks`} shared=${shared} />`, text('empty', 'Without items', { isOptional: true, isMarked: true })];
    case 'columns': return html`<div class="columns-of">${block.columns.map((one, index) => html`<${Blocks} key=${index} label=${`Blocks of column ${index + 1}`} blocks=${one.blocks} list=${`${path}.columns.${index}.blocks`} shared=${shared} />`)}</div>`;
    case 'content': return html`<p class="muted">The content of the e-mail is inserted here.</p>`;
    default: return null;
  }
}

/** A condition with one variable; others are edited as YAML. */
function Condition({ of, set, problem, isReadOnly }) {
  if (typeof of.var !== 'string') return html`<p class="muted">A condition with several parts: edit it as YAML.</p>`;
  const { var: path, op = 'eq', value } = of;
  const isPlain = ['exists', 'empty'].includes(op);
  const read = (text) => { try { return JSON.parse(text); } catch { return text; } };
  return html`<div class="condition"><span class="muted">Only if</span><input aria-label="Variable" readOnly=${isReadOnly} value=${path} spellcheck=${false} onInput=${(event) => set({ ...of, var: event.currentTarget.value })} />
    <select aria-label="Comparison" disabled=${isReadOnly} value=${op} onChange=${(event) => { const next = event.currentTarget.value; set(['exists', 'empty'].includes(next) ? { var: path, op: next } : { var: path, op: next, value: value ?? '' }); }}>${Object.entries(OPERATORS).map(([one, word]) => html`<option key=${one} value=${one}>${word}</option>`)}</select>
    ${!isPlain && html`<input aria-label="Value" readOnly=${isReadOnly} value=${typeof value === 'string' ? value : JSON.stringify(value)} onInput=${(event) => set({ ...of, value: read(event.currentTarget.value) })} />`}
    ${problem && html`<small class="error">${problem}</small>`}</div>`;
}

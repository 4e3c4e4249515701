/**
 * The blocks of an e-mail: cards that are edited in place, moved, duplicated and removed.
 */
import { html, useRef } from './html.js';
import { Icon, Popup } from './parts.js';
import { InsertVariable, TextInput, problemAt } from './text-input.js';

const TYPES = {
  heading: { title: 'Heading', icon: 'heading', make: () => ({ type: 'heading', text: 'Heading' }) },
  text: { title: 'Text', icon: 'text', make: () => ({ type: 'text', text: 'Text' }) },
  button: { title: 'Button', icon: 'button', make: () => ({ type: 'button', text: 'Open', url: 'https://' }) },
  image: { title: 'Image', icon: 'image', make: () => ({ type: 'image', src: 'https://', alt: '' }) },
  divider: { title: 'Divider', icon: 'divider', make: () => ({ type: 'divider' }) },
  list: { title: 'List', icon: 'list', hint: 'repeats blocks for each item', make: () => ({ type: 'list', each: 'data.items', blocks: [{ type: 'text', text: '{{ item.name }}' }] }) },
  columns: { title: 'Columns', icon: 'columns', make: () => ({ type: 'columns', columns: [{ blocks: [{ type: 'text', text: 'Left' }] }, { blocks: [{ type: 'text', text: 'Right' }] }] }) },
  html: { title: 'HTML', icon: 'code', make: () => ({ type: 'html', html: '<p>HTML</p>' }) },
  content: { title: 'Content', icon: 'templates', hint: 'in a layout: the e-mail itself', make: () => ({ type: 'content' }) },
};
const INNER = ['heading', 'text', 'button', 'image', 'divider', 'html'];
const OPERATORS = { eq: 'is', ne: 'is not', gt: 'is more than', gte: 'is at least', lt: 'is less than', lte: 'is at most', contains: 'contains', exists: 'exists', empty: 'is empty' };

/** @param {{blocks: object[], path: (string|number)[], change: Function}} of `path` is that of the blocks in the template */
export function Blocks({ blocks, path, change, isInner = false, label = 'Blocks', ...tools }) {
  const list = useRef(null);
  const set = (next) => change(path, next);
  const focus = (index) => requestAnimationFrame(() => list.current?.children[index]?.querySelector('.block-bar button')?.focus());
  const move = (from, to) => {
    if (to < 0 || to >= blocks.length) return;
    const next = blocks.toSpliced(from, 1).toSpliced(to, 0, blocks[from]);
    set(next);
    focus(to);
  };
  const add = (index, type) => {
    set(blocks.toSpliced(index, 0, TYPES[type].make()));
    requestAnimationFrame(() => {
      const card = list.current?.children[index], input = card?.querySelector('.block-fields :is(textarea, input)');
      (input ?? card?.querySelector('button'))?.focus();
      input?.select(); // what is typed replaces the text that a block begins with
    });
  };
  return html`<div class="blocks-of"><ol class=${isInner ? 'blocks inner' : 'blocks'} ref=${list} aria-label=${label}>${blocks.map((block, index) => html`<${Block} key=${index} ...${{ block, index, change, ...tools }} count=${blocks.length} path=${[...path, index]}
    move=${(to) => move(index, to)} moveFrom=${move} copy=${() => set(blocks.toSpliced(index + 1, 0, { ...structuredClone(block), key: undefined }))} remove=${() => { set(blocks.toSpliced(index, 1)); focus(Math.max(0, index - 1)); }} />`)}</ol>
    <${Popup} label="Add a block" hasText buttonClass="add-block" isStart button=${html`<${Icon} name="plus" /> Add block`}>${(close) => (isInner ? INNER : Object.keys(TYPES)).map((type) => html`<button key=${type} type="button" class="option" onClick=${() => { close(); add(blocks.length, type); }}><${Icon} name=${TYPES[type].icon} /><span>${TYPES[type].title}</span>${TYPES[type].hint && html`<small class="muted">${TYPES[type].hint}</small>`}</button>`)}<//></div>`;
}

function Block({ block, index, count, path, move, moveFrom, copy, remove, change, problems, ...tools }) {
  const type = TYPES[block.type];
  const set = (name) => (next) => change([...path, name], next);
  const text = (name, label, more = {}) => html`<${TextInput} key=${name} label=${label} value=${block[name] ?? ''} set=${(next) => set(name)(next === '' && more.isOptional ? undefined : next)} problem=${problemAt(problems, [...path, name])} focused=${tools.focused} ...${more} />`;
  const own = problemAt(problems, path);
  const hasProblem = problems.some((one) => one.field.startsWith(`${path.join('.')}.`)) || own;
  const keys = (event) => {
    if (!event.altKey || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    move(index + (event.key === 'ArrowUp' ? -1 : 1));
  };
  const card = useRef(null);
  // Blocks are dragged within their list.
  const place = `application/x-block-${path.slice(0, -1).join('-').toLowerCase()}`;
  const drop = (event) => {
    const from = event.dataTransfer.getData(place);
    if (from === '') return;
    event.preventDefault();
    event.stopPropagation();
    moveFrom(Number(from), index);
  };
  const insert = (value) => {
    if (!card.current.contains(tools.focused.current?.input)) card.current.querySelector('.block-fields :is(textarea, input)')?.focus();
    tools.insert(value);
  };
  const choice = (name, label, options, fallback) => html`<select key=${name} aria-label=${label} value=${String(block[name] ?? fallback)} onChange=${(event) => set(name)(options[event.currentTarget.value])}>${Object.keys(options).map((one) => html`<option key=${one} value=${one}>${label === 'Level' ? `Level ${one}` : one}</option>`)}</select>`;
  return html`<li class=${`block block-${block.type}`} data-block=${block.key ?? index} data-problems=${hasProblem ? '' : null} onKeyDown=${keys} ref=${card} onDragOver=${(event) => event.dataTransfer.types.includes(place) && event.preventDefault()} onDrop=${drop}>
    <div class="block-bar" draggable="true" onDragStart=${(event) => event.dataTransfer.setData(place, String(index))}><${Icon} name=${type.icon} /><span class="block-name">${type.title}</span>${block.if && html`<span class="tag">if</span>`}
      ${block.type === 'heading' && choice('level', 'Level', { 1: 1, 2: 2, 3: 3 }, 1)}${block.type === 'button' && choice('style', 'Style', { primary: 'primary', secondary: 'secondary' }, 'primary')}
      <span class="block-tools">${!['divider', 'content', 'columns'].includes(block.type) && html`<${InsertVariable} variables=${tools.variables} choose=${insert} />`}
      <${Popup} label=${`More of block ${index + 1}, ${type.title}`} buttonClass="quiet" button=${html`<${Icon} name="more" />`}>${(close) => html`
        <button type="button" class="option" disabled=${index === 0} onClick=${() => { close(); move(index - 1); }}><span>Move up</span><kbd>Alt ↑</kbd></button>
        <button type="button" class="option" disabled=${index === count - 1} onClick=${() => { close(); move(index + 1); }}><span>Move down</span><kbd>Alt ↓</kbd></button>
        <button type="button" class="option" onClick=${() => { close(); copy(); }}><span>Duplicate</span></button>
        ${block.type !== 'content' && html`<button type="button" class="option" onClick=${() => { close(); set('if')(block.if ? undefined : { var: 'data.', op: 'exists' }); }}><span>${block.if ? 'Show always' : 'Show only if …'}</span></button>`}
        ${!['divider', 'content', 'columns', 'list'].includes(block.type) && ['left', 'center', 'right'].map((side) => html`<button key=${side} type="button" class="option" aria-pressed=${String(block.align === side)} onClick=${() => { close(); set('align')(block.align === side ? undefined : side); }}><span>Align ${side}</span></button>`)}
        <button type="button" class="option danger" onClick=${() => { close(); remove(); }}><span>Delete</span></button>`}<//></span></div>
    ${own && html`<p class="error">${own}</p>`}
    ${block.if && html`<${Condition} of=${block.if} set=${set('if')} problem=${problems.find((one) => one.field.startsWith([...path, 'if'].join('.')))?.message} />`}
    <div class="block-fields">${fields({ block, path, change, problems, text, tools })}</div></li>`;
}

function fields({ block, path, change, problems, text, tools }) {
  switch (block.type) {
    case 'heading': return text('text', 'Heading', { isQuiet: true, class: `as-heading level-${block.level ?? 1}` });
    case 'text': return text('text', 'Text', { isLong: true, isQuiet: true, hint: '**bold**, _italic_, `code`, [link](https://…), - list' });
    case 'button': return [text('text', 'Label'), text('url', 'Link')];
    case 'image': return [text('src', 'Address of the image'), text('alt', 'Description', { hint: 'For those who do not see it. Empty for decoration.' })];
    case 'html': return text('html', 'HTML', { isLong: true, isQuiet: true, isCode: true });
    case 'list': return [text('each', 'For each item in', { isCode: true }), html`<${Blocks} key="blocks" label="Blocks of each item" blocks=${block.blocks} path=${[...path, 'blocks']} ...${{ change, problems, ...tools }} isInner />`, text('empty', 'Without items', { isOptional: true })];
    case 'columns': return html`<div class="columns-of">${block.columns.map((one, index) => html`<${Blocks} key=${index} label=${`Blocks of column ${index + 1}`} blocks=${one.blocks} path=${[...path, 'columns', index, 'blocks']} ...${{ change, problems, ...tools }} isInner />`)}</div>`;
    case 'content': return html`<p class="muted">The content of the e-mail is inserted here.</p>`;
    default: return null;
  }
}

/** A condition with one variable; others are edited as YAML. */
function Condition({ of, set, problem }) {
  if (typeof of.var !== 'string') return html`<p class="muted">A condition with several parts: edit it as YAML.</p>`;
  const { var: path, op = 'eq', value } = of;
  const isPlain = ['exists', 'empty'].includes(op);
  const read = (text) => { try { return JSON.parse(text); } catch { return text; } };
  return html`<div class="condition"><span class="muted">Only if</span><input aria-label="Variable" value=${path} spellcheck=${false} onInput=${(event) => set({ ...of, var: event.currentTarget.value })} />
    <select aria-label="Comparison" value=${op} onChange=${(event) => { const next = event.currentTarget.value; set(['exists', 'empty'].includes(next) ? { var: path, op: next } : { var: path, op: next, value: value ?? '' }); }}>${Object.entries(OPERATORS).map(([one, word]) => html`<option key=${one} value=${one}>${word}</option>`)}</select>
    ${!isPlain && html`<input aria-label="Value" value=${typeof value === 'string' ? value : JSON.stringify(value)} onInput=${(event) => set({ ...of, value: read(event.currentTarget.value) })} />`}
    ${problem && html`<small class="error">${problem}</small>`}</div>`;
}

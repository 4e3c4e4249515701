/**
 * The text fields of a template: they grow with their content, show the server's problem and insert variables.
 */
import { html, useMemo, useRef, useState } from './html.js';
import { loadStyle } from './load.js';
import { Popup } from './parts.js';

await loadStyle('text-input.css');

/** The problem of a field, from the answer of the server. */
export const problemAt = (problems, path) => problems.find((one) => one.field === path.join('.'))?.message;

/** A variable or a tag of a template. One that is not closed yet does not reach into the next. */
const TOKEN = /\{([{%])(?:(?!\{[{%]).)*?[}%]\}/g;
/** A text with tokens that have spaces at which no line breaks, and the text as it is stored. A line breaks after a bar and a hyphen even before such a space, which would begin the next line. */
export const unbroken = (text) => text.replace(TOKEN, (token) => token.replaceAll(/(?<![|-]) /g, '\u00a0'));
const broken = (text) => text.replace(TOKEN, (token) => token.replaceAll('\u00a0', ' '));

/** Write the tokens of a field in one piece at once: a text that is written later has its cursor at the end. */
function keepTokens(input) {
  const { value, selectionStart, selectionEnd } = input;
  if (!input.matches('.text-input:not(.code) textarea') || value === unbroken(value)) return;
  input.value = unbroken(value);
  input.setSelectionRange(selectionStart, selectionEnd);
}

/** Tokens, code, links, bold and italic texts, by the same rules and with the same maximum length as on the server; of a text without markup, TOKEN finds the tokens. */
const MARKUP = new RegExp(`${TOKEN.source}|\`([^\`\\n]+)\`|\\[([^\\]\\n]{1,999})\\]\\((?:\\{\\{(?:(?!\\}\\}).)*\\}\\}|(?!\\{\\{)[^()\\s])+\\)|(\\*\\*|__)(?=\\S)([^\\n]{0,999}?\\S)\\4|(\\*|_)(?=[^\\s*_])([^\\n]{0,999}?[^\\s*_])\\6(?![\\p{L}\\p{N}])`, 'gu');

/** The sign of an item of a list. */
const BULLET = /(?<=^[ \t]*)[-*+](?=[ \t])/gm;

/** The name of a token: the last of the variable's path, or a tag without its braces. */
const tokenName = (token) => (token.startsWith('{%') ? token.slice(2, -2) : token.slice(2, -2).split('|')[0].split('.').pop()).replaceAll(/^-?\s*|\s*-?$/g, '');

/** A text as it is read: variables as tags, and its markup. Each part has its place in the text, a tag that of its end. */
export function textParts(text, isMarked, start = 0) {
  const parts = [];
  let end = 0;
  const plain = (to) => { if (to > end) parts.push(html`<span data-at=${start + end}>${text.slice(end, to)}</span>`); };
  for (const { 0: whole, 1: kind, 2: code, 3: link, 5: bold, 7: italic, index } of text.matchAll(isMarked ? MARKUP : TOKEN)) {
    plain(index);
    const inner = (of, mark) => textParts(of, true, start + index + mark);
    end = index + whole.length;
    parts.push(kind ? html`<span class="tag" data-at=${start + end}>${tokenName(whole)}</span>` : code ? html`<code data-at=${start + index + 1}>${code}</code>` : link ? html`<u>${inner(link, 1)}</u>` : bold ? html`<b>${inner(bold, 2)}</b>` : html`<i>${inner(italic, 1)}</i>`);
  }
  plain(text.length);
  return parts;
}

/** The place in a field where a press meets its text as it is read, which is shorter than the text of the field; null if the field shows its own. */
function placeOf({ currentTarget: input, clientX, clientY }) {
  const shown = input.nextElementSibling;
  if (document.activeElement === input || !shown || !document.caretPositionFromPoint) return null;
  shown.style.pointerEvents = 'auto';
  const { offsetNode, offset } = document.caretPositionFromPoint(clientX, clientY) ?? {};
  shown.style.pointerEvents = '';
  const part = offsetNode?.parentElement?.closest('[data-at]');
  return part && shown.contains(part) ? Number(part.dataset.at) + (part.matches('.tag') ? 0 : offset) : input.value.length;
}

/** A word or a token. */
const WORD = new RegExp(`${TOKEN.source}|[\\p{L}\\p{N}_]+`, 'gu');
const wordAt = (text, at) => [...text.matchAll(WORD)].map(({ 0: word, index }) => [index, index + word.length]).find(([start, end]) => start <= at && at <= end);

/** After the first press of a field, the cursor is where it met the text, or selects the word of a double click. What was selected by dragging stays. */
export function usePress() {
  const place = useRef(null);
  const begin = (event) => { if (event.detail === 1) place.current = event.button === 0 ? placeOf(event) : null; };
  const end = ({ currentTarget: input, detail }) => {
    const at = place.current, range = at === null ? null : detail === 2 ? wordAt(input.value, at) : detail === 1 && input.selectionStart === input.selectionEnd && [at, at];
    if (range) input.setSelectionRange(...range);
  };
  return { onMouseDown: begin, onMouseUp: end };
}

/** Maximum variables in a list below a text. */
const MAX_SHOWN = 8;

/** The beginning of a variable before the cursor, such as `data.cl` after `{{ data.cl`; null outside of one. */
const begunIn = ({ value, selectionStart }) => /\{\{-?\s*([\w.]*)$/.exec(value.slice(0, selectionStart))?.[1] ?? null;

/** The variables that complete what is typed after `{{`: keys and a list for a text field. */
function useCompletion({ id, input, set, variables = [] }) {
  const [begun, setBegun] = useState(null);
  const [active, setActive] = useState(0);
  const shown = begun === null ? [] : variables.filter(({ path }) => path.startsWith(begun) && path !== begun).slice(0, MAX_SHOWN);
  const current = Math.min(active, shown.length - 1);
  const choose = ({ path }) => {
    const { value, selectionStart: end } = input.current, typed = begunIn(input.current) ?? '';
    replace(input.current, set, /^\s*\}\}/.test(value.slice(end)) ? path : `${path} }}`, end - typed.length, end);
    setBegun(null);
  };
  const commands = { ArrowDown: () => setActive((current + 1) % shown.length), ArrowUp: () => setActive((current + shown.length - 1) % shown.length), Enter: () => choose(shown[current]), Tab: () => choose(shown[current]), Escape: () => setBegun(null) };
  const keys = (event) => {
    const command = shown.length > 0 && !event.shiftKey && !event.altKey && !event.ctrlKey && commands[event.key];
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    command();
  };
  return {
    look: () => { setBegun(begunIn(input.current)); setActive(0); },
    attributes: { 'aria-autocomplete': 'list', 'aria-controls': shown.length > 0 ? `${id}-variables` : null, 'aria-activedescendant': shown.length > 0 ? `${id}-${current}` : null, onKeyDown: keys, onBlur: () => setBegun(null), onselectionchange: ({ currentTarget: one }) => setBegun((last) => (last === begunIn(one) ? last : null)) },
    list: shown.length > 0 && html`<div class="completion" role="listbox" aria-label="Variables" id=${`${id}-variables`}>${shown.map((one, index) => html`<div key=${one.path} class="option" role="option" id=${`${id}-${index}`} aria-selected=${String(index === current)} onPointerDown=${(event) => { event.preventDefault(); choose(one); }}><span><code>${one.path}</code></span><small class="muted">${one.example}</small></div>`)}</div>`,
  };
}

/**
 * A text that grows with its content. Variables are inserted where the cursor was last, and completed after `{{`. Until it has the focus, it is drawn as it is read,
 * with its markup if it `isMarked`. It keeps the height of its longer form then: what is below must not move away from a press that ends the focus. */
export function TextInput({ label, value: stored, set: store, problem, isLong = false, isCode = false, isMarked = false, isQuiet = false, hint, focused, variables, insert, isOptional: _, isReadOnly = false, ...attributes }) {
  const input = useRef(null);
  const value = isLong && !isCode ? unbroken(String(stored)) : String(stored);
  const set = (text) => store(broken(text));
  const focus = () => {
    focused.current = { input: input.current, set };
    input.current.parentElement.dataset.edited = '';
  };
  const id = useMemo(() => `t${Math.random().toString(36).slice(2)}`, []);
  const shown = useMemo(() => !isCode && textParts(isMarked ? value.replaceAll(BULLET, '•') : value, isMarked), [value, isMarked]);
  const press = usePress(), completion = useCompletion({ id, input, set, variables });
  const change = (event) => {
    focus();
    const { currentTarget: one } = event;
    if (!event.isComposing) keepTokens(one);
    set(one.value);
    completion.look();
  };
  const shared = { id, ref: input, value, readOnly: isReadOnly, dir: 'auto', spellcheck: !isCode, autocomplete: 'off', 'aria-invalid': problem ? 'true' : null, 'aria-describedby': problem ? `${id}-problem` : null, onFocus: focus, ...press, onInput: change, ...completion.attributes, ...attributes };
  return html`<div class=${`field text-input${isCode ? ' code' : ''}`}><div class="label-line"><label for=${id} class=${isQuiet ? 'hidden' : null}>${label}</label>${insert && !isReadOnly && html`<${InsertVariable} variables=${variables} choose=${(text) => { focus(); insert(text); }} />`}</div>
    <div class=${`grows ${attributes.class ?? ''}`} data-text=${isLong ? `${value}\n` : ''}>${isLong ? html`<textarea rows="1" ...${shared}></textarea>` : html`<input ...${shared} />`}${!isCode && html`<div class="drawn" dir="auto" aria-hidden="true">${shown}${isLong && '\n'}</div>`}</div>${completion.list}
    ${problem ? html`<small class="error" id=${`${id}-problem`}>${problem}</small>` : hint && html`<small class="muted hint">${hint}</small>`}</div>`;
}

/** Insert a text where the cursor of a field was last. */
export function insertText({ input, set }, text) {
  replace(input, set, text, input.selectionStart, input.selectionEnd);
  input.focus();
}

/** Replace a range of a field at once, also its cursor: the operator may already type the next character. */
function replace(input, set, text, start, end) {
  input.setRangeText(text, start, end, 'end');
  keepTokens(input);
  set(input.value);
}

/** A button that inserts a variable. */
export const InsertVariable = ({ variables, choose }) => html`<${Popup} label="Insert a variable" buttonClass="quiet insert" button=${html`<span aria-hidden="true">{ }</span>`}>${(close) => variables.map((one) => html`<button key=${one.path} type="button" class="option" onClick=${() => { close(); choose(`{{ ${one.path} }}`); }}><span><code>${one.path}</code></span><small class="muted">${one.example}</small></button>`)}<//>`;

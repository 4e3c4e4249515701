/**
 * A YAML editor with line numbers and the server's errors by line.
 */
import { fill, h } from './dom.js';

const INDENT = '  ';
const HINT = 'Tab and Shift+Tab indent. To leave the text with the keyboard, press Escape, then Tab. Ctrl+Enter reviews the changes.';

/** @param {string} label @param {string} value @param {() => void} changed is called after each change of the text */
export function yamlEditor(label, value, changed) {
  const gutter = h('pre', { class: 'gutter', 'aria-hidden': 'true' });
  const text = h('textarea', { id: 'yaml', name: 'yaml', value, wrap: 'off', spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', 'aria-describedby': 'yaml-hint yaml-errors', onkeydown: keyboard(), onscroll: follow, oninput: () => {
    number();
    changed();
  } });
  const errors = h('div', { id: 'yaml-errors', role: 'alert' });
  let marked = new Set();

  function follow() {
    gutter.scrollTop = text.scrollTop;
  }

  function number() {
    const count = text.value.split('\n').length;
    const numbers = Array.from({ length: count }, (_, index) => (marked.has(index + 1) ? h('mark', {}, `${index + 1}\n`) : `${index + 1}\n`));
    fill(gutter, numbers);
    follow();
  }

  /** Show the errors of a Problem, those with a line as links to it. */
  function show(problem) {
    const all = problem?.errors.length ? problem.errors.toSorted((one, other) => one.line - other.line) : problem ? [{ field: '', message: problem.message }] : [];
    marked = new Set(all.map((one) => one.line));
    number();
    if (all.length > 0) text.setAttribute('aria-invalid', 'true');
    else text.removeAttribute('aria-invalid');
    fill(errors, all.length > 0 && h('ul', { class: 'yaml-errors' }, all.map(({ field, message, line }) => h('li', {},
      line && h('button', { type: 'button', onclick: () => select(line) }, `Line ${line}`), h('span', {}, field && h('code', {}, field), ' ', message)))));
  }

  function select(line) {
    const lines = text.value.split('\n');
    const start = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[line - 1] ?? '').length);
    text.scrollTop = Math.max(0, (line - 4) * (text.scrollHeight / lines.length));
    follow();
  }

  number();
  const element = h('div', { class: 'field' }, h('label', { for: 'yaml' }, label), h('div', { class: 'yaml' }, gutter, text), h('small', { class: 'muted', id: 'yaml-hint' }, HINT), errors);
  return { element, show, get value() { return text.value; }, set value(other) { text.value = other; number(); } };
}

/** Keyboard shortcuts of the editor. After Escape, the browser handles the next Tab, so that the text does not trap the keyboard (WCAG 2.1.2). */
function keyboard() {
  let leaves = false;
  return (event) => {
    const { key, target, shiftKey } = event;
    if (key === 'Shift') return;
    const isLeaving = leaves;
    leaves = key === 'Escape';
    if (leaves) event.preventDefault(); // otherwise the console would move the focus to the top of the page
    if (event.isComposing || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (key === 'Enter') target.form.requestSubmit();
    } else if (key === 'Tab' && !isLeaving) {
      event.preventDefault();
      indent(target, shiftKey);
    } else if (key === 'Enter') {
      event.preventDefault();
      const [spaces] = /^ */.exec(target.value.slice(lineStart(target.value, target.selectionStart), target.selectionStart));
      replace(`\n${spaces}`);
    }
  };
}

const lineStart = (value, position) => value.lastIndexOf('\n', position - 1) + 1;

/** Replace the selection. Only this command keeps the browser's undo history. */
const replace = (inserted) => document.execCommand(inserted ? 'insertText' : 'delete', false, inserted);

/** Indent the selected lines or insert an indentation at the caret; or remove one. */
function indent(text, isBack) {
  const { value, selectionStart: from, selectionEnd: to } = text;
  if (!isBack && from === to) {
    replace(INDENT);
    return;
  }
  const start = lineStart(value, from);
  const before = value.slice(start, to);
  const after = before.split('\n').map((line) => (isBack ? line.replace(/^ {1,2}/, '') : INDENT + line)).join('\n');
  if (before === after) return;
  text.setSelectionRange(start, to);
  replace(after);
  const end = start + after.length;
  text.setSelectionRange(from === to ? Math.max(start, end) : start, end);
}

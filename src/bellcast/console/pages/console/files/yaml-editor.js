/**
 * A YAML editor with line numbers and the server's errors by line.
 */
import { count } from './format.js';
import { Fragment, html, useLayoutEffect, useMemo, useRef } from './html.js';
import { loadStyle } from './load.js';
import { tonesOf } from './yaml-tones.js';

await loadStyle('yaml-editor.css');

const INDENT = '  ';
const HINT = 'Tab and Shift+Tab indent. To leave the text with the keyboard, press Escape, then Tab. Ctrl+Enter presses the button below.';

/** Longer texts are shown in one tone: drawing 2,000 lines after each key takes longer than a frame. */
const MAX_TONED = 60_000;

/** The same text behind the text area, whose own letters are transparent. */
const Tones = ({ text }) => useMemo(() => tonesOf(text).map((parts, index) => html`<${Fragment} key=${index}>${parts.map(([tone, part]) => (tone && part ? html`<span class=${`tone-of-${tone}`}>${part}</span>` : part))}${'\n'}<//>`), [text]);

/** Select a line of a text area, near its top. */
export function selectLine(area, line) {
  const lines = area.value.split('\n'), start = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1] ?? '').length);
  area.scrollTop = Math.max(0, (line - 4) * (area.scrollHeight / lines.length));
}

/** A text area for YAML with the numbers of its lines. @param {{area: any, value: string, marked: Set<number>, change: (value: string) => void, isSubmitted?: boolean}} of `marked` are lines with errors; without `isSubmitted`, the page handles Ctrl+Enter */
export function YamlText({ area, value, marked, change, isSubmitted = false, ...attributes }) {
  const gutter = useRef(null), tones = useRef(null), leaves = useRef(false);
  const isToned = value.length <= MAX_TONED;
  const follow = () => {
    const { scrollTop, scrollLeft } = area.current;
    gutter.current.scrollTop = scrollTop;
    if (tones.current) tones.current.style.translate = `${-scrollLeft}px ${-scrollTop}px`;
  };
  useLayoutEffect(follow, [isToned]);
  const keys = (event) => { if (isSubmitted || !((event.ctrlKey || event.metaKey) && event.key === 'Enter')) press(event, leaves); };
  return html`<div class="yaml"><pre class="gutter" aria-hidden="true" ref=${gutter}>${value.split('\n').map((_, index) => (marked.has(index + 1) ? html`<mark>${index + 1}${'\n'}</mark>` : `${index + 1}\n`))}</pre>
    <div class="yaml-area">${isToned && html`<pre class="yaml-tones" aria-hidden="true" ref=${tones}><${Tones} text=${value} /></pre>`}<textarea ref=${area} class=${isToned ? 'toned' : null} wrap="off" spellcheck=${false} autoCapitalize="off" autoComplete="off" value=${value} onScroll=${follow} onKeyDown=${keys} onInput=${({ currentTarget }) => change(currentTarget.value)} ...${attributes}></textarea></div></div>`;
}

/**
 * What becomes of comments, which only the text has. @param {{comments: any[], isInText?: boolean, kept?: string, class?: string, children?: any}} of
 * `isInText`: beside the text, where it is said before there is one; `kept` says what is stored instead */
export function CommentNote({ comments: { length }, isInText = false, kept = '', class: name = 'muted', children }) {
  if (length === 0) return isInText && html`<small class="muted">Comments are not stored${kept}.</small>`;
  return html`<p class=${name} role="note">${count(length, 'comment')} ${isInText ? '' : 'of the YAML '}will not be stored${kept}${isInText ? '' : `. The first change here removes ${length === 1 ? 'it' : 'them'}`}. ${children}</p>`;
}

/** @param {{label: string, value: string, problem: any, comments: any[], change: (value: string) => void}} of `problem` has the errors of the server, those with a line as links to it */
export function YamlEditor({ label, value, problem, comments, change }) {
  const area = useRef(null);
  const errors = problem?.errors?.length ? problem.errors.toSorted((one, other) => one.line - other.line) : problem ? [{ field: '', message: problem.message }] : [];
  return html`<div class="field"><label for="yaml">${label}</label><${YamlText} ...${{ area, value, change }} isSubmitted marked=${new Set(errors.map(({ line }) => line))} id="yaml" name="yaml" aria-describedby="yaml-hint yaml-errors" aria-invalid=${errors.length > 0 ? 'true' : null} />
    <small class="muted" id="yaml-hint">${HINT}</small><${CommentNote} comments=${comments} isInText /><div id="yaml-errors" role="alert">${errors.length > 0 && html`<ul class="yaml-errors">${errors.map(({ field, message, line }, index) => html`<li key=${index}>${line && html`<button type="button" onClick=${() => selectLine(area.current, line)}>Line ${line}</button>`}<span>${field && html`<code>${field}</code>`} ${message}</span></li>`)}</ul>`}</div></div>`;
}

/** Keyboard shortcuts of the editor. After Escape, the browser handles the next Tab, so that the text does not trap the keyboard (WCAG 2.1.2). */
export function press(event, leaves) {
  const { key, target, shiftKey } = event;
  if (key === 'Shift') return;
  const isLeaving = leaves.current;
  leaves.current = key === 'Escape';
  if (leaves.current) event.preventDefault(); // otherwise the console would move the focus to the top of the page
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
}

const lineStart = (value, position) => value.lastIndexOf('\n', position - 1) + 1;

/** Insert lines into a text area, and leave the cursor at their end. */
export function insertLines(area, place, lines) {
  area.focus();
  area.setSelectionRange(place, place);
  replace(lines);
  area.setSelectionRange(place + lines.trimEnd().length, place + lines.trimEnd().length);
}

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

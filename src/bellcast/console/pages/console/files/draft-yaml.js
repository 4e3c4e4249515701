/**
 * The definition of a draft as YAML, and the list of its problems.
 */
import { html, useEffect, useRef, useState } from './html.js';
import { Icon } from './parts.js';
import { newStep, stepPathOf, valueAt } from './workflow-model.js';
import { CommentNote, YamlText, insertLines, selectLine } from './yaml-editor.js';
import { toYaml } from './yaml.js';

/** Problems as buttons: their line if it is known, the step or field, and what is wrong. @param {{title: string, of: any[], values: any, choose: (one: any) => void}} of */
export const ProblemList = ({ title, of, values, choose }) => of.length > 0 && html`<section class=${`problem-list ${title.toLowerCase()}`} aria-label=${title}><details open><summary>${title} <span class="problem-number">${of.length}</span></summary><ul>${of.map((one) => {
  const { field, message, line } = one, path = stepPathOf(field), key = path && valueAt(values, path)?.key;
  return html`<li key=${field + message}><button type="button" onClick=${() => choose(one)}>${line && html`<span class="problem-line">Line ${line}</span>`}<span>${field && html`<code>${key ?? field}</code>`}${key && field.length > path.length && `, ${field.slice(path.length + 1)}`}${field && ': '}${message}</span><${Icon} name="chevron" /></button></li>`;
})}</ul></details></section>`;

/** What labels do not say that repeat the name. */
const MEANINGS = { key: 'Name of the step', note: 'Shown in the editor only', for: 'How long, such as 1h', until: 'A time, also of the data', template: 'Key of a template' };
const meaningOf = (name, label) => MEANINGS[name] ?? (label.toLowerCase() === name ? '' : label);

/** The names of fields, each with what it means, whether it must be there, and the words that it can have. */
const FieldNames = ({ of: { properties, required = [] } }) => html`<dl>${Object.entries(properties).filter(([, one]) => one['x-label']).map(([name, one]) => html`<div key=${name}><dt><code>${name}</code></dt><dd>${[meaningOf(name, one['x-label']), required.includes(name) && 'required'].filter(Boolean).join(', ')}${one.enum && html` <code>${one.enum.join(' | ')}</code>`}</dd></div>`)}</dl>`;

/** Put a new step into a YAML text: after the step in which the cursor is, or as the last one. */
function insertStep(area, type) {
  const { value: text, selectionStart } = area;
  const lineEnd = (place) => (text.indexOf('\n', place) + 1 || text.length + 1) - 1;
  const steps = [...text.matchAll(/^( *)- (?:key|type):/gm)], known = Array.from(text.matchAll(/^ *(?:- )?key: *["']?([\w.-]+)/gm), ([, key]) => ({ key }));
  const own = steps.findLast(({ index }) => index <= lineEnd(selectionStart)) ?? steps.at(-1);
  const lines = (indent) => toYaml([newStep({ steps: known }, type)], indent);
  if (!own) return insertLines(area, text.length, `${text && !text.endsWith('\n') ? '\n' : ''}${/^steps:\s*$/m.test(text) ? '' : 'steps:\n'}${lines('  ')}`);
  const begin = lineEnd(own.index) + 1, rest = text.slice(begin).search(new RegExp(`^ {0,${own[1].length}}\\S`, 'm'));
  return insertLines(area, rest < 0 ? text.length : begin + rest, `${rest < 0 && !text.endsWith('\n') ? '\n' : ''}${lines(own[1])}`);
}

/** The type of the step at a place of a YAML text, which begins with its key or its type. */
function typeAt(text, place) {
  const end = text.indexOf('\n', place), own = text.slice(0, end < 0 ? undefined : end).search(/^ *- (?:key|type):(?![^]*^ *- (?:key|type):)/m);
  if (own < 0) return null;
  const [step] = text.slice(own).split(/\n(?= *- (?:key|type):)/);
  return /^ *(?:- )?type: *["']?(\w+)/m.exec(step)?.[1];
}

/** The fields of an object and of its parts, by their JSON Schema, with buttons that add a step. The part in which the cursor is in the YAML is open. */
export function FieldHelp({ schema, isReadOnly }) {
  const [type, setType] = useState(null);
  const shown = useRef(null);
  useEffect(() => {
    const follow = () => {
      const { id, value, selectionStart } = document.activeElement;
      if (id === 'draft-yaml') setType(typeAt(value, selectionStart));
    };
    document.addEventListener('selectionchange', follow);
    return () => document.removeEventListener('selectionchange', follow);
  }, []);
  useEffect(() => shown.current?.scrollIntoView({ block: 'nearest' }), [type]);
  return html`<section class="yaml-help" aria-label="Fields"><h2>Fields</h2><${FieldNames} of=${schema} /><h2>Steps</h2>${Object.entries(schema.$defs).filter(([, one]) => one.title).map(([name, one]) => html`<div key=${name}><details open=${name === type} ref=${name === type ? shown : null}><summary>${one.title}${one.title.toLowerCase() !== name && html` <code class="muted">${name}</code>`}</summary><${FieldNames} of=${one} /></details>${!isReadOnly && html`<button type="button" class="quiet" aria-label=${`Insert ${name}`} title="Insert after the step at the cursor" onClick=${() => insertStep(document.getElementById('draft-yaml'), name)}><${Icon} name="plus" /></button>`}</div>`)}</section>`;
}

/** What becomes of the comments of a draft. @param {{draft: any, open?: () => void}} of `open` shows the YAML, in another view */
export const DraftComments = ({ draft: { comments: { value: comments }, values, kind, change }, open }) => html`<${CommentNote} comments=${comments} isInText=${!open} kept=${kind.withNotes ? ': notes of steps and of the workflow are' : ''} class=${open ? 'editor-note' : 'muted'}>
  ${kind.withNotes && html`<button type="button" onClick=${() => change(kind.withNotes(values.value, comments))}>Make notes</button>`}${open && html` <button type="button" onClick=${open}>Show the text</button>`}<//>`;

/** The definition as YAML. While it cannot be read, the draft keeps the last definition. */
export function DraftYaml({ draft, isReadOnly }) {
  const text = draft.yamlText.value;
  const problem = draft.yamlProblem.value;
  const area = useRef(null), isPasted = useRef(false);
  useEffect(() => () => { if (draft.isUnread.value) draft.write(); }, []);
  const { values: { value: values } } = draft;
  const inText = (all) => all.map((one) => ({ ...one, line: one.line ?? lineOf(text, values, one.field) })).sort((one, other) => one.line - other.line);
  const errors = problem?.errors?.length ? problem.errors : problem ? [{ field: '', message: problem.message }] : inText(draft.problems.value);
  const [first] = errors.map(({ line }) => line).filter(Boolean);
  // The line may be far from the end of a text that was pasted.
  useEffect(() => {
    if (isPasted.current && first) selectLine(area.current, first);
    if (first) isPasted.current = false;
  }, [draft.problems.value, problem]);
  const show = ({ line }) => { if (line) selectLine(area.current, line); };
  return html`<div class="editor-yaml"><label for="draft-yaml" class="hidden">Definition as YAML</label>
    <${YamlText} area=${area} value=${text} marked=${new Set(errors.map(({ line }) => line))} change=${draft.changeYaml} id="draft-yaml" readOnly=${isReadOnly} aria-invalid=${errors.length > 0 ? 'true' : null} aria-describedby="draft-yaml-errors" onPaste=${() => { isPasted.current = true; }} />
    ${!isReadOnly && html`<${DraftComments} draft=${draft} />`}
    <div id="draft-yaml-errors" role="alert"><${ProblemList} title="Problems" of=${errors} values=${problem ? {} : values} choose=${show} /></div><${ProblemList} title="Warnings" of=${inText(draft.findings.value)} values=${values} choose=${show} /></div>`;
}

/** The line of a field in the YAML of the values: a mark in its place shows it. */
function lineOf(text, values, field) {
  if (text !== toYaml(values)) return undefined;
  const mark = '\u0001mark';
  const parts = field.split('.');
  const at = (value, rest) => {
    if (rest.length === 0) return mark;
    const [name, ...inner] = rest;
    if (value === null || typeof value !== 'object' || !(name in value)) return mark;
    const copy = Array.isArray(value) ? [...value] : { ...value };
    copy[name] = at(value[name], inner);
    return copy;
  };
  const line = toYaml(at(values, parts)).split('\n').findIndex((one) => one.includes('mark') && one.includes('\\u0001'));
  return line < 0 ? undefined : line + 1;
}

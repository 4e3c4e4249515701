/**
 * The text fields of a template: they grow with their content, show the server's problem and insert variables.
 */
import { html, useMemo, useRef } from './html.js';
import { Popup } from './parts.js';

/** The problem of a field, from the answer of the server. */
export const problemAt = (problems, path) => problems.find((one) => one.field === path.join('.'))?.message;

/** A text that grows with its content. Variables are inserted where the cursor was last. */
export function TextInput({ label, value, set, problem, isLong = false, isCode = false, isQuiet = false, hint, focused, variables, insert, isOptional: _, isReadOnly = false, ...attributes }) {
  const input = useRef(null);
  const focus = () => { focused.current = { input: input.current, set }; };
  const id = useMemo(() => `t${Math.random().toString(36).slice(2)}`, []);
  const shared = { id, ref: input, value, readOnly: isReadOnly, dir: 'auto', spellcheck: !isCode, 'aria-invalid': problem ? 'true' : null, 'aria-describedby': problem ? `${id}-problem` : null, onFocus: focus, onInput: (event) => { focus(); set(event.currentTarget.value); }, ...attributes };
  return html`<div class=${`field text-input${isCode ? ' code' : ''}`}><div class="label-line"><label for=${id} class=${isQuiet ? 'hidden' : null}>${label}</label>${insert && !isReadOnly && html`<${InsertVariable} variables=${variables} choose=${(text) => { focus(); insert(text); }} />`}</div>
    ${isLong ? html`<div class="grows" data-text=${`${value}\n`}><textarea rows="1" ...${shared}></textarea></div>` : html`<input ...${shared} />`}
    ${problem ? html`<small class="error" id=${`${id}-problem`}>${problem}</small>` : hint && html`<small class="muted hint">${hint}</small>`}</div>`;
}

/** A button that inserts a variable. */
export const InsertVariable = ({ variables, choose }) => html`<${Popup} label="Insert a variable" buttonClass="quiet insert" button=${html`<span aria-hidden="true">{ }</span>`}>${(close) => variables.map((one) => html`<button key=${one.path} type="button" class="option" onClick=${() => { close(); choose(`{{ ${one.path} }}`); }}><span><code>${one.path}</code></span><small class="muted">${one.example}</small></button>`)}<//>`;

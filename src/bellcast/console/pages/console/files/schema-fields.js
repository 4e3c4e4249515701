/**
 * The fields of a schema of data: as a form, and as a table.
 */
import { html, useRef, useState } from './html.js';
import { loadStyle } from './load.js';
import { Icon } from './parts.js';

await loadStyle('schema-fields.css');

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array'];
const WORDS = { string: 'text', integer: 'whole number', boolean: 'yes or no', array: 'list', null: 'nothing' };
const typeOf = ({ type, enum: values }) => (values ? `one of ${values.join(', ')}` : [type ?? 'anything'].flat().map((one) => WORDS[one] ?? one).join(' or '));

/** Whether a field has one type, which the form offers. */
const isSimple = ({ type, enum: values }) => TYPES.includes(type) && !values;

/** The fields of an object's schema, as the form edits them. `rest` is what the form does not show. */
const fieldsOf = (schema) => Object.entries(schema?.properties ?? {}).map(([name, rest], index) => ({ id: index, name, rest, isRequired: schema.required?.includes(name) ?? false }));

function schemaOf(schema, fields) {
  const { required: _, ...rest } = schema ?? {};
  const named = fields.map((one) => ({ ...one, name: one.name.trim() })).filter((one) => one.name);
  const required = named.filter((one) => one.isRequired).map((one) => one.name);
  return { ...rest, type: 'object', properties: Object.fromEntries(named.map((one) => [one.name, one.rest])), ...(required.length > 0 && { required }) };
}

/** The rows of a form with an empty one, whose name has the focus. */
const withRow = (fields) => [...fields, { id: Math.max(-1, ...fields.map((field) => field.id)) + 1, name: '', rest: { type: 'string' }, isRequired: false, isNew: true }];
const focus = (input) => input?.focus();

/** A form of the fields. What it does not show of a field stays. */
export function SchemaForm({ schema, change }) {
  const [fields, setFields] = useState(() => {
    const found = fieldsOf(schema);
    return found.length > 0 ? found : withRow(found);
  });
  const written = useRef(JSON.stringify(schema));
  // The schema can also change by an undo, or be inferred. A field without a name is only here.
  if (JSON.stringify(schema) !== written.current) {
    written.current = JSON.stringify(schema);
    setFields(fieldsOf(schema));
  }
  const set = (next) => {
    const after = schemaOf(schema, next);
    written.current = JSON.stringify(after);
    setFields(next);
    change(after);
  };
  const setField = (id, changes) => set(fields.map((field) => (field.id === id ? { ...field, ...changes } : field)));
  const keyword = (field, name, value) => {
    const { [name]: _, ...rest } = field.rest;
    setField(field.id, { rest: value ? { ...rest, [name]: value } : rest });
  };
  const retype = (field, type) => setField(field.id, { rest: { ...(field.rest['x-label'] && { 'x-label': field.rest['x-label'] }), ...(field.rest['x-private'] && { 'x-private': true }), type } });
  return html`<ul class="schema-fields" aria-label="Fields">${fields.map((field) => html`<li key=${field.id}>
      <input aria-label="Name" placeholder="Name" ref=${field.isNew ? focus : null} required pattern="[^\\s].*" autocomplete="off" spellcheck=${false} value=${field.name} onInput=${(event) => setField(field.id, { name: event.currentTarget.value })} />
      <select aria-label=${`Value of ${field.name}`} value=${isSimple(field.rest) ? field.rest.type : ''} onChange=${(event) => event.currentTarget.value && retype(field, event.currentTarget.value)}>${!isSimple(field.rest) && html`<option value="">${typeOf(field.rest)}</option>`}${TYPES.map((type) => html`<option key=${type} value=${type}>${WORDS[type] ?? type}</option>`)}</select>
      <input aria-label=${`Label of ${field.name}`} placeholder="Label" value=${field.rest['x-label'] ?? ''} onInput=${(event) => keyword(field, 'x-label', event.currentTarget.value)} />
      <label><input class="check" type="checkbox" checked=${field.isRequired} onChange=${(event) => setField(field.id, { isRequired: event.currentTarget.checked })} /> Required</label>
      <label title="Masked in the samples of previews"><input class="check" type="checkbox" checked=${field.rest['x-private'] ?? false} onChange=${(event) => keyword(field, 'x-private', event.currentTarget.checked)} /> Private</label>
      <button type="button" class="quiet" aria-label=${`Remove ${field.name || 'the field'}`} onClick=${() => set(fields.filter((other) => other.id !== field.id))}><${Icon} name="close" /></button></li>`)}</ul>
    <p><button type="button" class="add-field" onClick=${() => setFields(withRow(fields))}><${Icon} name="plus" /> Add a field</button></p>`;
}

/** A table of the fields with their paths, such as `items[].name`. */
export const SchemaTable = ({ schema }) => html`<div class="scroll" tabIndex="0" role="region" aria-label="Fields of the data"><table class="schema"><thead><tr><th scope="col">Field</th><th scope="col">Value</th><th scope="col">Rules</th></tr></thead><tbody>
  ${[...flattened(schema)].map(({ path, value, isRequired }) => html`<tr key=${path}><td><code>${path}</code>${value['x-label'] && html`<br /><small class="muted">${value['x-label']}</small>`}</td><td>${typeOf(value)}</td><td class="muted">${[isRequired && 'required', value['x-private'] && 'private'].filter(Boolean).join(', ')}</td></tr>`)}</tbody></table></div>`;

function* flattened(schema, prefix = '') {
  for (const [name, value] of Object.entries(schema.properties ?? {})) {
    if (typeof value !== 'object') continue;
    yield { path: `${prefix}${name}`, value, isRequired: schema.required?.includes(name) };
    yield* flattened(value, `${prefix}${name}.`);
    if (typeof value.items === 'object') yield* flattened(value.items, `${prefix}${name}[].`);
  }
}

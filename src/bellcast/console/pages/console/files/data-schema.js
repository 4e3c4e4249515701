/**
 * The schema of the data of a type: its fields as a form, a proposal from the last sends, and what the last sends would fail.
 */
import { html, useState } from './html.js';
import { apiPath } from './definition.js';
import { count } from './format.js';
import { refresh } from './load.js';
import { Card, Icon } from './parts.js';
import { BUILDERS } from './roles.js';
import { get, getTagged, putYaml, withQuery } from './server.js';
import { valuesOf } from './yaml.js';

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array'];
const WORDS = { string: 'text', integer: 'whole number', boolean: 'yes or no', array: 'list', null: 'nothing' };
const CHECKS = { refuse: 'refuse it', warn: 'accept it, and warn in the live feed' };
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

/** @param {{page: any, kind: any, one: any}} of `one` is the type as it was read */
export function DataSchema({ page, kind, one }) {
  const [draft, setDraft] = useState(null);
  const [seen, setSeen] = useState(0);
  const [problem, setProblem] = useState(null);
  const mayEdit = page.may(BUILDERS);
  const infer = async () => {
    setProblem(null);
    try {
      const found = await get(apiPath(page, kind, '/inferred-schema'));
      setSeen(found.seen);
      setDraft(found.schema);
    } catch (failed) {
      setProblem(failed.status === 404 ? 'No send of this type is stored yet: there is nothing to infer a schema from.' : failed.message);
    }
  };
  const close = () => { setDraft(null); setSeen(0); setProblem(null); };
  const start = () => { setSeen(0); setDraft(one.data ?? { type: 'object', properties: {} }); };
  if (draft) return html`<${Card} title="Data"><${Editor} key=${seen} page=${page} kind=${kind} one=${one} schema=${draft} seen=${seen} close=${close} /><//>`;
  return html`<${Card} title="Data">
    ${one.data ? html`<p class="muted">Other data: ${CHECKS[one.data_check]}. It also applies to workflows of this type without a schema.</p><${Fields} schema=${one.data} />` : html`<p class="muted">Sends of this type may have any data. A schema refuses wrong data before it reaches a recipient, and lists the variables of templates.</p>`}
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    ${mayEdit && html`<div class="choice"><button type="button" onClick=${start}>${one.data ? 'Edit fields' : 'Add fields'}</button><button type="button" onClick=${infer}>Infer from the last sends</button></div>`}<//>`;
}

const Fields = ({ schema }) => html`<div class="scroll" tabIndex="0" role="region" aria-label="Fields of the data"><table class="schema"><thead><tr><th scope="col">Field</th><th scope="col">Value</th><th scope="col">Rules</th></tr></thead><tbody>
  ${[...flattened(schema)].map(({ path, value, isRequired }) => html`<tr key=${path}><td><code>${path}</code>${value['x-label'] && html`<br /><small class="muted">${value['x-label']}</small>`}</td><td>${typeOf(value)}</td><td class="muted">${[isRequired && 'required', value['x-private'] && 'private'].filter(Boolean).join(', ')}</td></tr>`)}</tbody></table></div>`;

/** All fields with their paths, such as `items[].name`. */
function* flattened(schema, prefix = '') {
  for (const [name, value] of Object.entries(schema.properties ?? {})) {
    if (typeof value !== 'object') continue;
    yield { path: `${prefix}${name}`, value, isRequired: schema.required?.includes(name) };
    yield* flattened(value, `${prefix}${name}.`);
    if (typeof value.items === 'object') yield* flattened(value.items, `${prefix}${name}[].`);
  }
}

function Editor({ page, kind, one, schema, seen, close }) {
  const [fields, setFields] = useState(() => fieldsOf(schema));
  const [check, setCheck] = useState(one.data_check ?? 'refuse');
  const [effects, setEffects] = useState(null);
  const [problem, setProblem] = useState(null);
  const change = (id, changes) => {
    setEffects(null);
    setFields(fields.map((field) => (field.id === id ? { ...field, ...changes } : field)));
  };
  const add = () => setFields([...fields, { id: Math.max(-1, ...fields.map((field) => field.id)) + 1, name: '', rest: { type: 'string' }, isRequired: false }]);
  const keyword = (field, name, value) => {
    const { [name]: _, ...rest } = field.rest;
    change(field.id, { rest: value ? { ...rest, [name]: value } : rest });
  };
  const retype = (field, type) => change(field.id, { rest: { ...(field.rest['x-label'] && { 'x-label': field.rest['x-label'] }), ...(field.rest['x-private'] && { 'x-private': true }), type } });
  const put = async (isDry) => {
    setProblem(null);
    try {
      const { tag } = await getTagged(apiPath(page, kind));
      const body = { ...valuesOf(one), data: schemaOf(schema, fields), data_check: check };
      const written = await putYaml(withQuery(`/v1${kind.path}/${encodeURIComponent(page.key)}`, { tenant: page.query.get('tenant'), dry_run: isDry || null }), JSON.stringify(body), { 'if-match': tag });
      if (isDry) setEffects(written.effects);
      else { close(); refresh(); }
    } catch (failed) {
      setProblem(failed.message);
    }
  };
  return html`<form class="schema" onSubmit=${(event) => { event.preventDefault(); put(effects === null); }}>
    ${seen > 0 && html`<p class="notice">Proposed from the last ${count(seen, 'send')}: their shapes, not their values.</p>`}
    <ul class="schema-fields" aria-label="Fields">${fields.map((field) => html`<li key=${field.id}>
      <input aria-label="Name" required pattern="[^\\s].*" value=${field.name} onInput=${(event) => change(field.id, { name: event.target.value })} />
      <select aria-label=${`Value of ${field.name}`} value=${isSimple(field.rest) ? field.rest.type : ''} onChange=${(event) => event.target.value && retype(field, event.target.value)}>${!isSimple(field.rest) && html`<option value="">${typeOf(field.rest)}</option>`}${TYPES.map((type) => html`<option key=${type} value=${type}>${WORDS[type] ?? type}</option>`)}</select>
      <input aria-label=${`Label of ${field.name}`} placeholder="Label" value=${field.rest['x-label'] ?? ''} onInput=${(event) => keyword(field, 'x-label', event.target.value)} />
      <label><input class="check" type="checkbox" checked=${field.isRequired} onChange=${(event) => change(field.id, { isRequired: event.target.checked })} /> Required</label>
      <label><input class="check" type="checkbox" checked=${field.rest['x-private'] ?? false} onChange=${(event) => keyword(field, 'x-private', event.target.checked)} /> Private</label>
      <button type="button" class="quiet" aria-label=${`Remove ${field.name || 'the field'}`} onClick=${() => { setEffects(null); setFields(fields.filter((other) => other.id !== field.id)); }}><${Icon} name="close" /></button></li>`)}</ul>
    <p><button type="button" onClick=${add}>Add a field</button></p>
    <div class="field"><label for="data-check">Other data</label><select id="data-check" value=${check} onChange=${(event) => { setEffects(null); setCheck(event.target.value); }}>${Object.entries(CHECKS).map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></div>
    <div role="status" data-effects>${effects && (effects.length > 0 ? effects.map((effect) => html`<p key=${effect.code} class="notice warn"><${Icon} name="warn" /> ${effect.text}</p>`) : html`<p class="notice">None of the last sends would be refused.</p>`)}</div>
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    <div class="choice"><button class="primary" type="submit">${effects === null ? 'Check with the last sends' : 'Save'}</button><button type="button" onClick=${close}>Cancel</button></div></form>`;
}

/**
 * The schemas of the API reference: a field list that unfolds, and an example.
 */
import { html, useState } from './html.js';
import { count } from './format.js';
import { prose } from './parts.js';

/** An example stops at this depth: schemas may contain themselves. */
const MAX_DEPTH = 4;

const nameOf = (reference) => reference.split('/').at(-1);

/** The schemas of a document by name, and what is derived from them. */
export function reader(schemas) {
  const resolve = (schema) => (schema.$ref ? schemas[nameOf(schema.$ref)] : schema);
  const variants = (schema) => schema.anyOf ?? schema.oneOf ?? [schema];
  const isNull = (one) => one.type === 'null';

  function typeOf(schema) {
    if (schema.$ref) return nameOf(schema.$ref).replaceAll('_', ' ');
    if (schema.anyOf ?? schema.oneOf) return [...new Set(variants(schema).map(typeOf))].join(' or ');
    if ('const' in schema) return JSON.stringify(schema.const);
    if (schema.type === 'array') return schema.items ? `list of ${typeOf(schema.items)}` : 'list';
    if (schema.type === 'object' && typeof schema.additionalProperties === 'object' && !schema.properties) return `map of ${typeOf(schema.additionalProperties)}`;
    if (schema.format === 'date-time') return 'time';
    return [schema.type ?? (schema.enum ? typeof schema.enum[0] : 'any value')].flat().join(' or ');
  }

  /** Limits as words. Patterns are left out: they repeat what the names say. */
  function limitsOf(schema) {
    const found = [];
    for (const { minLength, maxLength, minimum, maximum, minItems, maxItems, maxProperties, ...one } of variants(schema)) {
      if (maxLength) found.push(`at most ${count(maxLength, 'character')}`);
      else if (minLength) found.push('not empty');
      if (minimum !== undefined && maximum !== undefined) found.push(`${minimum.toLocaleString('en')} to ${maximum.toLocaleString('en')}`);
      else if (minimum !== undefined) found.push(`at least ${minimum}`);
      else if (maximum !== undefined) found.push(`at most ${maximum}`);
      if (maxItems) found.push(minItems ? `${minItems} to ${count(maxItems, 'item')}` : `at most ${count(maxItems, 'item')}`);
      if (maxProperties) found.push(`at most ${count(maxProperties, 'entry', 'entries')}`);
      if (one.default !== undefined) found.push(`default ${JSON.stringify(one.default)}`);
    }
    return [...new Set(found)].join(', ');
  }

  const valuesOf = (schema) => variants(schema).flatMap((one) => one.enum ?? []);

  /** The objects within a schema, with a name for each. */
  function objectsOf(schema) {
    const found = new Map();
    for (const one of variants(schema)) {
      const inner = resolve(one);
      if (inner.properties) found.set(one.$ref ? nameOf(one.$ref) : inner.title ?? 'object', inner);
      else if (inner !== one && (inner.anyOf ?? inner.oneOf)) for (const [name, of] of objectsOf(inner)) found.set(name, of);
      else if (inner.items) for (const [name, of] of objectsOf(inner.items)) found.set(name, of);
      else if (typeof inner.additionalProperties === 'object') for (const [name, of] of objectsOf(inner.additionalProperties)) found.set(name, of);
    }
    return found;
  }

  /** A value with the required fields; if it is filled, with an item in each list, and a field of objects without required ones. */
  function example(schema, { isFilled = false, depth = 0 } = {}) {
    const inner = { isFilled, depth: depth + 1 };
    const one = resolve(variants(schema).find((each) => !isNull(each)) ?? schema);
    if (one.anyOf ?? one.oneOf) return example(one, { isFilled, depth });
    if (one.default !== undefined) return one.default;
    if ('const' in one) return one.const;
    if (one.enum) return one.enum[0];
    if (one.type === 'array') return (isFilled || one.minItems) && depth < MAX_DEPTH ? [example(one.items ?? {}, inner)] : [];
    if (one.type === 'object') {
      const names = one.required?.length || !isFilled ? one.required ?? [] : Object.keys(one.properties ?? {}).slice(0, 1);
      return depth < MAX_DEPTH ? Object.fromEntries(names.map((name) => [name, example(one.properties?.[name] ?? {}, inner)])) : {};
    }
    if (one.format === 'date-time') return '2030-01-01T12:00:00Z';
    return { string: 'text', integer: one.minimum ?? 0, number: one.minimum ?? 0, boolean: false }[one.type] ?? null;
  }

  return { typeOf, limitsOf, valuesOf, objectsOf, example };
}

/** A parameter or a field: its name, type, meaning and limits. */
export function FieldRow({ name, schema, isRequired, text = schema.description, read }) {
  const limits = read.limitsOf(schema), values = read.valuesOf(schema);
  return html`<li><p class="field-name"><code>${name}</code> <span class="muted">${read.typeOf(schema)}</span>${isRequired && html` <span class="required">required</span>`}${limits && html` <span class="muted limits">${limits}</span>`}</p>
    ${text && html`<p>${prose(text)}</p>`}${values.length > 0 && html`<p class="values">${values.map((one) => html`<code key=${one}>${String(one)}</code>`)}</p>`}
    <${Objects} of=${schema} read=${read} /></li>`;
}

const Objects = ({ of, read }) => [...read.objectsOf(of)].map(([name, schema]) => html`<${Unfolded} key=${name} name=${name} schema=${schema} read=${read} />`);

/** The fields of an object, drawn when they are unfolded: schemas may contain themselves. */
function Unfolded({ name, schema, read }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>Fields of ${name.replaceAll('_', ' ')}</summary>${isOpen && html`<${Fields} of=${schema} read=${read} />`}</details>`;
}

/** The fields of one object; those of all variants where a value has several. */
export function Fields({ of, read }) {
  const objects = of.properties ? [['', of]] : [...read.objectsOf(of)];
  if (objects.length === 0) return html`<p class="muted">${read.typeOf(of)}${read.limitsOf(of) && `, ${read.limitsOf(of)}`}</p>`;
  if (objects.length > 1) return html`<p class="muted">${read.typeOf(of)}</p><${Objects} of=${of} read=${read} />`;
  const [[, { properties, required = [] }]] = objects;
  const isFirst = ([name]) => !required.includes(name);
  return html`<ul class="schema">${Object.entries(properties).sort((one, other) => isFirst(one) - isFirst(other)).map(([name, schema]) => html`<${FieldRow} key=${name} name=${name} schema=${schema} isRequired=${required.includes(name)} read=${read} />`)}</ul>`;
}

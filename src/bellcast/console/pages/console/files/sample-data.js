/**
 * The variables of a template: an object with an example of each, for previews, and their names.
 */

/** A variable with its filters, such as `data.when | date`. */
const VARIABLE = /\b(data|item)\.(\w+(?:\.\w+)*)((?:\s*\|\s*\w+(?:\([^()]*\))?)*)/g;
/** Filters that reject a text such as `when`, and names that usually contain times: `when`, `starts_at`, `bookingDate`. */
const TIME_FILTER = /\|\s*(?:date|time|datetime)\b/;
const NUMBER_FILTER = /\|\s*(?:number|money|round|abs)\b/;
const TIME_NAME = /(?:^|_)(?:at|date|time|datetime|when|until|deadline)$|[a-z](?:At|Date|Time)$/;
const NUMBER_NAME = /(?:^|_)(?:id|count|total|price|amount|number|quantity)$/;
const SAMPLE_NUMBER = 1234.5;
const DAY_MS = 86_400_000;
/** Variables of every send. */
const COMMON = { 'recipient.name': 'Ann', 'recipient.key': 'ann', 'actor.name': 'Ben', 'tenant.name': 'Acme', preferences_url: 'https://…', unsubscribe_url: 'https://…' };

/** Tomorrow at 14:00 UTC, as RFC 3339 text. */
const sampleTime = () => `${new Date(Date.now() + DAY_MS).toISOString().slice(0, 10)}T14:00:00Z`;

function exampleOf(name, filters) {
  if (TIME_FILTER.test(filters) || TIME_NAME.test(name)) return sampleTime();
  if (NUMBER_FILTER.test(filters)) return SAMPLE_NUMBER;
  return NUMBER_NAME.test(name) ? 7 : name;
}

/** All texts in a JSON value. */
function textsOf(value) {
  if (typeof value === 'string') return [value];
  return Object.values(value ?? {}).flatMap(textsOf);
}

/** The list blocks in a JSON value. */
function listsOf(value) {
  if (typeof value !== 'object' || value === null) return [];
  return [...(value.type === 'list' && typeof value.each === 'string' ? [value] : []), ...Object.values(value).flatMap(listsOf)];
}

/** The conditions in a JSON value that compare a variable with one value. */
function comparisonsOf(value) {
  if (typeof value !== 'object' || value === null) return [];
  return [...(typeof value.var === 'string' && ['boolean', 'number', 'string'].includes(typeof value.value) ? [value] : []), ...Object.values(value).flatMap(comparisonsOf)];
}

/** Write an example at a path, unless there is one. Objects have no prototype: `data.__proto__.name` would change it. */
function put(object, path, example) {
  const names = path.split('.');
  const last = names.pop();
  const owner = names.reduce((one, name) => (one[name] = typeof one[name] === 'object' ? one[name] : Object.create(null)), object);
  owner[last] ??= example;
}

function examples(texts, root) {
  const found = new Map();
  for (const [, base, path, filters] of texts.join('\n').matchAll(VARIABLE)) {
    if (base === root && (/\|/.test(filters) || !found.has(path))) found.set(path, exampleOf(path.split('.').pop(), filters));
  }
  return found;
}

/** Data for the variables that the texts and conditions of a template or workflow use, with the examples of its users' schemas; lists have two items. */
export function sampleOf(template, declared = []) {
  const data = Object.create(null);
  for (const list of listsOf(template)) {
    const item = Object.create(null);
    for (const [path, example] of examples(textsOf(list.blocks), 'item')) put(item, path, example);
    if (list.each.startsWith('data.')) put(data, list.each.slice('data.'.length), [item, { ...item }]);
  }
  for (const { path, type, example, from } of declared) {
    if (/^data\.[^[]+$/.test(path) && !['template', 'send'].includes(from) && !['list', 'object'].includes(type)) put(data, path.slice('data.'.length), example);
  }
  for (const { var: name, value } of comparisonsOf(template)) if (name.startsWith('data.')) put(data, name.slice('data.'.length), value);
  for (const [path, example] of examples(textsOf(template), 'data')) put(data, path, example);
  return data;
}

/** Data for the schema of a workflow, and for the variables of its texts and of the templates that it uses. */
export function dataOf(values, templates = []) {
  const own = values.data?.properties ? ofSchema(values.data) : {};
  return { ...sampleOf({ steps: values.steps, templates }), ...own };
}

function ofSchema({ type, enum: options, const: fixed, default: usual, examples, properties, items, format, minimum }) {
  const given = examples?.[0] ?? usual ?? fixed ?? options?.[0];
  if (given !== undefined) return given;
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object': return Object.fromEntries(Object.entries(properties ?? {}).map(([name, one]) => [name, ofSchema(one)]));
    case 'array': return items ? [ofSchema(items)] : [];
    case 'integer': case 'number': return minimum ?? 7;
    case 'boolean': return true;
    case 'null': return null;
    default: return format === 'date-time' ? new Date().toISOString() : properties ? ofSchema({ type: 'object', properties }) : 'text';
  }
}

/** The variables that can be inserted, each with an example: those of the data, and those of every send. */
export function variablesOf(template, text) {
  let data = {};
  try {
    data = JSON.parse(text);
  } catch {
    // The preview says that the data is no JSON.
  }
  const own = Object.entries(data).map(([name, value]) => ({ path: `data.${name}`, example: typeof value === 'object' ? '' : String(value) }));
  const items = listsOf(template).length > 0 ? [{ path: 'item.name', example: 'in a list' }] : [];
  return [...own, ...items, ...Object.entries(COMMON).map(([path, example]) => ({ path, example }))];
}

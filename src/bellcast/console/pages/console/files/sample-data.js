/**
 * The variables of a template: an object with an example of each, for previews, and their names.
 */

/** A variable with its filters, such as `data.when | date`. */
const VARIABLE = /\b(data|item)\.(\w+(?:\.\w+)*)((?:\s*\|\s*\w+(?:\([^()]*\))?)*)/g;
const TIME_FILTER = /\|\s*(?:date|time|datetime)\b/;
const MONEY_FILTER = /\|\s*money\b/;
const NUMBER_FILTER = /\|\s*(?:number|round|abs)\b/;
/** Names that usually contain times: `starts_at`, `bookingDate`, `when`. */
const TIME_NAME = /(?:^|_)(?:at|datetime|when|until|deadline)$|_(?:date|time)$|[a-z](?:At|Date|Time)$/;
const DAY_MS = 86_400_000;
/** Variables of every send. */
const COMMON = { 'recipient.name': 'Ann', 'recipient.key': 'ann', 'actor.name': 'Ben', 'tenant.name': 'name of the brand', preferences_url: 'https://…', unsubscribe_url: 'https://…' };

/** Tomorrow at 14:00 UTC, as RFC 3339 text. */
const sampleTime = () => `${new Date(Date.now() + DAY_MS).toISOString().slice(0, 10)}T14:00:00Z`;

/** What a field with such a name has, the first that fits. */
const BY_NAME = [
  [/e?mail(?:_?address)?$/i, 'ann@example.com'], [/phone|mobile|whatsapp/i, '+1 555 0100'], [/url$|link$|href$/i, 'https://example.com/'],
  [/(?:^|_)date$|(?:^|_)day$/, () => sampleTime().slice(0, 10)], [/(?:^|_)time$/, '14:00'],
  [/total$|price$|amount$|sum$|cost$|fee$/i, 49], [/count$|quantity$|seats$|guests$|people$/i, 2], [/currency$/i, 'EUR'],
  [/(?:^|_)(?:id|no)$|number$|code$|reference$|invoice$|[a-z]Id$/i, 4711],
  [/product|item|article|plan$/i, 'Desk lamp'], [/company|organi[sz]ation|studio|shop|store|brand/i, 'Harbour Studio'],
  [/place$|city$|town$|location$|venue$/i, 'Vienna'], [/address$|street$/i, '1 Main Street'], [/country$/i, 'Austria'],
  [/occasion$|reason$|subject$|title$|topic$|event$/i, 'A wedding'], [/message$|comment$|note$|text$|description$|body$/i, 'See you there.'], [/status$|state$/i, 'confirmed'], [/locale$|language$/i, 'en'],
  [/host|celebrity|artist|provider|owner|author|agent|actor|sender|seller|doctor|teacher/i, 'Ben Ortiz'],
  [/name$|client|customer|guest|user|person|contact|recipient|member|buyer|patient|student|lead$/i, 'Ann Lind'],
];

/** A name in words: `bookingKind` as `Booking kind`. */
const inWords = (name) => {
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2').replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1).toLowerCase();
};

/** An invented value of a field, by the filters of its variable and its name. */
function exampleOf(name, filters = '') {
  if (TIME_FILTER.test(filters) || TIME_NAME.test(name)) return sampleTime();
  if (MONEY_FILTER.test(filters)) return 49;
  if (NUMBER_FILTER.test(filters)) return 1234.5;
  const value = BY_NAME.find(([names]) => names.test(name))?.[1] ?? inWords(name);
  return typeof value === 'function' ? value() : value;
}

/** What the server hides in the data of a send, alone or within a text. */
const MASKED = /[^\s@"'<>]?•••(?:@\S*•••(?:\.\w+)?|\d\d)?/g;

/** The data of a send, with an invented value of the same kind for each that the server has masked. */
export function unmasked(value, name = '') {
  if (Array.isArray(value)) return value.map((one) => unmasked(one, name));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unmasked(one, key)]));
  if (typeof value !== 'string' || !value.includes('•••')) return value;
  return value.replace(MASKED, (mask) => (mask.includes('@') ? 'ann@example.com' : mask === value ? String(exampleOf(name)) : /\d$/.test(mask) ? '555 0100' : 'example'));
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

/** Whether a comparison says which value its variable can have. */
const isComparable = ({ op, value }) => ['boolean', 'number', 'string'].includes(typeof value) || (op === 'in' && Array.isArray(value));

/** The conditions in a JSON value that compare a variable with a value, or with the values of a list. */
function comparisonsOf(value) {
  if (typeof value !== 'object' || value === null) return [];
  return [...(typeof value.var === 'string' && isComparable(value) ? [value] : []), ...Object.values(value).flatMap(comparisonsOf)];
}

/** A larger or smaller number, a later or earlier date; undefined for other values. */
function moved(value, by) {
  if (typeof value === 'number') return value + by;
  const day = /^\d{4}-\d\d-\d\d/.exec(value)?.[0], at = Date.parse(day);
  return Number.isNaN(at) ? undefined : value.replace(day, new Date(at + by * DAY_MS).toISOString().slice(0, 10));
}

/** A value for which a comparison is true, so that a test comes to what depends on it; undefined if none is known. */
function meeting({ op = 'eq', value }) {
  switch (op) {
    case 'gt': case 'gte': return moved(value, 1);
    case 'lt': return moved(value, -1);
    case 'in': return Array.isArray(value) ? value[0] : value;
    case 'ne': return typeof value === 'boolean' ? !value : typeof value === 'number' ? value + 1 : `not ${value}`;
    default: return value;
  }
}

/** The values by path that the comparisons in a JSON value need. The first comparison of a variable decides. */
const neededBy = (value) => new Map(comparisonsOf(value).filter((one) => one.var.startsWith('data.')).map((one) => [one.var.slice('data.'.length), meeting(one)]).filter(([, needed]) => needed !== undefined).reverse());

/** Write an example at a path, unless there is one. Objects have no prototype: `data.__proto__.name` would change it. */
function put(object, path, example) {
  const names = path.split('.');
  const last = names.pop();
  const owner = names.reduce((one, name) => (one[name] = typeof one[name] === 'object' ? one[name] : Object.create(null)), object);
  owner[last] ??= example;
}

/** The lists that texts repeat, each with two items that have the fields which the texts use. */
function repeatedIn(texts) {
  const all = texts.join('\n');
  return [...all.matchAll(/\{%-?\s*for\s+(\w+)\s+in\s+data\.(\w+(?:\.\w+)*)/g)].map(([, name, path]) => {
    const fields = [...all.matchAll(new RegExp(`\\b${name}\\.(\\w+)((?:\\s*\\|\\s*\\w+)*)`, 'g'))].map(([, field, filters]) => [field, exampleOf(field, filters)]);
    const item = fields.length > 0 ? Object.fromEntries(fields) : exampleOf(path.split('.').at(-1).replace(/s$/, ''));
    return [path, [item, item]];
  });
}

function examples(texts, root) {
  const found = new Map();
  for (const [, base, path, filters] of texts.join('\n').matchAll(VARIABLE)) {
    if (base === root && (/\|/.test(filters) || !found.has(path))) found.set(path, exampleOf(`${root}.${path}` === 'item.name' ? 'item' : path.split('.').pop(), filters));
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
  const own = examples(textsOf(template), 'data');
  for (const [path, items] of repeatedIn(textsOf(template))) put(data, path, items);
  for (const { path, type, example, from } of declared) {
    if (/^data\.[^[]+$/.test(path) && !['template', 'send'].includes(from) && !['list', 'object'].includes(type)) put(data, path.slice('data.'.length), declaredExample(path.slice('data.'.length), type, example, own));
  }
  for (const [path, value] of neededBy(template)) put(data, path, value);
  for (const [path, example] of own) put(data, path, example);
  return data;
}

/** The examples that the server has for types: a value by the name says more. */
const PLAIN_EXAMPLES = { time: '2030-06-10T14:00:00Z', number: 7 };

/** The example of a declared variable, or an invented one if the schema has none. */
function declaredExample(path, type, example, own) {
  const name = path.split('.').pop();
  if (example !== name && example !== PLAIN_EXAMPLES[type]) return example;
  if (type === 'time') return sampleTime();
  const invented = own.get(path) ?? exampleOf(name);
  if (type === 'number') return typeof invented === 'number' ? invented : example;
  return type === undefined || type === 'string' ? String(invented) : example;
}

/** Data for the schema of a workflow, and for the variables of its texts and of the templates that it uses. */
export function dataOf(values, templates = []) {
  const own = values.data?.properties ? ofSchema(values.data, neededBy(values.steps)) : {};
  return { ...sampleOf({ steps: values.steps, templates }), ...own };
}

/** Data of a schema; `needed` are values by path, which a schema without examples takes. */
function ofSchema({ type, enum: options, const: fixed, default: usual, examples, properties, items, format, minimum }, needed, path = '') {
  const name = path.split('.').at(-1);
  const given = examples?.[0] ?? usual ?? fixed ?? needed.get(path) ?? options?.[0];
  if (given !== undefined) return given;
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object': return Object.fromEntries(Object.entries(properties ?? {}).map(([name, one]) => [name, ofSchema(one, needed, path ? `${path}.${name}` : name)]));
    case 'array': return items ? [ofSchema(items, new Map(), name)] : [];
    case 'integer': case 'number': return minimum ?? (typeof exampleOf(name) === 'number' ? exampleOf(name) : 7);
    case 'boolean': return true;
    case 'null': return null;
    default: return format === 'date-time' ? sampleTime() : properties ? ofSchema({ type: 'object', properties }, needed, path) : String(exampleOf(name || 'text'));
  }
}

/** The paths of an object's values; those of the first element of a list are the variables `item`. */
function pathsOf(value, base) {
  return Object.entries(value).flatMap(([name, one]) => (typeof one === 'object' && one !== null && !Array.isArray(one) ? pathsOf(one, `${base}.${name}`) : [{ path: `${base}.${name}`, example: Array.isArray(one) ? `${one.length} items` : String(one) }]));
}

/** The variables that can be inserted, each with its value in the data of the preview: those of the data, and those of every send. */
export function variablesOf(template, text) {
  let data = {};
  try {
    data = JSON.parse(text) ?? {};
  } catch {
    // The preview says that the data is no JSON.
  }
  const items = listsOf(template).flatMap(({ each }) => {
    const found = each.split('.').slice(1).reduce((one, name) => one?.[name], data);
    return Array.isArray(found) && typeof found[0] === 'object' ? pathsOf(found[0] ?? {}, 'item') : [];
  });
  const paths = new Map([...pathsOf(data, 'data'), ...items, ...Object.entries(COMMON).map(([path, example]) => ({ path, example }))].map((one) => [one.path, one]));
  return [...paths.values()];
}

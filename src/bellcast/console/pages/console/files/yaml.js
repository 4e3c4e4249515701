/**
 * Writes JSON values as YAML, as `PUT` and `bellcast workflow put` read it.
 */

/** Strings that need no quotes: words and durations. Strings that YAML would read as another type are quoted. */
const PLAIN = /^([A-Za-z][\w .,/@{}()-]*|\d+[smhd])$/;
const OTHER_TYPES = /^(true|false|yes|no|on|off|null|y|n)$/i;
/** Characters that YAML does not permit, or reads as a line break. */
const ESCAPED = /[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]/g;
/** Strings whose lines can be written unchanged: YAML detects the indentation in the first line, and trims no others. */
const BLOCK = /^[^\s\x00-\x1f][^\x00-\x08\x0b-\x1f]*$/;

/** Fields that occur only in responses. */
const ADDED = new Set(['key', 'tenant', 'version', 'in_code', 'draft', 'effects', 'findings', 'uses', 'created_at', 'updated_at', 'managed', 'next_at', 'last_at', 'last_error', 'last_error_at']);

/** An object without the fields that occur only in responses. */
export function valuesOf(one) {
  // A workflow is switched off by a request of its own; a schedule is paused by its field.
  const isAdded = (name) => ADDED.has(name) || (name === 'active' && one.version !== undefined);
  const values = Object.fromEntries(Object.entries(one).filter(([name, value]) => !isAdded(name) && value !== null));
  if (values.translations) values.translations = Object.fromEntries(Object.entries(values.translations).map(([tag, parts]) => [tag, withoutCompiled(parts)]));
  return withoutCompiled(values);
}

/** The parts of a template without the HTML that the server makes of blocks. */
function withoutCompiled(parts) {
  if (!parts.email?.compiled) return parts;
  const { compiled: _, ...email } = parts.email;
  return { ...parts, email };
}

/** An object as YAML. */
export const yamlOf = (one) => toYaml(valuesOf(one));

/** A JSON value as YAML. */
export function toYaml(value, indent = '') {
  if (Array.isArray(value)) return value.map((one) => (isNested(one) ? `${indent}- ${toYaml(one, `${indent}  `).trimStart()}` : `${indent}- ${scalar(one, `${indent}  `)}\n`)).join('');
  return Object.entries(value).map(([name, one]) => (isNested(one) ? `${indent}${scalar(name)}:\n${toYaml(one, `${indent}  `)}` : `${indent}${scalar(name)}: ${scalar(one, `${indent}  `)}\n`)).join('');
}

const isNested = (value) => value !== null && typeof value === 'object' && Object.keys(value).length > 0;

/** A value without parts. With an indentation, a multi-line string is written as a block. */
function scalar(value, indent) {
  if (typeof value === 'number') return JSON.stringify(value).replace(/^(-?\d+)e/, '$1.0e'); // YAML 1.1 reads 1e+21 as a string
  if (typeof value !== 'string') return JSON.stringify(value);
  if (PLAIN.test(value) && !OTHER_TYPES.test(value) && !/[ .]$|: | #/.test(value)) return value;
  if (indent && value.includes('\n') && BLOCK.test(value) && value.search(ESCAPED) < 0) return block(value, indent);
  return JSON.stringify(value).replace(ESCAPED, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * A block scalar. Its chomping indicator is `-` if the string has no final line break, none if it has one, and `+` if it
 * has several.
 */
function block(text, indent) {
  const end = !text.endsWith('\n') ? '-' : text.endsWith('\n\n') ? '+' : '';
  const lines = text.replace(/\n$/, '').split('\n').map((line) => (line ? indent + line : ''));
  return `|${end}\n${lines.join('\n')}`;
}

/**
 * Writes a workflow as YAML, as `bellcast workflow apply` reads it, and compares two texts by lines.
 */

/** Texts that need no quotes. Those that YAML reads as another type have them. */
const PLAIN = /^[A-Za-z][\w .,/@{}()-]*$/;
const OTHER_TYPES = /^(true|false|yes|no|on|off|null|y|n)$/i;

/** A JSON value as YAML, without null fields. */
export function toYaml(value, indent = '') {
  if (Array.isArray(value)) return value.map((one) => `${indent}- ${toYaml(one, `${indent}  `).trimStart()}`).join('');
  if (value !== null && typeof value === 'object') {
    return Object.entries(value).filter(([, one]) => one !== null && one !== undefined).map(([name, one]) => {
      const isNested = one !== null && typeof one === 'object' && Object.keys(one).length > 0;
      return `${indent}${scalar(name)}:${isNested ? `\n${toYaml(one, `${indent}  `)}` : ` ${scalar(one)}\n`}`;
    }).join('');
  }
  return `${indent}${scalar(value)}\n`;
}

function scalar(value) {
  if (typeof value !== 'string') return JSON.stringify(value);
  return PLAIN.test(value) && !OTHER_TYPES.test(value) && !/[ .]$|: | #/.test(value) ? value : JSON.stringify(value);
}

/** The lines of two texts as [sign, line]: removed, added or in both (the longest common subsequence). */
export function difference(before, after) {
  const [a, b] = [before, after].map((text) => text.trimEnd().split('\n'));
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push([' ', a[i++], j++]);
    else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) lines.push(['-', a[i++]]);
    else lines.push(['+', b[j++]]);
  }
  return lines.map(([sign, line]) => [sign, line]);
}

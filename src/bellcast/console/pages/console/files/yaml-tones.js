/**
 * The tones of YAML: strings, numbers and words such as true, variables in texts, and comments.
 */

/** A line: its indentation and dashes, its key, and its value. */
const KEY = /^(\s*(?:- +)*)((?:"[^"]*"|'[^']*'|[^\s#"'{[-][^:]*?|-[^\s:][^:]*?):(?=\s|$))?(\s*)(.*)$/s;
const BLOCK = /^[|>][+-]?\d?$/;
const WORD = /^(-?\d[\d.eE+-]*|true|false|null|~)$/;

/** A string, with its variables in a tone of their own. */
const toned = (text) => text.split(/(\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\})/).map((part, index) => [index % 2 ? 'variable' : 'string', part]);

/** The lines of YAML, each as parts `[tone, text]`; keys and punctuation have no tone. */
export function tonesOf(text) {
  let block = -1;
  return text.split('\n').map((line) => {
    const indent = line.search(/\S/);
    if (block >= 0 && (indent < 0 || indent > block)) return toned(line);
    block = -1;
    const [, marker, key = '', space, value] = KEY.exec(line);
    if (BLOCK.test(value)) block = key ? marker.length : indent;
    if (value.startsWith('#')) return [['', marker + key + space], ['comment', value]];
    return [['', marker + key + space], ...(WORD.test(value) ? [['literal', value]] : BLOCK.test(value) ? [['', value]] : toned(value))];
  });
}

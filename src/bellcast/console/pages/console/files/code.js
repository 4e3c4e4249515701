/**
 * Code with colours.
 */
import { Copy } from './clipboard.js';
import { html } from './html.js';
import { loadStyle } from './load.js';

await loadStyle('code.css');

const TOKENS = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\])*')(\s*:)?|\b(true|false|null|None|True|False|import|const|await|echo|print)\b|(?<![\w.-]|\d:)(-?\d+(?:\.\d+)?)(?![\w.])/g;
/** Longer texts stay without colours: each coloured word is an element. */
const MAX_COLOURED = 40_000;

/** Code with a button that copies it. */
export const Sample = ({ label, text, what = 'the code' }) => html`<div class="snippet"><${Code} label=${label} text=${text} /><${Copy} what=${what} text=${text} /></div>`;

/** Code that scrolls within itself, with strings, names, words and numbers in colours. */
export function Code({ label, text }) {
  const parts = [];
  let end = 0;
  if (text.length <= MAX_COLOURED) {
    for (const match of text.matchAll(TOKENS)) {
      const [whole, string, colon, word, number] = match;
      parts.push(text.slice(end, match.index), html`<span class=${colon ? 'token-name' : string ? 'token-string' : word ? 'token-word' : number && 'token-number'}>${whole}</span>`);
      end = match.index + whole.length;
    }
  }
  return html`<pre tabIndex="0" role="region" aria-label=${label}><code>${parts}${text.slice(end)}</code></pre>`;
}

/** An object as JSON with colours, with a button that copies it. */
export const CodeOf = ({ of, what }) => html`<${Sample} label=${what.replace('the ', '').replace(/^./, (letter) => letter.toUpperCase())} what=${what} text=${JSON.stringify(of ?? null, null, 2)} />`;

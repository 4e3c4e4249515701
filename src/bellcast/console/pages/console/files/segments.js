/**
 * A choice of one of few options, which stand side by side.
 */
import { html } from './html.js';

/** @param {{label: string, options: (string | [value: any, word: any, title?: string])[], value: any, choose: (value: any) => void}} of an option without a word is its own */
export const Segments = ({ label, options, value, choose }) => html`<div class="segments" role="group" aria-label=${label}>${options.map((option) => {
  const [one, word = one, title] = [option].flat();
  return html`<button key=${one} type="button" aria-pressed=${String(one === value)} title=${title} onClick=${() => one !== value && choose(one)}>${word}</button>`;
})}</div>`;

/**
 * The first fields of a new object: its name, and its key, which is derived from the name until it is written.
 */
import { Field } from './form.js';
import { html, useState } from './html.js';
import { loadStyle } from './load.js';

await loadStyle('key-fields.css');

const MAX_KEY = 100;
/** What is said of a key with other characters. */
export const KEY_RULE = 'Letters, digits, and _ . - without spaces.';

/** A name as a key: `Zoë’s bookings` is `zoes-bookings`. */
export const keyFrom = (name) => name.normalize('NFKD').replace(/[\u0300-\u036f’']/g, '').toLowerCase().replace(/[^a-z0-9_.]+/g, '-').replace(/^-+|-+$/g, '').slice(0, MAX_KEY);

/** What is wrong with a key that another object has, with a link to it. */
export const takenKey = (key, noun, href) => ({ field: 'key', message: `is used by another ${noun}.`, words: html`Key is used by another ${noun}. <a href=${href}>Open ${key}</a>` });

/** @param {{hint: any, name?: string, nameHint?: string, hasName?: boolean, onName?: (name: string) => void, children?: any, [attribute: string]: any}} of the rest are attributes of the key; `children` stand beside it */
export function KeyFields({ hint, name: given, nameHint, hasName = true, onName, children, ...more }) {
  const [entered, setName] = useState(''), name = given ?? entered;
  const [key, setKey] = useState(null);
  const enter = ({ currentTarget: { value } }) => {
    setName(value);
    onName?.(value);
  };
  return html`${hasName && html`<${Field} label="Name" name="name" autofocus maxlength="500" autocomplete="off" hint=${nameHint} value=${name} onInput=${enter} />`}
    <div class="field pair"><${Field} label="Key" name="key" autofocus=${!hasName} required maxlength=${MAX_KEY} autocomplete="off" autocapitalize="none" spellcheck=${false} value=${key ?? keyFrom(name)} onInput=${({ currentTarget: { value } }) => setKey(value)} hint=${hint} ...${more} />${children}</div>`;
}

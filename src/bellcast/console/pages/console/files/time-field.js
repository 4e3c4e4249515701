/**
 * A time of day as `HH:MM`: the native field shows AM and PM in some browsers, while all other times of the console have 24 hours.
 */
import { Field } from './form.js';
import { html, useEffect, useId, useState } from './html.js';

const HALF_HOURS = Array.from({ length: 48 }, (_, index) => `${String(Math.floor(index / 2)).padStart(2, '0')}:${index % 2 === 0 ? '00' : '30'}`);
const MESSAGE = 'Enter a time from 00:00 to 23:59, such as 09:30.';

/** A time that was typed in another way, such as `9`, `930` or `9.30`: number pads of phones have no colon. */
function completed(text) {
  const [, hour, minute = '00'] = /^(\d{1,2})(?:\D?(\d\d))?$/.exec(text.trim()) ?? [];
  return hour === undefined ? text : `${hour.padStart(2, '0')}:${minute}`;
}

const check = (input) => {
  input.setCustomValidity('');
  if (input.validity.patternMismatch) input.setCustomValidity(MESSAGE);
};
const complete = ({ currentTarget: input }) => {
  input.value = completed(input.value);
  check(input);
};
const ATTRIBUTES = { class: 'time', inputMode: 'numeric', pattern: '([01]\\d|2[0-3]):[0-5]\\d', maxLength: 5, placeholder: 'HH:MM', title: null, autoComplete: 'off', spellcheck: false, onInput: ({ currentTarget }) => check(currentTarget), onChange: complete };
const Suggestions = ({ id }) => html`<datalist id=${id}>${HALF_HOURS.map((one) => html`<option key=${one} value=${one} />`)}</datalist>`;

/** A field of a form. */
export function TimeField(attributes) {
  const id = useId();
  return html`<${Field} ...${ATTRIBUTES} list=${id} ...${attributes} /><${Suggestions} id=${id} />`;
}

/** An input without a label. `change` gets only whole times; what is typed stays meanwhile. */
export function TimeInput({ value, change, ...attributes }) {
  const id = useId();
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const enter = (input) => {
    check(input);
    setText(input.value);
    if (input.value && input.validity.valid) change(input.value);
  };
  return html`<input ...${ATTRIBUTES} list=${id} ...${attributes} value=${text} onInput=${({ currentTarget }) => enter(currentTarget)} onChange=${(event) => {
    complete(event);
    enter(event.currentTarget);
  }} /><${Suggestions} id=${id} />`;
}

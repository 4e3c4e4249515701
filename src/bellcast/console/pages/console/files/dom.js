/**
 * Builds elements. Texts become text nodes and attributes are set by name, so data never becomes markup.
 */
import { dayOf, dayTime, duration, fullTime, hourOf, relativeTime, secondOf } from './format.js';

export { dayOf as days, dayTime as exact, duration, hourOf as hours };

const LINKS = /^(https?:|mailto:|otpauth:|\/|#|\?)/i;

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners, `class`, and others by name; null and false set nothing
 * @param {...any} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'href' && !LINKS.test(value)) continue;
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** A time of day as an element. */
export const clockTime = (iso) => h('time', { datetime: iso, title: fullTime(iso) }, secondOf(iso));

/** An exact time with its zone; null without one. */
export const moment = (iso) => (iso ? h('time', { datetime: iso, title: iso }, fullTime(iso)) : null);

/** A time, relative if less than a day ago, with the exact time as its tooltip. */
export const time = (iso) => (iso ? h('time', { datetime: iso, title: fullTime(iso) }, relativeTime(iso)) : h('span', { class: 'muted' }, '–'));

/** How long a copy button shows its confirmation. */
const COPIED_MS = 2000;

const GOOD = new Set(['ok', 'connected', 'delivered', 'sent', 'simulated', 'completed', 'active', 'ready', 'accepted', 'done', 'send']);
const BAD = new Set(['failed', 'unreadable', 'bounced', 'permanent', 'suppressed', 'revoked', 'not ready', 'problem', 'error', 'expired', 'forbidden', 'unauthenticated', 'internal']);
const WARN = new Set(['warning', 'temporary', 'held', 'queued', 'sending', 'waiting', 'running', 'paused', 'throttled', 'cancelled', 'inactive', 'disabled', 'overridden', 'closed', 'muted', 'pending']);

/** A state as an icon and a word, so that it is not shown by colour alone. */
export function state(word) {
  const [kind, icon] = GOOD.has(word) ? ['ok', '✓'] : BAD.has(word) ? ['bad', '✕'] : WARN.has(word) ? ['warn', '•'] : ['info', '○'];
  return h('span', { class: `state ${kind}` }, h('span', { 'aria-hidden': 'true' }, `${icon} `), word);
}

/** A button that copies the text that `read` returns. */
export function copyButton(what, read) {
  const label = (word) => {
    button.textContent = word;
    button.setAttribute('aria-label', `${word} ${what}`);
  };
  const button = h('button', { class: 'copy', type: 'button', onclick: async (event) => {
    event.preventDefault();
    event.stopPropagation();
    await navigator.clipboard.writeText(read());
    label('Copied');
    setTimeout(() => label('Copy'), COPIED_MS);
  } });
  label('Copy');
  return button;
}

/** An id in monospace with a button that copies it. */
export function id(text) {
  if (!text) return h('span', { class: 'muted' }, '–');
  return h('span', { class: 'id' }, h('code', {}, text), copyButton(text, () => text));
}

/** A button that acts on the second click, if it keeps the focus. */
export function confirmed(label, word, act) {
  const error = h('span', { class: 'error', role: 'alert' });
  let isActing = false;
  const reset = () => {
    delete button.dataset.sure;
    button.removeAttribute('aria-description');
    button.textContent = word;
  };
  const button = h('button', { type: 'button', class: 'danger', 'aria-label': label, onblur: reset, onclick: async () => {
    if (isActing) return;
    error.remove();
    if (!button.dataset.sure) {
      button.dataset.sure = 'yes';
      button.setAttribute('aria-description', 'Press again to confirm.');
      button.textContent = `${word}: sure?`;
      return;
    }
    isActing = true;
    try {
      await act();
    } catch (problem) {
      error.textContent = problem.message;
      button.after(error);
    }
    isActing = false;
    reset();
  } }, word);
  return button;
}

/** A labelled input. */
export function field(label, attributes, hint) {
  const id = `field-${attributes.name}`, described = { id, 'aria-describedby': hint && `${id}-hint` };
  const input = attributes.options
    ? h('select', { name: attributes.name, ...described },
      attributes.options.map((one) => h('option', { value: one, selected: one === attributes.selected }, one || 'any')))
    : h('input', { ...attributes, ...described });
  return h('div', { class: 'field' }, h('label', { for: id }, label), input, hint && h('small', { class: 'muted', id: `${id}-hint` }, hint));
}

/** A text in which parts between backticks are code. */
export const prose = (text) => text.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));

/** A number in a table, with a noun that phones show instead of the column heading. */
export const quantity = (value, noun) => h('span', {}, value, h('span', { class: 'noun' }, ` ${noun}`));

/** A labelled multi-line text. */
export function area(label, attributes, hint) {
  const text = h('textarea', { spellcheck: 'false', ...attributes, id: `field-${attributes.name}` });
  return h('div', { class: 'field' }, h('label', { for: text.id }, label), text, hint && h('small', { class: 'muted' }, hint));
}

/** Check boxes with the same name; `hints` describe the options. */
export function choices(label, name, options, selected, hints) {
  return h('fieldset', { class: 'choices' }, h('legend', {}, label),
    options.map((one) => h('label', {}, h('input', { type: 'checkbox', name, value: one, checked: selected.includes(one) }), one, ' ', h('small', {}, hints[one]))));
}

/** A form that sends its fields, shows errors next to the button, and prevents a second click. */
export function form(fields, button, send) {
  const error = h('p', { class: 'error', role: 'alert' });
  const submit = h('button', { class: 'primary', type: 'submit' }, button);
  return h('form', { onsubmit: async (event) => {
    event.preventDefault();
    const hadFocus = document.activeElement === submit;
    submit.disabled = true;
    error.textContent = '';
    try {
      await send(Object.fromEntries(new FormData(event.target)), event.target);
    } catch (problem) {
      // Errors that the operator can correct need no search in the logs.
      fill(error, problem.message, problem.requestId && problem.status >= 500 && [' Request ', h('code', {}, problem.requestId)]);
    } finally {
      submit.disabled = false;
      // Disabling a button removes the focus.
      if (hadFocus && document.activeElement === document.body) submit.focus();
    }
  } }, fields, error, submit);
}

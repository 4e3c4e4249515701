/**
 * Forms and their fields, with what is wrong in them.
 */
import { createContext, html, useContext, useId, useLayoutEffect, useRef, useState } from './html.js';
import { refresh } from './load.js';
import { withSettings } from './parts.js';

/** What is wrong in the fields of a form, by their names. */
export const Wrong = createContext({});

/** A function of the form that removes what is wrong in fields, by their names. */
export const Cleared = createContext(() => {});

/** A labelled input, select (`options`, with `words` for some of them) or text area (`isLong`). A `warning` does not stop the form. An error keeps the height of the hint, so that nothing moves under the pointer. */
export function Field({ label, hint, warning, options, words = {}, isLong, ...attributes }) {
  const id = useId(), error = useContext(Wrong)[attributes.name];
  const described = { id, 'aria-describedby': error || hint || warning ? `${id}-hint` : null, 'aria-invalid': error ? 'true' : null, title: attributes.pattern && hint, ...attributes };
  const input = options
    ? html`<select ...${described}>${options.map((one) => html`<option key=${one} value=${one} selected=${one === attributes.defaultValue}>${words[one] ?? (one || 'any')}</option>`)}</select>`
    : isLong ? html`<textarea spellcheck=${false} ...${described} />` : html`<input ...${described} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${input}${error ? html`<small class="error" id=${`${id}-hint`} role="alert" data-help=${hint?.trim?.()}><span>${error.split ? withSettings(error) : error}</span></small>` : hint && !warning && html`<small class="muted" id=${`${id}-hint`}>${hint}</small>`}${!error && warning !== undefined && html`<small class="warn" id=${warning && `${id}-hint`} role="status">${warning}</small>`}</div>`;
}

/** Check boxes with the same name; `hints` describe the options. */
export const Choices = ({ label, name, options, selected = [], hints = {}, isDisabled = false, children }) => html`<fieldset class="choices"><legend>${label}</legend>${children}
  ${options.map((one) => html`<label key=${one}><input type="checkbox" name=${name} value=${one} defaultChecked=${selected.includes(one)} disabled=${isDisabled} /><span>${one} <small>${hints[one]}</small></span></label>`)}</fieldset>`;

/** The label of an input of `Field`, which shows what is wrong with it; undefined for others. */
const labelOf = (input) => (input?.labels?.[0]?.parentElement.matches('.field') ? input.labels[0].textContent : undefined);

/** Move the focus to an input, which may be folded. */
function reveal(input) {
  input?.closest?.('details')?.setAttribute('open', '');
  input?.focus?.();
}

/** The errors of a problem with the labels of the form's fields instead of their names in the API: those of fields, and the message of the rest. */
function inWordsOf(form, { errors = [], message }) {
  const wrong = {}, rest = [];
  for (const one of errors) {
    const input = form.elements.namedItem(one.field), label = labelOf(input);
    if (label) wrong[one.field] = one.words ?? `${label} ${one.message}`;
    else rest.push(`${input?.labels?.[0]?.textContent ?? one.field} ${one.message}`);
  }
  reveal(form.elements.namedItem(Object.keys(wrong)[0]));
  return { wrong, message: rest.join('; ') || (errors.length === 0 ? message : '') };
}

/** Why the browser refuses an input. Its own messages about a pattern and a length are vague. */
export const errorOf = ({ validity, title, minLength, validationMessage }) => (validity.valueMissing && 'This is required.') || (validity.patternMismatch && title) || (validity.tooShort && `At least ${minLength} characters.`) || validationMessage;

/** What a form would send, as a text that can be compared. */
const entriesOf = (form) => JSON.stringify([...new FormData(form)]);

/** What a form says when another operator has saved first. */
export const CONFLICT = 'Another operator has changed this in the meantime. What you entered is still here.';

/** The condition of a write: the object as it was read, or any, if the operator keeps what was entered. */
export const matching = (tag, isMine) => ({ 'if-match': isMine ? '*' : tag });

/** The button of a form that had the focus while the form of other values replaced it in the same drawing. */
let replaced = null;

/**
 * A form that sends its fields, shows errors next to the button, and prevents a second click, also that of a double click after the answer. `more` are further buttons. A form that `isGuarded`
 * is not left without a question while its entries are not saved: `send` resolves to false if it has only checked them. The button of an `isEdit` form
 * waits for a change, that of an `isWaiting` one for the page. If the object has changed since it was read, `send` is called again with `isMine`, or the form is reset and the page reads what is stored. */
export function Form({ button, busy = button, send, children, more, isInline = false, isSecondary = false, isDanger = false, isGuarded = false, isEdit = false, isWaiting = false, onReset, class: name, ...attributes }) {
  const [problem, setProblem] = useState(null);
  const [wrong, setWrong] = useState({});
  const [isSending, setSending] = useState(false);
  const [isChanged, setChanged] = useState(false);
  const submit = useRef(null), first = useRef(null);
  useLayoutEffect(() => {
    if (replaced === button) submit.current.focus({ preventScroll: true });
    return () => {
      if (document.activeElement !== submit.current) return;
      replaced = button;
      queueMicrotask(() => { replaced = null; });
    };
  }, []);
  const isUnchanged = isWaiting || (isEdit && !isChanged);
  const isConflict = problem?.status === 412 && problem.errors.length === 0;
  const send_ = async (event) => {
    event.preventDefault();
    if (isUnchanged) return;
    const form = event.currentTarget;
    const hadFocus = document.activeElement === submit.current;
    setSending(true);
    setProblem(null);
    setWrong({});
    try {
      const isSaved = await send(Object.fromEntries(new FormData(form)), form, isConflict);
      if (isSaved !== false) {
        form.removeAttribute('data-unsaved');
        setChanged(false);
      }
    } catch (failed) {
      const { message, wrong: found } = failed.status === 412 && failed.errors.length === 0 ? { message: CONFLICT, wrong: {} } : inWordsOf(form, failed);
      setWrong(found);
      setProblem({ ...failed, message });
    }
    setSending(false);
    // Disabling a button removes the focus.
    if (hadFocus) setTimeout(() => document.activeElement === document.body && submit.current?.focus());
  };
  // What the browser refuses is said below the field, as what the server refuses.
  const refuse = (event) => {
    const { target, currentTarget } = event;
    if (event.defaultPrevented) return;
    event.preventDefault();
    const isFirst = target === currentTarget.querySelector(':is(input, select, textarea):invalid');
    if (isFirst) reveal(target);
    if (!target.name || !labelOf(target)) return isFirst && setProblem({ message: `${target.ariaLabel ?? target.labels[0]?.textContent ?? ''}: ${errorOf(target)}` });
    setWrong((last) => ({ ...last, [target.name]: errorOf(target) }));
  };
  const clear = (names) => setWrong((last) => Object.fromEntries(Object.entries(last).filter(([name]) => !names.includes(name))));
  // After the field's own handler: a drawing before it would restore the value that the field had.
  const correct = ({ target: { name: field } }) => field in wrong && clear([field]);
  // A field that is left is examined, unless for a button, which would move away from the pointer.
  const leave = ({ target, relatedTarget }) => {
    if (target.name && labelOf(target) && target.value !== target.defaultValue && !target.validity.valid && !relatedTarget?.matches('button, a')) setWrong((last) => ({ ...last, [target.name]: errorOf(target) }));
  };
  // Parts of the form may arrive late: until the first change, its entries are read before each possible one.
  const look = ({ currentTarget }) => { if (isUnchanged) first.current = entriesOf(currentTarget); };
  // A field may change another one in the next drawing.
  const compare = ({ currentTarget }) => isEdit && queueMicrotask(() => setChanged(entriesOf(currentTarget) !== first.current));
  const last = html`<button class=${isSecondary ? null : isDanger ? 'primary danger' : 'primary'} type="submit" ref=${submit} disabled=${isSending} aria-disabled=${isUnchanged ? 'true' : null} onClick=${(event) => event.detail > 1 && event.preventDefault()}>${isConflict ? 'Keep mine' : isSending ? busy : button}</button>`;
  const others = isConflict ? html`<button type="button" onClick=${() => {
    setProblem(null);
    submit.current.form.reset();
    // The buttons change their places.
    setTimeout(() => {
      submit.current?.focus();
      refresh();
    });
  }}>Take theirs</button>` : more;
  return html`<form class=${isInline ? 'inline' : name} data-guarded=${isGuarded ? '' : null} onSubmit=${send_} onInvalidCapture=${refuse} onFocusOut=${leave} onFocusInCapture=${look} onPointerDownCapture=${look} onInput=${(event) => { correct(event); compare(event); }} onReset=${(event) => { setChanged(false); onReset?.(event); }} ...${attributes}><${Wrong.Provider} value=${wrong}><${Cleared.Provider} value=${clear}>${children}<//><//>
    <p class="error" role="alert">${problem?.message && [withSettings(problem.message), problem.requestId && problem.status >= 500 && html` Request <code>${problem.requestId}</code>`]}</p>
    ${others ? html`<div class="choice">${last}${others}</div>` : last}</form>`;
}

/**
 * Components of all pages: headings, states, times, types, people, buttons, fields and forms.
 */
import { Copy } from './clipboard.js';
import { createContext, html, useContext, useEffect, useId, useLayoutEffect, useRef, useState } from './html.js';
import { dayName, fullTime, hourOf, inShell, initials, relativeTime, toneOf } from './format.js';
import { Icon } from './icons.js';
import { Loaded, Skeleton, refresh } from './load.js';
import { shownTenant } from './router.js';
import { me } from './session.js';
import { Tenant } from './tenant-names.js';

export { Copy, Icon };

/** A text in which “e-mail” stays on one line; another value as it is. */
export const withWholeWords = (text) => (typeof text === 'string' && /e-mail/i.test(text) ? text.split(/(e-mails?)/i).map((part, index) => (index % 2 ? html`<span style=${{ whiteSpace: 'nowrap' }}>${part}</span>` : part)) : text);

/** The heading of a page, with its buttons. */
export const Heading = ({ before, title, note, children }) => html`<header class="heading"><div class="titles">${before}<h1 tabIndex="-1" dir="auto">${withWholeWords(title)}</h1>${note}</div><div class="tools">${children}</div></header>`;

/** The page of an object, by `children`, or that it is read, or why it cannot be. */
export function Opening({ page, of, children }) {
  const title = html`<${Heading} title=${of.problem?.status === 404 || /^[0-9a-f]{8}-/.test(page.key) ? page.title.replace(/s$/, '') : page.key} />`;
  return html`${of.value === undefined && of.problem && title}<${Loaded} of=${of} skeleton=${html`${!of.problem && title}<${Skeleton} />`}>${children}<//>`;
}

export const Card = ({ title, children }) => html`<section class="panel">${title && html`<h2>${title}</h2>`}${children}</section>`;

/** A definition list without empty values. A tenant is shown by its name. */
export const Facts = ({ of }) => html`<dl class="facts">${of.filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false)
  .map(([term, value]) => html`<div key=${term}><dt>${term}</dt><dd dir="auto">${term === 'Tenant' ? html`<${Tenant} of=${value} />` : value}</dd></div>`)}</dl>`;

export const Json = ({ of, what = 'the JSON' }) => html`<${Snippet} what=${what} of=${JSON.stringify(of, null, 2)} />`;

/** A time relative to now, with the exact time as its tooltip. Below the heading of its day (`isInDay`), another day is not repeated. */
export const Time = ({ at, isInDay = false }) => (at ? html`<time dateTime=${at} title=${fullTime(at)}>${isInDay && dayName(at) !== 'Today' ? hourOf(at) : relativeTime(at)}</time>` : html`<span class="muted">–</span>`);
/** An exact time with its zone. */
export const Moment = ({ at }) => at && html`<time dateTime=${at} title=${at}>${fullTime(at)}</time>`;

const KINDS = {
  ok: ['ok', 'connected', 'delivered', 'sent', 'completed', 'active', 'ready', 'accepted', 'done', 'send', 'read'],
  bad: ['failed', 'failing', 'unreadable', 'bounced', 'permanent', 'revoked', 'not ready', 'problem', 'error', 'forbidden', 'unauthenticated', 'internal', 'dead'],
  warn: ['warning', 'temporary', 'throttled', 'overridden'],
  wait: ['held', 'queued', 'sending', 'waiting', 'running', 'paused'],
  open: ['seen', 'pending'], unseen: ['unseen'],
};
const KIND_OF = Object.fromEntries(Object.entries(KINDS).flatMap(([kind, words]) => words.map((word) => [word, kind])));
/** How a state is shown: ok, wait, warn, bad or info. */
export const kindOf = (word) => KIND_OF[word] ?? 'info';

/** A state as an icon and a word, so that it is not shown by colour alone. */
export const State = ({ of, kind = kindOf(of) }) => html`<span class=${`state ${kind}`}><${Icon} name=${kind} /><span class="state-word">${of}</span></span>`;

/** A type of notification in its own colour. */
export const Type = ({ of }) => of && html`<span class=${`chip tone-${toneOf(of)}`}>${of}</span>`;
export const Tag = ({ children }) => html`<span class="tag">${children}</span>`;

/** The initials of a person or a tenant, in the colour of its key, or an icon. */
export const Avatar = ({ of, name = of, icon, tone = toneOf(of) }) => html`<span class=${`avatar tone-${tone}`} aria-hidden="true">${icon ? html`<${Icon} name=${icon} />` : initials(name)}</span>`;

/** An id in monospace with a button that copies it. */
export const Id = ({ of }) => (of ? html`<span class="id"><code>${of}</code><${Copy} what=${of} text=${of} /></span>` : html`<span class="muted">–</span>`);

/** A command with the server's data folder, if it needs one, in which it finds the address and the secret. */
export const inTerminal = (command) => (me.value?.data_folder && command.startsWith('bellcast ') ? `BELLCAST_DATA=${inShell(me.value.data_folder)} ${command}` : command);

/** What is missing, what it is for, and how to create one: a button, or by terminal, for the tenant that is shown. The first sentence of the text is its headline. */
export function Empty({ icon, text, command, children }) {
  const [headline, ...explanation] = text.split(/(?<=\.) /), tenant = shownTenant();
  const line = command && (tenant && command.startsWith('bellcast ') && !command.includes(' --tenant ') ? `${command} --tenant ${inShell(tenant)}` : command);
  return html`<div class="empty">
  ${icon && html`<span class=${`drawing ${icon}`}><${Icon} name=${icon} /></span>`}<p class="big"><b>${withWholeWords(headline.replace(/\.$/, ''))}</b></p>${explanation.length > 0 && html`<p class="muted">${withWholeWords(explanation.join(' '))}</p>`}${children}
  ${command && html`<div class="terminal">${command.startsWith('<') ? 'In your page' : children ? 'Or by terminal' : 'By terminal'}<${Snippet} of=${line} copied=${inTerminal(line)} /></div>`}
</div>`;
}
/** Names what a copied command has beside the one that is shown, such as the data folder. */
export const copiedWith = (copied, of) => (copied !== of ? `Copied with ${copied.split(' bellcast ')[0]}` : null);
/** A command or a line of code. */
export const Snippet = ({ of, copied = of, what = 'the example' }) => html`<div class="snippet"><pre tabIndex="0"><code>${of}</code></pre><${Copy} what=${what} text=${copied} title=${copiedWith(copied, of)} /></div>`;

/** A text in which a setting with its value can be copied. */
export const withSettings = (text) => text.split(/(BELLCAST_\w+=[^\s,;]+)/).map((part, index) => (index % 2 ? html`<${Id} of=${part} />` : part));

/** A text in which parts between backticks are code. */
export const prose = (text) => text.split('`').map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));

/** What is wrong in the fields of a form, by their names. */
export const Wrong = createContext({});

/** A labelled input, select (`options`, with `words` for some of them) or text area (`isLong`). A `warning` does not stop the form. */
export function Field({ label, hint, warning, options, words = {}, isLong, ...attributes }) {
  const id = useId(), error = useContext(Wrong)[attributes.name];
  const described = { id, 'aria-describedby': error || hint || warning ? `${id}-hint` : null, 'aria-invalid': error ? 'true' : null, title: attributes.pattern && hint, ...attributes };
  const input = options
    ? html`<select ...${described}>${options.map((one) => html`<option key=${one} value=${one} selected=${one === attributes.defaultValue}>${words[one] ?? (one || 'any')}</option>`)}</select>`
    : isLong ? html`<textarea spellcheck=${false} ...${described} />` : html`<input ...${described} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${input}${error ? html`<small class="error" id=${`${id}-hint`} role="alert">${error.split ? withSettings(error) : error}</small>` : hint && !warning && html`<small class="muted" id=${`${id}-hint`}>${hint}</small>`}${!error && warning !== undefined && html`<small class="warn" id=${warning && `${id}-hint`} role="status">${warning}</small>`}</div>`;
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
export const refusalOf = ({ validity, title, minLength, validationMessage }) => (validity.valueMissing && 'This is required.') || (validity.patternMismatch && title) || (validity.tooShort && `At least ${minLength} characters.`) || validationMessage;

/** What a form would send, as a text that can be compared. */
const entriesOf = (form) => JSON.stringify([...new FormData(form)]);

/** What a form says when another operator has saved first. */
export const CONFLICT = 'Another operator has changed this in the meantime. What you entered is still here.';

/** The condition of a write: the object as it was read, or any, if the operator keeps what was entered. */
export const matching = (tag, isMine) => ({ 'if-match': isMine ? '*' : tag });

/** The button of a form that had the focus while the form of other values replaced it in the same drawing. */
let replaced = null;

/**
 * A form that sends its fields, shows errors next to the button, and prevents a second click. `more` are further buttons. A form that `isGuarded`
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
    if (!target.name || !labelOf(target)) return isFirst && setProblem({ message: `${target.ariaLabel ?? target.labels[0]?.textContent ?? ''}: ${refusalOf(target)}` });
    setWrong((last) => ({ ...last, [target.name]: refusalOf(target) }));
  };
  // After the field's own handler: a drawing before it would restore the value that the field had.
  const correct = ({ target: { name: field } }) => field in wrong && setWrong(({ [field]: _, ...others }) => others);
  // A field that is left is examined, unless for a button, which would move away from the pointer.
  const leave = ({ target, relatedTarget }) => {
    if (target.name && labelOf(target) && target.value !== target.defaultValue && !target.validity.valid && !relatedTarget?.matches('button, a')) setWrong((last) => ({ ...last, [target.name]: refusalOf(target) }));
  };
  // Parts of the form may arrive late: until the first change, its entries are read before each possible one.
  const look = ({ currentTarget }) => { if (isUnchanged) first.current = entriesOf(currentTarget); };
  // A field may change another one in the next drawing.
  const compare = ({ currentTarget }) => isEdit && queueMicrotask(() => setChanged(entriesOf(currentTarget) !== first.current));
  const last = html`<button class=${isSecondary ? null : isDanger ? 'primary danger' : 'primary'} type="submit" ref=${submit} disabled=${isSending} aria-disabled=${isUnchanged ? 'true' : null}>${isConflict ? 'Keep mine' : isSending ? busy : button}</button>`;
  const others = isConflict ? html`<button type="button" onClick=${() => {
    setProblem(null);
    submit.current.form.reset();
    // The buttons change their places.
    setTimeout(() => {
      submit.current?.focus();
      refresh();
    });
  }}>Take theirs</button>` : more;
  return html`<form class=${isInline ? 'inline' : name} data-guarded=${isGuarded ? '' : null} onSubmit=${send_} onInvalidCapture=${refuse} onFocusOut=${leave} onFocusInCapture=${look} onPointerDownCapture=${look} onInput=${(event) => { correct(event); compare(event); }} onReset=${(event) => { setChanged(false); onReset?.(event); }} ...${attributes}><${Wrong.Provider} value=${wrong}>${children}<//>
    <p class="error" role="alert">${problem?.message && [withSettings(problem.message), problem.requestId && problem.status >= 500 && html` Request <code>${problem.requestId}</code>`]}</p>
    ${others ? html`<div class="choice">${last}${others}</div>` : last}</form>`;
}

/** Space between a button and what it opens, and between that and the edge of the window, in px. */
const GAP = 4, MARGIN = 8;

/**
 * A button that opens a panel above the page. Escape and a click elsewhere close it, and the focus returns. `children` gets a
 * function that closes it. `hasText`: the button needs no other name. */
export function Popup({ button, label, hasText = false, class: name = '', buttonClass, isStart = false, children, ...attributes }) {
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const opener = useRef(null);
  const panel = useRef(null);
  const place = ({ newState }) => {
    if (newState !== 'open') return;
    const { style } = panel.current, { top, left, right, bottom } = opener.current.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const isLow = bottom > clientHeight * 0.6;
    style.marginInline = '';
    style.maxHeight = `min(26rem, ${(isLow ? top : clientHeight - bottom) - GAP - MARGIN}px)`;
    Object.assign(style, isStart ? { left: `${left}px`, right: 'auto' } : { right: `${clientWidth - right}px`, left: 'auto' });
    Object.assign(style, isLow ? { top: 'auto', bottom: `${clientHeight - top + GAP}px` } : { top: `${bottom + GAP}px`, bottom: 'auto' });
  };
  // Beside a button at the edge of a small window, it stays within the window.
  useLayoutEffect(() => {
    const { left, right } = panel.current.getBoundingClientRect();
    if (isOpen && (left < MARGIN || right > innerWidth - MARGIN)) Object.assign(panel.current.style, { left: `${MARGIN}px`, right: `${MARGIN}px`, marginInline: left < MARGIN ? '0 auto' : 'auto 0' });
  }, [isOpen]);
  useEffect(() => { if (isOpen) (panel.current.querySelector('input, [aria-current]') ?? panel.current.querySelector('button:not(:disabled), a'))?.focus(); }, [isOpen]);
  // A press of Escape closes the panel only, not the object below it.
  const escape = (event) => {
    if (event.key !== 'Escape' || !isOpen) return;
    event.preventDefault();
    event.stopPropagation();
    panel.current.hidePopover();
    opener.current.focus();
  };
  const leave = ({ relatedTarget }) => relatedTarget && !panel.current?.contains(relatedTarget) && relatedTarget !== opener.current && panel.current?.hidePopover();
  return html`<span class="popup" onKeyDown=${escape}><button type="button" ref=${opener} class=${buttonClass} aria-label=${hasText ? null : label} aria-expanded=${String(isOpen)} popoverTarget=${id} ...${attributes}>${button}</button><div
    id=${id} ref=${panel} popover="auto" class=${`popup-panel ${name}`} role="group" aria-label=${label} onBeforeToggle=${place} onToggle=${({ newState }) => setOpen(newState === 'open')} onFocusOut=${leave}>
    ${isOpen && children(() => panel.current.hidePopover())}</div></span>`;
}

/** One of several values to choose from. */
export const Option = ({ isChosen, choose, icon, children }) => html`<button type="button" class="option" aria-current=${isChosen ? 'true' : null} onClick=${choose}>${icon && html`<${Icon} name=${icon} />`}<span>${children}</span>${isChosen && html`<${Icon} name="check" />`}</button>`;

/**
 * A field for recipients or tenants by their names: what is typed is searched, and only what exists is chosen.
 */
import { TYPING_MS } from './filters.js';
import { Wrong } from './form.js';
import { effect, html, useContext, useEffect, useId, useLayoutEffect, useRef, useState } from './html.js';
import { loadStyle, refreshes } from './load.js';
import { Avatar, Icon } from './parts.js';
import { nameOf, readNames } from './recipient-names.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';
import { readTenantNames, readTenants, tenantName } from './tenant-names.js';

await loadStyle('picker.css');

const MAX_SUGGESTED = 8;
/** Space between the field and its list, and between the list and the edge of the window, in px. */
const GAP = 4, MARGIN = 8;

/** The tenants that are found by their names: the operator's own, or the first by key. They are read once, and again after a change. */
let named = null;
effect(() => {
  refreshes.value;
  named = null;
});
const readNamed = (own) => (own ? readTenantNames(own).then(() => own) : readTenants(''));

/** The tenants that a text means: the one with this key first, then others by their keys or names. */
async function tenantsWith(text, signal) {
  const own = me.value.tenants, typed = text.toLowerCase();
  const begun = own || !text ? [] : await readTenants(text, signal, MAX_SUGGESTED);
  named ??= readNamed(own).catch(() => { named = null; });
  const isMeant = (key) => key.toLowerCase().includes(typed) || tenantName(key).toLowerCase().includes(typed);
  const found = new Set([...begun, ...(await named ?? []).filter(isMeant)]);
  return [...(found.delete(text) ? [text] : []), ...found].slice(0, MAX_SUGGESTED).map((key) => ({ key, name: tenantName(key) }));
}

/** What can be chosen: its word, how it is searched, and how the names of keys are read. */
const KINDS = {
  recipient: (tenant) => ({
    find: async (text, signal) => (await get(withQuery('/v1/recipients', { text, tenant, limit: MAX_SUGGESTED }), signal)).recipients,
    has: async (key, signal) => (await get(withQuery('/v1/recipients', { keys: key, tenant }), signal)).recipients.length > 0,
    name: (key) => nameOf({ tenant, recipient: key }),
    read: (keys) => readNames(keys.map((recipient) => ({ tenant, recipient }))),
  }),
  tenant: () => ({
    find: tenantsWith,
    has: async (key, signal) => (me.value.tenants ?? await readTenants(key, signal, 1)).includes(key),
    name: tenantName,
    read: readTenantNames,
  }),
};

/** The first of the found ones with this key, or else the only one with this name. */
function exactly(text, found) {
  const named = found.filter(({ name }) => name?.toLowerCase() === text.toLowerCase());
  return found.find(({ key }) => key === text) ?? (named.length === 1 ? named[0] : undefined);
}

/** What is typed, in parts that each mean one. */
const partsOf = (text, isMany) => (isMany ? text.split(',') : [text]).map((one) => one.trim()).filter(Boolean);

/** The keys that parts of a text mean, and the parts that mean none. A key is accepted while the server cannot be reached. */
async function keysOf(parts, source, lists) {
  const known = [], unknown = [];
  for (const part of parts) {
    const exact = exactly(part, lists[0]) ?? exactly(part, lists[1]) ?? (await source.has(part).catch(() => true) ? { key: part } : exactly(part, await source.find(part).catch(() => [])));
    if (exact) known.push(exact.key);
    else unknown.push(part);
  }
  return { known, unknown };
}

/** What is offered for a text while the list is open, and its active row. It is searched when typing pauses. */
function useSuggestions({ source, offered, chosen, isMany, isOpen, text, tenant }) {
  const [list, setList] = useState({ of: null, rows: [] });
  const [active, setActive] = useState(-1);
  const search = async (wanted, signal) => {
    const stored = await source.find(wanted, signal), extra = offered.filter(({ key, name }) => !wanted || [key, name].some((one) => one.toLowerCase().includes(wanted.toLowerCase())));
    const all = [...extra, ...stored.filter(({ key }) => !extra.some((one) => one.key === key))].filter(({ key }) => !isMany || !chosen.includes(key)), exact = exactly(wanted, all);
    return (exact ? [exact, ...all.filter((one) => one !== exact)] : all).slice(0, MAX_SUGGESTED);
  };
  useEffect(() => {
    if (!isOpen) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => search(text, abort.signal).then((rows) => { setList({ of: text, rows }); setActive(text ? 0 : -1); }).catch(() => {}), text ? TYPING_MS : 0); // a key can be typed
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [isOpen, text, tenant, chosen.join()]);
  const isRead = list.of === text, rows = isRead ? list.rows : [], count = Math.max(rows.length, 1);
  return { rows, isRead, active, current: rows[active], search, step: (by) => setActive((Math.max(active, by < 0 ? 0 : -1) + by + count) % count) };
}

/**
 * `decide` chooses what is typed, as far as it exists, and resolves to whether that is all. An unknown one that is sent again (`isSent`) is accepted where it is created.
 * The form waits for it; what is sent meanwhile, or by the second press of a double click, is stopped.
 */
function useDecision({ input, now, kind, isMany, source, lists, accept, say, required, newcomer, name }) {
  const refused = useRef('');
  const decide = async (isSent, isNeeded = isSent) => {
    const parts = partsOf(now.current.typed, isMany), { known, unknown } = await keysOf(parts, source, lists);
    if (isSent && newcomer && refused.current === unknown.join()) known.push(...unknown.splice(0));
    if (parts.length > 0) accept(known, unknown.join(', '));
    const isMissing = isNeeded && required && now.current.chosen.length === 0 && unknown.length === 0;
    if (isSent) refused.current = unknown.join();
    say(unknown.length > 0 ? newcomer ? newcomer(unknown[0]) : `There is no ${kind} ${unknown[0]}. Choose one from the list.` : isMissing ? `Choose a ${kind}.` : '');
    return unknown.length === 0 && !isMissing;
  };
  now.current = { ...now.current, decide };
  useEffect(() => {
    const { form } = input.current;
    let isDeciding = false, clicks = 0;
    const count = ({ detail }) => {
      clicks = detail;
      setTimeout(() => { clicks = 0; });
    };
    const hold = (event) => {
      const { typed, chosen, required: isNeeded } = now.current;
      if (!isDeciding && !typed && !(isNeeded && chosen.length === 0)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (isDeciding || clicks > 1) return;
      isDeciding = true;
      now.current.decide(true).catch(() => false).then((isDecided) => setTimeout(() => {
        isDeciding = false;
        if (isDecided) form.requestSubmit(event.submitter);
        else input.current?.focus();
      }));
    };
    const give = ({ formData }) => { if (name) formData.set(name, now.current.chosen.join(',')); };
    form?.addEventListener('click', count, true);
    form?.addEventListener('submit', hold, true);
    form?.addEventListener('formdata', give);
    return () => {
      form?.removeEventListener('click', count, true);
      form?.removeEventListener('submit', hold, true);
      form?.removeEventListener('formdata', give);
    };
  }, []);
  return decide;
}

/** Shows the list below its field, or above it in the lower part of the window, until the page is scrolled. */
function usePanel({ box, panel, isOpen, close, lines }) {
  useLayoutEffect(() => {
    if (!isOpen) return undefined;
    const { left, width, top, bottom } = box.current.getBoundingClientRect(), { style } = panel.current, isLow = bottom > innerHeight * .7;
    Object.assign(style, { left: `${left}px`, width: `${width}px`, top: isLow ? 'auto' : `${bottom + GAP}px`, bottom: isLow ? `${innerHeight - top + GAP}px` : 'auto', maxHeight: `${(isLow ? top : innerHeight - bottom) - GAP - MARGIN}px` });
    panel.current.showPopover();
    const leave = ({ target }) => { if (!panel.current?.contains(target)) close(); };
    addEventListener('scroll', leave, { capture: true, passive: true });
    return () => removeEventListener('scroll', leave, { capture: true });
  }, [isOpen, lines]);
}

/** The list of suggestions. */
const List = ({ id, kind, panel, isShown, of: { rows, active }, choose }) => html`<div class="picker-list" id=${id} ref=${panel} popover="manual" role=${rows.length > 0 ? 'listbox' : null} aria-label=${rows.length > 0 ? `Found ${kind}s` : null}>${isShown && (rows.length > 0 ? rows.map(({ key, name, icon }, index) => html`<div key=${key} class="option" role="option" id=${`${id}-${index}`} aria-selected=${String(index === active)} onPointerDown=${(event) => {
  event.preventDefault();
  choose(key);
}}><${Avatar} of=${key} name=${name || key} icon=${icon} /><span>${name || key}</span>${!icon && name && name !== key && html`<small>${key}</small>`}</div>`) : html`<p class="muted">No ${kind} has this name.</p>`)}</div>`;

/** The chosen ones of several, each with a button that removes it. */
const Chosen = ({ kind, keys, nameFor, isDisabled, remove }) => html`<ul aria-label=${`Chosen ${kind}s`}>${keys.map((key) => html`<li key=${key} title=${key}><${Avatar} of=${key} name=${nameFor(key)} /><span dir="auto">${nameFor(key)}</span><button type="button" disabled=${isDisabled} aria-label=${`Remove ${nameFor(key)}`} onClick=${() => remove(key)}><${Icon} name="close" /></button></li>`)}</ul>`;

/** A handler of keys by their commands; what has none here is left to the browser. */
const handled = (commands) => (event) => {
  const command = commands[event.key];
  if (!command || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  command();
};

/**
 * The box: what is chosen, by name, and an input. @param {{kind: 'recipient' | 'tenant', chosen: string[], change: (keys: string[]) => void, tenant?: string, isMany?: boolean, max?: number, more?: {key: string, name: string, icon?: string}[], none?: string, required?: boolean, newcomer?: (key: string) => string, settle?: {current: any}, attributes: any}} of
 * `none` says what an empty field means, or what a required one is for, `more` are offered too, `newcomer` says what happens with one that does not exist and is sent a second time, and `settle` gets a function that chooses what is typed, if it exists.
 */
export function Picker({ kind, chosen, change, tenant, isMany = false, max = Infinity, more = [], none = '', required = false, newcomer, settle, onProblem, attributes }) {
  const source = KINDS[kind](tenant), id = useId();
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState('');
  const [isNamed, setNamed] = useState(chosen.length === 0);
  const input = useRef(null), box = useRef(null), panel = useRef(null), now = useRef(null);
  const typed = text.trim(), last = isMany ? typed.split(',').at(-1).trim() : typed;
  const nameFor = (key) => more.find((one) => one.key === key)?.name ?? source.name(key);
  // A value that was chosen can be taken back.
  const offered = !isMany && none && !required && chosen.length > 0 ? [{ key: '', name: none, icon: `${kind}s` }, ...more] : more;
  const suggestions = useSuggestions({ source, offered, chosen, isMany, isOpen, text: last, tenant }), { rows, current } = suggestions;
  const say = (words) => {
    setProblem(words);
    onProblem?.(words);
  };
  useEffect(() => {
    source.read(chosen).finally(() => setNamed(true));
    // Chosen by a button beside the field. What is typed since this was drawn stays.
    if (chosen.length === 0 || (isMany && input.current.value.trim())) return;
    setText('');
    say('');
  }, [chosen.join(), tenant]);
  const set = (keys, rest = '') => {
    now.current = { ...now.current, chosen: keys, typed: rest };
    setText(rest);
    setOpen(false);
    say('');
    // The newest: other fields may have changed while the server was read.
    now.current.change(keys);
    // The form sees the change of an input only.
    setTimeout(() => input.current?.dispatchEvent(new Event('input', { bubbles: true })));
  };
  const add = (before, keys) => (isMany ? [...new Set([...before, ...keys])].slice(0, max) : keys.filter(Boolean));
  const choose = (key) => set(add(chosen, [key]));
  now.current = { ...now.current, chosen, typed, required, change };
  const decide = useDecision({ input, now, kind, isMany, source, lists: [more, rows], accept: (keys, rest) => set(add(now.current.chosen, keys), rest), say, required, newcomer, name: attributes.name });
  if (settle) settle.current = () => now.current.decide(false, true);
  usePanel({ box, panel, isOpen, close: () => setOpen(false), lines: chosen.length });
  const remove = (key) => {
    input.current.focus(); // before the change: an unchanged form reads its entries with each focus
    set(chosen.filter((one) => one !== key), text);
  };
  const enter = ({ currentTarget: { value } }) => {
    // An event that the field itself has made has nothing new.
    if (value === shown) return;
    if (!isMany && chosen.length > 0) {
      change([]);
      now.current.chosen = [];
    }
    setText(value);
    say('');
    const part = value.endsWith(',') && isMany && exactly(last, rows);
    if (part) return choose(part.key);
    setOpen(true);
  };
  // Not for the button of the form, which examines it too, and which a refusal would move away from the pointer.
  const leave = ({ relatedTarget }) => {
    setOpen(false);
    if (typed && !problem && relatedTarget?.type !== 'submit') decide(false);
  };
  const take = async () => {
    if (current) return choose(current.key);
    // The list of what was typed fast has not come yet.
    const first = !typed.includes(',') && (await suggestions.search(typed).catch(() => []))[0];
    return first ? choose(first.key) : decide(false);
  };
  const keys = handled({
    ArrowDown: () => (isOpen ? suggestions.step(1) : setOpen(true)),
    ArrowUp: isOpen && (() => suggestions.step(-1)),
    Escape: isOpen && (() => setOpen(false)),
    Enter: (typed || (isOpen && current)) && take,
    Backspace: isMany && text === '' && chosen.length > 0 && (() => remove(chosen.at(-1))),
  });
  const single = !isMany && text === '' ? chosen[0] : undefined, shown = single ? nameFor(single) : text, icon = more.find(({ key }) => key === single)?.icon;
  const isShown = isOpen && (rows.length > 0 || (suggestions.isRead && last)), isDisabled = attributes.disabled;
  return html`<div class=${`picker${isMany ? ' many' : ''}${newcomer && problem ? ' new' : ''}`} ref=${box} data-kind=${kind} data-waits=${isNamed ? null : ''} aria-invalid=${problem || attributes['aria-invalid'] === 'true' ? 'true' : null} onClick=${() => !isDisabled && input.current.focus()}>
    ${isMany && chosen.length > 0 && html`<${Chosen} keys=${chosen} ...${{ kind, nameFor, isDisabled, remove }} />`}
    ${single && html`<${Avatar} of=${single} name=${nameFor(single)} icon=${icon} />`}
    <input ...${attributes} ref=${input} role="combobox" aria-autocomplete="list" aria-expanded=${String(Boolean(isShown))} aria-controls=${isShown ? id : null} aria-activedescendant=${isShown && current ? `${id}-${suggestions.active}` : null} aria-invalid=${problem ? 'true' : attributes['aria-invalid']} aria-required=${required ? 'true' : null}
      autocomplete="off" autocapitalize="none" spellcheck=${false} placeholder=${chosen.length === 0 ? none : ''} value=${shown} title=${single ?? null} disabled=${isDisabled || (isMany && chosen.length >= max)}
      onInput=${enter} onKeyDown=${keys} onClick=${() => setOpen(true)} onFocus=${({ currentTarget }) => single && currentTarget.select()} onBlur=${leave} />
    ${single && single !== shown && !icon && html`<small aria-hidden="true">${single}</small>`}
    <${List} of=${suggestions} ...${{ id, kind, panel, isShown, choose }} /></div>`;
}

/** The field of a form that sends one key, or several separated by commas. @param {any} of what a picker has; `first` are the keys at first, `offer` gets a function that chooses one */
export function PickerField({ label, hint, name, first = [], autofocus, onChoose, offer, ...more }) {
  const id = useId(), error = useContext(Wrong)[name];
  const [chosen, setChosen] = useState(first);
  const [problem, setProblem] = useState('');
  const set = (keys) => {
    setChosen(keys);
    onChoose?.(keys);
  };
  const words = error || problem;
  return html`<div class="field"><label for=${id}>${label}</label><${Picker} ...${more} chosen=${chosen} change=${set} onProblem=${setProblem} attributes=${{ id, name, autofocus, 'aria-describedby': words || hint ? `${id}-hint` : null, 'aria-invalid': words ? 'true' : null }} />
    ${words ? html`<small class=${more.newcomer && !error ? 'warn' : 'error'} id=${`${id}-hint`} role="alert">${words}</small>` : hint && html`<small class="muted" id=${`${id}-hint`}>${hint}</small>`}${offer?.((key) => { set([key]); document.getElementById(id).focus(); })}</div>`;
}

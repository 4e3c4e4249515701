/**
 * A field for recipients or tenants by their names: what is typed is searched, and only what exists is chosen.
 */
import { TYPING_MS } from './filters.js';
import { html, useContext, useEffect, useId, useLayoutEffect, useRef, useState } from './html.js';
import { loadStyle } from './load.js';
import { Avatar, Icon, Wrong } from './parts.js';
import { nameOf, readNames } from './recipient-names.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';
import { readTenantNames, readTenants, tenantName } from './tenant-names.js';

await loadStyle('picker.css');

const MAX_SUGGESTED = 8;
/** Space between the field and its list, and between the list and the edge of the window, in px. */
const GAP = 4, MARGIN = 8;

/** The keys of tenants in which a text occurs: their own or their names'. */
async function tenantsWith(text, signal) {
  const all = await readTenants('', signal), begun = text ? await readTenants(text, signal) : [];
  const known = me.value.tenants ?? [...new Set([...begun, ...all])], typed = text.toLowerCase();
  return known.filter((key) => key.toLowerCase().includes(typed) || tenantName(key).toLowerCase().includes(typed)).slice(0, MAX_SUGGESTED).map((key) => ({ key, name: tenantName(key) }));
}

/** What can be chosen: its word, how it is searched, and how the names of keys are read. */
const KINDS = {
  recipient: (tenant) => ({
    find: async (text, signal) => (await get(withQuery('/v1/recipients', { text, tenant, limit: MAX_SUGGESTED }), signal)).recipients,
    has: async (key, signal) => (await get(withQuery('/v1/recipients', { keys: key, tenant }), signal)).recipients.length > 0,
    name: (key) => nameOf({ tenant, recipient: key }),
    read: (keys) => readNames(keys.map((recipient) => ({ tenant, recipient }))),
  }),
  tenant: () => ({ find: tenantsWith, has: async (key, signal) => (await tenantsWith(key, signal)).some((one) => one.key === key), name: tenantName, read: readTenantNames }),
};

/** The first of the found ones with this key, or else the only one with this name. */
function exactly(text, found) {
  const named = found.filter(({ name }) => name?.toLowerCase() === text.toLowerCase());
  return found.find(({ key }) => key === text) ?? (named.length === 1 ? named[0] : undefined);
}

/** What is typed, in parts that each mean one. */
const partsOf = (text, isMany) => (isMany ? text.split(',') : [text]).map((one) => one.trim()).filter(Boolean);

/** A row of the list. */
const Found = ({ of: { key, name, icon }, id, isActive, choose }) => html`<div class="option" role="option" id=${id} aria-selected=${String(isActive)} onPointerDown=${(event) => {
  event.preventDefault();
  choose();
}}><${Avatar} of=${key} name=${name || key} icon=${icon} /><span>${name || key}</span>${!icon && name && name !== key && html`<small>${key}</small>`}</div>`;

/**
 * The box: what is chosen, by name, and an input. @param {{kind: 'recipient' | 'tenant', chosen: string[], change: (keys: string[]) => void, tenant?: string, isMany?: boolean, max?: number, more?: {key: string, name: string, icon?: string}[], none?: string, required?: boolean, newcomer?: (key: string) => string, settle?: {current: any}, attributes: any}} of
 * `none` says what an empty field means, `more` are offered too, `newcomer` says what happens with one that does not exist and is sent a second time, and `settle` gets a function that chooses what is typed.
 */
export function Picker({ kind, chosen, change, tenant, isMany = false, max = Infinity, more = [], none = '', required = false, newcomer, settle, onProblem, attributes }) {
  const source = KINDS[kind](tenant), id = useId();
  const [text, setText] = useState('');
  const [found, setFound] = useState({ of: null, rows: [] });
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [problem, setProblem] = useState('');
  const [isNamed, setNamed] = useState(chosen.length === 0);
  const input = useRef(null), box = useRef(null), panel = useRef(null), refused = useRef(''), now = useRef(null);
  const typed = text.trim(), last = isMany ? typed.split(',').at(-1).trim() : typed;
  const nameFor = (key) => more.find((one) => one.key === key)?.name ?? source.name(key);
  // A value that was chosen can be taken back.
  const offered = !isMany && none && chosen.length > 0 ? [{ key: '', name: none, icon: `${kind}s` }, ...more] : more;
  const search = async (wanted, signal) => {
    const rows = await source.find(wanted, signal), extra = offered.filter(({ key, name }) => !wanted || [key, name].some((one) => one.toLowerCase().includes(wanted.toLowerCase())));
    const all = [...extra, ...rows].filter(({ key }) => !isMany || !chosen.includes(key)), exact = exactly(wanted, all);
    return (exact ? [exact, ...all.filter((one) => one !== exact)] : all).slice(0, MAX_SUGGESTED);
  };

  const say = (words) => {
    setProblem(words);
    onProblem?.(words);
  };
  useEffect(() => {
    source.read(chosen).finally(() => setNamed(true));
    // Chosen by a button beside the field.
    if (chosen.length > 0 && !typed) say('');
  }, [chosen.join(), tenant]);
  useEffect(() => {
    if (!isOpen) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => search(last, abort.signal).then((rows) => { setFound({ of: last, rows }); setActive(last ? 0 : -1); }).catch(() => {}), last ? TYPING_MS : 0); // a key can be typed
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [isOpen, last, tenant, chosen.join()]);

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
  const choose = (key) => set(isMany ? [...new Set([...chosen, key])].slice(0, max) : [key].filter(Boolean));
  /** Choose what is typed, if it exists. An unknown one that is sent again (`isSent`) is accepted where it is created. */
  const decide = async (isSent) => {
    const parts = partsOf(now.current.typed, isMany), known = [], unknown = [];
    for (const part of parts) {
      const exact = exactly(part, more) ?? exactly(part, found.rows) ?? (await source.has(part).catch(() => true) ? { key: part } : exactly(part, await source.find(part).catch(() => [])));
      if (exact) known.push(exact.key);
      else unknown.push(part);
    }
    if (isSent && newcomer && unknown.length > 0 && refused.current === unknown.join()) known.push(...unknown.splice(0));
    const before = now.current.chosen;
    if (parts.length > 0) set((isMany ? [...new Set([...before, ...known])].slice(0, max) : known), unknown.join(', '));
    const isMissing = isSent && required && now.current.chosen.length === 0 && unknown.length === 0;
    if (isSent) refused.current = unknown.join();
    say(unknown.length > 0 ? newcomer ? newcomer(unknown[0]) : `There is no ${kind} ${unknown[0]}. Choose one from the list.` : isMissing ? `Choose a ${kind}.` : '');
    return unknown.length === 0 && !isMissing;
  };
  now.current = { chosen, typed, decide, required, change };
  if (settle) settle.current = () => now.current.decide(true);
  // What is typed is examined before the form is sent.
  useEffect(() => {
    const { form } = input.current;
    const hold = (event) => {
      const { typed: left, chosen: keys } = now.current;
      if (!left && !(now.current.required && keys.length === 0)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      now.current.decide(true).then((isDecided) => (isDecided ? setTimeout(() => form.requestSubmit(event.submitter)) : input.current?.focus()));
    };
    const give = ({ formData }) => { if (attributes.name) formData.set(attributes.name, now.current.chosen.join(',')); };
    form?.addEventListener('submit', hold, true);
    form?.addEventListener('formdata', give);
    return () => {
      form?.removeEventListener('submit', hold, true);
      form?.removeEventListener('formdata', give);
    };
  }, []);
  useLayoutEffect(() => {
    if (!isOpen) return undefined;
    const { left, width, top, bottom } = box.current.getBoundingClientRect(), { style } = panel.current, isLow = bottom > innerHeight * .7;
    Object.assign(style, { left: `${left}px`, width: `${width}px`, top: isLow ? 'auto' : `${bottom + GAP}px`, bottom: isLow ? `${innerHeight - top + GAP}px` : 'auto', maxHeight: `${(isLow ? top : innerHeight - bottom) - GAP - MARGIN}px` });
    panel.current.showPopover();
    const close = ({ target }) => { if (!panel.current?.contains(target)) setOpen(false); };
    addEventListener('scroll', close, { capture: true, passive: true });
    return () => removeEventListener('scroll', close, { capture: true });
  }, [isOpen, chosen.length]);

  const rows = found.of === last ? found.rows : [], current = rows[active];
  const remove = (key) => {
    set(chosen.filter((one) => one !== key), text);
    input.current.focus();
  };
  const enter = ({ currentTarget: { value } }) => {
    // An event that the field itself has made has nothing new.
    if (value === shown) return;
    if (!isMany && chosen.length > 0) change([]);
    setText(value);
    if (!isMany && chosen.length > 0) now.current.chosen = [];
    say('');
    const part = value.endsWith(',') && isMany && exactly(last, found.rows);
    if (part) return choose(part.key);
    setOpen(true);
  };
  const take = async () => {
    if (current && typed) return choose(current.key);
    // The list of what was typed fast has not come yet.
    const first = typed && !typed.includes(',') && (await search(typed).catch(() => []))[0];
    return first ? choose(first.key) : decide(false);
  };
  const COMMANDS = {
    ArrowDown: () => (isOpen ? setActive((active + 1) % Math.max(rows.length, 1)) : setOpen(true)),
    ArrowUp: () => setActive((Math.max(active, 0) + Math.max(rows.length, 1) - 1) % Math.max(rows.length, 1)),
    Escape: () => setOpen(false),
    Enter: () => (typed ? take() : current && choose(current.key)),
    Backspace: () => remove(chosen.at(-1)),
  };
  const keys = (event) => {
    const { key } = event, isMeant = { ArrowUp: isOpen, Escape: isOpen, Enter: typed || (isOpen && current), Backspace: isMany && text === '' && chosen.length > 0 }[key] ?? true;
    if (!COMMANDS[key] || !isMeant || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    COMMANDS[key]();
  };
  const single = !isMany && text === '' ? chosen[0] : undefined, shown = single ? nameFor(single) : text, icon = more.find(({ key }) => key === single)?.icon;
  const list = isOpen && (rows.length > 0 || (found.of === last && last));
  return html`<div class=${`picker${isMany ? ' many' : ''}${newcomer && problem ? ' new' : ''}`} ref=${box} data-kind=${kind} data-waits=${isNamed ? null : ''} aria-invalid=${problem || attributes['aria-invalid'] === 'true' ? 'true' : null} onClick=${() => !attributes.disabled && input.current.focus()}>
    ${isMany && chosen.length > 0 && html`<ul aria-label=${`Chosen ${kind}s`}>${chosen.map((key) => html`<li key=${key} title=${key}><${Avatar} of=${key} name=${nameFor(key)} /><span dir="auto">${nameFor(key)}</span><button type="button" disabled=${attributes.disabled} aria-label=${`Remove ${nameFor(key)}`} onClick=${() => remove(key)}><${Icon} name="close" /></button></li>`)}</ul>`}
    ${single && html`<${Avatar} of=${single} name=${nameFor(single)} icon=${icon} />`}
    <input ...${attributes} ref=${input} role="combobox" aria-autocomplete="list" aria-expanded=${String(Boolean(list))} aria-controls=${list ? id : null} aria-activedescendant=${list && current ? `${id}-${active}` : null} aria-invalid=${problem ? 'true' : attributes['aria-invalid']} aria-required=${required ? 'true' : null}
      autocomplete="off" autocapitalize="none" spellcheck=${false} placeholder=${chosen.length === 0 ? none : ''} value=${shown} title=${single ?? null} disabled=${attributes.disabled || (isMany && chosen.length >= max)}
      onInput=${enter} onKeyDown=${keys} onClick=${() => setOpen(true)} onFocus=${({ currentTarget }) => single && currentTarget.select()} onBlur=${() => { setOpen(false); if (typed && !problem) decide(false); }} />
    ${single && single !== shown && !icon && html`<small aria-hidden="true">${single}</small>`}
    <div class="picker-list" id=${id} ref=${panel} popover="manual" role=${rows.length > 0 ? 'listbox' : null} aria-label=${rows.length > 0 ? `Found ${kind}s` : null}>${list && (rows.length > 0 ? rows.map((one, index) => html`<${Found} key=${one.key} of=${one} id=${`${id}-${index}`} isActive=${index === active} choose=${() => choose(one.key)} />`) : html`<p class="muted">No ${kind} has this name.</p>`)}</div></div>`;
}

/** The field of a form, whose value is one key, or several separated by commas. @param {any} of what a picker has; `first` are the keys at first */
export function PickerField({ label, hint, name, first = [], autofocus, onChoose, children, ...more }) {
  const id = useId(), error = useContext(Wrong)[name];
  const [chosen, setChosen] = useState(first);
  const [problem, setProblem] = useState('');
  const words = error || problem;
  return html`<div class="field"><label for=${id}>${label}</label><${Picker} ...${more} chosen=${chosen} change=${(keys) => { setChosen(keys); onChoose?.(keys); }} onProblem=${setProblem} attributes=${{ id, name, autofocus, 'aria-describedby': words || hint ? `${id}-hint` : null, 'aria-invalid': words ? 'true' : null }} />
    ${words ? html`<small class=${more.newcomer && !error ? 'warn' : 'error'} id=${`${id}-hint`} role="alert">${words}</small>` : hint && html`<small class="muted" id=${`${id}-hint`}>${hint}</small>`}${children}</div>`;
}

/**
 * The editor of templates: channels and languages, blocks of e-mails, and a preview beside them that follows each change.
 */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { Blocks } from './email-blocks.js';
import { Loaded, Skeleton, useLoad } from './load.js';
import { Confirm, Field, Heading, Icon, Popup } from './parts.js';
import { BUILDERS } from './roles.js';
import { go, here, setQuery } from './router.js';
import { sampleOf, variablesOf } from './sample-data.js';
import { ROOT, getTagged, putYaml, request, withQuery } from './server.js';

const CHANNELS = { inbox: 'Inbox', email: 'E-mail', sms: 'SMS', push: 'Push', chat: 'Chat' };
/** Fields that a read adds. */
const ADDED = ['key', 'tenant', 'uses', 'created_at', 'updated_at', 'version', 'draft', 'managed'];
/** Changes that can be undone, and the time in which typing is one of them. */
const UNDO_STEPS = 200;
const TYPING_MS = 1000;
const PREVIEW_MS = 300;
const STYLES = new URL('template-editor.css', import.meta.url).pathname;

/** A copy of a value with another one at a path; undefined removes it. */
export function withAt(value, [name, ...rest], next) {
  const changed = rest.length > 0 ? withAt(value?.[name] ?? {}, rest, next) : next;
  if (Array.isArray(value)) return value.map((one, index) => (index === name ? changed : one));
  const { [name]: _, ...others } = value ?? {};
  return changed === undefined ? others : { ...value, [name]: changed };
}
/** A template without the HTML that the server makes of blocks. */
function withoutCompiled({ email, translations, ...others }) {
  const { compiled: _, ...mail } = email ?? {};
  const inner = translations && Object.fromEntries(Object.entries(translations).map(([tag, parts]) => [tag, withoutCompiled(parts)]));
  return { ...others, ...(email && { email: mail }), ...(inner && { translations: inner }) };
}

const at = (value, path) => path.reduce((one, name) => one?.[name], value);

export function TemplateEditor({ page }) {
  const query = { tenant: page.query.get('tenant') };
  const path = (more = '', others = {}) => withQuery(`/v1/templates/${encodeURIComponent(page.key)}${more}`, { ...query, ...others });
  const read = async (signal) => {
    const { value, tag } = await getTagged(path(), signal);
    return { tag, isInherited: query.tenant && (value.tenant ?? '') !== query.tenant, values: withoutCompiled(Object.fromEntries(Object.entries(value).filter(([name]) => !ADDED.includes(name)))) };
  };
  const one = useLoad(read, [page.path, query.tenant]);
  if (!page.may(BUILDERS)) return html`<${Heading} title=${page.key} /><p>Your role, ${page.me.role}, does not permit this page.</p>`;
  const title = html`<${Heading} title=${page.key} />`;
  return html`<link rel="stylesheet" href=${STYLES} />${one.problem && !one.isLoading && !one.value && title}<${Loaded} of=${one} skeleton=${html`${title}<${Skeleton} />`}>${(found) => html`<${Editor} key=${page.path} page=${page} path=${path} found=${found} read=${read} />`}<//>`;
}

/** The values with undo and redo. A copy stays in the tab until they are saved. */
function useHistory(stored, name) {
  const [state, setState] = useState(() => {
    const kept = sessionStorage.getItem(name);
    return { values: kept ? JSON.parse(kept) : stored, past: [], future: [], last: null };
  });
  useLayoutEffect(() => {
    if (JSON.stringify(state.values) === JSON.stringify(stored)) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(state.values));
  }, [state.values, stored]);
  const change = (path, next) => setState((now) => {
    const values = typeof path === 'function' ? path(now.values) : withAt(now.values, path, next);
    const place = String(path), moment = Date.now();
    const isTyping = typeof next === 'string' && now.last?.place === place && moment - now.last.moment < TYPING_MS;
    return { values, past: isTyping ? now.past : [...now.past, now.values].slice(-UNDO_STEPS), future: [], last: { place, moment } };
  });
  const reset = (values) => setState({ values, past: [], future: [], last: null });
  const undo = () => setState(({ values, past, future }) => (past.length ? { values: past.at(-1), past: past.slice(0, -1), future: [values, ...future], last: null } : { values, past, future }));
  const redo = () => setState(({ values, past, future }) => (future.length ? { values: future[0], past: [...past, values], future: future.slice(1), last: null } : { values, past, future }));
  return { ...state, change, reset, undo, redo };
}

/** `base` is the template as it is stored. */
function Editor({ page, path, found, read }) {
  const name = `template ${page.key} ${page.query.get('tenant') ?? ''}`;
  const [base, setBase] = useState(found);
  const history = useHistory(base.values, name);
  const { values, change } = history;
  const [save, setSave] = useState({ state: 'saved' });
  const isChanged = JSON.stringify(values) !== JSON.stringify(base.values);
  const channel = page.query.get('channel') ?? (values.email ? 'email' : Object.keys(CHANNELS).find((one) => values[one]) ?? 'email');
  const locale = page.query.get('locale') ?? '';
  const beside = page.query.get('beside');
  const [dataText, setDataText] = useState(null);
  const data = dataText ?? JSON.stringify(sampleOf(values), null, 2);
  const preview = usePreview({ path, values, data, locale });
  const focused = useRef(null);

  const write = async (condition) => {
    setSave({ state: 'saving' });
    try {
      await putYaml(path(), JSON.stringify(values), condition, undefined);
      const next = await read();
      setBase({ ...next, values });
      setSave({ state: 'saved' });
    } catch (problem) {
      setSave({ state: problem.status === 412 ? 'conflict' : problem.status === 0 || problem.status === 503 ? 'offline' : 'refused', problem });
    }
  };
  const takeTheirs = async () => {
    const next = await read();
    setBase(next);
    history.reset(next.values);
    setSave({ state: 'saved' });
  };
  const keepMine = async () => write({ 'if-match': (await read()).tag });
  const keys = (event) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    const key = event.key.toLowerCase();
    if (key === 's') write({ 'if-match': base.tag });
    else if (key === 'y' || (key === 'z' && event.shiftKey)) history.redo();
    else if (key === 'z') history.undo();
    else return;
    event.preventDefault();
  };
  // On the document, because a removed block takes the focus with it; through a reference, so that it sees the last change.
  const pressed = useRef(null);
  pressed.current = keys;
  useEffect(() => {
    const press = (event) => pressed.current(event);
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  const insert = (text) => {
    const { input, set } = focused.current ?? {};
    if (!input?.isConnected) return;
    const { selectionStart: start, selectionEnd: end, value } = input;
    set(value.slice(0, start) + text + value.slice(end));
    input.focus();
    requestAnimationFrame(() => input.setSelectionRange(start + text.length, start + text.length));
  };
  const languages = ['', ...Object.keys(values.translations ?? {}).sort()];
  const words = { saved: isChanged ? 'Not saved' : 'Saved', saving: 'Saving…', offline: 'Offline: changes are stored in this tab', conflict: 'Saved by another operator', refused: 'Not saved: see the problems' };
  const shownState = save.state === 'saved' && isChanged ? 'changed' : save.state;
  const columns = [locale, ...(beside !== null ? [beside] : [])];
  return html`<div class="template-editor">
    <${Heading} title=${page.key} note=${html`<span class="save-state muted" role="status" data-save=${shownState}>${words[save.state]}</span>`}>
      <button type="button" class="quiet" aria-label="Undo" title="Undo (Ctrl+Z)" disabled=${history.past.length === 0} onClick=${history.undo}><${Icon} name="undo" /></button>
      <button type="button" class="quiet" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled=${history.future.length === 0} onClick=${history.redo}><${Icon} name="redo" /></button>
      ${isChanged && html`<${Confirm} label="Discard the changes" word="Discard" act=${takeTheirs} />`}
      <a class="button" href=${withQuery(page.url(`/templates/${encodeURIComponent(page.key)}`), { tenant: page.query.get('tenant'), edit: 'yes', view: 'yaml' })}>YAML</a>
      <button type="button" class="primary" disabled=${!isChanged || save.state === 'saving'} onClick=${() => write({ 'if-match': base.tag })}>Save</button>
    <//>
    ${base.isInherited && html`<p class="muted">Saving creates a copy for ${page.query.get('tenant')}, which replaces this template there.</p>`}
    ${save.state === 'conflict' && html`<div class="failure" role="alert"><p>Another operator saved this template since you opened it.</p><button type="button" onClick=${keepMine}>Keep mine</button><button type="button" onClick=${takeTheirs}>Take theirs</button></div>`}
    ${save.state === 'refused' && save.problem && html`<p class="error" role="alert">${save.problem.message}</p>`}
    <div class="parts-bar">
      <div class="tabs" role="tablist" aria-label="Channel">${Object.entries(CHANNELS).map(([one, title]) => html`<button key=${one} type="button" role="tab" aria-selected=${String(one === channel)} class=${languages.some((tag) => at(values, placeOf(tag, one))) ? '' : 'absent'} onClick=${() => setQuery({ channel: one }, { isQuiet: true })}>${title}</button>`)}</div>
      <${Languages} ...${{ values, change, languages, locale, beside }} />
    </div>
    <div class=${`split columns-${columns.length}`}>
      <div class="editors">${columns.map((tag) => html`<section key=${tag} class="panel editor" aria-label=${`${CHANNELS[channel]}, ${languageName(tag)}`}>
        ${columns.length > 1 && html`<h2>${languageName(tag)}</h2>`}
        <${Part} ...${{ channel, locale: tag, values, change, insert: (text) => insert(text), variables: variablesOf(values, data), problems: preview.problems, focused }} /></section>`)}</div>
      <${Preview} ...${{ channel, preview, path, data, setData: setDataText, values, locale, isOpen: beside === null }} />
    </div></div>`;
}

const names = new Intl.DisplayNames(['en'], { type: 'language' });
function languageName(tag) {
  if (!tag) return 'Default language';
  try {
    return names.of(tag);
  } catch {
    return tag;
  }
}
const placeOf = (locale, channel) => (locale ? ['translations', locale, channel] : [channel]);

function Languages({ values, change, languages, locale, beside }) {
  const add = (tag) => {
    if (!tag || languages.includes(tag)) return;
    const parts = Object.fromEntries(Object.keys(CHANNELS).filter((one) => values[one]).map((one) => [one, values[one]]));
    change((now) => ({ ...now, translations: { ...now.translations, [tag]: parts } }));
    setQuery({ locale: tag, beside: '' }, { isQuiet: true });
    const url = new URL(here.value);
    url.searchParams.set('beside', '');
    go(url, { isQuiet: true });
  };
  const compare = () => {
    const url = new URL(here.value);
    if (beside !== null) url.searchParams.delete('beside');
    else url.searchParams.set('beside', locale ? '' : languages[1]);
    go(url, { isQuiet: true });
  };
  return html`<div class="languages"><div class="tabs" role="tablist" aria-label="Language">${languages.map((tag) => html`<button key=${tag} type="button" role="tab" aria-selected=${String(tag === locale)} title=${languageName(tag)} onClick=${() => setQuery({ locale: tag || null, beside: null }, { isQuiet: true })}>${tag || 'Default'}</button>`)}</div>
    <${Popup} label="Add a language" buttonClass="quiet" button=${html`<${Icon} name="plus" />`}>${(close) => html`<form onSubmit=${(event) => {
      event.preventDefault();
      add(new FormData(event.currentTarget).get('tag').trim().replace('_', '-'));
      close();
    }}><${Field} label="Language" name="tag" required pattern="[A-Za-z]{2,8}([\\-_][A-Za-z0-9]{1,8})*" hint="Such as de or pt-BR. It begins with the texts of the default language." autocomplete="off" /><p><button class="primary">Add</button></p></form>`}<//>
    ${languages.length > 1 && html`<button type="button" class="quiet" aria-pressed=${String(beside !== null)} onClick=${compare}><${Icon} name="columns" /> Side by side</button>`}</div>`;
}

/** The fields of a channel in one language. */
function Part({ channel, locale, values, change, problems, ...tools }) {
  const place = placeOf(locale, channel);
  const part = at(values, place);
  const set = (name) => (next) => change([...place, name], next);
  const start = (content) => change(place, content);
  if (!part) {
    const original = locale ? values[channel] : null;
    const starters = channel === 'email' ? { subject: 'Subject', blocks: [{ type: 'heading', text: 'Title', key: 'title' }, { type: 'text', text: 'Text' }] } : { inbox: { title: 'Title' }, sms: { text: 'Text' }, push: { title: 'Title' }, chat: { text: 'Text' } }[channel];
    return html`<div class="empty"><p>${original ? `There is no ${CHANNELS[channel]} in this language: recipients get the default language.` : `This template has no ${CHANNELS[channel]}.`}</p>
      <button type="button" class="primary" onClick=${() => start(original ?? starters)}>${original ? 'Translate it' : `Add ${CHANNELS[channel]}`}</button></div>`;
  }
  const text = (name, label, more = {}) => html`<${TextInput} key=${name} label=${label} value=${part[name] ?? ''} set=${(next) => set(name)(next === '' && more.isOptional ? undefined : next)} problem=${problemAt(problems, [...place, name])} ...${tools} ...${more} />`;
  const remove = html`<p class="part-end"><button type="button" class="quiet danger" onClick=${() => change(place, undefined)}>Remove ${CHANNELS[channel]}${locale && ` in ${languageName(locale)}`}</button></p>`;
  if (channel === 'inbox') return [text('title', 'Title'), text('body', 'Body', { isLong: true, isOptional: true }), text('action_url', 'Link', { isOptional: true }), text('action_text', 'Text of the link', { isOptional: true }), remove];
  if (channel === 'push') return [text('title', 'Title'), text('body', 'Body', { isLong: true, isOptional: true }), remove];
  if (channel !== 'email') return [text('text', 'Text', { isLong: true }), remove];
  return [text('subject', 'Subject'), part.blocks
    ? html`<${Blocks} key="blocks" blocks=${part.blocks} path=${[...place, 'blocks']} change=${change} problems=${problems} ...${tools} />`
    : text(part.html === undefined && part.text !== undefined ? 'text' : 'html', part.html === undefined && part.text !== undefined ? 'Text' : 'HTML', { isLong: true, isCode: true }),
  !part.blocks && html`<p><button type="button" key="to-blocks" onClick=${() => start({ ...part, html: undefined, text: undefined, blocks: [{ type: 'html', html: part.html ?? part.text ?? '' }] })}>Continue with blocks</button> <span class="muted">The text becomes the first block.</span></p>`, remove];
}

/** The problem of a field, from the answer of the server. */
export const problemAt = (problems, path) => problems.find((one) => one.field === `values.${path.join('.')}`)?.message;

/** A text that grows with its content. Variables are inserted where the cursor was last. */
export function TextInput({ label, value, set, problem, isLong = false, isCode = false, isQuiet = false, hint, focused, variables, insert, isOptional: _, ...attributes }) {
  const input = useRef(null);
  const focus = () => { focused.current = { input: input.current, set }; };
  const id = useMemo(() => `t${Math.random().toString(36).slice(2)}`, []);
  const shared = { id, ref: input, value, dir: 'auto', spellcheck: !isCode, 'aria-invalid': problem ? 'true' : null, 'aria-describedby': problem ? `${id}-problem` : null, onFocus: focus, onInput: (event) => { focus(); set(event.currentTarget.value); }, ...attributes };
  return html`<div class=${`field text-input${isCode ? ' code' : ''}`}><div class="label-line"><label for=${id} class=${isQuiet ? 'hidden' : null}>${label}</label>${insert && html`<${InsertVariable} variables=${variables} choose=${(text) => { focus(); insert(text); }} />`}</div>
    ${isLong ? html`<div class="grow" data-text=${`${value}\n`}><textarea rows="1" ...${shared}></textarea></div>` : html`<input ...${shared} />`}
    ${problem ? html`<small class="error" id=${`${id}-problem`}>${problem}</small>` : hint && html`<small class="muted hint">${hint}</small>`}</div>`;
}

/** A button that inserts a variable. */
export const InsertVariable = ({ variables, choose }) => html`<${Popup} label="Insert a variable" buttonClass="quiet insert" button=${html`<span aria-hidden="true">{ }</span>`}>${(close) => variables.map((one) => html`<button key=${one.path} type="button" class="option" onClick=${() => { close(); choose(`{{ ${one.path} }}`); }}><span><code>${one.path}</code></span><small class="muted">${one.example}</small></button>`)}<//>`;

/** The rendered parts, 300 ms after the last change. */
function usePreview({ path, values, data, locale }) {
  const [state, setState] = useState({ parts: null, problems: [], wanted: null });
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      let wanted;
      try {
        wanted = { values, data: JSON.parse(data || '{}'), ...(locale && { locale }) };
      } catch {
        setState((last) => ({ ...last, problems: [{ field: 'data', message: 'The data is not valid JSON.' }] }));
        return;
      }
      try {
        setState({ parts: await request('POST', path('/preview'), wanted, abort.signal), problems: [], wanted });
      } catch (problem) {
        if (!abort.signal.aborted) setState((last) => ({ ...last, problems: problem.errors?.length ? problem.errors : [{ field: '', message: problem.message }] }));
      }
    }, state.wanted ? PREVIEW_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [values, data, locale]);
  return state;
}

function Preview({ channel, preview, path, data, setData, isOpen }) {
  const [device, setDevice] = useState('desktop');
  const { parts, problems, wanted } = preview;
  const part = parts?.[channel];
  const form = useRef(null);
  useEffect(() => { if (channel === 'email' && part?.html && isOpen) form.current?.submit(); }, [wanted, channel, device === 'text', isOpen]);
  if (!isOpen) return null;
  return html`<aside class="preview" aria-label="Preview">
    <div class="preview-bar"><h2>Preview</h2>${channel === 'email' && html`<div class="tabs" role="group" aria-label="Device">${['desktop', 'phone', 'text'].map((one) => html`<button key=${one} type="button" aria-pressed=${String(one === device)} onClick=${() => setDevice(one)}>${{ desktop: 'Desktop', phone: 'Phone', text: 'Text' }[one]}</button>`)}</div>`}</div>
    ${problems.length > 0 && html`<ul class="problems" role="status" aria-label="Problems">${problems.slice(0, 8).map((one) => html`<li key=${one.field + one.message}><${Icon} name="warn" /> <span>${one.field && html`<code>${one.field.replace(/^values\./, '')}</code> `}${one.message}</span></li>`)}</ul>`}
    ${parts?.missing?.length > 0 && html`<p class="note warn"><${Icon} name="warn" /> Without a value: ${parts.missing.join(', ')}. A send would be refused.</p>`}
    ${(parts?.warnings ?? []).map((one) => html`<p key=${one} class="note warn"><${Icon} name="warn" /> ${one}</p>`)}
    ${part && channel === 'email' && html`<div class=${`mail-preview ${device}`}>
      <p class="subject"><span class="muted">Subject</span> <b dir="auto">${part.subject}</b></p>
      ${device === 'text' ? html`<pre tabIndex="0" dir="auto">${part.text}</pre>` : html`<iframe sandbox="" title="Preview of the e-mail" name="template-preview"></iframe>
        <form method="post" action=${`${ROOT}${path('/html')}`} target="template-preview" hidden ref=${form}><input type="hidden" name="request" value=${JSON.stringify(wanted)} /></form>`}</div>`}
    ${part && channel !== 'email' && html`<div class=${`bubble ${channel}`} dir="auto">${part.title && html`<b>${part.title}</b>`}${(part.body ?? part.text) && html`<p>${part.body ?? part.text}</p>`}${part.action_url && html`<p class="muted">${part.action_text ?? 'Open'} → ${part.action_url}</p>`}</div>`}
    ${channel === 'sms' && part && html`<${SmsLength} text=${part.text} />`}
    ${parts && !part && problems.length === 0 && html`<p class="muted">This channel has no content.</p>`}
    <details class="data"><summary>Data of the preview</summary><div class="field code"><label class="hidden" for="preview-data">Data as JSON</label><textarea id="preview-data" rows="10" spellcheck=${false} value=${data} onInput=${(event) => setData(event.currentTarget.value)}></textarea></div></details></aside>`;
}

/** Characters of the alphabet of text messages (3GPP TS 23.038); other texts are sent in UCS-2. */
const GSM = /^[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\[~\]|€]*$/;
function SmsLength({ text }) {
  const isGsm = GSM.test(text);
  const length = isGsm ? text.length + (text.match(/[\^{}\\[~\]|€]/g)?.length ?? 0) : text.length;
  const [single, part] = isGsm ? [160, 153] : [70, 67];
  const segments = length <= single ? 1 : Math.ceil(length / part);
  return html`<p class="muted">${length} characters, ${segments} ${segments === 1 ? 'segment' : 'segments'}${!isGsm && ', because of characters outside of the GSM alphabet'}.</p>`;
}

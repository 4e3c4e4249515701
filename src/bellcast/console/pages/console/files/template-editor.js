/**
 * The editor of templates: channels and languages, blocks of e-mails, and a preview beside them that follows each change.
 */
import { Field } from './form.js';
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { createDraft, readDrafted } from './draft.js';
import { ConflictDialog, Dialog, DraftYaml, NewObject, Review, SaveState, Starters, UndoRedo, YamlNote } from './draft-parts.js';
import { TYPES } from './block-model.js';
import { EmailBlocks } from './email-blocks.js';
import { count } from './format.js';
import { Failure, useLoad } from './load.js';
import { DownloadFiles, ManagedBanner, isLocked } from './managed.js';
import { Empty, Icon, Opening, Popup } from './parts.js';
import { BUILDERS, OWNERS } from './roles.js';
import { go, here, scopeOf, setQuery } from './router.js';
import { variablesOf } from './sample-data.js';
import { Segments } from './segments.js';
import { request, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';
import { BrandDialog } from './template-brand.js';
import { Checks, hasErrors, useFindings } from './template-checks.js';
import { Compiled } from './template-html.js';
import { CHANNELS, KIND, at, languageName, missingBlocks, missingTexts, placeOf, tagOf, withAt, withDefault } from './template-model.js';
import { Picture } from './template-picture.js';
import { PHONE_PX, Preview, usePreview, usePreviewData } from './template-preview.js';
import { TextInput, insertText, problemAt, textParts } from './text-input.js';
import { valuesOf } from './yaml.js';

/** What a channel without texts would be, and what it needs. */
const WITHOUT = {
  inbox: ['notifications', 'No text for the bell. A row in the inbox of your app, with a title, and a body and a link if you want.'], email: ['mail', 'No e-mail. A subject and blocks, or HTML, for recipients with an e-mail address.'],
  sms: ['sms', 'No text message. A short text for recipients with a phone number, by a provider of SMS.'], push: ['push', 'No push notification. A title and a body for browsers and phones that allow notifications.'], chat: ['chat', 'No chat message. A text for recipients with an address of a chat provider, such as Slack.'],
};

const PATTERNS = [
  { title: 'E-mail and bell', text: 'A heading, a text and a button', values: {
    inbox: { title: 'New booking by {{ data.client }}' },
    email: { subject: 'New booking by {{ data.client }}', blocks: [{ type: 'heading', text: 'New booking' }, { type: 'text', text: '**{{ data.client }}** booked for {{ data.when | datetime }}.' }, { type: 'button', text: 'Open the booking', url: '{{ data.url }}' }] },
  } },
  { title: 'Receipt', text: 'An e-mail with a list of items', values: {
    email: { subject: 'Your receipt {{ data.number }}', blocks: [{ type: 'heading', text: 'Thank you, {{ recipient.name }}' }, { type: 'list', each: 'data.items', blocks: [{ type: 'columns', columns: [{ blocks: [{ type: 'text', text: '{{ item.name }}' }] }, { blocks: [{ type: 'text', text: "{{ item.price | money('EUR') }}", align: 'right' }] }] }] }, { type: 'divider' }, { type: 'text', text: "Total: **{{ data.total | money('EUR') }}**", align: 'right' }] },
  } },
  { title: 'Short message', text: 'Bell, push and SMS', values: { inbox: { title: 'Your table is ready' }, push: { title: 'Your table is ready' }, sms: { text: '{{ tenant.name }}: your table is ready.' } } },
].map((one) => ({ ...one, picture: html`<${Picture} of=${one.values} />` }));
const valuesOfPattern = (title) => structuredClone(PATTERNS.find((one) => one.title === title)?.values);

/** The page that names a new template. */
export const NewTemplate = ({ page }) => html`<${NewObject} page=${page} kind=${KIND} patterns=${PATTERNS} none=${{ title: 'Empty template', text: 'Add each channel yourself', picture: html`<span class="sheet none"><${Icon} name="plus" /></span>` }} first="E-mail and bell" preview=${(title) => html`<${Sketch} of=${valuesOfPattern(title)} />`} hint="Sends and steps name it by this key, such as booking-reminder." steps=${[['mail', 'Write the texts', 'By channel and language, beside the preview. Each change is saved in a draft.'], ['ok', 'Publish', 'Sends use the version from then on.']]} />`;

export function TemplateEditor({ page }) {
  const tenant = page.query.get('tenant')?.replace(/^\*$/, '') ?? '';
  const loaded = useLoad((signal) => readDrafted(KIND, page.key, tenant, signal), [page.key, tenant]);
  useEffect(() => { if (loaded.problem) page.embedded?.emit('error', { message: loaded.problem.message }); }, [loaded.problem]);
  return html`<${Opening} page=${page} of=${loaded}>${(found) => html`<${Editor} key=${`${page.key} ${tenant}`} page=${page} tenant=${tenant} found=${found} />`}<//>`;
}

function Editor({ page, tenant, found }) {
  const draft = useMemo(() => {
    const one = createDraft({ kind: KIND, key: page.key, tenant, me: page.me, ...found });
    const isEmpty = one.isNew.value && Object.keys(one.values.value).length === 0, starter = valuesOfPattern(page.query.get('starter'));
    if (found.inherited && !found.draft && isEmpty) one.begin(valuesOf(found.inherited));
    else if (starter && isEmpty && page.may(BUILDERS)) one.change(starter);
    return one;
  }, []);
  useEffect(() => () => draft.close(), []);
  useEffect(() => { if (page.query.has('starter')) setQuery({ starter: null }, { isQuiet: true }); }, []);
  const values = draft.values.value;
  const { embedded } = page;
  const may = (right) => !embedded || embedded.may(right);
  const mayRender = page.may(BUILDERS), mayEdit = mayRender && may('edit') && !draft.refusal.value;
  const change = (path, next) => mayEdit && draft.change(typeof path === 'function' ? path(draft.values.value) : withAt(draft.values.value, path, next), typeof next === 'string' ? String(path) : null);
  const [dialog, setDialog] = useState(null);
  const [announced, setAnnounced] = useState('');
  /** On a narrow page, the preview is in the place of the texts, not below them. */
  const [isPreviewed, setPreviewed] = useState(false);
  const say = (text) => setAnnounced((last) => `${text}${last.endsWith(' ') ? '' : ' '}`); // two equal changes are two texts
  const undo = () => { if (draft.undo()) say('Undone'); };
  const redo = () => { if (draft.redo()) say('Redone'); };
  const views = { design: 'Design', yaml: 'YAML', ...(mayEdit && may('html') && { html: 'HTML' }) };
  const view = views[page.query.get('view')] ? page.query.get('view') : 'design';
  const channel = page.query.get('channel') ?? (values.email ? 'email' : Object.keys(CHANNELS).find((one) => values[one]) ?? 'email');
  const locale = page.query.get('locale') ?? '';
  const languages = ['', ...Object.keys(values.translations ?? {}).sort()];
  const compared = page.query.get('beside');
  // A language without texts has those of the default one.
  const beside = compared === null || languages.includes(compared) ? compared : locale ? '' : null;
  const shown = usePreviewData({ path: draft.url, values, isStored: !draft.isNew.value, mayRender });
  const { data } = shown;
  const [brandChanges, setBrandChanges] = useState(0);
  const preview = usePreview({ path: draft.url, values, shown, locale, brandChanges, mayRender });
  const focused = useRef(null);
  const problems = draft.problems.value;
  const findings = useFindings({ path: draft.url, values, problems, brandChanges, mayCheck: mayRender });
  useEffect(() => { if (embedded && draft.save.value.state === 'saved' && draft.hasDraft()) embedded.emit('save', { template: page.key }); }, [draft.save.value]);
  const mayPublish = mayRender && may('publish') && !isLocked(draft.current.value) && problems.length === 0 && !draft.yamlProblem.value && !hasErrors(findings) && draft.isChanged.value;
  const review = () => { if (mayPublish) setDialog('review'); };

  const keys = (event) => {
    if (!(event.ctrlKey || event.metaKey) || document.querySelector('dialog[open]')) return;
    const key = event.key.toLowerCase();
    if (key === 's' && mayEdit) draft.write();
    else if (event.key === 'Enter') review();
    else if (!mayEdit || event.target.closest?.('.yaml')) return;
    else if (key === 'y' || (key === 'z' && event.shiftKey)) redo();
    else if (key === 'z') undo();
    else return;
    event.preventDefault();
  };
  // On the document, because a removed block takes the focus with it; through a reference, so that it sees the last change.
  const pressed = useRef(null);
  pressed.current = keys;
  useLayoutEffect(() => {
    const press = (event) => pressed.current(event);
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  const insert = (text) => { if (focused.current?.input.isConnected) insertText(focused.current, text); };
  const hasChannel = (one) => languages.some((tag) => at(values, placeOf(tag, one)));
  const hasPreview = beside === null && hasChannel(channel);
  const columns = [locale, ...(beside !== null ? [beside] : [])];
  const back = withQuery(page.url(draft.isNew.value && !found.inherited ? '/templates' : `/templates/${encodeURIComponent(page.key)}`), scopeOf(page));
  // A step whose template this is leads here, and back.
  const workflow = page.query.get('workflow');
  const toStep = workflow && withQuery(page.url(`/workflows/${encodeURIComponent(workflow)}`), { ...scopeOf(page), edit: 'yes', step: page.query.get('step') });
  const isEmpty = Object.keys(CHANNELS).every((one) => !values[one]) && languages.length === 1;
  const show = (next) => setQuery({ view: next === 'design' ? null : next }, { isQuiet: true });
  const tools = { insert, variables: variablesOf(values, data), problems, focused, say, isReadOnly: !mayEdit };
  const seen = (of, isOpen) => html`<${Preview} ...${{ channel: of, locale, published: mayRender ? null : draft.current.value ?? found.inherited ?? {}, preview, problems, path: draft.url, shown, isOpen, embedded, tenant, template: page.key }} />`;
  const isSmall = innerWidth <= PHONE_PX;
  const seldom = [(tenant ? mayRender && may('brand') : !embedded && !page.me.tenants && page.may(OWNERS)) && html`<button type="button" class=${isSmall ? 'option' : 'quiet'} onClick=${() => setDialog('brand')}>Brand</button>`,
    mayEdit && (draft.isChanged.value || draft.hasDraft()) && html`<button type="button" class=${isSmall ? 'option' : 'quiet'} onClick=${() => setDialog('discard')}>Discard</button>`];
  return html`<div class="template-editor">
    <header class="editor-bar">
      ${embedded ? html`<button type="button" class="quiet" aria-label="Close" onClick=${() => embedded.emit('close', { template: page.key })}><${Icon} name="back" /></button>` : html`<a class="quiet button" href=${toStep || back} aria-label=${workflow ? `Back to the workflow ${workflow}` : 'Back to the template'}><${Icon} name="back" />${workflow && html`<span>${workflow}</span>`}</a>`}
      <h1 tabIndex="-1">${page.key}</h1>${tenant && !embedded && html`<span class="tag" title=${tenant}>${tenantName(tenant)}</span>`}
      <${SaveState} draft=${draft} isReadOnly=${!mayEdit} />
      <div class="editor-tools"><${Segments} label="View" options=${Object.entries(views)} value=${view} choose=${show} />
        <${Checks} findings=${findings} insertDefault=${mayEdit && !draft.isUnread.value && ((path) => { change((now) => withDefault(now, path)); say(`${path} has a default`); })} />${mayEdit && html`<${UndoRedo} ...${{ draft, undo, redo }} />`}
        ${!isSmall ? seldom : seldom.some(Boolean) && html`<${Popup} label="More" buttonClass="quiet" button=${html`<${Icon} name="more" />`}>${(close) => html`<div class="options" onClick=${close}>${seldom}</div>`}<//>`}
        ${isLocked(draft.current.value) ? html`<${DownloadFiles} kind="templates" one=${draft.current.value} values=${draft.values.value} isPrimary />` : mayRender && may('publish') && html`<button type="button" class="primary" disabled=${!mayPublish} title="Ctrl+Enter" aria-label="Review and publish" onClick=${review}><span class="on-wide">Review and </span>publish</button>`}</div>
    </header>
    <${ManagedBanner} page=${page} kind="templates" one=${draft.current.value} values=${draft.values.value} reload=${draft.reread} isDownloadable=${false} />
    ${draft.refusal.value && html`<p class="editor-note" role="note">${draft.refusal.value}</p>`}
    ${!mayEdit && !draft.refusal.value && html`<p class="editor-note" role="note">You can read this template. Changes need ${embedded ? 'the right to edit' : 'the role developer'}.</p>`}
    ${found.inherited && draft.isNew.value && !embedded && mayEdit && html`<p class="editor-note" role="note">Publishing creates a copy for ${tenant}, which replaces this template there.</p>`}
    ${view !== 'yaml' && mayEdit && html`<${YamlNote} draft=${draft} view="design" open=${() => show('yaml')} />`}
    ${view === 'yaml' ? html`<${DraftYaml} draft=${draft} isReadOnly=${!mayEdit} />`
      : view === 'html' ? html`<div class="editor-body"><div class="split"><${Compiled} ...${{ draft, locale, change, done: () => show('design') }} />${seen('email', true)}</div></div>`
        : isEmpty && mayEdit ? html`<${Starters} of=${PATTERNS} start=${(title) => draft.change(valuesOfPattern(title))}><button type="button" class="quiet" onClick=${() => change(['inbox'], { title: 'Title' })}><${Icon} name="plus" /> Or add a title for the bell</button>${may('html') && html`<button type="button" class="quiet" onClick=${() => setDialog('import')}><${Icon} name="mail" /> Import an e-mail</button>`}<//>`
          : html`<div class="editor-body" inert=${draft.isUnread.value}><div class="parts-bar">
      <div class="segments" role="tablist" aria-label="Channel">${Object.entries(CHANNELS).map(([one, title]) => html`<button key=${one} type="button" role="tab" aria-selected=${String(one === channel)} class=${hasChannel(one) ? '' : 'absent'} onClick=${() => setQuery({ channel: one }, { isQuiet: true })}>${!hasChannel(one) && one !== channel && html`<span aria-hidden="true">+</span>`}${title}</button>`)}</div>
      ${hasPreview && html`<button type="button" class="to-preview" aria-pressed=${String(isPreviewed)} onClick=${() => setPreviewed(!isPreviewed)}>Preview</button>`}
      <${Languages} ...${{ values, change: mayEdit && change, languages, locale, beside }} />
    </div>
    <div class=${`split columns-${hasChannel(channel) ? columns.length : 2}`} data-previewed=${isPreviewed && hasPreview ? '' : null}>
      <div class="editors">${(hasChannel(channel) ? columns : [locale]).map((tag) => html`<section key=${tag} class="panel editor" aria-label=${`${CHANNELS[channel]}, ${languageName(tag)}`}>
        ${columns.length > 1 && html`<h2>${languageName(tag)}</h2>`}
        <${Part} ...${{ channel, locale: tag, values, change, openImport: mayEdit && may('html') && (() => setDialog({ importTo: tag })), ...tools }} /></section>`)}</div>
      ${seen(channel, hasPreview)}
    </div></div>`}
    <p class="hidden" role="status">${announced}</p>
    ${dialog === 'review' && html`<${Review} draft=${draft} close=${() => setDialog(null)} done=${() => embedded?.emit('publish', { template: page.key, version: draft.current.value.version })} />`}
    ${dialog === 'brand' && html`<${BrandDialog} tenant=${tenant} close=${() => setDialog(null)} done=${() => { setBrandChanges(brandChanges + 1); say('Saved the brand'); }} />`}
    ${brandChanges > 0 && html`<p key=${brandChanges} class="confirmation" aria-hidden="true"><${Icon} name="ok" /> Saved the brand</p>`}
    ${dialog === 'discard' && html`<${Dialog} label="Discard the draft?" close=${() => setDialog(null)}><p>The changes since the last publication are lost, also for other operators.</p><div class="dialog-tools"><button type="button" onClick=${() => setDialog(null)}>Cancel</button><button type="button" class="danger" onClick=${() => draft.discard().then(() => setDialog(null), (problem) => setDialog({ problem }))}>Discard</button></div><//>`}
    ${(dialog === 'import' || dialog?.importTo !== undefined) && html`<${ImportDialog} close=${() => setDialog(null)} use=${(part) => change((now) => {
      const place = placeOf(dialog.importTo ?? '', 'email');
      return withAt(now, place, { subject: at(now, place)?.subject ?? 'Subject', ...part });
    })} />`}
    ${dialog?.problem && html`<${Dialog} label="Not done" close=${() => setDialog(null)}><${Failure} problem=${dialog.problem} /><//>`}
    ${draft.theirs.value && html`<${ConflictDialog} draft=${draft} />`}
  </div>`;
}

/** Languages that are offered for a translation; each other tag can be written. */
const COMMON_TAGS = ['en', 'de', 'fr', 'es', 'it', 'pt', 'nl', 'sv', 'da', 'pl', 'tr', 'ja', 'zh', 'ar'];

function Languages({ values, change, languages, locale, beside }) {
  const added = useRef(null);
  // The texts of a new language are what the operator writes next.
  useEffect(() => { if (locale === added.current) document.querySelector('.editors :is(input, textarea)')?.focus(); }, [locale]);
  const add = (tag) => {
    if (!tag || languages.includes(tag)) return;
    const parts = Object.fromEntries(Object.keys(CHANNELS).filter((one) => values[one]).map((one) => [one, values[one]]));
    change((now) => ({ ...now, translations: { ...now.translations, [tag]: parts } }));
    added.current = tag;
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
  const missing = (tag) => (tag ? missingTexts(values, tag) : 0);
  return html`<div class="languages"><div class="segments" role="tablist" aria-label="Language">${languages.map((tag) => html`<button key=${tag} type="button" role="tab" aria-selected=${String(tag === locale)} title=${[languageName(tag), missing(tag) > 0 && `${count(missing(tag), 'text')} missing`].filter(Boolean).join(', ')} onClick=${() => setQuery({ locale: tag || null, beside: null }, { isQuiet: true })}>${tag || 'Default'}${missing(tag) > 0 && html`<span class="missing" aria-hidden="true">${missing(tag)} missing</span>`}</button>`)}</div>
    ${change && html`<${Popup} label="Add a language" buttonClass="quiet" button=${html`<${Icon} name="plus" />${languages.length === 1 && ' Language'}`}>${(close) => html`<form onSubmit=${(event) => {
      event.preventDefault();
      add(tagOf(event.currentTarget.elements.tag.value, COMMON_TAGS));
      close();
    }}><${Field} label="Language" name="tag" required onInput=${({ currentTarget: field }) => field.setCustomValidity(tagOf(field.value, COMMON_TAGS) || !field.value ? '' : 'Such as German, de or pt-BR')} hint="Such as German, de or pt-BR. It begins with the texts of the default language." autocomplete="off" list="language-tags" /><datalist id="language-tags">${COMMON_TAGS.filter((tag) => !languages.includes(tag)).map((tag) => html`<option key=${tag} value=${tag} label=${languageName(tag)} />`)}</datalist><p><button class="primary">Add</button></p></form>`}<//>`}
    ${languages.length > 1 && html`<button type="button" class="quiet" aria-pressed=${String(beside !== null)} onClick=${compare}><${Icon} name="columns" /> Side by side</button>`}</div>`;
}

/** Blocks of the default language that a translation lacks, at their place, and a button that copies them to it. */
const NotTranslated = ({ missing, locale, copy }) => html`<li class="not-translated"><span>Not in ${languageName(locale)}: ${missing.map(({ type }) => TYPES[type]?.title ?? type).join(', ')}</span><button type="button" onClick=${copy}>Copy</button></li>`;

/** The fields of a channel in one language. */
function Part({ channel, locale, values, change, problems, openImport, say, ...tools }) {
  const place = placeOf(locale, channel);
  const part = at(values, place);
  const set = (name) => (next) => change([...place, name], next);
  const start = (content) => change(place, content);
  if (!part) {
    const original = locale ? values[channel] : null;
    const starters = channel === 'email' ? { subject: 'Subject', blocks: [{ type: 'heading', text: 'Title', key: 'title' }, { type: 'text', text: 'Text' }] } : { inbox: { title: 'Title' }, sms: { text: 'Text' }, push: { title: 'Title' }, chat: { text: 'Text' } }[channel];
    const [icon, text] = original ? ['templates', `No ${CHANNELS[channel]} in this language. Recipients get the default language.`] : WITHOUT[channel];
    return html`<${Empty} icon=${icon} text=${text}>
      ${!tools.isReadOnly && html`<button type="button" class="primary" onClick=${() => start(original ?? starters)}>${original ? 'Translate it' : `Add ${CHANNELS[channel]}`}</button>${channel === 'email' && openImport && html` <button type="button" onClick=${openImport}>Import</button>`}`}<//>`;
  }
  const text = (name, label, more = {}) => html`<${TextInput} key=${name} label=${label} value=${part[name] ?? ''} set=${(next) => set(name)(next === '' && more.isOptional ? undefined : next)} problem=${problemAt(problems, [...place, name])} ...${tools} ...${more} />`;
  // The last texts of a language are removed with the language.
  const isLast = locale && !Object.keys(CHANNELS).some((one) => one !== channel && at(values, placeOf(locale, one)));
  const remove = !tools.isReadOnly && html`<p class="part-end">${channel === 'email' && openImport && html`<button type="button" class="quiet" onClick=${openImport}>Import</button>`}<button type="button" class="quiet danger" onClick=${() => {
    change(isLast ? place.slice(0, 2) : place, undefined);
    if (isLast) setQuery({ locale: null, beside: null }, { isQuiet: true });
  }}>Remove ${isLast ? languageName(locale) : CHANNELS[channel] + (locale && ` in ${languageName(locale)}`)}</button></p>`;
  if (channel === 'inbox') return [text('title', 'Title'), text('body', 'Body', { isLong: true, isMarked: true, isOptional: true }), text('action_url', 'Link', { isOptional: true }), text('action_text', 'Text of the link', { isOptional: true }), remove];
  if (channel === 'push') return [text('title', 'Title'), text('body', 'Body', { isLong: true, isOptional: true }), remove];
  if (channel !== 'email') return [text('text', 'Text', { isLong: true }), remove];
  const lacking = locale && Array.isArray(values.email?.blocks) && Array.isArray(part.blocks) && !tools.isReadOnly ? missingBlocks(values.email.blocks, part.blocks) : {};
  const gapAt = (index) => lacking[index] && html`<${NotTranslated} key=${`gap ${index}`} missing=${lacking[index]} locale=${locale} copy=${() => set('blocks')(part.blocks.toSpliced(index, 0, ...structuredClone(lacking[index])))} />`;
  return [text('subject', 'Subject'), part.blocks
    ? html`<${EmailBlocks} key="blocks" mail=${part} place=${place} change=${change} problems=${problems} say=${say} gapAt=${gapAt} ...${tools} />`
    : text(part.html === undefined && part.text !== undefined ? 'text' : 'html', part.html === undefined && part.text !== undefined ? 'Text' : 'HTML', { isLong: true, isCode: true }),
  !part.blocks && !tools.isReadOnly && html`<p><button type="button" key="to-blocks" onClick=${() => start({ ...part, html: undefined, text: undefined, blocks: [{ type: 'html', html: part.html ?? part.text ?? '' }] })}>Continue with blocks</button> <span class="muted">The text becomes the first block.</span></p>`, remove];
}

// --- The messages of a template before there is data for them: their texts, with variables as tags.

const Blocks = ({ of }) => of.map((one, index) => html`<${Block} key=${index} of=${one} />`);

function Block({ of: { type, text, align, blocks, columns } }) {
  if (columns) return html`<div class="halves">${columns.map((one, index) => html`<div key=${index}><${Blocks} of=${one.blocks} /></div>`)}</div>`;
  if (blocks) return html`<${Blocks} of=${blocks} />`;
  if (type === 'divider') return html`<hr />`;
  const inner = textParts(text, type === 'text');
  return type === 'heading' ? html`<b class="as-heading level-1">${inner}</b>` : type === 'button' ? html`<span class="sketch-button">${inner}</span>` : html`<p class=${align}>${inner}</p>`;
}

/** @param {{of: any}} template */
const Sketch = ({ of: { inbox, email, push, sms } }) => html`${inbox && html`<div class="bell-row"><span class="avatar tone-0"><${Icon} name="notifications" /></span><b>${textParts(inbox.title)}</b></div>`}
  ${email && html`<div class="mail-preview"><p class="subject"><b>${textParts(email.subject)}</b></p><div class="sketch"><${Blocks} of=${email.blocks} /></div></div>`}
  ${push && html`<div class="push"><b>${textParts(push.title)}</b></div>`}${sms && html`<p class="bubble">${textParts(sms.text)}</p>`}`;

// --- Imports of e-mails: MJML or HTML of another tool becomes the e-mail of the draft, once its author has seen what was removed.

const SHOWN = 50;

/** The dialog that reads a file or a pasted source. `use` gets the e-mail. */
function ImportDialog({ close, use }) {
  const [source, setSource] = useState('');
  const [result, setResult] = useState({});
  const read = async (text) => {
    setSource(text);
    setResult({});
    if (!text.trim()) return;
    try {
      setResult(await request('POST', '/v1/templates/import', { format: /<mjml[\s>]/i.test(text) ? 'mjml' : 'html', source: text }));
    } catch (problem) {
      setResult({ problem });
    }
  };
  const { part, findings = [], problem } = result;
  return html`<${Dialog} label="Import an e-mail" isWide close=${close}><p class="muted">MJML, or HTML such as React Email writes. What runs or loads from elsewhere is removed.</p>
    <div class="form-field"><label class="form-label" for="import-file">File, chosen or dropped here</label><input id="import-file" type="file" accept=".mjml,.html,.htm,text/html" onChange=${async (event) => read(await event.currentTarget.files[0]?.text() ?? '')} /></div>
    <div class="form-field"><label class="form-label" for="import-source">Or paste it</label><textarea id="import-source" class="code" placeholder="<mjml>…</mjml>" rows="6" spellcheck=${false} value=${source} onInput=${(event) => setSource(event.currentTarget.value)} onChange=${(event) => read(event.currentTarget.value)}></textarea></div>
    ${problem && html`<${Failure} problem=${problem} />`}
    <div role="status">${part && html`<p class="import-result"><${Icon} name=${findings.length > 0 ? 'warn' : 'ok'} /> <b dir="auto">${part.subject ?? 'No subject'}</b> <span class="muted">${count(part.html.length, 'character')} of HTML, ${findings.length === 0 ? 'nothing was removed' : count(findings.length, 'finding')}</span></p>`}</div>
    ${findings.length > 0 && html`<ul class="import-findings" tabIndex="0" aria-label="Findings">${findings.slice(0, SHOWN).map((one, index) => html`<li key=${index} class=${one.severity}>${one.line && html`<code>line ${one.line}</code> `}${one.message}</li>`)}${findings.length > SHOWN && html`<li>and ${findings.length - SHOWN} more</li>`}</ul>`}
    <div class="dialog-tools"><button type="button" onClick=${close}>Cancel</button>${part ? html`<button type="button" class="primary" onClick=${() => { use(part); close(); }}>Use this e-mail</button>` : html`<button type="button" class="primary" disabled=${!source.trim()} onClick=${() => read(source)}>Read the e-mail</button>`}</div><//>`;
}

/**
 * The parts that editors of drafts share: whether it is saved, review and publish, and a conflict.
 */
import { Modal } from './dialogs.js';
import { Form } from './form.js';
import { html, useEffect, useRef, useState } from './html.js';
import { DraftComments } from './draft-yaml.js';
import { prepare, reasonOf } from './draft.js';
import { Difference } from './difference.js';
import { count, relativeTime } from './format.js';
import { loadStyle } from './load.js';
import { teaser } from './object-parts.js';
import { Heading, Icon, withWholeWords } from './parts.js';
import { BUILDERS } from './roles.js';
import { BASE, go, objectTenant } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { me } from './session.js';
import { stepPathOf, summaryOf, templatesOf, typeOf, valueAt } from './workflow-model.js';
import { toYaml, valuesOf } from './yaml.js';
import { KEY_RULE, KeyFields } from './key-fields.js';
import { TenantField } from './tenant-field.js';

export { DraftYaml } from './draft-yaml.js';

await loadStyle('draft.css');

/** Objects among which those with drafts are found, and drafts of which the steps are read. */
const MAX_RELATED = 200, MAX_READ = 20;
/** Findings of a template's checks that are repeated before a publication, by their codes. */
const REPEATED = { 'Data that a run may lack': ['missing_variable', 'unknown_variable'], 'Hard to read': ['contrast'] };

/** States of saving in which the server does not have the draft. */
const UNSAVED = ['offline', 'conflict', 'refused'];

/** The objects that a draft is used with: the templates of a workflow, and the workflows of a template. */
const RELATED = {
  workflows: { plural: 'templates', name: 'template', keysOf: (draft) => templatesOf(draft.values.value.steps) },
  templates: { plural: 'workflows', name: 'workflow', keysOf: (draft) => (draft.current.value?.uses ?? []).map((one) => /^workflows\/([^?]*)/.exec(one)?.[1]).filter(Boolean) },
};

const draftOf = (plural) => ({ key, tenant }) => get(withQuery(path`/v1/${plural}/${key}/draft`, { tenant })).catch(() => ({ values: {} }));

/** The related objects that have drafts of their own, which a publication leaves as they are. Of a template, also the workflows of which only the draft names it. */
async function relatedDrafts(draft) {
  const isTemplate = draft.kind.plural === 'templates', { plural, keysOf } = RELATED[draft.kind.plural], keys = keysOf(draft);
  if ((keys.length === 0 && !isTemplate) || !isInConsole()) return [];
  const found = await get(withQuery(`/v1/${plural}`, { tenant: draft.tenant, drafts: true, limit: MAX_RELATED })).catch(() => ({ [plural]: [] }));
  const drafted = found[plural].filter((one) => one.draft).map(({ key, tenant }) => ({ key, tenant: tenant ?? '', isFuture: !keys.includes(key) }));
  const others = isTemplate ? drafted.filter((one) => one.isFuture).slice(0, MAX_READ) : [];
  const read = await Promise.all(others.map(draftOf(plural)));
  return [...drafted.filter((one) => !one.isFuture), ...others.filter((_, index) => templatesOf(read[index].values.steps).includes(draft.key))];
}

/** The findings of a template, or of the templates of a workflow, that are repeated. */
async function findingsOf(draft) {
  const isTemplate = draft.kind.plural === 'templates', { tenant } = draft;
  const keys = isTemplate ? [draft.key] : [...new Set(templatesOf(draft.values.value.steps))];
  const check = (key) => (isTemplate ? request('POST', draft.url('/check'), { values: draft.values.value }) : request('POST', withQuery(path`/v1/templates/${key}/check`, { tenant }), {}));
  const found = await Promise.all(keys.map((key) => check(key).catch(() => ({ findings: [] }))));
  return keys.flatMap((key, index) => found[index].findings.filter(({ code }) => Object.values(REPEATED).flat().includes(code)).map(({ code, message }) => ({ key, code, message })));
}

/** Whether the editor is a page of the console, not embedded in an app. */
const isInConsole = () => location.pathname.startsWith(BASE);

const editorOf = (plural, key, tenant) => withQuery(`${BASE}${path`/${plural}/${key}`}`, { edit: 'yes', tenant });

/** Drafts of related objects, as links to their editors. */
function RelatedDrafts({ draft, of }) {
  const { plural, name } = RELATED[draft.kind.plural];
  return of.map(({ key, tenant, isFuture }) => html`<p key=${key}>The ${name} ${key} ${isFuture ? `uses ${draft.key} once its draft is published.` : 'still has a draft that is not published.'} <a href=${editorOf(plural, key, tenant)}>Review it</a></p>`);
}

/** A part of the review of a draft. */
const Section = ({ title, isWarning, children }) => html`<section class="review-part"><h3>${isWarning && html`<${Icon} name="warn" /> `}${title}</h3>${children}</section>`;

/** What a publication should not surprise with: variables of a workflow's own texts, by step and field, and findings of templates, with links to those of a workflow. */
const Findings = ({ draft, own = [], of }) => Object.entries(REPEATED).map(([title, codes]) => {
  const texts = own.filter(({ code }) => codes.includes(code)), templates = of.filter(({ code }) => codes.includes(code));
  return texts.length + templates.length > 0 && html`<${Section} key=${title} title=${title} isWarning><ul>${texts.map(({ field, code, message }) => html`<li key=${field + message} data-effect=${code}><b>${valueAt(draft.values.value, stepPathOf(field))?.key}</b>, ${field.replace(`${stepPathOf(field)}.`, '')}: ${message}</li>`)}${templates.map(({ key, code, message }) => html`<li key=${key + message} data-effect=${code}>${draft.kind.plural === 'workflows' && html`Template <a href=${editorOf('templates', key, draft.tenant)}>${key}</a>: `}${message}</li>`)}</ul><//>`;
});

/** What was published, and the way back. It stays until it is closed, or the draft changes. */
function Published({ draft }) {
  const [problem, setProblem] = useState('');
  const { version, before, drafts, isRestored } = draft.lastPublished.value, isWorkflow = draft.kind.plural === 'workflows';
  const restore = async () => {
    try {
      await request('PATCH', draft.url(''), { version: before });
      await draft.reopen();
      draft.lastPublished.value = { version: before, before: null, drafts: [], isRestored: true };
    } catch (failed) {
      setProblem(failed.message);
    }
  };
  return html`<section class="published" aria-label="Published"><${Icon} name="ok" /><div><p><b>${isRestored ? `Version ${version} is current again.` : `Version ${version} is published.`}</b> ${isRestored || !isWorkflow ? '' : 'New triggers use it; current runs keep theirs.'}</p><${RelatedDrafts} draft=${draft} of=${drafts} />${problem && html`<p class="error" role="alert">${problem}</p>`}
    ${isInConsole() && html`<div class="choice">${isWorkflow && html`<a class="button" href=${withQuery(`${BASE}/runs`, { workflow: draft.key, tenant: draft.tenant })}>See its runs</a>`}${before && html`<button type="button" onClick=${restore}>Go back to version ${before}</button>`}</div>`}</div>
    <button type="button" class="quiet" aria-label="Dismiss" onClick=${() => { draft.lastPublished.value = null; }}><${Icon} name="close" /></button></section>`;
}

/** Why a draft cannot be published now; null if it can. */
export function obstacleOf({ problems, yamlProblem, isChanged, save }) {
  if (problems.value.length > 0) return `${count(problems.value.length, 'problem')} to solve`;
  if (yamlProblem.value) return 'The YAML cannot be read';
  if (UNSAVED.includes(save.value.state)) return 'The draft is not saved';
  return isChanged.value ? null : 'Nothing has changed';
}

/** Whether the draft is saved, in words, and below it what was published. */
export function SaveState({ draft, isReadOnly }) {
  const { state, text, requestId } = draft.save.value;
  const mayRetry = !isReadOnly && (state === 'offline' || (state === 'refused' && !draft.yamlProblem.value));
  const saver = draft.saver.value;
  const words = isReadOnly ? '' : state === 'saved' && saver ? `Draft saved${saver.by && saver.by !== me.value.name ? ` by ${saver.by}` : ''}, ${relativeTime(saver.at)}` : state === 'saved' ? (draft.isNew.value ? 'New' : `Version ${draft.current.value.version}`) : text;
  return html`<span class="save-state" data-save=${state} title=${words} data-unsaved=${UNSAVED.includes(state) ? '' : null} role="status">${words}${mayRetry && requestId && html` Request <code>${requestId}</code>`}</span>${mayRetry && html`<button type="button" class="quiet" onClick=${draft.write}>Retry</button>`}${draft.lastPublished.value && html`<${Published} draft=${draft} />`}`;
}

const Pattern = ({ of: { title, text, picture } }) => html`<span class="starter-picture" aria-hidden="true">${picture}</span><b>${withWholeWords(title)}</b><span>${withWholeWords(text)}</span>`;

/** The choice of a pattern in a form. `none` stands for a new object without one. */
const StarterChoice = ({ of: patterns, none, chosen, choose }) => html`<fieldset class="starter-choice" onChange=${({ target }) => choose(target.value)}><legend>Start with</legend><div class="starter-list">${[...patterns, none].map((one) => html`<label key=${one.title} class="starter"><input type="radio" class="hidden" name="starter" value=${one === none ? '' : one.title} checked=${chosen === (one === none ? '' : one.title)} /><${Pattern} of=${one} /></label>`)}</div></fieldset>`;

/** What an empty object can begin with, and other ways as `children`. */
export const Starters = ({ of: patterns, start, children }) => html`<div class="starters"><h2>Start with</h2><div class="starter-list">${patterns.map((one) => html`<button key=${one.title} type="button" class="starter" onClick=${() => start(one.title)}><${Pattern} of=${one} /></button>`)}</div>${children}</div>`;

/** The page that names a new object. `preview` shows what begins with a pattern; `first` is chosen at first. */
export function NewObject({ page, kind, hint, steps, patterns, none, first = '', preview }) {
  const [chosen, choose] = useState(first);
  const tenant = page.query.get('tenant')?.replace(/^\*$/, '') ?? '';
  if (!page.may(BUILDERS)) return html`<${Heading} title=${`New ${kind.name}`} /><p>Your role, ${page.me.role}, does not permit this page.</p>`;
  const create = async ({ key, tenant: of = '', starter }) => {
    if (!of.trim()) await prepare(kind, key.trim());
    go(withQuery(page.url(`/${kind.plural}/${encodeURIComponent(key.trim())}`), { edit: 'yes', ...objectTenant({ tenant: of.trim() }), starter }));
  };
  return html`<div class="pane-bar"><a class="quiet" aria-label=${`Back to ${page.title}`} href=${page.url(`/${kind.plural}`)}><${Icon} name="back" /> ${page.title}</a></div><${Heading} title=${`New ${kind.name}`} /><p class="muted">${kind.note}</p>
    <div><${Form} class="editing" button=${`Create ${kind.name}`} send=${create} more=${html`<a class="button" href=${page.url(`/${kind.plural}`)}>Cancel</a>`}><div class="naming"><div class="fields"><${KeyFields} hasName=${false} pattern="[A-Za-z0-9_.\\-]+" title=${KEY_RULE} hint=${hint}><${TenantField} of=${tenant} none="All tenants" /><//><${StarterChoice} ...${{ of: patterns, none, chosen, choose }} /></div>
    ${chosen ? html`<aside class="start-preview" aria-label="Preview"><h2>${withWholeWords(chosen)}</h2>${preview(chosen)}</aside>` : html`<ol class="next-steps" aria-label="What comes next">${steps.map(([icon, title, text]) => html`<li key=${title}><span class="drawing"><${Icon} name=${icon} /></span><b>${title}</b><span>${withWholeWords(text)}</span></li>`)}</ol>`}</div><//></div>`;
}

/** Steps one below the other, as the cards of the canvas, after their trigger. */
export const StepList = ({ of: steps }) => html`<ol class="step-list"><li class="step-card"><span class="step-icon tone-6"><${Icon} name="playground" /></span><span class="step-text"><span class="step-kind">Trigger</span><span class="step-summary">By your app, for each recipient</span></span></li>${steps.map((step) => html`<li key=${step.key} class="step-card"><span class=${`step-icon tone-${typeOf(step).tone}`}><${Icon} name=${typeOf(step).icon} /></span><span class="step-text"><span class="step-kind">${typeOf(step).text}</span><span class="step-summary">${teaser(summaryOf(step))}</span></span></li>`)}</ol>`;

/** The buttons of the last change. They can be pressed when there is none, so that a button that was just pressed keeps the focus; a text that cannot be read then stays. */
export const UndoRedo = ({ draft, undo, redo }) => [['Undo', 'Ctrl+Z', 'past', undo], ['Redo', 'Ctrl+Shift+Z', 'future', redo]].map(([word, keys, side, act]) => html`<button type="button" class="quiet" aria-label=${word} title=${`${word} (${keys})`} aria-disabled=${draft.history.value[side].length === 0 || null} onClick=${() => draft.history.value[side].length > 0 && act()}><${Icon} name=${word.toLowerCase()} /></button>`);

/** A modal dialog of an editor. */
export const Dialog = ({ isWide, children, ...more }) => html`<${Modal} class=${`editor-dialog ${isWide ? 'wide' : ''}`} ...${more}><div class="dialog-body"><h2>${withWholeWords(more.label)}</h2>${children}</div><//>`;

const SIGNS = { added: ['+', 'ok'], removed: ['−', 'bad'], moved: ['↕', 'info'], changed: ['~', 'warn'], renamed: ['~', 'info'] };
/** Characters of a changed text before its first difference, and in all. */
const LEAD = 40, EXCERPT = 240;
/** Two texts from shortly before their first difference. */
function excerpts(old, now) {
  let same = 0;
  while (same < old.length && old[same] === now[same]) same += 1;
  const start = same > LEAD * 2 ? same - LEAD : 0;
  return [old, now].map((text) => `${start > 0 ? '…' : ''}${text.slice(start, start + EXCERPT)}${text.length > start + EXCERPT ? '…' : ''}`);
}

/** A changed text, before and after. */
function TextChange({ of: [field, ...texts] }) {
  const [old, now] = excerpts(...texts);
  return html`<div class="text-change"><span class="muted">${field.replaceAll('_', ' ')}</span>${old && html`<del dir="auto">${old}</del>`}${now && html`<ins dir="auto">${now}</ins>`}</div>`;
}

/** What differs, by step or block, with the old and the new text. */
const Changes = ({ changes }) => html`<ul class="change-list">${changes.map(([kind, key, detail, texts = []]) => html`<li key=${kind + key + detail} data-change=${kind}><span class=${`diff-sign ${SIGNS[kind][1]}`} aria-hidden="true">${SIGNS[kind][0]}</span><b>${key}</b> <span class="muted">${kind}${detail !== texts.map(([field]) => field).join(', ') && ` ${detail}`}</span>${texts.map((one) => html`<${TextChange} key=${one[0]} of=${one} />`)}</li>`)}</ul>`;

/** Effects of a publication after which sends, triggers or uses are refused. */
const REFUSALS = ['data_refused', 'triggers_refused', 'breaks_use', 'required_changed'];
/** The effect of a channel without a provider. */
const LACKING = 'credentials_missing';
const effectList = (effects) => html`<ul>${effects.map((one) => html`<li key=${one.code + one.text} data-effect=${one.code}>${one.text}</li>`)}</ul>`;

/** Review the draft, and publish it. */
export function Review({ draft, close, done }) {
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const note = useRef(null);
  const related = useRef(null);
  const [drafts, setDrafts] = useState([]);
  const [findings, setFindings] = useState([]);
  const load = () => draft.publish(null, true).then((found) => { setPlan(found); setProblem(null); }, setProblem);
  useEffect(() => {
    load();
    related.current = relatedDrafts(draft);
    related.current.then(setDrafts);
    findingsOf(draft).then(setFindings);
  }, []);
  const before = draft.current.value ? valuesOf(draft.current.value) : {};
  const changes = draft.changes.value;
  const publish = async () => {
    setBusy(true);
    try {
      const last = draft.current.value?.version ?? null, one = await draft.publish(note.current.value.trim(), false);
      draft.lastPublished.value = { version: one.version, before: last, drafts: await related.current };
      done(`Published as version ${one.version}`);
      close();
    } catch (failed) {
      setProblem(failed);
    }
    setBusy(false);
  };
  const isStale = problem?.status === 409;
  // Without a provider, messages were not delivered before either.
  const [refusals, facts, lacking] = [(code) => REFUSALS.includes(code), (code) => !REFUSALS.includes(code) && code !== LACKING, (code) => code === LACKING].map((isKind) => plan?.effects.filter(({ code }) => isKind(code)) ?? []);
  return html`<${Dialog} label=${draft.current.value ? `Publish version ${(draft.current.value.version ?? 0) + 1}` : 'Publish'} close=${close} isWide>
    <${Section} title="Changes">${changes.length > 0 && html`<${Changes} changes=${changes} />`}<details class="yaml-diff" open=${changes.length === 0}><summary>As YAML</summary><${Difference} before=${draft.current.value ? toYaml(before) : ''} after=${toYaml(draft.values.value)} /></details><//>
    ${facts.length > 0 && html`<${Section} title="Effects">${effectList(facts)}<//>`}
    ${refusals.length > 0 && html`<${Section} title="What is refused from then on" isWarning>${effectList(refusals)}<//>`}
    <${Findings} draft=${draft} own=${plan?.findings} of=${findings} />
    ${lacking.length > 0 && html`<${Section} title="Stored, not delivered" isWarning>${effectList(lacking)}<p><a href=${`${BASE}/providers?new=yes`}>New provider</a></p><//>`}
    ${drafts.length > 0 && html`<${Section} title="Not published with it"><${RelatedDrafts} draft=${draft} of=${drafts} /><//>`}
    ${problem && html`<p class="error" role="alert">${problem.message}</p>`}
    ${isStale && html`<p><button type="button" onClick=${() => draft.rebase().then(load, setProblem)}>Compare with the current version</button></p>`}
    <div class="form-field"><div class="form-label"><label for="publish-note">Note</label></div><input id="publish-note" ref=${note} maxLength="500" autoComplete="off" placeholder="Why? Shown in the list of versions." /></div>
    <div class="dialog-tools"><button type="button" onClick=${close}>Cancel</button><button type="button" class="primary" disabled=${isBusy || plan === null || isStale} onClick=${publish}>Publish</button></div><//>`;
}

/** Two editors have changed the draft. */
export function ConflictDialog({ draft }) {
  const [isComparing, setComparing] = useState(false);
  const { draft: found } = draft.theirs.value, isOwn = found.by === me.value.name, when = found.updated_at ? relativeTime(found.updated_at) : '';
  return html`<${Dialog} label="Changed in the meantime" isFixed isWide=${isComparing}>
    <p>${found.by ? `${isOwn ? 'Your other tab' : found.by} saved this draft ${when} while you were editing.` : 'The draft was published or discarded while you were editing.'} Your changes are kept in this tab.</p>
    ${isComparing && html`<p class="compared"><span class="bad">− ${isOwn ? 'Your other tab' : 'Theirs'}${found.by && ` (${[!isOwn && found.by, when].filter(Boolean).join(', ')})`}</span><span class="ok">+ Mine</span></p><${Changes} changes=${draft.kind.differencesOf(found.values, draft.values.value)} /><${Difference} before=${toYaml(found.values)} after=${draft.yamlText.value} />`}
    <div class="dialog-tools">${!isComparing && html`<button type="button" onClick=${() => setComparing(true)}>Compare</button>`}<button type="button" onClick=${draft.takeTheirs}>${isOwn ? 'Take your other tab’s' : 'Take theirs'}</button><button type="button" class="primary" onClick=${draft.keepMine}>Keep mine</button></div><//>`;
}

/** What the other view of a draft shows while its YAML cannot be read. */
export const YamlNote = ({ draft, view, open }) => (draft.yamlProblem.value ? html`<p class="editor-note" role="note">The YAML is not read (${reasonOf(draft.yamlProblem.value).replace(/\.$/, '')}): the ${view} shows the last definition without errors, and cannot be changed. <button type="button" onClick=${open}>Correct the text</button></p>` : html`<${DraftComments} draft=${draft} open=${open} />`);

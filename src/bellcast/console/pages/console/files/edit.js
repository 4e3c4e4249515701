/**
 * The page that edits or creates an object, as a form or as YAML: the server checks it, and the page shows the difference before it is saved.
 */
import { DefinitionForm } from './definition-form.js';
import { Confirm } from './dialogs.js';
import { Difference } from './difference.js';
import { Form, errorOf } from './form.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { KEY_RULE, KeyFields, takenKey } from './key-fields.js';
import { Together, useLoad } from './load.js';
import { Heading, Icon, Opening } from './parts.js';
import { BUILDERS } from './roles.js';
import { objectTenant, scopeOf, setQuery, tenantOf } from './router.js';
import { Segments } from './segments.js';
import { getTagged, putYaml, withQuery } from './server.js';
import { commentsOf } from './workflow-model.js';
import { toYaml, valuesOf, yamlOf } from './yaml.js';
import { CommentNote, YamlEditor } from './yaml-editor.js';
import { TenantField } from './tenant-field.js';
import { say } from './toast.js';
import { tenantName } from './tenant-names.js';
import { BellRow } from './bell-row.js';
import { Code } from './code.js';
import { NextTimes } from './cron-times.js';
import { To, isRequired } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';

/** @typedef {{name: string, path: string, starter: object, note: string, form: string[], parts?: Record<string, string[]>, nameOf?: (values: any) => string, fields: [string, string][]}} Kind `path` is that of the API and of the page; `form` names the fields of the form, `parts` those of its parts by title, `nameOf` is what a key is derived from without a name, `fields` can be written */

/** A link to the editor of an object, or of a tenant's override of it. */
export function EditLink({ page, one, word = 'Edit', isPrimary = false }) {
  const { tenant } = tenantOf(page);
  return page.may(BUILDERS) && html`<a class=${isPrimary ? 'button primary' : 'button'} href=${withQuery(page.path, { edit: 'yes', ...scopeOf(page) })}>${(one.tenant ?? '') === tenant ? word : `Override for ${tenantName(tenant)}`}</a>`;
}

/** The button of a list that opens the editor of a new object. */
export const newLink = (page, kind) => page.may(BUILDERS) && html`<a class="button primary" href=${withQuery(page.url(kind.path), { edit: 'new', ...tenantOf(page) })}><${Icon} name="plus" /> New ${kind.name}</a>`;

const target = (kind, key, query) => withQuery(`/v1${kind.path}/${encodeURIComponent(key)}`, query);

/** The page of the editor. @param {{page: any, kind: Kind}} of */
export function Edit({ page, kind }) {
  if (!page.may(BUILDERS)) return html`<${Heading} title=${`Edit ${kind.name}`} /><p>Your role, ${page.me.role}, does not permit this page.</p>`;
  return page.key === null ? html`<${Editor} page=${page} kind=${kind} read=${{ text: toYaml(kind.starter), values: kind.starter, tag: null }} />` : html`<${Stored} page=${page} kind=${kind} />`;
}

function Stored({ page, kind }) {
  const found = useLoad((signal) => getTagged(target(kind, page.key, tenantOf(page)), signal));
  return html`<${Opening} page=${page} of=${found}>${({ value, tag }) => html`<${Editor} page=${page} kind=${kind} read=${{ text: yamlOf(value), values: valuesOf(value), tag, one: value }} />`}<//>`;
}

const conditionOf = (tag) => (tag === null ? { 'if-none-match': '*' } : { 'if-match': tag });

/** `read` is the object as it was read: the difference is computed from it, and the write fails if it has changed. */
function Editor({ page, kind, read }) {
  const isNew = page.key === null, { tenant: own } = tenantOf(page);
  const draft = useRef(draftOf(page)).current;
  const [saved] = useState(draft.read);
  const [base, setBase] = useState(read);
  // The version of the object that the text is a change of.
  const tag = useRef(saved ? saved.tag : read.tag);
  const [text, setText] = useState(saved?.text ?? read.text);
  // The values of the text for the form; null while the text has been changed since.
  const [values, setValues] = useState(saved ? saved.values ?? null : read.values);
  const isYaml = values === null || page.query.get('view') === 'yaml';
  const [problem, setProblem] = useState(null);
  const [review, setReview] = useState(null);
  const [notice, setNotice] = useState(saved ? 'Your changes in this tab are here again.' : null);
  const [hasDraft, setHasDraft] = useState(saved !== null);
  const place = useRef(null), title = useRef(null);
  useLayoutEffect(() => title.current?.focus(), [review]);

  useEffect(() => { if (problem) place.current.querySelector('.definition-form [aria-invalid=true]')?.focus(); }, [problem]);

  const change = (value, parsed = null) => {
    setText(value);
    setValues(parsed);
    draft.write({ text: value, values: parsed, tag: tag.current });
    setHasDraft(true);
    setReview(null);
  };
  const chosen = () => {
    if (!isNew) return { key: page.key, tenant: own };
    const { key, tenant } = Object.fromEntries(new FormData(place.current.querySelector('form')));
    return { key: key.trim(), tenant: tenant.trim() };
  };
  const back = (key = page.key, of = scopeOf(page)) => withQuery(page.url(key === null ? kind.path : `${kind.path}/${encodeURIComponent(key)}`), of);
  const put = ({ key, tenant }, query, condition = conditionOf(tag.current)) => putYaml(target(kind, key, { tenant, ...query }), text, condition);

  /** Let the server check the text, and show what would change, from `now` on. */
  const check = async (now = base) => {
    setReview(null);
    setProblem(null);
    await attempt(async () => {
      const { key, tenant } = chosen();
      const after = yamlOf(await put({ key, tenant }, { dry_run: true }));
      const isSame = after === now.text && !isCopy(own, now);
      setReview({ title: isSame ? 'Nothing changed' : 'Changes', before: now.text, after, isSame });
    });
  };
  /** Show the form. The server reads a text that was changed. */
  const showForm = () => attempt(async () => {
    setProblem(null);
    if (values === null) setValues(valuesOf(await put({ key: page.key ?? 'new', tenant: own }, { dry_run: true }, {})));
    setQuery({ view: null }, { isQuiet: true });
  });
  const save = () => attempt(async () => {
    const { key, tenant } = chosen();
    await put({ key, tenant });
    draft.clear();
    say(`${isNew ? 'Created' : 'Saved'} ${key}`, isNew ? target(kind, key, { tenant }) : null);
    page.go(back(key, isNew ? objectTenant({ tenant }) : undefined));
  });

  /** Send a write request, and show the reason if it is refused. If the object has changed in the meantime, compare the text with the current version. */
  const attempt = async (write) => {
    try {
      await write();
    } catch (failed) {
      if (failed.status !== 412) {
        setReview(null);
        setProblem(failed);
      } else if (isNew) {
        const { key, tenant } = chosen();
        setReview(null);
        throw Object.assign(failed, { errors: [takenKey(key, kind.name, back(key, objectTenant({ tenant })))] });
      } else await check(await readAgain());
    }
  };
  const readAgain = async () => {
    let now = { text: '', tag: null };
    try {
      const { value, tag: current } = await getTagged(target(kind, page.key, { tenant: own }));
      now = { text: yamlOf(value), tag: current, one: value };
      setNotice(`${page.key} has changed in the meantime${value.version ? `: now it is version ${value.version}` : ''}. Your text is kept, and the changes below are relative to the current version.`);
    } catch (failed) {
      if (failed.status !== 404) throw failed;
      setNotice(`${page.key} has been deleted in the meantime. Your text is kept; saving creates it again.`);
    }
    tag.current = now.tag;
    setBase(now);
    draft.write({ text, values, tag: now.tag });
    return now;
  };

  // What the browser refuses of the definition is said where the server's errors are.
  const refuse = (event) => {
    const { target } = event, { field } = target.dataset;
    if (!field) return;
    event.preventDefault();
    const error = { field, message: errorOf(target) };
    setProblem((last) => ({ message: '', errors: [...(last?.errors ?? []).filter((one) => one.field !== field), error] }));
  };
  const hasName = isNew && !isYaml && kind.form.includes('name');
  const setName = (name) => {
    const { name: _, ...others } = values, next = { ...(name && { name }), ...others };
    change(toYaml(next), next);
  };
  const isReviewed = review !== null && !review.isSame;
  const comments = commentsOf(text, values ?? {});
  const shared = { values: { value: values }, problems: { value: problem?.errors ?? [] }, findings: { value: [] }, tenant: own, change: (next) => change(toYaml(next), next) };
  return html`<div class="pane-bar"><a class="quiet" aria-label=${`Back to ${isNew ? page.title : page.key}`} href=${back()}><${Icon} name="back" /> ${isNew ? page.title : page.key}</a></div>
    <${Heading} title=${isNew ? `New ${kind.name}` : `Edit ${page.key}`}><${Segments} label="View" options=${['Form', 'YAML']} value=${isYaml ? 'YAML' : 'Form'} choose=${(view) => (view === 'Form' ? showForm() : setQuery({ view: 'yaml' }, { isQuiet: true }))} /><//>
    <p class="muted">${isCopy(own, base) && `${tenantName(own)} uses the version for all tenants. Saving creates a copy for ${tenantName(own)} that later changes for all tenants do not affect. `}${kind.note}</p><p role="status">${notice}</p>${!isYaml && html`<${CommentNote} comments=${comments} />`}
    <${Together}><div ref=${place} onInvalidCapture=${refuse}><${Form} class="editing" isWaiting=${!isNew && !hasDraft && !isCopy(own, base)} button=${isNew ? `Create ${kind.name}` : isReviewed ? 'Save' : 'Review changes'} send=${() => (isNew || isReviewed ? save() : check())} more=${hasDraft ? html`<${Confirm} isDanger label="Discard the changes" word="Discard" about="What you entered in this tab is lost." act=${() => {
    draft.clear();
    page.go(back());
  }} />` : html`<a class="button" href=${back()}>Cancel</a>`}>
      <div class=${isYaml ? 'fields' : 'definition'}>${isNew && html`<${KeyFields} hasName=${hasName} name=${values && (kind.nameOf?.(values) ?? values.name)} nameHint=${kind.fields.find(([name]) => name === 'name')?.[1]} onName=${setName} pattern="[A-Za-z0-9_.\\-]+" title=${KEY_RULE} hint=${`In the API, such as ${kind.key}.`}><${TenantField} of=${own} none="All tenants" /><//>`}
      ${!isYaml ? html`<${DefinitionForm} page=${page} kind=${hasName ? { ...kind, above: 'name', form: kind.form.filter((name) => name !== 'name') } : kind} draft=${shared} /><${DefinitionPreview} kind=${kind} values=${values} />${problem?.errors.length === 0 && html`<p class="error" role="alert">${problem.message}</p>`}` : html`<div class="yaml-columns"><${YamlEditor} label="Definition as YAML" value=${text} problem=${problem} comments=${comments} change=${change} />
        <section aria-label="Fields"><h2>Fields</h2><dl>${kind.fields.map(([name, what]) => html`<div key=${name}><dt><code>${name}</code></dt><dd>${what}</dd></div>`)}</dl></section></div>`}</div>
      ${review && html`<section class="panel"><h2 tabIndex="-1" ref=${title}>${review.title}</h2>${!review.isSame && html`<${Difference} before=${review.before} after=${review.after} />`}</section>`}<//></div><//>`;
}

/** Whether saving creates a tenant's copy of a project object. */
const isCopy = (tenant, { one }) => one !== undefined && (one.tenant ?? '') !== tenant;

/** The unsaved text. It stays in the tab even if the session ends in the meantime, and other operators do not see it. */
function draftOf(page) {
  const name = `draft ${page.me.id} ${page.path} ${tenantOf(page).tenant}`;
  return {
    read: () => JSON.parse(sessionStorage.getItem(name)),
    write: (draft) => sessionStorage.setItem(name, JSON.stringify(draft)),
    clear: () => sessionStorage.removeItem(name),
  };
}

// --- What recipients see of a type, a schedule or an event source, beside the form that defines it.

/** Titles that are shown until one is written. */
const EXAMPLES = { source: 'Your order is paid', schedule: 'Your weekly report', type: 'New bookings' };

/** The notification, or the workflow that sends its own. */
function Sent({ of: { notification, workflow, to }, example }) {
  const recipient = notification?.to ?? to;
  if (!notification) return html`<p>${workflow ? html`Starts the workflow <b>${workflow}</b>` : 'Starts a workflow'}${recipient && html` for <${To} of=${recipient} />`}.</p>`;
  return html`<p>To ${recipient ? html`<${To} of=${recipient} />` : html`<span class="muted">Alice Andersen</span>`}</p><${BellRow} of=${notification} example=${example} />`;
}

/** The row of a type in the preferences of recipients. */
function Preference({ of, example }) {
  const { name, channels = [] } = of;
  const shown = Object.keys(CHANNEL_NAMES).filter((channel) => isRequired(of, channel) || channels.some((one) => (one.channel ?? one) === channel));
  return html`<div class="preference"><p>${name || html`<span class="muted">${example}</span>`}</p><ul>${shown.map((channel) => html`<li key=${channel}>${CHANNEL_NAMES[channel]}${isRequired(of, channel) ? html`<span class="muted"><${Icon} name="lock" /> always</span>` : html`<span class="ok"><${Icon} name="ok" /> on</span>`}</li>`)}</ul></div>
    ${shown.length === 0 && html`<p class="muted">Each send names its channels.</p>`}`;
}

/** The names of the event's data in the texts of a source, each with a value. */
const dataIn = (values) => Object.fromEntries([...JSON.stringify(values).matchAll(/event\.data\.(\w+)/g)].map(([, name]) => [name, name === 'customer' ? 'alice' : '…']));

/** What the event of an example is sent to: a topic or, for a source without one, a recipient. */
const addressOf = ({ topic }) => (topic ? { topic: topic.replace(/\{(\w+)\}/g, '42') } : { recipient: 'alice' });

/** The event that an app publishes for it. */
const Published = ({ of: values }) => html`<p>Your app publishes</p><${Code} label="The event" text=${`POST /v1/events\n${JSON.stringify({ ...addressOf(values), name: values.event || 'order.paid', data: dataIn(values) }, null, 2)}`} />`;

/** When a schedule sends next. */
const Times = ({ of: { cron, timezone = 'UTC' } }) => cron && html`<p><${NextTimes} cron=${cron} zone=${timezone} /></p>`;

const PARTS = { type: ['In the preferences of recipients', Preference], schedule: ['What it sends', Sent, Times], source: ['From the event to the notification', Published, Sent] };

/** @param {{kind: {name: string}, values: any}} of */
function DefinitionPreview({ kind, values }) {
  const [title, ...parts] = PARTS[kind.name];
  return html`<aside class="definition-preview" aria-label="Preview"><h2>${title}</h2>${parts.map((Part, index) => html`<${Part} key=${index} of=${values} example=${EXAMPLES[kind.name]} />`)}</aside>`;
}

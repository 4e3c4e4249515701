/**
 * The form of a step, made from the JSON Schema of workflows. Fields that it does not know stay as they are.
 */
import { BellRow, IconChoice } from './bell-row.js';
import { NextTimes } from './cron-times.js';
import { html, useId, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { count } from './format.js';
import { loadStyle, useLoad } from './load.js';
import { Icon } from './parts.js';
import { scopeOf } from './router.js';
import { sampleOf, variablesOf } from './sample-data.js';
import { SchemaForm, SchemaTable } from './schema-fields.js';
import { Segments } from './segments.js';
import { exchange, get, path, withQuery } from './server.js';
import { optionalOf, withDefault } from './template-model.js';
import { InsertVariable, insertText, textParts, usePress } from './text-input.js';
import { SENDING, conditionText, durationText, isLane, lanesOf, renamed, stepPathOf, stepsOf, typeOf, usersOf, valueAt, withValue } from './workflow-model.js';

await loadStyle('draft.css');
await loadStyle('form-fields.css');

const EVENTS = { inbox: ['seen', 'read', 'archived', 'acted'], message: ['delivered', 'bounced', 'failed'] };
const OPERATORS = [['eq', 'is'], ['ne', 'is not'], ['gt', 'is more than'], ['gte', 'is at least'], ['lt', 'is less than'], ['lte', 'is at most'], ['contains', 'contains'], ['in', 'is one of'], ['exists', 'exists'], ['empty', 'is empty']];
const WITHOUT_VALUE = new Set(['exists', 'empty']);
/** Conditions nested deeper are edited as JSON, below the form to read; the server refuses those nested deeper than the second. */
const MAX_FORM_DEPTH = 3, MAX_DEPTH = 20;
const ROOTS = ['data.', 'recipient.name', 'recipient.email', 'recipient.locale', 'recipient.data.', 'actor.name', 'tenant.name', 'digest.count', 'event.', 'run.id'];

/** @param {{draft: any, path: string, schema: any, page: any, isReadOnly: boolean, run: any, close: () => void, act: any}} of `act` has the commands of the editor */
export function Inspector({ draft, path, schema, page, isReadOnly, state, close, act, more }) {
  const values = draft.values.value;
  const form = useRef(null);
  const shared = { draft, page, isReadOnly, values };
  if (path === 'trigger') return html`<${Panel} title="Workflow" icon="playground" tone="6" close=${close} form=${form}><${Fields} path="" properties=${pick(schema.properties, ['type', 'note', 'data'])} ...${shared} /><//>`;
  if (isLane(path)) {
    const branch = path.endsWith('.else') ? path.slice(0, -5) : path.replace(/\.branches\.\d+$/, '');
    const one = lanesOf(valueAt(values, branch), branch).find((other) => other.path === path);
    if (!one) return null;
    return html`<${Panel} title=${one.isElse ? 'Else' : `Branch ${one.number} of ${one.count}`} icon="branch" tone="4" close=${close} form=${form}>
      ${one.isElse ? html`<p class="muted">These steps run if no branch above was chosen.</p>` : html`<${Fields} path=${path} properties=${{ if: schema.$defs.branch.properties.if }} label=${{ if: 'Take this branch if' }} ...${shared} />`}
      ${!isReadOnly && html`<div class="panel-tools">${one.count > 1 && html`<button type="button" onClick=${() => act.moveBy(path, -1)}>Move up</button><button type="button" onClick=${() => act.moveBy(path, 1)}>Move down</button>`}${!one.isElse && html`<button type="button" onClick=${() => act.duplicate(path)}>Duplicate</button>`}<button type="button" class="danger" onClick=${() => act.remove(path)}>Delete this branch</button></div>`}<//>`;
  }
  const step = valueAt(values, path);
  if (!step) return null;
  const own = schema.$defs[step.type];
  const type = typeOf(step);
  return html`<${Panel} title=${own?.title ?? step.type} of=${step.key} note=${state} icon=${type.icon} tone=${type.tone} close=${close} form=${form} actions=${!isReadOnly && [`Actions for ${step.key}`, (anchor) => act.openActions(path, anchor)]}>
    ${WAYS[step.type] && !isReadOnly && html`<${Ways} step=${step} path=${path} draft=${shared.draft} />`}
    ${step.type === 'inbox' && !step.template && html`<${BellRow} of=${{ ...step, type: values.type }} />`}${step.type === 'branch' && html`<${Branches} step=${step} path=${path} select=${act.edit} ...${shared} />`}
    <${SENDING.includes(step.type) ? Content : OfStep} key=${path + step.type} path=${path} step=${step} properties=${fieldsOf(own, step)} ...${shared} />
    ${more}<//>`;
}

/** Fields of which a step has only those of one way: its name, and their first values. */
const WAYS = {
  delay: [['For a time', { for: '1h' }], ['Until a time', { until: { var: 'data.starts_at' }, offset: '-2h' }]],
  digest: [['For a time', { window: '1h' }], ['At times', { cron: '0 9 * * *' }]],
};
/** Fields that only the first way of a type has besides. */
const OF_FIRST = { delay: [], digest: ['mode', 'max_window'] };

/** A switch between the ways of a step. */
function Ways({ step, path, draft }) {
  const ways = WAYS[step.type];
  const current = Object.keys(ways[1][1]).some((name) => name in step) ? 1 : 0;
  const choose = (number) => {
    const dropped = [...Object.keys(ways[1 - number][1]), ...(number === 1 ? OF_FIRST[step.type] : ['timezone'])];
    const others = Object.fromEntries(Object.entries(step).filter(([name]) => !dropped.includes(name)));
    draft.change(withValue(draft.values.value, path, { ...others, ...ways[number][1] }));
  };
  return html`<${Segments} label="How long" options=${ways.map(([name], number) => [number, name])} value=${current} choose=${choose} />`;
}

/** Some fields of an object, in this order. */
export const pick = (all, names) => Object.fromEntries(names.map((name) => [name, all[name]]));

/** What a step that sends has besides its content. */
const NO_CONTENT = ['type', 'key', 'if', 'note', 'template'];

/** Content that few steps have. */
const RARE = ['html', 'layout', 'body_format'];

/** What few steps need, also their notes and keys. It is folded while a step has none of it, and no problem in it. */
function More({ step, properties, ...shared }) {
  const names = Object.keys(properties), [isOpen, setOpen] = useState(names.some((name) => name !== 'key' && name in step));
  const isWrong = shared.draft.problems.value.some(({ field }) => names.some((name) => field === `${shared.path}.${name}`));
  // It stays open when its problem is solved: the field has the focus.
  return html`<details class="rare" open=${isOpen || isWrong} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>More</summary><div><${Fields} properties=${properties} ...${shared} /></div></details>`;
}

/** The fields of a step that does not send. */
const OfStep = ({ step, properties: { note, key, ...content }, ...shared }) => html`<${Fields} properties=${content} ...${shared} /><${More} step=${step} properties=${{ note, key }} ...${shared} />`;

/** The fields of a step that sends: its own content or its template first. */
function Content({ step, properties: { template, ...all }, ...shared }) {
  // Undo may bring a template back; while its field is empty, the step has none.
  const [isChosen, setChosen] = useState(step.template !== undefined), isTemplate = isChosen || step.template !== undefined;
  const ofContent = Object.keys(all).filter((name) => !NO_CONTENT.includes(name)), rare = ofContent.filter((name) => RARE.includes(name));
  const choose = (next) => {
    setChosen(next);
    const { template: _, ...others } = step;
    if (!next && step.template !== undefined) shared.draft.change(withValue(shared.draft.values.value, shared.path, others));
  };
  const hasContent = !isTemplate || (step.template !== undefined && ofContent.some((name) => name in step));
  return html`${!shared.isReadOnly && html`<${Segments} label="Content" options=${[[false, 'Text here'], [true, 'Template']]} value=${isTemplate} choose=${choose} />`}
    ${isTemplate && html`<${Fields} properties=${{ template }} ...${shared} />`}
    ${hasContent && html`<${Fields} properties=${pick(all, ofContent.filter((name) => !rare.includes(name)))} ...${shared} />`}
    <${Fields} properties=${pick(all, ['if'])} ...${shared} /><${More} step=${step} properties=${pick(all, [...(hasContent ? rare : []), 'note', 'key'])} ...${shared} />`;
}

/** The fields of a step, those of its content before the rare ones. */
function fieldsOf(own, step) {
  if (!own) return {};
  const { type, branches, else: otherwise, key, if: condition, note, ...content } = own.properties;
  const fields = { ...content, if: condition, note, key };
  return Object.fromEntries(Object.entries(fields).filter(([name]) => {
    if (name in step || NO_CONTENT.includes(name)) return true;
    if (step.type === 'delay') return name === 'for' ? step.until === undefined : name === 'until' ? step.for === undefined : step.until !== undefined;
    if (step.type === 'digest') return name === 'window' ? step.cron === undefined : name === 'cron' ? step.window === undefined : name === 'timezone' ? step.cron !== undefined : name === 'max_window' ? step.mode === 'sliding' : true;
    if (step.type === 'wait_for') return !['topic', 'match'].includes(name) || step.step === undefined;
    return true;
  }));
}

function Panel({ title, of, note, icon, tone, close, form, actions, children }) {
  return html`<section class="inspector" aria-label=${title} onKeyDown=${(event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    close();
  }}><header><span class=${`step-icon tone-${tone}`}><${Icon} name=${icon} /></span><h2>${title}${of && html` <code class="muted">${of}</code>`}</h2>${note}${actions && html`<button type="button" class="quiet" aria-haspopup="menu" aria-label=${actions[0]} onClick=${(event) => actions[1](event.currentTarget)}><${Icon} name="more" /></button>`}<button type="button" class="quiet" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="inspector-fields" ref=${form}>${children}</div></section>`;
}

/** The fields of a schema below `path`. `widgets` are controls of one page. */
export function Fields({ draft, page, path, properties, label = {}, hints = {}, optional = [], isReadOnly, values, widgets }) {
  const variables = useMemo(() => textVariables(values), [values]);
  return Object.entries(properties).map(([name, schema]) => {
    const field = path ? `${path}.${name}` : name;
    const shared = { key: name, name, field, schema, draft, page, values, variables, isReadOnly, widgets, hint: hints[field], label: label[name] ?? schema['x-label'] ?? name, value: valueAt(values, field), isRequired: false, isOptional: optional.includes(name) };
    return html`<${FormField} ...${shared} change=${(value) => draft.change(withValue(draft.values.value, field, value), field)} />`;
  });
}

/** A field with its label, its errors, and a switch between a value and a variable. */
function FormField({ label, hint, name, field, schema, value, change, isReadOnly, isOptional, draft, variables, widgets, ...more }) {
  const id = useId();
  const errors = draft.problems.value.filter((one) => one.field === field || (one.field.startsWith(`${field}.`) && !['branches', 'else'].includes(name)));
  const warnings = errors.length > 0 ? [] : draft.findings.value.filter((one) => one.field === field || (name === 'actions' && one.field.startsWith(`${field}.`)));
  const canRefer = schema.anyOf?.some((one) => one.required?.includes('var')) ?? false;
  const isReference = canRefer && value?.var !== undefined;
  const Widget = isReference ? Variable : widgets?.[schema['x-widget']] ?? (name === 'icon' ? IconName : WIDGETS[schema['x-widget']]) ?? Text;
  const attributes = { id, 'data-field': field, 'aria-invalid': errors.length > 0 ? 'true' : null, 'aria-describedby': errors.length > 0 ? `${id}-errors` : warnings.length > 0 ? `${id}-warnings` : hint ? `${id}-hint` : null, disabled: isReadOnly };
  const isTemplate = ['template', 'long-template'].includes(schema['x-widget']);
  // Until it has the focus, a text is drawn with its variables as tags.
  const press = usePress(), isText = typeof (value ?? '') === 'string', isArea = Widget === Area && isText, isDrawn = isTemplate && isText && (isArea || Widget === Text);
  // One that cannot be changed gets the focus too, which shows the whole names of its variables.
  const control = html`<${Widget} attributes=${isDrawn ? { ...attributes, ...press, disabled: false, readOnly: isReadOnly } : attributes} label=${label} id=${id} name=${name} schema=${schema} value=${value} change=${change} field=${field} draft=${draft} isReadOnly=${isReadOnly} ...${more} />`;
  const isGroup = [Condition, Branches, DataSchema, Buttons].includes(Widget) || Widget === widgets?.[schema['x-widget']];
  return html`<div class="form-field" data-widget=${schema['x-widget']}>
    <div class="form-label">${isGroup ? html`<span id=${`${id}-label`}>${label}</span>` : html`<label for=${id}>${label}</label>`}
      ${isOptional && html`<small class="muted">optional</small>`}${isTemplate && !isReadOnly && html`<${InsertVariable} variables=${variables} choose=${(text) => insertText({ input: document.getElementById(id), set: change }, text)} />`}
      ${canRefer && !isReadOnly && html`<button type="button" class="quiet form-switch" aria-pressed=${String(isReference)} title="Use a variable" onClick=${() => change(isReference ? '' : { var: 'data.' })}>{x}<span class="hidden"> Use a variable for ${label}</span></button>`}</div>
    ${isDrawn || isArea ? html`<div class="grows" ...${isArea && { 'data-edited': '', 'data-text': `${value ?? ''}\n` }}>${control}${isDrawn && html`<div class="drawn" dir="auto" aria-hidden="true">${textParts(value ?? '')}</div>`}</div>` : control}${hint && !widgets?.[schema['x-widget']] && html`<small class="muted" id=${`${id}-hint`}>${hint}</small>`}
    ${errors.length > 0 && html`<p class="error" id=${`${id}-errors`}>${errors.map((one) => `${one.field === field ? '' : `${one.field.slice(field.length + 1)} `}${one.message}`).join('; ')}</p>`}
    ${warnings.length > 0 && html`<div id=${`${id}-warnings`}>${warnings.map(({ message }) => html`<p key=${message} class="field-warning"><${Icon} name="warn" /> ${message}</p>`)}</div>`}${!isReadOnly && warnings.map(optionalOf).filter(Boolean).map((path) => html`<button key=${path} type="button" class="chip-button" onClick=${() => change(withDefault(value, path))}>Insert default</button>`)}</div>`;
}

const orNothing = (text) => (text === '' ? undefined : text);

const Text = ({ attributes, value, change, list, placeholder }) => html`<input ...${attributes} list=${list} placeholder=${placeholder} autoComplete="off" spellcheck=${false} value=${typeof value === 'string' || typeof value === 'number' ? value : value === undefined || value === null ? '' : JSON.stringify(value)} onInput=${(event) => change(orNothing(event.currentTarget.value))} />`;

/** The icon of a notification: a name, an emoji or the address of a picture. */
const IconName = ({ attributes, value, change }) => html`<${Text} attributes=${attributes} value=${value} change=${change} />${!attributes.disabled && html`<${IconChoice} value=${value} choose=${change} />`}`;

/** The key of a step changes when the field is left, with all references. */
function Key({ attributes, value, draft, field }) {
  const path = field.replace(/\.key$/, '');
  const rename = ({ currentTarget: { value: key } }) => { if (key !== value) draft.change(renamed(draft.values.value, path, key)); };
  const users = usersOf(draft.values.value, value);
  return html`<input ...${attributes} autoComplete="off" spellcheck=${false} maxLength="100" defaultValue=${value} key=${value} onBlur=${rename} onKeyDown=${(event) => { if (event.key === 'Enter') rename(event); }} />${users.length > 0 && html`<small class="muted">Also changed in ${users.join(', ')}</small>`}`;
}

/** It is as high as its text. */
const Area = ({ attributes, value, change }) => html`<textarea ...${attributes} rows="2" spellcheck=${false} value=${value ?? ''} onInput=${(event) => change(orNothing(event.currentTarget.value))} />`;

const Variable = ({ attributes, value, change }) => html`<input ...${attributes} class="code" list="workflow-variables" autoComplete="off" spellcheck=${false} value=${value.var} placeholder="data.starts_at" onInput=${(event) => change({ var: event.currentTarget.value })} />`;

function Span({ attributes, value, change, name }) {
  const side = name !== 'offset' ? '' : String(value).startsWith('-') ? ' before' : ' after';
  const words = value === undefined ? null : durationText(value) && `${durationText(value)}${side}`;
  const examples = name === 'offset' ? ['-2h', '-1d', '30m'] : ['5m', '30m', '1h', '2h', '1d', '1w'].filter((one) => one !== '1w');
  return html`<input ...${attributes} autoComplete="off" spellcheck=${false} placeholder="30m" value=${value ?? ''} onInput=${(event) => change(orNothing(event.currentTarget.value))} />
    <div class="form-hints"><small class="muted">${words ?? 'Such as 25s, 30m, 2h or 1d'}</small>${!attributes.disabled && examples.map((one) => html`<button type="button" key=${one} class="chip-button" aria-label=${`${one}: set to ${durationText(one)}`} onClick=${() => change(one)}>${one}</button>`)}</div>`;
}

const Select = ({ attributes, schema, value, change }) => html`<select ...${attributes} value=${value ?? ''} onChange=${(event) => change(orNothing(event.currentTarget.value))}>
  <option value="">Default${schema.default ? `: ${schema.default}` : ''}</option>${schema.enum.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;

const Whole = ({ attributes, schema, value, change }) => html`<input ...${attributes} type="number" min=${schema.minimum} max=${schema.maximum} value=${value ?? ''} onInput=${({ currentTarget: { value: text } }) => change(text === '' ? undefined : Number(text))} />`;

export function Cron({ attributes, value, change, values, field, hasTimes = true }) {
  return html`<input ...${attributes} class="code" autoComplete="off" spellcheck=${false} placeholder="0 8 * * 1-5" value=${value ?? ''} onInput=${(event) => change(orNothing(event.currentTarget.value))} />
    ${hasTimes && html`<${NextTimes} cron=${value} zone=${valueAt(values, field.replace(/cron$/, 'timezone')) ?? 'recipient'} />`}`;
}

/** The 400 names of zones are added when the field is first used. */
function Zone({ attributes, schema, value, change }) {
  const [isUsed, setUsed] = useState(false);
  return html`<input ...${attributes} onFocus=${() => setUsed(true)} list="workflow-zones" autoComplete="off" spellcheck=${false} placeholder=${schema.examples?.[0] ?? 'recipient'} value=${value ?? ''} onInput=${(event) => change(orNothing(event.currentTarget.value))} />
    <datalist id="workflow-zones"><option value="recipient" />${isUsed && Intl.supportedValuesOf('timeZone').map((one) => html`<option key=${one} value=${one} />`)}</datalist>`;
}

/** The step that the editor of a template leads back to. */
const cameFrom = (page, step) => ({ workflow: page.key, step });

/** The key of another object, with the keys that exist. */
const keyOf = (plural) => function KeyOf({ attributes, value, change, page, draft, values, field, isReadOnly }) {
  const list = useLoad((signal) => get(withQuery(`/v1/${plural}`, { tenant: draft.tenant, limit: 100 }), signal), [plural]);
  const found = list.value?.[plural] ?? [];
  const isOfStep = stepPathOf(field) !== null;
  return html`<${Text} attributes=${attributes} value=${value} change=${change} list=${`keys-of-${plural}`} placeholder=${isOfStep || plural === 'workflows' ? `Choose a ${plural.slice(0, -1)}` : 'None'} /><datalist id=${`keys-of-${plural}`}>${found.map((one) => html`<option key=${one.key} value=${one.key} />`)}</datalist>
    ${plural === 'templates' && value && html`<div class="form-hints"><a href=${withQuery(page.url(path`/templates/${value}`), { ...scopeOf(page), ...(isOfStep && !isReadOnly && { edit: 'yes', ...cameFrom(page, valueAt(values, field.replace(/\.template$/, '')).key) }) })}>Open the template</a></div>`}
    ${plural === 'templates' && isOfStep && !isReadOnly && html`<${value ? InsteadOfContent : AsTemplate} path=${field.replace(/\.template$/, '')} values=${values} draft=${draft} page=${page} input=${attributes.id} />`}`;
};

/** A button that moves the texts of a step to a template, which has other languages and, for an e-mail, a design. */
function AsTemplate({ path: place, values, draft, page }) {
  const [problem, setProblem] = useState('');
  const { type, key, if: condition, note, ...content } = valueAt(values, place);
  if (!SENDING.includes(type) || Object.keys(content).length === 0) return null;
  const move = async () => {
    const template = `${page.key}-${key}`, { text, ...rest } = content, { tenant } = draft;
    const part = type === 'email' && text && !rest.html ? { ...rest, blocks: [{ type: 'text', text }] } : content;
    try {
      await exchange('PUT', withQuery(path`/v1/templates/${template}/draft`, { tenant }), { type: 'application/json', body: JSON.stringify({ values: { [type]: part }, base: null }), headers: { 'if-none-match': '*' } });
      draft.change(withValue(draft.values.value, place, { key, type, template, ...(condition && { if: condition }), ...(note && { note }) }));
      await draft.write();
      page.go(withQuery(page.url(path`/templates/${template}`), { edit: 'yes', channel: type, ...scopeOf(page), ...cameFrom(page, key) }));
    } catch (failed) {
      setProblem(failed.status === 412 ? `The template ${template} exists.` : failed.message);
    }
  };
  return html`<div class="panel-tools"><button type="button" onClick=${move}><${Icon} name="plus" /> New template from this text</button></div><small class="muted">For other languages${type === 'email' && ' and a design'}.</small>${problem && html`<p class="error" role="alert">${problem}</p>`}`;
}

/** A step has a template or content of its own: a button removes the content. */
function InsteadOfContent({ path, values, draft, input }) {
  const step = valueAt(values, path);
  const content = Object.keys(step).filter((name) => !NO_CONTENT.includes(name));
  const remove = () => {
    draft.change(withValue(values, path, Object.fromEntries(Object.entries(step).filter(([name]) => !content.includes(name)))));
    document.getElementById(input).focus(); // the button is gone
  };
  return content.length > 0 && html`<div class="form-hints"><small class="muted">The template has the content.</small><button type="button" class="chip-button" onClick=${remove}>Remove ${content.join(', ')}</button></div>`;
}

function SendingStep({ attributes, value, change, values, field, draft }) {
  const path = field.replace(/\.step$/, '');
  const all = stepsOf(values);
  const before = all.slice(0, all.findIndex((one) => one.path === path)).filter(({ step }) => SENDING.includes(step?.type));
  const choose = (key) => {
    const step = { ...valueAt(draft.values.value, path) };
    if (key) Object.assign(step, { step: key });
    else delete step.step;
    const type = all.find((one) => one.step?.key === key)?.step.type;
    const events = type && EVENTS[type === 'inbox' ? 'inbox' : 'message'];
    if (events && !events.includes(step.event)) step.event = type === 'inbox' ? 'read' : 'delivered';
    if (key) { delete step.topic; delete step.match; }
    draft.change(withValue(draft.values.value, path, step));
  };
  return html`<select ...${attributes} value=${value ?? ''} onChange=${(event) => choose(event.currentTarget.value)}><option value="">An event of your app</option>
    ${before.map(({ step }) => html`<option key=${step.key} value=${step.key}>${step.key}</option>`)}${value && !before.some(({ step }) => step.key === value) && html`<option value=${value}>${value}</option>`}</select>`;
}

function Event({ attributes, value, change, values, field }) {
  const step = valueAt(values, field.replace(/\.event$/, ''));
  const target = step.step && stepsOf(values).find((one) => one.step?.key === step.step)?.step;
  if (!target) return html`<${Text} attributes=${attributes} value=${value} change=${change} />`;
  const events = EVENTS[target.type === 'inbox' ? 'inbox' : 'message'];
  return html`<select ...${attributes} value=${value ?? ''} onChange=${(event) => change(event.currentTarget.value)}>${[...new Set([...events, value])].filter(Boolean).map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;
}

/** JSON that is applied while it is valid. */
export function Json({ attributes, value, change }) {
  const written = value === undefined ? '' : JSON.stringify(value, null, 2);
  const [text, setText] = useState(written);
  const [problem, setProblem] = useState('');
  const last = useRef(written);
  if (last.current !== written) {
    last.current = written;
    if (parse(text)?.value === undefined || JSON.stringify(parse(text).value, null, 2) !== written) setText(written);
  }
  const input = ({ currentTarget: { value: next } }) => {
    setText(next);
    const found = parse(next);
    setProblem(found ? '' : 'Not valid JSON yet: the last valid value is kept.');
    if (!found) return;
    last.current = found.value === undefined ? '' : JSON.stringify(found.value, null, 2);
    change(found.value);
  };
  return html`<textarea ...${attributes} class="code" rows=${Math.min(12, Math.max(3, text.split('\n').length))} spellcheck=${false} value=${text} onInput=${input} />${problem && html`<p class="error" role="status">${problem}</p>`}`;
}

const isObject = (value) => value !== null && typeof value === 'object';
/** Whether a schema can be shown as fields; that of a draft may be anything. */
const hasFields = (schema) => isObject(schema) && Array.isArray(schema.required ?? []) && isObject(schema.properties ?? {}) && Object.values(schema.properties ?? {}).every(isObject);

/** The schema of the data as fields, or as JSON, with a proposal from the last triggers. */
function DataSchema({ attributes, value, change, isReadOnly, id, page, draft }) {
  const [isJson, setJson] = useState(false);
  const [note, setNote] = useState('');
  const infer = async () => {
    try {
      const { schema, seen } = await get(withQuery(path`/v1/workflows/${page.key}/inferred-schema`, { tenant: draft.tenant }));
      change(schema);
      setNote(`Proposed from the last ${count(seen, 'trigger')}: their shapes, not their values.`);
    } catch (problem) {
      setNote(problem.status === 404 ? 'The workflow has no triggers yet: there is nothing to infer a schema from.' : problem.message);
    }
  };
  const shown = value === undefined ? html`<p class="muted">Triggers may have any data. A schema refuses wrong data, and lists the variables of conditions and templates.</p>` : isReadOnly ? html`<${SchemaTable} schema=${value} />` : html`<${SchemaForm} schema=${value} change=${change} />`;
  return html`<div class="data-schema" role="group" aria-labelledby=${`${id}-label`} data-field=${attributes['data-field']} aria-invalid=${attributes['aria-invalid']}>
    ${isJson || (value !== undefined && !hasFields(value)) ? html`<${Json} attributes=${{ ...attributes, 'aria-label': 'Schema as JSON' }} value=${value} change=${change} />` : shown}
    ${note && html`<p class="muted" role="status">${note}</p>`}
    ${!isReadOnly && html`<div class="panel-tools">${value === undefined && html`<button type="button" onClick=${() => change({ type: 'object', properties: {} })}>Add fields</button>`}<button type="button" onClick=${infer}>Infer from the last triggers</button>
      <button type="button" class="quiet" aria-pressed=${String(isJson)} onClick=${() => setJson(!isJson)}>JSON</button>${value !== undefined && html`<button type="button" class="quiet" onClick=${() => { setNote(''); change(undefined); }}>Remove</button>`}</div>`}</div>`;
}

/** What a button does, with its fields. */
const DOES = { url: ['Open a link', 'Link', 'https://'], call: ['Call your app', 'Name of the call', 'booking.accept'] };
const STYLES = ['default', 'primary', 'danger'];
const isButton = (one) => isObject(one) && typeof one.key === 'string' && ['url', 'call'].filter((name) => typeof one[name] === 'string').length === 1 && Object.keys(one).every((name) => ['key', 'label', 'url', 'call', 'style'].includes(name));

/** The buttons of a notification. Others than the form can show are JSON. */
function Buttons({ attributes, value, change, isReadOnly, id, schema }) {
  const shown = value ?? [];
  if (!Array.isArray(shown) || !shown.every(isButton)) return html`<${Json} attributes=${attributes} value=${value} change=${change} />`;
  const set = (next) => change(next.length > 0 ? next : undefined);
  const edit = (index, changes) => set(shown.map((one, place) => (place === index ? Object.fromEntries(Object.entries({ ...one, ...changes }).filter(([, field]) => field !== undefined)) : one)));
  const add = () => {
    const number = shown.reduce((free, { key }) => (key === `button-${free}` ? free + 1 : free), shown.length + 1);
    set([...shown, { key: `button-${number}`, label: '', url: '' }]);
  };
  const text = (index, name, label, more) => html`<label><span>${label}</span><input aria-label=${`${label} of button ${index + 1}`} autoComplete="off" spellcheck=${false} disabled=${isReadOnly} value=${shown[index][name]} onInput=${(event) => edit(index, { [name]: event.currentTarget.value })} ...${more} /></label>`;
  return html`<div class="buttons-form" role="group" aria-labelledby=${`${id}-label`} data-field=${attributes['data-field']} aria-invalid=${attributes['aria-invalid']}>${shown.map((one, index) => {
    const does = one.call === undefined ? 'url' : 'call';
    return html`<fieldset key=${index}><legend class="hidden">Button ${index + 1}</legend>
      ${text(index, 'label', 'Label', { maxLength: 500, placeholder: 'Accept' })}
      <label><span>Style</span><select aria-label=${`Style of button ${index + 1}`} disabled=${isReadOnly} value=${one.style ?? 'default'} onChange=${({ currentTarget: { value: style } }) => edit(index, { style: style === 'default' ? undefined : style })}>${STYLES.map((style) => html`<option key=${style} value=${style}>${style}</option>`)}</select></label>
      <label><span>When pressed</span><select aria-label=${`What button ${index + 1} does`} disabled=${isReadOnly} value=${does} onChange=${({ currentTarget: { value: name } }) => edit(index, { url: undefined, call: undefined, [name]: '' })}>${Object.entries(DOES).map(([name, [word]]) => html`<option key=${name} value=${name}>${word}</option>`)}</select></label>
      ${text(index, does, DOES[does][1], { placeholder: DOES[does][2] })}
      ${text(index, 'key', 'Key', { maxLength: 100, class: 'code' })}
      ${!isReadOnly && html`<button type="button" class="quiet" aria-label=${`Remove button ${index + 1}`} onClick=${() => set(shown.filter((_, place) => place !== index))}><${Icon} name="close" /></button>`}</fieldset>`;
  })}${!isReadOnly && shown.length < (schema.maxItems ?? Infinity) && html`<button type="button" class="add-condition" onClick=${add}><${Icon} name="plus" /> Add a button</button>`}${isReadOnly && shown.length === 0 && html`<p class="muted">None</p>`}</div>`;
}

function parse(text) {
  if (!text.trim()) return { value: undefined };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** Recipients: keys separated by commas, or an audience as JSON. */
function Recipients({ attributes, value, change }) {
  const isText = value === undefined || typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
  if (!isText) return html`<${Json} attributes=${attributes} value=${value} change=${change} />`;
  const apply = (text) => {
    const keys = text.split(',').map((one) => one.trim());
    change(keys.length > 1 ? keys.filter(Boolean) : keys[0]);
  };
  return html`<input ...${attributes} autoComplete="off" spellcheck=${false} placeholder="alice, bob" defaultValue=${[value ?? ''].flat().join(', ')} onInput=${(event) => apply(event.currentTarget.value)} />`;
}

// --- conditions

const BLANK = { var: 'data.', op: 'eq', value: '' };
/** Whether the form has the parts of a condition; a draft may have others. */
function fitsForm(value, left = MAX_FORM_DEPTH) {
  const parts = value?.not === undefined ? value?.all ?? value?.any : [value.not];
  if (parts === undefined) return typeof value?.var === 'string';
  return left > 0 && Array.isArray(parts) && parts.every((part) => fitsForm(part, left - 1));
}

/** Whether the bells before a step were read or seen: [text, condition]. Bells in other lanes did not run. */
function readyConditions(values, field) {
  const steps = stepsOf(values), own = field.replace(/(\.branches\.\d+)?\.if$/, '');
  const bells = steps.slice(0, Math.max(0, steps.findIndex(({ path: one }) => one === own))).filter(({ step, list }) => step?.type === 'inbox' && own.startsWith(`${list}.`));
  return bells.reverse().flatMap(({ step: { key } }) => ['read_at', 'seen_at'].flatMap((name) => ['empty', 'exists'].map((op) => {
    const condition = { var: `steps.${key}.${name}`, op };
    return [conditionText(condition, false), condition];
  })));
}

function Condition({ attributes, value, change, isReadOnly, id, field, values }) {
  const ready = readyConditions(values, field);
  const shown = useRef(null);
  const isReplaced = useRef(false);
  const set = (next) => {
    isReplaced.current = (next === undefined) !== (value === undefined);
    change(next);
  };
  // The button that adds a condition, and that which deletes it, take the focus with them.
  useLayoutEffect(() => {
    if (isReplaced.current) (shown.current.querySelector('select, input') ?? shown.current).focus();
    isReplaced.current = false;
  }, [value === undefined]);
  if (value === undefined) return isReadOnly ? html`<p class="muted">Always</p>` : html`<button type="button" class="add-condition" ref=${shown} ...${attributes} onClick=${() => set(ready[0]?.[1] ?? BLANK)}><${Icon} name="plus" /> Add a condition</button>`;
  if (!fitsForm(value)) {
    return html`${fitsForm(value, MAX_DEPTH) && html`<div class="condition" role="group" aria-label="To read"><${ConditionPart} value=${value} change=${() => {}} isReadOnly ready=${[]} depth=${1} /></div>`}
      <${Json} attributes=${{ ...attributes, 'aria-labelledby': `${id}-label` }} value=${value} change=${change} />`;
  }
  return html`<div class="condition" role="group" ref=${shown} aria-labelledby=${`${id}-label`} data-field=${attributes['data-field']} aria-invalid=${attributes['aria-invalid']}><${ConditionPart} value=${value} change=${set} isReadOnly=${isReadOnly} ready=${ready} depth=${0} /></div>`;
}

function ConditionPart({ value, change, isReadOnly, ready, depth }) {
  const group = value.all ? 'all' : value.any ? 'any' : null;
  if (value.not) return html`<div class="condition-group"><span>not</span><div><${ConditionPart} value=${value.not} depth=${depth + 1} isReadOnly=${isReadOnly} ready=${ready} change=${(one) => change(one && { not: one })} /></div></div>`;
  if (group === null) return html`<${ConditionRow} value=${value} change=${change} isReadOnly=${isReadOnly} ready=${ready} and=${depth === 0 ? (kind) => change({ [kind]: [value, BLANK] }) : null} />`;
  const parts = value[group];
  const set = (index, one) => {
    const next = one === undefined ? parts.filter((_, place) => place !== index) : parts.map((part, place) => (place === index ? one : part));
    change(next.length === 0 ? undefined : next.length === 1 ? next[0] : { [group]: next });
  };
  return html`<div class="condition-group">${parts.map((part, index) => html`<div key=${index}>
      ${index > 0 && html`<select class="condition-word" aria-label="How conditions are combined" disabled=${isReadOnly} value=${group} onChange=${(event) => change({ [event.currentTarget.value]: parts })}><option value="all">and</option><option value="any">or</option></select>`}
      <${ConditionPart} value=${part} depth=${depth + 1} isReadOnly=${isReadOnly} ready=${ready} change=${(one) => set(index, one)} /></div>`)}
    ${!isReadOnly && html`<button type="button" class="quiet" onClick=${() => change({ [group]: [...parts, BLANK] })}><${Icon} name="plus" /> Add</button>`}</div>`;
}

/** The text of a value, and back: numbers, true, false, null, lists and references keep their types. */
const shownValue = (value) => (value?.var ? `{{ ${value.var} }}` : typeof value === 'string' && parse(value)?.value === undefined ? value : value === undefined ? '' : JSON.stringify(value));
function typedValue(text) {
  const [, reference] = /^\{\{\s*([\w.-]+)\s*\}\}$/.exec(text) ?? [];
  if (reference) return { var: reference };
  const found = parse(text);
  return found && found.value !== undefined ? found.value : text;
}

function ConditionRow({ value, change, isReadOnly, ready, and }) {
  const { op = 'eq' } = value;
  const chosen = ready.findIndex(([, one]) => one.var === value.var && one.op === op);
  const setOperator = (next) => {
    const { value: right, ...rest } = value;
    change(WITHOUT_VALUE.has(next) ? { ...rest, op: next } : { ...rest, op: next, value: right ?? '' });
  };
  return html`<div class="condition-row">
      ${ready.length > 0 && html`<select aria-label="Condition" disabled=${isReadOnly} value=${chosen} onChange=${(event) => change(ready[event.currentTarget.value]?.[1] ?? BLANK)}>${ready.map(([text], index) => html`<option key=${text} value=${index}>${text}</option>`)}<option value="-1">Another condition</option></select>`}
      ${chosen < 0 && html`<input class="code" aria-label="Variable" list="workflow-variables" autoComplete="off" spellcheck=${false} disabled=${isReadOnly} value=${value.var} onInput=${(event) => change({ ...value, var: event.currentTarget.value })} />
      <select aria-label="Comparison" disabled=${isReadOnly} value=${op} onChange=${(event) => setOperator(event.currentTarget.value)}>${OPERATORS.map(([name, word]) => html`<option key=${name} value=${name}>${word}</option>`)}</select>`}
      ${!WITHOUT_VALUE.has(op) && html`<input class="code" aria-label="Value" autoComplete="off" spellcheck=${false} disabled=${isReadOnly} value=${shownValue(value.value)} onInput=${(event) => change({ ...value, op, value: typedValue(event.currentTarget.value) })} />`}
      ${!isReadOnly && html`<button type="button" class="quiet" aria-label="Delete this condition" onClick=${() => change(undefined)}><${Icon} name="close" /></button>`}</div>
    ${and && !isReadOnly && html`<div class="condition-more"><button type="button" class="quiet" onClick=${() => and('all')}>and …</button><button type="button" class="quiet" onClick=${() => and('any')}>or …</button></div>`}`;
}

/** The branches of a step, in the order in which they are tried. */
function Branches({ step, path, draft, isReadOnly, select }) {
  const lanes = lanesOf(step, path);
  const add = (name) => {
    const values = draft.values.value;
    const stop = { key: draft.freeKey('stop'), type: 'stop' };
    const next = name === 'else' ? { ...step, else: [stop] } : { ...step, branches: [...(step.branches ?? []), { if: { var: 'data.total', op: 'gte', value: 100 }, steps: [stop] }] };
    draft.change(withValue(values, path, next));
    select(name === 'else' ? `${path}.else` : `${path}.branches.${(step.branches ?? []).length}`);
  };
  return html`<div class="form-field"><div class="form-label"><span>Branches</span></div><p class="muted">The first branch with a true condition runs.</p>
    <ul class="branch-list">${lanes.map((lane) => html`<li key=${lane.path}><button type="button" class="branch-link" onClick=${() => select(lane.path)}><span>${lane.isElse ? 'Else' : html`<b>If</b> ${conditionText(lane.condition, false)}`}</span><${Icon} name="chevron" /></button></li>`)}</ul>
    ${!isReadOnly && html`<div class="panel-tools"><button type="button" onClick=${() => add('branches')}><${Icon} name="plus" /> Add a branch</button>${step.else === undefined && html`<button type="button" onClick=${() => add('else')}><${Icon} name="plus" /> Add else</button>`}</div>`}</div>`;
}

const WIDGETS = {
  actions: Buttons, key: Key, text: Text, template: Text, 'long-template': Area, note: Area, duration: Span, moment: Text, cron: Cron, timezone: Zone, select: Select, integer: Whole,
  condition: Condition, json: Json, 'data-schema': DataSchema, 'template-key': keyOf('templates'), layout: Text, 'type-key': keyOf('types'), 'workflow-key': keyOf('workflows'), 'sending-step': SendingStep, event: Event, recipients: Recipients,
};

/** Variables of the steps. */
const stepVariables = (values) => stepsOf(values).map(({ step }) => `steps.${step?.key}.${SENDING.includes(step?.type) ? 'read_at' : 'result'}`).sort();

/** Variables that a text can have, each with an example: those of the data, of every send, and of the steps. */
function textVariables(values) {
  const declared = Object.entries(values.data?.properties ?? {}).map(([name, one]) => ({ path: `data.${name}`, type: one?.type, example: one?.examples?.[0] ?? name }));
  const more = ['digest.count', ...stepVariables(values)].map((path) => ({ path, example: '' }));
  return [...variablesOf(values, JSON.stringify(sampleOf(values, declared))), ...more];
}

/** Variables that conditions and fields can name, as suggestions. */
export function Variables({ values }) {
  const properties = Object.keys(values.data?.properties ?? {}).map((name) => `data.${name}`);
  const all = [...properties, ...stepVariables(values), ...ROOTS];
  return useMemo(() => html`<datalist id="workflow-variables">${all.map((one) => html`<option key=${one} value=${one} />`)}</datalist>`, [all.join()]);
}


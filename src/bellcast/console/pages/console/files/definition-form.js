/**
 * The form of a type, a schedule or an event source, made from its JSON Schema. Fields that it does not know stay as they are.
 */
import { html, useEffect, useId, useRef, useState } from './html.js';
import { Loaded, useLoad } from './load.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Segments } from './segments.js';
import { get, withQuery } from './server.js';
import { TimeInput } from './time-field.js';
import { DAYS } from './cron-times.js';
import { Cron, Fields, Json, pick } from './workflow-inspector.js';
import { TYPING_MS } from './filters.js';
import { Picker } from './picker.js';
import { me } from './session.js';

/** Fields that the control of another one changes, and whose errors are shown there. */
const SHOWN_AT = { required: 'channels', at: 'cron' };
const shownAt = (field) => field.replace(/^\w+/, (name) => SHOWN_AT[name] ?? name);

/** Fields of a notification that stay empty without a default. */
const OPTIONAL = ['body'];

/** A numbered part of the form. Its title is the visible label of its first field. */
const Part = ({ title, children }) => html`<div class="form-part"><h2>${title}</h2>${children}</div>`;

/** @param {{page: any, kind: any, draft: any}} of `draft` has the values, the errors of the server, and what changes them */
export function DefinitionForm({ page, kind, draft }) {
  const schema = useLoad((signal) => get(`/v1/schemas/${kind.name}`, signal));
  const values = draft.values.value;
  return html`<${Loaded} of=${schema}>${({ $defs, $ref }) => {
    const { properties } = $defs[$ref.split('/').at(-1)];
    const problems = draft.problems.value.map((one) => ({ ...one, field: shownAt(one.field) }));
    const shared = { page, draft: { ...draft, problems: { value: problems } }, values, widgets: WIDGETS, hints: Object.fromEntries(kind.fields), isReadOnly: false };
    const content = properties.notification && contentOf(properties, values);
    const shown = [...kind.form, ...(content?.paths ?? [])];
    const isDefault = (name) => JSON.stringify(values[name]) === JSON.stringify(properties[name]?.default);
    const others = Object.keys(values).filter((name) => !isDefault(name) && name !== kind.above && !shown.some((path) => path.split('.')[0] === shownAt(name)));
    const isShown = ({ field }) => shown.some((path) => field === path || field.startsWith(`${path}.`));
    // What was wrong with a notification is no error of a workflow.
    const errors = problems.filter((one) => !isShown(one) && !(content?.path === '' && one.field.startsWith('notification.')));
    return html`<div class="definition-form">${kind.parts ? Object.entries(kind.parts).map(([title, names]) => html`<${Part} key=${title} title=${title}><${Fields} path="" properties=${pick(properties, names)} ...${shared} /><//>`) : html`<${Fields} path="" properties=${pick(properties, kind.form)} ...${shared} />`}
      ${content && html`<${Content} of=${content} draft=${draft}><${Fields} key=${content.path} path=${content.path} properties=${content.properties} optional=${OPTIONAL} ...${shared} /><//>`}
      ${errors.length > 0 && html`<div role="alert"><ul class="error">${errors.map(({ field, message }) => html`<li key=${field + message}>${field && html`<code>${field}</code>`} ${message}</li>`)}</ul></div>`}
      ${others.length > 0 && html`<p class="muted">Also in the YAML: ${others.join(', ')}</p>`}</div>`;
  }}<//>`;
}

/** What is sent: the fields of the notification, or the workflow with its recipient. */
function contentOf(properties, { notification }) {
  if (notification === undefined) return { path: '', properties: pick(properties, ['workflow', 'to']), paths: ['workflow', 'to'] };
  const { properties: fields } = properties.notification;
  return { path: 'notification', properties: fields, paths: Object.keys(fields).map((name) => `notification.${name}`) };
}

/** A switch between a notification and a workflow. What was entered for the other one returns with it. */
function Content({ of, draft, children }) {
  const kept = useRef({});
  const chosen = of.path ? 'notification' : 'workflow';
  const choose = (next) => {
    const { notification, workflow, to, data, ...rest } = draft.values.value;
    const recipient = notification ? notification.to : to;
    const other = next === 'workflow' ? { workflow: '', to: recipient } : { notification: { to: recipient, title: '' } };
    const before = kept.current;
    kept.current = chosen === 'workflow' ? { workflow, to, data } : { notification };
    draft.change(Object.fromEntries(Object.entries({ ...rest, ...other, ...before }).filter(([, value]) => value !== undefined)));
  };
  return html`<${Part} title="What is sent"><${Segments} label="What is sent" options=${[['notification', 'Notification'], ['workflow', 'Workflow']]} value=${chosen} choose=${choose} />${children}<//>`;
}

const channelOf = (one) => one?.channel ?? one;
const STATES = [['off', 'Off'], ['on', 'On'], ['required', 'Required']];

/** The channels of a type, each off, on, or on without a choice of the recipient. */
function Channels({ value, values, draft, label }) {
  const { required = false } = values;
  const used = (value ?? []).map(channelOf);
  const isRequired = (channel) => (required === true ? value === undefined || used.includes(channel) : [required || []].flat().includes(channel));
  const stateOf = (channel) => (isRequired(channel) ? 'required' : used.includes(channel) ? 'on' : 'off');
  const set = (channel, state) => {
    const channels = state === 'off' ? (value ?? []).filter((one) => channelOf(one) !== channel) : used.includes(channel) ? value : [...(value ?? []), channel];
    const others = Object.keys(CHANNEL_NAMES).filter((one) => one !== channel && isRequired(one));
    const demanded = state === 'required' ? [...others, channel] : others;
    const { channels: _, required: __, ...rest } = values;
    draft.change({ ...rest, ...(channels.length > 0 && { channels }), ...(demanded.length > 0 && { required: demanded }) });
  };
  return html`<div class="channel-rows" role="group" aria-label=${label}>${Object.entries(CHANNEL_NAMES).map(([channel, name]) => html`<div key=${channel}><span>${name}</span><${Segments} label=${name} options=${STATES} value=${stateOf(channel)} choose=${(state) => set(channel, state)} /></div>`)}</div>
    <small class="muted">${value === undefined ? 'Without channels, each send names its own.' : 'Recipients cannot turn off a required channel.'}</small>`;
}

const WHEN = [['once', 'Once'], ['daily', 'Daily'], ['weekly', 'Weekly'], ['cron', 'Cron']];
const DAY_NAMES = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** The parts of a cron expression that is daily, or weekly on one day. */
function partsOf(cron) {
  const [, minute, hour, weekday] = /^(\d\d?) (\d\d?) \* \* (\*|[0-7]|[a-z]{3})$/i.exec(cron ?? '') ?? [];
  if (minute === undefined) return null;
  const named = DAYS.indexOf(weekday.toLowerCase());
  return { time: `${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`, day: weekday === '*' ? null : named >= 0 ? named : Number(weekday) % 7 };
}

/** When a schedule sends: once, or by a cron expression, of which the form has the frequent ones. */
function Times({ attributes, values, draft, value: cron, change, field }) {
  const parts = partsOf(cron);
  const [kind, setKind] = useState(values.at !== undefined ? 'once' : !parts ? 'cron' : parts.day === null ? 'daily' : 'weekly');
  const { time = '09:00', day } = parts ?? {};
  const replace = (changes) => {
    const { at, cron: _, ...rest } = draft.values.value;
    draft.change({ ...changes, ...rest });
  };
  const setCron = (at, weekday) => {
    const [hour, minute] = at.split(':').map(Number);
    replace({ cron: `${minute} ${hour} * * ${weekday ?? '*'}` });
  };
  const choose = (next) => {
    setKind(next);
    if (next === 'once') replace({ at: `${new Date(Date.now() + 86_400_000).toLocaleDateString('sv')}T${time}:00` });
    else if (next === 'cron') replace({ cron: cron ?? '0 9 * * 1-5' });
    else setCron(time, next === 'daily' ? null : day ?? 1);
  };
  const timeInput = html`<${TimeInput} ...${attributes} required aria-label="Time" value=${time} change=${(at) => setCron(at, kind === 'daily' ? null : day ?? 1)} />`;
  return html`<${Segments} label="When" options=${WHEN} value=${kind} choose=${choose} />
    <div class="times">${kind === 'once' ? html`<${Once} attributes=${attributes} at=${values.at} change=${(at) => replace({ at })} />`
      : kind === 'cron' ? html`<${Cron} attributes=${{ ...attributes, 'aria-label': 'Cron expression' }} ...${{ value: cron, change, values, field }} hasTimes=${false} />`
      : html`${kind === 'weekly' && html`<select aria-label="Day" value=${day ?? 1} onChange=${({ currentTarget: { value: next } }) => setCron(time, next)}>${DAY_NAMES.map((name, index) => html`<option key=${name} value=${index}>${name}</option>`)}</select>`}${timeInput}`}</div>`;
}

/** A local time in the zone of the schedule, or a text with an offset. */
function Once({ attributes, at = '', change }) {
  const isLocal = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:00)?$|^$/.test(at);
  return html`<input ...${attributes} aria-label="Date and time" type=${isLocal ? 'datetime-local' : 'text'} required value=${isLocal ? at.slice(0, 16) : at} onInput=${({ currentTarget: { value } }) => change(isLocal && value ? `${value}:00` : value)} />`;
}

const PLACES = [['recipient', 'To a recipient'], ['topic', 'On a topic']];

/** The recipient of a source at first: that of the event. An event on a topic has none. */
const OF_EVENT = 'event.recipient';

/** What the events of a source are published to. */
function Place({ attributes, label, value, values, draft, change }) {
  const [place, setPlace] = useState(value === undefined ? 'recipient' : 'topic');
  const choose = (next) => {
    setPlace(next);
    const { topic, notification, to, ...rest } = values;
    const [last, first] = next === 'topic' ? [OF_EVENT, ''] : ['', OF_EVENT];
    const moved = (one) => (one?.var === last ? { var: first } : one);
    draft.change({ ...rest, ...(notification && { notification: { ...notification, to: moved(notification.to) } }), ...(to && { to: moved(to) }) });
  };
  return html`<${Segments} label=${label} options=${PLACES} value=${place} choose=${choose} />
    ${place === 'topic' && html`<input ...${attributes} required aria-label="Topic" placeholder="order-{id}" autoComplete="off" spellcheck=${false} value=${value ?? ''} onInput=${({ currentTarget: { value: topic } }) => change(topic || undefined)} />`}`;
}

const WIDGETS = { channels: Channels, times: Times, recipients: RecipientsField, place: Place };

// --- The field of a form for whom something is sent to: recipients by name, an audience or a variable, with suggestions.

const MAX_SUGGESTED = 8;
const KINDS = { recipients: 'Recipients', topic: 'Followers of a topic', role: 'Recipients with a role', tenant: 'A whole tenant', all: 'Everyone', var: 'A variable', text: 'A text with variables', json: 'Other, as JSON' };
/** What an empty input is for. */
const PLACEHOLDERS = { topic: 'Choose a topic', role: 'admin', var: 'event.data.customer' };
/** The value of a kind before something is entered. */
const EMPTY = { recipients: undefined, topic: { topic: '' }, role: { role: '' }, tenant: { tenant: '' }, all: { all: true }, var: { var: '' }, text: '{{ }}' };

/** The kind of a value, which the field can show; others are JSON. */
function kindOf(value = '') {
  if (typeof value === 'string') return value.includes('{{') ? 'text' : 'recipients';
  if (Array.isArray(value)) return value.every((one) => typeof one === 'string' && !one.includes('{{')) ? 'recipients' : 'json';
  const [name, ...others] = Object.keys(value ?? {});
  return others.length === 0 && name in EMPTY && (name === 'all' ? value.all === true : typeof value[name] === 'string') ? name : 'json';
}

/** The topics that begin with what is typed. */
function useTopics(isShown, typed, tenant) {
  const [found, setFound] = useState([]);
  useEffect(() => {
    setFound([]);
    if (!isShown || me.value.role === 'viewer') return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => get(withQuery('/v1/topics', { prefix: typed, tenant, limit: MAX_SUGGESTED }), abort.signal).then(({ topics }) => setFound(topics)).catch(() => {}), typed ? TYPING_MS : 0); // any topic can be typed
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [isShown, typed, tenant]);
  return found;
}

/** A source without a tenant sends in the tenant of each event, where others exist than in the default one. */
const elsewhere = (key) => `There is no recipient ${key} in the default tenant. Press again if the tenants of the events have it.`;

/** @param {{attributes: any, label: string, value: any, values: any, draft: any, change: (value: any) => void}} of a widget of the form */
function RecipientsField({ attributes, label, value, values, draft, change }) {
  // A text and JSON keep their kind while they are written, whatever they begin with.
  const [kept, keep] = useState(null);
  const [problem, setProblem] = useState('');
  const id = useId(), isOfEvent = 'event' in values, newcomer = isOfEvent && !draft.tenant && elsewhere, kind = kept === 'json' || (kept === 'text' && typeof (value ?? '') === 'string') ? kept : kindOf(value);
  const text = typeof value === 'string' ? value : value?.[kind] ?? '', topics = useTopics(kind === 'topic', text, draft.tenant);
  const choose = (next) => {
    setProblem('');
    keep(next);
    if (next !== 'json') change(EMPTY[next]);
  };
  const shown = Object.entries(KINDS).filter(([name]) => (name === 'var' ? isOfEvent || kind === 'var' : name !== 'text' || kind === 'text'));
  const named = { ...attributes, 'aria-label': label, 'aria-describedby': problem ? `${id}-problem` : attributes['aria-describedby'] };
  const picker = (of, chosen, set, more) => html`<${Picker} key=${of} kind=${of} chosen=${chosen} change=${set} onProblem=${setProblem} attributes=${named} ...${more} />`;
  return html`<div class="recipients-field"><select aria-label=${`Kind of ${label}`} disabled=${attributes.disabled} value=${kind} onChange=${({ currentTarget }) => choose(currentTarget.value)}>${shown.map(([name, words]) => html`<option key=${name} value=${name} selected=${name === kind}>${words}</option>`)}</select>
    ${kind === 'recipients' ? picker('recipient', [value ?? []].flat().filter(Boolean), (keys) => change(keys.length > 1 ? keys : keys[0]), { isMany: true, tenant: draft.tenant, newcomer, none: 'Choose recipients' })
      : kind === 'tenant' ? picker('tenant', [text].filter(Boolean), ([key = '']) => change({ tenant: key }))
      : kind === 'json' ? html`<${Json} attributes=${named} value=${value} change=${(next) => { keep('json'); change(next); }} />`
      : kind !== 'all' && html`<input ...${named} class=${['var', 'text'].includes(kind) ? 'code' : null} list=${kind === 'topic' ? id : null} placeholder=${PLACEHOLDERS[kind]} autoComplete="off" autocapitalize="none" spellcheck=${false} value=${text} onInput=${({ currentTarget }) => { keep(kind); change(kind === 'text' ? currentTarget.value : { [kind]: currentTarget.value }); }} />`}</div>
    <datalist id=${id}>${topics.map(({ topic }) => html`<option key=${topic} value=${topic} />`)}</datalist>
    ${problem && html`<small class=${newcomer && kind === 'recipients' ? 'warn' : 'error'} id=${`${id}-problem`} role="alert">${problem}</small>`}`;
}

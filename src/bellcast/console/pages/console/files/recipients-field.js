/**
 * The field of a form for whom something is sent to: recipients by name, an audience or a variable, with suggestions.
 */
import { TYPING_MS } from './filters.js';
import { html, useEffect, useId, useState } from './html.js';
import { Picker } from './picker.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';
import { Json } from './workflow-inspector.js';

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
export function RecipientsField({ attributes, label, value, values, draft, change }) {
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

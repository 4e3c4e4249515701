/**
 * The field of a form for whom something is sent to: recipients, an audience or a variable, with suggestions.
 */
import { TYPING_MS } from './filters.js';
import { html, useEffect, useId, useState } from './html.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';
import { Json } from './workflow-inspector.js';

const MAX_SUGGESTED = 8;
const KINDS = { recipients: 'Recipients', topic: 'Followers of a topic', role: 'Recipients with a role', tenant: 'A whole tenant', all: 'Everyone', var: 'A variable', json: 'Other, as JSON' };
const EXAMPLES = { topic: 'news', role: 'admin', tenant: 'acme', var: 'event.data.customer' };
/** The value of a kind before something is entered. */
const EMPTY = { recipients: undefined, topic: { topic: '' }, role: { role: '' }, tenant: { tenant: '' }, all: { all: true }, var: { var: '' } };

/** Whether a text with commas shows recipients as they are stored: a key with a comma would be read as two, a list with variables as one. */
const isText = (value) => (typeof value === 'string' ? value.includes('{{') || !value.includes(',') : value.every((one) => typeof one === 'string' && !/,|\{\{/.test(one)));

/** The kind of a value, which the field can show; others are JSON. */
function kindOf(value) {
  if (typeof (value ?? '') === 'string' || Array.isArray(value)) return isText(value ?? '') ? 'recipients' : 'json';
  const [name, ...others] = Object.keys(value);
  return others.length === 0 && name in EMPTY && (name === 'all' ? value.all === true : typeof value[name] === 'string') ? name : 'json';
}

/** The text of recipients as they are sent: one key, or several, separated by commas. A text with a variable may contain commas. */
function recipientsIn(text) {
  const keys = text.includes('{{') ? [text] : text.split(',').map((key) => key.trim()).filter(Boolean);
  return keys.length > 1 ? keys : keys[0] || undefined;
}

/** Where suggestions of a kind are found. */
const SOURCES = {
  recipients: (typed, tenant) => [withQuery('/v1/recipients', { text: typed, tenant, limit: MAX_SUGGESTED }), ({ recipients }) => recipients],
  topic: (typed, tenant) => [withQuery('/v1/topics', { prefix: typed, tenant, limit: MAX_SUGGESTED }), ({ topics }) => topics.map(({ topic }) => ({ key: topic }))],
  tenant: (typed) => [withQuery('/v1/tenants', { prefix: typed, limit: MAX_SUGGESTED }), ({ tenants }) => tenants],
};

/** The objects of a kind whose keys or names contain what is typed. */
function useSuggestions(kind, typed, tenant) {
  const [found, setFound] = useState([]);
  useEffect(() => {
    setFound([]);
    if (!SOURCES[kind] || me.value.role === 'viewer') return undefined;
    const abort = new AbortController(), [url, read] = SOURCES[kind](typed, tenant);
    const timer = setTimeout(() => get(url, abort.signal).then((response) => setFound(read(response))).catch(() => {}), typed ? TYPING_MS : 0); // any key can be typed
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [kind, typed, tenant]);
  return found;
}

/** @param {{attributes: any, label: string, value: any, values: any, draft: any, change: (value: any) => void}} of a widget of the form */
export function RecipientsField({ attributes, label, value, values, draft, change }) {
  const [isJson, setJson] = useState(false);
  const [entered, setEntered] = useState('');
  const id = useId(), isOfEvent = 'event' in values;
  const kind = isJson ? 'json' : kindOf(value);
  const read = (text) => (kind === 'recipients' ? recipientsIn(text) : { [kind]: text });
  const written = kind === 'recipients' ? [value ?? ''].flat().join(', ') : kind === 'json' ? '' : value[kind];
  // What was typed stays while it has this value, such as with a comma at its end.
  const text = JSON.stringify(read(entered)) === JSON.stringify(value) ? entered : written;
  const last = kind !== 'recipients' ? text : text.includes('{{') ? '' : /[^,]*$/.exec(text)[0].trim();
  const found = useSuggestions(kind, last, draft.tenant);
  const choose = (next) => {
    setJson(next === 'json');
    if (next !== 'json') change(EMPTY[next]);
  };
  const enter = ({ currentTarget }) => {
    setEntered(currentTarget.value);
    change(read(currentTarget.value));
  };
  const shown = Object.entries(KINDS).filter(([name]) => name !== 'var' || isOfEvent || kind === 'var');
  return html`<div class="recipients-field"><select aria-label=${`Kind of ${label}`} disabled=${attributes.disabled} value=${kind} onChange=${({ currentTarget }) => choose(currentTarget.value)}>${shown.map(([name, words]) => html`<option key=${name} value=${name} selected=${name === kind}>${words}</option>`)}</select>
    ${kind === 'json' ? html`<${Json} attributes=${{ ...attributes, 'aria-label': label }} value=${value} change=${(next) => { setJson(true); change(next); }} />` : kind !== 'all' && html`<input ...${attributes} aria-label=${label} class=${kind === 'var' ? 'code' : null} list=${id} autoComplete="off" autocapitalize="none" spellcheck=${false} value=${text} placeholder=${EXAMPLES[kind] ?? (isOfEvent ? 'the recipient of the event' : 'alice')} onInput=${enter} />`}</div>
    <datalist id=${id}>${found.map(({ key, name }) => html`<option key=${key} value=${kind === 'recipients' ? text.slice(0, text.length - last.length) + key : key}>${name}</option>`)}</datalist>
    ${kind === 'recipients' && html`<small class="muted">Keys; several are separated by commas.</small>`}`;
}

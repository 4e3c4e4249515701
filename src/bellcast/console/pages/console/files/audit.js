/**
 * The audit log: who did or tried what, with names in place of ids, and the fields that changed.
 */
import { actsOf, changesOf, decoded, isObject, isQuestion, partsOf, recipientOf, sentenceOf } from './audit-sentences.js';
import { CallerAvatar } from './caller.js';
import { RANGE } from './filters.js';
import { count, number } from './format.js';
import { html } from './html.js';
import { Loaded, useLoad } from './load.js';
import { Headline } from './object-parts.js';
import { Card, Facts, Heading, Moment, Opening, State, Time } from './parts.js';
import { nameOf as nameOfRecipient, readNames } from './recipient-names.js';
import { get, path, Problem, withQuery } from './server.js';

/** The names of keys and operators by their ids. */
const names = new Map();
const KEY = 'key:';

/** Read the names of the keys, operators and recipients that entries only have as ids. */
async function readMore(entries) {
  const isNamed = (text) => entries.some(({ actor, target }) => `${actor} ${target}`.includes(text));
  const read = async (address, rows) => {
    for (const { id, name } of (await get(withQuery(address, { tenant: '*', limit: 200 })))[rows]) names.set(id, name);
  };
  // Without the names, the ids are shown.
  await Promise.allSettled([(isNamed(KEY) || isNamed('/v1/keys/')) && read('/v1/keys', 'keys'), isNamed('/v1/operators/') && read('/v1/operators', 'operators'), readNames(entries.map(recipientOf).filter(Boolean))]);
}

/** Who acted: an operator, a key by its name, or the project secret. */
const actorOf = ({ actor }) => names.get(actor.slice(KEY.length)) ?? actor;

/** What was done, with names; an id without one is left out. */
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
const UNNAMED = new RegExp(`(^| )((?:(?:simulated|dead) )?[\\w-]+) ${UUID.source}`);
function wordsOf(entry) {
  const recipient = recipientOf(entry), text = sentenceOf(entry), id = UUID.exec(text)?.[0];
  if (recipient && text.includes(recipient.recipient)) return text.replace(recipient.recipient, () => nameOfRecipient(recipient));
  return names.has(id) ? text.replace(id, () => names.get(id)) : text.replace(UNNAMED, (_, before, noun) => `${before}${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`);
}

/** A changed value as a few words; null if it is longer. */
function valueWords(value) {
  const text = value === null ? 'none' : typeof value === 'boolean' ? (value ? 'on' : 'off') : Array.isArray(value) && value.every((one) => typeof one !== 'object') ? value.join(', ') : typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.length <= MAX_WORDS && text !== TOO_LONG ? text : null;
}
const MAX_WORDS = 40;
/** The log has this in place of a value that is too long for it. */
const TOO_LONG = '…';
const isBrief = ({ from, to }) => valueWords(from) !== null && valueWords(to) !== null;
/** Changes in a row of the list. */
const MAX_CHANGES = 3;
/** A field such as `data_check` or `limits.per_day` in words. */
const nameOf = ({ field }) => field.replace(/[._]/g, ' ');
/** A change in words: the new value, after the old one; of a long one, that it has changed. */
function summaryOfChange({ field, from, to }) {
  if (isBrief({ from, to }) && !isObject(to)) return `${nameOf({ field })}: ${from === null ? '' : `${valueWords(from)} → `}${valueWords(to)}`;
  return `${nameOf({ field })} ${from === null ? 'set' : to === null ? 'removed' : 'changed'}`;
}
function summaryOf(entry) {
  const all = changesOf(entry), more = all.length > MAX_CHANGES + 1 ? [`${all.length - MAX_CHANGES} more`] : [];
  return [...all.slice(0, more.length > 0 ? MAX_CHANGES : all.length).map(summaryOfChange), ...more].join(' · ');
}

/** Why something was refused. */
const REASONS = { forbidden: 'The role of the operator or the scopes of the key do not permit it.', unauthenticated: 'The name, the password or the key was wrong.', invalid: 'What was sent was not valid.', not_found: 'There is no such object.', password_required: 'The console asks for the password again before it.' };
/** Outcomes of the server's own failures. */
const isFailure = ({ outcome }) => ['internal', 'unavailable', 'disk_full'].includes(outcome);
const outcomeOf = ({ outcome }) => (isQuestion({ outcome }) ? 'password needed' : outcome.replaceAll('_', ' '));
const Outcome = ({ of: one }) => html`<${State} of=${outcomeOf(one)} kind=${isQuestion(one) ? 'open' : 'bad'} />`;

export const audit = {
  path: '/v1/audit', rows: 'entries', link: (one) => path`/audit/${one.id}`, isOfTenant: true, isNewestFirst: true, readMore, join: actsOf,
  filters: [{ name: 'text', label: 'Search actors and objects', isSearch: true }, { name: 'outcome', label: 'Outcome', options: ['ok', 'refused'] }, { name: 'actor', label: 'Actor' }, RANGE], views: [['Refused', { outcome: 'refused' }]],
  columns: [
    { name: 'Action', kind: 'title', lead: (one) => html`<${CallerAvatar} of=${one.actor} />`, of: (one) => html`<b>${actorOf(one)}</b> ${wordsOf(one)}`, text: summaryOf }, { name: 'Outcome', of: (one) => one.outcome !== 'ok' && one, show: (one) => html`<${Outcome} of=${one} />`, width: '9.5rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'When', kind: 'time', of: (one) => one.at },
  ],
  none: { text: 'No entries yet. Changes by operators and keys appear here, with the fields that changed.' },
};

/** The last actions of an operator. They come last, so that nothing moves when they arrive. */
const FEW = 8;
export function LatestActions({ page, of }) {
  const found = useLoad(async (signal) => {
    const { entries, scanned_until: more } = await get(withQuery('/v1/audit', { actor: of, limit: FEW }), signal);
    await readMore(entries);
    return { entries: actsOf(entries), isPart: Boolean(more) };
  }, [of]);
  return html`<${Card} title="Latest actions"><${Loaded} of=${found}>${({ entries, isPart }) => (entries.length === 0 ? html`<p class="muted">${isPart ? 'None among the newest 20,000 entries.' : 'None in the last 400 days.'}</p>` : html`<ul class="rows-of">${entries.map((one) => html`<li key=${one.id}><a class="plain grow" href=${page.url(path`/audit/${one.id}`)}>${wordsOf(one)}</a>${one.outcome !== 'ok' && html`<${Outcome} of=${one} />`}<${Time} at=${one.at} /></li>`)}</ul>
    <a href=${withQuery(page.url('/audit'), { actor: of })}>All in the audit log</a>`)}<//><//>`;
}

/** The entry of an id, which begins with the time of the entry: UUIDv7. */
async function entryOf(id, tenant, signal) {
  const at = parseInt(id.replace('-', '').slice(0, 12), 16);
  const iso = (ms) => new Date(ms).toISOString();
  const { entries } = at >= 0 ? await get(withQuery('/v1/audit', { tenant, from: iso(at - 1000), to: iso(at + 1000), limit: 200 }), signal) : { entries: [] };
  const found = entries.find((one) => one.id === id);
  if (!found) throw new Problem(404, { detail: 'The audit log has no such entry.' }, null);
  await readMore([found]);
  return found;
}

/** What is created has fields, but none of them was changed. */
const isCreation = ({ action, changes }) => action.startsWith('POST ') && changes.every(({ from }) => from === null);

/** Whether it was done, and how much it changed. */
function EntryVerdict({ of: one }) {
  if (isQuestion(one)) return html`<${Headline} kind="open" note=${REASONS[one.outcome]}>Waited for the password<//>`;
  if (one.outcome !== 'ok') return html`<${Headline} kind="bad" note=${isFailure(one) ? 'A part of it may have been done.' : `${REASONS[one.outcome] ?? ''} Nothing was changed.`}>${isFailure(one) ? 'Failed' : 'Refused'}: ${outcomeOf(one)}<//>`;
  const changed = changesOf(one).length, fields = count(changed, 'field');
  return html`<${Headline} kind=${changed > 0 || !one.action.startsWith('GET ') ? 'ok' : 'info'}>${changed > 0 ? isCreation(one) ? `Created with ${fields}` : `${fields} changed` : one.action.startsWith('GET ') ? 'Read, nothing was changed' : 'Done'}<//>`;
}

/** An entry with its fields before and after. */
export function AuditEntry({ page }) {
  const entry = useLoad((signal) => entryOf(page.key, page.query.get('tenant'), signal), [page.path]);
  return html`<${Opening} page=${page} of=${entry}>${(one) => html`<${Heading} before=${html`<${CallerAvatar} of=${one.actor} />`} title=${html`${actorOf(one)} ${wordsOf(one)}`} />
    <${EntryVerdict} of=${one} />
    <${Facts} of=${[['When', html`<${Moment} at=${one.at} />`], ['Object', objectOf(one) && html`<a href=${withQuery(page.url(objectOf(one)), { tenant: recipientOf(one)?.tenant ?? one.tenant })}>${objectWords(one)}</a>`], ['Tenant', one.tenant], ['Address', one.address], ['Actor', actorOf(one) !== one.actor && html`<code>${one.actor}</code>`], ['Action', html`<code>${requestOf(one)}</code>`], ['Request', html`<a href=${page.url(path`/requests/${one.request_id}`)}><code>${one.request_id}</code></a>`], ['Entry', number(one.number)]]} />
    ${one.changes.length > 0 && html`<${Card} title=${isCreation(one) ? 'Fields' : 'Changes'}><dl class="changes">${changesOf(one).map(({ field, from, to }) => html`<div key=${field}><dt>${nameOf({ field })}</dt>${isBrief({ from, to }) ? html`<dd class="brief">${from !== null && html`<del>${valueWords(from)}</del> → `}<ins>${valueWords(to)}</ins></dd>` : to === TOO_LONG ? html`<dd class="brief">${from === null ? 'Set' : 'Changed'} <span class="muted">to a value that is too long for the log</span></dd>` : html`<dd><pre tabIndex="0" class="removed">${valueOf(from)}</pre><pre tabIndex="0" class="added">${valueOf(to)}</pre></dd>`}</div>`)}</dl><//>`}
    ${one.actor && html`<nav class="links" aria-label="Of this actor"><a href=${withQuery(page.url('/audit'), { actor: one.actor, tenant: page.query.get('tenant') })}>All by ${actorOf(one)}</a></nav>`}`}<//>`;
}

/** The request of an entry, or the tool and its arguments. */
const requestOf = ({ action, target }) => `${action.includes(' /') ? action.split(' ')[0] : action} ${target}`;

/** Kinds of objects with pages at the path of the API, with the number of names in it. */
const OBJECTS = { connections: 1, keys: 1, messages: 1, notifications: 1, operators: 1, providers: 1, recipients: 1, runs: 1, schedules: 1, sources: 1, suppressions: 2, templates: 1, tenants: 1, topics: 1, types: 1, webhooks: 1, workflows: 1, 'pusher-apps': 1 };

/** The page of the object that an entry is about; null without one, or after it was deleted. */
function objectOf({ action, target, outcome }) {
  const [, kind, ...rest] = partsOf(target)[0].split('/').slice(1), names = rest.slice(0, OBJECTS[kind]).map((part) => encodeURIComponent(decoded(part)));
  const isWhole = rest.length === OBJECTS[kind], isDeleted = action.startsWith('DELETE ') && isWhole && outcome === 'ok';
  if (isDeleted) return null;
  if (action.includes('{') && names.length === OBJECTS[kind]) return `/${[kind, ...names].join('/')}`;
  const of = recipientOf({ target });
  return of && path`/recipients/${of.recipient}`;
}

const valueOf = (value) => (value === null ? '–' : typeof value === 'string' ? value : JSON.stringify(value, null, 2));

/** The kind and the name of the object that an entry is about. */
function objectWords(one) {
  const [kind, ...rest] = objectOf(one).slice(1).split('/'), key = decodeURIComponent(rest.at(-1)), recipient = recipientOf(one);
  const name = recipient && kind === 'recipients' ? nameOfRecipient(recipient) : names.get(key) ?? (UUID.test(key) ? '' : key);
  return `${{ keys: 'API key', 'pusher-apps': 'Pusher app', types: 'notification type' }[kind] ?? kind.replace(/s$/, '')} ${name}`;
}

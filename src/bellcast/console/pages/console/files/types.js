/**
 * Types of notifications: their names, channels, and what recipients may turn off.
 */
import { inboxState } from './activity.js';
import { count, toneOf } from './format.js';
import { html, useRef, useState } from './html.js';
import { Definition, UsesInLines, apiPath } from './definition.js';
import { Edit, newLink } from './edit.js';
import { searchOf } from './filters.js';
import { refresh, useLoad } from './load.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Card, Icon, State, Time } from './parts.js';
import { Named } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { inTenant, shownTenant } from './router.js';
import { get, getTagged, path, putYaml, withQuery } from './server.js';
import { Channel, ChannelMarks, Headline, Sign, isRequired } from './object-parts.js';
import { FEW, amountOf, useRow } from './traffic.js';
import { Form } from './form.js';
import { SchemaForm, SchemaTable } from './schema-fields.js';
import { valuesOf } from './yaml.js';

const KIND = {
  name: 'type', path: '/types', starter: { channels: ['inbox', 'email'] }, key: 'booking.created', form: ['name', 'channels', 'template'],
  fields: [['name', 'What recipients see in their preferences, such as “New bookings”.'], ['channels', 'The channels it is sent to: inbox, email, sms, push, chat.'], ['template', 'The texts of its notifications. Without one, each send brings its own.'], ['required', 'Channels that recipients cannot turn off; “true” means all.'], ['defaults', 'Channels that are on or off before a recipient chooses.'], ['data', 'A JSON Schema for the data of sends.'], ['data_check', 'What happens with invalid data: refuse or warn.']],
  note: 'Sends of the type use its channels and template, unless they name their own. Recipients see its name in their preferences.',
};

/** How many objects of each kind use it, such as “3 workflows, 1 schedule”. */
const usersOf = ({ uses }) => Object.entries(Object.groupBy(uses, (one) => one.split('/')[0])).map(([kind, all]) => count(all.length, kind.slice(0, -1))).join(', ');

const CHANNELS_OF = new Intl.ListFormat('en');
const namesOf = ({ channels }, isShown) => channels.map((one) => one.channel ?? one).filter(isShown).map((channel) => CHANNEL_NAMES[channel]);
/** What recipients may choose, in sentences. */
function limitsOf(one) {
  const off = namesOf(one, (channel) => one.defaults?.[channel] === false), required = requiredOf(one);
  return [off.length > 0 && `${CHANNELS_OF.format(off)}: off until a recipient turns it on.`, required ? `${required} cannot be turned off.` : 'Recipients may turn off each channel.'].filter(Boolean).join(' ');
}

const requiredOf = (one) => (one.required === true ? 'Its channels' : CHANNELS_OF.format(Object.keys(CHANNEL_NAMES).filter((channel) => isRequired(one, channel)).map((channel) => CHANNEL_NAMES[channel])));

export const types = {
  path: '/v1/types', rows: 'types', isTall: true, filters: [searchOf('types')], link: (one) => path`/types/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'Type', kind: 'title', lead: (one) => html`<${Sign} icon="types" tone=${toneOf(one.key)} />`, of: (one) => one.name ?? one.key, text: (one) => html`<code>${one.key}</code>` }, { name: 'Channels', of: (one) => one.channels?.length > 0 && one, show: (one) => html`<${ChannelMarks} of=${one} />`, width: '10rem' },
    { name: 'Used by', of: usersOf, none: 'API only', width: '12rem' }, { name: 'Template', of: (one) => one.template }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Sent, 24 h', kind: 'number', of: ({ recent_sends: recent }) => recent && amountOf(recent), share: ({ recent_sends: recent }) => recent?.value ?? 0, width: '9.5rem' }, { name: 'Last sent', kind: 'time', of: ({ recent_sends: recent }) => recent?.last_at },
  ],
  note: html`<span class="channel-marks explained"><span class="avatar tone-grey off"></span></span>off until a recipient turns it on,<span class="channel-marks explained"><span class="avatar tone-grey"><span class="lock"><${Icon} name="lock" /></span></span></span>recipients cannot turn it off.`,
  none: { text: 'No types yet. Each send has a type; a description gives it a name, channels and a template, and says what recipients may turn off.', command: 'bellcast type put booking.yaml', tools: (page) => newLink(page, KIND) },
};

/** How often it was sent, and through which channels. The lines keep their places while the number is read. */
function Recent({ of: one, setSent }) {
  const recent = useRow('types', one, 'recent_sends', setSent)?.recent_sends;
  return html`<${Headline} kind=${recent?.value > 0 ? 'ok' : 'open'} note=${one.channels?.length > 0 ? limitsOf(one) : 'By the channels that a send names.'}>${recent?.value === 0 ? (recent.exact ? 'Not sent in the last 24 hours' : 'Not among the last 20,000 sends') : html`Sent ${recent ? amountOf(recent) : '…'} ${recent?.value === 1 ? 'time' : 'times'} in 24 hours${recent && html`, last <${Time} at=${recent.last_at} />`}`}<//>`;
}

/** The channels of a type by their names. */
const NamedChannels = ({ of: one }) => html`<span class="actions">${one.channels.map((each) => each.channel ?? each).map((channel) => html`<${Channel} key=${channel} of=${channel}>${(isRequired(one, channel) || one.defaults?.[channel] === false) && html` <span class="muted">${isRequired(one, channel) ? 'required' : 'off'}</span>`}<//>`)}</span>`;

/** To whom a type was sent last, and what comes after that: from the first answer on, also while it is read again. Only recent sends are read (`isSent`): the server compares many rows to find that there are none. */
export function LastSends({ page, of: { key: type, tenant }, isSent, title = 'Last sends', children }) {
  const found = useLoad(async (signal) => isSent && get(withQuery('/v1/notifications', { type, tenant: tenant ?? (shownTenant() || '*'), limit: FEW }), signal), [type, tenant, isSent]), isRead = useRef(false);
  isRead.current ||= !found.isLoading;
  return isRead.current && html`${found.value?.notifications?.length > 0 && html`<${Card} title=${title}><ul class="rows-of">${found.value.notifications.map((one) => html`<li key=${one.id}><span class="grow"><${Named} of=${one} href=${inTenant(page, path`/notifications/${one.id}`, one)} isShort /></span><${State} of=${inboxState(one)} /><${Time} at=${one.created_at} /></li>`)}</ul><//>`}${children}`;
}

export const EditType = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export function NotificationType({ page }) {
  const [isSent, setSent] = useState(null);
  const list = (one) => html`<nav class="links" aria-label="Of this type"><a href=${`${page.url('/notifications')}?${new URLSearchParams({ type: one.key })}`}>Notifications of this type</a></nav>`;
  return html`<${Definition} page=${page} kind=${KIND} headline=${(one) => html`<${Recent} key=${one.key} of=${one} setSent=${setSent} />`} loss=${(one) => (one.uses.length > 0 ? `${usersOf(one)} ${one.uses.length === 1 ? 'uses' : 'use'} it.` : 'Nothing uses it.')}
  last=${(one, yaml) => isSent !== null && html`<${LastSends} key=${one.key} page=${page} of=${one} isSent=${isSent && page.may(CONTENT)}>${list(one)}${yaml}<//>`}
  facts=${(one) => [['Channels', one.channels?.length > 0 ? html`<${NamedChannels} of=${one} />` : one.channels ? 'none' : 'those of the send'], ['Template', one.template && html`<a href=${page.url(path`/templates/${one.template}`)}>${one.template}</a>`], ['Used by', one.uses.length > 0 ? html`<${UsesInLines} page=${page} of=${one} />` : 'API only']]}>${(one, tag) => html`<${DataSchema} key=${tag} page=${page} kind=${KIND} one=${one} tag=${tag} />`}<//>`;
}

// --- The schema of the data of a type: its fields as a form, a proposal from the last sends, and what the last sends would fail.

const CHECKS = { refuse: 'refuse the send', warn: 'accept the send, and warn in the live feed' };

/** @param {{page: any, kind: any, one: any, tag: string}} of `one` is the type as it was read, with its ETag `tag` */
function DataSchema({ page, kind, one, tag }) {
  const [draft, setDraft] = useState(null);
  const [seen, setSeen] = useState(0);
  const [problem, setProblem] = useState(null);
  const mayEdit = page.may(BUILDERS);
  const infer = async () => {
    setProblem(null);
    try {
      const found = await get(apiPath(page, kind, '/inferred-schema'));
      setSeen(found.seen);
      setDraft(found.schema);
    } catch (failed) {
      setProblem(failed.status === 404 ? 'No send of this type is stored yet: there is nothing to infer a schema from.' : failed.message);
    }
  };
  const close = () => { setDraft(null); setSeen(0); setProblem(null); };
  const start = () => { setSeen(0); setDraft(one.data ?? { type: 'object', properties: {} }); };
  if (draft) return html`<${Card} title="Data"><${Editor} key=${seen} page=${page} kind=${kind} read=${{ value: one, tag }} schema=${draft} seen=${seen} close=${close} /><//>`;
  return html`<${Card} title="Data">
    ${one.data ? html`<p class="muted">Data that does not fit: ${CHECKS[one.data_check]}. The schema also applies to workflows of this type without a schema.</p><${SchemaTable} schema=${one.data} />` : html`<p class="muted">Sends of this type may have any data. A schema refuses wrong data before it reaches a recipient, and lists the variables of templates.</p>`}
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    ${mayEdit && html`<div class="choice">${one.data && html`<button type="button" onClick=${start}>Edit fields</button>`}<button type="button" onClick=${infer}>Infer from the last sends</button>${!one.data && html`<button type="button" onClick=${start}>Add fields</button>`}</div>`}<//>`;
}

function Editor({ page, kind, read, schema: proposed, seen, close }) {
  const [schema, setSchema] = useState(proposed);
  const [check, setCheck] = useState(read.value.data_check ?? 'refuse');
  const [effects, setEffects] = useState(null);
  // The type that these entries change. Its other fields are sent as they were read.
  const base = useRef(read);
  const put = async (_, _form, isMine) => {
    if (isMine) base.current = await getTagged(apiPath(page, kind));
    const body = JSON.stringify({ ...valuesOf(base.current.value), data: schema, data_check: check });
    const send = (dryRun) => putYaml(withQuery(`/v1${kind.path}/${encodeURIComponent(page.key)}`, { tenant: page.query.get('tenant'), dry_run: dryRun }), body, { 'if-match': base.current.tag });
    const found = effects ?? (await send(true)).effects;
    if (effects === null && found.length > 0) {
      setEffects(found);
      return false;
    }
    await send(null);
    close();
    refresh();
    return true;
  };
  return html`<${Form} isGuarded class="schema" button=${effects === null ? 'Save schema' : 'Save anyway'} send=${put} more=${html`<button type="button" onClick=${close}>Cancel</button>`}>
    ${seen > 0 && html`<p class="notice">Proposed from the last ${count(seen, 'send')}: their shapes, not their values.</p>`}
    <${SchemaForm} schema=${schema} change=${(next) => { setEffects(null); setSchema(next); }} />
    <div class="field"><label for="data-check">Data that does not fit</label><select id="data-check" value=${check} onChange=${(event) => { setEffects(null); setCheck(event.target.value); }}>${Object.entries(CHECKS).map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></div>
    <div role="status" data-effects>${effects?.map((effect) => html`<p key=${effect.code} class="notice warn"><${Icon} name="warn" /> ${effect.text}</p>`)}</div><//>`;
}

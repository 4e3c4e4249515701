/**
 * Recipients, and the page of one: inbox, Explain, devices, topics, preferences, and actions that end its sessions or
 * delete its data.
 */
import { inboxState } from './activity.js';
import { Dialect } from './dialects.js';
import { Confirm } from './dialogs.js';
import { Explanation, RetryMessage, preferenceChanges } from './explain.js';
import { CREATED } from './filters.js';
import { Field, Form } from './form.js';
import { count, number } from './format.js';
import { html, useEffect, useRef, useState } from './html.js';
import { Loaded, Paged, Together, loadStyle, refresh, useLoad, useOpened } from './load.js';
import { CancelEdit, cancel, createObject, edit, endEdit } from './new-object.js';
import { ChannelMarks, More } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Avatar, Card, Empty, Facts, Heading, Id, Json, Moment, Opening, State, Time, once } from './parts.js';
import { KeyFields } from './key-fields.js';
import { BUILDERS, CONTENT, OWNERS } from './roles.js';
import { go, inTenant, tenantOf } from './router.js';
import { Problem, ROOT, get, path, request, withQuery } from './server.js';
import { me } from './session.js';
import { TenantField } from './tenant-field.js';
import { deleteObject, say } from './toast.js';
import { TimeField } from './time-field.js';

await loadStyle('preferences.css');

/** The fields of a recipient, beside its key. */
const FIELDS = [['Name', 'name'], ['E-mail', 'email', { inputmode: 'email', spellcheck: false, autocapitalize: 'none' }], ['Phone', 'phone', { type: 'tel' }], ['Language', 'locale', { list: 'languages', spellcheck: false, placeholder: 'Tenant’s language' }], ['Time zone', 'timezone', { list: 'time-zones', spellcheck: false, placeholder: 'Tenant’s time zone' }]];
/** What is said below an empty field. */
const EXAMPLES = { phone: 'Such as +442079460000.', locale: 'Such as de-AT.', timezone: 'Such as Europe/Vienna.' };
/** Languages that are offered; others can be typed. */
const LANGUAGES = ['ar', 'cs', 'da', 'de', 'de-AT', 'de-CH', 'en', 'en-GB', 'en-US', 'es', 'fi', 'fr', 'it', 'ja', 'ko', 'nl', 'no', 'pl', 'pt', 'pt-BR', 'ru', 'sv', 'tr', 'uk', 'zh'];
/** Fields of the whole width: their values are long. */
const LONG = ['name', 'email', 'phone'];
/** Why an address is skipped although it is stored. The server has the last word: these find what is typed wrong. */
const ADDRESSES = {
  email: [/^[^\s@]+@[^\s@]+$/, 'This is not an e-mail address. It is stored, but e-mails to it are skipped.'],
  phone: [/^\+[1-9]\d{6,14}$/, 'This is not a number such as +442079460000. It is stored, but SMS to it are skipped.'],
};

/** The fields, with a warning below an address that cannot be used. */
function Profile({ one = {}, first }) {
  const [entered, setEntered] = useState(one);
  const field = ([label, name, more]) => {
    const [form, warning] = ADDRESSES[name] ?? [], value = (entered[name] ?? '').trim();
    const hint = value ? { locale: languageOf, timezone: timeIn }[name]?.(value) : EXAMPLES[name];
    return html`<${Field} key=${name} label=${label} name=${name} autocomplete="off" defaultValue=${one[name] ?? ''} autofocus=${name === first} onInput=${({ currentTarget: { value: text } }) => setEntered((last) => ({ ...last, [name]: text }))} hint=${hint} warning=${form && (value === '' || form.test(value) ? '' : warning)} ...${more} />`;
  };
  return html`${FIELDS.filter(([, name]) => LONG.includes(name)).map(field)}<div class="two-up">${FIELDS.filter(([, name]) => !LONG.includes(name)).map(field)}</div><datalist id="time-zones">${Intl.supportedValuesOf('timeZone').map((zone) => html`<option key=${zone} value=${zone} />`)}</datalist><datalist id="languages">${LANGUAGES.map((tag) => html`<option key=${tag} value=${tag}>${languageOf(tag)}</option>`)}</datalist>`;
}

/** Maximum rows of each list on the page; the linked lists contain all. */
const FEW = 10;
/** Characters of the id of a connection in a row. */
const SHORT_ID = 8;


const KEY = { name: 'search', label: 'Key begins with' };

/** The channels by which a recipient can be reached outside of the inbox; a row does not say whether it has devices. */
const channelsOf = ({ email, phone, chat }) => [email && 'email', phone && 'sms', Object.keys(chat ?? {}).length > 0 && 'chat'].filter(Boolean);

export const recipients = {
  path: '/v1/recipients', rows: 'recipients', link: (one) => path`/recipients/${one.key}`, pinsOpened: true, create: { form: NewRecipient, button: 'New recipient' },
  /** Viewers read no names and addresses. */
  get filters() {
    return me.value.role === 'viewer' ? [{ ...KEY, isSearch: true }, CREATED] : [{ name: 'text', label: 'Search names, keys and e-mails', isSearch: true }, KEY, CREATED];
  },
  views: [['New this week', { range: '7d' }]],
  columns: [
    { name: 'Recipient', kind: 'title', lead: (one) => html`<${Avatar} of=${one.key} name=${one.name || one.key} />`, of: (one) => one.name || one.key, text: (one) => one.name && one.key },
    { name: 'E-mail', of: (one) => one.email, none: '–', width: 'minmax(12rem, .95fr)' },
    { name: 'Channels', of: (one) => channelsOf(one).length > 0 && channelsOf(one), show: (channels) => html`<${ChannelMarks} of=${{ channels }} />`, none: '–', width: '6.5rem' },
    { name: 'Unread', kind: 'number', of: (one) => one.unread > 0 && number(one.unread), by: (one) => one.unread, none: '–', width: '5rem' },
    { name: 'Tenant', of: (one) => one.tenant, none: 'Default tenant' },
    { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  note: 'By tenant and key, unless another order is chosen.',
  none: { text: 'No recipients yet. The first send to a key creates one.', command: 'bellcast notify alice "Hello"' },
};

function NewRecipient({ page }) {
  const create = async ({ key, tenant, ...fields }) => {
    const values = Object.fromEntries(Object.entries(fields).filter(([, value]) => value.trim()).map(([name, value]) => [name, value.trim()]));
    await createObject(withQuery(path`/v1/recipients/${key.trim()}`, { tenant }), values, 'recipient');
    refresh();
    go(inTenant(page, path`/recipients/${key.trim()}`, { tenant }));
  };
  return html`<${Heading} title="New recipient" /><p class="muted">Recipients are created by the first send to them too. Create one here to enter its addresses before.</p><${Form} isGuarded button="Create recipient" send=${create} more=${cancel(page)}>
    <${KeyFields} hasName=${false} maxlength="200" hint="The id of the user in your app."><${TenantField} /><//>
    <${Profile} /><//>`;
}

/** The lists with what a recipient has, and what one row of them is. */
const LISTS = [['notifications', 'notification'], ['messages', 'message'], ['runs', 'run'], ['connections', 'connection']];

export function Recipient({ page }) {
  const tenant = tenantOf(page);
  const url = urlOf(page);
  const found = useLoad((signal) => get(url(), signal), [url()]);
  useOpened(found.value);
  if (found.value === undefined) return html`<${Opening} page=${page} of=${found} />`;
  const one = found.value;
  const endSessions = async () => {
    await request('DELETE', url('/sessions'));
    refresh();
  };
  const isEdited = page.may(BUILDERS) && page.query.has('focus');
  const heading = (tools) => html`<${Heading} title=${one.name || one.key} note=${html`<${Avatar} of=${one.key} name=${one.name || one.key} />${one.name && html`<${Id} of=${one.key} />`}`}>${tools}<//>`;
  if (isEdited) return html`${heading()}<${Together}><${Details} key=${url()} found=${one} url=${url()} first=${page.query.get('focus')} /><//>`;
  return html`${heading(html`${page.may(BUILDERS) && html`<button type="button" onClick=${() => edit('name')}>Edit</button>`}<${More} of=${one.name || one.key}>${page.may(CONTENT) && html`<a class="option" href=${`${ROOT}${url('/export')}`} download=${`${one.key}.json`}>Export</a>`}${page.may(BUILDERS) && html`<${Confirm} isDanger label=${`End sessions of ${one.key}`} word="End sessions" about="Its connections close, and its tokens are refused: pages and apps need new ones." act=${endSessions} />`}<//>`)}<${Together}>
    ${page.may(BUILDERS) && html`<${Returned} page=${page} one=${one} tenant=${tenant} />`}
    <div class="story-columns"><div><div><${Explanation} key=${one.key} page=${page} recipient=${one.key} name=${one.name || one.key} tenant=${tenant} />
        <${Facts} of=${facts(one)} />
        <${Counts} page=${page} of=${{ recipient: one.key, ...tenant }} />
        <${Card} title="Last notifications"><${Inbox} page=${page} tenant=${tenant} /><//>
        <${Card} title="Devices"><${Devices} page=${page} tenant=${tenant} url=${url} /><//>
        <${Card} title="Topics"><${Topics} page=${page} tenant=${tenant} /><//></div>
      <div><${Card} title="Preferences"><${Preferences} page=${page} url=${url('/preferences')} /><//></div></div></div>
    ${page.may(OWNERS) && html`<${Erasure} page=${page} recipient=${one.key} url=${url()} />`}
    <details><summary>JSON</summary><${Json} of=${one} /></details><//>`;
}

/** Links to what the recipient has, with their numbers. They appear together, so that none moves. */
function Counts({ page, of }) {
  const read = (name, signal) => get(withQuery(`/v1/${name}`, { ...of, limit: 1 }), signal).then(({ total }) => total);
  const found = useLoad((signal) => Promise.all(LISTS.map(([name]) => read(name, signal))), [JSON.stringify(of)]);
  return html`<nav class="links counts" aria-label="About this recipient">${found.value?.map(({ value, exact }, index) => {
    const [list, noun] = LISTS[index], text = exact ? count(value, noun) : `${number(value)}+ ${noun}s`;
    return value > 0 && html`<a key=${index} href=${withQuery(page.url(`/${list}`), of)}>${text}</a>`;
  })}${found.value && html`<a href=${withQuery(page.url('/live'), of)}>Live</a>`}</nav>`;
}

const profileOf = (one) => Object.fromEntries(FIELDS.map(([, name]) => [name, one[name] ?? null]));

/** The profile and the addresses. Only what was changed is written, unless it has been changed since it was read: it is read again on "Take theirs". */
function Details({ found, url, first }) {
  const [one, setOne] = useState(found);
  const save = async (values, _, isMine) => {
    const changed = FIELDS.map(([, name]) => [name, values[name].trim() || null]).filter(([name, value]) => value !== (one[name] ?? null));
    if (changed.length === 0) return endEdit();
    const now = profileOf(await get(url));
    if (!isMine && changed.some(([name, value]) => now[name] !== (one[name] ?? null) && now[name] !== value)) throw new Problem(412, {}, null);
    await request('PATCH', url, Object.fromEntries(changed));
    endEdit();
    say(`Saved ${values.name.trim() || found.key}`);
    return refresh();
  };
  return html`<${Form} isGuarded isEdit button="Save" send=${save} onReset=${() => get(url).then(setOne)} more=${html`<${CancelEdit} />`}><${Profile} key=${JSON.stringify(profileOf(one))} one=${one} first=${first === 'address' ? 'email' : first} /><//>`;
}

/** The last message that came back from another address than the recipient has now, and a button that sends it to this one. */
function Returned({ page, one, tenant }) {
  const found = useLoad((signal) => get(withQuery('/v1/messages', { recipient: one.key, state: 'bounced', limit: 1, ...tenant }), signal), [one.email, one.phone]);
  const message = found.value?.messages[0], now = { email: one.email, sms: one.phone }[message?.channel];
  return now && message.to !== now && html`<div class="notice fixes"><span><b dir="auto">${message.content.subject ?? CHANNEL_NAMES[message.channel]}</b> came back from ${message.to} <${Time} at=${message.created_at} />. A retry goes to ${now}.</span><${RetryMessage} page=${page} url=${withQuery(path`/v1/messages/${message.id}/retry`, tenant)} /></div>`;
}

/** The name of a language, as far as the browser knows it. */
function languageOf(locale) {
  try {
    return locale && new Intl.DisplayNames('en', { type: 'language' }).of(locale);
  } catch {
    return '';
  }
}

/** The time of day in a time zone. */
function timeIn(timeZone) {
  try {
    return timeZone && `${new Date().toLocaleTimeString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' })} now`;
  } catch {
    return '';
  }
}

const facts = (one) => [
  ['Tenant', one.tenant],
  ['E-mail', one.email],
  ['Phone', one.phone],
  ['Language', one.locale && [languageOf(one.locale), one.locale].filter(Boolean).join(', ')],
  ['Time zone', one.timezone],
  ['Roles', one.roles.join(', ')],
  ['Inbox', `${number(one.unread)} unread, ${number(one.unseen)} unseen`],
  ['Created', html`<${Moment} at=${one.created_at} />`],
];

const urlOf = (page) => (more = '') => withQuery(path`/v1/recipients/${page.key}` + more, tenantOf(page));

function Inbox({ page, tenant }) {
  const all = { recipient: page.key, ...tenant };
  const last = useLoad((signal) => get(withQuery('/v1/notifications', { ...all, limit: FEW }), signal), [page.path, tenant]);
  return html`<${Loaded} of=${last}>${({ notifications, next }) => (notifications.length === 0 ? html`<${Empty} text="No notifications yet." command=${`bellcast notify ${page.key} "Hello"`} />` : html`
    <ul class="rows-of inbox">${notifications.map((one) => html`<li key=${one.id}><a class="plain" href=${inTenant(page, path`/notifications/${one.id}`, one)} dir="auto">${one.title}</a><${State} of=${inboxState(one)} /><${Time} at=${one.created_at} />
      <a class="button small" href=${withQuery(page.path, { ...tenant, notification: one.id })} aria-label=${`Why? ${one.title}`}>Why?</a></li>`)}</ul>
    ${next && html`<a href=${withQuery(page.url('/notifications'), all)}>All notifications</a>`}`)}<//>`;
}

/** The open connections and the endpoints of push messages. */
function Devices({ page, tenant, url }) {
  const all = { recipient: page.key, ...tenant };
  const connected = useLoad((signal) => get(withQuery('/v1/connections', { ...all, limit: FEW }), signal), [page.path, tenant]);
  const push = useLoad((signal) => get(url('/push-endpoints'), signal), [url('')]);
  const remove = (id) => async () => {
    await request('DELETE', url(path`/push-endpoints/${id}`));
    push.reload();
  };
  return html`<${Loaded} of=${connected}>${({ connections, next }) => (connections.length === 0 ? html`<p class="muted">No page or app is connected.</p>` : html`
      <ul class="rows-of">${connections.map((one) => html`<li key=${one.id}><${Dialect} of=${one} /><code title=${one.id}>${one.id.slice(0, SHORT_ID)}</code><span class="muted">${one.address}</span><${Time} at=${one.connected_at} /></li>`)}</ul>${next && html`<a href=${withQuery(page.url('/connections'), all)}>All connections</a>`}`)}<//>
    <${Loaded} of=${push}>${({ push_endpoints: endpoints }) => (endpoints.length === 0 ? html`<p class="muted">No device is registered for push messages.</p>` : html`
      <ul class="rows-of">${endpoints.map((one) => html`<li key=${one.id}><b>${one.kind}</b><${Id} of=${one.id} /><${Time} at=${one.created_at} />${page.may(BUILDERS) && html`<${Confirm} isDanger label=${`Delete the push endpoint ${one.id}`} word="Delete" about="The device gets no push messages until it registers again." act=${remove(one.id)} />`}</li>`)}</ul>`)}<//>`;
}

function Topics({ page, tenant }) {
  const read = (after, signal) => get(withQuery(path`/v1/recipients/${page.key}/subscriptions`, { ...tenant, after }), signal);
  const first = useLoad((signal) => read('', signal), [page.path, tenant]);
  const change = (method, topic, body) => request(method, withQuery(path`/v1/topics/${topic}/subscriptions/${page.key}`, tenant), body).then(first.reload);
  return html`<${Loaded} of=${first}>${(response) => (response.subscriptions.length === 0 ? html`<p class="muted">The recipient subscribes to no topic.</p>` : html`<${Paged} of=${response} rows="subscriptions" read=${read}>${(all) => html`
      <ul class="rows-of">${all.map(({ topic, created_at: at }) => html`<li key=${topic}><a class="plain" href=${inTenant(page, path`/topics/${topic}`)}>${topic}</a><${Time} at=${at} />${page.may(BUILDERS) && !topic.startsWith('role.')
    && html`<${Confirm} label=${`Unsubscribe from ${topic}`} word="Unsubscribe" act=${() => change('DELETE', topic)} />`}</li>`)}</ul>`}<//>`)}<//>
    ${page.may(BUILDERS) && html`<${Form} isInline isSecondary button="Subscribe" send=${async ({ topic }, form) => {
    await change('PUT', topic.trim(), {});
    form.reset();
  }}><${Field} label="Subscribe to" name="topic" required maxlength="164" autocomplete="off" /><//>`}`;
}

/** Deletes all data. The operator must type the key, so that a click on the wrong button or page deletes nothing. */
const Erasure = ({ page, recipient, url }) => html`<details class="panel"><summary class="bad">Erase this recipient</summary>
  <p>Deletes the recipient with its inbox, messages, preferences, devices and subscriptions, and ends its sessions. It cannot be undone; export the data first.</p>
  <${Form} isDanger button="Erase" send=${async ({ key }) => {
  if (key !== recipient) throw new Error('This is not the key of the recipient.');
  await deleteObject(url, recipient, inTenant(page, '/recipients'));
}}><${Field} label=${`Type ${recipient} to confirm`} name="key" required autocomplete="off" spellcheck=${false} autocapitalize="none" /><//></details>`;

// --- The preferences of a recipient: a switch for each type and channel, mute, and quiet hours.

const BY = { recipient: 'the recipient', tenant: 'the tenant', project: 'the project', type: 'the type' };

/** The name of a type; reasons name the type of sends without one by its key. */
const titleOf = ({ type, name }) => (type === 'general' && name ? `${name} (${type})` : name ?? type);

/** The channels that are off for all types, as a sentence; empty if there is none. */
function offOf(effective) {
  const off = Object.entries(CHANNEL_NAMES).filter(([channel]) => {
    const cells = effective.map(({ channels }) => channels[channel]).filter(Boolean);
    return cells.length > 0 && cells.every(({ on }) => !on);
  });
  return off.length > 0 && `${off.map(([, name]) => name).join(', ')} ${off.length > 1 ? 'are' : 'is'} off`;
}

/** The effective preferences as a table of types and channels. `cell` shows what a type has for a channel. */
const Matrix = ({ effective, cell }) => html`<div class="scroll types" tabIndex="0" role="region" aria-label="Types and channels"><table class="matrix">
  <thead><tr><th scope="col">Type</th>${Object.entries(CHANNEL_NAMES).map(([key, name]) => html`<th key=${key} scope="col">${name}</th>`)}</tr></thead>
  <tbody>${effective.map((one) => html`<tr key=${one.type}><th scope="row" title=${one.type}>${titleOf(one)}</th>${Object.keys(CHANNEL_NAMES).map((channel) => html`<td key=${channel}>${one.channels[channel] ? cell(one, channel) : '–'}</td>`)}</tr>`)}</tbody></table></div>`;

function Preferences({ page, url }) {
  const found = useLoad((signal) => get(url, signal), [url]);
  const changes = preferenceChanges.value, seen = useRef(changes);
  useEffect(() => {
    if (seen.current !== changes) found.reload();
    seen.current = changes;
  }, [changes]);
  const [problem, setProblem] = useState('');
  const mayChange = page.may(BUILDERS);
  const change = async (patch) => {
    setProblem('');
    found.set(await request('PATCH', url, patch));
  };
  const attempt = async (patch, box) => {
    try {
      await change(patch);
    } catch (failed) {
      if (box) box.checked = !box.checked;
      setProblem(failed.message);
    }
  };
  return html`<${Loaded} of=${found}>${({ effective, inherited, updated_at: updatedAt, ...own }) => {
    const muted = own.muted?.['*'], hours = own.quiet_hours;
    return html`<div class="choice"><span>${muted === undefined ? html`<${State} of=${offOf(effective) || 'Nothing is muted'} kind=${offOf(effective) ? 'info' : 'ok'} />` : html`<${State} of="Everything is muted" kind="warn" />${muted !== true && html` until <${Moment} at=${muted} />`}`}</span>
        ${mayChange && html`<button type="button" onClick=${once(() => attempt({ muted: { '*': muted === undefined ? true : null } }))}>${muted === undefined ? 'Mute everything' : 'Unmute'}</button>`}</div>
      <p class="error" role="alert">${problem}</p>
      ${effective.length > 0 && html`<${Matrix} effective=${effective} cell=${({ type, name, channels }, channel) => {
    const { on, required, by, available } = channels[channel];
    return available === false ? html`<span class="muted" title="The type does not have it, or it has no provider or address">–</span>` : html`<input type="checkbox" class="switch" checked=${on} disabled=${!mayChange || required} aria-label=${`${name ?? type} by ${CHANNEL_NAMES[channel]}`} title=${required ? 'Required: it cannot be switched off.' : by ? `Decided by ${BY[by] ?? by}` : 'Nothing decides: on'}
        onChange=${({ currentTarget: box }) => attempt({ types: { [type]: { [channel]: box.checked } } }, box)} />`;
  }} />`}
      ${mayChange ? html`<${Form} key=${`${hours?.start} ${hours?.end}`} isInline isSecondary button="Save quiet hours" send=${({ start, end }) => change({ quiet_hours: start && end ? { start, end } : null })}>
        <${TimeField} label="Quiet from" name="start" defaultValue=${hours?.start ?? ''} /><${TimeField} label="Quiet until" name="end" defaultValue=${hours?.end ?? ''} /><//>` : html`<p>${hours ? `Quiet hours from ${hours.start} to ${hours.end}` : 'No own quiet hours.'}</p>`}
      ${Object.values(own).some((value) => value && Object.keys(value).length > 0) && html`<details><summary>Settings of the recipient</summary><${Json} of=${own} /></details>`}
      ${updatedAt && html`<p class="muted">Last changed <${Moment} at=${updatedAt} /></p>`}`;
  }}<//>`;
}

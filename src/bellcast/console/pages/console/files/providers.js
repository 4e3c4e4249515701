/**
 * Providers: who delivers the messages of a channel. A vendor is chosen by its tile, its fields make the URL, and a test signs in before it is saved.
 */
import { Cleared, Field, Form, matching } from './form.js';
import { html, useContext, useEffect, useRef, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { count, number } from './format.js';
import { takenKey } from './key-fields.js';
import { Loaded, Together, loadStyle, refresh, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { CancelEdit, cancel, edit } from './new-object.js';
import { Channel, ChannelSign, Headline, More } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Card, Facts, Heading, Icon, Opening, State, Time, withSettings } from './parts.js';
import { TestSteps } from './pusher-apps.js';
import { BUILDERS, CONTENT } from './roles.js';
import { go, shownTenant, tenantOf } from './router.js';
import { Problem, get, getTagged, path, readAll, request, sendIf, withQuery } from './server.js';
import { Password } from './sign-in.js';
import { tenantName } from './tenant-names.js';
import { Pause, Resume, activation, deleteObject, say } from './toast.js';
import { FEW, MessageRows, amountOf, rowOf } from './traffic.js';

await Promise.all(['providers.css', 'tiles.css'].map(loadStyle));

const encode = encodeURIComponent;
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const TECHNICAL = { autocomplete: 'off', spellcheck: false, autocapitalize: 'none' };

/** Fields by name: their label and attributes. Secrets are masked, and not shown again. */
const FIELDS = {
  host: { label: 'Host', placeholder: 'mail.example.com', required: true, pattern: '[^\\s\\/@?#]+', title: 'A name without https:// and without a port, such as mail.example.com', hint: 'Port 465: TLS from the start. Others: STARTTLS if it is offered, and always with a password.' }, port: { label: 'Port', type: 'number', min: 1, max: 65535, defaultValue: '587', }, user: { label: 'User' }, password: { label: 'Password', type: 'password', isSecret: true },
  token: { label: 'API key', type: 'password', isSecret: true, required: true }, from: { label: 'Sender', placeholder: 'Shop <bells@example.com>', required: true }, region: { label: 'Region', defaultValue: 'eu-central-1', required: true },
  sid: { label: 'Account SID', required: true }, apiKey: { label: 'API key', required: true }, secret: { label: 'API secret', type: 'password', isSecret: true, required: true }, number: { label: 'Sender', placeholder: '+12025550123', required: true, hint: 'A number, or a name where that is allowed.' },
  signature: { label: 'Signature secret', type: 'password', isSecret: true, hint: 'For receipts, from the settings of the account at Vonage, with the method SHA-256 HMAC.' },
  account: { label: 'Service account', isLong: true, isSecret: true, required: true, hint: 'The JSON file of Firebase, as text.' }, team: { label: 'Team id', required: true }, keyId: { label: 'Key id', required: true }, pem: { label: 'Key', isLong: true, isSecret: true, required: true, hint: 'The .p8 file, as text.' }, topic: { label: 'Bundle id', placeholder: 'com.example.app', required: true },
  url: { label: 'URL', type: 'password', isSecret: true, required: true }, raw: { label: 'URL' },
};
const smtp = ({ host, port, user, password, from }) => `${port === '465' ? 'smtps' : 'smtp'}://${user || password ? `${encode(user)}:${encode(password)}@` : ''}${host}:${port || 587}${from ? `?from=${encode(from)}` : ''}`;
/** A mail service that is used over SMTP, with a token as its password. */
const relay = (host, user, own = {}) => ({ channel: 'email', own: { token: own }, fields: ['token', 'from'], url: ({ token, from }) => smtp({ host, port: '587', user: user ?? token, password: token, from }) });
/** A stored account and its gateway stay, and what is not entered beside them. */
const account = (scheme, user, password) => ({ server, number, signature, ...values }) => `${scheme}://${values[user] || values[password] ? `${encode(values[user])}:${encode(values[password])}` : '…'}@${server}?${new URLSearchParams(Object.entries({ from: number, signature_secret: signature }).filter(([, value]) => value))}`;

/** The vendors: the channel, the fields, and the URL made of them. */
const VENDORS = {
  smtp: { name: 'Mail server', icon: 'mail', color: '#4f56d9', note: 'SMTP', channel: 'email', fields: ['host', 'port', 'user', 'password', 'from'], url: smtp },
  ses: { name: 'Amazon SES', mark: 'SES', color: '#b4540a', note: 'SMTP credentials', channel: 'email', fields: ['region', 'user', 'password', 'from'], own: { user: { label: 'SMTP user name', required: true }, password: { label: 'SMTP password', required: true, hint: 'In Amazon SES: SMTP settings, then Create SMTP credentials.' } }, url: (values) => smtp({ ...values, host: `email-smtp.${values.region}.amazonaws.com`, port: '587' }) },
  postmark: { name: 'Postmark', mark: 'P', color: '#f5c400', isLight: true, note: 'server token', ...relay('smtp.postmarkapp.com', undefined, { label: 'Server API token', hint: 'In Postmark: the server, then API Tokens.' }) }, sendgrid: { name: 'SendGrid', mark: 'SG', color: '#1173c7', note: 'API key', ...relay('smtp.sendgrid.net', 'apikey', { hint: 'In SendGrid: Settings, then API Keys. It needs the permission Mail Send.' }) }, resend: { name: 'Resend', mark: 'R', color: '#111111', note: 'API key', ...relay('smtp.resend.com', 'resend', { hint: 'In Resend: API Keys, with sending access.' }) },
  twilio: { name: 'Twilio', mark: 't', color: '#d61f36', note: 'text messages', channel: 'sms', fields: ['sid', 'token', 'number'], own: { token: { label: 'Auth token', hint: 'On the first page of the Twilio console.' } }, url: account('twilio', 'sid', 'token') }, vonage: { name: 'Vonage', mark: 'V', color: '#7a12e8', note: 'text messages', channel: 'sms', fields: ['apiKey', 'secret', 'number', 'signature'], url: account('vonage', 'apiKey', 'secret') },
  fcm: { name: 'Firebase', icon: 'flame', color: '#d9480f', note: 'Android, FCM', channel: 'push', fields: ['account'], url: (values) => `fcm://default?credentials_base64=${encode(base64(values.account))}` },
  apns: { name: 'Apple', icon: 'push', color: '#55585f', note: 'iOS, APNs', channel: 'push', fields: ['team', 'keyId', 'pem', 'topic'], url: (values) => `apns://${encode(values.team)}:${encode(values.keyId)}@default?topic=${encode(values.topic)}&key_base64=${encode(base64(values.pem))}` },
  telegram: { name: 'Telegram', icon: 'plane', color: '#1b83b9', note: 'bot token', channel: 'chat', fields: ['token'], own: { token: { label: 'Bot token', hint: 'From @BotFather, such as 123456:ABC…' } }, url: ({ token }) => `telegram://${token}@default` },
  apprise: { name: 'Apprise', icon: 'chat', color: '#2b7a4b', fields: ['url'], url: ({ url }) => (url.startsWith('apprise+') ? url : `apprise+${url}`) },
};

/** A sign for a vendor, in its colour: letters or a picture, but not its logo. */
const Mark = ({ of: { mark, icon, color, isLight } }) => html`<span class=${`avatar vendor-mark ${isLight ? 'light' : ''}`} style=${{ background: color }} aria-hidden="true">${icon ? html`<${Icon} name=${icon} />` : mark}</span>`;

/** The vendor of a stored URL, by its scheme. */
const vendorOf = ({ url }) => VENDORS[url.startsWith('apprise+') ? 'apprise' : url.split(':')[0].replace('smtps', 'smtp')];
/** The server, the sender or the account in a masked URL. */
const aboutOf = ({ url }) => url.replace(/^[\w+]+:\/\//, '').replace('…@', '').replace(/^default\?/, '').replace(/^default$/, '');
const isOfSettings = (one) => one.key.startsWith('env-');

/** Whether it is used, and how much of it failed: a provider that refuses messages is not simply active. */
const stateOf = ({ active, recent_messages: recent }) => (!active ? 'paused' : recent?.failed > 0 ? `${Math.max(1, Math.round((100 * recent.failed) / recent.value))} % fail` : 'active');
/** Failed messages in a hundred from which a provider is shown in red. */
const MANY = 10;
const toneOf = { active: 'ok', paused: 'wait' };

export const providers = {
  path: '/v1/providers', rows: 'providers', isTall: true, above: Coverage, link: (one) => path`/providers/${one.key}`, create: { form: NewProvider, button: 'New provider' },
  columns: [
    { name: 'Provider', kind: 'title', lead: (one) => html`<${Mark} of=${vendorOf(one) ?? VENDORS.apprise} />`, of: (one) => one.key, text: (one) => [vendorOf(one)?.name, aboutOf(one)].filter(Boolean).join(' · ') }, { name: 'State', of: stateOf, show: (state) => html`<${State} of=${state} kind=${toneOf[state] ?? (Number.parseInt(state, 10) >= MANY ? 'bad' : 'warn')} />`, width: '6.5rem' },
    { name: 'Channel', of: (one) => one.channel, show: (channel) => html`<${Channel} of=${channel} />`, width: '8rem' }, { name: 'Limit', of: (one) => one.rate && `${one.rate} a second`, width: '6rem' },
    { name: 'Failed, 24 h', kind: 'number', of: ({ recent_messages: recent }) => recent?.value > 0 && `${recent.failed > 0 ? number(recent.failed) : 'none'} of ${amountOf(recent)}`, by: ({ recent_messages: recent }) => recent?.failed, width: '8rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all tenants', width: '7rem' }, { name: 'Last message', kind: 'time', of: ({ recent_messages: recent }) => recent?.last_at },
  ],
  note: 'A tenant’s own providers of a channel replace those of all tenants.',
  none: { text: 'No providers yet. Messages are simulated: they are stored and shown under Messages, but not delivered.', command: 'bellcast provider put mail.yaml' },
};

/** The name of a channel within a sentence. */
const inSentence = (channel) => (channel === 'sms' ? 'SMS' : CHANNEL_NAMES[channel].toLowerCase());

/** The channels that need a provider, each with what delivers its messages. */
function Coverage({ page }) {
  const found = useLoad((signal) => readAll((after) => withQuery('/v1/providers', { tenant: shownTenant() || '*', limit: 200, after }), 'providers', signal), [shownTenant()]);
  return html`<ul class="coverage" aria-label="Channels">${Object.keys(CHANNEL_NAMES).slice(1).map((channel) => {
    const all = (found.value ?? []).filter((one) => one.channel === channel && one.active), tenants = new Set(all.map(({ tenant }) => tenant));
    const isSimulated = found.value && all.length === 0, name = CHANNEL_NAMES[channel];
    return html`<li key=${channel} class=${isSimulated ? 'none' : null}><${ChannelSign} of=${channel} /><b>${name}${isSimulated && html` <small>simulated</small>`}</b>${isSimulated ? page.may(BUILDERS) && html`<a href=${withQuery(page.url('/providers'), { new: 'yes', channel, tenant: shownTenant() })}>New ${inSentence(channel)} provider</a>` : found.value && html`<small title=${!tenants.has(null) && [...tenants].map(tenantName).join(', ')}>${tenants.has(null) ? count(all.length, 'provider') : `${count(tenants.size, 'tenant')}; others simulated`}</small>`}</li>`;
  })}</ul>`;
}

/** Tiles of the vendors, and then the fields of the chosen one. */
function NewProvider({ page }) {
  const vendor = VENDORS[page.query.get('new')];
  const tenant = shownTenant() || page.me.tenants?.[0] || '';
  const target = (name) => withQuery(page.url('/providers'), { new: name, tenant: shownTenant() });
  if (vendor?.channel) {
    return html`<${Heading} title=${vendor.name} note=${html`<${Mark} of=${vendor} />`} /><${Editor} about=${html`Delivers ${inSentence(vendor.channel)} messages ${tenant ? `of ${tenant}` : 'of all tenants without a provider of their own'}. <a href=${target('yes')}>Other vendors</a> · `} page=${page} vendor=${vendor} tenant=${tenant} initial=${{ key: page.query.get('new') }} />`;
  }
  return html`<${Heading} title="New provider" />${['email', 'sms', 'push', 'chat'].filter((channel) => [null, channel].includes(page.query.get('channel'))).map((channel) => html`<section key=${channel} class="vendors"><h2>${CHANNEL_NAMES[channel]}</h2>
    <ul class="tiles">${Object.entries(VENDORS).filter(([, one]) => one.channel === channel).map(([key, one]) => html`<li key=${key}><a class="tile" href=${target(key)}><${Mark} of=${one} /><b>${one.name}</b><small>${one.note}</small></a></li>`)}</ul>
    ${channel === 'chat' && html`<p class="muted">Slack, Discord and Microsoft Teams need no provider: the webhook of a channel is the address of its recipient. Other chats are reached with Apprise, in <code>BELLCAST_CHAT</code> of the server.</p>`}</section>`)}`;
}

/** A stored provider: its test, and its fields. */
export function Provider({ page }) {
  const tenant = tenantOf(page), url = withQuery(path`/v1/providers/${page.key}`, tenant);
  const found = useLoad((signal) => getTagged(url, signal), [url]);
  return html`<${Opening} page=${page} of=${found}>${({ value: one, tag }) => {
    const vendor = vendorOf(one) ?? VENDORS.apprise, mayChange = page.may(BUILDERS) && !isLocked(one) && !isOfSettings(one) && (one.tenant ?? '') === tenant.tenant;
    const set = activation(url, { value: one, tag }, ({ channel, url: masked, ...more }) => ({ ...deliveryOf(more), channel, url: masked }));
    const isEdited = mayChange && page.query.has('focus');
    return html`<${Heading} title=${one.key} note=${html`<${Mark} of=${vendor} />`}>${mayChange && !isEdited && html`${!one.active && html`<${Resume} name=${one.key} set=${set} />`}<button type="button" onClick=${() => edit('url')}>Edit</button><${More} of=${one.key}>${one.active && html`<${Pause} name=${one.key} set=${set} />`}<${Confirm} isDanger label=${`Delete ${one.key}`} word="Delete" about="Its URL with the secret is lost. Without another provider of the channel, messages are only stored." act=${() => deleteObject(url, one.key, withQuery(page.url('/providers'), { tenant: shownTenant() }), { tag })} /><//>`}<//>
      <${ManagedBanner} page=${page} kind="providers" one=${one} />
      ${isEdited ? html`<${Together}><${Editor} key=${tag} page=${page} vendor=${vendor} tenant=${tenant.tenant} initial=${one} tag=${tag} /><//>` : html`<${Together}><${Traffic} page=${page} one=${one} tenant=${tenant.tenant || '*'}><${Facts} of=${[['Vendor', vendor.name], ['Channel', html`<${Channel} of=${one.channel} />`], ['URL', html`<code>${one.url}</code>`], ['Tenant', one.tenant ?? 'all'], ['Limit', one.rate && `${one.rate} a second`], ['Priority', one.priority !== 0 && one.priority], ['Set by', isOfSettings(one) && 'the settings of the server']]} /><//>
      ${page.may(BUILDERS) && html`<${Card} title="Connection"><p class="muted">Signs in at the provider, and sends nothing.</p><${Test} label=${`Test connection of ${one.key}`} url=${withQuery(path`/v1/providers/${one.key}/test`, tenant)} /><//>`}<//>`}`;
  }}<//>`;
}

const DAY_MS = 86_400_000;

/** What a provider delivered in a day: how much of it failed, and after its facts the last messages. */
function Traffic({ page, one, tenant, children }) {
  const of = { provider: one.key, tenant };
  const found = useLoad((signal) => {
    if (!page.may(CONTENT)) return null;
    const from = new Date(Date.now() - DAY_MS).toISOString();
    return Promise.all([get(withQuery('/v1/messages', { ...of, from, limit: FEW }), signal), get(withQuery('/v1/failures', { ...of, from, limit: 1 }), signal), rowOf('providers', one, { tenant }, signal)]);
  }, [one.key, tenant]);
  return html`<${Loaded} of=${found}>${(traffic) => {
    if (traffic === null) return children;
    const [{ messages, total }, { failures: [last] }, row] = traffic, { failed, exact } = row?.recent_messages ?? { failed: 0, exact: !last };
    return html`<${Outcome} one=${one} total=${total} failed=${{ value: Math.max(failed, last ? 1 : 0), exact }} note=${last && html`<a href=${withQuery(page.url('/failures'), of)} dir="auto">${last.reason}</a> <${Time} at=${last.created_at} />`} />${children}
      ${messages.length > 0 && html`<${Card} title="Last messages"><${MessageRows} page=${page} of=${messages} /><a href=${withQuery(page.url('/messages'), of)}>All messages</a><//>`}`;
  }}<//>`;
}

/** How many messages of a day failed; `note` is the last failure. */
function Outcome({ one, total, failed, note }) {
  if (!one.active) return html`<${Headline} kind="wait">Paused: it sends no messages<//>`;
  if (total.value === 0) return html`<${Headline} kind="open">No message in the last 24 hours<//>`;
  const all = total.value === 1 && total.exact ? '1 message' : `${amountOf(total)} messages`;
  return note ? html`<${Headline} kind=${100 * failed.value < MANY * total.value ? 'warn' : 'bad'} note=${note}>${failed.exact ? '' : 'At least '}${number(failed.value)} of ${all} failed in 24 hours<//>` : html`<${Headline} kind="ok">None of ${all} failed in 24 hours<//>`;
}

const deliveryOf = ({ priority, rate, concurrency, timeout, active }) => ({ priority, rate, concurrency, timeout, active });

/** The fields in a masked URL of SMTP. */
function storedFields(one) {
  if (!/^smtps?:/.test(one.url ?? '')) return {};
  const url = new URL(one.url.replace(/^\w+:\/\/(…@)?/, 'http://'));
  return { host: url.hostname, port: url.port || '587' };
}

/** An error of the URL that fields make, as one of the field that it is about. */
function ofField({ field, message }, names) {
  if (!/^(values\.)?url$/.test(field)) return { field, message };
  const find = (...wanted) => wanted.find((name) => names.includes(name));
  if (/sender/.test(message) && find('number')) return { field: 'number', message: 'must be a number such as +12025550123' };
  if (/sender/.test(message) && find('from')) return { field: 'from', message: 'must be an address such as bells@example.com, or a name and an address' };
  return { field: find('raw', 'account', 'pem', 'host', 'region', 'token', 'apiKey', 'url'), message };
}

/** Fields that make a provider, tested before it is saved. A stored one keeps its secret unless another is entered. */
function Editor({ page, vendor, tenant, initial, tag, about }) {
  const isNew = initial.url === undefined;
  const form = useRef(null);
  const isMail = vendor === VENDORS.smtp && (isNew || /^smtps?:/.test(initial.url));
  const stored = isNew ? {} : storedFields(initial);
  // A stored account of another vendor is replaced as a whole.
  const [isByUrl, setByUrl] = useState(false);
  const valuesOf = (entered) => {
    const { key, raw, priority, rate, concurrency, timeout, ...fields } = Object.fromEntries(Object.entries(entered).map(([name, value]) => [name, value.trim()]));
    const isKept = !isNew && !isByUrl && !vendor.fields.some((name) => (!isMail || FIELDS[name].isSecret) && fields[name]) && !fields.user;
    const kept = isMail ? initial.url?.replace(/^\w+:\/\/(…@)?.*$/, (_, secret) => smtp({ ...fields, user: '', password: '' }).replace('://', `://${secret ?? ''}`)) : initial.url;
    const url = isByUrl ? raw : isKept ? kept : vendor.url({ ...fields, server: initial.url?.split('@')[1] ?? 'default' });
    const numbers = Object.fromEntries(Object.entries({ priority, rate, concurrency, timeout }).filter(([, value]) => value).map(([name, value]) => [name, Number(value)]));
    return { key: isNew ? key : initial.key, values: { channel: vendor.channel ?? initial.channel, url, active: initial.active ?? true, ...numbers } };
  };
  const target = (key, more = '') => withQuery(path`/v1/providers/${key}` + more, { tenant });
  const ofFields = (problem) => { throw problem.errors ? Object.assign(problem, { errors: problem.errors.map((one) => ofField(one, isByUrl ? ['raw'] : vendor.fields)) }) : problem; };
  const read = () => {
    if (!form.current.reportValidity()) return null;
    const entered = Object.fromEntries(new FormData(form.current)), { key, values } = valuesOf(entered);
    return { names: isByUrl ? ['raw'] : vendor.fields, send: () => request('POST', target(key, '/test'), { values }).catch(ofFields) };
  };
  const fieldOf = (name) => {
    const { isSecret, required, placeholder, ...field } = { ...FIELDS[name], ...vendor.own?.[name] }, Input = field.type === 'password' ? Password : Field;
    const hint = [placeholder && `Such as ${placeholder}.`, field.hint].filter(Boolean).join(' ');
    return html`<${Input} key=${name} name=${name} autofocus=${!isNew && name === vendor.fields[0]} ...${TECHNICAL} ...${field} ...${isSecret && { autocomplete: 'new-password' }} required=${isNew ? required : name === 'host'} defaultValue=${stored[name] ?? field.defaultValue ?? ''} hint=${hint} placeholder=${isNew || stored[name] ? null : 'Unchanged'} />`;
  };
  return html`<div ref=${(place) => { form.current = place?.querySelector('form'); }}><p class="muted">${about}<button type="button" class="quiet by-url" onClick=${() => setByUrl(!isByUrl)}>${isByUrl ? 'Use the fields' : 'Enter a URL instead'}</button></p><${Form} isGuarded isEdit=${!isNew} button=${isNew ? 'Create provider' : 'Save'} send=${async (entered, _, isMine) => {
    const { key, values } = valuesOf(entered);
    await sendIf('PUT', target(key), values, isNew ? { 'if-none-match': '*' } : matching(tag, isMine)).catch((problem) => ofFields(isNew && problem.status === 412 ? new Problem(412, { errors: [takenKey(key, 'provider', withQuery(page.url(path`/providers/${key}`), { tenant }))] }, null) : problem));
    refresh();
    say(`${isNew ? 'Created' : 'Saved'} ${key}`, isNew ? target(key) : null);
    go(withQuery(page.url(path`/providers/${key}`), { tenant, scope: shownTenant() ? '' : 'all' }));
  }} more=${isNew ? cancel(page) : html`<${CancelEdit} />`}>
    ${isNew && html`<${Field} label="Key" name="key" defaultValue=${initial.key} required maxlength="100" ...${TECHNICAL} hint="The name in messages and in the API." />`}
    ${isByUrl ? html`<${Field} label="URL" name="raw" type="password" required ...${TECHNICAL} autocomplete="new-password" hint="The secret is not shown again. In a changed URL, …@ keeps it for the same server." />`
    : vendor.fields.includes('port') ? html`<div class="field pair">${['host', 'port'].map(fieldOf)}</div>${vendor.fields.slice(2).map(fieldOf)}` : vendor.fields.map(fieldOf)}
    <div class="values-test"><${Test} label="Test these values" read=${read} /></div>
    <details><summary>Delivery</summary><div class="columns"><${Field} label="Priority" name="priority" type="number" step="1" defaultValue=${initial.priority ?? ''} placeholder="0" hint="The lowest is tried first." /><${Field} label="Messages per second" name="rate" type="number" step="any" min="0" defaultValue=${initial.rate ?? ''} placeholder="Unlimited" />
      <${Field} label="At the same time" name="concurrency" type="number" min="1" defaultValue=${initial.concurrency ?? ''} placeholder="10" /><${Field} label="Timeout in seconds" name="timeout" type="number" step="any" min="1" defaultValue=${initial.timeout ?? ''} placeholder="30" /></div></details><//></div>`;
}

/** A button that tests a provider, or the values that `read` returns. What was refused in their fields may be accepted now: the result replaces it. */
function Test({ label, url, read = () => ({ names: [], send: () => request('POST', url, {}) }) }) {
  const [state, setState] = useState({ isRunning: false });
  const place = useRef(null), clear = useContext(Cleared);
  useEffect(() => { if (state.result) place.current.scrollIntoView({ block: 'nearest' }); }, [state.result]);
  const test = async () => {
    const tested = read();
    if (!tested) return;
    clear(tested.names);
    setState({ isRunning: true });
    try {
      setState({ isRunning: false, result: await tested.send() });
    } catch (problem) {
      setState({ isRunning: false, problem });
    }
  };
  const { isRunning, result, problem } = state;
  const failed = result && result.state !== 'ok';
  return html`<button type="button" aria-label=${label} aria-disabled=${isRunning ? 'true' : null} onClick=${isRunning ? null : test}>${label.startsWith('Test connection') ? 'Test connection' : label}</button><div class="tested" role="status" ref=${place}>${isRunning && html`<span class="muted">Testing…</span>`}${problem && html`<${State} of="error" /> ${withSettings(problem.errors?.map(({ field, message }) => `${FIELDS[field]?.label ?? field} ${message}`).join('; ') || problem.message)}`}
    ${result && html`<p class="big"><${State} of=${failed ? 'Not connected' : 'Connected'} kind=${failed ? 'bad' : 'ok'} /></p><${TestSteps} steps=${result.steps.filter((one) => one.state !== 'skipped')} />`}</div>`;
}

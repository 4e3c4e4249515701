/**
 * Access: API keys, operators and the operator's own account.
 */
import { LatestActions } from './audit.js';
import { requestSamples } from './code-samples.js';
import { Code, Sample } from './code.js';
import { Confirm } from './dialogs.js';
import { MfaSetup, RecoveryCodes } from './enrolment.js';
import { CREATED, findIn } from './filters.js';
import { Choices, Field, Form } from './form.js';
import { count, fullTime, toneOf } from './format.js';
import { html, useEffect, useRef, useState } from './html.js';
import { Loaded, Together, loadStyle, refresh, useLoad } from './load.js';
import { OwnEmail } from './own-email.js';
import { CancelEdit, cancel, edit, endEdit } from './new-object.js';
import { Headline, More, ShownOnce, Sign, Tags } from './object-parts.js';
import { Avatar, Card, Empty, Facts, Heading, Id, Moment, Opening, State, Tag, Time } from './parts.js';
import { Passkeys } from './passkeys.js';
import { Password } from './sign-in.js';
import { ALL, OWNERS } from './roles.js';
import { shownTenant } from './router.js';
import { LatestRequests } from './request-parts.js';
import { ROOT, get, path, readAll, request, withQuery } from './server.js';
import { me } from './session.js';
import { Segments } from './segments.js';
import { readTenantNames, tenantName } from './tenant-names.js';
import { TenantsField } from './tenant-field.js';
import { say } from './toast.js';

await loadStyle('account.css');

const SCOPES = {
  send: 'Send notifications and events, trigger workflows', read: 'Read what was sent, recipients and definitions', manage: 'Correct, delete and retry what was sent, define workflows',
  observe: 'Read requests, the live feed and statistics', configure: 'Change settings', admin: 'Manage operators, read the audit log', agent: 'Use the tools of agents at /mcp',
};

/** Scopes that are often chosen together: their words, and which of those that the operator may give. */
const PRESETS = [['Send only', (all) => all.filter((one) => one === 'send')], ['Read only', (all) => all.filter((one) => ['read', 'observe'].includes(one))], ['Full', (all) => all]];


/** What an agent's key may do by default, and for how long. */
const AGENT = { scopes: ['agent', 'read', 'observe'], ttl: '90d' };
const TTLS = { '30d': 'after 30 days', '90d': 'after 90 days', '365d': 'after a year', '': 'never' };
const YEAR = '365d';
const agentButton = (page) => html`<a class="button" href=${withQuery(page.url('/keys'), { new: 'agent', tenant: shownTenant() })}>Connect an agent</a>`;

const ALL_TENANTS = 'all tenants';
/** The tenants of a key or an operator, by name. */
const tenantsOf = ({ tenants }) => tenants?.map(tenantName).join(', ') ?? ALL_TENANTS;
const readNamesOf = (rows) => readTenantNames(rows.flatMap(({ tenants }) => tenants ?? []));
/** All rows of a list, with the names of their tenants. */
async function readNamed(name, query, signal) {
  const rows = await readAll((after) => withQuery(`/v1/${name}`, { limit: 200, after, ...query }), name, signal);
  await readNamesOf(rows);
  return rows;
}

const stateOfKey = (one) => (one.revoked_at ? 'revoked' : Date.parse(one.expires_at) < Date.now() ? 'expired' : 'active');
const isOver = (one) => stateOfKey(one) !== 'active';

export const keys = {
  path: '/v1/keys', rows: 'keys', readMore: readNamesOf, link: (one) => path`/keys/${one.id}`, isTall: true, filters: [findIn('API keys')], order: (one, other) => isOver(one) - isOver(other), tools: agentButton, create: { form: NewKey, button: 'New API key' },
  columns: [
    { name: 'Name', kind: 'title', lead: (one) => html`<${Sign} icon=${one.scopes.includes('agent') ? 'chat' : 'keys'} tone=${toneOf(one.name)} />`, of: (one) => one.name, text: (one) => html`<code>${one.id}</code>` }, { name: 'State', of: stateOfKey, show: (state) => html`<${State} of=${state} kind=${state === 'active' ? 'ok' : 'info'} />`, width: '6rem' },
    { name: 'Scopes', of: (one) => one.scopes, show: (scopes) => html`<${Tags} of=${scopes} few=${2} />`, width: '14rem' },
    { name: 'Tenants', of: tenantsOf, width: '9rem' }, { name: 'Last used', kind: 'time', of: (one) => one.used_at ?? 'never used', show: (at) => (at === 'never used' ? at : html`<${Time} at=${at} />`) }, { name: 'Ends', kind: 'time', of: (one) => one.expires_at, show: (at) => html`<span class="until">until </span><${Time} at=${at} />`, width: '8rem' },
  ],
  actions: (one) => !one.revoked_at && html`<${Revoke} of=${one} />`,
  none: { text: 'No API keys yet. With a key, one of your servers uses the API, within the scopes that you choose. Servers can also use the project secret.', command: 'bellcast key create "booking service" --scope send' },
};

const Revoke = ({ of: one }) => html`<${Confirm} isDanger label=${`Revoke ${one.name}`} word="Revoke" about=${html`Requests with this key are refused from now on. ${one.used_at ? html`It was last used <${Time} at=${one.used_at} />.` : 'It was never used.'}`} act=${async () => {
  await request('DELETE', path`/v1/keys/${one.id}`);
  refresh();
}} />`;

/** A key: what it may do, until when, and what it did last. */
export function ApiKey({ page }) {
  const all = useLoad((signal) => readNamed('keys', { tenant: '*' }, signal), [page.key]);
  return html`<${Opening} page=${page} of=${all}>${(keys) => {
    const one = keys.find(({ id }) => id === page.key);
    if (!one) return html`<${Heading} title="API key" /><${Empty} icon="search" text="Not found. There is no key with this id." />`;
    return html`<${Heading} title=${one.name}>${!one.revoked_at && html`<${More} of=${one.name}><${Revoke} of=${one} /><//>`}<//>
      <${KeyVerdict} of=${one} />
      <${Facts} of=${[['It may', one.scopes.map((scope, index) => html`${index > 0 && html`<br />`}<${Tag}>${scope}<//> ${SCOPES[scope]}`)], ['Tenants', tenantsOf(one)], ['Created', html`<${Moment} at=${one.created_at} />`], ['Id', html`<${Id} of=${one.id} />`]]} />
      ${!isOver(one) && html`<${FirstRequest} of=${one} />`}
      ${page.mayOpen('/requests') && html`<${LatestRequests} page=${page} title="Latest requests" none="None in the memory of this node, which keeps the last 2,000 of all keys." of=${{ key: one.id, tenant: '*' }} />`}`;
  }}<//>`;
}

/** Whether a key works, and when it was used. */
function KeyVerdict({ of: one }) {
  if (one.revoked_at) return html`<${Headline} kind="bad" note=${html`Since <${Moment} at=${one.revoked_at} />. Requests with this key are refused.`}>Revoked<//>`;
  const end = one.expires_at ? html`${isOver(one) ? 'It ended' : 'It ends'} <${Moment} at=${one.expires_at} />.` : 'It ends when it is revoked.';
  if (isOver(one)) return html`<${Headline} kind="bad" note=${html`${end} Requests with this key are refused.`}>Expired<//>`;
  return one.used_at ? html`<${Headline} kind="ok" note=${html`Last used <${Time} at=${one.used_at} />. ${end}`}>Active<//>` : html`<${Headline} kind="open" note=${end}>Never used<//>`;
}

/** Requests that show how a key is used, by the scope that they need: what they do, and the request. */
const FIRST_REQUESTS = [['send', 'It sends a notification to alice.', 'POST', '/v1/notifications', JSON.stringify({ to: 'alice', title: 'Hello' })], ['read', 'It lists the last notifications.', 'GET', '/v1/notifications'], ['observe', 'It lists the last requests.', 'GET', '/v1/requests']];

/** A request that a key may send, in the first of its tenants. */
function FirstRequest({ of: { scopes, tenants } }) {
  const [, effect, method, target, body = ''] = FIRST_REQUESTS.find(([scope]) => scopes.includes(scope)) ?? [];
  return effect && html`<${Card} title="A first request"><p class="muted">${effect} In a shell with <code>export BELLCAST_SECRET=</code> and the key.</p><${Sample} label="A first request" text=${requestSamples({ method, url: `${location.origin}${ROOT}${withQuery(target, { tenant: tenants?.[0] })}`, headers: {}, variable: 'BELLCAST_SECRET', type: body && 'application/json', body }).curl} what="the request" /><//>`;
}

function NewKey({ page }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${Heading} title="API key created" /><${ShownOnce} what=${`the key of ${made.name}`} secret=${made.key} /><${FirstRequest} of=${made} /><p><a class="button primary" href=${withQuery(page.url('/keys'), { tenant: shownTenant() })}>Done</a></p>${made.scopes.includes('agent') && html`<${AgentSetup} secret=${made.key} expires=${made.expires_at} />`}`;
  const isAgent = page.query.get('new') === 'agent';
  const scopes = Object.keys(SCOPES).filter((one) => page.may(OWNERS) || !['manage', 'admin'].includes(one));
  return html`<${Heading} title=${isAgent ? 'Connect an agent' : 'New API key'} /><p class="muted">${isAgent ? html`An agent explains deliveries, finds failures and reads the documentation. It sends nothing, deletes nothing and reads no secrets.` : 'For one of your servers, within the scopes that you choose. It is shown once, when it is created.'}</p><${Form} isGuarded button="Create API key" more=${cancel(page)} send=${async ({ name, tenants, ttl }, sent) => {
    const scopes = new FormData(sent).getAll('scopes');
    setMade({ name, tenants: listed(tenants), ...await request('POST', '/v1/keys', { name, scopes, tenants: listed(tenants), ttl: ttl || null }) });
    refresh();
  }}><${Field} label="Name" name="name" required autofocus maxlength="100" autocomplete="off" hint=${`The app or person that uses it, such as “${isAgent ? 'support agent' : 'booking service'}”.`} /><${Scopes} key=${isAgent} all=${scopes} first=${isAgent ? AGENT.scopes : ['send']} isAgent=${isAgent} />
    <${TenantsField} />
    <${Expires} key=${isAgent} first=${isAgent ? AGENT.ttl : YEAR} />${isAgent && html`<section class="coming-setup" aria-label="What comes next"><p>Then the agent gets this, with the key:</p><${Code} label="Configuration of the agent" text=${overHttp('…')} /></section>`}<//>`;
}

/** When a key ends. */
function Expires({ first }) {
  const [ttl, setTtl] = useState(first);
  return html`<${Field} label="Expires" name="ttl" options=${Object.keys(TTLS)} words=${TTLS} defaultValue=${first} onChange=${({ currentTarget }) => setTtl(currentTarget.value)} hint="It can be revoked at any time." warning=${ttl === '' ? 'If it leaks, it works until it is revoked.' : undefined} />`;
}

/** The scopes of a key, one by one or by a preset. Those that an agent seldom needs are folded. */
function Scopes({ all, first, isAgent }) {
  const [chosen, setChosen] = useState(first), place = useRef(null);
  const note = () => setChosen([...place.current.querySelectorAll(':checked')].map(({ value }) => value));
  const take = (scopes) => {
    for (const box of place.current.querySelectorAll('input')) box.checked = scopes.includes(box.value);
    note();
  };
  const preset = PRESETS.find(([, of]) => of(all).join() === chosen.join());
  return html`<div class="scopes" ref=${place} onChange=${note}><${Choices} label="Scopes" name="scopes" options=${isAgent ? first : all} selected=${first} hints=${SCOPES}>${!isAgent && html`<${Segments} label="Presets" options=${PRESETS.map(([word]) => word)} value=${preset?.[0]} choose=${(word) => take(PRESETS.find(([one]) => one === word)[1](all))} />`}<//>
    ${isAgent && html`<details><summary>More scopes</summary><${Choices} label="Other scopes" name="scopes" options=${all.filter((one) => !first.includes(one))} hints=${SCOPES}><p class="muted">With <code>manage</code> it can also retry, cancel and save drafts, after you confirm.</p><//></details>`}</div>`;
}

/** The configuration of an agent that calls the server over HTTP. */
const overHttp = (secret) => JSON.stringify({ mcpServers: { bellcast: { type: 'http', url: `${location.origin}${ROOT}/mcp`, headers: { Authorization: `Bearer ${secret}` } } } }, null, 2).replace(/\{\s+("Auth.*)\s+\}/, '{ $1 }');

/** How to configure an agent with its key. */
function AgentSetup({ secret, expires }) {
  const url = `${location.origin}${ROOT}`;
  const bridge = JSON.stringify({ mcpServers: { bellcast: { command: 'bellcast', args: ['mcp'], env: { BELLCAST_URL: url, BELLCAST_SECRET: secret } } } }, null, 2);
  return html`<${Card} title="Configure the agent"><p class="muted">The server needs <code>BELLCAST_MCP=on</code>. The key ${expires ? html`ends <${Moment} at=${expires} />` : 'has no end'}; every call is in the audit log.</p>
    <h3>Over HTTP</h3><${Sample} label="Configuration over HTTP" what="the configuration over HTTP" text=${overHttp(secret)} />
    <h3>As a program</h3><${Sample} label="Configuration as a program" what="the configuration as a program" text=${bridge} /><//>`;
}

/** The tenants entered in a field; null for all. */
function listed(text) {
  const names = text.split(',').map((name) => name.trim()).filter(Boolean);
  return names.length > 0 ? names : null;
}

export const operators = {
  path: '/v1/operators', rows: 'operators', readMore: readNamesOf, link: (one) => path`/operators/${one.id}`, isOfServer: true, isTall: true, filters: [findIn('operators'), CREATED], create: { form: NewOperator, button: 'New operator' },
  columns: (page) => [
    { name: 'Name', kind: 'title', lead: (one) => html`<${Avatar} of=${one.name} />`, of: (one) => one.name, text: (one) => (one.name === page.me.name ? 'you' : tenantsOf(one)) }, { name: 'Role', of: (one) => one.role, width: '8rem' },
    { name: 'Sign-in', of: (one) => one, show: (one) => html`<${State} of=${secondFactorOf(one)} kind=${isSafe(one) ? 'ok' : one.role === 'owner' ? 'warn' : 'info'} />${!isSafe(one) && one.name === page.me.name && html` · <a class="set-up" href=${page.url('/account')}>Set up</a>`}`, width: '13rem' },
    { name: 'Sessions', kind: 'number', of: (one) => one.sessions, by: (one) => one.sessions, width: '6rem' }, { name: 'Last seen', kind: 'time', of: (one) => one.seen_at ?? 'never', show: (at) => (at === 'never' ? at : html`<${Time} at=${at} />`) },
  ],
  none: { text: 'No operators yet.' },
};

const secondFactorOf = (one) => (one.is_external ? 'identity provider' : one.has_mfa ? 'second factor' : 'password only');
/** Whether a stolen password alone is not enough. */
const isSafe = (one) => one.is_external || one.has_mfa;

function NewOperator({ page }) {
  return html`<${Heading} title="New operator" /><p class="muted">Signs in to this console with the name and the password.</p><${Form} isGuarded button="Create operator" more=${cancel(page)} send=${async (values) => {
    const { id } = await request('POST', '/v1/operators', { ...values, name: values.name.trim().toLowerCase(), tenants: listed(values.tenants) });
    refresh();
    say(`Created ${values.name.trim().toLowerCase()}`, path`/v1/operators/${id}`);
    page.go(page.url('/operators'));
  }}><${Field} label="Name" name="name" required autofocus maxlength="100" autocomplete="off" spellcheck=${false} autocapitalize="none" hint="In lower case, such as vera@example.com." /><${RoleField} role="viewer" />
    <${TenantsField} hint="Owners see all." />
    <${Password} label="First password" minlength="12" autocomplete="new-password" hint="At least 12 characters. The operator changes it under Account." /><//>`;
}

/** What each role may do. */
const MEANINGS = { viewer: 'sees numbers and lists', support: 'sees content too, and retries', developer: 'changes everything except operators', owner: 'also adds operators and erases data; sees all tenants' };
const RoleField = ({ role }) => html`<div class="field"><${Field} label="Role" name="role" options=${ALL} defaultValue=${role} /><dl class="meanings">${ALL.toReversed().map((one) => html`<dt key=${one}>${one}</dt><dd>${MEANINGS[one]}</dd>`)}</dl></div>`;

/** An operator: its role and tenants, what it did last, and ways to end its sessions, reset its second factor, and delete it. */
export function Operator({ page }) {
  const all = useLoad((signal) => readNamed('operators', {}, signal), [page.path]);
  const act = (method, more, then = refresh) => async () => {
    await request(method, path`/v1/operators/${page.key}` + more);
    then();
  };
  return html`<${Opening} page=${page} of=${all}>${(operators) => {
    const one = operators.find(({ id }) => id === page.key);
    if (!one) return html`<${Heading} title=${page.key} /><${Empty} icon="search" text="Not found. There is no operator with this name." />`;
    const isOwn = one.name === page.me.name, isEdited = !isOwn && page.query.has('focus');
    return html`<${Heading} before=${html`<${Avatar} of=${one.name} />`} title=${one.name} note=${isOwn && html`<span class="muted">you</span>`}>${isOwn ? html`<a class="button" href=${page.url('/account')}>Account</a>` : !isEdited && html`${(!one.is_external || one.role !== 'owner') && html`<button type="button" onClick=${() => edit('role')}>Edit</button>`}<${More} of=${one.name}>${one.sessions > 0 && html`<${Confirm} label=${`End sessions of ${one.name}`} word="End sessions" about=${`${count(one.sessions, 'session')}: each needs a new sign-in.`} act=${act('DELETE', '/sessions')} />`}
      ${one.has_mfa && !one.is_external && html`<${Confirm} label=${`Reset second factor of ${one.name}`} word="Reset second factor" about="The password alone is enough to sign in, until another second factor is set up." act=${act('DELETE', '/mfa')} />`}
      <${Confirm} isDanger label=${`Delete ${one.name}`} word="Delete" about="The operator is signed out, and cannot sign in again. What it did stays in the audit log." act=${act('DELETE', '', () => {
      refresh();
      page.go(page.url('/operators'));
    })} /><//>`}<//>
    ${isEdited ? html`<${Form} isGuarded isEdit key=${one.role + one.tenants} button="Save" more=${html`<${CancelEdit} />`} send=${async ({ role, tenants }) => {
        // Only what was changed: the rest is as another operator may have saved it since.
        const hasRole = role && role !== one.role;
        const hasTenants = tenants !== undefined && String(listed(tenants) ?? '') !== String(one.tenants ?? '');
        await request('PATCH', path`/v1/operators/${one.id}`, { ...(hasRole && { role }), ...(hasTenants && { tenants: listed(tenants) }) });
        refresh();
        endEdit();
      }}>${!one.is_external && html`<${RoleField} role=${one.role} />`}${one.role !== 'owner' && html`<${TenantsField} of=${one.tenants} hint="Owners see all." />`}<//>` : html`<${OperatorVerdict} page=${page} of=${one} isOwn=${isOwn} />
    <${Facts} of=${[['Role', `${one.role}${one.is_external ? ', by group' : ''}: ${MEANINGS[one.role]}`], ['Tenants', tenantsOf(one)], ['Sessions', one.sessions || 'none'], ['Last seen', one.seen_at ? html`<${Time} at=${one.seen_at} />` : 'never'], ['Created', html`<${Moment} at=${one.created_at} />`]]} />
    <${LatestActions} page=${page} of=${one.name} />`}`;
  }}<//>`;
}

/** How the account of an operator is protected. */
function OperatorVerdict({ page, of: one, isOwn }) {
  if (one.is_external) return html`<${Headline} kind="ok">Signs in with your identity provider<//>`;
  if (one.has_mfa) return html`<${Headline} kind="ok">Signs in with a second factor<//>`;
  return html`<${Headline} kind="warn" note=${isOwn ? html`<a href=${page.url('/account')}>Set up a passkey or an authenticator app</a>` : 'The operator sets up a second factor under Account.'}>Only a password protects this account<//>`;
}

export function Account({ page }) {
  const [result, setResult] = useState('');
  // After a change of the second factor.
  const changed = async () => {
    me.value = await get('/v1/me');
    refresh();
  };
  return html`<${Heading} title="Account" /><${Together}><div class="panel account">
    <${Row} title="Name and role" about=${page.me.is_external ? 'From your identity provider.' : `${page.me.role === 'owner' ? 'Another' : 'An'} owner can change your role.`} state=${`${page.me.name}, ${page.me.role} of ${tenantsOf(page.me)}`} />
    <${Row} title="E-mail" about="Tests of templates and workflows are sent to it." state=${!page.me.email && 'No address'}>${page.me.email ? html`<${OwnEmail} />` : html`<${Folded} word="Add an address…">${(close) => html`<${OwnEmail} close=${close} />`}<//>`}<//>
    ${page.me.is_external ? html`<${Row} title="Sign-in"><p>You sign in with your identity provider. It has your password and second factor, and your groups there determine your role here.</p><//>` : html`
      <${Row} title="Password" about="Your other sessions end when you change it." state=${html`${!result && html`<span class="muted" aria-hidden="true">••••••••••••</span>`}<span role="status">${result}</span>`}><${Folded} word="Change the password…">${(close) => html`<${Form} button="Change password" more=${html`<button type="button" onClick=${close}>Cancel</button>`} send=${async (values) => {
    await request('PUT', '/v1/me/password', values);
    close();
    setResult('The password was changed.');
  }}><${Password} label="Current password" name="current" autocomplete="current-password" /><${Password} label="New password" minlength="12" autocomplete="new-password" hint="At least 12 characters." /><//>`}<//><//>
      <${Row} title="Passkeys" about="Sign in with your fingerprint, face or PIN. The password alone is then not enough."><${Passkeys} changed=${changed}>${(form) => html`<${Folded} word="Add a passkey…">${() => form}<//>`}<//><//>
      <${Row} title="Authenticator app" about="Codes from your phone, beside your password." state=${page.me.has_app ? html`<${State} of="On" kind="ok" />` : 'Off'}>${page.me.has_app ? html`<${Confirm} isDanger label="Remove the authenticator app" word="Remove" about="Sign-in with your password no longer needs a code of it." act=${() => request('DELETE', '/v1/me/mfa').then(changed)} />` : html`<${MfaSetup} isSecondary done=${changed} />`}<//>
      ${page.me.has_mfa && html`<${Row} title="Recovery codes" about="They replace a lost app or passkey." state="Made"><${Recovery} /><//>`}`}
    <${Row} title="Sessions" about="Browsers in which you are signed in. Each needs a new sign-in after 12 hours without use at the latest."><${Sessions} /><//></div><//>`;
}

// In this order: browsers and systems also name those that they are compatible with.
const BROWSERS = { Edg: 'Edge', OPR: 'Opera', Firefox: 'Firefox', FxiOS: 'Firefox', CriOS: 'Chrome', Chrome: 'Chrome', Safari: 'Safari' };
const SYSTEMS = { Android: 'Android', iPhone: 'iPhone', iPad: 'iPad', Windows: 'Windows', CrOS: 'ChromeOS', Mac: 'macOS', Linux: 'Linux' };

/** The name of a browser, and its system; empty for others. */
function browserName(userAgent) {
  const [browser, system] = [BROWSERS, SYSTEMS].map((names) => Object.entries(names).find(([mark]) => userAgent?.includes(mark))?.[1]);
  return browser ? [browser, system].filter(Boolean).join(' on ') : '';
}

/** The open sessions of the account, and buttons that end others. */
function Sessions() {
  const found = useLoad((signal) => get('/v1/me/sessions', signal));
  return html`<${Loaded} of=${found}>${({ sessions }) => html`<ul class="passkeys sessions">${sessions.map((one) => html`<li key=${one.id}><span><b>${one.current ? html`This browser <span class="muted">${browserName(navigator.userAgent)}</span>` : browserName(one.user_agent) || 'Another browser'}</b><br /><small class="muted">Signed in <${Time} at=${one.created_at} />${!one.current && html`, last used <${Time} at=${one.seen_at} />`}</small></span>
    ${!one.current && html`<${Confirm} label=${`Sign out the session of ${fullTime(one.created_at)}`} word="Sign out" about="Its browser needs a new sign-in." act=${() => request('DELETE', path`/v1/me/sessions/${one.id}`).catch((problem) => problem.status === 404 || Promise.reject(problem)).then(found.reload)} />`}</li>`)}</ul>`}<//>`;
}

/** A part of the account: its name and purpose, and beside them its state and what changes it. */
const Row = ({ title, about, state, children }) => html`<section aria-label=${title}><div><h2>${title}</h2>${about && html`<p class="muted">${about}</p>`}</div><div class="own-value">${state && html`<span class="now">${state}</span>`}${children}</div></section>`;

/** A button that shows a form in its place, with the focus, which returns to it. */
function Folded({ word, children }) {
  const [isOpen, setOpen] = useState(false), place = useRef(null);
  useEffect(() => { if (isOpen) place.current.querySelector('input')?.focus(); }, [isOpen]);
  const close = () => {
    setOpen(false);
    setTimeout(() => place.current?.querySelector('button').focus());
  };
  return html`<div ref=${place}>${isOpen ? children(close) : html`<button type="button" onClick=${() => setOpen(true)}>${word}</button>`}</div>`;
}

function Recovery() {
  const [codes, setCodes] = useState(null);
  return codes ? html`<div class="steps"><${RecoveryCodes} codes=${codes} done=${() => setCodes(null)} /></div>` : html`<${Confirm} label="Create new recovery codes" word="New recovery codes" about="Your current ones are then invalid." act=${async () => setCodes((await request('POST', '/v1/me/mfa/recovery-codes')).codes)} />`;
}

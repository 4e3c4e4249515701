/**
 * Access: API keys, operators, the audit log and the operator's own account.
 */
import { choices, field, fill, form, h, id, state, time } from './dom.js';
import { CREATED, RANGE, facts, heading, listPage } from './list.js';
import { ALL, OWNERS, card, count, number, remove } from './page.js';
import { get, path, request } from './server.js';
import { passkeys } from './passkeys.js';
import { mfaSetup, recoveryCodes } from './sign-in.js';

const SCOPES = {
  send: 'notifications, events and triggers', read: 'their lists and content', manage: 'correct, delete, replay, and define workflows',
  observe: 'requests, live feed and numbers', configure: 'settings', admin: 'operators and audit',
};

export const keys = (page) => {
  const list = h('div');
  const created = h('div', { 'aria-live': 'polite' });
  const scopes = Object.keys(SCOPES).filter((one) => page.may(OWNERS) || !['manage', 'admin'].includes(one));
  const show = () => fill(list, listPage(page, {
    title: 'API keys', path: '/v1/keys', rows: 'keys', anyTenant: true,
    columns: [['Name', (one) => one.name], ['Id', (one) => h('span', { class: 'wide' }, id(one.id))], ['Scopes', (one) => one.scopes.join(', ')], ['Tenants', (one) => one.tenants?.join(', ') ?? 'all tenants'], ['Created', (one) => time(one.created_at)], ['Last used', (one) => (one.used_at ? time(one.used_at) : 'never used')], ['State', (one) => state(one.revoked_at ? 'revoked' : 'active')],
      ['', (one) => !one.revoked_at && remove(page, `Revoke ${one.name}`, 'Revoke', path`/v1/keys/${one.id}`)]],
    none: 'No key exists. With a key, one of your servers uses the API, within the scopes that you choose. Servers can also use the project secret.', command: 'bellcast key create "booking service" --scope send',
  }));
  show();
  return [list, card('Create a key', form([
    field('Name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' }),
    choices('Scopes', 'scopes', scopes, ['send'], SCOPES),
    field('Tenants', { name: 'tenants', autocomplete: 'off', placeholder: page.me.tenants?.join(', ') ?? 'all' }, 'Restricts the key to these tenants, separated by commas.'),
  ], 'Create key', async ({ name, tenants }, sent) => {
    const key = await request('POST', '/v1/keys', { name, scopes: new FormData(sent).getAll('scopes'), tenants: listed(tenants) });
    fill(created, h('p', {}, `Copy the key of ${name} now: it is not shown again.`), id(key.key));
    sent.reset();
    show(); // the list alone: a refresh of the page would remove the key
  }), created)];
};

/** The tenants entered in a field; null for all. */
function listed(text) {
  const names = text.split(',').map((name) => name.trim()).filter(Boolean);
  return names.length > 0 ? names : null;
}

export const operators = (page) => [listPage(page, {
  title: 'Operators', path: '/v1/operators', rows: 'operators', tenant: false, filters: [CREATED],
  columns: [['Name', (one) => one.name], ['Role', (one) => roleOf(page, one)], ['Tenants', (one) => tenantsOf(one)], ['Second factor', (one) => secondFactorOf(page, one)], ['Created', (one) => time(one.created_at)], ['Last sign-in', (one) => time(one.seen_at)], ['Sessions', (one) => sessionsOf(page, one)],
    ['', (one) => one.name !== page.me.name && remove(page, `Delete ${one.name}`, 'Delete', path`/v1/operators/${one.id}`)]],
  none: 'There is no operator.',
}), card('Add an operator', form([
  field('Name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' }, 'Lower case, such as an e-mail address.'),
  field('Role', { name: 'role', options: ALL, selected: 'viewer' }, 'Viewers see numbers and lists, support also content. Developers change everything except operators.'),
  field('Tenants', { name: 'tenants', autocomplete: 'off', placeholder: 'all' }, 'Restricts the operator to these tenants, separated by commas. Owners see all.'),
  field('First password', { name: 'password', type: 'password', required: true, minlength: 12, autocomplete: 'new-password' }, 'At least 12 characters. The operator changes it under Account.'),
], 'Add operator', async (values) => {
  await request('POST', '/v1/operators', { ...values, name: values.name.trim().toLowerCase(), tenants: listed(values.tenants) });
  page.reload();
}))];

function secondFactorOf(page, operator) {
  if (operator.is_external) return 'identity provider';
  if (!operator.has_mfa) return 'no second factor';
  if (operator.name === page.me.name) return state('active');
  return h('span', { class: 'test' }, state('active'), remove(page, `Reset the second factor of ${operator.name}`, 'Reset', path`/v1/operators/${operator.id}/mfa`));
}

function sessionsOf(page, operator) {
  if (operator.sessions === 0 || operator.name === page.me.name) return count(operator.sessions, 'session');
  return h('span', { class: 'test' }, count(operator.sessions, 'session'), remove(page, `End the sessions of ${operator.name}`, 'End', path`/v1/operators/${operator.id}/sessions`));
}

function tenantsOf(operator) {
  if (operator.role === 'owner') return 'all tenants';
  const input = h('input', { 'aria-label': `Tenants of ${operator.name}`, value: operator.tenants?.join(', ') ?? '', placeholder: 'all', autocomplete: 'off', onchange: async () => {
    input.setCustomValidity('');
    try {
      await request('PATCH', path`/v1/operators/${operator.id}`, { tenants: listed(input.value) });
    } catch (problem) {
      input.setCustomValidity(problem.message);
      input.reportValidity();
    }
  } });
  return input;
}

function roleOf(page, operator) {
  if (operator.name === page.me.name) return operator.role;
  // The operator's groups set the role again at each sign-in.
  if (operator.is_external) return `${operator.role}, by group`;
  const select = h('select', { 'aria-label': `Role of ${operator.name}`, onchange: async () => {
    select.setCustomValidity('');
    try {
      await request('PATCH', path`/v1/operators/${operator.id}`, { role: select.value });
      page.reload();
    } catch (problem) {
      select.value = operator.role;
      select.setCustomValidity(problem.message);
      select.reportValidity();
    }
  } }, ALL.map((role) => h('option', { value: role, selected: role === operator.role }, role)));
  return select;
}

/** Values with at least this many characters are collapsed. */
const LONG = 100;

/** The changed fields, each with its old and new value. */
function changesOf(entry) {
  if (entry.changes.length === 0) return null;
  const value = (one) => {
    const text = one === null ? '–' : typeof one === 'string' ? one : JSON.stringify(one);
    return text.length <= LONG ? h('code', {}, text) : h('details', {}, h('summary', {}, `${number(text.length)} characters`), h('code', {}, text));
  };
  return entry.changes.map((one) => h('div', {}, `${one.field}: `, value(one.from), ' → ', value(one.to)));
}

export const audit = (page) => listPage(page, {
  title: 'Audit', path: '/v1/audit', rows: 'entries',
  filters: [RANGE],
  columns: [['Action', (one) => h('code', {}, `${one.action.split(' ')[0]} ${one.target}`)], ['Outcome', (one) => state(one.outcome)], ['Actor', (one) => one.actor], ['Tenant', (one) => one.tenant], ['When', (one) => time(one.at)], ['Changes', (one) => changesOf(one)], ['Address', (one) => one.address && h('code', { class: 'fixed' }, one.address)], ['Request', (one) => h('span', { class: 'fixed' }, id(one.request_id))]],
  none: 'Nothing has been recorded yet. Changes by operators and keys appear here, with the fields that changed.',
});

export function account(page) {
  const result = h('p', { role: 'status' });
  const about = [heading('Account'), facts([['Name', page.me.name], ['Role', page.me.role], ['Tenants', page.me.tenants?.join(', ') ?? 'all']])];
  if (page.me.is_external) return [about, h('p', {}, 'You sign in with your identity provider. It has your password and second factor, and your groups there determine your role here.')];
  return [about, card('Change the password', form([
    field('Current password', { name: 'current', type: 'password', required: true, autocomplete: 'current-password' }),
    field('New password', { name: 'password', type: 'password', required: true, minlength: 12, autocomplete: 'new-password' }, 'At least 12 characters. Your other sessions end.'),
  ], 'Change password', async (values, element) => {
    await request('PUT', '/v1/me/password', values);
    element.reset();
    result.textContent = 'The password was changed.';
  }), result), secondFactor(page)];
}

function secondFactor(page) {
  const reload = async () => {
    Object.assign(page.me, await get('/v1/me', page.signal));
    page.reload();
  };
  return [passkeys(page, reload), authenticatorApp(page, reload), page.me.has_mfa && recovery()];
}

function authenticatorApp(page, reload) {
  if (!page.me.has_app) return card('Authenticator app', h('p', {}, 'With an app on your phone, a stolen password alone is not enough to sign in.'), mfaSetup(reload));
  return card('Authenticator app', h('p', {}, state('active'), ' Sign-in with a password needs a code of your app.'),
    h('div', { class: 'choice' }, remove(page, 'Remove the authenticator app', 'Remove', '/v1/me/mfa', reload)));
}

function recovery() {
  const place = h('div', {});
  return card('Recovery codes', h('p', {}, 'They replace a lost app or passkey. New codes invalidate your current ones.'), h('button', { type: 'button', onclick: async () => {
    try {
      fill(place, recoveryCodes((await request('POST', '/v1/me/mfa/recovery-codes')).codes, () => fill(place)));
    } catch (problem) {
      fill(place, h('p', { class: 'error', role: 'alert' }, problem.message));
    }
  } }, 'New recovery codes'), place);
}

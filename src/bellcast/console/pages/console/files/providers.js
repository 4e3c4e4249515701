/**
 * Providers, and tests of their connections, including values that have not been saved.
 */
import { field, fill, form, h, state } from './dom.js';
import { CHANNELS, listPage, tenantField } from './list.js';
import { BUILDERS, card, number } from './page.js';
import { path, request, withQuery } from './server.js';

export function providers(page) {
  const editor = page.may(BUILDERS) && editing(page);
  return [listPage(page, {
    title: 'Providers', path: '/v1/providers', rows: 'providers', anyTenant: true,
    columns: [['Provider', (one) => one.key], ['Channel', (one) => one.channel], ['Tenant', (one) => one.tenant ?? 'all'], ['URL', (one) => h('code', {}, one.url)], ['Priority', (one) => h('span', { class: 'wide' }, number(one.priority)), 'number'], ['State', (one) => state(one.active ? 'active' : 'inactive')],
      ...(editor ? [['', (one) => actions(page, one, editor)]] : [])],
    none: 'No provider is configured. Messages are simulated, and shown in the list of messages.', command: 'bellcast provider put mail.json',
    note: `A tenant’s own providers of a channel replace those of all tenants. Secrets in URLs are masked. ${editor ? '“Test connection” signs in at the provider; it sends nothing.' : 'Owners and developers add, change and test providers.'}`,
  }), editor && card('Add or change a provider', editor.element)];
}

function actions(page, provider, editor) {
  const result = h('span', { role: 'status' });
  const button = h('button', { type: 'button', 'aria-label': `Test connection of ${provider.key}`, onclick: () => test(page, button, result, provider.key, provider.tenant, {}) }, 'Test connection');
  const isOfSettings = provider.key.startsWith('env-');
  return h('span', { class: 'test' }, button, !isOfSettings && h('button', { type: 'button', 'aria-label': `Change ${provider.key}`, onclick: () => editor.show(provider) }, 'Change'), result);
}

/** Test a provider, or unsaved values, and show the result. */
async function test(page, button, result, key, tenant, body) {
  button.disabled = true;
  result.replaceChildren('…');
  try {
    const response = await request('POST', withQuery(path`/v1/providers/${key}/test`, { tenant: tenant ?? '' }), body, page.signal);
    const failed = response.steps.find((one) => one.state === 'failed');
    result.replaceChildren(state(failed ? 'error' : 'ok'), failed ? ` ${failed.detail} ${failed.fix}` : ' Connected');
  } catch (problem) {
    result.replaceChildren(state('error'), ` ${problem.message}`);
  }
  button.disabled = false;
}

/** A form that tests and saves a provider; `show` fills in an existing one. */
function editing(page) {
  const technical = { required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
  const result = h('span', { role: 'status' });
  let shown = {};
  const valuesOf = (fields) => {
    const { key, tenant, channel, url } = Object.fromEntries([...new FormData(fields)].map(([name, value]) => [name.replace('provider_', ''), value.trim()]));
    const { priority, rate, concurrency, timeout, active } = shown.key === key && (shown.tenant ?? '') === tenant ? shown : {};
    return { key, tenant, values: { priority, rate, concurrency, timeout, active, channel, url } };
  };
  const button = h('button', { type: 'button', onclick: () => {
    if (!element.reportValidity()) return;
    const { key, tenant, values } = valuesOf(element);
    test(page, button, result, key, tenant, { values });
  } }, 'Test these values');
  const element = form([
    field('Key', { name: 'key', ...technical, maxlength: 100, placeholder: 'mail' }, 'Names the provider in messages and in the API.'),
    forTenant(page),
    field('Channel', { name: 'channel', options: CHANNELS, selected: 'email' }),
    field('URL', { name: 'url', ...technical, placeholder: 'smtp://user:password@mail.example.com:587?from=bells@example.com' }, 'The secret is not shown again. In a changed URL, …@ keeps it for the same server.'),
    result,
  ], 'Save provider', async (_, fields) => {
    const { key, tenant, values } = valuesOf(fields);
    await request('PUT', withQuery(path`/v1/providers/${key}`, { tenant }), values, page.signal);
    page.reload();
  });
  element.classList.add('editing');
  element.append(button);
  const show = (provider) => {
    shown = provider;
    for (const name of ['key', 'channel', 'url']) element.elements[name].value = provider[name];
    element.elements.provider_tenant.value = provider.tenant ?? '';
    fill(result);
    element.elements.url.focus();
  };
  return { element, show };
}

/** The tenant that a provider belongs to. The name differs from the filter's, as both are on the page. */
function forTenant(page) {
  const name = 'provider_tenant';
  const value = page.query.get('tenant') ?? '';
  const { tenants } = page.me;
  if (tenants) return field('For tenant', { name, options: tenants, selected: value });
  return tenantField(page, 'For tenant', { name, value, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', placeholder: 'all' }, 'Empty: for all tenants that have no provider of the channel themselves.');
}

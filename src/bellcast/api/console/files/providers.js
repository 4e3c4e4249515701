/**
 * Providers, with the test of their connection, also of values that are not saved.
 */
import { field, fill, form, h, state } from './dom.js';
import { CHANNELS, listPage } from './list.js';
import { BUILDERS, card, number } from './page.js';
import { path, request, withQuery } from './server.js';

export function providers(page) {
  const editor = page.may(BUILDERS) && editing(page);
  return [listPage(page, {
    title: 'Providers', path: '/v1/providers', rows: 'providers',
    columns: [['Provider', (one) => one.key], ['Channel', (one) => one.channel], ['URL', (one) => h('code', {}, one.url)], ['Priority', (one) => h('span', { class: 'wide' }, number(one.priority))], ['State', (one) => state(one.active ? 'active' : 'inactive')],
      ...(editor ? [['', (one) => actions(page, one, editor)]] : [])],
    none: 'No provider is configured for all tenants: their messages are simulated, and shown in the list of messages. Providers of a tenant are listed by its key.', command: 'bellcast provider put mail.json',
    note: `Secrets in URLs are masked. ${editor ? '“Test connection” signs in at the provider; it sends nothing.' : 'Owners and developers add, change and test providers.'}`,
  }), editor && card('Add or change a provider', editor.element)];
}

function actions(page, provider, editor) {
  const result = h('span', { role: 'status' });
  const button = h('button', { type: 'button', 'aria-label': `Test connection of ${provider.key}`, onclick: () => test(page, button, result, provider.key, provider.tenant, {}) }, 'Test connection');
  const isOfSettings = provider.key.startsWith('env-');
  return h('span', { class: 'test' }, button, !isOfSettings && h('button', { type: 'button', 'aria-label': `Change ${provider.key}`, onclick: () => editor.show(provider) }, 'Change'), result);
}

/** Test a provider, or values in its place, and show the result. */
async function test(page, button, result, key, tenant, body) {
  button.disabled = true;
  result.replaceChildren('…');
  try {
    const answer = await request('POST', withQuery(path`/v1/providers/${key}/test`, { tenant: tenant ?? '' }), body, page.signal);
    const failed = answer.steps.find((one) => one.state === 'failed');
    result.replaceChildren(state(failed ? 'error' : 'ok'), failed ? ` ${failed.detail} ${failed.fix}` : ' Connected');
  } catch (problem) {
    result.replaceChildren(state('error'), ` ${problem.message}`);
  }
  button.disabled = false;
}

/** A form that tests and saves a provider; `show` fills it with one. */
function editing(page) {
  const technical = { required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
  const tenant = page.query.get('tenant') ?? page.me.tenants?.[0] ?? '';
  const result = h('span', { role: 'status' });
  let shown = {};
  const valuesOf = (fields) => {
    const { key, channel, url } = Object.fromEntries(new FormData(fields));
    const { priority, rate, concurrency, timeout, active } = shown.key === key.trim() ? shown : {};
    return { key: key.trim(), values: { priority, rate, concurrency, timeout, active, channel, url: url.trim() } };
  };
  const button = h('button', { type: 'button', onclick: () => {
    if (!element.reportValidity()) return;
    const { key, values } = valuesOf(element);
    test(page, button, result, key, tenant, { values });
  } }, 'Test these values');
  const element = form([
    field('Key', { name: 'key', ...technical, maxlength: 100 }),
    field('Channel', { name: 'channel', options: CHANNELS, selected: 'email' }),
    field('URL', { name: 'url', ...technical, placeholder: 'smtp://user:password@mail.example.com:587?from=bells@example.com' }, 'The secret is not shown again. In a changed URL, …@ keeps it for the same server.'),
    h('div', { class: 'test' }, button, result),
  ], 'Save provider', async (_, fields) => {
    const { key, values } = valuesOf(fields);
    await request('PUT', withQuery(path`/v1/providers/${key}`, { tenant }), values, page.signal);
    page.reload();
  });
  const show = (provider) => {
    shown = provider;
    for (const name of ['key', 'channel', 'url']) element.elements[name].value = provider[name];
    fill(result);
    element.elements.url.focus();
  };
  return { element, show };
}

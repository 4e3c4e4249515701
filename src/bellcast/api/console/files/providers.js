/**
 * Providers, with the test of their connection.
 */
import { h, state } from './dom.js';
import { listPage } from './list.js';
import { BUILDERS, number } from './page.js';
import { path, request, withQuery } from './server.js';

export const providers = (page) => listPage(page, {
  title: 'Providers', path: '/v1/providers', rows: 'providers',
  columns: [['Provider', (one) => one.key], ['Channel', (one) => one.channel], ['URL', (one) => h('code', {}, one.url)], ['Priority', (one) => number(one.priority)], ['State', (one) => state(one.active ? 'active' : 'inactive')],
    ['', (one) => page.may(BUILDERS) && testConnection(page, one)]],
  none: 'No provider is configured: messages are simulated, and their content is in the list of messages.', command: 'bellcast provider set mail --channel email --url smtp://…',
  note: 'Secrets in URLs are masked. “Test connection” signs in at the provider; it sends nothing without an address.',
});

function testConnection(page, provider) {
  const result = h('span', { role: 'status' });
  const button = h('button', { type: 'button', 'aria-label': `Test the connection of ${provider.key}`, onclick: async () => {
    button.disabled = true;
    result.replaceChildren('…');
    try {
      const answer = await request('POST', withQuery(path`/v1/providers/${provider.key}/test`, { tenant: provider.tenant ?? '' }), {}, page.signal);
      result.replaceChildren(state(answer.ok ? 'ok' : 'error'), ` ${answer.error ?? 'Connected'}`);
    } catch (problem) {
      result.replaceChildren(state('error'), ` ${problem.message}`);
    }
    button.disabled = false;
  } }, 'Test connection');
  return h('span', { class: 'test' }, button, result);
}

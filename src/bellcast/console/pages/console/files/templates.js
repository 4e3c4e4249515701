/**
 * Templates: their channels and languages, a preview by language or recipient, and a test message.
 */
import { area, field, fill, form, h, id, state } from './dom.js';
import { edit, editLink, newLink, yamlOf } from './edit.js';
import { BuiltPage } from './built-page.js';
import { html } from './html.js';
import { TemplateEditor } from './template-editor.js';
import { empty, facts, heading } from './list.js';
import { BUILDERS, CONTENT, card, detail, inTenant, parsed, remove, tenantOf } from './page.js';
import { sampleOf } from './sample-data.js';
import { ROOT, path, request, withQuery } from './server.js';

const PARTS = ['inbox', 'email', 'sms', 'push', 'chat'];
const TESTED = PARTS.slice(1);

const languages = (one) => Object.keys(one.translations ?? {});

const KIND = {
  name: 'template', path: '/templates',
  starter: {
    inbox: { title: 'New booking by {{ data.client }}', body: '{{ data.when | datetime }}' },
    email: { subject: 'New booking', html: '<p>Hello {{ recipient.name }},</p>\n<p>{{ data.client }} booked {{ data.when | datetime }}.</p>\n' },
    translations: { de: { email: { subject: 'Neue Buchung', html: '<p>Hallo {{ recipient.name }},</p>\n<p>{{ data.client }} hat gebucht: {{ data.when | datetime }}.</p>\n' } } },
  },
  note: 'Later sends use it. Comments are not stored.',
  preview,
};

export const templates = {
  path: '/v1/templates', rows: 'templates', link: (one) => path`/templates/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Template', kind: 'title', of: (one) => one.key, text: (one) => one.inbox?.title ?? one.email?.subject }, { name: 'Channels', of: (one) => PARTS.filter((part) => one[part]).join(', '), width: '11rem' },
    page.may(CONTENT) && { name: 'Languages', of: (one) => languages(one).join(', ') }, { name: 'Used by', of: (one) => one.uses.join(', '), width: '9rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' },
  ],
  none: { text: 'No template is stored. A template has the texts of a notification, by channel and language.', command: 'bellcast template put booking.json', tools: (page) => newLink(page, KIND) },
};

/** The editor in pages, or as YAML; a new template begins as YAML. */
export const Template = ({ page }) => (page.query.has('edit') && page.query.get('view') !== 'yaml' && page.key !== null ? html`<${TemplateEditor} page=${page} />` : html`<${BuiltPage} build=${template} page=${page} />`);

function template(page) {
  if (page.query.has('edit')) return edit(page, KIND);
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/templates/${page.key}` + more, { ...tenant, ...query });
  return detail(page, url(), (one) => [
    heading(one.key, [editLink(page, KIND, one), page.may(BUILDERS) && (one.tenant ?? '') === tenant.tenant && remove(page, `Delete ${one.key}`, 'Delete', url(), withQuery(page.url('/templates'), tenant))]),
    facts([['Key', id(one.key)], ['Channels', PARTS.filter((name) => one[name]).join(', ')], ['Languages', languages(one).join(', ') || 'the default only'], ['Used by', one.uses.join(', ') || 'nothing'], ['Tenant', one.tenant ?? 'all']]),
    page.may(BUILDERS) && [preview(page, one, () => ({ url })), test(page, one, url, tenant)],
    card('YAML', h('pre', { tabindex: '0' }, h('code', {}, yamlOf(one)))),
  ]);
}

/** Data for the variables of a template, to be filled in. */
const sample = (one) => JSON.stringify(sampleOf(one), null, 2);

/** A preview of a template. `read` returns the URL and, if they are shown, the values that are not stored. */
function preview(page, one, read) {
  const output = h('div', { 'aria-live': 'polite' });
  return card('Preview', form([
    field('Language', { name: 'locale', autocomplete: 'off', list: 'languages' }, 'Such as de. Empty: the recipient’s, or the default.'),
    h('datalist', { id: 'languages' }, languages(one).map((name) => h('option', { value: name }))),
    field('Recipient', { name: 'recipient', autocomplete: 'off', spellcheck: 'false' }, 'Its language and values. Empty: without a recipient.'),
    area('Data as JSON', { name: 'data', value: sample(one) }),
  ], 'Preview', async ({ locale, recipient, data }) => {
    const { url, values } = await read();
    const wanted = { values, data: parsed(data) ?? {}, ...(locale.trim() && { locale: locale.trim() }), ...(recipient.trim() && { recipient: recipient.trim() }) };
    const { missing, warnings = [], ...parts } = await request('POST', url('/preview'), wanted, page.signal);
    fill(output,
      missing.length > 0 && h('p', { class: 'error' }, `Without a value: ${missing.join(', ')}. A send would be refused.`),
      warnings.map((text) => h('p', { class: 'error' }, text)),
      PARTS.filter((name) => parts[name]).map((name) => [h('h3', {}, name), parts[name].html && frame(url('/html'), wanted), h('dl', { class: 'facts' },
        Object.entries(parts[name]).filter(([field, value]) => field !== 'html' && value !== null && value !== undefined).map(([field, value]) => h('div', {}, h('dt', {}, field), h('dd', {}, typeof value === 'string' ? h('span', { class: 'text' }, value) : JSON.stringify(value)))))]));
    for (const sent of output.querySelectorAll('form')) sent.submit();
  }), output);
}

/** The HTML of an e-mail in a frame without scripts, and the form that loads it: a template is too long for a URL. */
const frame = (url, wanted) => [
  h('iframe', { sandbox: true, title: 'Preview of the e-mail', name: 'preview' }),
  h('form', { method: 'post', action: `${ROOT}${url}`, target: 'preview', hidden: true }, h('input', { type: 'hidden', name: 'request', value: JSON.stringify(wanted) })),
];

/** A message to a recipient's address. Without a provider it is simulated, and its page shows its HTML. */
function test(page, one, url, tenant) {
  const output = h('p', { role: 'status' });
  const channels = TESTED.filter((name) => one[name]);
  if (channels.length === 0) return card('Test message', empty('The template is for the inbox only.'));
  return card('Test message', form([
    field('Channel', { name: 'channel', options: channels }),
    field('To recipient', { name: 'to', required: true, autocomplete: 'off', spellcheck: 'false' }, 'To the recipient’s address, regardless of preferences.'),
    area('Data as JSON', { name: 'test', value: sample(one) }),
  ], 'Send test', async ({ channel, to, test: data }) => {
    const { message } = await request('POST', url('/test'), { channel, to: to.trim(), data: parsed(data) ?? {} }, page.signal);
    fill(output, state('queued'), ' ', h('a', { href: withQuery(page.url(path`/messages/${message}`), tenant) }, 'Open the message'));
  }), output);
}

/**
 * A template as its recipients see it, by channel, language and version, with its versions and a test message.
 */
import { Delete, Uses, Yaml, readObject } from './definition.js';
import { Drawer } from './drawer.js';
import { EditLink } from './edit.js';
import { Field, Form } from './form.js';
import { count, parsed } from './format.js';
import { html, useEffect, useMemo, useState } from './html.js';
import { useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { More } from './object-parts.js';
import { Card, Facts, Heading, Opening, State } from './parts.js';
import { PickerField } from './picker.js';
import { nameOf, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { scopeOf, tenantOf } from './router.js';
import { Segments } from './segments.js';
import { get, path, request, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';
import { CHANNELS, languageName } from './template-model.js';
import { Preview, usePreview, usePreviewData } from './template-preview.js';
import { SendTest } from './template-test.js';
import { DraftOnly, Versions } from './versions.js';
import { valuesOf } from './yaml.js';

const PARTS = Object.keys(CHANNELS);

export function Template({ page }) {
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/templates/${page.key}` + more, { ...tenant, ...query });
  const found = useLoad((signal) => readObject(url(), signal), [url()]);
  const editor = withQuery(page.path, { ...scopeOf(page), edit: 'yes' });
  const isMissing = found.problem?.status === 404 && !found.isLoading && page.may(CONTENT);
  if (isMissing) return html`<${DraftOnly} page=${page} url=${url('/draft')} editor=${editor} missing=${found} />`;
  return html`<${Opening} page=${page} of=${found}>${({ value: one, tag }) => {
    const mayChange = page.may(BUILDERS), isOwn = mayChange && (one.tenant ?? '') === tenant.tenant && !isLocked(one);
    return html`<${Heading} title=${one.key} note=${html`<span class="tag">v${one.version}</span>${one.tenant && html`<span class="tag" title=${one.tenant}>${tenantName(one.tenant)}</span>`}`}><${EditLink} page=${page} one=${one} isPrimary />${isOwn && html`<${More} of=${one.key}><${Delete} page=${page} url=${url()} of=${{ value: one, tag }} about=${html`All its versions are lost. ${one.uses.length > 0 ? html`${count(one.uses.length, 'object')} still ${one.uses.length === 1 ? 'uses' : 'use'} it: <${Uses} page=${page} of=${one} isNamed />.` : 'Nothing uses it.'}`} /><//>`}<//>
      <${ManagedBanner} page=${page} kind="templates" one=${one} />
      <${Shown} key=${url()} ...${{ page, one, url, editor, isOwn, mayChange, tenant }} />
      <${Yaml} of=${one} isInFiles isOpen=${!mayChange} />`;
  }}<//>`;
}

/** The preview of a version, beside all versions. Without the right to change it, the preview is the e-mail of the current version. */
function Shown({ page, one, url, editor, isOwn, mayChange, tenant }) {
  const [version, setVersion] = useState(null);
  const earlier = useLoad(async (signal) => (version && version !== one.version ? get(url('', { version }), signal) : null), [version, one.version]);
  const values = useMemo(() => valuesOf(earlier.value ?? one), [earlier.value, one]);
  const channels = PARTS.filter((name) => values[name]), languages = ['', ...Object.keys(values.translations ?? {}).sort()];
  const [chosen, setChannel] = useState('email');
  const channel = channels.includes(chosen) ? chosen : channels[0];
  const [chosenLocale, setLocale] = useState('');
  const locale = languages.includes(chosenLocale) ? chosenLocale : '';
  const [recipient, setRecipient] = useState('');
  const shown = usePreviewData({ path: url, values, isStored: true, mayRender: mayChange });
  const preview = usePreview({ path: url, values, shown, locale, recipient, mayRender: mayChange });
  // Keys that the server masks belong to no recipient.
  const recipients = [...new Set(shown.samples.map((one) => one.recipient))].filter((key) => key && !key.includes('•'));
  useEffect(() => { readNames(recipients.map((key) => ({ ...tenant, recipient: key }))); }, [recipients.join()]);
  const picked = { kind: 'recipient', ...tenant, more: recipients.map((key) => ({ key, name: nameOf({ ...tenant, recipient: key }) })) };
  const tools = html`${channels.length > 1 && html`<${Segments} label="Channel" options=${channels.map((name) => [name, CHANNELS[name]])} value=${channel} choose=${setChannel} />`}${languages.length > 1 && html`<${Segments} label="Language" options=${languages.map((name) => [name, name ? languageName(name) : 'Default'])} value=${locale} choose=${setLocale} />`}`;
  const tested = mayChange ? PARTS.filter((name) => name !== 'inbox' && one[name]) : [];
  const more = html`<${PickerField} label="As this recipient sees it" none="No recipient" ...${picked} onChoose=${([key = '']) => setRecipient(key)} />`;
  return html`<div class="template-page"><section class="panel" aria-label=${version ? `As recipients saw version ${version}` : 'As recipients see it'}>
      <${Preview} ...${{ channel, locale, published: mayChange ? null : one, preview, problems: [], path: url, shown, isOpen: true, tenant: tenant.tenant, template: one.key, tools, more: mayChange && more, end: tested.length > 0 && html`<${Drawer} label="Test message" word="Test…">${(close) => html`<${Test} ...${{ page, channels: tested, url, tenant, shown, picked, close, wanted: preview.parts?.email && preview.wanted }} />`}<//>` }} /></section>
    <div class="template-side"><${Facts} of=${[['Channels', channels.map((name) => CHANNELS[name]).join(', ')], ['Languages', languages.map((name) => (name ? languageName(name) : 'Default')).join(', ')], ['Used by', one.uses.length > 0 && html`<${Uses} page=${page} of=${one} isNamed />`]]} />
      <${Card} title="Versions"><${Versions} ...${{ one, url, editor, isOwn, seen: version, look: mayChange && setVersion }} /><//></div></div>`;
}

/** A message to a recipient's address, with the data of the preview. Without a provider it is simulated, and its page shows its HTML. */
function Test({ page, channels, url, tenant, shown: { data }, picked, close, wanted }) {
  const [message, setMessage] = useState(null);
  return html`<div>${wanted && html`<p class="choice"><${SendTest} path=${url} wanted=${wanted} /></p><p class="muted">Or to a recipient</p>`}<${Form} button="Send test" more=${html`<button type="button" onClick=${close}>Cancel</button>`} send=${async ({ channel, to }) => setMessage((await request('POST', url('/test'), { channel, to: to.trim(), data: parsed(data) ?? {} })).message)}>
      <${Field} label="Channel" name="channel" options=${channels} words=${CHANNELS} defaultValue=${channels[0]} /><${PickerField} label="To recipient" name="to" required ...${picked} hint="To the recipient’s address, regardless of preferences, with the data of the preview." />
  <p role="status">${message && html`<${State} of="queued" /> <a href=${withQuery(page.url(path`/messages/${message}`), tenant)}>Open the message</a>`}</p><//></div>`;
}

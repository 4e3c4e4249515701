/**
 * Templates: their channels and languages, a preview by language or recipient, and a test message.
 */
import { EditLink, newLink } from './edit.js';
import { CHANNEL_NAMES } from './explain.js';
import { parsed } from './format.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Loaded, Skeleton, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { Card, Confirm, Copy, Facts, Field, Form, Heading, Id, State } from './parts.js';
import { BUILDERS, CONTENT } from './roles.js';
import { go, tenantOf } from './router.js';
import { sampleOf } from './sample-data.js';
import { ROOT, get, path, request, withQuery } from './server.js';
import { DraftOnly, Versions } from './versions.js';
import { valuesOf, yamlOf } from './yaml.js';

const PARTS = ['inbox', 'email', 'sms', 'push', 'chat'];
const TESTED = PARTS.slice(1);

const languages = (one) => Object.keys(one.translations ?? {});

const KIND = { name: 'template', path: '/templates' };

export const templates = {
  path: '/v1/templates', rows: 'templates', fixed: { drafts: 'true' }, link: (one) => path`/templates/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Template', kind: 'title', of: (one) => one.key, text: (one) => one.inbox?.title ?? one.email?.subject }, { name: 'Channels', of: (one) => PARTS.filter((part) => one[part]).join(', '), width: '11rem' },
    page.may(CONTENT) && { name: 'Languages', of: (one) => languages(one).join(', ') }, { name: 'Used by', of: (one) => one.uses.join(', '), width: '9rem' }, { name: 'Version', kind: 'number', of: (one) => (one.version === 0 ? 'draft' : `v${one.version}${one.draft ? ' + draft' : ''}`), width: '6rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' },
  ],
  none: { text: 'No template is stored. A template has the texts of a notification, by channel and language.', command: 'bellcast template put booking.json', tools: (page) => newLink(page, KIND) },
};

export function Template({ page }) {
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/templates/${page.key}` + more, { ...tenant, ...query });
  const found = useLoad((signal) => get(url(), signal), [url()]);
  const title = html`<${Heading} title=${page.key} />`;
  const isMissing = found.problem?.status === 404 && !found.isLoading && page.may(CONTENT);
  return html`${found.problem && !found.isLoading && !found.value && title}${isMissing && html`<${DraftOnly} url=${url('/draft')} editor=${withQuery(page.path, { ...tenant, edit: 'yes' })} />`}<${Loaded} of=${found} skeleton=${html`${title}<${Skeleton} />`}>${(one) => html`
    <${Heading} title=${one.key}><${EditLink} page=${page} one=${one} />${page.may(BUILDERS) && (one.tenant ?? '') === tenant.tenant && !isLocked(one) && html`<${Confirm} isDanger label=${`Delete ${one.key}`} word="Delete" act=${async () => {
    await request('DELETE', url());
    go(withQuery(page.url('/templates'), tenant));
  }} />`}<//>
    <${ManagedBanner} page=${page} kind="templates" one=${one} />
    <${Facts} of=${[['Key', html`<${Id} of=${one.key} />`], ['Version', one.version], ['Channels', PARTS.filter((name) => one[name]).map((name) => CHANNEL_NAMES[name]).join(', ')], ['Languages', languages(one).join(', ') || 'the default only'], ['Used by', one.uses.join(', ') || 'nothing'], ['Tenant', one.tenant ?? 'all']]} />
    <${Card} title="Versions"><${Versions} one=${one} url=${url} isOwn=${page.may(BUILDERS) && (one.tenant ?? '') === tenant.tenant && !isLocked(one)} show=${page.may(BUILDERS) && ((version) => html`<${Look} key=${version} version=${version} url=${url} />`)} /><//>
    ${page.may(BUILDERS) && html`<${Preview} one=${one} read=${async () => ({ url })} isStored /><${Test} page=${page} one=${one} url=${url('/test')} tenant=${tenant} />`}
    <${Card} title="YAML"><pre tabIndex="0"><code>${yamlOf(one)}</code></pre><${Copy} what="the YAML" text=${yamlOf(one)} /><//>`}<//>`;
}

/** An earlier version as recipients saw it, with examples: its e-mail beside the texts of the other channels. */
function Look({ version, url }) {
  const found = useLoad(async (signal) => {
    const values = valuesOf(await get(url('', { version }), signal));
    const wanted = { values, data: sampleOf(values) };
    return { wanted, parts: await request('POST', url('/preview'), wanted, signal) };
  }, [version]);
  const form = useRef(null);
  useLayoutEffect(() => { form.current?.submit(); }, [found.value]);
  return html`<h3>Version ${version}</h3><${Loaded} of=${found}>${({ wanted, parts }) => html`<div class="look">${parts.email?.html && html`<figure><figcaption><span class="muted">${CHANNEL_NAMES.email}</span> <b dir="auto">${parts.email.subject}</b></figcaption><iframe sandbox="" title=${`E-mail of version ${version}`} name="look"></iframe><form method="post" action=${`${ROOT}${url('/html')}`} target="look" hidden ref=${form}><input type="hidden" name="request" value=${JSON.stringify(wanted)} /></form></figure>`}
    <div>${PARTS.filter((name) => parts[name] && name !== 'email').map((name) => html`<figure key=${name}><figcaption class="muted">${CHANNEL_NAMES[name]}</figcaption><p dir="auto">${parts[name].title && html`<b>${parts[name].title}</b> `}${parts[name].body ?? parts[name].text}</p></figure>`)}</div></div>`}<//>`;
}

/** Data for the variables of a template, to be filled in. */
const sample = (one) => JSON.stringify(sampleOf(one), null, 2);

/** A preview of a template. `read` returns the URL and, if they are shown, the values that are not stored. */
function Preview({ one, read, isStored = false }) {
  const [shown, setShown] = useState(null);
  const [data] = useState(() => sample(one));
  const place = useRef(null);
  useEffect(() => { if (isStored) place.current.previousElementSibling.requestSubmit(); }, []);
  // A template is too long for a URL, so a form loads the frame.
  useLayoutEffect(() => place.current.querySelector('form[target]')?.submit(), [shown]);
  const preview = async (entered) => {
    const { url, values } = await read();
    const wanted = { values, data: parsed(entered.data) ?? {}, ...(entered.locale.trim() && { locale: entered.locale.trim() }), ...(entered.recipient.trim() && { recipient: entered.recipient.trim() }) };
    setShown({ ...await request('POST', url('/preview'), wanted), frame: { url: url('/html'), wanted } });
  };
  const { missing = [], warnings = [], frame } = shown ?? {};
  return html`<${Card} title="Preview"><div class="columns preview"><${Form} button="Preview" send=${preview}><${Field} label="Language" name="locale" autocomplete="off" list="languages" hint="Such as de. Empty: the recipient’s, or the default." /><datalist id="languages">${languages(one).map((name) => html`<option key=${name} value=${name} />`)}</datalist>
      <${Field} label="Recipient" name="recipient" autocomplete="off" spellcheck=${false} hint="Its language and values. Empty: without a recipient." /><${Field} isLong label="Data as JSON" name="data" defaultValue=${data} /><//>
    <div aria-live="polite" ref=${place}>${missing.length > 0 && html`<p class="error">Without a value: ${missing.join(', ')}. A send would be refused.</p>`}${warnings.map((text) => html`<p key=${text} class="error">${text}</p>`)}
      ${PARTS.filter((name) => shown?.[name]).map((name) => html`<section key=${name}><h3>${CHANNEL_NAMES[name]}</h3>
        ${shown[name].html && html`<iframe sandbox="" title="Preview of the e-mail" name="preview"></iframe><form method="post" action=${`${ROOT}${frame.url}`} target="preview" hidden><input type="hidden" name="request" value=${JSON.stringify(frame.wanted)} /></form>`}
        <${Facts} of=${Object.entries(shown[name]).filter(([field]) => field !== 'html').map(([field, value]) => [field, value && (typeof value === 'string' ? html`<span class="text">${value}</span>` : JSON.stringify(value))])} /></section>`)}</div></div><//>`;
}

/** A message to a recipient's address. Without a provider it is simulated, and its page shows its HTML. */
function Test({ page, one, url, tenant }) {
  const [message, setMessage] = useState(null);
  const channels = TESTED.filter((name) => one[name]);
  if (channels.length === 0) return html`<${Card} title="Test message"><p class="muted">The template is for the inbox only.</p><//>`;
  return html`<${Card} title="Test message"><${Form} button="Send test" send=${async ({ channel, to, test }) => setMessage((await request('POST', url, { channel, to: to.trim(), data: parsed(test) ?? {} })).message)}>
      <${Field} label="Channel" name="channel" options=${channels} words=${CHANNEL_NAMES} defaultValue=${channels[0]} /><${Field} label="To recipient" name="to" required autocomplete="off" spellcheck=${false} hint="To the recipient’s address, regardless of preferences." /><${Field} isLong label="Data as JSON" name="test" defaultValue=${sample(one)} /><//>
    <p role="status">${message && html`<${State} of="queued" /> <a href=${withQuery(page.url(path`/messages/${message}`), tenant)}>Open the message</a>`}</p><//>`;
}

/**
 * The versions of a workflow or a template, and the draft of one that was never published.
 */
import { Confirm } from './dialogs.js';
import { Difference } from './difference.js';
import { html, useState } from './html.js';
import { Loaded, refresh, useLoad } from './load.js';
import { Empty, Heading, Moment, Opening, State } from './parts.js';
import { get, request } from './server.js';
import { yamlOf } from './yaml.js';

/** The way to the draft of an object that was never published, or `missing`: why there is no such object. */
export function DraftOnly({ page, url, editor, missing }) {
  const draft = useLoad((signal) => get(url, signal), [url]);
  return html`<${Opening} page=${page} of=${{ ...draft, problem: draft.problem && missing.problem, reload: missing.reload }}>${() => html`<${Heading} title=${page.key} /><${Empty} icon=${page.icon} text="This is a draft: it was never published."><a class="button primary" href=${editor}>Open the draft</a><//>`}<//>`;
}

/** The draft and the versions of an object, with their differences; another one can be made current. `look` shows one as recipients saw it. */
export function Versions({ one, url, editor, isOwn, seen, look }) {
  const found = useLoad((signal) => get(url('/versions'), signal), [url(), one.version]);
  const [compared, setCompared] = useState(null);
  return html`<${Loaded} of=${found}>${({ versions: all }) => html`<ul class="rows-of versions">${one.draft && html`<li><b>Draft</b><${Moment} at=${one.draft.updated_at} /><span class="muted">${one.draft.by}</span><${State} of="not published" kind="wait" />${!look && html`<span class="grow"></span>`}<a class="button" href=${editor}>Review</a></li>`}${all.map(({ version, created_at: at, by, note }, index) => html`<li key=${version}><b>Version ${version}</b><${Moment} at=${at} />${by && html`<span class="muted">${by === 'project secret' ? 'by your server (project secret)' : by}</span>`}${version === one.version && html`<${State} of="current" kind="ok" />`}${note && html`<span dir="auto">${note}</span>`}${!look && html`<span class="grow"></span>`}
      ${look && all.length > 1 && html`<button type="button" aria-label=${`View version ${version}`} aria-pressed=${String(seen === version)} onClick=${() => look(seen === version ? null : version)}>View</button>`}
      ${index < all.length - 1 && html`<button type="button" aria-label=${`Changes of version ${version}`} onClick=${() => setCompared([all[index + 1].version, version])}>Changes</button>`}
      ${isOwn && version !== one.version && html`<${Confirm} label=${`Make current: version ${version}`} word="Make current" about="It applies at once. The other versions stay." act=${async () => {
    await request('PATCH', url(), { version });
    refresh();
  }} />`}</li>`)}</ul>`}<//><div aria-live="polite">${compared && html`<${Compared} versions=${compared} url=${url} />`}</div>`;
}

function Compared({ versions: [from, to], url }) {
  const both = useLoad((signal) => Promise.all([from, to].map((version) => get(url('', { version }), signal))), [from, to]);
  return html`<${Loaded} of=${both}>${([before, after]) => html`<h3>Version ${from} to ${to}</h3><${Difference} before=${yamlOf(before)} after=${yamlOf(after)} />`}<//>`;
}

/**
 * Git: which definitions of the server are in git, which were changed here since they were pushed, and the way from here to another server.
 */
import { html } from './html.js';
import { count, toneOf } from './format.js';
import { Loaded, useLoad } from './load.js';
import { sourceOf } from './managed.js';
import { Headline, Sign } from './object-parts.js';
import { Card, Heading, Snippet, State, Time } from './parts.js';
import { pageOf } from './pages.js';
import { inTenant, setQuery, shownTenant } from './router.js';
import { Rows } from './rows.js';
import { Segments } from './segments.js';
import { ROOT, get, withQuery } from './server.js';
import { readTenantNames, tenantName } from './tenant-names.js';

/** What a push of its source would meet: the object as pushed, another one, or one that no source manages. */
const STATES = { 'in git': 'ok', 'changed here': 'warn', unlocked: 'wait', 'not in git': 'open' };
const stateOf = ({ managed, etag }) => (!managed ? 'not in git' : managed.etag !== etag ? 'changed here' : managed.unlocked_at ? 'unlocked' : 'in git');
const SHOWN = { all: ['All', () => true], git: ['In git', (one) => one.managed], changed: ['Changed here', (one) => stateOf(one) === 'changed here'], none: ['Not in git', (one) => !one.managed] };

/** A key as the name of a file, as `bellcast pull` writes it. */
const fileName = (key) => key.replace(/[^\w.\-~ !#$&'()+,;=@[\]^{}]/gu, encodeURIComponent).replaceAll('*', '%2A').replace(/^\./, '%2E');

/** Where a pull writes an object: one of a tenant into the tenant's folder, and a template into one of its own. */
const fileOf = ({ kind, key, tenant }) => `${tenant === null ? '' : `tenants/${fileName(tenant)}/`}${kind}${key && `/${fileName(key)}`}${kind === 'templates' ? '/' : '.yaml'}`;

const kindOf = ({ kind }) => pageOf(`/${kind}`);
const COLUMNS = [
  { name: 'Object', kind: 'title', lead: (one) => html`<${Sign} icon=${kindOf(one).icon} tone=${one.managed ? toneOf(one.key) : 'grey'} />`, of: (one) => one.values.name || one.key || kindOf(one).title, text: (one) => one.managed && one.values.name && html`<code>${one.key}</code>` },
  { name: 'File', of: (one) => html`<code>${fileOf(one)}</code>`, width: 'minmax(0, 1fr)' },
  { name: 'Tenant', of: (one) => (one.tenant === null ? 'all tenants' : tenantName(one.tenant)), width: '9rem' },
  { name: 'State', of: (one) => html`<${State} of=${stateOf(one)} kind=${STATES[stateOf(one)]} />`, show: (state) => state, width: '8.5rem' },
  { name: 'Source', of: ({ managed }) => managed && html`<code>${sourceOf(managed)}</code>`, width: '12rem' },
  { name: 'Pushed', kind: 'time', of: ({ managed }) => managed?.at },
];

export function Git({ page }) {
  const tenant = shownTenant();
  const found = useLoad(async (signal) => {
    const { objects } = await get(withQuery('/v1/bundle', { tenant: tenant || '*' }), signal);
    await readTenantNames(objects.map((one) => one.tenant), signal);
    return objects;
  }, [tenant]);
  return html`<${Heading} title="Git" note=${html`<span class="muted">Workflows, templates and other definitions as files, reviewed before they are pushed</span>`} />
    <${Loaded} of=${found}>${(objects) => html`<${Summary} of=${objects} />${objects.some(({ managed }) => managed) ? html`<${Objects} page=${page} of=${objects} /><${Way} />` : html`<${Way} /><${Objects} page=${page} of=${objects} />`}`}<//>`;
}

/** How much is in git, and the last push. */
function Summary({ of: objects }) {
  const managed = objects.filter((one) => one.managed), changed = managed.filter((one) => stateOf(one) === 'changed here').length;
  if (managed.length === 0) return html`<${Headline} kind="info" note="Its definitions are changed in the console and by the API only. Begin with a pull: it writes one file for each object.">Nothing of this server is in git<//>`;
  const last = managed.reduce((newest, one) => (one.managed.at > newest.managed.at ? one : newest)).managed;
  const pushed = html`Last push: <code>${sourceOf(last)}</code>, <${Time} at=${last.at} />.`;
  if (changed > 0) return html`<${Headline} kind="warn" note=${html`${pushed} The next plan shows them as drift: pull them, or push with <code>--overwrite</code>.`}>${count(changed, 'object was', 'objects were')} changed here since the push<//>`;
  return html`<${Headline} kind="ok" note=${pushed}>${managed.length === objects.length ? `All ${count(objects.length, 'object')} are as in git` : `${managed.length} of ${count(objects.length, 'object')} are in git, as pushed`}<//>`;
}

function Objects({ page, of: objects }) {
  const wanted = page.query.get('show'), show = Object.hasOwn(SHOWN, wanted) ? wanted : 'all', [, isShown] = SHOWN[show];
  const options = Object.entries(SHOWN).map(([name, [word, matches]]) => [name, html`${word} <span class="muted">${objects.filter(matches).length}</span>`]);
  const link = (one) => inTenant(page, one.key ? `/${one.kind}/${encodeURIComponent(one.key)}` : `/${one.kind}`, one);
  // Without a managed object, all have the same state, which the summary says, and the files are those of the first pull.
  const hasManaged = objects.some(({ managed }) => managed), columns = COLUMNS.filter(({ name }) => name !== (hasManaged ? 'File' : 'State'));
  return html`<section class="resource"><div class="list">${hasManaged && html`<div class="filters"><${Segments} label="Show" options=${options} value=${show} choose=${(one) => setQuery({ show: one === 'all' ? null : one }, { isQuiet: true })} /></div>`}
    <${Rows} label="Objects" columns=${columns} chunks=${[objects.filter(isShown)]} group=${(one) => kindOf(one).title} link=${link} isOpen=${() => false} /></div></section>`;
}

/** How the objects of a server come into a folder, into git, and from there to another server. */
function Way() {
  const steps = [
    ['Pull', 'In an empty folder, or in that of your repository. One file for each object.', `BELLCAST_SECRET=… bellcast pull --url ${location.origin}${ROOT}`], ['Commit', 'The secrets of providers are not in the files: a push keeps those of the other server.', 'git init && git add . && git commit -m "Objects of Bellcast"'],
    ['Push', html`To another server, such as production. This locks the objects there, until an owner presses “Unlock”, unless <code>bellcast.yaml</code> has <code>lock: false</code>. A provider that is new there needs its URL, such as <code>BELLCAST_PROVIDER_SMTP</code> for <code>smtp</code>.`, 'BELLCAST_SECRET=… bellcast push --url https://other.example.com'],
  ];
  return html`<${Card} title="From this server to git, and to another server"><ol class="numbered beside git">${steps.map(([title, text, command]) => html`<li key=${title}><b>${title}</b><p class="muted">${text}</p><${Snippet} of=${command} /></li>`)}</ol>
    <p class="muted">Each <code>BELLCAST_SECRET</code> is that of the server in its line: <code>bellcast env --data FOLDER</code> prints it. Settings, such as the brand, are not in the files.</p><//>`;
}

/**
 * The object of a kind that is edited as YAML, such as a schedule, beside its list.
 */
import { html } from './html.js';
import { Loaded, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { Confirm, Copy, Facts, Heading } from './parts.js';
import { yamlOf } from './yaml.js';
import { BUILDERS } from './roles.js';
import { go, here, inTenant, setQuery, shownTenant } from './router.js';
import { ROOT, getTagged, request, withQuery } from './server.js';

/** The path of an object in the API. */
export const apiPath = (page, kind, more = '') => withQuery(`/v1${kind.path}/${encodeURIComponent(page.key)}${more}`, { tenant: page.query.get('tenant') });

/** The URL of the list that is beside an object. */
export const listUrl = (page) => withQuery(page.url(page.list), { tenant: shownTenant() });

/**
 * @param {object} definition
 * @param {{name: string, path: string}} definition.kind as in `edit.js`
 * @param {(one: any) => any} [definition.note] below the heading
 * @param {(one: any) => [string, any][]} definition.facts
 * @param {(one: any, tag: string) => any} [definition.actions] further buttons; `tag` is the ETag
 * @param {(one: any, tag: string) => any} [definition.children] further parts
 */
export function Definition({ page, kind, facts, actions, children }) {
  const one = useLoad((signal) => getTagged(apiPath(page, kind), signal), [page.path, page.query.get('tenant')]);
  const mayEdit = page.may(BUILDERS);
  const remove = async () => {
    await request('DELETE', apiPath(page, kind));
    go(listUrl(page));
  };
  return html`<${Loaded} of=${one}>${({ value, tag }) => html`
    <${Heading} title=${value.name ?? value.key}>${mayEdit && html`${actions?.(value, tag)}${!isLocked(value) && html`<button type="button" onClick=${() => setQuery({ edit: 'yes' })}>Edit</button>`}${isOwn(value) && !isLocked(value) && html`<${Confirm} isDanger label=${`Delete ${value.key}`} word="Delete" act=${remove} />`}`}<//>
    <${ManagedBanner} page=${page} kind=${kind.path.slice(1)} one=${value} />
    <${Facts} of=${[['Key', html`<code>${value.key}</code>`], ...facts(value), ['Tenant', value.tenant ?? 'all']]} />
    ${children?.(value, tag)}
    <${Yaml} of=${value} isOpen />`}<//>`;
}

/** The objects that use another one, such as `workflows/reminder`, as links. */
export const Uses = ({ page, of }) => of.uses.map((one, index) => html`${index > 0 && ', '}<a key=${one} href=${inTenant(page, `/${one}`, of)}>${one.slice(one.indexOf('/') + 1)}</a>`);

const gitCommands = () => `mkdir bellcast-objects && cd bellcast-objects && git init\nBELLCAST_SECRET=… bellcast pull --url ${location.origin}${ROOT}\ngit add . && git commit -m "Objects of Bellcast"\nBELLCAST_SECRET=… bellcast push --url https://other-server.example.com`;

/** The definition as YAML. */
export const Yaml = ({ of, isOpen = false, isInFiles = false }) => html`<details class="panel" open=${isOpen}><summary>${isInFiles ? 'YAML and git' : 'YAML'}</summary>${isInFiles && html`<p class="muted">To keep it in git, or to move it to another server: <code>bellcast pull</code> writes all objects of a server into a folder, and <code>bellcast push</code> writes the folder to a server.</p><p class="muted">Each <code>BELLCAST_SECRET</code> is the secret of the server in the same line: <code>bellcast env</code> prints it, with <code>--data</code> and the data folder of that server. Settings, such as the brand, are not in the files.</p><p class="muted">A push locks the objects: the console of the other server no longer publishes them, until an owner presses “Unlock” on the page of an object. <code>lock: false</code> in <code>bellcast.yaml</code> leaves them unlocked.</p><pre tabIndex="0"><code>${gitCommands()}</code></pre><${Copy} what="the commands" text=${gitCommands()} />`}<pre tabIndex="0"><code>${yamlOf(of)}</code></pre><${Copy} what="the YAML" text=${yamlOf(of)} /></details>`;

/** Whether this is the object of the tenant that is shown, not the project's. */
const isOwn = (one) => (one.tenant ?? '') === (here.value.searchParams.get('tenant') ?? '');

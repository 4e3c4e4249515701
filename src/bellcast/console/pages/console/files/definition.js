/**
 * The object of a kind that is edited as YAML, such as a schedule, beside its list.
 */
import { html } from './html.js';
import { Confirm } from './dialogs.js';
import { useLoad } from './load.js';
import { ManagedBanner, isLocked, sourceOf } from './managed.js';
import { More } from './object-parts.js';
import { Facts, Heading, Icon, Id, Opening, Snippet } from './parts.js';
import { deleteObject } from './toast.js';
import { valuesOf, yamlOf } from './yaml.js';
import { BUILDERS } from './roles.js';
import { readTenantNames, tenantName } from './tenant-names.js';
import { here, inTenant, setQuery, shownTenant } from './router.js';
import { getTagged, withQuery } from './server.js';
import { ownPages, pageUrl } from './shell.js';

/** The path of an object in the API. */
export const apiPath = (page, kind, more = '') => withQuery(`/v1${kind.path}/${encodeURIComponent(page.key)}${more}`, { tenant: page.query.get('tenant') });

/** The URL of the list that is beside an object. */
export const listUrl = (page) => withQuery(page.url(page.list), { tenant: shownTenant() });

/** Whether a schedule has sent once, and would do so again if Undo created it. */
const isOver = ({ at, last_at: last }) => Boolean(at && last);

/**
 * @param {object} definition
 * @param {{name: string, path: string}} definition.kind as in `edit.js`
 * @param {(one: any) => string} [definition.title] its key is below another title than the key
 * @param {(one: any, tag: string) => any} [definition.headline] what it does, or why it fails; `tag` is the ETag
 * @param {(one: any) => [string, any][]} definition.facts
 * @param {(one: any, tag: string) => any} [definition.more] what its menu has before “Delete”
 * @param {(one: any) => any} [definition.loss] what follows when it is deleted
 * @param {(one: any, tag: string) => any} [definition.children] further parts
 * @param {(one: any, yaml: any) => any} [definition.last] what arrives later, with the YAML, which comes after it: so nothing moves
 */
export function Definition({ page, kind, title = ({ name, key }) => name ?? key, headline, facts, more, loss, children, last }) {
  const one = useLoad((signal) => readObject(apiPath(page, kind), signal), [page.path, page.query.get('tenant')]);
  const mayEdit = page.may(BUILDERS);
  return html`<${Opening} page=${page} of=${one}>${({ value, tag }) => html`
    <${Heading} title=${title(value)} note=${title(value) !== value.key && html`<${Id} of=${value.key} />`}>${mayEdit && html`${!isLocked(value) && html`<button type="button" onClick=${() => setQuery({ edit: 'yes' })}>Edit</button>`}<${More} of=${value.key}>${more?.(value, tag)}${isOwn(value) && !isLocked(value) && html`<${Delete} page=${page} url=${apiPath(page, kind)} of=${{ value, tag }} about=${loss?.(value)} values=${isOver(value) ? null : valuesOf(value)} />`}<//>`}<//>
    <${ManagedBanner} page=${page} kind=${kind.path.slice(1)} one=${value} />
    ${headline?.(value, tag)}
    <${Facts} of=${[...facts(value), ['Tenant', value.tenant]]} />
    ${children?.(value, tag)}
    ${last ? last(value, html`<${Yaml} of=${value} />`) : html`<${Yaml} of=${value} />`}`}<//>`;
}

/** What is before the tenant of an object that uses another one. */
const OF_TENANT = '?tenant=';

/** Read an object with its ETag, and the names of the tenants of it and of those that use it. */
export async function readObject(url, signal) {
  const found = await getTagged(url, signal), { tenant, uses = [] } = found.value;
  await readTenantNames([tenant, ...uses.map((use) => use.split(OF_TENANT)[1])], signal);
  return found;
}

/** The button that deletes the object that was read with `readObject`, if it has not changed since. */
export const Delete = ({ page, url, of: { value: { key }, tag }, about, values }) => html`<${Confirm} isDanger label=${`Delete ${key}`} word="Delete" about=${about} act=${() => deleteObject(url, key, listUrl(page), { tag, values })} />`;

/** An object that uses another one as a link, with its tenant if it has another one. */
const Use = ({ page, of, target, tenant, children }) => html`<a href=${inTenant(page, `/${target}`, tenant ? { tenant } : of)}>${children}</a>`;
const usesOf = ({ uses }) => uses.map((one) => one.split(OF_TENANT)).map(([target, tenant]) => ({ target, tenant, plural: target.split('/')[0], key: target.split('/')[1] }));
const nameOfUse = ({ key, tenant }) => `${key}${tenant ? ` (${tenantName(tenant)})` : ''}`;

/** The objects that use another one, such as `workflows/reminder` or `workflows/reminder?tenant=acme`, as links. `isNamed`: after the names of their kinds. */
export const Uses = ({ page, of, isNamed = false }) => usesOf(of).map((one, index) => html`${index > 0 && ', '}<span key=${one.target + one.tenant} class="used-by">${isNamed && `${one.plural.slice(0, -1)} `}<${Use} page=${page} of=${of} ...${one}>${nameOfUse(one)}<//></span>`);

/** The same, one a line: those of several tenants with the same key are on one line. */
export const UsesInLines = ({ page, of }) => Object.values(Object.groupBy(usesOf(of), ({ target }) => target)).map((all) => html`<span key=${all[0].target} class="used-by line">${all.length === 1 ? html`<${Use} page=${page} of=${of} ...${all[0]}>${nameOfUse(all[0])}<//>` : html`${all[0].key} in ${all.map((one, index) => html`${index > 0 && ', '}<${Use} key=${one.tenant} page=${page} of=${of} ...${one}>${one.tenant ? tenantName(one.tenant) : 'all'}<//>`)}`}</span>`);

/** Where an object is in git, in a few words. */
const gitState = ({ managed }) => (managed ? `In git: ${sourceOf(managed)}, ${managed.unlocked_at ? 'unlocked' : managed.lock ? 'locked' : 'not locked'}` : 'Not in git');

/** Where the object is in git, and the page with the way there. */
const Git = ({ of }) => html`<p class="panel git-line"><${Icon} name="branch" /><b>Git</b><span class="tag">${gitState(of)}</span>${ownPages().some(({ path }) => path === '/git') && html`<a href=${pageUrl('/git')}>${of.managed ? 'All objects' : 'Put it into git'}</a>`}</p>`;

/** The definition as YAML; `isInFiles`: with its place in git. */
export const Yaml = ({ of, isOpen = false, isInFiles = false }) => html`${isInFiles && html`<${Git} of=${of} />`}<details class="panel" open=${isOpen}><summary>YAML</summary><${Snippet} what="the YAML" of=${yamlOf(of)} /></details>`;

/** Whether this is the object of the tenant that is shown, not the project's. */
const isOwn = (one) => (one.tenant ?? '') === (here.value.searchParams.get('tenant') ?? '');

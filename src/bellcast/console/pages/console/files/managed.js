/**
 * Objects that are managed by git: a banner with their source, files for a pull request, and the way out in an emergency.
 */
import { html } from './html.js';
import { Confirm } from './dialogs.js';
import { loadStyle, refresh } from './load.js';
import { Icon, Moment } from './parts.js';
import { OWNERS } from './roles.js';
import { get, request, save, withQuery } from './server.js';
import { toYaml, valuesOf } from './yaml.js';

await loadStyle('managed.css');

/** Whether only a push may write the object. */
export const isLocked = (one) => Boolean(one?.managed?.lock && !one.managed.unlocked_at);

/** The source that manages an object, with its commit. */
export const sourceOf = ({ source, commit }) => `${source}${commit ? ` @ ${commit.slice(0, 7)}` : ''}`;

export const IN_CODE = 'Defined in code: change it there.';

/** The files of an object in the folder of `bellcast pull`, by name. The HTML of e-mails is beside its template. */
function filesOf(kind, key, values) {
  if (kind !== 'templates') return { [`${encodeURIComponent(key) || kind}.yaml`]: toYaml(values) };
  const files = {};
  const withoutHtml = (parts, prefix) => {
    if (typeof parts?.email?.html !== 'string') return parts;
    const { html: text, ...email } = parts.email;
    files[`${prefix}email.html`] = text;
    return { ...parts, email };
  };
  const own = withoutHtml(values, '');
  const translations = Object.entries(own.translations ?? {}).map(([tag, parts]) => [tag, withoutHtml(parts, `${encodeURIComponent(tag)}.`)]);
  return { 'template.yaml': toYaml({ ...own, ...(translations.length > 0 && { translations: Object.fromEntries(translations) }) }), ...files };
}

/** A button that saves the values as files. */
export function DownloadFiles({ kind, one, values = valuesOf(one), isPrimary = false }) {
  const download = async () => {
    // The file of a provider names a variable instead of its URL, which only the server writes.
    const { objects } = kind === 'providers' ? await get(withQuery('/v1/bundle', { kinds: kind, tenant: one.tenant })) : { objects: [] };
    const own = objects.find(({ key, tenant }) => key === one.key && tenant === (one.tenant ?? null))?.values ?? values;
    Object.entries(filesOf(kind, one.key ?? '', own)).forEach(([name, text]) => save(new Blob([text]), name));
  };
  return html`<button type="button" class=${isPrimary ? 'primary' : null} onClick=${download}>Download as files</button>`;
}

/** The source that manages an object; nothing if there is none. `values` are those that are downloaded, such as of a draft. */
export function ManagedBanner({ page, kind, one, values, reload = refresh, isDownloadable = true }) {
  const { managed } = one ?? {};
  if (!managed) return null;
  const unlock = async () => {
    await request('POST', '/v1/bundle/unlock', { kind, key: one.key ?? '', tenant: one.tenant });
    await reload();
  };
  return html`<div class="managed" role="note" data-locked=${String(isLocked(one))}><${Icon} name="lock" /><div><p><b>Managed by git · ${sourceOf(managed)}</b></p>
    <p class="muted">${managed.unlocked_at ? html`Unlocked <${Moment} at=${managed.unlocked_at} />. The next plan shows what was changed here as drift.` : managed.lock ? 'Change its file and push it. Drafts, previews and tests work as usual.' : html`Pushed <${Moment} at=${managed.at} />. What is changed here is drift in the next plan.`}</p></div>
    ${isLocked(one) && html`<div class="tools">${isDownloadable && html`<${DownloadFiles} kind=${kind} one=${one} values=${values} />`}${page.may(OWNERS) && html`<${Confirm} label=${`Unlock ${one.key ?? kind}`} word="Unlock" about="It can be changed here. The next push shows that as drift." act=${unlock} />`}</div>`}</div>`;
}

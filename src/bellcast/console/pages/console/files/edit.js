/**
 * The page that edits or creates an object as YAML: the server checks the text, and the page shows the difference before it is saved.
 */
import { difference } from './difference.js';
import { confirmed, field, fill, form, h } from './dom.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import { heading, load } from './list.js';
import { BUILDERS, tenantOf } from './page.js';
import { getTagged, putYaml, withQuery } from './server.js';
import { toYaml } from './yaml.js';
import { yamlEditor } from './yaml-editor.js';

/** Fields that occur only in responses. */
const ADDED = new Set(['key', 'tenant', 'version', 'active', 'uses', 'created_at', 'updated_at']);

/** The key of a preview before one is entered. */
const UNNAMED = 'new';

/** An object without the fields that occur only in responses. */
const valuesOf = (one) => Object.fromEntries(Object.entries(one).filter(([name, value]) => !ADDED.has(name) && value !== null));

/** An object as YAML. */
export const yamlOf = (one) => toYaml(valuesOf(one));

/** @typedef {{name: string, path: string, starter: object, note: string, preview?: Function}} Kind `path` is that of the API and of the
 * page; `preview` returns a card that renders the text of the editor */

/** A link to the editor: of a new object, of an object, or of a tenant's override of it. */
export function editLink(page, kind, one) {
  const { tenant } = tenantOf(page);
  const text = !one ? `New ${kind.name}` : (one.tenant ?? '') === tenant ? 'Edit' : `Override for ${tenant}`;
  return page.may(BUILDERS) && h('a', { class: 'button', href: withQuery(page.path, { edit: one ? 'yes' : 'new', tenant }) }, text);
}

/** The button of a list that opens the editor of a new object. */
export const newLink = (page, kind) => page.may(BUILDERS) && html`<a class="button primary" href=${withQuery(page.url(kind.path), { edit: 'new', ...tenantOf(page) })}><${Icon} name="plus" /> New ${kind.name}</a>`;

/** The page of the editor. @param {Kind} kind */
export function edit(page, kind) {
  if (!page.may(BUILDERS)) return [heading(`Edit ${kind.name}`), h('p', {}, `Your role, ${page.me.role}, does not permit this page.`)];
  if (page.key === null) return editor(page, kind, { text: toYaml(kind.starter), tag: null });
  const place = h('div');
  load(place, page.signal, (signal) => getTagged(target(kind, page.key, tenantOf(page)), signal), ({ value, tag }) => editor(page, kind, { text: yamlOf(value), tag, one: value }), page.key);
  return place;
}

const target = (kind, key, query) => withQuery(`/v1${kind.path}/${encodeURIComponent(key)}`, query);

/** `base` is the object as it was read: the difference is computed from it, and the write fails if it has changed. */
function editor(page, kind, base) {
  const isNew = page.key === null;
  const draft = drafts(page);
  const savedDraft = draft.read();
  let condition = conditionOf(savedDraft?.tag ?? base.tag);
  const text = yamlEditor('Definition as YAML', savedDraft?.text ?? base.text, () => {
    draft.write({ text: text.value, tag: condition['if-match'] ?? null });
    discard.hidden = false;
    fill(review);
  });
  const review = h('section');
  const notice = h('p', { role: 'status' }, savedDraft && 'Your changes in this tab are here again.');
  const discard = confirmed('Discard the changes', 'Discard', async () => {
    draft.clear();
    page.go(back());
  });
  discard.hidden = !savedDraft;
  const fields = isNew ? [keyField(), tenantField(page)] : [];
  const edited = form([fields, text.element], 'Review changes', check);
  edited.classList.add('editing');
  edited.append(discard);

  const chosen = (entered) => (isNew ? { key: entered.key.trim(), tenant: entered.tenant.trim() } : { key: page.key, ...tenantOf(page) });
  const back = (key = page.key, tenant = tenantOf(page).tenant) => withQuery(page.url(key === null ? kind.path : `${kind.path}/${encodeURIComponent(key)}`), { tenant });

  /** The URL of the object, and the text as values that the server has checked. */
  async function read() {
    const { key, tenant } = chosen(Object.fromEntries(new FormData(edited)));
    const name = key || UNNAMED;
    text.show(null);
    try {
      const values = await putYaml(target(kind, name, { tenant, dry_run: true }), text.value, {}, page.signal);
      return { url: (more) => withQuery(`/v1${kind.path}/${encodeURIComponent(name)}${more}`, { tenant }), values: valuesOf(values) };
    } catch (problem) {
      text.show(problem);
      throw new Error('The definition has an error, shown above.');
    }
  }

  /** Let the server check the text, and show what would change. */
  async function check(entered) {
    const { key, tenant } = chosen(entered);
    fill(review);
    text.show(null);
    await attempt(entered, async () => {
      const after = yamlOf(await putYaml(target(kind, key, { tenant, dry_run: true }), text.value, condition, page.signal));
      const isSame = after === base.text && !isNew && !isCopy(page, base);
      const title = h('h2', { tabindex: '-1' }, isSame ? 'Nothing changed' : isNew ? `New ${kind.name} ${key}` : 'Changes');
      fill(review, h('div', { class: 'panel' }, title, !isSame && [difference(isNew ? '' : base.text, after), save(entered)]));
      title.focus();
    });
  }

  function save(entered) {
    const { key, tenant } = chosen(entered);
    const button = h('button', { type: 'button', class: 'primary', onclick: async () => {
      button.disabled = true;
      try {
        await attempt(entered, async () => {
          await putYaml(target(kind, key, { tenant }), text.value, condition, page.signal);
          draft.clear();
          page.go(back(key, tenant));
        });
      } catch (problem) {
        text.show(problem);
      }
      button.disabled = false;
    } }, 'Save');
    return button;
  }

  /**
   * Send a write request, and show the reason if it is refused. If the object has changed in the meantime, compare the
   * text with the current version.
   */
  async function attempt(entered, write) {
    try {
      await write();
    } catch (problem) {
      if (page.signal.aborted) return;
      if (problem.status !== 412) {
        fill(review);
        text.show(problem);
      } else if (isNew) {
        const { key, tenant } = chosen(entered);
        fill(review);
        text.show({ errors: [], message: `A ${kind.name} with the key ${key} exists.` });
        fill(notice, h('a', { href: back(key, tenant) }, `Open ${key}`));
      } else {
        await readAgain();
        await check(entered);
      }
    }
  }

  async function readAgain() {
    try {
      const { value, tag } = await getTagged(target(kind, page.key, tenantOf(page)), page.signal);
      base = { text: yamlOf(value), tag, one: value };
      fill(notice, `${page.key} has changed in the meantime${value.version ? `: now it is version ${value.version}` : ''}. Your text is kept, and the changes below are relative to the current version.`);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      base = { text: '', tag: null };
      fill(notice, `${page.key} has been deleted in the meantime. Your text is kept; saving creates it again.`);
    }
    condition = conditionOf(base.tag);
    draft.write({ text: text.value, tag: base.tag });
  }

  return [heading(isNew ? `New ${kind.name}` : `Edit ${page.key}`, h('a', { class: 'button', href: back() }, 'Back')), h('p', { class: 'muted' }, noteOf(page, kind, base)), notice, edited, review,
    kind.preview?.(page, base.one ?? kind.starter, read)];
}

const conditionOf = (tag) => (tag === null ? { 'if-none-match': '*' } : { 'if-match': tag });

/** Whether saving creates a tenant's copy of a project object. */
const isCopy = (page, { one }) => one !== undefined && (one.tenant ?? '') !== tenantOf(page).tenant;

function noteOf(page, kind, base) {
  if (!isCopy(page, base)) return kind.note;
  const { tenant } = tenantOf(page);
  return `${tenant} uses the version for all tenants. Saving creates a copy for ${tenant} that later changes for all tenants do not affect. ${kind.note}`;
}

const keyField = () => field('Key', { name: 'key', required: true, maxlength: 100, pattern: '[A-Za-z0-9_.\\-]+', autocomplete: 'off', spellcheck: 'false' }, 'Letters, digits and _ . -');

/** The tenant of a new object. Operators that are restricted to tenants choose one of them. */
function tenantField(page) {
  const { tenant } = tenantOf(page);
  const own = page.me.tenants;
  return field('Tenant', { name: 'tenant', value: tenant, autocomplete: 'off', placeholder: 'all', ...(own && { options: own, selected: tenant || own[0] }) }, own ? '' : 'Leave it empty for all tenants.');
}

/** The unsaved text. It stays in the tab even if the session ends in the meantime, and other operators do not see it. */
function drafts(page) {
  const name = `draft ${page.me.id} ${page.path} ${tenantOf(page).tenant}`;
  return {
    read: () => JSON.parse(sessionStorage.getItem(name)),
    write: (draft) => sessionStorage.setItem(name, JSON.stringify(draft)),
    clear: () => sessionStorage.removeItem(name),
  };
}

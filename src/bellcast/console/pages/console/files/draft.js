/**
 * The draft of a workflow or a template while it is edited: undo, checks, and saving in the background, also while the server cannot be reached.
 */
import { batch, computed, signal } from './html.js';
import { BASE } from './router.js';
import { Problem, exchange, get, path, withQuery } from './server.js';
import { me } from './session.js';
import { session } from './storage.js';
import { readTenantNames } from './tenant-names.js';
import { commentsOf } from './workflow-model.js';
import { toYaml, valuesOf } from './yaml.js';

const CHECK_MS = 500;
const SAVE_MS = 1000;
const POLL_MS = 10_000;
/** Repeated after a failure, with doubling pauses. */
const RETRY_MS = [2000, 30_000];
const MAX_UNDO = 200;
/** Changes of one field within this time are one step of undo. */
const TYPING_MS = 1000;
/**
 * A kind of object with drafts.
 * @typedef {{plural: string, name: string, differencesOf: (before: any, after: any) => [string, string, string, [string, string, string][]?][],
 *   withNotes?: (values: any, comments: [any, string][]) => any}} Kind its objects may have notes, which comments can become
 */

const withoutNotFound = (reading) => reading.catch((problem) => {
  if (problem.status === 404) return null;
  throw problem;
});

/** The draft of an object that was never published is found only by a request for it. */
const mayHaveDraft = (published) => published === null || published.draft !== null;

/** The URL of an object that is about to be created: nothing of it is stored. */
let created = null;

/** Find out whether a project's object exists before its editor opens, without a 404: by the first of the list from its key on. */
export async function prepare({ plural }, key) {
  // No character of a key comes after `~`, so no other key is between this position and the key.
  const after = `${key.slice(0, -1)}${String.fromCharCode(key.charCodeAt(key.length - 1) - 1)}~`;
  const { [plural]: [next] } = await get(withQuery(`/v1/${plural}`, { after, limit: 1, drafts: true }));
  created = next?.key === key ? null : `/v1/${plural}` + path`/${key}`;
}

/** Who changed a draft in the meantime. */
const authorOf = ({ by }) => (by === me.value.name ? 'your other tab' : by ?? 'a publication');

/** Read the published object and its draft; a tenant without an own object begins with the project's, `inherited`. */
export async function readDrafted({ plural }, key, tenant, signal) {
  const url = `/v1/${plural}` + path`/${key}`;
  if (created === url && !tenant) return { published: null, inherited: null, draft: null, tag: null };
  const [published] = await Promise.all([withoutNotFound(get(withQuery(url, { tenant }), signal)), location.pathname.startsWith(BASE) && readTenantNames([tenant], signal)]);
  const draft = mayHaveDraft(published) ? await withoutNotFound(exchange('GET', withQuery(`${url}/draft`, { tenant }), { signal })) : null;
  const isOwn = published !== null && (published.tenant ?? '') === tenant;
  return { published: isOwn ? published : null, inherited: isOwn ? null : published, draft: draft?.value ?? null, tag: draft?.response.headers.get('etag') ?? null };
}
/** Why something is not saved, in short. */
export const reasonOf = ({ message, errors }) => (errors?.[0]?.line ? `line ${errors[0].line}` : message);
/** The YAML of an object as the `values` of a draft. The document separator of a file has no place in it. */
const yamlOfDraft = (text, base) => `base: ${base}\nvalues:\n${text.replace(/^---[ \t]*$/m, '').replace(/^(?=.)/gm, '  ')}\n`;
const isTemporary = ({ status }) => status === 0 || status === 429 || status >= 500;

/** @param {{kind: Kind, key: string, tenant: string, me: any, published: any, inherited: any, draft: any, tag: string | null}} of `published` is the current version, or null; `draft` that of the server, or null */
export function createDraft({ kind, key, tenant, me, published, inherited, draft, tag }) {
  const { differencesOf } = kind;
  const url = (more, query = {}) => withQuery(`/v1/${kind.plural}` + path`/${key}` + more, { tenant, ...query });
  const stored = `draft ${me.id} ${kind.plural}/${key} ${tenant}`;
  const base = signal(draft ? draft.base : published?.version ?? null);
  const current = signal(published);
  const values = signal(draft?.values ?? (published ? valuesOf(published) : {}));
  const saved = signal(draft?.values ?? null);
  const save = signal({ state: 'saved', text: '' });
  const saver = signal(draft && { by: draft.by, at: draft.updated_at });
  const theirs = signal(null);
  /** What was published last, until the next change. */
  const lastPublished = signal(null);
  const problems = signal(draft?.errors ?? []);
  /** The object as the server would store it, if the values have no problems. */
  const checked = signal(null);
  /** What its author should see in valid values, as the server found it last: `{field, code, message}`. */
  const findings = computed(() => (problems.value.length > 0 ? [] : checked.value?.findings ?? []));
  /** The YAML as it was edited: `values` are those that were read from it, null while it is not read. */
  const yaml = signal(null);
  const isUnread = computed(() => yaml.value !== null && yaml.value.values === null);
  const yamlText = computed(() => (isUnread.value || yaml.value?.values === values.value ? yaml.value.text : toYaml(values.value)));
  /** The comments of the YAML, which no draft has: the first change of the values removes them. */
  const comments = computed(() => (yaml.value && yaml.value.values === values.value ? commentsOf(yaml.value.text, values.value) : []));
  /** Why the YAML is not read. */
  const yamlProblem = signal(null);
  /** Why nothing can be edited. */
  const refusal = signal(null);
  const mark = (found) => { if (found.length + problems.value.length > 0) problems.value = found; };
  const history = signal({ past: [], future: [] });
  const isNew = computed(() => current.value === null);
  const changes = computed(() => differencesOf(current.value === null ? {} : valuesOf(current.value), values.value));
  const isChanged = computed(() => isUnread.value || JSON.stringify(values.value) !== JSON.stringify(current.value === null ? {} : valuesOf(current.value)));
  const timers = {};
  const abort = new AbortController();
  let lastTyping = null;
  let retry = RETRY_MS[0];
  let isSaving = null;
  let etag = tag;

  const later = (name, ms, act) => {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(act, ms);
  };
  const isDirty = () => isUnread.value || saved.value !== values.value && !(saved.value === null && history.value.past.length === 0);

  const isOther = (next) => JSON.stringify(next) !== JSON.stringify(values.value);

  /** Keep the changes in this tab until they are saved, with what they change. */
  const keep = () => session.setItem(stored, JSON.stringify({ values: values.value, base: base.value, tag: etag, text: isUnread.value ? yaml.value.text : null }));

  /** Let the values be undone. Changes of the same `field` in quick succession are undone together. */
  function remember(field) {
    const now = performance.now();
    const isTyping = field !== null && lastTyping?.field === field && now - lastTyping.at < TYPING_MS;
    lastTyping = { field, at: now };
    const { past } = history.value;
    history.value = { past: isTyping ? past : [...past, values.value].slice(-MAX_UNDO), future: [] };
  }

  function change(next, field = null) {
    if (refusal.value) return;
    batch(() => {
      remember(field);
      set(next);
    });
  }

  function set(next) {
    values.value = next;
    forgetYaml();
    saveLater(SAVE_MS);
    later('check', CHECK_MS, check);
  }

  function forgetYaml() {
    yaml.value = null;
    yamlProblem.value = null;
  }

  function saveLater(ms) {
    keep();
    lastPublished.value = null;
    if (!['conflict', 'offline'].includes(save.value.state)) save.value = { state: 'saving', text: 'Saving…' };
    later('save', ms, write);
  }

  /** Change the YAML. Its values are those that the server reads. */
  function changeYaml(text) {
    if (refusal.value) return;
    clearTimeout(timers.check);
    batch(() => {
      yaml.value = { text, values: null };
      saveLater(CHECK_MS);
    });
  }

  /** Read the YAML; it may have errors, then the values are also saved. Throws Problem. */
  async function readYaml() {
    const { text } = yaml.value;
    let next = null;
    let found = [];
    try {
      next = valuesOf((await exchange('PUT', url('', { dry_run: true }), { type: 'application/yaml', body: text, signal: abort.signal })).value);
    } catch (problem) {
      if (problem.status !== 422) throw problem;
      found = problem.errors;
      // The lines of its errors are those of another text.
      next = (await put('application/yaml', yamlOfDraft(text, base.value)).catch((refused) => { throw refused.status === 422 ? problem : refused; })).values;
    }
    if (yaml.value?.text !== text) return;
    batch(() => {
      if (isOther(next)) {
        remember('yaml');
        values.value = next;
      }
      if (found.length > 0) saved.value = values.value;
      yaml.value = { text, values: values.value };
      yamlProblem.value = null;
      mark(found);
      keep();
    });
  }

  const step = (from, to) => () => {
    const one = isUnread.value ? values.value : history.value[from].at(-1);
    if (one === undefined || refusal.value) return false;
    lastTyping = null;
    batch(() => {
      if (!isUnread.value) history.value = { [from]: history.value[from].slice(0, -1), [to]: [...history.value[to], values.value] };
      set(one);
    });
    return true;
  };

  /** Let the server check the values. */
  async function check() {
    const sent = values.value;
    try {
      const { value } = await exchange('PUT', url('', { dry_run: true }), { type: 'application/json', body: JSON.stringify(sent), signal: abort.signal });
      if (sent === values.value) batch(() => { mark([]); checked.value = value; });
    } catch (problem) {
      if (abort.signal.aborted || sent !== values.value) return;
      if (problem.status === 422) problems.value = problem.errors;
      else if (problem.status === 409) refusal.value = problem.message;
      else if (isTemporary(problem)) later('check', RETRY_MS[0], check);
    }
  }

  /** Save the values, if they are not saved; at most one request at a time. */
  function write() {
    clearTimeout(timers.save);
    isSaving ??= attempt().finally(() => { isSaving = null; });
    return isSaving;
  }

  /** Save the draft as a body has it, and return it. Throws Problem. */
  async function put(type, body) {
    const headers = etag === null ? { 'if-none-match': '*' } : { 'if-match': etag };
    const { value, response } = await exchange('PUT', url('/draft'), { type, body, headers, signal: abort.signal });
    etag = response.headers.get('etag');
    created = null;
    retry = RETRY_MS[0];
    saver.value = { by: value.by, at: value.updated_at };
    return value;
  }

  async function removeDraft() {
    if (etag !== null) await exchange('DELETE', url('/draft'), { headers: { 'if-match': etag } });
    etag = null;
    saver.value = null;
  }

  async function saveValues() {
    const sent = values.value;
    // What equals the published version is no draft.
    if (!isChanged.value && current.value?.version === base.value) {
      await removeDraft();
      saved.value = sent;
      return;
    }
    const { errors } = await put('application/json', JSON.stringify({ values: sent, base: base.value }));
    batch(() => {
      saved.value = sent;
      if (sent === values.value) mark(errors);
      keep();
    });
  }

  async function attempt() {
    while (isDirty() && save.value.state !== 'conflict') {
      try {
        await (isUnread.value ? readYaml() : saveValues());
      } catch (problem) {
        if (abort.signal.aborted) return;
        if (problem.status === 412) await conflict();
        else fail(problem);
        return;
      }
    }
    if (isDirty() || save.value.state === 'saved') return;
    save.value = { state: 'saved', text: etag === null ? '' : 'Saved' };
    session.removeItem(stored);
  }

  function fail(problem) {
    const text = `Not saved: ${reasonOf(problem)}`;
    if (isUnread.value) yamlProblem.value = problem;
    save.value = { state: isTemporary(problem) ? 'offline' : 'refused', text, requestId: problem.requestId };
    if (!isTemporary(problem)) return;
    later('save', retry, write);
    retry = Math.min(retry * 2, RETRY_MS[1]);
  }

  const isStored = () => current.value !== null || inherited !== null;
  const readPublished = () => withoutNotFound(get(url(''), abort.signal));
  const readDraft = async () => {
    const found = mayHaveDraft(isStored() ? await readPublished() : null) ? await withoutNotFound(exchange('GET', url('/draft'), { signal: abort.signal })) : null;
    return { draft: found?.value ?? null, tag: found?.response.headers.get('etag') ?? null };
  };

  /** Let the operator choose between their changes and those of another operator; `withoutDraft` are the values if the draft is gone. */
  const showTheirs = (found, withoutDraft) => batch(() => {
    theirs.value = found.draft ? found : { ...found, draft: { values: withoutDraft, by: null } };
    save.value = { state: 'conflict', text: `Changed by ${authorOf(theirs.value.draft)} in the meantime` };
  });

  /** Another operator has saved or published the draft. */
  async function conflict() {
    try {
      const found = await readDraft();
      showTheirs(found, found.draft ? null : valuesOf(await withoutNotFound(get(url(''))) ?? {}));
    } catch (problem) {
      fail(problem);
    }
  }

  function adopt({ draft: found, tag: foundTag }) {
    etag = foundTag;
    batch(() => {
      forgetYaml();
      lastPublished.value = null;
      values.value = found.values;
      saved.value = found.values;
      history.value = { past: [], future: [] };
      saver.value = found.by && { by: found.by, at: found.updated_at };
      if (found.base !== undefined) base.value = found.base;
      save.value = { state: 'saved', text: 'Saved' };
      theirs.value = null;
    });
    session.removeItem(stored);
    check();
  }

  async function poll() {
    try {
      if (!document.hidden && save.value.state === 'saved' && !isDirty() && (etag !== null || isStored())) {
        const found = await readDraft();
        if (found.tag !== etag && save.value.state === 'saved' && !isDirty()) {
          if (found.draft) adopt(found);
          else await reopen();
        }
      }
    } catch { /* the next poll tries again */ }
    later('poll', POLL_MS, poll);
  }

  /** Read the published version again, without a draft. */
  async function reopen() {
    created = null;
    const one = await readPublished();
    batch(() => {
      current.value = one;
      forgetYaml();
      lastPublished.value = null;
      base.value = one?.version ?? null;
      etag = null;
      values.value = one ? valuesOf(one) : {};
      saved.value = values.value;
      saver.value = null;
      problems.value = [];
      theirs.value = null;
      history.value = { past: [], future: [] };
      save.value = { state: 'saved', text: '' };
    });
    session.removeItem(stored);
  }

  /** Publish the saved draft; with `isPlan`, only return what would change. Throws Problem. */
  async function publish(note, isPlan) {
    await write();
    if (save.value.state !== 'saved') throw new Problem(0, { detail: save.value.text }, null);
    const body = JSON.stringify(note ? { note } : {});
    const { value } = await exchange('POST', url('/publish', { dry_run: isPlan || null }), { type: 'application/json', body, headers: { 'if-match': etag } });
    if (!isPlan) await reopen();
    return value;
  }

  /** Continue with changes that this tab has not saved. Another operator may have saved the draft since then. */
  function resume(kept) {
    if (kept.tag !== tag) showTheirs({ draft, tag }, values.value);
    etag = kept.tag;
    base.value = kept.base;
    if (isOther(kept.values)) change(kept.values);
    if (kept.text !== null) changeYaml(kept.text);
  }

  const kept = JSON.parse(session.getItem(stored) ?? 'null');
  if (draft === null) saved.value = values.value;
  if (kept && (kept.text !== null || isOther(kept.values))) resume(kept);
  else session.removeItem(stored);
  const warn = (event) => { if (isDirty()) event.preventDefault(); };
  addEventListener('beforeunload', warn);
  later('poll', POLL_MS, poll);

  return {
    kind, key, tenant, url, values, checked, findings, save, saver, theirs, lastPublished, problems, yamlText, yamlProblem, comments, isUnread, refusal, history, current, base, isNew, isChanged, changes,
    change, changeYaml, check, undo: step('past', 'future'), redo: step('future', 'past'), write, publish, reopen,
    /** Whether a draft is stored, or will be. */
    hasDraft: () => etag !== null || isDirty(),
    keepMine: () => {
      etag = theirs.value.tag;
      theirs.value = null;
      save.value = { state: 'saving', text: 'Saving…' };
      write();
    },
    takeTheirs: () => (theirs.value.tag ? adopt(theirs.value) : reopen()),
    /** Read the published object again, after it was unlocked. */
    reread: async () => { current.value = await get(url(''), abort.signal); },
    /** Base the draft on the current version, after another operator has written it. */
    rebase: async () => {
      const one = await get(url(''), abort.signal);
      batch(() => {
        current.value = one;
        base.value = one.version;
        saved.value = null;
        save.value = { state: 'saving', text: 'Saving…' };
      });
      history.value = { ...history.value, past: [...history.value.past, values.value].slice(-MAX_UNDO) };
      await write();
    },
    /** Begin with other values; they are saved with the first change. */
    begin: (next) => batch(() => { values.value = next; saved.value = next; }),
    discard: async () => {
      await removeDraft();
      checked.value = null;
      await reopen();
    },
    close: () => {
      Object.values(timers).forEach(clearTimeout);
      if (isDirty()) write().finally(() => abort.abort());
      else abort.abort();
      removeEventListener('beforeunload', warn);
    },
  };
}

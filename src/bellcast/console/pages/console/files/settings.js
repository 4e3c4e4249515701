/**
 * Settings: values with their meaning, unit and source; changes are saved together, and the history restores earlier ones.
 */
import { BrandFields } from './brand.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { count } from './format.js';
import { Loaded, Paged, Skeleton, loadStyle, refresh, useLoad } from './load.js';
import { Card, Empty, Heading, Icon, Tag, Time, prose } from './parts.js';
import { OWNERS } from './roles.js';
import { setQuery } from './router.js';
import { Segments } from './segments.js';
import { get, request, withQuery } from './server.js';
import { SECTIONS, fullLabelOf, labelOf } from './setting-names.js';

await loadStyle('settings.css');

const SOURCES = { option: 'command line', environment: 'environment', file: 'file', database: 'set here' };
/** What is said if no setting is changed or locked. */
const NONE = { changed: 'Nothing is changed. All settings have their defaults.', locked: 'Nothing is locked. No option, variable or file sets a setting, so all can be changed here.' };
const SHOWN = { all: () => true, changed: (one) => one.source !== 'default', locked: (one) => one.locked };

/** The settings of each section. One that no section names is in that of its group. */
function sectionsOf(settings) {
  const named = new Set(SECTIONS.flatMap(([, , labels]) => Object.keys(labels)));
  return SECTIONS.map(([id, title, labels]) => [id, title, [...Object.keys(labels).map((name) => settings.find((one) => one.name === name)), ...settings.filter(({ name, group }) => group === id && !named.has(name))].filter(Boolean)]);
}

/** The choices of a setting with few values; null for others. */
const choicesOf = (one) => (one.name === 'access_log' ? ['errors', 'all', 'off'] : [['on', 'off'], ['allow', 'deny']].find((both) => both.includes(one.default)) ?? null);

/** The unit of a number: the first words of its description, such as characters; a duration without one is in seconds. */
function unitOf({ expects, description }, value) {
  if (/^a duration/.test(expects)) return /^\d+$/.test(value) ? 'seconds' : '';
  return /^a whole number/.test(expects) ? /^((?:\w+ )?(?!named)\w+)(?= (?:of|named|in|per|followed|from|replayed)\b)/.exec(description)?.[1].replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase()) ?? '' : '';
}

/** The expected form of a value, unless its control makes it clear. */
const expected = (one) => (choicesOf(one) || /^a (text|whole number|duration)|^an http/.test(one.expects) ? '' : one.expects === 'a comma-separated list' ? ' Separated by commas.' : ` Expects ${one.expects}.`);

/** Values of a list that cannot be changed here; its tooltip has all. */
const MAX_LISTED = 3;

/** A section is read once it begins above this place of the window, in pixels: below its bars. */
const READING_LINE = 132;

/** The section that is read, and how to show one. At the end of the page, where not each can be scrolled to the top, it is the one that was chosen, or the last. */
function useSection(names) {
  const [section, setSection] = useState(null), chosen = useRef(null);
  useEffect(() => {
    const read = () => {
      const isEnd = scrollY + innerHeight > document.documentElement.scrollHeight - 1;
      if (!isEnd) chosen.current = null;
      setSection(chosen.current ?? names.findLast((name) => isEnd || document.getElementById(name).getBoundingClientRect().top < READING_LINE));
    };
    addEventListener('scroll', read);
    return () => removeEventListener('scroll', read);
  }, [names.join()]);
  const show = (name) => {
    chosen.current = name;
    setSection(name);
    document.getElementById(name).scrollIntoView();
  };
  return [names.includes(section) ? section : names[0], show];
}

export function Settings({ page }) {
  const found = useLoad((signal) => get('/v1/settings', signal));
  const past = useLoad((signal) => get('/v1/settings/history', signal));
  // What the operator entered, by name. It stays when another operator has saved first.
  const [entered, setEntered] = useState({});
  return html`<${Heading} title="Settings" note=${html`<span class="muted">Changes take effect on all servers within seconds.</span>`} />
    <${Loaded} of=${found} skeleton=${html`<${Skeleton} rows="9" />`}>${(document) => html`<${Editor} page=${page} document=${document} entered=${entered} setEntered=${setEntered} reload=${refresh} />
      <${Card} title="History"><${Loaded} of=${past}>${(response) => html`<${History} response=${response} />`}<//><//>`}<//>`;
}

function Editor({ page, document: { revision, settings }, entered, setEntered, reload }) {
  const [problem, setProblem] = useState('');
  // What the server refuses, by the name of the setting.
  const [wrong, setWrong] = useState({});
  const [isSaving, setSaving] = useState(false);
  const show = page.query.get('show') ?? 'all', text = (page.query.get('find') ?? '').toLowerCase();
  const mayChange = (one) => !one.locked && (!one.is_owner_only || page.may(OWNERS));
  const changed = settings.filter((one) => mayChange(one) && entered[one.name] !== undefined && entered[one.name].trim() !== one.value);
  const isShown = (one) => (SHOWN[show] ?? SHOWN.all)(one) && [one.name, labelOf(one), one.description].some((part) => part.toLowerCase().includes(text));
  const groups = sectionsOf(settings).map(([group, title, all]) => [group, title, all.filter(isShown)]).filter(([, , all]) => all.length > 0);
  // Of the brand only some fields were changed: the others are as another operator has saved them.
  const brand = settings.find(({ name }) => name === 'brand'), last = useRef(brand);
  useLayoutEffect(() => {
    const before = last.current;
    last.current = brand;
    if (brand?.value !== before?.value && entered.brand !== undefined) setEntered((now) => ({ ...now, brand: textOf(brand, { ...brandOf(brand.value), ...changesOf(before.value, now.brand) }) }));
  }, [brand?.value]);
  const [section, showSection] = useSection(groups.map(([group]) => group));
  const save = async (event) => {
    event.preventDefault();
    setSaving(true);
    setProblem('');
    setWrong({});
    const values = changed.map((one) => [one, entered[one.name].trim()]);
    try {
      await request('PATCH', '/v1/settings', { revision, set: Object.fromEntries(values.filter(([one, value]) => value !== one.default).map(([one, value]) => [one.name, value])), reset: values.filter(([one, value]) => value === one.default).map(([one]) => one.name) });
      // What was typed since stays.
      setEntered((now) => Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== entered[name])));
      reload();
    } catch (failed) {
      const errors = failed.errors.map((one) => ({ ...one, setting: changed.find(({ name }) => one.field === `set.${name}`) })), first = errors.find(({ setting }) => setting);
      setWrong(Object.fromEntries(errors.filter(({ setting }) => setting).map(({ setting, message }) => [setting.name, `${labelOf(setting)} ${message}`])));
      if (first) document.getElementById(`setting-${first.setting.name}`)?.focus();
      setProblem(errors.length > 0 && errors.every(({ setting }) => setting) ? '' : failed.status === 409 ? 'The settings have changed in the meantime. Your changes are kept: look at them, and save again.' : failed.message);
      if (failed.status === 409) reload();
    }
    setSaving(false);
  };
  // A value that the browser can examine is, when its field is left and before the password is requested.
  const examine = ({ name, validity }) => {
    const one = settings.find((each) => each.name === name);
    if (one) setWrong(({ [name]: _, ...others }) => (validity.valid ? others : { ...others, [name]: `${labelOf(one)} must be ${one.expects}` }));
  };
  return html`<div class="filters" role="search" aria-label="Filters"><div class="find"><${Icon} name="search" /><input type="search" aria-label="Search settings" placeholder="Search settings" autocomplete="off" value=${page.query.get('find') ?? ''} onInput=${({ currentTarget }) => setQuery({ find: currentTarget.value }, { isQuiet: true })} /></div>
      <${Segments} label="Show" options=${Object.keys(SHOWN).map((one) => [one, html`${one[0].toUpperCase() + one.slice(1)} <span class="muted">${settings.filter(SHOWN[one]).length}</span>`])} value=${show} choose=${(one) => setQuery({ show: one === 'all' ? null : one }, { isQuiet: true })} /></div>
    <div class="settings"><nav class="index" aria-label="Groups">${groups.map(([group, title, all]) => html`<a key=${group} href=${`#${group}`} aria-current=${group === section ? 'true' : null} onClick=${(event) => {
    event.preventDefault();
    showSection(group);
  }}>${title}<span class="muted">${all.length}</span></a>`)}${groups.length > 1 && html`<select aria-label="Section" value=${section} onChange=${({ currentTarget }) => showSection(currentTarget.value)}>${groups.map(([group, title, all]) => html`<option key=${group} value=${group} selected=${group === section}>${title} (${all.length})</option>`)}</select>`}</nav>
    <form data-unsaved=${changed.length > 0 ? '' : null} onSubmit=${save} onFocusOut=${({ target, relatedTarget }) => relatedTarget?.matches('button, a') || examine(target)} onInvalidCapture=${(event) => {
    event.preventDefault();
    if (event.target === event.currentTarget.querySelector(':is(input, select, textarea):invalid')) event.target.focus();
    examine(event.target);
  }}>${groups.length === 0 && html`<${Empty} icon="settings" text=${text ? 'No setting matches.' : NONE[show]}><button type="button" onClick=${() => setQuery({ find: null, show: null }, { isQuiet: true })}>Show all settings</button><//>`}${groups.map(([group, title, all]) => html`<section key=${group} id=${group} aria-label=${title}><h2>${title}${isOfOwners(all) && html` <${OwnersOnly} />`}</h2>
      ${all.map((one) => html`<${Setting} key=${one.name} one=${one} isMarked=${one.is_owner_only && !isOfOwners(all)} value=${entered[one.name] ?? one.value} isLocked=${!mayChange(one)} error=${wrong[one.name]} change=${(value) => setEntered({ ...entered, [one.name]: value })} />`)}</section>`)}
      ${(changed.length > 0 || problem) && html`<div class="save"><button type="submit" class="primary" disabled=${isSaving || changed.length === 0}>Save ${count(changed.length, 'change')}</button><button type="button" onClick=${() => {
    setEntered({});
    setProblem('');
    setWrong({});
  }}>Discard</button><span class="muted">${changed.map((one) => (one.name === 'brand' ? labelOf(one) : `${labelOf(one)}: ${one.value || 'none'} → ${entered[one.name].trim() || 'none'}`)).join(', ')}</span><p class="error" role="alert">${problem}</p></div>`}</form></div>`;
}

/** Whether only owners change the settings of a group. */
const isOfOwners = (all) => all.every((one) => one.is_owner_only);

function Setting({ one, isMarked, value, isLocked, error, change }) {
  const id = `setting-${one.name}`, choices = choicesOf(one), unit = unitOf(one, value);
  if (one.name === 'brand') return html`<${BrandSetting} ...${{ one, isMarked, value, isLocked, change }} />`;
  const isUrl = /^an http/.test(one.expects), pattern = isUrl ? '\\s*https?://.+' : /^a whole number/.test(one.expects) ? '\\s*\\d+\\s*' : null; // blanks are removed
  const attributes = { id, name: one.name, value, 'aria-describedby': `${id}-${error ? 'error' : 'hint'}`, 'aria-invalid': error ? 'true' : null, ...(pattern && { pattern }), onInput: ({ currentTarget }) => change(currentTarget.value) };
  const isRow = one.group === 'limits'; // a number, of which its name says enough
  return html`<div class=${`setting${isRow ? ' limit' : ''}`} data-changed=${value.trim() !== one.value ? 'yes' : null}><div><label for=${isLocked ? null : id}>${labelOf(one)} <code>${one.name}</code>${isMarked && html`<${OwnersOnly} />`}</label>
      <small class="muted" id=${`${id}-hint`} title=${isRow ? one.description.replaceAll('`', '') : null}>${prose(one.description)}${expected(one)}</small></div>
    <div><div class="unit">${isLocked ? html`<p class="locked" id=${id}><${Icon} name="lock" /><span title=${value}>${brief(value)}</span></p>` : choices?.[0] === 'on' ? html`<input ...${attributes} type="checkbox" class="switch" value="on" checked=${value === 'on'} onInput=${({ currentTarget }) => change(currentTarget.checked ? 'on' : 'off')} /><span>${value === 'on' ? 'On' : 'Off'}</span>` : choices ? html`<select ...${attributes}>${choices.map((choice) => html`<option key=${choice} value=${choice} selected=${choice === value}>${choice}</option>`)}</select>` : html`<input ...${attributes} autocomplete="off" spellcheck=${false} placeholder=${one.default || (isUrl ? 'https://…' : 'none')} />`}${unit && html`<span class="muted">${unit}</span>`}</div>${error && html`<small class="error" id=${`${id}-error`} role="alert">${error}</small>`}
      ${SOURCES[one.source] && html`<small class="muted"><${Tag}>${one.locked ? `set by ${one.locked_by}` : SOURCES[one.source]}<//>${one.default && html` <span class="default">default ${brief(one.default)}</span>`}${!isLocked && value !== one.default && html` <button type="button" class="copy" aria-label=${`Reset ${labelOf(one)}`} onClick=${() => change(one.default)}>Reset</button>`}</small>`}</div></div>`;
}

/** The first values of a list, and how many others it has. */
function brief(value) {
  const all = value.split(',');
  return all.length > MAX_LISTED ? `${all.slice(0, MAX_LISTED).join(', ')} and ${count(all.length - MAX_LISTED, 'other')}` : all.join(', ') || 'none';
}

/** What only owners change. */
const OwnersOnly = () => html`<small class="of-owners" title="Owners change it; developers see it."><${Icon} name="lock" />owners only</small>`;

/** The brand of the default tenant: JSON, as fields. */
function BrandSetting({ one, isMarked, value, isLocked, change }) {
  const brand = brandOf(value);
  return html`<div class="setting wide" data-changed=${value.trim() !== one.value ? 'yes' : null}><div><b>${labelOf(one)} <code>brand</code>${isMarked && html`<${OwnersOnly} />`}</b><small class="muted">The look of the default tenant’s e-mails, and of the pages behind their links. Tenants have their own.${one.locked && ` ${one.locked_by} sets this and takes precedence.`}</small></div>
    <${BrandFields} brand=${brand} isDisabled=${isLocked} change=${(next) => change(textOf(one, next))} /></div>`;
}

function brandOf(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** A brand as the value of its setting. */
function textOf(one, brand) {
  const text = JSON.stringify(brand);
  return text === '{}' ? one.default : text;
}

/** The fields of a brand that another one has changed, undefined for those that it lacks. */
function changesOf(before, after) {
  const old = brandOf(before), now = brandOf(after);
  return Object.fromEntries(Object.keys({ ...old, ...now }).filter((field) => old[field] !== now[field]).map((field) => [field, now[field]]));
}

/** The values before and after; of a brand, those of its fields. */
function differenceOf({ name, before, after }) {
  if (name !== 'brand') return `${before ?? 'not set'} → ${after ?? 'not set'}`;
  const old = brandOf(before);
  return Object.entries(changesOf(before, after)).map(([field, now]) => `${field.replaceAll('_', ' ')} ${old[field] ?? 'not set'} → ${now ?? 'not set'}`).join(', ');
}

/** The changes, with the values before and after. */
function History({ response }) {
  if (response.revisions.length === 0) return html`<p class="muted">Nothing has been changed yet: the servers use their options, the environment and the defaults.</p>`;
  const newest = response.revisions[0].revision;
  return html`<${Paged} of=${response} rows="revisions" read=${(after) => get(withQuery('/v1/settings/history', { after }))}>${(all) => html`<ol class="timeline">${all.map((one) => html`<li key=${one.revision} class="info">
    <div><span class="story-text"><b>Revision ${one.revision}</b> by ${one.by}</span> <${Time} at=${one.at} />${one.revision !== newest && html`<${Confirm} label=${`Restore revision ${one.revision}`} word="Restore" act=${async () => {
    await request('POST', '/v1/settings/rollback', { revision: newest, to: one.revision }).finally(refresh);
  }} />`}</div>
    ${one.changes.map((change) => html`<p key=${change.name}>${fullLabelOf(change)} <code>${change.name}</code>: ${differenceOf(change)}</p>`)}</li>`)}</ol>`}<//>`;
}

/**
 * Preference defaults: what recipients get before they choose, for the project or a tenant, as a table of types and channels.
 */
import { CONFLICT, matching } from './form.js';
import { html, useState } from './html.js';
import { count } from './format.js';
import { Loaded, Skeleton, loadStyle, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Empty, Heading, Icon, Moment, Option, Popup, Snippet } from './parts.js';
import { BUILDERS } from './roles.js';
import { setQuery, shownTenant } from './router.js';
import { Segments } from './segments.js';
import { getTagged, sendIf, withQuery } from './server.js';
import { Siblings } from './shell.js';
import { readTenantNames, tenantName } from './tenant-names.js';
import { TimeInput } from './time-field.js';
import { toYaml } from './yaml.js';

await loadStyle('preference-defaults.css');

/** Rows at first, and with each press of the button below them: each has several menus. */
const FEW = 100;
/** The row of the switches that hold for all types. */
const EVERY = '*';
const CHANNELS = Object.keys(CHANNEL_NAMES);
/** The values of a switch, with their words and what they mean. */
const SWITCHES = [[true, 'On', 'until the recipient turns it off'], [false, 'Off', 'until the recipient turns it on'], ['urgent', 'Urgent', 'only urgent notifications']];
const FREQUENCIES = [['instant', 'Immediately', 'each on its own'], ['hourly', 'Hourly', 'together, every hour'], ['daily', 'Daily', 'together, every day'], ['weekly', 'Weekly', 'together, every Monday']];
/** What the server does if no document says so. */
const DIGEST_AT = '08:00', QUIET_HOURS = { start: '22:00', end: '07:00' };
const HOURS = [[QUIET_HOURS, 'On', 'between two times'], [false, 'Off', 'also if others are set elsewhere']];

const wordOf = (options, value) => options.find(([one]) => one === value)[1];
/** A value of a document, such as at `types`, `news`, `email`. */
const at = (document, path) => path.reduce((part, name) => part?.[name], document);
const switchPath = (type, channel) => (type === EVERY ? ['channels', channel] : ['types', type, channel]);
/** The channels of a type; others are used only by sends that name them. */
const channelsOf = ({ channels }) => CHANNELS.filter((channel) => channels[channel].available !== false);

export function PreferenceDefaults({ page }) {
  const tenant = shownTenant() || page.me.tenants?.[0] || '';
  const url = withQuery('/v1/preference-defaults', { tenant });
  const defaults = useLoad(async (signal) => (await Promise.all([getTagged(url, signal), readTenantNames([tenant], signal)]))[0], [tenant]);
  return html`<${Heading} before=${html`<${Siblings} />`} title="Preference defaults" note=${html`<span class="muted">What recipients get before they choose${tenant ? `, in ${tenantName(tenant)}` : ', in all tenants without their own'}</span>`} />
    <${Loaded} of=${defaults} skeleton=${html`<${Skeleton} rows="9" />`}>${({ value, tag }) => html`<${Defaults} key=${tenant} ...${{ page, url, tenant, tag }} of=${value} reload=${defaults.reload} />`}<//>`;
}

function Defaults({ page, url, tenant, tag, of: { effective, updated_at: changedAt, tenant: holder, inherited, managed, ...values }, reload }) {
  /** What was changed and is not saved, by path; null removes a value. */
  const [changes, setChanges] = useState({});
  const [problem, setProblem] = useState('');
  const [isSaving, setSaving] = useState(false);
  const [most, setMost] = useState(FEW);
  /** The type whose channels are unfolded on a phone. */
  const [unfolded, setUnfolded] = useState(null);
  const isOwn = (holder ?? '') === tenant;
  const own = isOwn ? values : {}, below = isOwn ? inherited ?? {} : values;
  const mayChange = page.may(BUILDERS) && !isLocked({ managed });
  /** What is set here: undefined if nothing is. */
  const here = (path) => {
    const changed = changes[JSON.stringify(path)];
    return changed === undefined ? at(own, path) : changed ?? undefined;
  };
  const choose = (paths, value) => {
    const next = { ...changes };
    for (const path of paths) {
      if (JSON.stringify(at(own, path) ?? null) === JSON.stringify(value)) delete next[JSON.stringify(path)];
      else next[JSON.stringify(path)] = value;
    }
    setChanges(next);
    setProblem('');
  };
  /** A value with its origin: `here`, the project, or what the server does without one. */
  const valueOf = (path, initial, origin = '') => {
    const set = here(path), lower = at(below, path);
    return set !== undefined ? { value: set, origin: 'here' } : lower !== undefined ? { value: lower, origin: 'the project' } : { value: initial, origin };
  };
  const switchOf = (type, channel, { on, by } = {}) => {
    const all = valueOf(switchPath(EVERY, channel), true);
    if (type === EVERY) return all;
    const one = by === 'type' ? valueOf(switchPath(type, channel), on, 'the type') : valueOf(switchPath(type, channel), true);
    const isLimited = all.value !== true && one.value !== false && all.value !== one.value;
    return isLimited ? { value: all.value, origin: 'every type' } : one;
  };
  // Only what was changed is sent: once it is shown on what another operator saved, it can be saved again.
  const save = async (event) => {
    event.preventDefault();
    const patch = {};
    for (const [key, value] of Object.entries(changes)) {
      const path = JSON.parse(key), last = path.pop();
      path.reduce((part, name) => (part[name] ??= {}), patch)[last] = value;
    }
    setSaving(true);
    try {
      await sendIf('PATCH', url, patch, matching(tag));
      setChanges({});
      reload();
    } catch (failed) {
      if (failed.status === 412) reload();
      setProblem(failed.status === 412 ? CONFLICT : failed.message);
    }
    setSaving(false);
  };
  const shared = { mayChange, changes, here, choose };
  const rows = [{ type: EVERY, name: 'Every type', channels: Object.fromEntries(CHANNELS.map((channel) => [channel, {}])) }, ...effective];
  const pathsOf = ({ type }) => [...CHANNELS.map((channel) => switchPath(type, channel)), ['digest', type]];
  const isSet = (one) => pathsOf(one).some((path) => here(path) !== undefined);
  const show = page.query.get('show') === 'set' ? 'set' : 'all', text = (page.query.get('find') ?? '').toLowerCase();
  const shown = rows.filter((one) => (show === 'all' || isSet(one)) && `${one.name} ${one.type}`.toLowerCase().includes(text));
  const cell = (one, channel) => {
    const { type, name, channels } = one, status = channels[channel], path = switchPath(type, channel);
    const isOther = here(path) === undefined && !channelsOf(one).includes(channel);
    if (status.required) return isOther ? html`<span class="fixed-value" title="Not a channel of the type">–</span>` : html`<span class="fixed-value" title="Recipients cannot turn it off"><${Icon} name="lock" />Always on</span>`;
    const { value, origin } = switchOf(type, channel, status);
    return html`<${Choice} ...${shared} label=${`${name} by ${CHANNEL_NAMES[channel]}`} path=${path} options=${SWITCHES} ...${isOther ? { word: '–', origin: 'not a channel of the type' } : { value, origin }} />`;
  };
  const frequency = (one) => {
    const { type, name, channels: { email } } = one, path = ['digest', type];
    if (type === EVERY || (here(path) === undefined && !channelsOf(one).includes('email'))) return null;
    if (email.required) return html`<span class="fixed-value" title="Required e-mails do not wait">Immediately</span>`;
    return html`<${Choice} ...${shared} label=${`E-mails of ${name}`} path=${path} options=${FREQUENCIES} ...${valueOf(path, 'instant')} />`;
  };
  const isUndelivered = (one) => channelsOf(one).every((channel) => !one.channels[channel].required && switchOf(one.type, channel, one.channels[channel]).value === false);
  /** The channels that are on, and what is set here, which a phone shows while the row is folded. */
  const briefOf = (one) => CHANNELS.flatMap((channel) => {
    const { required } = one.channels[channel], path = switchPath(one.type, channel), digest = ['digest', one.type];
    const often = channel === 'email' && !required && one.type !== EVERY ? valueOf(digest, 'instant').value : 'instant';
    const isHere = here(path) !== undefined || (channel === 'email' && here(digest) !== undefined);
    const { value } = required ? { value: true } : switchOf(one.type, channel, one.channels[channel]);
    if (!isHere && (value === false || !channelsOf(one).includes(channel))) return [];
    const words = [value !== true && wordOf(SWITCHES, value).toLowerCase(), often !== 'instant' && wordOf(FREQUENCIES, often).toLowerCase()].filter(Boolean).join(' and ');
    return [html`<span key=${channel} class=${isHere ? 'is-here' : null}>${required && html`<${Icon} name="lock" />`}${CHANNEL_NAMES[channel]}${words && ` ${words}`}</span>`];
  }).flatMap((part, index) => (index > 0 ? [', ', part] : [part]));
  const number = Object.keys(changes).length;
  return html`<${ManagedBanner} page=${page} kind="preference-defaults" one=${{ tenant: holder, managed }} values=${own} />
    ${tenant && !isOwn && html`<p class="muted">${tenantName(tenant)} has no defaults of its own: those of the project apply. The first change here adds them.</p>`}
    <form class="defaults" data-unsaved=${number > 0 ? '' : null} onSubmit=${save}>
      ${effective.length > 1 && html`<div class="filters" role="search" aria-label="Filters"><div class="find"><${Icon} name="search" /><input type="search" aria-label="Search types" placeholder="Search types" autocomplete="off" value=${page.query.get('find') ?? ''} onInput=${({ currentTarget }) => setQuery({ find: currentTarget.value }, { isQuiet: true })} /></div>
        <${Segments} label="Show" options=${[['all', html`All <span class="muted">${rows.length - 1}</span>`], ['set', html`Set here <span class="muted">${rows.filter(isSet).length}</span>`]]} value=${show} choose=${(one) => setQuery({ show: one === 'all' ? null : one }, { isQuiet: true })} /></div>`}
      <div class="defaults-place"><table onKeyDown=${moveByArrow}><thead><tr><th scope="col">Type</th>${CHANNELS.map((channel) => html`<th key=${channel} scope="col">${CHANNEL_NAMES[channel]}</th>`)}<th scope="col">E-mail frequency</th><th><span class="hidden">Actions</span></th></tr></thead>
        <tbody>${shown.slice(0, most).map((one) => html`<tr key=${one.type} class=${one.type === EVERY ? 'every' : null} data-unfolded=${unfolded === one.type ? '' : null}><th scope="row"><span dir="auto">${one.name}</span><button type="button" class="quiet fold" aria-label=${`Details of ${one.name}`} aria-expanded=${String(unfolded === one.type)} onClick=${() => setUnfolded(unfolded === one.type ? null : one.type)}><${Icon} name="chevron" /></button><small class="brief">${briefOf(one)}</small>${isUndelivered(one) ? html`<small class="bad">Not delivered: every channel is off</small>` : html`<small>${one.type === EVERY ? 'What is off here is off for each type' : one.type}</small>`}</th>
          ${CHANNELS.map((channel) => html`<td key=${channel} data-label=${CHANNEL_NAMES[channel]}>${cell(one, channel)}</td>`)}<td data-label=${one.type === EVERY ? null : 'Frequency'}>${frequency(one)}</td><td class="row-menu">${mayChange && html`<${RowMenu} ...${{ one, choose, pathsOf }} />`}</td></tr>`)}</tbody></table>${shown.length > 0 && html`<p class="muted legend">“–”: not a channel of the type.${mayChange && ' Press a value to change it; what is set here has a frame.'}</p>`}</div>${shown.length > most && html`<p><button type="button" onClick=${() => setMost(most + FEW)}>Show more types</button></p>`}
      ${shown.length === 0 && html`<${Empty} icon="preferences" text=${text ? 'No type matches.' : 'Nothing is set here. What is chosen in a row is set here; everything else stays as it is.'} />`}
      ${effective.length <= 1 && html`<${Empty} icon="types" text="No types yet. Each declared type gets its own row here: bookings by push, for example, and invoices by e-mail only.">${page.mayOpen('/types') && html`<p><a class="button" href=${page.url('/types')}>Open the types</a></p>`}<//>`}
      <${Delivery} ...${shared} quiet=${valueOf(['quiet_hours'], false, 'default')} digest=${valueOf(['digest_at'], DIGEST_AT, 'default')} />
      ${(number > 0 || problem) && html`<div class="save"><button type="submit" class="primary" disabled=${isSaving || number === 0}>Save ${count(number, 'change')}</button><button type="button" onClick=${() => {
    setChanges({});
    setProblem('');
  }}>Discard</button><p class="error" role="alert">${problem}</p></div>`}</form>
    <details class="defaults-file"><summary>As YAML${changedAt && html`<span class="muted">Changed <${Moment} at=${changedAt} /></span>`}</summary><${Snippet} what="the YAML" of=${Object.keys(values).length > 0 ? toYaml(values) : '# nothing is set: every channel is on'} /></details>`;
}

/** Arrow keys move between the menus of the table, and between the options of an open one. */
function moveByArrow(event) {
  const down = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0, right = { ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0;
  const { target } = event, cell = target.closest('td');
  if ((!down && !right) || !cell) return;
  const isOption = target.matches('.option'), row = cell.parentElement;
  const all = isOption ? [...target.parentElement.children] : right ? [...row.querySelectorAll('.choice-menu')] : [...row.parentElement.rows].map((one) => (one === row ? target : one.cells[cell.cellIndex].querySelector('.choice-menu'))).filter(Boolean);
  if (isOption && right) return;
  event.preventDefault();
  const next = all.indexOf(target) + down + right;
  all[isOption ? (next + all.length) % all.length : next]?.focus();
}

/** A menu that shows its value: what is set here, or in grey what applies otherwise, with its origin unless that is the server. */
function Choice({ mayChange, changes, here, choose, label, path, options, value, word = wordOf(options, value), origin }) {
  const set = here(path), isChanged = changes[JSON.stringify(path)] !== undefined;
  const text = html`<span class=${`value-word${typeof value === 'boolean' || value === 'urgent' ? ` is-${value}` : ''}`}>${word}</span>`, note = !['', 'here', 'default'].includes(origin) && value !== undefined && value !== true && html` <small>from ${origin}</small>`;
  if (!mayChange) return html`<span class=${`fixed-value${set === undefined ? '' : ' here'}`}>${text}${note}</span>`;
  return html`<${Popup} isStart label=${`${label}: ${value === undefined ? origin : word}${note ? ` from ${origin}` : ''}${set !== undefined ? ', set here' : ''}`} buttonClass=${['choice-menu', value === undefined && 'other', set !== undefined && 'here', isChanged && 'changed'].filter(Boolean).join(' ')} button=${html`${text}<${Icon} name="chevron" />${note}`}>${(close) => html`<div class="options">${[...options, [null, 'Not set here', 'as it is without these defaults']].map(([one, name, meaning]) => html`<${Option} isChosen=${(set ?? null) === one || (typeof set === 'object' && typeof one === 'object' && one !== null)} choose=${() => {
    close();
    choose([path], one);
  }}>${name} <small>${meaning}</small><//>`)}</div>`}<//>`;
}

/** What is chosen for all channels of a type at once. */
const RowMenu = ({ one: { type, name, channels }, choose, pathsOf }) => html`<${Popup} label=${`All channels of ${name}`} buttonClass="quiet" button=${html`<${Icon} name="more" />`}>${(close) => html`<div class="options">${[[true, 'ok', 'Turn on all channels'], [false, 'info', 'Turn off all channels'], [null, 'undo', 'Set nothing here']].map(([value, icon, text]) => html`<${Option} icon=${icon} choose=${() => {
  close();
  choose(value === null ? pathsOf({ type }) : CHANNELS.filter((channel) => !channels[channel].required).map((channel) => switchPath(type, channel)), value);
}}>${text}<//>`)}</div>`}<//>`;

/** When messages wait: quiet hours, and the time of daily and weekly e-mails. */
function Delivery({ quiet, digest, ...shared }) {
  const { mayChange, choose, changes } = shared;
  const set = (part) => (time) => choose([['quiet_hours']], { ...quiet.value, [part]: time });
  const time = (label, value, change, isSet) => html`<${TimeInput} aria-label=${label} disabled=${!mayChange} data-here=${isSet ? '' : null} value=${value} change=${change} />`;
  return html`<section class="delivery" aria-label="Times"><h2>Times</h2>
    <div data-changed=${changes['["quiet_hours"]'] === undefined ? null : ''}><div><b>Quiet hours</b><small>Messages wait until they end, except urgent ones. In the time zone of each recipient.</small></div>
      <div class="times-of"><${Choice} ...${shared} label="Quiet hours" path=${['quiet_hours']} options=${HOURS} value=${quiet.value !== false} word=${quiet.value ? 'On' : 'Off'} origin=${quiet.origin} />${quiet.value && html`${time('Quiet from', quiet.value.start, set('start'), quiet.origin === 'here')}<span class="muted">to</span>${time('Quiet until', quiet.value.end, set('end'), quiet.origin === 'here')}`}</div></div>
    <div data-changed=${changes['["digest_at"]'] === undefined ? null : ''}><div><b>Daily and weekly e-mails</b><small>Sent at this time, weekly ones on Monday. In the time zone of each recipient.</small></div>
      <div class="times-of">${time('Time of daily and weekly e-mails', digest.value, (at) => choose([['digest_at']], at), digest.origin === 'here')}<span class="muted">${digest.origin !== 'here' ? (digest.origin === 'default' ? 'default' : `from ${digest.origin}`) : mayChange && html`<button type="button" class="quiet" onClick=${() => choose([['digest_at']], null)}><${Icon} name="undo" />Not set here</button>`}</span></div></div></section>`;
}

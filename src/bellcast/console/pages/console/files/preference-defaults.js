/**
 * Preference defaults: what recipients get before they choose, for the project or a tenant, as a matrix of types and channels.
 */
import { html, useState } from './html.js';
import { count } from './format.js';
import { Loaded, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { CONFLICT, Card, Choices, Empty, Field, Form, Heading, Icon, Moment, Popup, matching } from './parts.js';
import { Matrix } from './preferences.js';
import { BUILDERS } from './roles.js';
import { shownTenant } from './router.js';
import { getTagged, sendIf, withQuery } from './server.js';
import { Option } from './shell.js';
import { TimeField } from './time-field.js';
import { toYaml } from './yaml.js';

/** The row of the switches that hold for all types. */
const EVERY = '*';
const CHANNELS = Object.keys(CHANNEL_NAMES);
const WORDS = { on: 'On', off: 'Off', urgent: 'Urgent', required: 'Required' };
const KINDS = { on: 'ok', off: 'info', urgent: 'warn', required: 'lock' };
/** What each state means, in the menu of a cell and above the channels. */
const MEANINGS = { on: 'until the recipient turns it off', off: 'until the recipient turns it on', urgent: 'only urgent notifications', required: 'recipients cannot turn it off' };
const LEGEND = Object.entries(MEANINGS).map(([state, meaning]) => `${WORDS[state]}: ${meaning}.`).join('\n');
const OTHER = 'Not a channel of the type';
const FREQUENCIES = { instant: 'Immediately', hourly: 'Every hour', daily: 'Every day', weekly: 'Every week, on Monday' };
const OFF = 'Turn them off here';
/** When daily and weekly e-mails are sent if no document says so. */
const DIGEST_AT = '08:00';
const VALUES = { on: true, off: false, urgent: 'urgent' };

export function PreferenceDefaults({ page }) {
  const tenant = shownTenant() || page.me.tenants?.[0] || '';
  const url = withQuery('/v1/preference-defaults', { tenant });
  const defaults = useLoad((signal) => getTagged(url, signal), [tenant]);
  return html`<${Heading} title="Preference defaults" /><p class="muted">What a recipient gets before it chooses${tenant ? `, in ${tenant}` : ', in all tenants without their own'}. Recipients can change all but what is required.</p>
    <${Loaded} of=${defaults}>${({ value, tag }) => html`<${Defaults} key=${tenant} ...${{ page, url, tenant, tag }} of=${value} reload=${defaults.reload} />`}<//>`;
}

function Defaults({ page, url, tenant, tag, of: { effective, updated_at: at, tenant: holder, inherited, managed, ...values }, reload }) {
  const [changes, setChanges] = useState({});
  const [problem, setProblem] = useState('');
  const [isSaving, setSaving] = useState(false);
  const isOwn = (holder ?? '') === tenant;
  const own = isOwn ? values : {}, below = isOwn ? inherited ?? {} : values;
  const mayChange = page.may(BUILDERS) && !isLocked({ managed });
  const kept = (document, type, channel) => (type === EVERY ? document.channels?.[channel] : document.types?.[type]?.[channel]);
  /** What is set here for a cell: undefined if nothing is. */
  const setHere = (type, channel) => {
    const changed = changes[`${type} ${channel}`];
    return changed === undefined ? kept(own, type, channel) : changed ?? undefined;
  };
  const valueOf = (type, channel, status) => setHere(type, channel) ?? kept(below, type, channel) ?? (status?.by === 'type' ? status.on : true);
  const stateOf = (type, channel, status) => {
    if (status?.required) return 'required';
    const all = type === EVERY ? [valueOf(EVERY, channel)] : [valueOf(EVERY, channel), valueOf(type, channel, status)];
    return all.includes(false) ? 'off' : all.includes('urgent') ? 'urgent' : 'on';
  };
  const choose = (type, channels, value) => {
    const next = { ...changes };
    for (const channel of channels) {
      if ((kept(own, type, channel) ?? null) === value) delete next[`${type} ${channel}`];
      else next[`${type} ${channel}`] = value;
    }
    setChanges(next);
    setProblem('');
  };
  // Only the cells that were changed are sent: once they are shown on what another operator saved, they can be saved again.
  const save = async (event) => {
    event.preventDefault();
    const patch = { channels: {}, types: {} };
    for (const [cell, value] of Object.entries(changes)) {
      const end = cell.lastIndexOf(' '), type = cell.slice(0, end), channel = cell.slice(end + 1);
      if (type === EVERY) patch.channels[channel] = value;
      else (patch.types[type] ??= {})[channel] = value;
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
  const number = Object.keys(changes).length;
  const rows = [{ type: EVERY, name: 'Every type', channels: Object.fromEntries(CHANNELS.map((channel) => [channel, {}])) }, ...effective];
  /** The channels of a type; others are used only by sends that name them. */
  const ownOf = (channels) => CHANNELS.filter((channel) => channels[channel] && channels[channel].available !== false);
  const cell = ({ type, name, channels }, channel) => {
    const state = stateOf(type, channel, channels[channel]), isSet = setHere(type, channel) !== undefined;
    const isOther = !isSet && !ownOf(channels).includes(channel);
    const shown = isOther ? html`<${Icon} name="plus" />` : state === 'on' ? html`<span class="on-dot"></span><span class="hidden">On</span>` : html`<span class=${`state ${state === 'urgent' ? 'warn' : 'info'}`}><${Icon} name=${KINDS[state]} /><span class="state-word">${WORDS[state]}</span></span>`;
    if (!mayChange || state === 'required') return !isOther && html`<span class="slot" title=${`${WORDS[state]}: ${MEANINGS[state]}`}>${shown}</span>`;
    const label = `${name} by ${CHANNEL_NAMES[channel]}: ${isOther ? OTHER : WORDS[state]}${isSet ? ', set here' : ''}`;
    return html`<${Popup} isStart=${CHANNELS.indexOf(channel) < 3} label=${label} buttonClass=${['slot', isOther && 'other', isSet && 'here', changes[`${type} ${channel}`] !== undefined && 'here changed'].filter(Boolean).join(' ')} button=${shown}>${(close) => {
      const option = (value, icon, text) => html`<${Option} icon=${icon} isChosen=${(setHere(type, channel) ?? null) === value} choose=${() => {
        close();
        choose(type, [channel], value);
      }}>${text}<//>`;
      return html`<div class="options">${Object.entries(VALUES).map(([word, value]) => option(value, KINDS[word], html`${WORDS[word]} <small>${MEANINGS[word]}</small>`))}${option(null, 'undo', type === EVERY ? 'Not set here' : 'Not set here: as every type')}</div>`;
    }}<//>`;
  };
  const isUndelivered = ({ type, channels }) => ownOf(channels).every((channel) => stateOf(type, channel, channels[channel]) === 'off');
  /** What is off for every type is off for each of them, and some names are those of their types. */
  const noteOf = (one) => (one.type === EVERY ? 'Off here is off for each type' : html`${one.type !== one.name && html`<code>${one.type}</code>`}${isUndelivered(one) && html`<span class="bad">not delivered</span>`}`);
  const title = (one) => {
    const { type, name, channels } = one;
    return html`<span class="matrix-title"><span dir="auto">${name}</span><small>${noteOf(one)}</small>${mayChange && html`<${Popup} isStart label=${`All channels of ${name}`} buttonClass="quiet" button=${html`<${Icon} name="more" />`}>${(close) => html`<div class="options">${[[true, 'ok', 'Turn on all channels'], [false, 'info', 'Turn off all channels'], [null, 'undo', 'Set nothing here']].map(([value, icon, text]) => html`<${Option} icon=${icon} choose=${() => {
    close();
    choose(type, CHANNELS.filter((channel) => channels[channel] && !channels[channel].required), value);
  }}>${text}<//>`)}</div>`}<//>`}</span>`;
  };
  return html`<${ManagedBanner} page=${page} kind="preference-defaults" one=${{ tenant: holder, managed }} values=${own} />
    ${tenant && !isOwn && html`<p class="muted">${tenant} has no defaults of its own: those of the project apply. The first change here adds them.</p>`}
    <form class="defaults" data-unsaved=${number > 0 ? '' : null} onSubmit=${save}><${Matrix} effective=${rows} cell=${cell} title=${title} hint=${LEGEND} />
      ${effective.length <= 1 && html`<${Empty} icon="types" text="No type is declared. Each declared type gets its own row here: bookings by push, for example, and invoices by e-mail only.">${page.mayOpen('/types') && html`<p><a class="button" href=${page.url('/types')}>Open the types</a></p>`}<//>`}
      ${(number > 0 || problem) && html`<div class="save"><button type="submit" class="primary" disabled=${isSaving || number === 0}>Save ${count(number, 'change')}</button><button type="button" onClick=${() => {
    setChanges({});
    setProblem('');
  }}>Discard</button><p class="error" role="alert">${problem}</p></div>`}</form>
    <p class="muted set-here"><span class="slot here">Outlined</span> set here</p>
    ${mayChange && html`<${Card} title="When messages are delivered"><${Delivery} key=${JSON.stringify([own.quiet_hours, own.digest_at, own.digest])} ...${{ own, below, types: effective, url, tag, reload }} /><//>`}
    <${Card}><details><summary>As YAML</summary><pre tabIndex="0"><code>${Object.keys(values).length > 0 ? toYaml(values) : '# nothing is set: every channel is on'}</code></pre></details>
      <p class="muted">${at && html`Changed <${Moment} at=${at} />. `}${holder ? `Set for ${holder}.` : 'Set for the project.'}</p><//>`;
}

/** Quiet hours, and how often e-mails of a type are sent. The fields have their names in the API. */
function Delivery({ own, below, types, url, tag, reload }) {
  const save = async (entered, _, isMine) => {
    const start = entered['quiet_hours.start'], end = entered['quiet_hours.end'];
    const values = { quiet_hours: entered.none ? false : start || end ? { start, end } : null, digest_at: entered.digest_at || null };
    const digest = Object.fromEntries(types.map(({ type }) => [type, entered[`digest.${type}`] || null]));
    const isChanged = (before) => ([name, value]) => JSON.stringify(value) !== JSON.stringify(before?.[name] ?? null);
    const changed = (all, before) => Object.fromEntries(Object.entries(all).filter(isChanged(before)));
    await sendIf('PATCH', url, { ...changed(values, own), digest: changed(digest, own.digest) }, matching(tag, isMine));
    reload();
  };
  const hours = own.quiet_hours, others = below.quiet_hours;
  return html`<${Form} isGuarded button="Save" send=${save}><div class="columns"><${TimeField} label="Quiet from" name="quiet_hours.start" defaultValue=${hours?.start ?? ''} hint="In the time zone of each recipient. Urgent messages do not wait." /><${TimeField} label="Quiet until" name="quiet_hours.end" defaultValue=${hours?.end ?? ''} hint=${others ? `Not set here: from ${others.start} to ${others.end}.` : 'Not set here: none.'} /></div>
    ${others && html`<${Choices} label="Quiet hours of the project" name="none" options=${[OFF]} selected=${hours === false ? [OFF] : []} />`}
    <div class="columns">${types.map(({ type, name }) => html`<${Field} key=${type} label=${`E-mails: ${name}`} name=${`digest.${type}`} options=${['', ...Object.keys(FREQUENCIES)]} words=${{ ...FREQUENCIES, '': `Not set here: ${FREQUENCIES[below.digest?.[type] ?? 'instant'].toLowerCase()}` }} defaultValue=${own.digest?.[type] ?? ''} />`)}
      <${TimeField} label="Time of daily and weekly e-mails" name="digest_at" defaultValue=${own.digest_at ?? ''} hint=${`Not set here: ${below.digest_at ?? DIGEST_AT}.`} /></div><//>`;
}

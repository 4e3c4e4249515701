/**
 * The preferences of a recipient: a switch for each type and channel, mute, and quiet hours.
 */
import { Form } from './form.js';
import { html, useEffect, useRef, useState } from './html.js';
import { preferenceChanges } from './explain.js';
import { Loaded, loadStyle, useLoad } from './load.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Json, Moment, State, once } from './parts.js';
import { BUILDERS } from './roles.js';
import { get, request } from './server.js';
import { TimeField } from './time-field.js';

await loadStyle('preferences.css');

const BY = { recipient: 'the recipient', tenant: 'the tenant', project: 'the project', type: 'the type' };

/** The name of a type; reasons name the type of sends without one by its key. */
const titleOf = ({ type, name }) => (type === 'general' && name ? `${name} (${type})` : name ?? type);

/** The channels that are off for all types, as a sentence; empty if there is none. */
function offOf(effective) {
  const off = Object.entries(CHANNEL_NAMES).filter(([channel]) => {
    const cells = effective.map(({ channels }) => channels[channel]).filter(Boolean);
    return cells.length > 0 && cells.every(({ on }) => !on);
  });
  return off.length > 0 && `${off.map(([, name]) => name).join(', ')} ${off.length > 1 ? 'are' : 'is'} off`;
}

/** The effective preferences as a table of types and channels. `cell` shows what a type has for a channel. */
const Matrix = ({ effective, cell }) => html`<div class="scroll types" tabIndex="0" role="region" aria-label="Types and channels"><table class="matrix">
  <thead><tr><th scope="col">Type</th>${Object.entries(CHANNEL_NAMES).map(([key, name]) => html`<th key=${key} scope="col">${name}</th>`)}</tr></thead>
  <tbody>${effective.map((one) => html`<tr key=${one.type}><th scope="row" title=${one.type}>${titleOf(one)}</th>${Object.keys(CHANNEL_NAMES).map((channel) => html`<td key=${channel}>${one.channels[channel] ? cell(one, channel) : '–'}</td>`)}</tr>`)}</tbody></table></div>`;

export function Preferences({ page, url }) {
  const found = useLoad((signal) => get(url, signal), [url]);
  const changes = preferenceChanges.value, seen = useRef(changes);
  useEffect(() => {
    if (seen.current !== changes) found.reload();
    seen.current = changes;
  }, [changes]);
  const [problem, setProblem] = useState('');
  const mayChange = page.may(BUILDERS);
  const change = async (patch) => {
    setProblem('');
    found.set(await request('PATCH', url, patch));
  };
  const attempt = async (patch, box) => {
    try {
      await change(patch);
    } catch (failed) {
      if (box) box.checked = !box.checked;
      setProblem(failed.message);
    }
  };
  return html`<${Loaded} of=${found}>${({ effective, inherited, updated_at: updatedAt, ...own }) => {
    const muted = own.muted?.['*'], hours = own.quiet_hours;
    return html`<div class="choice"><span>${muted === undefined ? html`<${State} of=${offOf(effective) || 'Nothing is muted'} kind=${offOf(effective) ? 'info' : 'ok'} />` : html`<${State} of="Everything is muted" kind="warn" />${muted !== true && html` until <${Moment} at=${muted} />`}`}</span>
        ${mayChange && html`<button type="button" onClick=${once(() => attempt({ muted: { '*': muted === undefined ? true : null } }))}>${muted === undefined ? 'Mute everything' : 'Unmute'}</button>`}</div>
      <p class="error" role="alert">${problem}</p>
      ${effective.length > 0 && html`<${Matrix} effective=${effective} cell=${({ type, name, channels }, channel) => {
    const { on, required, by, available } = channels[channel];
    return available === false ? html`<span class="muted" title="The type does not have it, or it has no provider or address">–</span>` : html`<input type="checkbox" class="switch" checked=${on} disabled=${!mayChange || required} aria-label=${`${name ?? type} by ${CHANNEL_NAMES[channel]}`} title=${required ? 'Required: it cannot be switched off.' : by ? `Decided by ${BY[by] ?? by}` : 'Nothing decides: on'}
        onChange=${({ currentTarget: box }) => attempt({ types: { [type]: { [channel]: box.checked } } }, box)} />`;
  }} />`}
      ${mayChange ? html`<${Form} key=${`${hours?.start} ${hours?.end}`} isInline isSecondary button="Save quiet hours" send=${({ start, end }) => change({ quiet_hours: start && end ? { start, end } : null })}>
        <${TimeField} label="Quiet from" name="start" defaultValue=${hours?.start ?? ''} /><${TimeField} label="Quiet until" name="end" defaultValue=${hours?.end ?? ''} /><//>` : html`<p>${hours ? `Quiet hours from ${hours.start} to ${hours.end}` : 'No own quiet hours.'}</p>`}
      ${Object.values(own).some((value) => value && Object.keys(value).length > 0) && html`<details><summary>Settings of the recipient</summary><${Json} of=${own} /></details>`}
      ${updatedAt && html`<p class="muted">Last changed <${Moment} at=${updatedAt} /></p>`}`;
  }}<//>`;
}

/**
 * The preferences of a recipient: a switch for each type and channel, mute, and quiet hours.
 */
import { field, form, h, moment, state } from './dom.js';
import { json, load } from './list.js';
import { BUILDERS, inline } from './page.js';
import { get, request } from './server.js';

const CHANNELS = ['inbox', 'email', 'sms', 'push', 'chat'];
const BY = { recipient: 'the recipient', tenant: 'the tenant', project: 'the project', type: 'the type' };

export function preferences(page, url) {
  const place = h('div');
  const show = (document) => view(page, document, change);
  const change = async (patch) => {
    const document = await request('PATCH', url, patch);
    place.replaceChildren(...show(document).filter(Boolean));
  };
  load(place, page.signal, (signal) => get(url, signal), show);
  return place;
}

function view(page, document, change) {
  const mayChange = page.may(BUILDERS);
  const { effective, inherited, updated_at: updatedAt, ...own } = document;
  return [
    mute(document.muted?.['*'], mayChange, change),
    effective.length > 0 && h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Types and channels' },
      h('table', { class: 'matrix' }, h('thead', {}, h('tr', {}, ['Type', ...CHANNELS].map((name) => h('th', { scope: 'col' }, name)))),
        h('tbody', {}, effective.map((one) => h('tr', {}, h('th', { scope: 'row' }, one.type), CHANNELS.map((channel) => h('td', {}, toggle(one, channel, mayChange, change)))))))),
    quietHours(document.quiet_hours, mayChange, change),
    Object.values(own).some((value) => value && Object.keys(value).length > 0) && h('details', {}, h('summary', {}, 'Settings of the recipient'), json(own)),
    updatedAt && h('p', {}, 'Last changed ', moment(updatedAt)),
  ];
}

function mute(until, mayChange, change) {
  const text = until === undefined ? [state('active'), ' Nothing is muted.'] : [state('muted'), until === true ? ' Everything is muted.' : [' Everything is muted until ', moment(until)]];
  return h('div', { class: 'choice' }, h('span', {}, text), mayChange && acting(until === undefined ? 'Mute everything' : 'Unmute', () => change({ muted: { '*': until === undefined ? true : null } })));
}

/** A button that shows the error of its action. */
function acting(text, act) {
  const button = h('button', { type: 'button', onclick: async () => {
    button.disabled = true;
    try {
      await act();
    } catch (problem) {
      button.textContent = problem.message;
    }
    button.disabled = false;
  } }, text);
  return button;
}

function toggle({ type, channels }, channel, mayChange, change) {
  const status = channels[channel];
  if (!status) return '–';
  const box = h('input', { type: 'checkbox', checked: status.on, disabled: !mayChange || status.required, 'aria-label': `${type} by ${channel}`,
    title: status.required ? 'Required: it cannot be switched off.' : status.by ? `Decided by ${BY[status.by] ?? status.by}` : 'Nothing decides: on', onchange: async () => {
      box.setCustomValidity('');
      try {
        await change({ types: { [type]: { [channel]: box.checked } } });
      } catch (problem) {
        box.checked = !box.checked;
        box.setCustomValidity(problem.message);
        box.reportValidity();
      }
    } });
  return box;
}

function quietHours(hours, mayChange, change) {
  if (!mayChange) return h('p', {}, hours ? `Quiet hours from ${hours.start} to ${hours.end}` : 'No own quiet hours.');
  return inline(form([
    field('Quiet from', { name: 'start', type: 'time', value: hours ? hours.start : '' }),
    field('Quiet until', { name: 'end', type: 'time', value: hours ? hours.end : '' }),
  ], 'Save quiet hours', ({ start, end }) => change({ quiet_hours: start && end ? { start, end } : null })));
}

/**
 * The user's preferences: types with their channels, digests, quiet hours, pause. Every change is saved immediately and
 * can be undone. Loaded on use.
 */

import { canShow, isBlocked, isEnabled, isSupported, toggle } from './alert-settings.js';
import { h, icon, setParts } from './dom.js';
import * as icons from './icons.js';
import { preferencesTexts } from './preferences-texts.js';

/** @import { AlertKind } from './alert-settings.js' */
/** @import { Session } from '../session.js' */
/** @import { Texts } from './messages.js' */
/** @import { Notice } from './notice.js' */
/** @import { clock } from './time.js' */

/**
 * @typedef {'inbox' | 'email' | 'sms' | 'push' | 'chat'} Channel
 * @typedef {Record<Channel, {on: boolean, required: boolean, available?: boolean}>} Channels
 *
 * @typedef {object} Settings
 * @property {Partial<Record<Channel, boolean | 'urgent'>>} [channels]
 * @property {Record<string, string>} [digest]
 * @property {string} [digest_at]
 * @property {{start: string, end: string} | false} [quiet_hours]
 *
 * @typedef {object} Additions
 * @property {Record<string, string | true>} [muted]
 * @property {string | null} [updated_at]  their last change
 * @property {{type: string, name: string, channels: Partial<Channels>}[]} effective  `available: false` marks channels of a type that are not offered
 * @property {Settings} [inherited]  defaults, which apply where nothing is set
 *
 * @typedef {Settings & Additions} Preferences
 *
 * @typedef {object} FormContext
 * @property {Session} session
 * @property {Texts} texts
 * @property {ReturnType<typeof clock>} clock
 * @property {Notice} notice
 * @property {boolean} [isPersonal]  false without the settings of this browser, and without a pause unless the preferences have `muted`
 */

const CHANNELS = /** @type {const} */ (['inbox', 'email', 'sms', 'push', 'chat']);
const FREQUENCIES = /** @type {const} */ (['instant', 'hourly', 'daily', 'weekly']);
const EVERYTHING = '*';
const HOUR = 3_600_000; // ms
const UNNAMED_GENERAL = 'Other notifications'; // the server's name of the type of sends without one
const MORNING = 8; // hour at which a pause until tomorrow ends
const DEFAULT_QUIET_HOURS = { start: '22:00', end: '07:00' };
const DEFAULT_DIGEST_AT = '08:00';

/** The settings that apply: their own, else the inherited ones. @param {Preferences} preferences @returns {Settings} */
const applied = ({ inherited = {}, ...own }) => ({
  ...inherited,
  ...own,
  channels: { ...inherited.channels, ...own.channels },
  digest: { ...inherited.digest, ...own.digest },
});

/** @param {Preferences} preferences @param {string} type @param {Channel} channel */
const statusOf = ({ effective }, type, channel) => effective.find((each) => each.type === type)?.channels[channel];

/** @param {Preferences['effective'][number]} effective @param {Channel} channel */
const isOffered = ({ channels }, channel) => channels[channel] !== undefined && channels[channel].available !== false;

/** @param {FormContext} context */
export function createForm({ session, texts: base, clock, notice, isPersonal = true }) {
  const texts = preferencesTexts(base);
  const element = h('div', 'preferences', { lang: base.lang, dir: base.dir, ariaBusy: 'true' });
  /** Show the controls' values. @type {((saved: Preferences) => void)[]} */
  let updates = [];
  /** @type {Preferences} */
  let shown = { effective: [] };
  let saving = 0;
  /** The last change; the next is sent after it, so that the last response has all of them. @type {Promise<unknown>} */
  let sent = Promise.resolve();
  const end = new AbortController();

  /** @param {Preferences} saved */
  function render(saved) {
    shown = saved;
    for (const update of updates) update(saved);
  }

  /** Save a change; `inverse` restores the values that it replaces. @param {object} changes @param {object} inverse @param {boolean} [isUndo] */
  async function save(changes, inverse, isUndo) {
    saving++;
    const response = sent.then(() => session.preferences(changes));
    sent = response.catch(() => {});
    try {
      shown = await response;
      notice.show(isUndo ? texts.undone : texts.prefSaved, changes, isUndo ? undefined : () => void save(inverse, changes, true));
    } catch {
      notice.show(texts.refused);
    }
    if (!--saving) render(shown); // after a failure, the controls return to what is saved
  }

  // Another device or the app changed the preferences. The response to a change of this form is newer than its event.
  session.addEventListener('preferences', () => saving || void session.preferences().then((saved) => saving || render(saved), () => {}), { signal: end.signal });

  async function load() {
    try {
      // A browser in private mode may reject the query: the form is useful without this switch.
      const [saved, state] = await Promise.all([session.preferences(), isPersonal && session.pushState().catch(() => 'unsupported')]);
      updates = [];
      element.replaceChildren(...(isPersonal || saved.muted ? [pause()] : []), ...(isPersonal ? thisBrowser(state) : []), types(saved), quietHours());
      render(saved);
    } catch {
      element.replaceChildren(h('p', 'hint', {}, texts.refused), h('button', 'retry', { onclick: () => void load() }, texts.retry));
    }
    element.ariaBusy = null;
  }

  function pause() {
    const select = h('select', 'preference-select', { id: 'pause' });
    const tomorrow = () => new Date(new Date().setDate(new Date().getDate() + 1)).setHours(MORNING, 0, 0, 0);
    const ends = { hour: () => Date.now() + HOUR, tomorrow, week: () => Date.now() + 7 * 24 * HOUR };
    select.onchange = () => {
      const end = ends[/** @type {'hour'} */ (select.value)];
      const until = select.value === 'off' ? null : end ? new Date(end()).toISOString() : true;
      void save({ muted: { [EVERYTHING]: until } }, { muted: { [EVERYTHING]: shown.muted?.[EVERYTHING] ?? null } });
    };
    updates.push(({ muted }) => {
      const until = muted?.[EVERYTHING];
      const isTimed = typeof until === 'string' && Date.parse(until) > Date.now();
      const options = [['off', texts.prefOff], ...(isTimed ? [['until', texts.prefUntil(clock.until(until, Date.now()))]] : []),
        ['hour', texts.prefHour], ['tomorrow', texts.prefTomorrow], ['week', texts.prefWeek], ['always', texts.prefAlways]];
      select.replaceChildren(...options.map(([value = '', text = '']) => h('option', '', { value }, text)));
      select.value = isTimed ? 'until' : until === true ? 'always' : 'off';
    });
    return h('div', 'preference', {}, h('label', 'preference-name', { htmlFor: 'pause' }, texts.prefPause), select, h('p', 'hint', {}, texts.prefPauseHint));
  }

  /** Settings of this browser: push messages, sound and desktop alerts. @param {string | false} pushState */
  function thisBrowser(pushState) {
    const alerts = /** @type {AlertKind[]} */ (['sound', 'desktop']).filter(isSupported).map(alert);
    const lines = [...(pushState && pushState !== 'unsupported' ? [push(pushState)] : []), ...alerts];
    return lines.length ? [h('div', 'lines', {}, ...lines)] : [];
  }

  /** Push messages to this browser: the permission is requested by the click. @param {string} state */
  function push(state) {
    const box = toggleSwitch({ id: 'push-here', checked: state === 'on', disabled: state === 'blocked' });
    box.onchange = async () => {
      const on = box.checked;
      box.disabled = true;
      try {
        await (on ? session.enablePush() : session.disablePush());
        notice.show(texts.prefSaved);
      } catch (error) {
        box.checked = !on;
        notice.show(/** @type {{code?: string}} */ (error).code === 'push_denied' ? texts.blocked : texts.refused);
      }
      box.disabled = false;
    };
    return h('div', 'choice', {}, h('label', 'preference-name', { htmlFor: 'push-here' }, texts.prefPush), box, h('p', 'hint', {}, state === 'blocked' ? texts.blocked : texts.prefPushHint));
  }

  /** @param {AlertKind} kind */
  function alert(kind) {
    const box = toggleSwitch({ id: kind });
    const line = h('div', 'choice', {}, h('label', 'preference-name', { htmlFor: kind }, texts[kind]), box);
    /** @param {boolean} on */
    const show = (on) => {
      box.checked = on;
      setParts(line, 'choice', { on });
    };
    box.onchange = async () => {
      const isOn = await toggle(kind);
      const isUnable = kind === 'desktop' && box.checked && !isOn && !(await canShow());
      show(isOn);
      notice.show(isUnable ? texts.needsWorker : isBlocked(kind) ? texts.blocked : texts.prefSaved);
    };
    show(isEnabled(kind));
    return line;
  }

  /** @param {Preferences} saved */
  function types(saved) {
    const { effective } = saved;
    const offered = CHANNELS.filter((channel) => effective.some((each) => isOffered(each, channel)));
    // For one type, the row of all types is shown only if it is needed to switch a channel on.
    const isAlone = !effective[1] && offered.every((channel) => isOn(saved, channel));
    const rows = effective.map((each, at) => typeRow(each, at, offered, isAlone));
    return h('div', 'preference', { role: 'group', ariaLabel: texts.prefTypes }, h('span', 'preference-name', {}, texts.prefTypes),
      h('div', 'types', {}, ...(isAlone ? [] : [channelRow(offered)]), ...rows), digestTime());
  }

  /** Switches of the channels for all types. @param {readonly Channel[]} offered */
  function channelRow(offered) {
    const switches = offered.map((channel) => {
      const box = toggleSwitch({ ariaLabel: `${texts.prefAll}, ${texts[channel]}` });
      box.onchange = () => void save({ channels: { [channel]: box.checked } }, { channels: { [channel]: shown.channels?.[channel] ?? null } });
      updates.push((saved) => (box.checked = isOn(saved, channel)));
      return named(box, channel);
    });
    return h('div', 'type every', {}, h('span', 'type-name', {}, texts.prefAll), h('div', 'channels', {}, ...switches));
  }

  /** A switch with the name of its channel. @param {HTMLElement} box @param {Channel} channel */
  const named = (box, channel) => h('label', 'channel', {}, box, texts[channel]);

  /** @param {Preferences} saved @param {Channel} channel */
  const isOn = (saved, channel) => (applied(saved).channels?.[channel] ?? true) === true;

  /** A type in one line, which opens. @param {Preferences['effective'][number]} effective @param {number} at @param {readonly Channel[]} all @param {boolean} isAlone */
  function typeRow(effective, at, all, isAlone) {
    const { type, name: shownName, channels } = effective, offered = all.filter((channel) => isOffered(effective, channel));
    const name = isAlone ? texts.prefAll : type === 'general' && shownName === UNNAMED_GENERAL ? texts.prefOther : shownName;
    const required = offered.filter((channel) => channels[channel]?.required);
    const state = h('span', 'type-state');
    updates.push((saved) => {
      const often = applied(saved).digest?.[type] ?? 'instant';
      const on = offered.filter((channel) => statusOf(saved, type, channel)?.on).map((channel) => (channel === 'email' && often !== 'instant' ? `${texts.email} (${texts[/** @type {'daily'} */ (often)]})` : texts[channel]));
      const isEvery = on.length === all.length && often === 'instant';
      state.replaceChildren(...(required[0] ? [icon(icons.lock)] : []), isEvery ? texts.prefEvery : on.join(', ') || texts.prefOff);
    });
    const switches = offered.map((channel) => named(switchOf(type, channel, `${name}, ${texts[channel]}`, at), channel));
    const often = offered.includes('email') && !channels.email?.required ? [frequency(type, name)] : [];
    const hint = required[0] ? [h('p', 'hint', { id: `required-${at}` }, icon(icons.lock), texts.prefRequired(required.map((channel) => texts[channel]).join(', ')))] : [];
    return h('details', 'type', { open: isAlone }, h('summary', 'type-head', {}, h('span', 'type-name', {}, name), state), h('div', 'channels', {}, ...switches), ...often, ...hint);
  }

  /** @param {string} type @param {Channel} channel @param {string} label @param {number} at */
  function switchOf(type, channel, label, at) {
    const box = toggleSwitch({ ariaLabel: label });
    box.onchange = () => void save({ types: { [type]: { [channel]: box.checked } } }, { types: { [type]: { [channel]: !box.checked } } });
    updates.push((saved) => {
      const status = statusOf(saved, type, channel);
      box.checked = !!status?.on;
      box.disabled = status?.required || !isOn(saved, channel);
      if (status?.required) box.setAttribute('aria-describedby', `required-${at}`);
    });
    return box;
  }

  /** How often e-mails of a type are sent. @param {string} type @param {string} name */
  function frequency(type, name) {
    const select = h('select', 'preference-select', { ariaLabel: `${name}, ${texts.prefDigest}` }, ...FREQUENCIES.map((value) => h('option', '', { value }, texts[value])));
    const line = h('label', 'preference-line', {}, texts.prefDigest, select);
    select.onchange = () => void save({ digest: { [type]: select.value } }, { digest: { [type]: shown.digest?.[type] ?? null } });
    updates.push((saved) => {
      select.value = applied(saved).digest?.[type] ?? 'instant';
      line.hidden = !statusOf(saved, type, 'email')?.on;
    });
    return line;
  }

  function digestTime() {
    const time = h('input', 'time-input', { type: 'time', id: 'digest-at' });
    const line = h('div', 'preference-line', {}, h('label', '', { htmlFor: 'digest-at' }, texts.prefDigestAt), time);
    time.onchange = () => time.value && void save({ digest_at: time.value }, { digest_at: shown.digest_at ?? null });
    updates.push((saved) => {
      const { digest = {}, digest_at } = applied(saved);
      time.value = digest_at ?? DEFAULT_DIGEST_AT;
      line.hidden = !Object.values(digest).some((frequency) => frequency === 'daily' || frequency === 'weekly');
    });
    return line;
  }

  function quietHours() {
    const box = toggleSwitch({ id: 'quiet' });
    const [start, end] = [h('input', 'time-input', { type: 'time', ariaLabel: `${texts.prefQuiet}, ${texts.prefFrom}` }), h('input', 'time-input', { type: 'time', ariaLabel: `${texts.prefQuiet}, ${texts.prefTo}` })];
    const line = h('div', 'preference-line', {}, h('span', '', {}, texts.prefFrom), start, h('span', '', {}, texts.prefTo), end);
    const change = () => {
      const wanted = box.checked && { start: start.value || DEFAULT_QUIET_HOURS.start, end: end.value || DEFAULT_QUIET_HOURS.end };
      void save({ quiet_hours: wanted }, { quiet_hours: shown.quiet_hours ?? null });
    };
    box.onchange = start.onchange = end.onchange = change;
    updates.push((saved) => {
      const { quiet_hours: hours } = applied(saved);
      box.checked = Boolean(hours);
      line.hidden = !hours;
      start.value = hours ? hours.start : '';
      end.value = hours ? hours.end : '';
    });
    return h('div', 'preference', {}, h('label', 'preference-name', { htmlFor: 'quiet' }, texts.prefQuiet), box, line, h('p', 'hint', {}, texts.prefQuietHint));
  }

  void load();
  return { element, title: texts.preferences, stop: () => end.abort() };
}

/** @param {Partial<HTMLInputElement>} props */
const toggleSwitch = (props) => {
  const box = h('input', 'switch', { type: 'checkbox', ...props });
  box.setAttribute('role', 'switch');
  return box;
};

/** The form over a panel, with a heading and a back button. @param {FormContext} context @param {() => void} close */
export function createPreferencesDialog(context, close) {
  const form = createForm(context);
  const leave = h('button', 'tool', { ariaLabel: context.texts.close, onclick: close }, icon(icons.close));
  const element = h('div', 'help', { role: 'dialog', ariaLabel: form.title }, h('div', 'help-head', {}, h('h3', 'help-heading', {}, form.title), leave), form.element);
  queueMicrotask(() => leave.focus());
  return { element, close: () => (form.stop(), element.remove()) };
}

export { PREFERENCES_CSS } from './preferences-styles.js';

/** The user's actions on notifications, each of which can be undone. */

import { NOTICE_DURATION } from './notice.js';

/** @import { Notification, Verb } from '../events.js' */
/** @import { Which } from '../action-queue.js' */
/** @import { Session } from '../session.js' */
/** @import { Messages } from './messages.js' */
/** @import { Notice } from './notice.js' */

/**
 * @typedef {Exclude<Verb, 'seen'>} TriageVerb
 *
 * @typedef {object} TriageContext
 * @property {Session} session
 * @property {Messages} texts
 * @property {Notice} notice
 * @property {(verb: Verb | 'snooze', which: Which) => boolean} allows  false if the page handles the action itself
 * @property {() => void} onUndone
 *
 * @typedef {{undo: () => void, commit?: () => void}} Step
 */

const MAX_STEPS = 100; // more than a user remembers
const MAX_IDS = 1_000; // ids in a response and in one request

/** @type {Record<Exclude<TriageVerb, 'delete'>, TriageVerb>} */
const REVERSE = { read: 'unread', unread: 'read', archive: 'unarchive', unarchive: 'archive' };

/** Whether an action changes a notification. @type {Record<TriageVerb, (notification: Notification) => boolean>} */
const CHANGES = {
  read: ({ read_at }) => !read_at,
  unread: ({ read_at }) => Boolean(read_at),
  archive: ({ archived_at }) => !archived_at,
  unarchive: ({ archived_at, snoozed_until }) => Boolean(archived_at || snoozed_until),
  delete: () => true,
};

export class Triage {
  #context;
  /** @type {Step[]} */
  #steps = [];

  /** @param {TriageContext} context */
  constructor(context) {
    this.#context = context;
  }

  /** Apply an action; false if it changes nothing. @param {TriageVerb} verb @param {readonly Notification[]} notifications @param {{isQuiet?: boolean}} [options]  `isQuiet`: without a notice */
  act(verb, notifications, { isQuiet = notifications.length === 1 && (verb === 'read' || verb === 'unread') } = {}) {
    const ids = notifications.filter(CHANGES[verb]).map(({ id }) => id);
    if (!ids.length || !this.#context.allows(verb, targetOf(ids))) return false;
    const step = verb === 'delete' ? this.#defer(verb, ids) : this.#send(verb, ids, ids);
    this.#record(step, isQuiet ? '' : this.#describe(verb, ids.length));
    return true;
  }

  /** Mark the whole inbox as read. */
  readAll() {
    const { session, texts, allows } = this.#context;
    const { unread, notifications, status } = session.state;
    if (!unread || !allows('read', 'all')) return; // the second click of a double click
    const loaded = notifications.filter(CHANGES.read).map(({ id }) => id);
    const isLoaded = loaded.length === unread;
    // The response has the ids of rows that are not loaded, which the undo needs. Too many have none: then the action is sent when it can no longer be undone.
    const step = isLoaded || (status === 'live' && unread <= MAX_IDS) ? this.#send('read', 'all', isLoaded ? loaded : null) : this.#defer('read', 'all');
    this.#record(step, texts.wasRead(unread));
  }

  /** Archive all read notifications, including those not loaded. */
  archiveRead() {
    /** @type {Which} */
    const read = { all: true, of: { view: 'read' } };
    const { session, allows, texts } = this.#context;
    const { notifications, next } = session.state;
    const ids = notifications.filter(CHANGES.unread).map(({ id }) => id);
    if (!ids.length || !allows('archive', read)) return;
    this.#record(next ? this.#defer('archive', read) : this.#send('archive', read, ids), texts.wasArchived);
  }

  /** Hide notifications for a while. @param {readonly Notification[]} notifications @param {{until: string} | {for: string}} end @param {string} text */
  async snooze(notifications, end, text) {
    const ids = notifications.map(({ id }) => id);
    const { session, allows } = this.#context;
    if (!allows('snooze', targetOf(ids))) return;
    await this.#change(session.snooze(ids, end), () => session.unarchive(targetOf(ids)), text);
  }

  /** Mute a type in all channels except the inbox, or unmute it. @param {string} type @param {boolean} isMuted */
  async mute(type, isMuted) {
    const { session, texts } = this.#context;
    /** @param {boolean} on */
    const change = (on) => session.preferences({ muted: { [type]: on || null } });
    await this.#change(change(isMuted), () => change(!isMuted), isMuted ? texts.wasMuted : texts.wasUnmuted);
  }

  /**
   * Record a change that is being sent; drop it if it fails.
   * @param {Promise<unknown>} change @param {() => Promise<unknown>} revert @param {string} text
   */
  async #change(change, revert, text) {
    try {
      await change;
    } catch (/** @type {any} */ error) {
      return this.fail(error);
    }
    this.#record({ undo: () => void revert().catch((error) => this.fail(error)) }, text);
  }

  /** Undo the last action; false if there is none. */
  undo() {
    const step = this.#steps.at(-1);
    if (step) this.#undo(step);
    return Boolean(step);
  }

  /** Send the actions that can still be undone. */
  commit() {
    for (const step of [...this.#steps]) this.#commit(step);
  }

  /** Report a failed action. @param {{status?: number}} error */
  fail({ status }) {
    const { notice, texts } = this.#context;
    notice.show(texts[status === 401 ? 'ended' : 'refused']);
  }

  /** @param {TriageVerb} verb @param {Which & (string[] | 'all' | {all: true})} which @param {string[] | null} ids  those that it changes; null to learn them from the response @returns {Step} */
  #send(verb, which, ids) {
    const { session } = this.#context;
    const sent = session[verb](targetOf(which));
    const undo = async () => session[REVERSE[/** @type {'read'} */ (verb)]](targetOf(ids ?? (await sent) ?? []));
    const step = { undo: () => void undo().catch((error) => this.fail(error)) };
    sent.catch((error) => {
      this.#forget(step);
      this.fail(error);
    });
    return step;
  }

  /** Show the action as done, but send it when it can no longer be undone. @param {TriageVerb} verb @param {Which & (string[] | 'all' | {all: true})} which @returns {Step} */
  #defer(verb, which) {
    /** @type {Step} */
    const step = this.#context.session.hold(verb, targetOf(which));
    const commitLater = () => setTimeout(() => (this.#context.notice.holds(step) ? commitLater() : this.#commit(step)), NOTICE_DURATION);
    commitLater();
    return step;
  }

  /** @param {Step} step @param {string} text  '' for no notice */
  #record(step, text) {
    this.#steps.push(step);
    if (this.#steps.length > MAX_STEPS) this.#commit(/** @type {Step} */ (this.#steps[0]), true);
    if (text) this.#context.notice.show(text, step, () => this.#undo(step));
  }

  /** @param {Step} step */
  #undo(step) {
    const { notice, texts, onUndone } = this.#context;
    this.#forget(step);
    step.undo();
    notice.show(texts.undone);
    onUndone();
  }

  /** @param {Step} step @param {boolean} [last]  forget it even if it can still be undone */
  #commit(step, last = false) {
    if (!this.#steps.includes(step) || !(step.commit || last)) return;
    this.#forget(step);
    step.commit?.();
  }

  /** @param {Step} step */
  #forget(step) {
    this.#steps = this.#steps.filter((other) => other !== step);
  }

  /** @param {TriageVerb} verb @param {number} count */
  #describe(verb, count) {
    const { texts } = this.#context;
    if (verb === 'read') return texts.wasRead(count);
    const text = { unread: texts.wasUnread, archive: texts.wasArchived, unarchive: texts.wasUnarchived, delete: texts.wasDeleted }[verb];
    return count > 1 ? `${text} (${count})` : text;
  }
}

/**
 * A single id is not wrapped in an array, because listeners of `bellcast:action` expect that.
 * @param {string[] | 'all' | {all: true}} ids @returns {any}
 */
const targetOf = (ids) => (Array.isArray(ids) && ids.length === 1 ? /** @type {string} */ (ids[0]) : ids);

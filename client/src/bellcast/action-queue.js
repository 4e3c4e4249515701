/**
 * The user's actions: shown immediately, sent one at a time, queued while the server is unavailable, reverted if refused. The order matters: read
 * followed by unread must not arrive reversed. Only when a page is left, those that still wait start at once, in their order.
 */

import { loadResilience } from './lazy.js';
import { checkFilter, rejectUnknown } from './strict.js';

/** @import { Target, Verb, View } from './events.js' */
/** @import { QueueContext, Pending, StorageScope, OfflineStore } from './offline-store.js' */

/** @typedef {string | Iterable<string> | 'all' | {all: true, of?: {type?: string, view?: View, tag?: string}}} Which */

const RETRYABLE_STATUSES = [undefined, 429, 502, 503, 504]; // no response, or the server was too busy to decide: retry
/** @type {StorageScope} */
const NO_SCOPE = { name: '', signal: AbortSignal.abort() };

export class ActionQueue {
  /** Actions not yet contained in the confirmed state. @type {Pending[]} */
  actions = [];
  #context;
  #scope = NO_SCOPE;
  /** Set if the server was unavailable, or an earlier page left stored actions. @type {OfflineStore | null} */
  #store = null;
  #isDelivering = false;

  /** @param {QueueContext} context */
  constructor(context) {
    this.#context = context;
  }

  /** Actions waiting for the server to be available. */
  get queuedCount() {
    return this.actions.filter(({ isQueued, isConfirmed }) => isQueued && !isConfirmed).length;
  }

  /** @param {Verb} verb @param {[Which]} args  those of the session's method @param {Partial<Pending>} more */
  #add(verb, args, more) {
    const { environment } = this.#context;
    const now = environment.now();
    /** @type {Pending} */
    const pending = { id: `${now} ${environment.random()}`, verb, target: toTarget(verb, ...args), at: new Date(now).toISOString(), ...more };
    this.set([...this.actions, pending]);
    return pending;
  }

  /** Resolves with the ids that an action on all changed, if there are at most 1,000. @param {Verb} verb @param {[which: Which]} args @returns {Promise<string[] | null | undefined>} */
  act(verb, ...args) {
    return new Promise((resolve, reject) => {
      this.#add(verb, args, { resolve, reject });
      void this.deliver();
    });
  }

  /** Show an action as done; send it on `commit()` or `flush()`. @param {Verb} verb @param {[which: Which]} args */
  defer(verb, ...args) {
    const pending = this.#add(verb, args, { isDeferred: true });
    return {
      undo: () => pending.isDeferred && this.#remove(pending),
      commit: () => {
        pending.isDeferred = false;
        void this.deliver();
      },
    };
  }

  /** Send all actions now: the page or the session is closing, and one that waits for the response to another would not be sent. */
  flush() {
    for (const each of this.actions) {
      each.isDeferred = false;
      if (!(each.isSent || each.isQueued)) void this.#send(each);
    }
    if (!this.#context.isLive()) this.#store?.saveAll(); // a closed page cannot report a failure
  }

  async deliver() {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    let next;
    do next = this.actions.find(({ isSent, isDeferred }) => !isSent && !isDeferred);
    while (next && (await this.#send(next)));
    this.#isDelivering = false;
  }

  /** Use the tab's lock and storage names; the store of the previous scope is discarded. @param {StorageScope} scope */
  setScope(scope) {
    this.#scope = scope;
    this.#store = null;
  }

  /** Load stored actions: from before a reload, or from another tab. */
  async restore() {
    (await this.#loadStore()).restore();
  }

  /** Drop sent actions: an event or a fetch has since confirmed them. */
  dropConfirmed() {
    this.actions = this.actions.filter(({ isConfirmed }) => !isConfirmed);
  }

  /** Return true if the next action may follow. @param {Pending} pending */
  async #send(pending) {
    const send = () => this.#context.api.act(pending.verb, pending.target);
    pending.isSent = true;
    try {
      const { changed, ids } = await (this.#store ? this.#store.runExclusively(pending, send) : send());
      // A sent action stays applied until the next event, so that nothing flickers; if nothing changed, there will be no event.
      pending.isConfirmed = true;
      if (changed === 0) this.#remove(pending);
      else this.#context.onChange();
      pending.resolve?.(ids);
    } catch (/** @type {any} */ error) {
      if (RETRYABLE_STATUSES.includes(error.status)) {
        pending.isSent = false;
        void this.#loadStore().then((store) => store.saveAll());
        return false;
      }
      this.#remove(pending);
      this.#context.onRefused(error);
      pending.reject?.(error);
    }
    this.#store?.remove(pending.id);
    return true;
  }

  async #loadStore() {
    const { OfflineStore } = await loadResilience(this.#context.environment, this.#scope.signal);
    this.#store ??= new OfflineStore(this, this.#context, this.#scope);
    return this.#store;
  }

  /** @param {Pending} pending */
  #remove(pending) {
    this.set(this.actions.filter((other) => other !== pending));
  }

  /** @param {Pending[]} actions */
  set(actions) {
    this.actions = actions;
    this.#context.onChange();
  }
}

/** Convert an action's argument to the API's target. An unknown or empty filter, or a second argument, throws: ignoring it would widen the action. @param {Verb | 'snooze'} verb @param {Which} which @param {unknown[]} more @returns {Target} */
export function toTarget(verb, which, ...more) {
  rejectUnknown(more, verb);
  if (which === 'all') return { all: true };
  if (typeof which === 'string') return { ids: [which] };
  if (Symbol.iterator in which) return { ids: [...which] };
  const { all, of, ...others } = which;
  rejectUnknown({ ...others, ...(all !== true && { all }) }, verb);
  if ('of' in which) checkFilter(Object.keys(of ?? {}).length ? /** @type {object} */ (of) : { of }, verb);
  return which;
}

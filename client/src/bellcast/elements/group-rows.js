/** Folding of groups: the newest of each `group` represents the others until unfolded. Pure. */

/** @import { Notification } from '../events.js' */

/**
 * @typedef {object} Item  a row of a list
 * @property {Notification} notification
 * @property {number} others  number of notifications it represents
 * @property {boolean} open  true if these are shown
 * @property {boolean} inner  true for one of these
 */

/** @param {readonly Notification[]} notifications  newest first @param {ReadonlySet<string>} open  unfolded groups @returns {Item[]} */
export function fold(notifications, open) {
  /** @type {Map<string, Notification[]>} */
  const groups = new Map();
  for (const each of notifications) {
    const key = each.group ? `group ${each.group}` : each.id;
    const members = groups.get(key);
    if (members) members.push(each);
    else groups.set(key, [each]);
  }
  return [...groups.values()].flatMap((members) => lines(members, open));
}

/** @param {Notification[]} members @param {ReadonlySet<string>} open @returns {Item[]} */
function lines([first, ...others], open) {
  if (!first) return [];
  const shown = Boolean(first.group && open.has(first.group));
  const head = { notification: first, others: others.length, open: shown, inner: false };
  if (!shown) return [head];
  return [head, ...others.map((notification) => ({ notification, others: 0, open: false, inner: true }))];
}

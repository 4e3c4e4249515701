/** Folding of groups: the newest of each `group` represents the others until unfolded. Pure. */

/** @import { Notification } from '../events.js' */

/**
 * @typedef {object} Item  a row of a list
 * @property {Notification} notification
 * @property {Notification[]} members  the notifications to which an action on the row applies: all of a folded group
 * @property {number} others  number of notifications below it in its group
 * @property {boolean} open  true if these are shown
 * @property {boolean} inner  true for a member of an unfolded group
 */

const MAX_NAMES = 3; // actors named in a group; one less if there are more, so that "and 1 other" never replaces a single name

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
function lines(members, open) {
  const [first, ...others] = members;
  if (!first) return [];
  const shown = others.length > 0 && Boolean(first.group && open.has(first.group));
  if (!shown) return [{ notification: first, members, others: others.length, open: false, inner: false }];
  const head = { notification: first, members: [first], others: others.length, open: true, inner: false };
  return [head, ...others.map((notification) => ({ notification, members: [notification], others: 0, open: false, inner: true }))];
}

/** Names of a folded group's actors, newest first, how many more there are, and a notification of each of the first two; none if there is only one. @param {Item} item */
export function actorsOf({ members }) {
  const names = [...new Set(members.flatMap(({ actor }) => actor?.name || []))];
  if (names.length < 2) return { names: [], more: 0, members: [] };
  const named = names.length > MAX_NAMES ? MAX_NAMES - 1 : names.length;
  const first = names.slice(0, 2).flatMap((name) => members.find(({ actor }) => actor?.name === name) ?? []);
  return { names: names.slice(0, named), more: names.length - named, members: first };
}

/** Divides a list into sections: by day, and by whether rows are newer than the opening of the panel. Pure. */

import { placeOf } from '../inbox-reducer.js';
import { startOfDay } from './time.js';

/** @import { Item } from './group-rows.js' */

/**
 * @typedef {object} Section
 * @property {string} key
 * @property {number} day  its start, in ms since the epoch
 * @property {boolean} isTitled  false if the section above is of the same day
 * @property {boolean} isDivided  true if all rows above it are new
 * @property {Item[]} items
 */

/** @param {readonly Item[]} items  newest first @param {string} boundary  place of the newest row that is not new; '' for no divider @returns {Section[]} */
export function divide(items, boundary) {
  /** @type {Section[]} */
  const sections = [];
  let isNew = false;
  let day = Infinity;
  for (const item of items) {
    const { created_at, woken_at } = item.notification;
    const at = item.inner ? day : Date.parse(woken_at ?? created_at);
    /** @type {boolean} */
    const stillNew = item.inner ? isNew : Boolean(boundary) && placeOf(item.notification) > boundary;
    const section = sections.at(-1);
    if (section && at >= day && stillNew === isNew) {
      section.items.push(item);
      continue;
    }
    const isDivided = isNew && !stillNew;
    const isTitled = at < day;
    if (isTitled) day = startOfDay(at);
    isNew = stillNew;
    sections.push({ key: `${day} ${isNew}`, day, isTitled, isDivided, items: [item] });
  }
  return sections;
}

/** The built-in icons of notifications. Loaded with the panel, or with the first toast that may need one. */

import * as icons from './icons.js';

/** Built-in icons by name, each with the beginnings of words in a type that choose it. The first match counts: a failed payment is an alert. @type {[name: string, shape: string, words: RegExp][]} */
const TYPE_ICONS = [
  ['alert', icons.alert, /\b(alert|alarm|error|fail|incident|outage|overdue|problem|warn)/],
  ['lock', icons.lock, /\b(lock|login|password|secur|signin)/],
  ['payment', icons.payment, /\b(bill|charge|invoic|pay|price|refund|sale|subscription)/],
  ['comment', icons.comment, /\b(chat|comment|feedback|mention|messag|repl|review)/],
  ['calendar', icons.calendar, /\b(appointment|book|calendar|event|meeting|remind|reserv|schedul|visit)/],
  ['package', icons.parcel, /\b(deliver|inventor|order|package|parcel|product|ship|stock)/],
  ['person', icons.person, /\b(account|contact|customer|follow|invit|lead|member|person|profile|team|user)/],
  ['document', icons.page, /\b(contract|document|download|export|file|gallery|report|upload)/],
];

/** The icon that a notification names, or else one for the words of its type; undefined without either. @param {string | null} name @param {string} type */
export function typeIcon(name, type) {
  const words = type.replace(/(\p{Ll})(?=\p{Lu})/gu, '$1 ').replaceAll('_', ' ').toLowerCase();
  const found = TYPE_ICONS.find(([each]) => each === name) ?? TYPE_ICONS.find((each) => each[2].test(words));
  return found?.[1];
}

/** Strict arguments: an unknown option or an invalid value throws before the call has any effect. */

/** @param {object | false} rest  the argument without its known options @param {string} where */
export function rejectUnknown(rest, where) {
  for (const name in { ...rest }) throw new TypeError(`${where}: invalid option ${name}`);
}

/** A filter without a value would be lost in transit, which would widen the selection, and an unknown view would never load. @param {any} filter  view, type and tag @param {string} where */
export function checkFilter(filter, where) {
  for (const name in filter) if (!/^(tag"..|type"..|view"(all|(un)?read|archived|snoozed)"$)/.test(name + JSON.stringify(filter[name]))) rejectUnknown({ [name]: 0 }, where);
}

/** For `JSON.stringify`, which omits undefined values and turns NaN into null. @param {string} name @param {unknown} value */
export function rejectLost(name, value) {
  if (name && (value === undefined || (value !== null && JSON.stringify(value) === 'null'))) rejectUnknown({ [name]: 0 }, 'JSON');
  return value;
}

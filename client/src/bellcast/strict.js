/** Arguments: one that a call does not know, or a value that means nothing, is an error before anything is done; it is never left out. */

/** @param {object} rest  what is left of an argument without the names that are known @param {string} where */
export function rejectUnknown(rest, where) {
  for (const name in rest) throw new TypeError(`${where}: cannot take ${name}`);
}

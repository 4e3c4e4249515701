/** Strict arguments: an unknown option or an invalid value throws before anything is done. */

/** @param {object} rest  the argument without its known options @param {string} where */
export function rejectUnknown(rest, where) {
  for (const name in rest) throw new TypeError(`${where}: invalid option ${name}`);
}

/** The title of a notification with the name of its actor. Pure. */

import { plain } from './dom.js';

const MIN_PART = 4; // letters: a shorter part of a name may be another word of the title, such as "de"; the first is "Ben"

/**
 * The title, divided at the name of the actor; a name that the title does not contain is put before it.
 * @param {{title: string, actor: {name?: string | undefined} | null}} notification @returns {[before: string, name: string, after: string]}
 */
export function splitTitle({ title: text, actor }) {
  const [title, name] = [plain(text), plain(actor?.name ?? '').trim()];
  const at = findWord(title, name);
  if (at >= 0) return [title.slice(0, at), name, title.slice(at + name.length)];
  const hasPart = name.split(/\s+/).some((part, at) => part.length >= (at ? MIN_PART : 3) && findWord(title, part) >= 0);
  // "commented on …" continues the name; "New comment" stands alone.
  return !name || hasPart ? [title, '', ''] : ['', name, (/^\p{Ll}/u.test(title) ? ' ' : ' · ') + title];
}

/** The whole title as text. @param {Parameters<typeof splitTitle>[0]} notification */
export const fullTitle = (notification) => splitTitle(notification).join('');

/** Index of a word or words, or -1. Only letters with upper and lower case end at the edges of words: others, as in Chinese, have no spaces. @param {string} text @param {string} word */
function findWord(text, word) {
  const at = word ? text.indexOf(word) : -1;
  return at < 0 || /[\p{LC}\p{N}]$/u.test(text.slice(0, at)) || /^[\p{LC}\p{N}]/u.test(text.slice(at + word.length)) ? -1 : at;
}

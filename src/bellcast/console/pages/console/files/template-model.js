/**
 * Templates as values: their parts by channel and language, and what differs between two versions.
 */
import { longestCommon, textsOf } from './workflow-model.js';

export const CHANNELS = { inbox: 'Inbox', email: 'E-mail', sms: 'SMS', push: 'Push', chat: 'Chat' };
/** Maximum characters of a block's text in a list of differences. */
const EXCERPT = 32;

const names = new Intl.DisplayNames(['en'], { type: 'language' });
export function languageName(tag) {
  if (!tag) return 'Default language';
  try {
    return names.of(tag);
  } catch {
    return tag;
  }
}

/** The tag of the language that a text names: by a tag, of which the standard spelling is stored (`ger` is `de`), or by the English name of one of `tags`; null if it is neither. */
export function tagOf(text, tags) {
  const typed = text.trim().replaceAll('_', '-'), isNamed = (tag) => languageName(tag).toLowerCase() === typed.toLowerCase();
  if (!/^[a-z]{2,3}(-[a-z0-9]{1,8})*$/i.test(typed)) return tags.find(isNamed) ?? null;
  try {
    return Intl.getCanonicalLocales(typed)[0];
  } catch {
    return null;
  }
}

/** The path of a channel's part in a language; the default language has no tag. */
export const placeOf = (locale, channel) => (locale ? ['translations', locale, channel] : [channel]);
export const at = (value, path) => path.reduce((one, name) => one?.[name], value);

/** A copy of a value with another one at a path; undefined removes it. */
export function withAt(value, [name, ...rest], next) {
  const changed = rest.length > 0 ? withAt(value?.[name] ?? {}, rest, next) : next;
  if (Array.isArray(value)) return value.map((one, index) => (index === name ? changed : one));
  const { [name]: _, ...others } = value ?? {};
  return changed === undefined ? others : { ...value, [name]: changed };
}

/** Filters of a variable whose default is a number; a time has no default that fits. */
const OF_NUMBERS = /\|\s*(?:money|number|round|abs)\b/, OF_TIMES = /\|\s*(?:date|time|datetime)\b/;

/** A template in whose texts a variable has a default: 0 for numbers, else an empty text. Those with a default or a format of times stay. */
export function withDefault(value, path) {
  if (typeof value === 'string') {
    return value.replace(/\{\{(-?\s*)([\w.]+)([^}]*)\}\}/g, (tag, start, name, filters) => {
      if (name !== path || /\|\s*(?:default|d)\b/.test(filters) || OF_TIMES.test(filters)) return tag;
      const rest = filters.trimStart();
      return `{{${start}${name} | default(${OF_NUMBERS.test(filters) ? '0' : "''"}) ${rest}}}`;
    });
  }
  if (Array.isArray(value)) return value.map((one) => withDefault(one, path));
  return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withDefault(one, path)])) : value;
}

/** The variable that a finding says to write with a default, such as `data.total`. */
export const optionalOf = ({ code, message }) => (code === 'missing_variable' ? /\{\{ (data\.[\w.]+) \| default/.exec(message)?.[1] : undefined);

const TEXTS = ['title', 'body', 'action_text', 'subject', 'text', 'html', 'alt', 'empty'];
/** How many texts of a part readers see, those of its blocks included. */
function textsIn(value) {
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce((sum, [name, one]) => sum + (TEXTS.includes(name) && typeof one === 'string' ? Number(one !== '') : textsIn(one)), 0);
}

/** How many texts a language has less than the default language. */
export const missingTexts = (values, tag) => Object.keys(CHANNELS).reduce((sum, channel) => sum + Math.max(0, textsIn(values[channel]) - textsIn(at(values, placeOf(tag, channel)))), 0);

/** Templates as a kind with drafts. */
export const KIND = { plural: 'templates', name: 'template', note: 'Texts by channel and language, which sends and steps share.', differencesOf };

/** What differs, as [kind, name, detail, texts]: by part, and by block of an e-mail. */
function differencesOf(before, after) {
  const found = [];
  const tags = new Set(['', ...Object.keys(before.translations ?? {}), ...Object.keys(after.translations ?? {})]);
  for (const tag of tags) {
    for (const channel of Object.keys(CHANNELS)) {
      const [old, now] = [before, after].map((values) => at(values, placeOf(tag, channel)));
      const part = `${CHANNELS[channel]}${tag && `, ${languageName(tag)}`}`;
      if (!old && now) found.push(['added', part, '']);
      else if (old && !now) found.push(['removed', part, '']);
      else if (old) {
        const fields = fieldsOf(old, now).filter((name) => name !== 'blocks' || !(old.blocks && now.blocks));
        if (fields.length > 0) found.push(['changed', part, fields.join(', '), textsOf(old, now, fields)]);
        if (old.blocks && now.blocks) found.push(...blocksOf(old.blocks, now.blocks).map(([kind, name, detail, texts]) => [kind, name, `${detail}${detail && ' '}in ${part}`, texts]));
      }
    }
  }
  return found;
}

function blocksOf(before, after) {
  const pairs = paired(before, after);
  const [order, kept] = [pairs.map(([old]) => old).sort((one, other) => one - other), pairs.toSorted((one, other) => one[1] - other[1]).map(([old]) => old)];
  const stays = longestCommon(order, kept);
  const [olds, nows] = [new Set(order), new Set(pairs.map(([, now]) => now))];
  return [
    ...after.flatMap((block, index) => (nows.has(index) ? [] : [['added', nameOf(block), '']])),
    ...before.flatMap((block, index) => (olds.has(index) ? [] : [['removed', nameOf(block), '']])),
    ...pairs.flatMap(([old, now]) => {
      const fields = fieldsOf(before[old], after[now]);
      return [...(stays.has(old) ? [] : [['moved', nameOf(after[now]), `to ${now + 1} of ${after.length}`]]), ...(fields.length > 0 ? [['changed', nameOf(after[now]), fields.join(', '), textsOf(before[old], after[now], fields)]] : [])];
    }),
  ];
}

/** Indexes of the same block in two lists: equal ones first, then those with the same key, then those of the same type. */
function paired(before, after) {
  const pairs = [];
  const free = [before, after].map((blocks) => new Set(blocks.keys()));
  for (const isSame of [(one, other) => JSON.stringify(one) === JSON.stringify(other), (one, other) => one.key !== undefined && one.key === other.key, (one, other) => one.type === other.type && one.key === other.key]) {
    for (const now of [...free[1]]) {
      const old = [...free[0]].find((index) => isSame(before[index], after[now]));
      if (old === undefined) continue;
      free[0].delete(old);
      free[1].delete(now);
      pairs.push([old, now]);
    }
  }
  return pairs;
}

/** The blocks of an e-mail that its translation lacks, by their places in it: each is after the pair of the block before it. */
export function missingBlocks(original, translated) {
  const places = new Map(paired(original, translated)), missing = {};
  let place = 0;
  for (const [index, block] of original.entries()) {
    if (places.has(index)) place = places.get(index) + 1;
    else (missing[place] ??= []).push(block);
  }
  return missing;
}

const fieldsOf = (one, other) => [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));

function nameOf({ key, type, text = '' }) {
  const excerpt = text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
  return key ?? `${type}${excerpt && ` “${excerpt}”`}`;
}

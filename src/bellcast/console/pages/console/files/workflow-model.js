/**
 * The definition of a workflow as an editor changes it: paths, steps, moves, references and differences. Pure; values are never changed in place.
 *
 * A path is that of the server's errors: `steps.1.branches.0.steps.0`. Fields that are not known here stay as they are.
 */
import { cronText } from './cron-text.js';
import { count } from './format.js';

/** Types of steps in the order of the menu, with their icons, colours and first fields. */
export const TYPES = {
  inbox: { icon: 'notifications', tone: 7, key: 'bell', group: 'Send', text: 'A notification in the bell', fields: { title: '' } },
  email: { icon: 'messages', tone: 1, key: 'mail', group: 'Send', text: 'An e-mail', fields: { subject: '', text: '' } },
  sms: { icon: 'sms', tone: 2, key: 'sms', group: 'Send', text: 'A text message', fields: { text: '' } },
  push: { icon: 'push', tone: 6, key: 'push', group: 'Send', text: 'A push notification', fields: { title: '' } },
  chat: { icon: 'chat', tone: 0, key: 'chat', group: 'Send', text: 'A message in a chat', fields: { text: '' } },
  delay: { icon: 'schedules', tone: 'grey', key: 'wait', group: 'Flow', text: 'Wait for a time, or until one', fields: { for: '1h' } },
  wait_for: { icon: 'hourglass', tone: 'grey', key: 'wait-for', group: 'Flow', text: 'Wait until something is read or happens', fields: { event: 'read', timeout: '2h' } },
  branch: { icon: 'branch', tone: 4, key: 'branch', group: 'Flow', text: 'Different steps by condition', fields: {} },
  digest: { icon: 'digest', tone: 0, key: 'digest', group: 'Flow', text: 'Collect several runs into one', fields: { window: '1h' } },
  throttle: { icon: 'throttle', tone: 0, key: 'throttle', group: 'Flow', text: 'Limit how often runs continue', fields: { limit: 1, window: '1h' } },
  stop: { icon: 'stop', tone: 'grey', key: 'stop', group: 'Flow', text: 'End the run', fields: {} },
  trigger: { icon: 'workflows', tone: 3, key: 'start', group: 'Call', text: 'Another workflow', fields: { workflow: '', to: '' } },
  http: { icon: 'webhooks', tone: 3, key: 'call', group: 'Call', text: 'A request to a URL', fields: { url: 'https://' } },
  python: { icon: 'code', tone: 3, key: 'function', group: 'Call', text: 'A function of your app', fields: { function: '' } },
};
export const SENDING = ['inbox', 'email', 'sms', 'push', 'chat'];
const UNKNOWN_TYPE = { icon: 'info', tone: 'grey', key: 'step', fields: {} };
export const typeOf = (step) => TYPES[step?.type] ?? UNKNOWN_TYPE;

/** Widths of a card and of the space between cards side by side, in px. */
const CARD_PX = 272, BESIDE_PX = 28;

/** The width of steps drawn as a flow, in px: sends that follow each other and branches stand side by side. */
export function flowWidth(steps) {
  let sends = 0;
  return Math.max(CARD_PX, ...(Array.isArray(steps) ? steps : []).map((step) => {
    sends = SENDING.includes(step?.type) ? sends + 1 : 0;
    if (step?.type === 'branch') return lanesOf(step, '').reduce((sum, lane) => sum + BESIDE_PX + flowWidth(lane.steps), 0);
    return sends > 1 ? sends * (CARD_PX + BESIDE_PX) : 0;
  }));
}

/** Fields that summarize a step, the most descriptive first. */
const SUMMARY = ['title', 'subject', 'template', 'text', 'body', 'url', 'function', 'workflow'];

// --- reading

const partsOf = (path) => path.split('.');
export const valueAt = (values, path) => partsOf(path).reduce((value, name) => value?.[name], values);
/** The list of a step's path, and its place there. */
export function placeOf(path) {
  const parts = partsOf(path);
  return { list: parts.slice(0, -1).join('.'), index: Number(parts.at(-1)) };
}
/** The path of the step that contains a path, or of the lane. */
export const stepPathOf = (field) => /^(steps\.\d+(?:\.(?:branches\.\d+\.steps|else)\.\d+)*)/.exec(field)?.[1] ?? null;

/** Whether a path is that of a lane: a branch of a step, or its else. */
export const isLane = (path) => /\.(branches\.\d+|else)$/.test(path);
/** The path of a lane's steps. */
export const listOf = (path) => (path.endsWith('.else') ? path : `${path}.steps`);

/** The lanes of a branch: a path, the path of its steps, a name and a condition. */
export function lanesOf(step, path) {
  const branches = Array.isArray(step?.branches) ? step.branches : [];
  return [
    ...branches.map((branch, index) => ({ path: `${path}.branches.${index}`, list: `${path}.branches.${index}.steps`, steps: branch?.steps, condition: branch?.if, number: index + 1, count: branches.length })),
    ...(step?.else === undefined ? [] : [{ path: `${path}.else`, list: `${path}.else`, steps: step.else, isElse: true }]),
  ];
}

/** All steps in the order in which they may run: path, step, the list's path, its place, how many, the nesting. */
export function stepsOf(values, list = 'steps', depth = 1, found = []) {
  const steps = valueAt(values, list);
  if (!Array.isArray(steps)) return found;
  steps.forEach((step, index) => {
    const path = `${list}.${index}`;
    found.push({ path, step, list, index, count: steps.length, depth });
    if (step?.type === 'branch') lanesOf(step, path).forEach((lane) => stepsOf(values, lane.list, depth + 2, found));
  });
  return found;
}

export const pathOfKey = (values, key) => stepsOf(values).find(({ step }) => step?.key === key)?.path ?? null;

/** A key that no step has: `mail`, `mail-2`, … */
export function freeKey(values, wanted) {
  const used = new Set(stepsOf(values).map(({ step }) => step?.key));
  const base = wanted.replace(/-\d+$/, '');
  if (!used.has(wanted)) return wanted;
  for (let number = 2; ; number++) if (!used.has(`${base}-${number}`)) return `${base}-${number}`;
}

/** A new step of a type. */
export function newStep(values, type) {
  const { key, fields } = TYPES[type];
  const own = { key: freeKey(values, key), type, ...structuredClone(fields) };
  if (type === 'branch') own.branches = [{ if: { var: 'data.total', op: 'gte', value: 100 }, steps: [{ key: freeKey(values, 'stop'), type: 'stop' }] }];
  if (type === 'wait_for') {
    const sent = stepsOf(values).findLast(({ step }) => step?.type === 'inbox');
    if (sent) own.step = sent.step.key;
    else own.event = 'app.event';
  }
  return own;
}

// --- changing

/** The values with another value at a path; without a value, the path is removed. */
export function withValue(values, path, value) {
  const [name, ...rest] = partsOf(path);
  const copy = Array.isArray(values) ? [...values] : { ...values };
  if (rest.length > 0) copy[name] = withValue(copy[name] ?? {}, rest.join('.'), value);
  else if (value !== undefined) copy[name] = value;
  else if (Array.isArray(copy)) copy.splice(Number(name), 1);
  else delete copy[name];
  return copy;
}

export function inserted(values, list, index, ...steps) {
  const all = [...(valueAt(values, list) ?? [])];
  all.splice(index, 0, ...steps);
  return withValue(values, list, all);
}

/** The values without a step or a lane; the last branch takes their list with it. */
export function removed(values, path) {
  const { list } = placeOf(path);
  return withValue(values, isLane(path) && valueAt(values, list).length === 1 ? list : path, undefined);
}

/** Move a step to a place of a list. Return the values and the new path; null if the place is within the step itself. */
export function moved(values, path, list, index) {
  if (`${list}.`.startsWith(`${path}.`)) return null;
  const from = placeOf(path);
  const step = valueAt(values, path);
  if (from.list === list) {
    const place = index > from.index ? index - 1 : index;
    return { values: inserted(removed(values, path), list, place, step), path: `${list}.${place}` };
  }
  // Removing a step changes the paths of those after it, so the later of the two places is changed first.
  if (isBefore(path, `${list}.${index}`)) {
    const added = inserted(values, list, index, step);
    return { values: removed(added, path), path: shifted(`${list}.${index}`, from) };
  }
  return { values: inserted(removed(values, path), list, index, step), path: `${list}.${index}` };
}

/** The path of the item with the form of a field: a step, a branch for its condition, or the trigger. */
export const itemOf = (field) => /^(.*\.branches\.\d+)\.if\b/.exec(field)?.[1] ?? stepPathOf(field) ?? 'trigger';

/** Whether a path comes before another in the document. */
export function isBefore(one, other) {
  if ([one, other].includes('trigger')) return other !== 'trigger';
  const [a, b] = [partsOf(one), partsOf(other)];
  for (let place = 0; place < Math.min(a.length, b.length); place++) {
    if (a[place] === b[place]) continue;
    if (/^\d+$/.test(a[place]) && /^\d+$/.test(b[place])) return Number(a[place]) < Number(b[place]);
    return a[place] !== 'else'; // branches come before else
  }
  return a.length < b.length;
}

/** A path after a step was removed before it. */
function shifted(path, { list, index }) {
  if (!path.startsWith(`${list}.`)) return path;
  const [first, ...rest] = path.slice(list.length + 1).split('.');
  return Number(first) > index ? [list, Number(first) - 1, ...rest].join('.') : path;
}

/** Places at which a step can be, in document order. */
function places(values, path) {
  const found = [];
  const walk = (list) => {
    const steps = valueAt(values, list) ?? [];
    for (let index = 0; index <= steps.length; index++) {
      found.push({ list, index });
      const inner = `${list}.${index}`;
      if (index < steps.length && inner !== path && steps[index]?.type === 'branch') lanesOf(steps[index], inner).forEach((lane) => walk(lane.list));
    }
  };
  walk('steps');
  return found;
}

/** Move a step one place up (-1) or down (1) in document order, into and out of branches, or a branch among those of its step. A list
 * keeps at least one step, and else is the last. Null at the ends. */
export function movedBy(values, path, step) {
  const { list, index } = placeOf(path);
  if (isLane(path)) return valueAt(values, `${list}.${index + step}`) === undefined ? null : moved(values, path, list, step > 0 ? index + 2 : index - 1);
  if (valueAt(values, list).length === 1) return null;
  // The places directly before and after the step are where it is.
  const all = places(values, path).filter((one) => one.list !== list || one.index !== index + 1);
  const target = all[all.findIndex((one) => one.list === list && one.index === index) + step];
  return target ? moved(values, path, target.list, target.index) : null;
}

/** A copy of a step with free keys. */
export function copyOf(values, step) {
  let known = values;
  const renamed = (one) => {
    const key = freeKey(known, one.key ?? 'step');
    known = inserted(known, 'steps', valueAt(known, 'steps')?.length ?? 0, { key });
    const copy = { ...one, key };
    if (Array.isArray(one.branches)) copy.branches = one.branches.map((branch) => ({ ...branch, steps: (branch.steps ?? []).map(renamed) }));
    if (Array.isArray(one.else)) copy.else = one.else.map(renamed);
    return copy;
  };
  return renamed(structuredClone(step));
}

// --- references between steps

const inTemplates = (key) => new RegExp(`(\\bsteps\\.)${String(key).replaceAll('-', '\\-')}(?![\\w-])`, 'g');

/** The conditions of a step's branches. */
const conditionsOf = (step) => (Array.isArray(step?.branches) ? step.branches.map((branch) => branch?.if) : []);

/** The keys of the steps that name a step: in what they wait for, in conditions, variables and templates. */
export function usersOf(values, key) {
  const pattern = inTemplates(key);
  const names = ({ branches, else: otherwise, ...step }) => step.step === key || JSON.stringify([step, conditionsOf({ branches })]).search(pattern) >= 0;
  return stepsOf(values).filter(({ step }) => step && step.key !== key && names(step)).map(({ step }) => step.key);
}

/** The keys of the steps that name a step at or below a path, and are not below it. */
export function usersBelow(values, path) {
  const keys = stepsOf(values).filter(({ path: one }) => `${one}.`.startsWith(`${path}.`)).map(({ step }) => step?.key);
  return [...new Set(keys.flatMap((key) => usersOf(values, key)))].filter((key) => !keys.includes(key));
}

/** The values after a step was renamed, with all references to it. */
export function renamed(values, path, key) {
  const before = valueAt(values, path).key;
  const pattern = inTemplates(before);
  const change = (value, name) => {
    if (typeof value === 'string') return name === 'step' && value === before ? key : value.replace(pattern, `$1${key}`);
    if (Array.isArray(value)) return value.map((one) => change(one));
    return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([inner, one]) => [inner, inner === 'note' ? one : change(one, inner)])) : value;
  };
  const changed = before ? { ...values, steps: change(values.steps) } : values;
  return withValue(changed, `${path}.key`, key);
}

// --- comments

const indentOf = (line) => /^ */.exec(line)[0].length;

/** Where each step begins in a YAML text: at the item of a list that has its key. */
function startsOf(lines, values) {
  const keys = new Set(stepsOf(values).map(({ step }) => step?.key));
  return lines.flatMap((line, index) => {
    const [whole, key] = /^.*?\bkey["']?:\s*["']?([\w-]+)/.exec(line) ?? [];
    if (!keys.delete(key)) return [];
    const at = lines.findLastIndex((one, number) => number <= index && /^ *- /.test(one) && indentOf(one) < whole.search(/\bkey/));
    return at < 0 ? [] : [{ key, at, indent: indentOf(lines[at]) }];
  });
}

/** The comments of a YAML text: [key of a step or null, text]. One directly above a step is that of the step. What the values have is none. */
export function commentsOf(text, values) {
  const lines = text.split('\n');
  const starts = startsOf(lines, values);
  const known = JSON.stringify(values);
  const isContent = (line) => !/^\s*(#|$)/.test(line);
  return lines.flatMap((line, index) => {
    const [, comment] = /(?:^|\s)(#.*)$/.exec(line) ?? [];
    const words = comment?.replace(/^#+\s*/, '').trim();
    if (!words || known.includes(JSON.stringify(comment.replace(/["'\]}\s,]+$/, '')).slice(1, -1))) return [];
    const next = isContent(line) ? index : lines.findIndex((one, number) => number > index && isContent(one));
    const owner = starts.find(({ at }) => at === next) ?? starts.findLast(({ at, indent }) => at < index && indent < indentOf(line));
    return [[owner?.key ?? null, words]];
  });
}

/** The values with comments as notes of their steps and of the workflow. */
export const withNotes = (values, comments) => comments.reduce((all, [key, words]) => {
  const path = key === null ? 'note' : `${pathOfKey(all, key)}.note`;
  return withValue(all, path, [valueAt(all, path), words].filter(Boolean).join('\n'));
}, values);

// --- words

const WORDS = { eq: 'is', ne: 'is not', exists: 'exists', empty: 'is empty', contains: 'contains', in: 'is one of' };
/** A condition as one line. `isPlain` keeps the operators as they are written. */
export function conditionText(value, isPlain = true) {
  if (!value || typeof value !== 'object') return '';
  if (typeof value.var === 'string') {
    const { op = 'eq', value: right } = value;
    const [, bell, done] = (!isPlain && /^steps\.([^.]+)\.(read|seen)_at$/.exec(value.var)) || [];
    if (bell && ['exists', 'empty'].includes(op)) return `${bell} was ${op === 'empty' ? 'not ' : ''}${done}`;
    const shown = right === undefined ? '' : right?.var ?? JSON.stringify(right);
    return [value.var, isPlain ? op : WORDS[op] ?? { lt: '<', lte: '≤', gt: '>', gte: '≥' }[op] ?? op, shown].filter((one) => one !== '').join(' ');
  }
  if (value.not) return `not (${conditionText(value.not, isPlain)})`;
  const [name, parts] = Object.entries(value)[0] ?? [];
  return Array.isArray(parts) ? parts.map((one) => (one?.all || one?.any ? `(${conditionText(one, isPlain)})` : conditionText(one, isPlain))).join(name === 'all' ? ' and ' : ' or ') || 'always' : JSON.stringify(value);
}

const UNITS = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' };
/** A duration in words; null if it is none. */
export function durationText(value) {
  if (value?.var) return value.var;
  const [, amount, unit = 's'] = /^-?(\d+(?:\.\d+)?)([smhdw])?$/.exec(String(value)) ?? [];
  return amount ? `${amount} ${UNITS[unit]}${amount === '1' ? '' : 's'}` : null;
}

/** What a step does, in one line. */
export function summaryOf(step) {
  switch (step?.type) {
    case 'delay': return step.until !== undefined ? `${step.offset === undefined ? 'Until' : `${durationText(step.offset) ?? step.offset} ${String(step.offset).startsWith('-') ? 'before' : 'after'}`} ${step.until?.var ?? step.until}` : durationText(step.for) ?? String(step.for ?? '');
    case 'digest': return step.cron ? cronText(step.cron) : `For ${durationText(step.window) ?? step.window ?? '…'}`;
    case 'throttle': return `${step.limit ?? 1} per ${durationText(step.window) ?? step.window ?? '…'}`;
    case 'wait_for': return `${step.event ?? '…'}${step.step ? ` of ${step.step}` : ''}${step.timeout ? `, at most ${durationText(step.timeout) ?? step.timeout}` : ''}`;
    case 'branch': return count((step.branches ?? []).length + (step.else ? 1 : 0), 'way');
    case 'stop': return 'The run ends here';
    default: {
      const name = SUMMARY.find((one) => typeof step?.[one] === 'string' && step[one]);
      return name ? step[name].split('\n')[0] : '';
    }
  }
}

// --- differences

/** The texts among fields that differ, as [field, before, after]. */
export const textsOf = (old, now, fields) => fields.filter((name) => [old[name], now[name]].every((one) => ['string', 'undefined'].includes(typeof one))).map((name) => [name, old[name] ?? '', now[name] ?? '']);

/** Steps with another key: the only ones of their type that were removed and added, at the same place or with the same fields. */
function renamesOf(old, now) {
  const removed = [...old].filter(([key]) => !now.has(key)), added = [...now].filter(([key]) => !old.has(key));
  const placeOf = ({ list, index }) => `${list} ${index}`;
  const taken = new Set();
  return removed.flatMap(([last, one]) => {
    const found = added.filter(([key, other]) => !taken.has(key) && other.step?.type === one.step?.type && (placeOf(other) === placeOf(one) || fieldsOf(one.step, other.step).length === 0));
    if (found.length !== 1) return [];
    taken.add(found[0][0]);
    return [[last, found[0][0]]];
  });
}

/** Steps that differ between two definitions: [kind, key, detail, texts]. */
export function differencesOf(before, after) {
  let [old, now] = [before, after].map((values) => new Map(stepsOf(values ?? {}).map((one) => [one.step?.key, one])));
  const found = [];
  const renames = new Map(renamesOf(old, now));
  for (const [last, key] of renames) {
    found.push(['renamed', last, `to ${key}`]);
    old = new Map([...old].map(([name, one]) => [name === last ? key : name, one]));
  }
  for (const name of ['type', 'data', 'note']) if (JSON.stringify(before?.[name]) !== JSON.stringify(after?.[name])) found.push(['changed', 'workflow', name]);
  for (const [key, { step }] of now) if (!old.has(key)) found.push(['added', key, summaryOf(step) || step?.type]);
  for (const [key, { step }] of old) if (!now.has(key)) found.push(['removed', key, summaryOf(step) || step?.type]);
  const kept = [...now.keys()].filter((key) => old.has(key));
  const order = [...old.keys()].filter((key) => now.has(key));
  const stays = longestCommon(order, kept);
  for (const key of kept) {
    const [one, other] = [old.get(key), now.get(key)];
    if (!stays.has(key) || laneOf(before, one, renames) !== laneOf(after, other)) found.push(['moved', key, `to ${other.index + 1} of ${other.count}${laneOf(after, other) ? ` in ${laneOf(after, other)}` : ''}`]);
    const fields = fieldsOf(one.step, other.step);
    if (fields.length > 0) found.push(['changed', key, fields.join(', '), textsOf(one.step, other.step, fields)]);
  }
  return found;
}

/** The lane of a step by names that stay when steps before it are added, and when `renames` are known. */
export function laneOf(values, { list }, renames = new Map()) {
  const match = /^(.*)\.(?:branches\.(\d+)\.steps|else)$/.exec(list);
  if (!match) return '';
  const { key } = valueAt(values, match[1]) ?? {};
  return `${match[2] === undefined ? 'else' : `branch ${Number(match[2]) + 1}`} of ${renames.get(key) ?? key}`;
}

function fieldsOf(before, after) {
  const own = (step) => ({ ...step, branches: conditionsOf(step), else: step?.else !== undefined });
  const [one, other] = [own(before), own(after)];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((name) => name !== 'key' && JSON.stringify(one[name]) !== JSON.stringify(other[name]));
}

/** The keys of the longest common subsequence of two orders: the others have moved. */
export function longestCommon(one, other) {
  const lengths = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i--) for (let j = other.length - 1; j >= 0; j--) lengths[i][j] = one[i] === other[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const found = new Set();
  for (let i = 0, j = 0; i < one.length && j < other.length;) {
    if (one[i] === other[j]) {
      found.add(one[i]);
      i++;
      j++;
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return found;
}

/** The keys of the templates that steps use. */
export const templatesOf = (steps) => (Array.isArray(steps) ? steps.flatMap((step) => [step?.template, ...templatesOf(step?.else), ...templatesOf(step?.branches?.flatMap?.((branch) => branch?.steps))]).filter(Boolean) : []);

/**
 * The blocks of an e-mail as values: their types, where each may be, and moves. Pure; values are never changed in place.
 *
 * A path begins in the e-mail: `blocks.1.columns.0.blocks.2`.
 */
import { freeKey, moved, placeOf, valueAt } from './workflow-model.js';

export const TYPES = {
  heading: { title: 'Heading', icon: 'heading', make: () => ({ type: 'heading', text: 'Heading' }) },
  text: { title: 'Text', icon: 'text', make: () => ({ type: 'text', text: 'Text' }) },
  button: { title: 'Button', icon: 'button', make: () => ({ type: 'button', text: 'Open', url: 'https://' }) },
  image: { title: 'Image', icon: 'image', make: () => ({ type: 'image', src: 'https://', alt: '' }) },
  divider: { title: 'Divider', icon: 'divider', make: () => ({ type: 'divider' }) },
  list: { title: 'List', icon: 'list', hint: 'repeats blocks for each item', make: () => ({ type: 'list', each: 'data.items', blocks: [{ type: 'text', text: '{{ item.name }}' }] }) },
  columns: { title: 'Columns', icon: 'columns', make: () => ({ type: 'columns', columns: [{ blocks: [{ type: 'text', text: 'Left' }] }, { blocks: [{ type: 'text', text: 'Right' }] }] }) },
  html: { title: 'HTML', icon: 'code', make: () => ({ type: 'html', html: '<p>HTML</p>' }) },
  content: { title: 'Content', icon: 'templates', hint: 'in a layout: the e-mail itself', make: () => ({ type: 'content' }) },
};
/** Maximum nesting of blocks, as on the server: a list in a column of a list. */
const MAX_DEPTH = 3;

const depthOf = (path) => path.match(/\bblocks\b/g).length;

/** The paths of the lists of blocks in a block. */
function listsIn(block, path) {
  if (block?.type === 'columns') return block.columns.map((_, number) => `${path}.columns.${number}.blocks`);
  return block?.type === 'list' ? [`${path}.blocks`] : [];
}

/** All blocks in document order, each with its path. */
function blocksOf(mail, list = 'blocks') {
  return valueAt(mail, list).flatMap((block, index) => {
    const path = `${list}.${index}`;
    return [{ path, block }, ...listsIn(block, path).flatMap((inner) => blocksOf(mail, inner))];
  });
}

/** Whether the server accepts a block in a list: three levels, no columns in a column, the content once at the top. */
export function mayHold(mail, list, block) {
  const depth = depthOf(list) - 1;
  const hasContent = blocksOf(mail).some(({ block: other }) => other.type === 'content' && other !== block);
  return blocksOf({ blocks: [block] }).every(({ path, block: { type } }) => depth + depthOf(path) <= MAX_DEPTH
    && (type !== 'columns' || !list.includes('.columns.')) && (type !== 'content' || (list === 'blocks' && !hasContent)));
}

/** The types of blocks that a list may get. */
export const typesFor = (mail, list) => Object.keys(TYPES).filter((type) => mayHold(mail, list, TYPES[type].make()));

/** The places at which a block may be, in document order. */
function placesOf(mail, path, list = 'blocks') {
  const block = valueAt(mail, path), found = [];
  const isOpen = list === placeOf(path).list || mayHold(mail, list, block);
  const blocks = valueAt(mail, list);
  for (let index = 0; index <= blocks.length; index++) {
    const inner = `${list}.${index}`;
    if (isOpen) found.push({ list, index });
    if (inner !== path) found.push(...listsIn(blocks[index], inner).flatMap((one) => placesOf(mail, path, one)));
  }
  return found;
}

/** Move a block one place up (-1) or down (1) in document order, into and out of lists and columns. Null at the ends. */
export function movedBy(mail, path, step) {
  const { list, index } = placeOf(path);
  // The places directly before and after the block are where it is.
  const places = placesOf(mail, path).filter((one) => one.list !== list || one.index !== index + 1);
  const target = places[places.findIndex((one) => one.list === list && one.index === index) + step];
  return target ? moved(mail, path, target.list, target.index) : null;
}

/** Move a block to a place of a list; null if it may not be there. */
export const movedTo = (mail, path, list, index) => (list === placeOf(path).list || mayHold(mail, list, valueAt(mail, path)) ? moved(mail, path, list, index) : null);

/** A copy of a block with keys that no other block has. */
export function copyOf(mail, block) {
  const known = blocksOf(mail).map(({ block: one }) => one), copy = structuredClone(block);
  for (const { block: one } of blocksOf({ blocks: [copy] })) {
    if (one.key !== undefined) one.key = freeKey({ steps: known }, String(one.key));
    known.push(one);
  }
  return copy;
}

const areBlocks = (all) => Array.isArray(all) && all.every(isBlock);

/** Whether a value of the clipboard has the form of a block. The server checks its fields. */
export function isBlock(one) {
  if (!Object.hasOwn(TYPES, one?.type)) return false;
  return one.type === 'list' ? areBlocks(one.blocks) : one.type !== 'columns' || (Array.isArray(one.columns) && one.columns.every((column) => areBlocks(column?.blocks)));
}

export const nameOf = ({ key, type }) => key ?? TYPES[type].title;

/** The place of a block in words: `2 of 3, column 1 of Columns`. */
export function whereIs(mail, path) {
  const { list, index } = placeOf(path);
  const [, owner, column] = /^(.+?)(?:\.columns\.(\d+))?\.blocks$/.exec(list) ?? [];
  return `${index + 1} of ${valueAt(mail, list).length}${owner ? `, ${column ? `column ${Number(column) + 1} of ` : 'in '}${nameOf(valueAt(mail, owner))}` : ''}`;
}

/** The path of the block that a field of a problem is in, or null. */
export const blockPathOf = (field) => /^blocks\.\d+(?:\.(?:columns\.\d+\.)?blocks\.\d+)*/.exec(field)?.[0] ?? null;

/** The blocks with problems in document order. */
export const pathsWithProblems = (mail, fields) => {
  const paths = new Set(fields.map(blockPathOf));
  return blocksOf(mail).map(({ path }) => path).filter((path) => paths.has(path));
};

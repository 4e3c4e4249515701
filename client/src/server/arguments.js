/** Checks of arguments before anything is sent. Every error names the argument. */

import { InvalidArgument } from './errors.js';

const LONE_SURROGATE = /\p{Surrogate}/u; // a lone surrogate cannot be encoded in UTF-8

/** An id or a name as text. @param {unknown} value @param {string} name @returns {string} */
export function text(value, name) {
  const isId = typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
  if (!isId || `${value}`.trim() === '') throw new InvalidArgument(`${name}: expected a text or a number that is not empty, got ${shown(value)}`);
  if (LONE_SURROGATE.test(`${value}`)) throw new InvalidArgument(`${name}: must be valid Unicode text`);
  return String(value);
}

/** A value of a query parameter. @param {unknown} value @param {string} name @returns {string} */
export function parameter(value, name) {
  if (value === '' || typeof value === 'boolean') return String(value);
  return text(value, name);
}

/** Check that JSON can represent the app's data. @param {unknown} value @param {string} name @returns {unknown} */
export function data(value, name) {
  try {
    if (JSON.stringify(value, expressible) === undefined) throw new TypeError(`${shown(value)} cannot be represented in JSON`);
  } catch (cause) {
    throw new InvalidArgument(`${name}: cannot be written as JSON: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  return value;
}

/**
 * Reject values that JSON.stringify drops or replaces. Fields that are undefined are absent, as everywhere in
 * JavaScript.
 * @param {string} key @param {unknown} value
 */
function expressible(key, value) {
  const isLost = typeof value === 'function' || typeof value === 'symbol' || value instanceof Map || value instanceof Set;
  if (isLost || (typeof value === 'number' && !Number.isFinite(value))) throw new TypeError(`${key && `${key}: `}${shown(value)} cannot be represented in JSON`);
  if (typeof value === 'string' && LONE_SURROGATE.test(value)) throw new TypeError(`${key && `${key}: `}must be valid Unicode text`);
  return value;
}

/** @param {unknown} value */
function shown(value) {
  if (value === null || ['undefined', 'number', 'boolean', 'bigint', 'symbol'].includes(typeof value)) return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'function' ? 'a function' : `a value of the type ${value?.constructor?.name ?? 'Object'}`;
}

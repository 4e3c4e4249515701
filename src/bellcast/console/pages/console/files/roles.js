/**
 * The roles of operators, and what they may open.
 */
import { count } from './format.js';

export const ALL = ['owner', 'developer', 'support', 'viewer'];
export const CONTENT = ['owner', 'developer', 'support'];
export const BUILDERS = ['owner', 'developer'];
export const OWNERS = ['owner'];

/** Why an operator may not open a page, or with `isObject` one of its objects, as a sentence; null if it may. */
export function refusalOf({ roles, isOfServer }, me, isObject = false) {
  if (!roles.includes(me.role) || (isObject && !CONTENT.includes(me.role))) return `Your role, ${me.role}, does not permit this page.`;
  if (!isOfServer || !me.tenants) return null;
  return `This page is about the server and all of its tenants. Your account is restricted to ${count(me.tenants.length, 'tenant')}: ${me.tenants.join(', ')}.`;
}

/** @import { Refused } from '../api.js' */

/**
 * True if the server refuses requests of this page, usually because of its origin. Signing in again does not help,
 * unlike after the end of a session.
 * @param {Refused} error
 */
export const isPageRefused = ({ status, code }) => status === 403 && code === 'forbidden';

/** @import { Refused } from '../api.js' */

/** True if the server refuses the page, usually for its origin: unlike an ended session, a new sign-in would not change that. @param {Refused} error */
export const isPageRefused = ({ status, code }) => status === 403 && code === 'forbidden';

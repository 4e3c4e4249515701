/** @import { Refused } from '../api.js' */

/** True if the server refuses the page, usually for its origin. A new sign-in would not change that, unlike for an ended session. @param {Refused} error */
export const isPageRefused = ({ status, code }) => status === 403 && code === 'forbidden';

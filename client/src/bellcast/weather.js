/** What bad weather takes: who stays connected, and where actions are kept. Fetched with the first line, so that it is there before the line breaks. */

export { Pilot } from './pilot.js';
export { Shelf } from './shelf.js';

/** What keeps a session live. Fetched behind the first look at the inbox, which needs none of it. */

export { Connection } from './connection.js';
export { Tabs } from './tabs.js';

/** Bellcast in a page: registers `<bellcast-bell>` and exports the headless `Session`. */

export * from './bellcast/index.js';

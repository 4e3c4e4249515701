/** The types of data are in `data-types.d.ts`: an app adds those of its schemas. */
export {};

/** Where the ids of notifications are stored that wait for the person to be back. */

export const BACK_KEY = 'bellcast until back';

/** Storage may be forbidden: then there is none. @template T @param {(storage: {local: Storage, tab: Storage}) => T} run @returns {T | undefined} */
export function withStorage(run) {
  try {
    return run({ local: localStorage, tab: sessionStorage });
  } catch {
    return undefined;
  }
}

/** Whether notifications wait, and this tab is not the one in which they were snoozed. */
export const isBack = () => withStorage(({ local, tab }) => Boolean(local.getItem(BACK_KEY)) && !tab.getItem(BACK_KEY)) ?? false;

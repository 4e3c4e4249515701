/** From a lesser way back to a better one. */

/** @import { Link } from './sse.js' */

const READY_TIMEOUT = 10_000; // ms until it greets
const MIN_DELAY = 60_000; // ms until a better way is tried again, doubling
const MAX_DELAY = 600_000;

/**
 * Tries the better ways beside the one in use, which goes on until one greets.
 * @param {number} way  the one in use, 0 is the best
 * @param {(way: number, hear: (event: {type: string}) => void, end: () => void) => Link | null} dial
 * @param {(after: number, run: () => void) => void} later @param {(way: number) => void} take
 */
export function scheduleUpgrade(way, dial, later, take, after = MIN_DELAY) {
  /** @param {number} at */
  function attempt(at) {
    if (at >= way) return scheduleUpgrade(way, dial, later, take, Math.min(MAX_DELAY, after * 2));
    let over = false;
    /** @param {boolean} better */
    const decide = (better) => {
      if (over) return;
      over = true;
      link?.close();
      if (better) take(at);
      else attempt(at + 1);
    };
    /** @type {Link | null} */
    let link = null;
    link = dial(at, ({ type }) => type === 'ready' && decide(true), () => decide(false));
    later(READY_TIMEOUT, () => decide(false));
  }
  later(after, () => attempt(0));
}

/** Upgrade from a fallback to a better transport. */

/** @import { Link } from './sse.js' */

const READY_TIMEOUT = 10_000; // ms until `ready`
const MIN_DELAY = 60_000; // ms until the better transports are tried again, doubling
const MAX_DELAY = 600_000;

/**
 * Try the better transports while the current one stays in use, until one of them is ready.
 * @param {number} current  index of the transport in use; 0 is the best
 * @param {(index: number, onEvent: (event: {type: string}) => void, onClose: () => void) => Link | null} dial
 * @param {(delay: number, run: () => void) => void} schedule @param {(index: number) => void} switchTo
 */
export function scheduleUpgrade(current, dial, schedule, switchTo, delay = MIN_DELAY) {
  /** @param {number} index */
  function attempt(index) {
    if (index >= current) return scheduleUpgrade(current, dial, schedule, switchTo, Math.min(MAX_DELAY, delay * 2));
    let over = false;
    /** @param {boolean} better */
    const decide = (better) => {
      if (over) return;
      over = true;
      link?.close();
      if (better) switchTo(index);
      else attempt(index + 1);
    };
    /** @type {Link | null} */
    let link = null;
    link = dial(index, ({ type }) => type === 'ready' && decide(true), () => decide(false));
    schedule(READY_TIMEOUT, () => decide(false));
  }
  schedule(delay, () => attempt(0));
}

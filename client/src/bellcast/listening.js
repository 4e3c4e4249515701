/** Events as a stream: `for await (const event of session)`. */

/**
 * @param {EventTarget} target @param {string[]} types @param {() => boolean} over  asked at each `change`
 * @returns {AsyncGenerator<CustomEvent, void>}
 */
export async function* listen(target, types, over) {
  /** @type {CustomEvent[]} */
  const heard = [];
  const end = new AbortController();
  /** @type {((value: null) => void) | undefined} */
  let wake;
  /** @param {Event} event */
  const hear = (event) => {
    heard.push(/** @type {CustomEvent} */ (event));
    wake?.(null);
  };
  for (const type of ['change', ...types]) target.addEventListener(type, hear, end);
  try {
    for (;;) {
      const event = heard.shift();
      if (event && event.type !== 'change') yield event;
      else if (!event && over()) return;
      else if (!event) await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    end.abort();
  }
}

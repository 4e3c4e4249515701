/** Events as a stream: `for await (const event of session)`. */

/**
 * @param {EventTarget} target @param {string[]} types @param {() => boolean} over  asked at each `change`
 * @returns {AsyncGenerator<CustomEvent, void>}
 */
export async function* listen(target, types, over) {
  /** @type {CustomEvent[]} */
  const heard = [];
  let wake = () => {};
  /** @param {Event} event */
  const hear = (event) => {
    if (event.type !== 'change') heard.push(/** @type {CustomEvent} */ (event));
    wake();
  };
  const all = [...types, 'change'];
  for (const type of all) target.addEventListener(type, hear);
  try {
    while (heard.length || !over()) {
      const event = heard.shift();
      if (event) yield event;
      else await new Promise((resolve) => (wake = () => resolve(null)));
    }
  } finally {
    for (const type of all) target.removeEventListener(type, hear);
  }
}

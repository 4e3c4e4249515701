/** The counter in the page's title. Only a counter added here is removed: a page may begin its own title with a number. */

let prefix = '';

/** @param {string} count  '' to remove it */
export function setTitleCount(count) {
  const shown = `${document.title} `; // a page without a title shows the counter, without the space after it
  const title = (shown.startsWith(prefix) ? shown.slice(prefix.length) : shown).trimEnd();
  prefix = count && `(${count}) `;
  if ((prefix + title).trimEnd() !== document.title) document.title = prefix + title;
}

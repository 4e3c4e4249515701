/** The counter in the page's title. Only a counter added here is removed: a page may begin its own title with a number. */

let prefix = '';

/** @param {string} count  '' to remove it */
export function setTitleCount(count) {
  const title = prefix && document.title.startsWith(prefix) ? document.title.slice(prefix.length) : document.title;
  prefix = count && `(${count}) `;
  if (prefix + title !== document.title) document.title = prefix + title;
}

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/** One per text for all elements; constructed, so that no Content-Security-Policy has to allow inline styles. @param {string} css */
export function sheet(css) {
  const sheet = sheets.get(css) ?? new CSSStyleSheet();
  if (!sheets.has(css)) sheet.replaceSync(css);
  sheets.set(css, sheet);
  return sheet;
}

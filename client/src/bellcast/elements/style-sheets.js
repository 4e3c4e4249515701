/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/** One style sheet per text, shared by all elements. Constructed, so that a Content-Security-Policy need not allow inline styles. @param {string} css */
export function sheet(css) {
  const sheet = sheets.get(css) ?? new CSSStyleSheet();
  if (!sheets.has(css)) sheet.replaceSync(css);
  sheets.set(css, sheet);
  return sheet;
}

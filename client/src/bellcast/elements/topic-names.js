/**
 * Names of topics, separated by commas, or as a JSON array if a name contains a comma. This is unambiguous because no
 * name begins with a bracket.
 * @param {string} text @returns {string[]}
 */
export function parseTopics(text) {
  /** @type {unknown[]} */
  let names = text.split(',');
  try {
    if (text.trim().startsWith('[')) names = JSON.parse(text);
  } catch {
    // The server refuses names with brackets, and the page reports the refusal.
  }
  return names.map((name) => String(name).trim()).filter(Boolean);
}

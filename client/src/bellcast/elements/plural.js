/** A number with its noun, as each language forms it. */

/** @param {string} lang @param {Record<string, string>} forms @returns {(count: number | string) => string} */
export const plural = (lang, forms) => {
  const rules = new Intl.PluralRules(lang);
  return (count) => (forms[rules.select(parseInt(String(count)))] ?? forms.other ?? '').replace('#', String(count));
};

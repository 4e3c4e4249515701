/** Plural forms of a number with its noun. */

/** @param {string} lang @param {Record<string, string>} forms @returns {(count: number | string) => string} */
export const plural = (lang, forms) => {
  const rules = new Intl.PluralRules(lang);
  return (count) => (forms[rules.select(parseInt(String(count)))] ?? forms.other ?? '').replace('#', String(count));
};

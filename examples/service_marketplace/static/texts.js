/** The page's texts in its language, from the file that the server uses too. */

const { lang, dataset: { root } } = document.documentElement;
const response = await fetch(`${root}/static/texts/${lang}.json`);
const texts = await response.json();
const plurals = new Intl.PluralRules(lang);

/** A text with its values. One with a `count` has a form for each plural category. */
export function text(key, values = {}) {
  const entry = texts[key];
  const form = typeof entry === 'string' ? entry : entry[plurals.select(values.count)];
  return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A time of day, with the digits that the site's own times have. */
export const timeOfDay = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', numberingSystem: 'latn' });

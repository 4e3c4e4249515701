/**
 * What the server finds in a template: a button with the number of findings, and their list, which leads to each place.
 */
import { html, useEffect, useState } from './html.js';
import { count } from './format.js';
import { Icon, Popup } from './parts.js';
import { setQuery } from './router.js';
import { request } from './server.js';
import { CHANNELS, languageName, optionalOf } from './template-model.js';
import { unbroken } from './text-input.js';

// A check renders all languages: it waits for a longer pause than the preview.
const CHECK_MS = 1000;
/** The width of the page from which the button says what it counts. */
const WIDE_PX = 1200;
const SEVERITIES = { error: ['bad', 'Stops the publication', 'error'], warning: ['warn', 'Warnings', 'warning'], info: ['info', 'Good to know', 'hint'] };

/** The findings of values, a second after their last change or that of the brand; null until they are known. Values with problems keep the last. */
export function useFindings({ path, values, problems, brandChanges, mayCheck }) {
  const [findings, setFindings] = useState(null);
  const isValid = mayCheck && problems.length === 0 && Object.keys(values).length > 0;
  useEffect(() => {
    if (!isValid) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setFindings((await request('POST', path('/check'), { values }, abort.signal)).findings);
      } catch {
        if (!abort.signal.aborted) setFindings(null); // saving and the preview say why
      }
    }, CHECK_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [values, isValid, brandChanges]);
  return findings;
}

/** Whether findings stop the publication. */
export const hasErrors = (findings) => findings?.some(({ severity }) => severity === 'error') ?? false;

/** Show the place of a finding, and focus its block. */
function show({ channel, locale, block }) {
  setQuery({ view: null, ...(channel && { channel, locale: locale ?? null }) }, { isQuiet: true });
  if (block) requestAnimationFrame(() => {
    const names = [block, block.split('.')[0]].map((name) => `[data-block="${CSS.escape(name)}"]`);
    const card = names.map((name) => document.querySelector(name)).find(Boolean);
    (card?.querySelector('.block-fields :is(textarea, input)') ?? card?.querySelector('button'))?.focus();
  });
}

const placeOfFinding = ({ channel, locale, block, line }) => [channel && CHANNELS[channel], channel && languageName(locale ?? ''), block && `block ${block}`, line && `line ${line}`].filter(Boolean).join(' · ');

/** The number of findings; pressed, the list. `insertDefault` gets a variable that a send may leave out. */
export function Checks({ findings, insertDefault }) {
  if (!findings) return html`<span class="checks" />`; // the room of the button
  const [worst] = findings;
  const words = worst && count(findings.filter(({ severity }) => severity === worst.severity).length, SEVERITIES[worst.severity][2]);
  return html`<${Popup} class="findings" label=${`Checks: ${words ?? 'nothing found'}`} buttonClass=${`quiet checks ${worst?.severity ?? 'none'}`} button=${html`<${Icon} name=${worst ? SEVERITIES[worst.severity][0] : 'ok'} /> ${innerWidth < WIDE_PX ? words?.split(' ')[0] : words}`}>${(close) => (findings.length === 0
    ? html`<p>The checks of links, images, colors, lengths, languages and variables found nothing.</p>`
    : Object.entries(SEVERITIES).map(([severity, [icon, title]]) => {
      const some = findings.filter((one) => one.severity === severity);
      return some.length > 0 && html`<section key=${severity} aria-label=${title}><h2>${title}</h2>${some.map((one, index) => html`<button key=${index} type="button" class="option" onClick=${() => { close(); show(one); }}><${Icon} name=${icon} /><span>${unbroken(one.message)}<small class="muted">${placeOfFinding(one)}</small></span></button>${insertDefault && optionalOf(one) && html`<button type="button" class="insert-default" onClick=${() => { close(); insertDefault(optionalOf(one)); }}>Insert default</button>`}`)}</section>`;
    }))}<//>`;
}

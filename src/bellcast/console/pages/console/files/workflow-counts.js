/**
 * Runs on the canvas: how many are in which state at each step, as links to the list of runs.
 */
import { html, useState } from './html.js';
import { RANGE, startOf } from './filters.js';
import { count, number } from './format.js';
import { useEvery, useLoad } from './load.js';
import { Icon } from './parts.js';
import { setQuery } from './router.js';
import { get, path as urlPath, withQuery } from './server.js';
import { remember, remembered } from './session.js';

/** The states of a step that are counted, with their icons and words. */
const STATES = [['done', 'ok', 'done'], ['waiting', 'hourglass', 'waiting'], ['skipped', 'skip', 'skipped'], ['failed', 'bad', 'failed']];
/** Counts are read again after this time, for which the server keeps them. */
const COUNT_MS = 10_000;

/**
 * What the runs of a workflow did, read again and again while it is shown.
 * @returns {any} `of(key)` are the counts of a step as `[state, icon, word, number, link]`, without those that are 0
 */
export function useRunCounts(page, tenant, isVisible) {
  const [isShown, setShown] = useState(() => remembered('runs-on-canvas', true));
  const range = page.query.get('range') ?? '';
  const isOn = isShown && isVisible;
  const read = (signal) => get(withQuery(urlPath`/v1/workflows/${page.key}/stats`, { tenant: tenant || '*', from: startOf(range) }), signal);
  const found = useLoad(async (signal) => (isOn ? read(signal) : null), [page.key, tenant, range, isOn]);
  useEvery(COUNT_MS, () => isOn && found.reload());
  const link = (query) => withQuery(page.url('/runs'), { tenant, workflow: page.key, range, ...query });
  const { steps = {}, runs = {}, exact = true } = found.value ?? {};
  return {
    isShown, range, exact, steps, isLoaded: Boolean(found.value), link,
    toggle: () => { remember('runs-on-canvas', !isShown); setShown(!isShown); },
    total: Object.values(runs).reduce((sum, one) => sum + one, 0),
    of: (key) => STATES.map(([state, icon, word]) => [state, icon, word, state === 'skipped' ? Object.values(steps[key]?.skipped ?? {}).reduce((sum, one) => sum + one, 0) : steps[key]?.[state] ?? 0, link({ step: key, step_state: state })]).filter(([, , , value]) => value > 0),
  };
}

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** The counts at a card. Screen readers have them in the description of the step, and the keyboard as links in its form. */
export const CardRuns = ({ runs, step }) => html`<div class="card-runs" aria-hidden="true">${runs.of(step).map(([state, icon, word, value, link]) => html`<a key=${state} class=${`run-count ${state}`} tabIndex="-1" href=${link} data-count=${state} title=${`${count(value, 'run')} ${word}: show them`}><${Icon} name=${icon} />${short.format(value)}</a>`)}</div>`;

/** The counts of a step as a sentence. */
export const runsText = (runs, step) => runs.of(step).map(([, , word, value]) => `${number(value)} ${word}`).join(', ') || null;

/** The counts in the form of a step, with the reasons of skips. */
export function StepRuns({ runs, step }) {
  if (!step || !runs.isLoaded) return null;
  const reasons = Object.entries(runs.steps[step]?.skipped ?? {}).sort(([, one], [, other]) => other - one);
  const all = runs.of(step);
  return html`<section class="step-runs" aria-label="Runs"><h3>Runs</h3>${all.length === 0 ? html`<p class="muted">No run has reached this step.</p>` : html`<ul>${all.map(([state, icon, word, value, link]) => html`<li key=${state}><a class=${`run-count ${state}`} href=${link} data-count=${state}><${Icon} name=${icon} />${number(value)} ${word}</a>
    ${state === 'skipped' && html`<ul class="run-reasons">${reasons.map(([reason, times]) => html`<li key=${reason}><span>${reason}</span><span>${number(times)}</span></li>`)}</ul>`}</li>`)}</ul>`}</section>`;
}

/** Shows and hides the counts, and chooses the time in which their runs began. */
export const RunsBar = ({ runs }) => html`<div class="runs-bar" role="group" aria-label="Runs"><button type="button" aria-pressed=${String(runs.isShown)} onClick=${runs.toggle}><${Icon} name="runs" /> Runs</button>
  ${runs.isShown && html`<select aria-label="Runs that began" value=${runs.range} onChange=${(event) => setQuery({ range: event.currentTarget.value }, { isQuiet: true })}><option value="">at any time</option>${RANGE.options.map((one) => html`<option key=${one} value=${one}>${RANGE.words[one]}</option>`)}</select>
    <a href=${runs.link({})}>${!runs.isLoaded ? '…' : runs.total === 0 ? 'none' : runs.exact ? number(runs.total) : `newest ${number(runs.total)}`}</a>`}</div>`;

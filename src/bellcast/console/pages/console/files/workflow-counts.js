/**
 * Runs on the canvas: how many are in which state at each step, as links to the list of runs.
 */
import { html, useMemo, useState } from './html.js';
import { RANGE, startOf } from './filters.js';
import { count, number } from './format.js';
import { useEvery, useLoad } from './load.js';
import { inWords, reasonOf, simulatedText, simulationOf } from './outcomes.js';
import { Icon } from './parts.js';
import { setQuery } from './router.js';
import { get, path as urlPath, withQuery } from './server.js';
import { remember, remembered } from './session.js';
import { stepsOf } from './workflow-model.js';

/** The states of a step that are counted, with their icons. Messages of a channel without a provider are simulated. */
const STATES = [['done', 'ok'], ['waiting', 'hourglass'], ['skipped', 'skip'], ['failed', 'bad']];
/** Counts are read again after this time, for which the server keeps them. */
const COUNT_MS = 10_000;
/** The newest messages of a workflow: a channel is simulated if all of its messages among them are. */
const NEWEST = 20;
const CHANNELS = ['email', 'sms', 'push', 'chat'];

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/**
 * What the runs of a workflow did, read again and again while it is shown.
 * @returns {any} `of(key)` are the counts of a step, without those that are 0
 */
export function useRunCounts(page, tenant, values, isVisible) {
  const [isShown, setShown] = useState(() => remembered('runs-on-canvas', true));
  const range = page.query.get('range') ?? '';
  const isOn = isShown && isVisible;
  const read = async (signal) => {
    const query = { tenant: tenant || '*', from: startOf(range) };
    const [stats, { messages }] = await Promise.all([get(withQuery(urlPath`/v1/workflows/${page.key}/stats`, query), signal), get(withQuery('/v1/messages', { ...query, workflow: page.key, limit: NEWEST }), signal)]);
    const simulated = CHANNELS.map((channel) => messages.filter((one) => one.channel === channel)).filter((all) => all.length > 0 && all.every(({ state }) => state === 'simulated')).map(([newest]) => newest);
    return { ...stats, simulated: await Promise.all(simulated.map(async (one) => ({ channel: one.channel, simulated: await simulationOf(one, signal) }))) };
  };
  const found = useLoad(async (signal) => (isOn ? read(signal) : null), [page.key, tenant, range, isOn]);
  useEvery(COUNT_MS, () => isOn && found.reload());
  return useMemo(() => {
    const link = (query) => withQuery(page.url('/runs'), { tenant, workflow: page.key, range, ...query });
    const { steps = {}, runs = {}, exact = true, simulated = [] } = found.value ?? {};
    const types = new Map(stepsOf(values).map(({ step: one }) => [one?.key, one?.type]));
    const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);
    const shownOf = ([step, counts]) => STATES.map(([state, icon]) => {
      const value = state === 'skipped' ? sum(counts.skipped) : counts[state];
      const stored = state === 'done' && simulated.find(({ channel }) => channel === types.get(step)), isSimulated = Boolean(stored);
      return value > 0 && { state, icon: isSimulated ? 'info' : icon, isSimulated, text: `${number(value)} ${state}${isSimulated ? ` (${simulatedText(stored)})` : ''}`, short: short.format(value), link: link({ step, step_state: state }) };
    }).filter(Boolean);
    const shown = new Map(Object.entries(steps).map((one) => [one[0], shownOf(one)]));
    return {
      isShown, range, exact, isLoaded: Boolean(found.value), link, total: sum(runs), of: (step) => shown.get(step) ?? [], typeOf: (step) => types.get(step), reasons: (step) => Object.entries(steps[step]?.skipped ?? {}),
      toggle: () => { remember('runs-on-canvas', !isShown); setShown(!isShown); },
    };
  }, [found.value, values.steps, isShown, range, tenant, page.key]);
}

/** The counts at a card. Screen readers have them in the description of the step, and the keyboard as links in its form. */
export const CardRuns = ({ runs, step }) => html`<div class="card-runs" aria-hidden="true">${runs.of(step).map((one) => html`<a key=${one.state} class=${`run-count ${one.isSimulated ? 'simulated' : one.state}`} tabIndex="-1" href=${one.link} data-count=${one.state} title=${`${one.text}: show these runs`}><${Icon} name=${one.icon} />${one.short}</a>`)}</div>`;

/** The counts of a step as a sentence. */
export const runsText = (runs, step) => runs.of(step).map(({ text }) => text).join(', ') || null;

/** The counts in the form of a step, with the reasons of skips. */
export function StepRuns({ runs, step }) {
  if (!step || !runs.isLoaded) return null;
  const reasons = runs.reasons(step).sort(([, one], [, other]) => other - one);
  const all = runs.of(step);
  return html`<section class="step-runs" aria-label="Runs"><h3>Runs</h3>${all.length === 0 ? html`<p class="muted">No run has reached this step.</p>` : html`<ul>${all.map((one) => html`<li key=${one.state}><a class=${`run-count ${one.isSimulated ? 'simulated' : one.state}`} href=${one.link} data-count=${one.state}><${Icon} name=${one.icon} />${one.text}</a></li>`)}</ul>
    ${reasons.length > 0 && html`<details class="rare"><summary>Why it was skipped</summary><ul class="run-reasons">${reasons.map(([reason, times]) => html`<li key=${reason}><span>${inWords(reasonOf({ channel: runs.typeOf(step), reason }))}</span>${reasons.length > 1 && html`<span>${number(times)}</span>`}</li>`)}</ul></details>`}`}</section>`;
}

/** Shows and hides the counts, and chooses the time in which their runs began. */
export const RunsBar = ({ runs }) => html`<div class="runs-bar" role="group" aria-label="Runs"><button type="button" aria-pressed=${String(runs.isShown)} onClick=${runs.toggle}><${Icon} name="runs" /> Runs</button>
  ${runs.isShown && html`<select aria-label="Runs that began" value=${runs.range} onChange=${(event) => setQuery({ range: event.currentTarget.value }, { isQuiet: true })}><option value="">at any time</option>${RANGE.options.map((one) => html`<option key=${one} value=${one}>${RANGE.words[one]}</option>`)}</select>
    <a href=${runs.link({})}>${!runs.isLoaded ? '…' : runs.total === 0 ? (runs.exact ? 'no runs' : 'none of the newest') : runs.exact ? count(runs.total, 'run') : `newest ${count(runs.total, 'run')}`}</a>`}</div>`;

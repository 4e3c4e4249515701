/**
 * A run on the flow of its version: what each step did.
 */
import { html, useState } from './html.js';
import { dayTime, duration } from './format.js';
import { outcomeOfStep } from './run-outcome.js';
import { Picture } from './workflow-picture.js';

const KIND_OF_STATE = { failed: 'bad', waiting: 'wait', running: 'wait' };

/** What a step of a run shows. */
function stateOf(step, run) {
  const { state, due_at: due, started_at: started, ended_at: ended, attempts } = step;
  const seconds = started && ended ? (new Date(ended) - new Date(started)) / 1000 : 0;
  const { word, kind, text } = outcomeOfStep(step, run);
  const first = word[0].toUpperCase() + word.slice(1);
  const words = { done: seconds >= 1 ? `Done after ${duration(seconds * 1000)}` : first, waiting: due ? `Waits until ${dayTime(due)}` : 'Waits', running: 'Runs now' };
  const shown = `${text && word === 'simulated' ? text : `${words[state] ?? first}${text ? `: ${text}` : ''}`}${attempts > 1 ? `, ${attempts} attempts` : ''}`;
  return { state, kind: state === 'done' ? kind : KIND_OF_STATE[state] ?? 'info', shown: text && word === 'simulated' ? first : shown, text: shown };
}

/** The states of a run's steps and branches, as the canvas shows them. */
export const shownOf = (run) => ({
  states: new Map(run.steps.map((one) => [one.key, stateOf(one, run)])),
  lane: (key, { isElse, number }) => {
    const step = run.steps.find((one) => one.key === key);
    if (step?.state !== 'done') return step?.state;
    return (isElse ? step.result === 'else' : step.result === number - 1) ? 'taken' : 'skipped';
  },
});

/** The flow, in which a step can be selected. */
export function RunPicture({ run, schema, values }) {
  const [selected, setSelected] = useState(null);
  return html`<div class="run-picture"><${Picture} ...${{ values, schema, selected, ...shownOf(run) }} select=${setSelected} edit=${setSelected} copy=${() => {}} /></div>`;
}

/**
 * What a step of a run did: its state, and for a step that sends what became of its messages, with the reason in words.
 */
import { failureOf, outcomeOf, reasonOf, simulatedText } from './outcomes.js';
import { kindOf } from './parts.js';
import { get, withQuery } from './server.js';
import { conditionText, stepsOf, valueAt } from './workflow-model.js';

/** The explanation of a run's messages; none if it cannot be read. */
export async function explainRun({ id, recipient }, tenant, signal) {
  try {
    return await get(withQuery('/v1/explain', { recipient, run: id, ...tenant }), signal);
  } catch {
    return { channels: [], actions: [] };
  }
}

/** Why the run did not come to a step: the run failed or ended before it. */
const ENDED = /^ended: the run ended at (\S+)/;

/** Why the condition of a step was not true: the value in the data of the run that it compares, else the condition. */
function untrue(step, { definition, data }) {
  const condition = definition && stepsOf(definition).find((one) => one.step.key === step.key)?.step.if, of = condition?.var;
  const value = of?.startsWith('data.') ? valueAt({ data }, of) ?? null : undefined;
  if (value === null) return `${of} is missing`;
  return value === undefined || typeof value === 'object' ? condition && `Not true: ${conditionText(condition, false)}` : `${of} is ${JSON.stringify(value)}`;
}

/** @returns {{word: string, kind: string, text: string}} the state in a word, how it is shown, and the reason. `why` explains the messages of the run, `definition` is that of its version, if it is known */
export function outcomeOfStep(step, run) {
  const { channels } = run.why;
  const [, last] = ENDED.exec(step.reason ?? '') ?? [];
  if (last) return { word: 'not reached', kind: 'info', text: `The run ended at ${last}` };
  if (step.state === 'failed') return { word: 'failed', kind: kindOf('failed'), text: failureOf(step.reason) };
  if (step.state === 'pending') return { word: 'not reached', kind: kindOf(step.state), text: '' };
  const sent = channels.find(({ message }) => message && step.messages.includes(message));
  const skipped = step.reason && channels.find(({ channel, outcome, rule }) => channel === step.type && outcome === 'skip' && rule === step.reason);
  if (step.reason === 'condition') return { word: step.state, kind: kindOf(step.state), text: untrue(step, run) || reasonOf(step) };
  if (step.state !== 'done' || !sent?.state) return { word: step.state, kind: kindOf(step.state), text: reasonOf({ channel: step.type, reason: step.reason, because: skipped?.reason }) };
  const [kind, word] = outcomeOf(sent);
  return { word, kind, text: word === 'simulated' ? simulatedText(sent) : kind === 'ok' ? '' : sent.text };
}

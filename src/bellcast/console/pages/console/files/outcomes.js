/**
 * What became of a channel, in words: outcomes, reasons, and simulated messages.
 */
import { html } from './html.js';
import { get, withQuery } from './server.js';

export const CHANNEL_NAMES = { inbox: 'Inbox', email: 'E-mail', sms: 'SMS', push: 'Push', chat: 'Chat' };
/** What a channel sends, in a sentence. */
export const MESSAGE_NAMES = { inbox: 'inbox message', email: 'e-mail', sms: 'SMS', push: 'push message', chat: 'chat message' };
const ENDED = { failed: 'failed', bounced: 'bounced', suppressed: 'suppressed', cancelled: 'cancelled', expired: 'expired' };

/** Why a channel was skipped, if there is no explanation with names. */
export const SKIPPED = {
  condition: 'Its condition was not true', branch: 'Its branch was not taken', muted: 'The recipient has muted this type or everything', channel: 'The channel is switched off in the preferences', type: 'The type is switched off in the preferences',
  workflow: 'The workflow is switched off in the preferences', no_address: 'The recipient has no address for it', invalid_address: 'The address is not valid', suppressed: 'The address is suppressed', too_deep: 'Workflows that trigger each other are nested too deeply',
};

const NO_ADDRESS = { email: 'The recipient has no e-mail address', sms: 'The recipient has no phone number', push: 'The recipient has registered no browser and no app', chat: 'The recipient has no chat address' };

/** The reason in an explanation of a channel that was skipped, or of a step. */
export function reasonOf({ channel, rule, reason = rule, because }) {
  const words = (['condition', 'branch', 'no_address'].includes(reason) ? null : because) ?? NO_ADDRESS[reason === 'no_address' && channel] ?? SKIPPED[reason] ?? reason?.replace(/^ended: /, '') ?? '';
  return words && words[0].toUpperCase() + words.slice(1);
}

/** A variable without a value that a text reads without a default, as the reason of a run or step names it. */
const MISSING = /invalid: (\S+): is missing: (\w+)\.\S+ of the template uses it without default\(\)/;

/** An explanation in which such a reason is in words. */
export const inWords = (text) => text.replace(MISSING, (reason) => failureOf(reason).replace(/^T/, 't'));

/** The variable and the channel, if a run failed because a text reads a variable without a value. */
export const missingOf = (reason) => MISSING.exec(reason ?? '')?.slice(1) ?? null;

/** Why a run or a step failed, in words. */
export function failureOf(reason) {
  const [variable, channel] = missingOf(reason) ?? [];
  return variable ? `The ${MESSAGE_NAMES[channel] ?? 'text'} needs ${variable}, which ${variable.startsWith('data.') ? 'the trigger did not send' : 'has no value'}` : reason;
}

const PROVIDERS = { email: 'an e-mail provider', sms: 'an SMS provider', push: 'a push provider', chat: 'a chat provider' };
/** Why messages of a channel were only simulated, by their explanation: it has no provider, or had none, or a setting says so. */
export const simulatedText = ({ channel, simulated }) => (simulated === 'no_provider' ? `Simulated: ${PROVIDERS[channel].replace(/^an?/, 'no')} is set up` : 'Simulated: stored, not sent');
/** Why a simulated message is one: `no_provider`, `setting`, null if a provider was set up since then, or undefined if there is no explanation. */
export async function simulationOf({ channel, recipient, notification, run, tenant }, signal) {
  try {
    const { channels } = await get(withQuery('/v1/explain', { recipient, notification, run: notification ? null : run, tenant }), signal);
    return channels.findLast((one) => one.channel === channel && one.state === 'simulated')?.simulated;
  } catch {
    return undefined;
  }
}
export const SetUpProvider = ({ page, channel, tenant, isPrimary = false }) => html`<a class=${isPrimary ? 'button primary' : 'button'} href=${withQuery(page.url('/providers'), { ...tenant, new: 'yes', channel })}>Set up ${PROVIDERS[channel] ?? 'providers'}</a>`;

/** The kind and the word of a channel's outcome. */
export function outcomeOf({ outcome, state, rule, channel }) {
  if (outcome === 'skip') return rule === null ? ['bad', 'failed'] : ['info', rule === 'muted' ? 'muted' : 'not sent'];
  if (state === 'simulated') return ['info', 'simulated'];
  if (ENDED[state]) return [['failed', 'bounced'].includes(state) ? 'bad' : 'info', ENDED[state]];
  if (outcome === 'hold' && (state ?? 'held') === 'held') return ['wait', 'held'];
  if (state === 'queued' || state === 'sending') return ['wait', 'waiting'];
  return ['ok', state ?? (channel === 'inbox' ? 'in the inbox' : 'would be sent')];
}

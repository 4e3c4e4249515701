/**
 * The names of tenants, which rows only have as keys.
 */
import { html, signal } from './html.js';
import { BASE } from './router.js';
import { get, path, withQuery } from './server.js';

/** As many as one response can contain; the others are shown by their keys. */
const MAX_TENANTS = 200;

/** By key; null without a name. */
const names = new Map();
/** The tenant of the start page, which sends to itself. */
const OWN = { 'bellcast-landing': 'Start page' };
/** Raised when names were read. */
const version = signal(0);

/** Read tenants by the beginning of their keys, and keep their names. */
export async function readTenants(prefix, signal, limit = MAX_TENANTS) {
  const { tenants } = await get(withQuery('/v1/tenants', { limit, prefix }), signal);
  for (const { key, name } of tenants) names.set(key, name);
  version.value += 1;
  return tenants.map(({ key }) => key);
}

/** Read the names of the tenants of rows, with one request for all that are not known. */
export async function readTenantNames(keys, signal) {
  const unknown = keys.filter((key) => key && !names.has(key));
  if (unknown.length === 0) return;
  try {
    await readTenants('', signal);
    for (const key of unknown) names.set(key, names.get(key) ?? null);
  } catch {
    // The keys are shown.
  }
}

export const tenantName = (key) => (version.value && names.get(key)) || OWN[key] || key;
/** A tenant by its name, as a link once it is known to be one. */
export const Tenant = ({ of }) => (tenantName(of) && names.has(of) ? html`<a class="plain" title=${of} href=${BASE + path`/tenants/${of}`}>${tenantName(of)}</a>` : of);

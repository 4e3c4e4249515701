/** The address and the secret, from arguments or the environment. */

import { InvalidArgument, NotConfigured } from './errors.js';

const DEFAULT_URL = 'http://127.0.0.1:8787';

/** @param {string} name @returns {string | undefined} */
function variable(name) {
  const { process, Deno } = /** @type {any} */ (globalThis);
  try {
    return process?.env?.[name] || Deno?.env?.get(name) || undefined;
  } catch {
    return undefined; // Deno without permission to read the environment
  }
}

/** @param {string | undefined} url */
export function findUrl(url) {
  const found = url ?? variable('BELLCAST_URL') ?? DEFAULT_URL;
  if (!/^https?:\/\//.test(found)) throw new InvalidArgument(`url: expected an address that begins with http:// or https://, got ${JSON.stringify(found)}`);
  return found.replace(/\/+$/, '');
}

/** The secret, and the project's public key if it is known. @param {string | undefined} secret @param {string | undefined} key @returns {{secret: string, key: string | null}} */
export function findCredentials(secret, key) {
  const found = secret ?? variable('BELLCAST_SECRET');
  const [, projectKey, ...rest] = (variable('BELLCAST_PROJECT') ?? '').split(':');
  const projectSecret = rest.join(':');
  if (found) return { secret: found, key: key ?? (projectSecret === found ? projectKey ?? null : null) };
  if (!projectSecret) throw new NotConfigured('no secret: pass `secret`, or set BELLCAST_SECRET or BELLCAST_PROJECT, which `bellcast env` prints');
  return { secret: projectSecret, key: key ?? projectKey ?? null };
}

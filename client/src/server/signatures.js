/** HMAC-SHA256 with Web Crypto: session tokens (JWT, HS256) and Standard Webhooks. */

/** @typedef {{subtle: any, randomUUID(): string}} WebCrypto */

const text = new TextEncoder();

/** @param {Uint8Array} bytes */
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** @param {Uint8Array} bytes */
const base64url = (bytes) => base64(bytes).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** @param {WebCrypto} crypto @param {Uint8Array} key @param {Uint8Array} message @returns {Promise<Uint8Array>} */
async function hmac(crypto, key, message) {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, message));
}

/** Sign the claims as a JWT. @param {WebCrypto} crypto @param {string} secret @param {string | null} key @param {object} claims @returns {Promise<string>} */
export async function signToken(crypto, secret, key, claims) {
  const part = (/** @type {object} */ value) => base64url(text.encode(JSON.stringify(value)));
  const signed = `${part({ alg: 'HS256', typ: 'JWT', ...(key && { kid: key }) })}.${part(claims)}`;
  return `${signed}.${base64url(await hmac(crypto, text.encode(secret), text.encode(signed)))}`;
}

/** The bytes of a secret, or the decoded base64 after `whsec_`. @param {string} secret */
function keyBytes(secret) {
  if (!secret.startsWith('whsec_')) return text.encode(secret);
  return Uint8Array.from(atob(secret.slice(6)), (character) => character.charCodeAt(0));
}

/** True if one of the signatures of a Standard Webhooks request is valid and its time is within the tolerance. @param {WebCrypto} crypto @param {string} secret @param {(name: string) => string | null} header @param {string} body @param {number} tolerance  seconds */
export async function isSigned(crypto, secret, header, body, tolerance) {
  const [id, moment, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(header);
  if (!id || !moment || !signatures || !/^\d+$/.test(moment) || Math.abs(Date.now() / 1000 - Number(moment)) > tolerance) return false;
  const expected = `v1,${base64(await hmac(crypto, keyBytes(secret), text.encode(`${id}.${moment}.${body}`)))}`;
  return signatures.split(' ').some((signature) => isEqual(signature, expected));
}

/** Compare in constant time. @param {string} a @param {string} b */
function isEqual(a, b) {
  let difference = a.length ^ b.length;
  for (let at = 0; at < b.length; at++) difference |= a.charCodeAt(at % (a.length || 1)) ^ b.charCodeAt(at);
  return difference === 0;
}

/**
 * End-to-end encryption between the devices of two people, with WebCrypto. Each device has an ECDH key pair on P-256. A
 * message is encrypted once with AES-GCM under a fresh key, and that key is encrypted for every device with AES-GCM under a
 * key that only that device and the sender's can derive (ECDH, then HKDF). The booking, the message's id and both devices
 * are authenticated, so a message cannot be moved to another chat undetected.
 */

const PAIR = { name: 'ECDH', namedCurve: 'P-256' };
const { subtle } = crypto;
const bytes = (text) => new TextEncoder().encode(text);

export function letters(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

function unletter(text) {
  return Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
}

/** The private key is not exportable. */
export const newPair = () => subtle.generateKey(PAIR, false, ['deriveBits']);

export const shownKey = async ({ publicKey }) => letters(await subtle.exportKey('raw', publicKey));

/** The device id: the start of its key's digest. The site computes the same. */
export async function nameOf(key) {
  const digest = new Uint8Array(await subtle.digest('SHA-256', unletter(key)));
  return Array.from(digest.slice(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Derive the key that two devices share for one message, from one private and one public key. */
async function between(pair, key, { booking, id, from, to }) {
  const other = await subtle.importKey('raw', unletter(key), PAIR, false, []);
  const secret = await subtle.deriveBits({ name: 'ECDH', public: other }, pair.privateKey, 256);
  const material = await subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  const info = bytes(`gable chat ${booking} ${from} ${to}`);
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: bytes(id), info };
  return subtle.deriveKey(derivation, material, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
}

const gcm = (iv, { booking, id, from }) => ({ name: 'AES-GCM', iv, additionalData: bytes(`${booking} ${id} ${from}`) });

/** @param {string} words @param {number} booking @param {{name: string, pair: CryptoKeyPair}} own @param {{id: string, key: string}[]} devices */
export async function seal(words, booking, own, devices) {
  const id = crypto.randomUUID();
  const place = { booking, id, from: own.name };
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const secret = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']);
  const body = letters(await subtle.encrypt(gcm(iv, place), secret, bytes(words)));
  const raw = await subtle.exportKey('raw', secret);
  // One iv is safe for all, because each key is used once.
  const sealedFor = async ({ id: to, key }) => [to, letters(await subtle.encrypt(gcm(iv, place), await between(own.pair, key, { ...place, to }), raw))];
  return { id, device: own.name, iv: letters(iv), body, keys: Object.fromEntries(await Promise.all(devices.map(sealedFor))) };
}

/** Decrypt a message. Returns null if it was not encrypted for this device; throws if it was altered. */
export async function unseal({ id, device, iv, body, keys }, booking, own, keyOf) {
  const sealed = keys[own.name];
  const key = keyOf(device);
  if (!sealed || !key) return null;
  const place = { booking, id, from: device };
  const opening = gcm(unletter(iv), place);
  const raw = await subtle.decrypt(opening, await between(own.pair, key, { ...place, to: own.name }), unletter(sealed));
  const secret = await subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
  return new TextDecoder().decode(await subtle.decrypt(opening, secret, unletter(body)));
}

/** Thirty digits from all device keys. Equal digits on both sides rule out a man in the middle. */
export async function codeOf(devices) {
  const all = devices.map(({ person, key }) => `${person} ${key}`).sort().join('\n');
  const digest = new DataView(await subtle.digest('SHA-256', bytes(all)));
  return [0, 4, 8, 12, 16, 20].map((at) => String(digest.getUint32(at) % 100_000).padStart(5, '0')).join(' ');
}

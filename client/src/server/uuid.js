/** UUIDv5 (RFC 9562): the key of an outbox row, derived from a text. SHA-1 is computed here because Web Crypto's is async. */

const NAMESPACE_URL = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** @param {number} value @param {number} by */
const rotate = (value, by) => (value << by) | (value >>> (32 - by));

/** @param {Uint8Array} bytes @returns {Uint8Array} */
function sha1(bytes) {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, bytes.length * 8);
  let [h0, h1, h2, h3, h4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const words = new Int32Array(80);
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 16; at++) words[at] = view.getInt32(block + at * 4);
    for (let at = 16; at < 80; at++) words[at] = rotate(word(at - 3) ^ word(at - 8) ^ word(at - 14) ^ word(at - 16), 1);
    let [a, b, c, d, e] = [h0, h1, h2, h3, h4];
    for (let at = 0; at < 80; at++) {
      const [mixed, constant] = round(at, b, c, d);
      [a, b, c, d, e] = [(rotate(a, 5) + mixed + e + constant + word(at)) | 0, a, rotate(b, 30), c, d];
    }
    [h0, h1, h2, h3, h4] = [(h0 + a) | 0, (h1 + b) | 0, (h2 + c) | 0, (h3 + d) | 0, (h4 + e) | 0];
  }
  const digest = new DataView(new ArrayBuffer(20));
  [h0, h1, h2, h3, h4].forEach((value, at) => digest.setInt32(at * 4, value));
  return new Uint8Array(digest.buffer);

  /** @param {number} at */
  function word(at) {
    return words[at] ?? 0;
  }
}

/** @param {number} at @param {number} b @param {number} c @param {number} d @returns {[number, number]} */
function round(at, b, c, d) {
  if (at < 20) return [(b & c) | (~b & d), 0x5a827999];
  if (at < 40) return [b ^ c ^ d, 0x6ed9eba1];
  if (at < 60) return [(b & c) | (b & d) | (c & d), 0x8f1bbcdc];
  return [b ^ c ^ d, 0xca62c1d6];
}

/** The key of an outbox row: a UUID stays as it is, other text becomes its UUIDv5 (URL namespace). @param {string} text */
export function rowKey(text) {
  if (UUID.test(text)) return text;
  const namespace = Uint8Array.from(NAMESPACE_URL.replace(/-/g, '').match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const digest = sha1(Uint8Array.from([...namespace, ...new TextEncoder().encode(text)])).slice(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x50;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

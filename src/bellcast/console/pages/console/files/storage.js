/**
 * Web storage. Browsers deny it to frames of other sites if third-party cookies are blocked: values then last as long as the page.
 */
function storage(name) {
  try {
    const found = window[name];
    found.getItem(''); // some browsers deny the access only
    return found;
  } catch {
    const values = new Map();
    return { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value), removeItem: (key) => values.delete(key) };
  }
}

export const local = storage('localStorage');
export const session = storage('sessionStorage');

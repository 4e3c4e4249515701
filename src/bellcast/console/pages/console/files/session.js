/**
 * The signed-in operator, and what the console remembers in this browser.
 */
import { signal } from './html.js';
import { local } from './storage.js';

/** The operator, or null. */
export const me = signal(null);

/** Whether an operator signed in with this browser: pages open to everyone then ask the server for it. */
export const SIGNED_IN = 'bellcast-signed-in';
/** The page of a window that returned from the identity provider. */
export const SIGNED_IN_PATH = '/signed-in';
const THEME = 'bellcast-theme';
export const THEMES = ['system', 'light', 'dark'];
export const theme = signal(local.getItem(THEME) ?? 'system');

export function setTheme(name) {
  theme.value = name;
  local.setItem(THEME, name);
  applyTheme();
}

/** Colours follow the system unless a theme was chosen. */
export function applyTheme() {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

// The other tabs of the browser follow.
addEventListener('storage', ({ key, newValue }) => {
  if (key !== THEME) return;
  theme.value = newValue;
  applyTheme();
});

/** Values that this operator stored in this browser, such as saved views. */
export function remembered(name, initial) {
  try {
    return JSON.parse(local.getItem(`bellcast-${me.value.name}-${name}`)) ?? initial;
  } catch {
    return initial;
  }
}

export const remember = (name, value) => local.setItem(`bellcast-${me.value.name}-${name}`, JSON.stringify(value));

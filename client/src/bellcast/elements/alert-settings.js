/** The alerts that the user enabled in this browser. */

/** @typedef {'sound' | 'desktop'} AlertKind */

/** Whether the user enabled this kind of alert in this browser. @param {AlertKind} choice */
export function isEnabled(choice) {
  try {
    return localStorage.getItem(`bellcast ${choice}`) === 'on' && (choice === 'sound' || globalThis.Notification?.permission === 'granted');
  } catch {
    return false; // storage may be forbidden
  }
}

/** Must be called in a click handler: browsers show the permission prompt only then. @param {AlertKind} choice */
export async function toggle(choice) {
  const on = !isEnabled(choice) && (choice === 'sound' || ((await canShow()) && (await Notification.requestPermission()) === 'granted'));
  try {
    localStorage.setItem(`bellcast ${choice}`, on ? 'on' : 'off');
  } catch {
    return false;
  }
  if (on && choice === 'sound') void import('./desktop-notifications.js').then(({ chime }) => chime()).catch(() => {}); // a sample only
  return on;
}

/** Whether the browser's settings forbid this kind of alert; a page cannot request the permission again. @param {AlertKind} choice */
export const isBlocked = (choice) => choice === 'desktop' && globalThis.Notification?.permission === 'denied';

/** @param {AlertKind} choice */
export const isSupported = (choice) => (choice === 'sound' ? 'AudioContext' : 'Notification') in globalThis;

/** Whether the browser can show a notification. Those of Android need a service worker: the constructor throws. Others show
 * nothing without the permission. */
export async function canShow() {
  try {
    new Notification('', { silent: true }).close();
    return true;
  } catch {
    return Boolean(await navigator.serviceWorker?.getRegistration());
  }
}

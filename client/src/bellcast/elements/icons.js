/** Paths of the icons. Each is an export of its own, so that a bundle contains only those that it uses. */

export const bell = 'M6 9.5a6 6 0 0 1 12 0c0 4.6 2 6.5 2 6.5H4s2-1.9 2-6.5M10 19.5a2.2 2.2 0 0 0 4 0';
export const check = 'M5 12.5 10 17.5 19.5 7';
export const checks = 'M2 12.5 7 17.5 15.5 8M11.5 17l.5.5L22.5 7';
export const unread = 'M3.5 6h17v12.5h-17zM4 6.5l8 6.5 8-6.5';
export const trash = 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7';
export const archive = 'M3.5 5h17v4h-17zM5 9v10h14V9M10 13h4';
export const inbox = 'M4 13l2.5-8h11L20 13v6H4zM4 13h5a3 3 0 0 0 6 0h5';
export const sound = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11';
export const desktop = 'M3.5 5h17v11h-17zM9 20h6M12 16v4';
export const close = 'M6 6l12 12M18 6 6 18';
export const more = 'M5.5 12v.01M12 12v.01M18.5 12v.01';
export const up = 'M12 19V5.5M6 11l6-6 6 6';
export const clock = 'M12 7.5V12l3 2M12 3.5a8.5 8.5 0 1 0 .01 0';
export const mute = 'M6.2 8.5C6 9 6 9.3 6 9.5c0 4.6-2 6.5-2 6.5h12M9.3 4.2A6 6 0 0 1 18 9.5c0 2.2.5 3.8 1 4.9M10 19.5a2.2 2.2 0 0 0 4 0M4.5 4.5l15 15';
export const lock = 'M6 11h12v8.5H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3';
export const settings = 'M4 7h10M18 7h2M4 17h2M10 17h10M14 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M6 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0';
export const alert = 'M12 7.5v5.5M12 16.5v.01M12 3a9 9 0 1 0 .01 0';

/** Icons of notifications: of their type, or named by their `icon`. */
export const payment = 'M3.5 6h17v12h-17zM3.5 10h17M7 14.5h3.5';
export const comment = 'M4 5h16v11h-8.5L7 19.5V16H4z';
export const calendar = 'M4.5 6h15v13.5h-15zM4.5 10.5h15M8.5 3.5V8M15.5 3.5V8';
export const parcel = 'M12 3.5 20 8v8.5l-8 4-8-4V8zM4 8l8 4 8-4M12 12v8.5';
export const person = 'M12 12a4 4 0 1 0 0-8 4 4 0 1 0 0 8M4.5 20.5a7.5 7.5 0 0 1 15 0';
export const page = 'M6 3.5h8L18.5 8v12.5H6zM14 3.5V8h4.5M9 12.5h6.5M9 16.5h6.5';

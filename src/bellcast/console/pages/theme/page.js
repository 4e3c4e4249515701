import { Session } from './bellcast.js';
import { copyText } from './bellcast/check.js';

// The defaults of the elements, as light and dark. `test_theme.py` compares the names with the style sheets.
const COLORS = {
  accent: ['#4f56d9', '#8b93ff'], background: ['#ffffff', '#191a1d'], hover: ['#f5f5f8', '#232429'], text: ['#1b1c20', '#edeef2'], muted: ['#62646e', '#a1a4af'],
  border: ['#e6e7ec', '#2f3138'], urgent: ['#b01c2a', '#ff8a91'], high: ['#8a5200', '#f2b84b'], badge: ['#d92d3d', '#d92d3d'], 'badge-text': ['#ffffff', '#ffffff'],
};
/** What the sizes are of. */
const SIZE_WORDS = { radius: 'Corner radius', spacing: 'Spacing', size: 'Bell', width: 'Panel width', height: 'Panel height', font: 'Font' };
const SIZES = { radius: '14px', spacing: '10px', size: '40px', width: '408px', height: '600px', font: 'system-ui, sans-serif' };
/** Values that differ from the defaults; a third value of a colour is the design system's own variable. */
const PRESETS = {
  Default: {},
  Neutral: { accent: ['#27272a', '#e4e4e7'], hover: ['#f4f4f5', '#27272a'], text: ['#18181b', '#fafafa'], muted: ['#5b5b64', '#a1a1aa'], border: ['#e4e4e7', '#3f3f46'], radius: '10px' },
  Graphite: {
    accent: ['#4a52c4', '#9aa2ff'], background: ['#fbfbfc', '#141518'], hover: ['#f0f1f4', '#1d1f24'], text: ['#191b1f', '#e8e9ec'], muted: ['#5d616b', '#969aa5'],
    border: ['#e3e5ea', '#26282e'], urgent: ['#b3261e', '#ff8f88'], high: ['#825000', '#e9b04f'], badge: ['#4a52c4', '#5c64d8'], radius: '8px', spacing: '7px', size: '32px', font: 'Inter, system-ui, sans-serif',
  },
  Paper: {
    accent: ['#0f62a8', '#7cb7ea'], background: ['#ffffff', '#202020'], hover: ['#f4f3f0', '#2b2b2a'], text: ['#2f2b26', '#e6e3de'], muted: ['#66615a', '#aaa59d'],
    border: ['#e8e5df', '#383735'], urgent: ['#ad2d24', '#f28b82'], high: ['#855300', '#e0b060'], badge: ['#c13a30', '#c13a30'], radius: '6px', font: 'Georgia, serif',
  },
  Material: {
    accent: ['#6750a4', '#d0bcff'], background: ['#fffbff', '#211f26'], hover: ['#f3edf7', '#2b2930'], text: ['#1d1b20', '#e6e0e9'], muted: ['#49454f', '#cac4d0'],
    border: ['#cac4d0', '#49454f'], urgent: ['#b3261e', '#f2b8b5'], high: ['#7a4f00', '#efbd6b'], badge: ['#b3261e', '#f2b8b5'], 'badge-text': ['#ffffff', '#601410'],
    radius: '16px', spacing: '14px', size: '48px', font: 'Roboto, system-ui, sans-serif',
  },
  Bootstrap: {
    accent: ['#0a58ca', '#8bb9fe', 'bs-link-hover-color'], background: ['#ffffff', '#212529', 'bs-body-bg'], hover: ['#f8f9fa', '#2b3035', 'bs-tertiary-bg'],
    text: ['#212529', '#dee2e6', 'bs-body-color'], muted: ['#595c5f', '#adb5bd'], border: ['#dee2e6', '#495057', 'bs-border-color'], urgent: ['#b02a37', '#ea868f'],
    high: ['#856404', '#ffda6a'], badge: ['#dc3545', '#dc3545', 'bs-danger'], radius: '6px', font: 'inherit',
  },
  'Tailwind, shadcn/ui': {
    accent: ['#18181b', '#fafafa', 'primary'], background: ['#ffffff', '#18181b', 'popover'], hover: ['#f4f4f5', '#27272a', 'accent'], text: ['#09090b', '#fafafa', 'popover-foreground'],
    muted: ['#5f5f68', '#a1a1aa', 'muted-foreground'], border: ['#e4e4e7', '#34343a', 'border'], urgent: ['#b91c1c', '#f87171', 'destructive'], high: ['#854d0e', '#fbbf24'],
    badge: ['#dc2626', '#dc2626', 'destructive'], radius: '8px', font: 'inherit',
  },
  'Primer, GitHub': {
    accent: ['#0969da', '#58a6ff', 'fgColor-accent'], background: ['#ffffff', '#0d1117', 'bgColor-default'], hover: ['#f6f8fa', '#151b23', 'bgColor-muted'],
    text: ['#1f2328', '#f0f6fc', 'fgColor-default'], muted: ['#59636e', '#9198a1', 'fgColor-muted'], border: ['#d1d9e0', '#3d444d', 'borderColor-default'], urgent: ['#b3202b', '#ff7b72', 'fgColor-danger'],
    high: ['#7d4e00', '#d29922', 'fgColor-attention'], badge: ['#0969da', '#1f6feb', 'bgColor-accent-emphasis'], radius: '6px', spacing: '8px', size: '32px',
  },
  Pastel: {
    accent: ['#8a3d8f', '#eaaef0'], background: ['#fff8fc', '#261f2b'], hover: ['#fbeaf5', '#322838'], text: ['#3a2440', '#f6eaf8'], muted: ['#735579', '#c4aac9'],
    border: ['#f1d9ea', '#453850'], urgent: ['#b3174c', '#ff9db8'], high: ['#8a4a00', '#f6c58a'], badge: ['#a8327e', '#eaaef0'], 'badge-text': ['#ffffff', '#3a2440'], radius: '24px', spacing: '13px', size: '44px',
  },
  Midnight: {
    accent: ['#0b6bcb', '#4cc2ff'], background: ['#f4f8ff', '#0b1226'], hover: ['#e6effc', '#131d38'], text: ['#0c1a38', '#e3ecff'], muted: ['#4d5f85', '#95a7cf'],
    border: ['#d3e0f5', '#223055'], urgent: ['#b01c48', '#ff8fab'], high: ['#7b4b00', '#ffc76b'], badge: ['#b01c48', '#ff8fab'], 'badge-text': ['#ffffff', '#2b0a16'], radius: '12px',
  },
  Terminal: {
    accent: ['#006b2d', '#3ddc84'], background: ['#f7faf5', '#0a0f0a'], hover: ['#e9f1e6', '#131b13'], text: ['#11240f', '#c9f5d3'], muted: ['#4a6046', '#82b08d'],
    border: ['#c5d6bf', '#254029'], urgent: ['#a3131f', '#ff7b72'], high: ['#6f4d00', '#f0c000'], badge: ['#006b2d', '#3ddc84'], 'badge-text': ['#ffffff', '#06210f'], radius: '0px', spacing: '6px', font: 'ui-monospace, monospace',
  },
  'High contrast': {
    accent: ['#0000c8', '#ffe14d'], background: ['#ffffff', '#000000'], hover: ['#eeeeee', '#1f1f1f'], text: ['#000000', '#ffffff'], muted: ['#2b2b2b', '#dddddd'],
    border: ['#000000', '#ffffff'], urgent: ['#9b0000', '#ff9c9c'], high: ['#5c3a00', '#ffc46b'], badge: ['#9b0000', '#ffe14d'], 'badge-text': ['#ffffff', '#000000'], radius: '4px', spacing: '12px', size: '44px',
  },
};
/** The colours that are read, and those behind them. Each has 4.5 to 1 in all presets, the minimum of WCAG AA. */
const READ = { accent: ['background', 'hover'], text: ['background', 'hover'], muted: ['background', 'hover'], urgent: ['background', 'hover'], high: ['background', 'hover'], 'badge-text': ['badge'] };
const AA = 4.5;
const TAGS = 'bellcast-bell, bellcast-inbox, bellcast-toasts, bellcast-preferences';
const DEFAULTS = { ...COLORS, ...SIZES };
const SCHEMES = ['light', 'dark'];
// What a link may set: nothing that ends a declaration.
const COLOR = /^#[0-9a-f]{6}$/;
const SIZE = /^[\w .,'"-]{1,100}$/;
const [preview, css, copied, applied, undo] = ['preview', 'css', 'copied', 'applied', 'undo'].map((id) => document.getElementById(id));
let preset = 'Default';
let values = {};

/** The values of a preset. @param {string} name */
const valuesOf = (name) => structuredClone({ ...DEFAULTS, ...PRESETS[name] });

/** The value of a custom property, in the shortest way. @param {string | string[]} value */
function textOf(value) {
  if (typeof value === 'string') return value;
  const [light, dark, variable] = value;
  const own = light === dark ? light : `light-dark(${light}, ${dark})`;
  return variable ? `var(--${variable}, ${own})` : own;
}

/** Set the custom properties of an element. */
function dress(element, theme) {
  for (const [name, value] of Object.entries(theme)) element.style.setProperty(`--bellcast-${name}`, textOf(value));
}

/** The size of the panel in a tile is that of the tile. @param {string} name @param {object} theme */
const dressTile = (name, theme) => dress(document.querySelector(`[name=preset][value="${name}"]`).closest('.tile').firstElementChild, { ...theme, width: SIZES.width, height: '430px' });

/** The relative luminance of a colour (WCAG 2). @param {string} color */
function luminance(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The lowest contrast of a colour with those behind it. @param {object} theme @param {string} name @param {number} scheme */
function contrast(theme, name, scheme) {
  return Math.min(...READ[name].map((behind) => {
    const [low, high] = [theme[name], theme[behind]].map((pair) => luminance(pair[scheme])).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
}

/** Rounded down, so that 4.49 is not shown as enough. */
const figure = (ratio) => (Math.floor(ratio * 10) / 10).toFixed(1);

/** Show values: in the fields, in the preview, as CSS and in the address. */
function show() {
  const lines = [];
  const link = new URLSearchParams({ theme: preset });
  const base = valuesOf(preset);
  dress(preview, values);
  dressTile(preset, values);
  for (const [name, value] of Object.entries(values)) {
    const text = textOf(value);
    if (text !== textOf(DEFAULTS[name])) lines.push(`  --bellcast-${name}: ${text};`);
    if (text !== textOf(base[name])) link.set(name, [value].flat().join(' '));
  }
  for (const input of document.querySelectorAll('[data-property]')) {
    const { property, scheme } = input.dataset;
    const value = scheme ? values[property][scheme] : values[property];
    if (input.value !== value && input !== document.activeElement) input.value = value;
    const ratio = scheme && READ[property] ? contrast(values, property, Number(scheme)) : null;
    if (ratio) input.nextSibling.replaceChildren(ratio < AA ? create('span', { className: 'low', title: `Too low: text needs ${AA}` }, `${figure(ratio)} low`) : figure(ratio));
  }
  for (const input of document.querySelectorAll('[name=preset]')) input.checked = input.value === preset;
  css.textContent = lines.length ? `${TAGS} {\n${lines.join('\n')}\n}` : `${TAGS} {\n  /* the defaults */\n}`;
  document.getElementById('download').href = `data:text/css;charset=utf-8,${encodeURIComponent(`${css.textContent}\n`)}`;
  history.replaceState(null, '', link.size > 1 || preset !== 'Default' ? `#${link}` : location.pathname);
  copied.textContent = '';
}

/** Apply a theme, and offer the values before it. @param {string} name */
function choose(name) {
  const before = { preset, values };
  dressTile(preset, valuesOf(preset));
  [preset, values] = [name, valuesOf(name)];
  document.activeElement?.matches('.controls input') && document.activeElement.blur();
  show();
  applied.textContent = `“${name}” is applied.`;
  undo.hidden = false;
  undo.onclick = () => {
    ({ preset, values } = before);
    show();
    applied.textContent = `“${preset}” is back.`;
    undo.hidden = true;
    document.querySelector('[name=preset]:checked').focus();
  };
}

/** @param {string} tag @param {object} properties @param {...(Node | string)} content */
function create(tag, { dataset = {}, ...properties } = {}, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, dataset);
  element.append(...content);
  return element;
}

/** A bell above an open panel. */
function panel() {
  const elements = ['bellcast-bell', 'bellcast-inbox'].map((tag) => create(tag));
  for (const element of elements) element.setAttribute('session', '');
  return [create('span', { className: 'bar' }, create('strong', {}, 'Your app'), elements[0]), elements[1]];
}

/** A tile of the gallery: a live panel that takes no clicks, and its lowest contrast. @param {string} name */
function tile(name) {
  const theme = valuesOf(name);
  const lowest = Math.min(...Object.keys(READ).flatMap((color) => SCHEMES.map((_, scheme) => contrast(theme, color, scheme))));
  const face = create('span', { className: 'face stage', inert: true }, ...panel());
  dress(face, { ...theme, width: SIZES.width, height: '430px' });
  const note = `${figure(lowest)} ${lowest < AA ? 'low' : 'AA'}`;
  const input = create('input', { type: 'radio', name: 'preset', value: name, ariaLabel: `${name}, lowest contrast ${note}`, onchange: () => choose(name) });
  const lowestNote = create('small', { className: lowest < AA ? 'low' : '', title: 'Lowest contrast of texts, light and dark' }, `Contrast ${note}`);
  return create('label', { className: 'tile' }, face, create('span', { className: 'caption' }, input, create('b', {}, name), lowestNote));
}

/** Set what a link to this page sets. */
function restore() {
  const link = new URLSearchParams(location.hash.slice(1));
  const name = link.get('theme');
  if (Object.hasOwn(PRESETS, name ?? '')) preset = name;
  values = valuesOf(preset);
  for (const [property, text] of link) {
    const parts = text.split(' ');
    if (Object.hasOwn(COLORS, property) && parts.length < 4 && SCHEMES.every((_, at) => COLOR.test(parts[at]))) values[property] = parts.slice(0, 2);
    if (Object.hasOwn(SIZES, property) && SIZE.test(text)) values[property] = text;
  }
}

document.getElementById('presets').append(...Object.keys(PRESETS).map(tile));
for (const name of Object.keys(COLORS)) {
  const cells = SCHEMES.map((scheme, index) => {
    const oninput = ({ target }) => {
      values[name] = values[name].slice(0, 2).with(index, target.value); // no longer the design system's variable
      show();
    };
    return create('td', {}, create('input', { type: 'color', ariaLabel: `${name}, ${scheme}`, oninput, dataset: { property: name, scheme: String(index) } }), create('span', { className: 'contrast' }));
  });
  document.getElementById('colors').append(create('tr', {}, create('th', { scope: 'row' }, name), ...cells));
}
for (const name of Object.keys(SIZES)) {
  const oninput = ({ target }) => ((values[name] = target.value || SIZES[name]), show());
  document.getElementById('sizes').append(create('label', { className: 'size', title: `--bellcast-${name}` }, SIZE_WORDS[name], create('input', { oninput, dataset: { property: name } })));
}
const setScheme = (scheme) => document.querySelectorAll('.stage').forEach((stage) => (stage.style.colorScheme = scheme));
for (const input of document.querySelectorAll('[name=scheme]')) input.onchange = () => setScheme(input.value);
for (const [id, text] of [['copy', () => css.textContent], ['share', () => location.href]]) {
  document.getElementById(id).onclick = () => {
    copied.textContent = copyText(text()) ? 'Copied' : 'Not copied';
  };
}
preview.append(...panel());
const first = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
document.querySelector(`[name=scheme][value=${first}]`).checked = true;
setScheme(first);
restore();
show();
addEventListener('hashchange', () => (restore(), show()));
document.querySelector('main').className = 'complete';

// Sample notifications, in a session whose server is this script.
const DAY = 24 * 60; // minutes
const SAMPLES = [
  [1, { title: 'Ann Lind requested Saturday, 14 March', body: 'A family portrait, two hours.', actor: { name: 'Ann Lind' }, actions: [{ key: 'yes', label: 'Accept', style: 'primary' }, { key: 'no', label: 'Decline', style: 'danger' }] }],
  [12, { title: 'The payment failed twice', type: 'payment_failed', body: 'The card ending in 4242 was declined.', priority: 'urgent', action_url: '#card', action_text: 'Update the card' }],
  [50, { title: 'The contract needs your signature', type: 'contract', priority: 'high' }],
  [90, { title: 'Export of “Nordic Weddings”', type: 'export', body: '37 of 88 photographs', data: { progress: 0.42 } }],
  [DAY + 60, { title: 'Bo Chen commented on a gallery', body: '**Number 12** is *lovely*.', body_format: 'markdown', actor: { name: 'Bo Chen' }, read: true }],
  [3 * DAY, { title: 'Your weekly summary is ready', type: 'report', priority: 'low', read: true }],
];
const rows = SAMPLES.map(([minutes, { read = false, ...fields }], index) => {
  const at = new Date(Date.now() - minutes * 60_000).toISOString();
  return {
    id: `00000000-0000-7000-8000-00000000000${SAMPLES.length - index}`, type: 'sample', title: '', body: null, priority: 'normal', action_url: null, action_text: null, icon: null, actor: null, data: {},
    tags: [], group: null, created_at: at, expires_at: null, seen_at: at, read_at: read ? at : null, archived_at: null, ...fields,
  };
});
const counts = { unread: rows.filter(({ read_at }) => !read_at).length, unseen: 0, position: '1' };
const session = new Session({
  environment: {
    fetch: async (url) => Response.json(/inbox\?/.test(url) && !/view=(archived|snoozed)/.test(url) ? { notifications: /view=unread/.test(url) ? rows.filter(({ read_at }) => !read_at) : rows, next: null, ...counts } : { notifications: [], next: null, effective: [], changed: 1, ...counts }),
    WebSocket: class {
      constructor() {
        setTimeout(() => this.onmessage({ data: JSON.stringify({ type: 'ready', connection: 'sample', recipient: 'you', heartbeat: 86_400, resumed: true, topics: [], refused: [], ...counts }) }));
      }
      send() {}
      close() {}
    },
  },
});
session.open();
for (const element of document.querySelectorAll('[session]')) element.session = session;

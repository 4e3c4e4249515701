import { Session } from './bellcast.js';

// The defaults of the elements, as light and dark. `test_theme.py` compares the names with the style sheets.
const COLORS = {
  accent: ['#4f56d9', '#8b93ff'], background: ['#ffffff', '#191a1d'], hover: ['#f5f5f8', '#232429'], text: ['#1b1c20', '#edeef2'], muted: ['#62646e', '#a1a4af'],
  border: ['#e6e7ec', '#2f3138'], urgent: ['#b01c2a', '#ff8a91'], high: ['#8a5200', '#f2b84b'], badge: ['#d92d3d', '#d92d3d'], 'badge-text': ['#ffffff', '#ffffff'],
};
const SIZES = { radius: '14px', size: '40px', width: '408px', height: '600px', font: 'system-ui, sans-serif' };
/** Values that differ from the defaults; a third value of a colour is the design system's own variable. */
const PRESETS = {
  Default: {},
  Neutral: { accent: ['#27272a', '#e4e4e7'], hover: ['#f4f4f5', '#27272a'], text: ['#18181b', '#fafafa'], muted: ['#5b5b64', '#a1a1aa'], border: ['#e4e4e7', '#3f3f46'], radius: '10px' },
  Material: {
    accent: ['#6750a4', '#d0bcff'], background: ['#fffbff', '#211f26'], hover: ['#f3edf7', '#2b2930'], text: ['#1d1b20', '#e6e0e9'], muted: ['#49454f', '#cac4d0'],
    border: ['#cac4d0', '#49454f'], urgent: ['#b3261e', '#f2b8b5'], high: ['#7a4f00', '#efbd6b'], badge: ['#b3261e', '#f2b8b5'], 'badge-text': ['#ffffff', '#601410'],
    radius: '16px', size: '48px', font: 'Roboto, system-ui, sans-serif',
  },
  Bootstrap: {
    accent: ['#0d6efd', '#6ea8fe', 'bs-primary'], background: ['#ffffff', '#212529', 'bs-body-bg'], hover: ['#f8f9fa', '#2b3035', 'bs-tertiary-bg'],
    text: ['#212529', '#dee2e6', 'bs-body-color'], muted: ['#595c5f', '#adb5bd'], border: ['#dee2e6', '#495057', 'bs-border-color'], urgent: ['#b02a37', '#ea868f'],
    high: ['#856404', '#ffda6a'], badge: ['#dc3545', '#dc3545', 'bs-danger'], radius: '6px', font: 'inherit',
  },
  'Tailwind, shadcn/ui': {
    accent: ['#18181b', '#fafafa', 'primary'], background: ['#ffffff', '#18181b', 'popover'], hover: ['#f4f4f5', '#27272a', 'accent'], text: ['#09090b', '#fafafa', 'popover-foreground'],
    muted: ['#5f5f68', '#a1a1aa', 'muted-foreground'], border: ['#e4e4e7', '#34343a', 'border'], urgent: ['#b91c1c', '#f87171', 'destructive'], high: ['#854d0e', '#fbbf24'],
    badge: ['#dc2626', '#dc2626', 'destructive'], radius: '8px', font: 'inherit',
  },
};
const TAGS = 'bellcast-bell, bellcast-inbox, bellcast-toasts, bellcast-preferences';
const preview = document.getElementById('preview');
const css = document.getElementById('css');
const copied = document.getElementById('copied');
let values = {};

/** @param {string} name */
function choose(name) {
  values = structuredClone({ ...COLORS, ...SIZES, ...PRESETS[name] });
  for (const input of document.querySelectorAll('[data-property]')) {
    const { property, scheme } = input.dataset;
    input.value = scheme ? values[property][scheme] : values[property];
  }
  show();
}

/** The value of a custom property, in the shortest way. @param {string | string[]} value */
function textOf(value) {
  if (typeof value === 'string') return value;
  const [light, dark, variable] = value;
  const own = light === dark ? light : `light-dark(${light}, ${dark})`;
  return variable ? `var(--${variable}, ${own})` : own;
}

function show() {
  const lines = [];
  for (const [name, value] of Object.entries(values)) {
    const text = textOf(value);
    preview.style.setProperty(`--bellcast-${name}`, text);
    if (text !== textOf(COLORS[name] ?? SIZES[name])) lines.push(`  --bellcast-${name}: ${text};`);
  }
  css.textContent = lines.length ? `${TAGS} {\n${lines.join('\n')}\n}` : `${TAGS} {\n  /* the defaults */\n}`;
  copied.textContent = '';
}

/** @param {string} tag @param {object} properties @param {...(Node | string)} content */
function create(tag, { dataset = {}, ...properties } = {}, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, dataset);
  element.append(...content);
  return element;
}

for (const name of Object.keys(PRESETS)) {
  const input = create('input', { type: 'radio', name: 'preset', checked: name === 'Default', onchange: () => choose(name) });
  document.getElementById('presets').append(create('label', {}, input, name));
}
for (const name of Object.keys(COLORS)) {
  const cells = ['light', 'dark'].map((scheme, index) => {
    const oninput = ({ target }) => {
      values[name] = values[name].slice(0, 2).with(index, target.value); // no longer the design system's variable
      show();
    };
    return create('td', {}, create('input', { type: 'color', ariaLabel: `${name}, ${scheme}`, oninput, dataset: { property: name, scheme: String(index) } }));
  });
  document.getElementById('colors').append(create('tr', {}, create('th', { scope: 'row' }, name), ...cells));
}
for (const name of Object.keys(SIZES)) {
  const oninput = ({ target }) => ((values[name] = target.value || SIZES[name]), show());
  document.getElementById('sizes').append(create('label', { className: 'size' }, name, create('input', { oninput, dataset: { property: name } })));
}
for (const input of document.querySelectorAll('[name=scheme]')) input.onchange = () => (preview.style.colorScheme = input.value);
preview.style.colorScheme = 'light';
document.getElementById('copy').onclick = async () => {
  await navigator.clipboard.writeText(css.textContent);
  copied.textContent = 'Copied';
};
choose('Default');
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
for (const element of preview.querySelectorAll('[session]')) element.session = session;

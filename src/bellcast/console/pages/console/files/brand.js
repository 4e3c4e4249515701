/**
 * A brand: its fields, and how a message with it looks.
 */
import { html } from './html.js';
import { loadStyle } from './load.js';
import { Field } from './parts.js';

await loadStyle('brand.css');

/** The stacks of the server, by name. */
const FONTS = {
  system: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", arial: 'Arial, Helvetica, sans-serif', verdana: 'Verdana, Geneva, sans-serif',
  trebuchet: "'Trebuchet MS', Tahoma, sans-serif", georgia: "Georgia, 'Times New Roman', serif", courier: "'Courier New', Courier, monospace",
};
const FONT_WORDS = { '': 'System', system: 'System', arial: 'Arial', verdana: 'Verdana', trebuchet: 'Trebuchet', georgia: 'Georgia', courier: 'Courier' };
const COLORS = [['color', 'Colour', '#4f56d9', 'Of buttons and links'], ['background', 'Background', '#f3f4f6', 'Around the message'], ['text_color', 'Text', '#111827', 'On white']];
const TEXTS = [['name', 'Name in e-mails'], ['logo_url', 'Logo', 'An https URL.'], ['address', 'Postal address'], ['footer', 'Footer']];
const MAX_RADIUS = 40;
const COLOR = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i;

const usable = (text, otherwise) => (COLOR.test(text ?? '') ? text : otherwise);

/** A color as `#rrggbb`, which an input of colors needs. */
const long = (color) => (color.length === 4 ? `#${[...color.slice(1)].map((digit) => digit + digit).join('')}` : color);

/** @returns The relative luminance of a color, 0 to 1 (WCAG 2.2), as the server computes it. */
function luminance(color) {
  const parts = [1, 3, 5].map((at) => parseInt(long(color).slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The least contrast that is readable (WCAG 2.2). */
const READABLE = 4.5;

/** The contrast of two colors, 1 to 21. */
function contrast(one, other) {
  const [dark, bright] = [one, other].map(luminance).sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

/** What a color makes hard to read: the name on the background, and texts on the white card. */
function hardToRead(name, brand) {
  const [color, background, text] = COLORS.map(([field, , otherwise]) => usable(brand[field], otherwise));
  const uses = { color: [[color, background, 'The name on the background'], [color, '#ffffff', 'A link on white']], text_color: [[text, '#ffffff', 'Text on white']] }[name] ?? [];
  return uses.filter(([one, other]) => contrast(one, other) < READABLE).map(([one, other, what]) => `${what} has a contrast of ${contrast(one, other).toFixed(1)}; at least ${READABLE} is readable.`);
}

/** The fields of a brand; `change` gets it without empty values. */
export function BrandFields({ brand, change, isDisabled = false }) {
  const set = (name) => ({ currentTarget: { value } }) => {
    const { [name]: _, ...others } = brand;
    change(value === '' ? others : { ...others, [name]: name === 'radius' ? Number(value) : value });
  };
  const shared = { disabled: isDisabled, autocomplete: 'off', spellcheck: false };
  const text = ([name, label, hint]) => html`<${Field} key=${name} label=${label} hint=${hint} name=${`brand-${name}`} value=${brand[name] ?? ''} onInput=${set(name)} ...${shared} />`;
  return html`<div class="brand-fields"><div class="brand-inputs">${TEXTS.map(text)}
    ${COLORS.map(([name, label, otherwise, hint]) => html`<div key=${name} class="brand-color"><input type="color" aria-label=${`Choose: ${label}`} value=${long(usable(brand[name], otherwise))} disabled=${isDisabled} onInput=${set(name)} /><${Field} label=${label} hint=${`${hint}, such as ${otherwise}.`} name=${`brand-${name}`} value=${brand[name] ?? ''} placeholder=${otherwise} pattern="#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})" onInput=${set(name)} ...${shared} />${hardToRead(name, brand).map((sentence) => html`<p key=${sentence} class="hint warn">${sentence}</p>`)}</div>`)}
    <${Field} label="Corners" hint="Of buttons, in pixels: 0 to 40." name="brand-radius" type="number" min="0" max=${MAX_RADIUS} step="1" placeholder="8" value=${brand.radius ?? ''} onInput=${set('radius')} ...${shared} />
    <${Field} label="Font" name="brand-font" options=${['', ...Object.keys(FONTS).slice(1)]} words=${FONT_WORDS} defaultValue=${brand.font ?? ''} onChange=${set('font')} disabled=${isDisabled} /></div>
    <${Sample} brand=${brand} /></div>`;
}

/** A small message in the brand's look. */
function Sample({ brand }) {
  const [color, background, text] = COLORS.map(([name, , otherwise]) => usable(brand[name], otherwise));
  const muted = luminance(background) > 0.26 ? '#4b5563' : '#d1d5db';
  return html`<div class="brand-sample" role="img" aria-label="A message with this brand" style=${{ background, color: text, fontFamily: FONTS[brand.font] ?? FONTS.system }}>
    <b class="brand-name" style=${{ color }}>${brand.name || 'Your name'}</b>
    <div class="brand-card"><b>New booking</b><p>Saturday at 14:00, for two.</p><span class="brand-button" style=${{ background: color, color: luminance(color) > 0.179 ? '#000000' : '#ffffff', borderRadius: `${Math.min(MAX_RADIUS, Math.max(0, brand.radius ?? 8))}px` }}>Open</span></div>
    <small style=${{ color: muted }}>${brand.footer || 'Footer'} · ${brand.address || 'Address'}</small></div>`;
}

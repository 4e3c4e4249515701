/**
 * A brand: its fields, and how a message with it looks.
 */
import { Field } from './form.js';
import { html, useState } from './html.js';
import { loadStyle } from './load.js';
import { Icon } from './parts.js';
import { Segments } from './segments.js';

await loadStyle('brand.css');

/** The stacks of the server, by name. */
const FONTS = {
  system: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", arial: 'Arial, Helvetica, sans-serif', verdana: 'Verdana, Geneva, sans-serif',
  trebuchet: "'Trebuchet MS', Tahoma, sans-serif", georgia: "Georgia, 'Times New Roman', serif", courier: "'Courier New', Courier, monospace",
};
const FONT_WORDS = { '': 'System', system: 'System', arial: 'Arial', verdana: 'Verdana', trebuchet: 'Trebuchet', georgia: 'Georgia', courier: 'Courier' };
const COLORS = [['color', 'Colour', '#4f56d9', 'Buttons, links and the name'], ['background', 'Background', '#f3f4f6', 'Around the message'], ['text_color', 'Text colour', '#111827', 'On the white card']];
/** The colours of the layout in the dark, as the server has them. */
const DARK = { page: '#15171b', card: '#1f2329', text: '#e7e9ee', muted: '#aab0bb' };
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

/** What is read in a color, as [what, contrast]. */
function readIn(name, brand) {
  const [color, background, text] = COLORS.map(([field, , otherwise]) => usable(brand[field], otherwise));
  const uses = { color: [[color, '#ffffff', 'A link on white'], [color, background, 'The name on the background']], text_color: [[text, '#ffffff', 'Text on white']] }[name] ?? [];
  return uses.map(([one, other, what]) => [what, contrast(one, other)]);
}

const Contrast = ({ of: [what, ratio] }) => (ratio < READABLE
  ? html`<p class="hint warn"><${Icon} name="warn" /> ${what} has a contrast of ${ratio.toFixed(1)}; at least ${READABLE} is readable.</p>`
  : html`<p class="hint muted"><${Icon} name="ok" /> ${what}: ${ratio.toFixed(1)}, AA</p>`);

/** The fields of a brand; `change` gets it without empty values. `name` is shown in e-mails of a brand without one. */
export function BrandFields({ brand, change, name: usual = '', isDisabled = false }) {
  const set = (name) => ({ currentTarget: { value } }) => {
    const { [name]: _, ...others } = brand;
    change(value === '' ? others : { ...others, [name]: name === 'radius' ? Number(value) : value });
  };
  const shared = { disabled: isDisabled, autocomplete: 'off', spellcheck: false };
  const text = (name, label, more) => html`<${Field} label=${label} name=${`brand-${name}`} value=${brand[name] ?? ''} onInput=${set(name)} ...${shared} ...${more} />`;
  return html`<div class="brand-fields"><div class="brand-inputs">
    <fieldset><legend>Identity</legend>${text('name', 'Name in e-mails', { hint: usual && `Empty: ${usual}` })}${text('logo_url', 'Logo', { hint: 'The https URL of a picture' })}</fieldset>
    <fieldset class="brand-look"><legend>Look</legend>
    ${COLORS.map(([name, label, otherwise, hint]) => html`<div key=${name} class="brand-color"><input type="color" aria-label=${`Choose: ${label}`} value=${long(usable(brand[name], otherwise))} disabled=${isDisabled} onInput=${set(name)} /><${Field} label=${label} hint=${hint} name=${`brand-${name}`} value=${brand[name] ?? ''} placeholder=${otherwise} pattern="#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})" onInput=${set(name)} ...${shared} /></div>`)}
    <${Field} label="Corners" hint="Buttons, 0 to 40 px" name="brand-radius" type="number" min="0" max=${MAX_RADIUS} step="1" placeholder="8" value=${brand.radius ?? ''} onInput=${set('radius')} ...${shared} />
    <${Field} label="Font" name="brand-font" options=${['', ...Object.keys(FONTS).slice(1)]} words=${FONT_WORDS} defaultValue=${brand.font ?? ''} onChange=${set('font')} disabled=${isDisabled} /></fieldset>
    <fieldset class="brand-footer"><legend>Footer</legend>${text('footer', 'Closing line', { isLong: true, rows: 1 })}${text('address', 'Postal address')}</fieldset></div>
    <${Sample} brand=${brand} name=${brand.name || usual} /></div>`;
}

/** A color with as much white as texts on the dark card need. */
function inTheDark(color) {
  const parts = [1, 3, 5].map((at) => parseInt(long(color).slice(at, at + 2), 16));
  const mix = (step) => `#${parts.map((part) => Math.round(part + ((255 - part) * step) / 20).toString(16).padStart(2, '0')).join('')}`;
  return Array.from({ length: 21 }, (_, step) => mix(step)).find((one) => contrast(one, DARK.card) >= READABLE);
}

/** A small message in the brand's look, light or dark. */
function Sample({ brand, name }) {
  const [isDark, setDark] = useState(false);
  const [color, background, text] = COLORS.map(([field, , otherwise]) => usable(brand[field], otherwise));
  const link = isDark ? inTheDark(color) : color;
  const muted = isDark ? DARK.muted : luminance(background) > 0.26 ? '#4b5563' : '#d1d5db';
  const button = { background: color, color: luminance(color) > 0.179 ? '#000000' : '#ffffff', borderRadius: `${Math.min(MAX_RADIUS, Math.max(0, brand.radius ?? 8))}px` };
  return html`<div class="brand-shown"><span class="brand-title">Preview</span><${Segments} label="Color scheme of the message" options=${[[false, 'Light'], [true, 'Dark']]} value=${isDark} choose=${setDark} />
    <div class="brand-sample" role="img" aria-label="A message with this brand" style=${{ background: isDark ? DARK.page : background, color: isDark ? DARK.text : text, fontFamily: FONTS[brand.font] ?? FONTS.system }}>
    ${name && html`<b class="brand-name" style=${{ color: link }}>${name}</b>`}
    <div class="brand-card" style=${{ background: isDark ? DARK.card : '#ffffff' }}><b>New booking</b><p>Saturday at 14:00, for two.</p><span class="brand-button" style=${button}>Open</span></div>
    <small style=${{ color: muted }}>${[brand.footer, brand.address].filter(Boolean).map((line) => html`<span key=${line}>${line}</span>`)}<span><u>Unsubscribe</u> · <u>Preferences</u></span></small></div>
    ${COLORS.flatMap(([field]) => readIn(field, brand)).map((one) => html`<${Contrast} key=${one[0]} of=${one} />`)}</div>`;
}

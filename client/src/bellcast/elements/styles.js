/** The style sheet. Pages can override the `--bellcast-*` properties and style the parts. */

const CSS = `
:host {
  color-scheme: light dark;
  --accent: var(--bellcast-accent, light-dark(#4f56d9, #8b93ff));
  --background: var(--bellcast-background, light-dark(#fff, #191a1d));
  --hover: var(--bellcast-hover, light-dark(#f6f6f9, #222327));
  --text: var(--bellcast-text, light-dark(#1b1c20, #edeef2));
  --muted: var(--bellcast-muted, light-dark(#62646e, #a1a4af));
  --border: var(--bellcast-border, light-dark(#e6e7ec, #2d2f35));
  --urgent: var(--bellcast-urgent, light-dark(#b01c2a, #ff8a91));
  --high: var(--bellcast-high, light-dark(#8a5200, #f2b84b));
  --radius: var(--bellcast-radius, 14px);
  display: inline-block;
  font: 14px/1.45 var(--bellcast-font, system-ui, sans-serif);
}
[hidden] { display: none !important; }
:host * { box-sizing: border-box; margin: 0; }
button, a { padding: 0; border: 0; border-radius: 8px; background: none; color: inherit; font: inherit; text-decoration: none; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
svg { display: block; width: 18px; height: 18px; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
:host(bellcast-inbox) { display: block; height: var(--bellcast-height, 640px); }
:host(bellcast-toasts) { position: fixed; inset-inline: auto 0; inset-block: auto 0; z-index: 2147483000; max-width: 100vw; pointer-events: none; }
:host(bellcast-toasts[position^=top]) { inset-block: 0 auto; }
:host(bellcast-toasts[position$=start]) { inset-inline: 0 auto; }
.live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }

.button { position: relative; display: grid; place-items: center; width: var(--bellcast-size, 40px); aspect-ratio: 1; color: var(--bellcast-icon, currentColor); }
.button:hover, .button[aria-expanded=true] { background: color-mix(in srgb, currentColor 9%, transparent); }
.icon { transform-origin: 50% 10%; }
.icon svg { width: 22px; height: 22px; }
.badge, .tab-count:not(:empty) { min-width: 18px; padding: 0 5px; border-radius: 18px; font-size: 11px; font-weight: 600; line-height: 18px; text-align: center; }
.badge { position: absolute; top: 1px; inset-inline-start: 52%; background: var(--bellcast-badge, #d92d3d); color: var(--bellcast-badge-text, #fff); }

.panel { position: fixed; inset: auto; flex-direction: column; width: min(var(--bellcast-width, 408px), 100vw - 16px); max-width: none; max-height: min(var(--bellcast-height, 600px), var(--room)); padding: 0; outline: 0; overflow: hidden; }
.panel, .toast { border: 1px solid var(--border); border-radius: var(--radius); background: var(--background); color: var(--text); box-shadow: 0 16px 48px -8px light-dark(#14152e40, #000b); animation: lift .2s; }
.panel:is([open], :popover-open) { display: flex; }
.header { flex: none; display: flex; align-items: center; gap: 10px; min-height: 52px; padding-inline: 18px 10px; }
.heading { font-size: 16px; font-weight: 600; }
.tabs { flex: none; display: flex; gap: 16px; padding-inline: 18px; overflow: auto hidden; border-bottom: 1px solid var(--border); }
.tab, .status, .read-all, .close, .tool, .choice, .when { display: flex; align-items: center; gap: 6px; color: var(--muted); font-size: 12px; white-space: nowrap; }
.tab, .read-all, .choice, .more, .retry, .action, .fold { font-size: 13px; font-weight: 500; }
.tab { flex: none; position: relative; padding: 6px 0 10px; }
.tab[aria-selected=true] { color: var(--text); }
.tab[aria-selected=true]::after { content: ""; position: absolute; inset: auto 0 0; height: 2px; background: var(--accent); }
.tab-count { background: color-mix(in srgb, var(--text) 9%, var(--background)); color: var(--text); }
.status { flex: 1; }
.status[data-status=live] { visibility: hidden; }
.status[data-status=waiting] { color: var(--high); }
.status[data-status=closed] { color: var(--urgent); }
.read-all, .close, .tool, .choice, .toast-close { padding: 7px; color: var(--muted); }
:is(.read-all, .close, .tool, .more, .choice, .toast-close):hover { background: color-mix(in srgb, var(--text) 9%, transparent); color: var(--text); }
:is(.read-all, .tool, .choice, .toast-close) svg { width: 16px; height: 16px; }
.close { display: none; }

.scroll { position: relative; flex: 1; scroll-padding: 36px 0 8px; overscroll-behavior: contain; min-height: 0; overflow: hidden auto; }
.subheading { display: flex; gap: 6px; position: sticky; top: 0; z-index: 2; padding: 12px 18px 6px; background: var(--background); color: var(--muted); font-size: 12px; font-weight: 500; }
.count { color: var(--accent); }
.list { padding-inline: 0; list-style: none; }
.row, .toast { --tone: var(--accent); position: relative; display: flex; gap: 12px; padding: 12px; }
.row { margin: 0 6px; border-radius: 12px; border-bottom: 2px solid transparent; background-clip: padding-box; }
.row[data-inner] { margin-inline-start: 30px; }
.row:is(:hover, :focus-within) { background: var(--hover); }
:is(.row, .toast):not(:has(.body, .chip, .action, .fold)) { align-items: center; }
[data-priority=urgent] { --tone: var(--urgent) !important; }
[data-priority=high] { --tone: var(--high) !important; }
.row[data-priority=urgent][data-unread] { background: color-mix(in srgb, var(--urgent) 7%, var(--background)); }
[data-priority=urgent]:is(.toast, [data-unread])::before { content: ""; position: absolute; inset-block: 10px; inset-inline-start: 0; width: 3px; border-radius: 3px; background: var(--urgent); }
.avatar { flex: none; display: grid; place-items: center; width: 36px; height: 36px; overflow: hidden; border-radius: 50%; background: color-mix(in srgb, var(--tone) 13%, var(--background)); color: var(--tone); font-size: 13px; font-weight: 600; }
img { width: 100%; height: 100%; object-fit: cover; }
.main { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.title { display: block; width: 100%; text-align: start; font-weight: 600; }
.title::after { content: ""; position: absolute; inset: 0; border-radius: 12px; }
.title:focus-visible { outline: 0; }
.title:focus-visible::after { outline: 2px solid var(--accent); outline-offset: -2px; }
.words, .body { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.row:not([data-unread]) .avatar { background: var(--hover); color: var(--muted); }
.row:not([data-unread]) .title { color: color-mix(in srgb, var(--text) 82%, transparent); font-weight: 400; }
.row:not([data-unread]) .dot { display: none; }
.chip { display: inline-block; margin-block: 4px 3px; padding: 0 6px; border-radius: 6px; background: color-mix(in srgb, var(--tone) 13%, transparent); color: var(--tone); font-size: 11px; font-weight: 600; line-height: 18px; }
.body, .hint { color: var(--muted); font-size: 13px; white-space: pre-line; }
.action, .fold { position: relative; z-index: 1; display: block; margin-top: 6px; }
.action { width: fit-content; padding: 4px 12px; border: 1px solid var(--border); background: var(--background); }
.action:hover { border-color: currentColor; color: var(--tone); }
.fold, .choice[aria-pressed=true] { color: var(--accent); }
.side { flex: none; display: flex; flex-direction: column; align-items: end; gap: 4px; }
.when { height: 20px; }
.dot { width: 8px; height: 8px; border-radius: 50%; background: var(--tone); }
.tools { position: relative; z-index: 1; display: flex; }
.delete:hover { color: var(--urgent); }
@media (hover: none) {
  .row { flex-wrap: wrap; }
  .side { display: contents; }
  .when { order: 1; }
  .tools { order: 2; width: 100%; justify-content: end; gap: 4px; margin: -10px 0 -10px; }
  .tool { padding: 10px; }
}
@media (hover: hover) {
  .tools { position: absolute; top: 7px; inset-inline-end: 8px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); opacity: 0; }
  .row:is(:hover, :focus-within) .tools { opacity: 1; }
  .row:is(:hover, :focus-within) .when { visibility: hidden; }
}

.more { display: block; width: calc(100% - 24px); margin: 6px 12px 12px; padding: 9px; color: var(--muted); }
.blank { display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px; min-height: 300px; padding: 10px 18px; text-align: center; }
.blank[data-state=loading] { align-items: stretch; justify-content: start; gap: 0; }
.sign { display: grid; place-items: center; width: 56px; height: 56px; margin-bottom: 10px; border-radius: 50%; background: var(--hover); color: var(--muted); }
.retry, .notice { padding: 8px 14px; border-radius: 8px; background: var(--text); color: var(--background); font-size: 13px; }
.retry { margin-top: 14px; }
.skeleton { display: grid; grid-template: 12px 12px / 36px 1fr; gap: 10px 12px; padding: 14px 0; animation: pulse 1s infinite alternate; }
.skeleton * { border-radius: 18px; background: var(--border); }
.skeleton i { grid-row: 1 / 3; height: 36px; }
.skeleton b + b { width: 60%; }

.notice { position: absolute; z-index: 3; inset-inline: 0; bottom: 54px; display: flex; align-items: center; gap: 14px; width: fit-content; max-width: calc(100% - 32px); margin-inline: auto; animation: lift .2s; }
.undo { font-weight: 600; text-decoration: underline; }
.footer { flex: none; display: flex; gap: 4px; padding: 6px 10px; border-top: 1px solid var(--border); }
.footer:empty { display: none; }

.toasts { display: flex; flex-direction: column; gap: 10px; width: 380px; max-width: 100vw; padding: 16px; }
.toast { pointer-events: auto; }
.toast-close { position: relative; z-index: 1; align-self: start; }

.panel.page { position: relative; display: flex; width: 100%; height: 100%; max-height: none; box-shadow: none; animation: none; }
@media (max-width: 480px) {
  .panel:not(.page) { inset: auto 0 0; width: 100vw; height: 88dvh; max-height: none; border-width: 1px 0 0; border-radius: 18px 18px 0 0; }
  .panel::backdrop { background: #0007; }
  .panel:not(.page) .close { display: flex; }
}
@keyframes lift { from { opacity: 0; translate: 0 8px; } }
@keyframes pulse { to { opacity: .45; } }
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; } }
`;

/** @type {CSSStyleSheet | undefined} */
let made;

/** One for all elements; constructed, so a strict Content-Security-Policy has nothing to object to. */
export function sheet() {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(CSS);
  }
  return made;
}

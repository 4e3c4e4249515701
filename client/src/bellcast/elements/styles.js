/** How it looks. A page overrides any `--bellcast-*` property, or styles the parts. */

const CSS = `
:host {
  color-scheme: light dark;
  --accent: var(--bellcast-accent, light-dark(#4f56d9, #8b93ff));
  --background: var(--bellcast-background, light-dark(#fff, #191a1d));
  --hover: var(--bellcast-hover, light-dark(#f6f6f9, #222327));
  --text: var(--bellcast-text, light-dark(#1b1c20, #edeef2));
  --muted: var(--bellcast-muted, light-dark(#62646e, #a1a4af));
  --border: var(--bellcast-border, light-dark(#e6e7ec, #2d2f35));
  --urgent: var(--bellcast-urgent, light-dark(#c62a37, #ff8a91));
  --high: var(--bellcast-high, light-dark(#9a5b00, #f2b84b));
  --live: var(--bellcast-live, light-dark(#2f9e5b, #4cc38a));
  --badge: var(--bellcast-badge, #d92d3d);
  --size: var(--bellcast-size, 40px);
  display: inline-block;
  font: 14px/1.45 var(--bellcast-font, ui-sans-serif, system-ui, sans-serif);
}
[hidden] { display: none !important; }
:host * { box-sizing: border-box; margin: 0; }
button, a { padding: 0; border: 0; background: none; color: inherit; font: inherit; text-decoration: none; cursor: pointer; transition: background .12s, color .12s; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
svg { display: block; width: 18px; height: 18px; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }

.button { position: relative; display: grid; place-items: center; width: var(--size); height: var(--size); border-radius: 10px; color: var(--bellcast-icon, currentColor); }
.button:hover, .button[aria-expanded=true] { background: color-mix(in srgb, currentColor 9%, transparent); }
.icon { transform-origin: 50% 10%; }
.icon svg { width: 22px; height: 22px; }
.badge { position: absolute; top: 1px; inset-inline-start: 52%; min-width: 18px; padding: 0 5px; border-radius: 9px; background: var(--badge); color: var(--bellcast-badge-text, #fff); font-size: 11px; font-weight: 650; line-height: 18px; text-align: center; animation: pop .25s; }

.panel { position: fixed; inset: auto; flex-direction: column; width: min(var(--bellcast-width, 408px), 100vw - 16px); max-width: none; max-height: min(var(--bellcast-height, 600px), var(--room)); padding: 0; overflow: hidden; border: 1px solid var(--border); border-radius: var(--bellcast-radius, 14px); background: var(--background); color: var(--text); box-shadow: 0 16px 48px -8px light-dark(#14152e40, #000b); outline: 0; animation: drop .16s; }
.panel:is([open], :popover-open) { display: flex; }
.header { display: flex; align-items: center; gap: 10px; min-height: 54px; padding-inline: 18px 10px; border-bottom: 1px solid var(--border); }
.heading { font-size: 15px; font-weight: 650; }
.status { flex: 1; display: flex; align-items: center; gap: 6px; color: var(--muted); font-size: 12px; line-height: 1.25; }
.status::before { content: ""; flex: none; width: 7px; height: 7px; border-radius: 50%; background: currentColor; }
.status[data-status=live]::before { background: var(--live); }
.status:is([data-status=waiting], [data-status=connecting])::before { background: var(--high); animation: pulse 1s infinite alternate; }
.status:is([data-status=refused], [data-status=closed]) { color: var(--urgent); }
.read-all, .close, .tool { display: flex; align-items: center; gap: 6px; padding: 7px; border-radius: 8px; color: var(--muted); font-size: 12.5px; font-weight: 500; white-space: nowrap; }
:is(.read-all, .close, .tool, .more):hover { background: color-mix(in srgb, var(--text) 8%, transparent); color: var(--text); }
:is(.read-all, .tool) svg { width: 16px; height: 16px; }
.close { display: none; }

.scroll { flex: 1; overflow: hidden auto; overscroll-behavior: contain; scrollbar-width: thin; }
.subheading { display: flex; gap: 6px; position: sticky; top: 0; z-index: 2; padding: 12px 18px 6px; background: var(--background); color: var(--muted); font-size: 12px; font-weight: 550; }
.count { color: var(--accent); }
.list { padding: 0; list-style: none; }
.row { --tone: var(--accent); position: relative; display: flex; gap: 12px; margin: 0 6px 2px; padding: 11px 12px; border-radius: 10px; content-visibility: auto; contain-intrinsic-height: auto 76px; }
.row:is(:hover, :focus-within) { background: var(--hover); }
.row:not(:has(.body, .chip, .action)) { align-items: center; }
.row[data-priority=urgent] { --tone: var(--urgent); }
.row[data-priority=high] { --tone: var(--high); }
.row[data-priority=urgent][data-unread] { background: color-mix(in srgb, var(--urgent) 7%, var(--background)); }
.row[data-priority=urgent][data-unread]::before { content: ""; position: absolute; inset-block: 10px; inset-inline-start: 0; width: 3px; border-radius: 3px; background: var(--urgent); }
.avatar { flex: none; display: grid; place-items: center; width: 36px; height: 36px; overflow: hidden; border-radius: 50%; background: color-mix(in srgb, var(--tone) 13%, var(--background)); color: var(--tone); font-size: 13px; font-weight: 600; }
img { width: 100%; height: 100%; object-fit: cover; }
.main { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.title { display: block; width: 100%; text-align: start; font-weight: 600; }
.title::after { content: ""; position: absolute; inset: 0; border-radius: 10px; }
.title:focus-visible { outline: 0; }
.title:focus-visible::after { outline: 2px solid var(--accent); outline-offset: -2px; }
.words, .body { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.row:not([data-unread]) .avatar { background: var(--hover); color: var(--muted); }
.row:not([data-unread]) .title { color: color-mix(in srgb, var(--text) 82%, transparent); font-weight: 400; }
.row:not([data-unread]) .dot { display: none; }
.chip { display: inline-block; margin-block: 4px 3px; padding: 0 6px; border-radius: 5px; background: color-mix(in srgb, var(--tone) 13%, transparent); color: var(--tone); font-size: 11px; font-weight: 600; line-height: 18px; }
.body { margin-top: 1px; color: var(--muted); font-size: 13px; white-space: pre-line; }
.action { position: relative; z-index: 1; display: inline-block; margin-top: 8px; padding: 4px 11px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); font-size: 12.5px; font-weight: 550; }
.action:hover { border-color: currentColor; color: var(--tone); }
.side { flex: none; display: flex; flex-direction: column; align-items: end; gap: 4px; }
.when { display: flex; align-items: center; gap: 7px; height: 20px; color: var(--muted); font-size: 12px; }
.dot { width: 8px; height: 8px; border-radius: 50%; background: var(--tone); }
.tools { position: relative; z-index: 1; display: flex; }
.delete:hover { color: var(--urgent); }
@media (hover: none) { .tool { padding: 10px; } }
@media (hover: hover) {
  .tools { position: absolute; top: 7px; inset-inline-end: 8px; border: 1px solid var(--border); border-radius: 9px; background: var(--background); opacity: 0; }
  .row:is(:hover, :focus-within) .tools { opacity: 1; }
  .row:is(:hover, :focus-within) .when { visibility: hidden; }
}

.more { display: block; width: calc(100% - 24px); margin: 6px 12px 12px; padding: 9px; border-radius: 9px; color: var(--muted); font-size: 13px; font-weight: 550; }
.blank { display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px; min-height: 300px; padding: 10px 18px; text-align: center; }
.blank[data-state=loading] { align-items: stretch; justify-content: start; gap: 0; }
.sign { display: grid; place-items: center; width: 56px; height: 56px; margin-bottom: 10px; border-radius: 50%; background: var(--hover); color: var(--muted); }
.hint { color: var(--muted); font-size: 13px; }
.retry { margin-top: 14px; padding: 7px 14px; border-radius: 9px; background: var(--text); color: var(--background); font-size: 13px; font-weight: 550; }
.skeleton { display: grid; grid-template: 12px 12px / 36px 1fr; gap: 10px 12px; padding: 14px 0; animation: pulse 1s infinite alternate; }
.skeleton * { border-radius: 18px; background: var(--border); }
.skeleton i { grid-row: 1 / 3; height: 36px; }
.skeleton b + b { width: 60%; }

@media (max-width: 480px) {
  .panel { inset: auto 0 0; width: 100vw; height: 88dvh; max-height: none; border-width: 1px 0 0; border-radius: 18px 18px 0 0; animation: rise .28s; }
  .panel::backdrop { background: #0007; }
  .close { display: flex; }
}
@keyframes pop { from { scale: .4; } }
@keyframes drop { from { opacity: 0; translate: 0 -6px; } }
@keyframes rise { from { translate: 0 100%; } }
@keyframes pulse { to { opacity: .45; } }
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; transition: none !important; } }
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

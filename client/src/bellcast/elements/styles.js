/** The style sheet of the bell, the toasts, and the parts that rows share with toasts. Pages can override the `--bellcast-*` properties and style the parts. */

export const CSS = `
:host {
  --accent: var(--bellcast-accent, light-dark(#4f56d9, #8b93ff));
  --background: var(--bellcast-background, light-dark(#fff, #191a1d));
  --hover: var(--bellcast-hover, light-dark(#f5f5f8, #232429));
  --text: var(--bellcast-text, light-dark(#1b1c20, #edeef2));
  --muted: var(--bellcast-muted, light-dark(#62646e, #a1a4af));
  --border: var(--bellcast-border, light-dark(#e6e7ec, #2f3138));
  --urgent: var(--bellcast-urgent, light-dark(#b01c2a, #ff8a91));
  --high: var(--bellcast-high, light-dark(#8a5200, #f2b84b));
  --radius: var(--bellcast-radius, 14px);
  --disc: color-mix(in srgb, var(--text) 6%, transparent);
  display: inline-block;
  font: 14px/1.45 var(--bellcast-font, system-ui, sans-serif);
}
[hidden] { display: none !important; }
:host * { box-sizing: border-box; margin: 0; }
button, a { padding: 0; border: 0; border-radius: 8px; background: none; color: inherit; font: inherit; letter-spacing: inherit; text-transform: inherit; text-decoration: none; cursor: pointer; -webkit-tap-highlight-color: transparent; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
svg { display: block; flex: none; width: 18px; height: 18px; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
:host(bellcast-bell) { min-width: var(--bellcast-size, 40px); min-height: var(--bellcast-size, 40px); vertical-align: middle; }
:host(:is(bellcast-inbox, bellcast-preferences)) { display: block; height: var(--bellcast-height, 640px); }
:host(bellcast-toasts) { position: fixed; inset-inline: auto 0; inset-block: auto var(--bellcast-toast-offset, 0px); z-index: 2147483000; max-width: 100vw; pointer-events: none; }
:host(bellcast-toasts[position^=top]) { inset-block: var(--bellcast-toast-offset, 0px) auto; }
:host(bellcast-toasts[position$=start]) { inset-inline: 0 auto; }
.live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }

.button { position: relative; display: grid; place-items: center; width: var(--bellcast-size, 40px); aspect-ratio: 1; color: var(--bellcast-icon, currentColor); }
.button:hover, .button[aria-expanded=true] { background: color-mix(in srgb, currentColor 9%, transparent); }
.icon { transform-origin: 50% 10%; transition: opacity .3s 2s; }
.icon svg { width: 22px; height: 22px; }
.panel, .toast, .badge { font-style: normal; letter-spacing: normal; text-align: start; text-align-last: auto; text-indent: 0; text-shadow: none; text-transform: none; white-space: normal; word-spacing: normal; }
.badge, .tab-count:not(:empty) { min-width: 18px; padding: 0 5px; border-radius: 18px; font-size: 11px; font-weight: 600; line-height: 18px; text-align: center; }
.badge { position: absolute; top: 1px; inset-inline-start: 52%; background: var(--bellcast-badge, #d92d3d); color: var(--bellcast-badge-text, #fff); }
.button::after { content: ""; position: absolute; width: 26px; height: 2px; border-radius: 2px; background: currentColor; rotate: 45deg; opacity: 0; transition: opacity .3s 2s; }
.offline .icon { opacity: .5; }
.offline::after { opacity: 1; }

.panel, .toast { border: 1px solid var(--border); border-radius: var(--radius); background: var(--background); color: var(--text); box-shadow: 0 16px 48px -8px light-dark(#14152e40, #000b); animation: lift .2s; cursor: auto; }
.panel { position: fixed; inset: auto; flex-direction: column; width: min(var(--bellcast-width, 408px), 100vw - 16px); max-width: none; --highest: min(var(--bellcast-height, 600px), var(--room, 100dvh)); min-height: min(max(var(--tallest, 0px), 350px), var(--highest)); max-height: var(--highest); padding: 0; outline: 0; overflow: hidden; }
.panel:is([open], :popover-open) { display: flex; }
.panel:not([open], :popover-open, .page) { display: none; }
dialog[aria-busy=true]::after { content: ""; width: 22px; height: 22px; margin: auto; border: 2px solid var(--border); border-top-color: var(--accent); border-radius: 50%; animation: spin 1s linear infinite, lift .2s .3s backwards; }
.panel.page { position: relative; display: flex; width: 100%; height: 100%; max-height: none; min-height: 0; overflow: clip; box-shadow: none; animation: none; }
@media (max-width: 480px) {
  .panel:not(.page) { --highest: 88dvh; inset: auto 0 0; width: 100vw; border-width: 1px 0 0; border-radius: 18px 18px 0 0; }
  .panel::backdrop { background: #0007; }
}
.row, .toast { --tone: var(--accent); position: relative; display: flex; gap: 12px; padding: 12px; }
[data-priority=urgent] { --tone: var(--urgent) !important; }
[data-priority=high] { --tone: var(--high) !important; }
[data-priority=low] { --tone: var(--muted) !important; }
[data-priority=urgent]:is(.toast, [data-unread])::before { content: ""; position: absolute; inset-block: 10px; inset-inline-start: 0; width: 3px; border-radius: 3px; background: var(--urgent); }
.avatar { flex: none; display: grid; place-items: center; width: 36px; height: 36px; overflow: hidden; border-radius: 50%; background: color-mix(in srgb, var(--accent) 12%, transparent); color: color-mix(in srgb, var(--accent) 75%, var(--text)); font-size: 13px; font-weight: 600; }
.avatar.emoji { background: var(--disc); font-size: 18px; }
img { display: block; width: 100%; height: 100%; object-fit: cover; }
.main { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.title { display: block; width: 100%; text-align: start; font-weight: 500; }
.title::after { content: ""; position: absolute; inset: 0; border-radius: 12px; }
.title:focus-visible { outline: 0; }
.title:focus-visible::after { outline: 2px solid var(--accent); outline-offset: -2px; }
.words, .body, .names { text-align: match-parent; text-align: -webkit-match-parent; }
.words, .body { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.actor, .names { font-weight: 650; }
.chip { padding: 1px 6px 2px; border-radius: 6px; background: color-mix(in srgb, var(--tone) 13%, transparent); color: var(--tone); font-size: 11px; font-weight: 600; }
.body { color: var(--muted); font-size: 13px; white-space: pre-line; }
.code { padding: 1px 4px; border-radius: 4px; background: var(--disc); font: 12px ui-monospace, monospace; }
.link { position: relative; z-index: 1; color: var(--accent); text-decoration: underline; text-underline-offset: 2px; }
.action { position: relative; z-index: 1; display: block; width: fit-content; margin-top: 6px; padding: 4px 12px; border: 1px solid var(--border); background: var(--background); font-size: 13px; font-weight: 500; }
.action:hover { border-color: currentColor; color: var(--accent); }

.toasts { display: flex; flex-direction: column; gap: 10px; width: 380px; max-width: 100vw; padding: 16px 16px max(16px, env(safe-area-inset-bottom)); }
.toast { pointer-events: auto; }
.toast:not(:has(.body, .action)) { align-items: center; }
.toast-close { position: relative; z-index: 1; display: flex; align-self: start; padding: 7px; color: var(--muted); }
.toast-close:hover { background: var(--disc); color: var(--text); }
.toast-close svg { width: 16px; height: 16px; }
.toast-more { align-self: center; padding: 2px 12px; border: 1px solid var(--border); border-radius: 20px; background: var(--background); color: var(--muted); font-size: 12px; }
@media (pointer: coarse) { :is(.button, .action, .toast-close)::before { content: ""; position: absolute; inset: min(0px, (100% - 44px)/2); } }
@keyframes spin { to { rotate: 1turn; } }
@keyframes lift { from { opacity: 0; translate: 0 8px; } }
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .button::after { background: ButtonText; } .badge, .chip, .toast-more { border: 1px solid; } }
`;

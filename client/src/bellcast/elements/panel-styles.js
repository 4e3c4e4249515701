/** The style sheet of the panel, loaded with it. A finger needs 44 px: what is smaller has a margin that receives touches, too, as in the other style sheets. */

export const PANEL_CSS = `
.panel:not(.page) { transition: opacity .15s, translate .15s, display .15s allow-discrete, overlay .15s allow-discrete; }
.panel:not([open], :popover-open, .page) { opacity: 0; translate: 0 4px; }
.header { flex: none; display: flex; align-items: center; gap: 8px; min-height: 52px; padding-inline: 18px 10px; }
.heading { font-size: 16px; font-weight: 600; white-space: nowrap; }
.tabs { flex: none; display: flex; gap: 16px; padding-inline: 18px; overflow: auto hidden; scrollbar-width: none; mask: linear-gradient(to left, #0000, #000 22px); }
[dir=rtl] .tabs { mask: linear-gradient(to right, #0000, #000 22px); }
.tabs + .stage { border-top: 1px solid var(--border); }
.tab, .status, .read-all, .close, .tool, .choice, .when { display: flex; align-items: center; gap: 6px; color: var(--muted); font-size: 12px; white-space: nowrap; }
.tab, .read-all, .choice, .more, .retry, .fold { font-size: 13px; font-weight: 500; }
.tab { flex: none; position: relative; padding: 6px 0 10px; }
.tab:last-child { margin-inline-end: 18px; }
.tab[aria-selected=true] { color: var(--text); }
.tab[aria-selected=true]::after { content: ""; position: absolute; inset: auto 0 0; height: 2px; background: var(--accent); }
.tab-count { background: color-mix(in srgb, var(--text) 9%, var(--background)); color: var(--text); }
.status { flex: 1 1 0; min-width: 0; overflow: hidden; text-overflow: ellipsis; display: block; }
.status[data-status=live] { visibility: hidden; }
.panel:has(.blank:is([data-state=ended], [data-state=unavailable])) .status { opacity: 0; }
.header:has(.status:not([data-status=live])) .read-all-text { display: none; }
.status[data-status=waiting] { color: var(--high); }
.status[data-status=closed] { color: var(--urgent); }
.read-all, .close, .tool, .choice { flex: none; padding: 7px; }
:is(.read-all, .close, .tool, .more, .choice):hover { background: color-mix(in srgb, var(--text) 9%, transparent); color: var(--text); }
:is(.read-all, .tool, .choice) svg { width: 16px; height: 16px; }
.close { display: none; }

.stage { position: relative; flex: 1 1 auto; display: flex; flex-direction: column; min-height: 0; }
.scroll { flex: 1; overscroll-behavior: contain; overflow-anchor: none; min-height: 0; overflow: hidden auto; scrollbar-width: thin; scrollbar-color: color-mix(in srgb, var(--text) 20%, transparent) transparent; }
.pill { position: absolute; z-index: 3; top: 8px; inset-inline: 0; display: flex; align-items: center; gap: 6px; width: fit-content; margin-inline: auto; padding: 5px 14px; border-radius: 20px; background: var(--accent); color: var(--background); font-size: 13px; font-weight: 600; box-shadow: 0 4px 16px -4px light-dark(#14152e66, #000); animation: lift .2s; }
.pill svg { width: 14px; height: 14px; stroke-width: 2.5; }
.pill:focus-visible { outline-offset: 2px; }
.gap { margin-inline: 6px; border-radius: 12px; background: var(--hover); }
.lists { position: relative; }
.subheading { position: sticky; top: 0; z-index: 2; padding: 10px 18px 4px; background: var(--background); color: var(--muted); font-size: 12px; font-weight: 600; }
.divider { display: flex; align-items: center; gap: 8px; padding: 6px 18px; color: var(--accent); font-size: 11px; font-weight: 600; }
.divider-text { display: flex; align-items: center; gap: 4px; }
.divider svg { width: 12px; height: 12px; stroke-width: 2.5; }
.divider::before, .divider::after { content: ""; flex: 1; height: 1px; background: color-mix(in srgb, var(--accent) 45%, transparent); }
.list { padding: 0; list-style: none; }
.row { margin: 0 6px; padding: var(--bellcast-spacing, 10px) 12px; border-radius: 12px; border-bottom: 1px solid transparent; background-clip: padding-box; touch-action: pan-y; -webkit-touch-callout: none; }
.row.away { position: absolute; inset-inline: 0; }
.row[data-inner] { margin-inline-start: 30px; }
.row:is(:hover, :focus-within) { background: var(--hover); }
.row[data-selected] { --over: color-mix(in srgb, var(--accent) 12%, var(--background)); background: var(--over); }
.row[data-selected] .pair .avatar { inset: 0; width: 36px; height: 36px; padding: 0; }
.row[data-selected] .pair .avatar + .avatar { display: none; }
.row[data-selected] .avatar { position: relative; background: var(--accent); color: transparent; font-size: 0; }
.row[data-selected] .avatar > * { display: none; }
.row[data-selected] .avatar::after { content: ""; position: absolute; inset: 10px 15px; width: 7px; height: 13px; border: solid var(--background); border-width: 0 2.5px 2.5px 0; rotate: 45deg; }
.pair { flex: none; position: relative; width: 36px; height: 36px; }
.pair .avatar { position: absolute; inset-block-start: 0; inset-inline-start: 0; width: 25px; height: 25px; padding-block-end: 5px; padding-inline-end: 5px; background: color-mix(in srgb, var(--accent) 12%, var(--background)); font-size: 10px; }
.pair .avatar:has(img) { padding: 0; }
.pair .avatar + .avatar { inset: auto -1px -1px auto; width: 28px; height: 28px; padding: 0; border: 2px solid var(--background); }
[dir=rtl] .pair .avatar + .avatar { inset: auto auto -1px -1px; }
.row:is(:hover, :focus-within) .pair .avatar { border-color: var(--hover); }
.row:not([data-unread]) .pair .avatar:not(:has(img)) { background: color-mix(in srgb, var(--text) 6%, var(--background)); }
.row:not(:has(.body, .action, .actions, .fold, .names, .thumbnail, .progress:not([hidden]))) { align-items: center; }
.row:not([data-unread]) .avatar:not(:has(img)) { background: var(--disc); color: var(--muted); }
.row:not([data-unread]) .title { color: var(--muted); }
.row:not([data-unread]) .chip { background: var(--disc); color: inherit; }
.row:not([data-unread]) .dot { visibility: hidden; }
.top { display: flex; }
.line { flex: 1; min-width: 0; }
.names, .row .text { display: block; }
.row [data-when]::before { content: attr(data-when); float: right; min-width: 62px; height: 20px; padding: 0 0 0 22px; font-size: 12px; font-weight: 500; visibility: hidden; } /* as wide as the time, which lies over it; "now" leaves room for "vor 59 Min." */
[dir=rtl] .row [data-when]::before { float: left; padding: 0 22px 0 0; } /* of the panel, not of the text */
.names + .title { font-weight: 400; }
.side { position: absolute; inset-inline-end: 12px; align-self: start; height: 20px; display: flex; }
.when { min-width: 76px; }
.time { flex: 1; text-align: end; }
.dot { width: 8px; height: 8px; border-radius: 50%; background: var(--accent); }
[data-priority=low] .dot { border: 2px solid var(--muted); background: none; }
.tools { z-index: 1; display: flex; gap: 1px; }
.tool { padding: 5px; border-radius: 6px; }
.tools > .tool { padding: 5px 4px; }
.menu svg { stroke-width: 3; }
.tools .delete:hover { color: var(--urgent); }
.row .main { display: flow-root; }
.thumbnail { float: inline-end; width: 52px; height: 52px; margin-block: 4px 2px; margin-inline-start: 12px; overflow: hidden; border-radius: 8px; background: var(--disc); }
.progress { display: block; width: 100%; height: 6px; margin-top: 7px; border: 0; border-radius: 6px; overflow: hidden; background: color-mix(in srgb, var(--text) 10%, transparent); color: var(--accent); accent-color: var(--accent); appearance: none; }
.progress::-webkit-progress-bar { background: none; }
.progress::-webkit-progress-value { border-radius: 6px; background: var(--accent); transition: inline-size .15s; }
.progress::-moz-progress-bar { border-radius: 6px; background: var(--accent); }
.actions { position: relative; z-index: 1; display: flex; flex-wrap: wrap; gap: 6px; margin-top: 7px; }
.act, .taken { position: relative; display: inline-flex; align-items: center; gap: 5px; min-height: 28px; max-width: 100%; padding: 3px 12px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); color: var(--text); font-size: 13px; font-weight: 500; }
.act:hover { border-color: color-mix(in srgb, var(--text) 45%, transparent); }
.act[data-style=primary] { border-color: transparent; background: var(--accent); color: var(--background); }
.act[data-style=primary]:hover { background: color-mix(in srgb, var(--accent) 88%, var(--text)); }
.act[data-style=danger] { color: var(--urgent); }
.act:focus-visible { outline-offset: 2px; }
.actions[aria-busy] .act { cursor: default; opacity: .55; }
.actions[aria-busy] .act[data-state] { opacity: 1; }
.act[data-state=pending] .words { visibility: hidden; }
.act[data-state=pending]::before { content: ""; position: absolute; inset: calc(50% - 7px) auto auto calc(50% - 7px); width: 14px; height: 14px; border: 2px solid; border-inline-end-color: transparent; border-radius: 50%; animation: spin .8s linear infinite; }
.act[data-state=failed] { border-color: var(--urgent); }
.act svg, .taken svg { width: 14px; height: 14px; stroke-width: 2.5; }
.taken { border-color: transparent; background: var(--disc); color: var(--muted); }
.menu-text { flex: 1; }
.menu-detail { padding-inline-start: 18px; color: var(--muted); font-size: 12px; white-space: nowrap; }
.fold { position: relative; z-index: 1; display: block; margin-top: 4px; color: var(--accent); }
.fold:hover { text-decoration: underline; text-underline-offset: 2px; }
@media (hover: hover) {
  .tools { position: absolute; top: -3px; inset-inline-end: -4px; padding-inline-start: 28px; background: linear-gradient(to left, var(--over, var(--hover)) calc(100% - 28px), #0000); opacity: 0; }
  [dir=rtl] .tools { background: linear-gradient(to right, var(--over, var(--hover)) calc(100% - 28px), #0000); }
  .row:is(:hover, :focus-within) .tools { opacity: 1; }
  .row:is(:hover, :focus-within) .when { visibility: hidden; }
  .row > :is(.avatar, .pair) { position: relative; z-index: 1; cursor: pointer; }
  .row:not([data-selected]) .avatar::before { content: ""; position: absolute; inset: 0; border: 2px solid var(--accent); border-radius: 50%; background: color-mix(in srgb, var(--accent) 12%, var(--background)); opacity: 0; transition: opacity .12s; }
  .row:not([data-selected]) .avatar:hover::before { opacity: 1; }
}
@media (hover: none) {
  .veil { background: light-dark(#14152e24, #0009); }
  .side { align-items: center; margin-inline-end: -10px; }
  .row [data-when]::before { padding-inline: 24px; }
  .tools > .tool:not(.menu) { display: none; }
  .tools > .menu { padding: 10px; margin-block: -10px; }
  .keys { display: none !important; }
}
.row.swiped { z-index: 1; background: var(--background); box-shadow: 0 2px 12px -4px light-dark(#14152e55, #000); }
.swipe-hint { position: absolute; inset-inline: 0; display: flex; align-items: center; padding: 0 24px; background: var(--muted); color: var(--background); }
.swipe-hint[data-far=true] { background: var(--accent); }
.swipe-hint[data-side=right] { direction: ltr; justify-content: end; }
.swipe-hint[data-side=left] { direction: ltr; }

.more { display: block; width: calc(100% - 24px); margin: 6px 12px 12px; padding: 9px; color: var(--muted); }
.blank { display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px; min-height: 300px; padding: 10px 18px; text-align: center; }
.blank[data-state=loading] { align-items: stretch; justify-content: start; gap: 0; }
.sign { display: grid; place-items: center; width: 56px; height: 56px; margin-bottom: 10px; border-radius: 50%; background: var(--disc); color: var(--muted); }
.hint { color: var(--muted); font-size: 13px; }
.retry, .notice { padding: 8px 14px; border-radius: 8px; background: var(--text); color: var(--background); font-size: 13px; }
.retry, .why { margin-top: 14px; }
.why { color: var(--muted); font-size: 13px; text-decoration: underline; }
.skeleton { display: grid; grid-template: 12px 12px / 36px 1fr; gap: 10px 12px; padding: 14px 0; animation: pulse 1s infinite alternate; }
.skeleton * { border-radius: 18px; background: var(--border); }
.skeleton i { grid-row: 1 / 3; height: 36px; }
.skeleton b + b { width: 60%; }

.notices { flex: none; display: flow-root; background: var(--background); }
.page > .notices { position: sticky; bottom: 0; } /* in an element that is as high as its content */
.notice { display: flex; align-items: center; justify-content: space-between; gap: 14px; margin: 6px 10px; animation: lift .2s; }
.panel:not(.page):has(.notice) { max-height: min(max(var(--tallest, 0px), 350px), var(--highest)); } /* the list shrinks, the panel does not grow */
.undo { font-weight: 600; text-decoration: underline; text-underline-offset: 2px; }
.undo:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.footer, .selection { flex: none; display: flex; align-items: center; gap: 4px; min-height: 44px; padding: 5px 10px max(5px, env(safe-area-inset-bottom)); border-top: 1px solid var(--border); }
.selection:not([hidden]) + .footer { display: none; }
.selection-count { flex: 1; padding-inline: 8px; font-size: 13px; font-weight: 500; }
.selection .tool { padding: 8px; }
.settings { margin-inline-end: auto; }
.all { color: var(--accent); }
.keys { justify-content: center; width: 30px; }
.panel:has(> .help .preferences) { min-height: var(--highest); }
.panel:has(> .help) .notices { position: absolute; z-index: 6; inset: auto 0 0; }
.panel:has(.notice) > .help { inset-block-end: 47px; }

.veil, .help { position: absolute; inset: 0; z-index: 5; animation: fade .12s; }
.veil { border-radius: inherit; }
.menu-list { position: absolute; inset-inline-end: 16px; top: var(--top); display: flex; flex-direction: column; min-width: 200px; padding: 6px; border: 1px solid var(--border); border-radius: 12px; background: var(--background); box-shadow: 0 8px 32px -6px light-dark(#14152e55, #000); }
.menu-item { display: flex; align-items: center; gap: 10px; padding: 10px; text-align: start; }
.menu-item svg { color: var(--muted); }
.menu-item:is(:hover, :focus-visible) { background: var(--hover); outline: 0; }
.menu-item.delete, .menu-item.delete svg { color: var(--urgent); }
.help { display: flex; flex-direction: column; background: var(--background); overflow: auto; }
.help-head { position: sticky; top: 0; z-index: 1; flex: none; display: flex; align-items: center; background: var(--background); justify-content: space-between; min-height: 52px; padding-inline: 18px 10px; }
.help-heading { font-size: 16px; font-weight: 600; }
.keys-list { padding: 0 18px 16px; }
.keys-line { display: flex; flex-direction: row-reverse; align-items: center; justify-content: space-between; gap: 12px; padding: 6px 0; border-bottom: 1px solid var(--border); font-size: 13px; }
.keys-line dt { display: flex; gap: 4px; direction: ltr; }
.key { min-width: 22px; padding: 1px 6px; border: 1px solid var(--border); border-bottom-width: 2px; border-radius: 5px; background: var(--hover); font: 12px/18px var(--bellcast-font, system-ui, sans-serif); text-align: center; }

@media (pointer: coarse) {
  .act, .taken { min-height: 36px; padding-inline: 14px; }
  .read-all, .close, .tool, .choice, .more, .retry, .why { position: relative; }
  :is(.tab, .read-all, .close, .tool, .choice, .more, .retry, .why, .fold, .act:not([data-state=pending]))::before { content: ""; position: absolute; inset: min(0px, (100% - 44px)/2); }
  .tab { padding-block: 11px 14px; }
  .menu-item { padding-block: 12px; }
}
@media (max-width: 480px) {
  .panel:not(.page) { touch-action: none; } /* its lists have their own scroll bars */
  .panel:not(.page)::before { content: ""; flex: none; width: 36px; height: 4px; margin: 8px auto -6px; border-radius: 4px; background: var(--border); }
  .panel:not(.page) .close { display: flex; }
  .row .title .words { -webkit-line-clamp: 4; }
  .read-all-text, .keys { display: none; }
  .read-all { padding: 9px; }
}
@keyframes pulse { to { opacity: .45; } }
@keyframes fade { from { opacity: 0; } }
@media (forced-colors: active) {
  .dot, .tab[aria-selected=true]::after, .skeleton *, .divider::before, .divider::after { forced-color-adjust: none; background: CanvasText; }
  .row[data-selected] { outline: 2px solid Highlight; outline-offset: -2px; }
  .progress { --accent: CanvasText; border: 1px solid CanvasText; background: Canvas; forced-color-adjust: none; }
  .row { border-radius: 0; }
  .pill { border: 1px solid; }
}
`;

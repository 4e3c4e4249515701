/** The style sheet of the preferences, loaded with them. */

export const PREFERENCES_CSS = `
.preferences { width: 100%; max-width: 760px; margin-inline: auto; padding: 0 18px 18px; font-size: 13px; }
.help-head + .preferences > :first-child { padding-top: 4px; }
.preferences .hint { margin-top: 4px; color: var(--muted); font-size: 12px; }
.preferences .hint svg { display: inline-block; width: 12px; height: 12px; margin-inline-end: 4px; vertical-align: -1px; }
.preference { display: grid; grid-template-columns: 1fr minmax(0, auto); align-items: center; gap: 2px 12px; padding: 14px 0; border-bottom: 1px solid var(--border); }
.preference:last-child { border-bottom: 0; }
.preference > :is(.hint, .preference-line) { grid-column: 1 / -1; }
.preference-name { font-weight: 600; text-align: start; }
.preference-line { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding-top: 8px; color: var(--muted); }
.preference-select, .time-input { min-height: 32px; max-width: 100%; padding: 3px 8px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); color: var(--text); font: inherit; color-scheme: inherit; }
.preference-select { width: 168px; padding-right: 28px; appearance: none; background: linear-gradient(45deg, #0000 50%, var(--muted) 0) calc(100% - 15px) 50% / 5px 5px no-repeat, linear-gradient(-45deg, #0000 50%, var(--muted) 0) calc(100% - 10px) 50% / 5px 5px no-repeat, var(--background); }
.types { grid-column: 1 / -1; margin-top: 8px; border: 1px solid var(--border); border-radius: 10px; }
.type { padding: 0 12px; }
.type + .type { border-top: 1px solid var(--border); }
.every { padding-block: 10px 0; border-radius: 10px 10px 0 0; background: var(--hover); }
.type-head { display: grid; grid-template-columns: minmax(7em, 1fr) fit-content(58%) 8px; align-items: center; gap: 12px; min-height: 40px; padding: 6px 0; list-style: none; cursor: pointer; }
.type-head::-webkit-details-marker { display: none; }
.type-head::after { content: ""; width: 6px; height: 6px; margin-top: -3px; border: solid var(--muted); border-width: 0 1.5px 1.5px 0; rotate: 45deg; }
[open] > .type-head::after { margin-top: 3px; rotate: 225deg; }
.type-name { font-weight: 500; overflow-wrap: anywhere; }
.type-state { color: var(--muted); font-size: 12px; text-align: end; }
.type-state svg { display: inline-block; width: 12px; height: 12px; margin-inline-end: 4px; vertical-align: -1px; }
.channels { display: grid; grid-template-columns: repeat(auto-fit, minmax(88px, 1fr)); gap: 0 8px; padding-block: 2px 8px; }
.channel { display: flex; align-items: center; gap: 6px; min-height: 32px; cursor: pointer; }
.type > :is(.preference-line, .hint) { margin: -4px 0 10px; padding: 0; }
.lines { display: grid; gap: 14px; padding: 14px 0; border-bottom: 1px solid var(--border); }
.lines .choice { display: grid; grid-template-columns: 1fr auto; align-items: center; gap: 2px 12px; padding: 0; color: inherit; font: inherit; white-space: normal; }
.lines .choice:hover { background: none; }
.lines .hint { grid-column: 1 / -1; }
.switch { position: relative; display: inline-block; flex: none; width: 30px; height: 18px; margin: 2px; border: 0; border-radius: 18px; background: color-mix(in srgb, var(--muted) 80%, var(--background)); vertical-align: middle; appearance: none; cursor: pointer; transition: .15s; }
.switch::after { content: ""; position: absolute; top: 3px; inset-inline-start: 3px; width: 12px; height: 12px; border-radius: 50%; background: var(--background); transition: .15s; }
.switch:checked { background: var(--accent); }
.switch:checked::after { inset-inline-start: calc(100% - 15px); }
.switch:disabled { cursor: not-allowed; opacity: .5; }
@media (pointer: coarse) {
  .switch { width: 38px; height: 24px; }
  .switch::after { top: 4px; inset-inline-start: 4px; width: 16px; height: 16px; }
  .switch:checked::after { inset-inline-start: calc(100% - 20px); }
  .switch::before { content: ""; position: absolute; inset: -12px -4px; }
  .type-head, .channel { min-height: 44px; }
  .preference-select, .time-input { min-height: 44px; font-size: 16px; }
}
@media (forced-colors: active) {
  .switch { border: 1px solid ButtonText; }
  .switch::after { forced-color-adjust: none; top: 2px; background: ButtonText; }
  .switch:checked { forced-color-adjust: none; background: Highlight; }
  .switch:checked::after { background: Canvas; }
}
`;

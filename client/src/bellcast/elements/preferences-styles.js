/** The style sheet of the preferences, loaded with them. In a narrow container, five channels leave the names enough space for a word. */

export const PREFERENCES_CSS = `
.preferences { container-type: inline-size; width: 100%; max-width: 760px; margin-inline: auto; padding: 0 18px 18px; font-size: 13px; }
.help-head + .preferences > :first-child { padding-top: 4px; }
.preferences .hint { margin-top: 4px; color: var(--muted); font-size: 12px; }
.preferences .hint svg { display: inline-block; width: 12px; height: 12px; margin-inline-end: 4px; vertical-align: -1px; }
.preference { display: grid; grid-template-columns: 1fr minmax(0, auto); align-items: center; gap: 2px 12px; padding: 14px 0; border-bottom: 1px solid var(--border); }
.preference:last-child { border-bottom: 0; }
.preference > :is(.hint, .preference-line, table) { grid-column: 1 / -1; }
.preference-name { font-weight: 600; text-align: start; }
.preference-line { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding-top: 8px; color: var(--muted); }
.preference-select, .time-input { min-height: 32px; max-width: 100%; padding: 3px 8px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); color: var(--text); font: inherit; color-scheme: inherit; }
.frequency { display: block; max-width: 100%; height: 20px; margin: 0; padding: 0; border: 0; border-radius: 4px; background: none; color: var(--muted); font: inherit; font-size: 11px; font-weight: 400; text-decoration: underline dotted; text-underline-offset: 3px; appearance: none; cursor: pointer; color-scheme: inherit; }
.frequency:hover { color: var(--text); }
.frequency option { background: var(--background); color: var(--text); }
.preference-select { width: 168px; }
.preference-table { width: 100%; border-collapse: collapse; }
caption { padding-bottom: 8px; }
.channel { padding: 2px 0; color: var(--muted); font-size: 11px; font-weight: 500; }
.type-name { padding-block: 6px; padding-inline-end: 4px; font-weight: 500; text-align: start; overflow-wrap: anywhere; vertical-align: top; }
.preferences .type { border-top: 1px solid var(--border); }
.required td { padding: 0 0 8px; }
.required .hint { margin-top: 0; }
.cell { width: 12.5%; padding: 5px 2px; text-align: center; vertical-align: top; }
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
  .frequency { height: 44px; margin-block: -8px -10px; }
  .preference-select, .time-input { min-height: 44px; font-size: 16px; }
}
@container (width < 340px) {
  .cell { padding: 5px 1px; }
  .switch { width: 30px; margin: 2px 1px; }
}
@media (forced-colors: active) {
  .switch { border: 1px solid ButtonText; }
  .switch::after { forced-color-adjust: none; top: 2px; background: ButtonText; }
  .switch:checked { forced-color-adjust: none; background: Highlight; }
  .switch:checked::after { background: Canvas; }
}
`;

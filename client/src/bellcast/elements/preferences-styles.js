/** The style sheet of the preferences, loaded with them. */

export const PREFERENCES_CSS = `
.preferences { padding: 0 18px 18px; font-size: 13px; }
.help-head + .preferences > :first-child { padding-top: 4px; }
.preferences .hint { margin-top: 4px; color: var(--muted); font-size: 12px; }
.preferences .hint svg { display: inline-block; width: 12px; height: 12px; margin-inline-end: 4px; vertical-align: -1px; }
.preference { display: grid; grid-template-columns: 1fr auto; align-items: center; gap: 2px 12px; padding: 14px 0; border-bottom: 1px solid var(--border); }
.preference:last-child { border-bottom: 0; }
.preference > :is(.hint, .preference-line, table) { grid-column: 1 / -1; }
.preference-name { font-weight: 600; text-align: start; }
.preference-line { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding-top: 8px; color: var(--muted); }
.preference-select, .time-input { min-height: 32px; max-width: 100%; padding: 3px 8px; border: 1px solid var(--border); border-radius: 8px; background: var(--background); color: var(--text); font: inherit; color-scheme: inherit; }
.preference-select.small { min-height: 26px; padding: 1px 4px; font-size: 12px; }
.preference > .preference-select { max-width: 168px; }
.preference-table { width: 100%; border-collapse: collapse; }
.preference-table caption { padding-bottom: 8px; }
.channel { padding: 2px; color: var(--muted); font-size: 11px; font-weight: 500; overflow-wrap: anywhere; }
.type-name { padding: 6px 0; font-weight: 500; text-align: start; overflow-wrap: anywhere; }
.cell { width: 13%; text-align: center; }
.type-more td { padding: 0 0 8px; }
.type-more .hint { margin-top: 4px; }
.digest { color: var(--muted); font-size: 12px; }
.check { width: 18px; height: 18px; margin: 4px; accent-color: var(--accent); cursor: pointer; }
.check:disabled { cursor: not-allowed; }
.preferences :focus-visible { outline-offset: 1px; }
@media (pointer: coarse) { .check { width: 22px; height: 22px; } .preference-select, .preference-select.small, .time-input { min-height: 40px; font-size: 16px; } }
`;

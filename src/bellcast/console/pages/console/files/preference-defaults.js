/**
 * Preference defaults: what recipients get before they choose, for the project or a tenant.
 */
import { html } from './html.js';
import { Loaded, useLoad } from './load.js';
import { ManagedBanner } from './managed.js';
import { Card, Heading, Moment, State } from './parts.js';
import { Matrix } from './preferences.js';
import { toYaml } from './yaml.js';
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';

export function PreferenceDefaults({ page }) {
  const tenant = shownTenant() || page.me.tenants?.[0] || '';
  const defaults = useLoad((signal) => get(withQuery('/v1/preference-defaults', { tenant }), signal), [tenant]);
  return html`<${Heading} title="Preference defaults" /><p class="muted">What a recipient gets before it chooses${tenant ? `, in ${tenant}` : ''}. Types that are required cannot be turned off.</p>
    <${Loaded} of=${defaults}>${({ effective, updated_at: at, tenant: of, inherited, managed, ...own }) => html`<${ManagedBanner} page=${page} kind="preference-defaults" one=${{ tenant: of, managed }} values=${own} />
      <${Matrix} effective=${effective} cell=${({ channels }, channel) => {
    const { on, required } = channels[channel];
    return html`<${State} of=${!on ? 'off' : required ? 'required' : 'on'} kind=${on ? 'ok' : 'info'} />`;
  }} />
      <${Card} title="As YAML"><pre tabIndex="0"><code>${Object.keys(own).length > 0 ? toYaml(own) : '# nothing is set: every channel is on'}</code></pre>
        <p class="muted">${at && html`Changed <${Moment} at=${at} />. `}${of ? `Set for ${of}.` : 'Set for the project.'} Change them with <code>PUT /v1/preference-defaults</code>.</p><//>`}<//>`;
}

/**
 * The settings in words: the sections of the page, and the label of each setting.
 */

/** Sections in the order of the page: id, title, and the labels of their settings. */
export const SECTIONS = [
  ['access', 'Access', {
    origins: 'Allowed origins', session_url: 'Session URL', jwks_url: 'JWKS URL', jwks_issuer: 'JWKS issuer', jwks_audience: 'JWKS audience', jwt_claims: 'Names of claims',
  }],
  ['topics', 'Topics', { public_topics: 'Public topics', presence_topics: 'Topics with presence', anonymous: 'Clients without a token', topic_history: 'Topic history' }],
  ['channels', 'Messages', {
    app_url: 'URL of your app', brand: 'Brand', locale: 'Default language', locales: 'Required languages', timezone: 'Default time zone', simulate: 'Channels that only store', retries: 'Delays between attempts',
  }],
  ['store', 'Retention', { retention: 'Notifications', run_retention: 'Messages and runs', tombstones: 'Deletion markers', newcomers: 'Announcements for new recipients' }],
  ['server', 'Calls and log', { handler_url: 'URL for client calls', access_log: 'Request log', log_requests: 'Request log (older name)' }],
  ['pusher', 'Pusher', {
    pusher_enabled: 'Serve Pusher clients', pusher_client_events: 'Client events', pusher_client_events_per_second: 'Client events per second', pusher_subscription_count: 'Subscription counts', pusher_watchlists: 'Watchlists', pusher_watchlist: 'Users in a watchlist',
    pusher_presence_members: 'Members of a presence channel', pusher_channels_per_event: 'Channels of an event', pusher_batch: 'Events in a batch', pusher_activity_timeout: 'Ping after', pusher_authorized_within: 'Time to authorize', pusher_cache_ttl: 'Lifetime of cached events', pusher_webhook_url: 'Webhook URL', pusher_aliases: 'Channels of a recipient',
  }],
  ['content', 'Content limits', {
    limit_title: 'Title', limit_body: 'Body', limit_data: 'Data', limit_type: 'Type', limit_group: 'Group', limit_url: 'Link', limit_tags: 'Tags', limit_tag: 'Length of a tag', limit_key: 'Key', limit_topic: 'Topic', limit_event_name: 'Name of a live event', limit_event_data: 'Data of a live event',
  }],
  ['requests', 'Request limits', {
    limit_requests_per_second: 'Requests per second', limit_sends_per_second: 'Sends per second', limit_sends_per_day: 'Sends per day', limit_to: 'Recipients of a send', limit_ids: 'Notifications of an action', limit_request: 'Size of a request', limit_bulk: 'Size of a bulk request', limit_bulk_items: 'Items of a bulk request',
  }],
  ['limits', 'Connection limits', {
    limit_connections: 'Connections', limit_connections_per_recipient: 'Connections of a recipient', limit_connections_per_address: 'Connections of an address', limit_topics_per_connection: 'Topics of a connection', limit_frame: 'Size of a message', limit_frames_per_second: 'Messages per second', limit_unsent: 'Unsent bytes', limit_replay: 'Changes replayed', limit_history: 'History of a tenant',
  }],
];

const LABELS = Object.assign({}, ...SECTIONS.map(([, , labels]) => labels));
const TITLES = Object.assign({}, ...SECTIONS.map(([, title, labels]) => Object.fromEntries(Object.keys(labels).map((name) => [name, title]))));

/** The label of a setting within its section; one without is shown by its name. */
export const labelOf = ({ name }) => LABELS[name] ?? name;

/** The label of a setting with its section. */
export const fullLabelOf = ({ name }) => (name in LABELS ? `${TITLES[name]}: ${LABELS[name]}` : name);

/** The settings whose labels or names contain a text, with their labels as titles. */
export function findSettings(settings, text) {
  const plain = (name) => name.toLowerCase().replaceAll('_', ' ');
  return settings.map((one) => ({ ...one, title: fullLabelOf(one) })).filter(({ name, title }) => [title, name].some((each) => plain(each).includes(plain(text))));
}

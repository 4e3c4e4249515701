/** On every page: Laravel Echo over pusher-js as before, with the credentials of the settings. */

export const { root } = document.documentElement.dataset;
const { desk, pusher } = document.body.dataset;
export const { role } = document.body.dataset;
const settings = JSON.parse(pusher);
const STATES = { connected: 'Live', connecting: 'Connecting', unavailable: 'Offline', failed: 'Offline', disconnected: 'Offline' };

/** Connect with Echo; null if Pusher is disabled or its libraries are not installed. */
function connect() {
  if (!settings.enabled || typeof Pusher === 'undefined') return null;
  return new (Echo.default ?? Echo)({
    broadcaster: 'pusher',
    Pusher,
    key: settings.key,
    cluster: '',
    wsHost: settings.host,
    wsPort: settings.port,
    wssPort: settings.port,
    forceTLS: settings.tls,
    enabledTransports: ['ws'],
    authEndpoint: `${root}/broadcasting/auth`,
  });
}

const echo = connect();
const admins = () => (settings.private_admin ? echo.private('admin') : echo.channel('admin'));
/** The channel of this desk: the admins', or the provider's own. */
export const channel = echo && (role === 'admin' ? admins() : echo.private(`provider.${desk}`));
// A sign-out ends the connections that follow a channel of the person, which the admins' channel is not.
if (role === 'admin') echo?.private(`App.Models.User.${desk}`);

/** Call a function after each connection: Pusher's protocol does not replay missed events. */
export const onConnected = (call) => echo?.connector.pusher.connection.bind('connected', call);

echo?.connector.pusher.connection.bind('state_change', ({ current }) => {
  const line = document.querySelector('.line');
  line.dataset.state = current;
  line.textContent = STATES[current] ?? current;
  if (current === 'connected') console.log('Pusher connected');
});

document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('details[open]')) menu.open = menu.contains(target);
});

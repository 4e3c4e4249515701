/** The user signed out, here or in another tab: the page must not go on showing the shop. */
document.addEventListener('bellcast:sign-in', () => location.assign('/login'));

// A live list of bookings.

import { socket } from "./connection.js";

const { root } = document.documentElement.dataset;
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

const element = (tag, text, ...inside) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...inside);
  return made;
};

/** Show bookings, newest first. `actions(booking)` returns the buttons of a booking; `changed(all)` is called on every change. */
export function follow(actions = () => [], changed = () => {}) {
  const list = document.querySelector("[data-bookings]");
  const empty = document.querySelector("[data-empty]");
  const known = new Map();

  const row = (booking) => {
    const made = element("li");
    made.id = `booking-${booking.id}`;
    const what = element("div", "", element("strong", booking.celebrity), element("span", `${booking.occasion}, ${DAY.format(new Date(booking.date))}`));
    const status = element("em", booking.status);
    status.dataset.status = booking.status;
    const face = Object.assign(element("img"), { src: `${root}/portraits/${booking.celebrityId}.svg`, alt: "", width: 44, height: 48 });
    made.append(face, what, element("span", booking.client), status, ...actions(booking));
    return made;
  };
  const show = (booking) => {
    const shown = document.getElementById(`booking-${booking.id}`);
    known.set(booking.id, booking);
    if (shown) shown.replaceWith(row(booking));
    else list.prepend(row(booking));
    empty.hidden = true;
    changed([...known.values()]);
  };

  socket.on("dashboard_data", ({ bookings }) => {
    list.replaceChildren();
    known.clear();
    empty.hidden = bookings.length > 0;
    for (const booking of bookings.toReversed()) show(booking);
  });
  socket.on("booking_update", ({ booking }) => show(booking));
}

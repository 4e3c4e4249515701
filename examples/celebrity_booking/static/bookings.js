// The list of bookings: first those of the site's own database, then each change as it happens.

import { attempt, request, socket, stored } from "./connection.js";

const { root } = document.documentElement.dataset;
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const list = document.querySelector("[data-bookings]");
const empty = document.querySelector("[data-empty]");
const older = document.querySelector("[data-older]");

/** Draw data into an element, unless it shows them already: a new element has lost the focus. */
export const draw = (into, data, make) => {
  const text = JSON.stringify(data);
  if (into.dataset.shown === text) return;
  into.dataset.shown = text;
  make();
};

const element = (tag, text, ...inside) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...inside);
  return made;
};

/**
 * Show bookings, newest first. `show(data)` gets the other data of the page, and the celebrities alone when only they change.
 */
export function follow(show) {
  const row = (booking) => {
    const made = element("li");
    made.id = `booking-${booking.id}`;
    made.dataset.id = booking.id;
    made.dataset.booking = JSON.stringify(booking);
    made.classList.toggle("opened", location.hash === `#${made.id}`);
    const when = [DAY.format(new Date(booking.date)), booking.time, booking.place].filter(Boolean).join(", ");
    const what = element("div", "", element("strong", booking.celebrity), element("span", booking.occasion), element("span", when));
    const status = element("em", booking.status);
    status.dataset.status = booking.status;
    const face = Object.assign(element("img"), { src: `${root}/portraits/${booking.celebrityId}.svg`, alt: "", width: 44, height: 48 });
    made.append(face, what, element("span", booking.client), status, element("p", "", ...booking.actions.map((action) => button(booking, action))));
    return made;
  };

  const button = (booking, action) => {
    const made = Object.assign(element("button", action), { type: "button", className: "plain" });
    made.addEventListener("click", () => {
      if (action === "cancel" && !confirm(`Cancel ${booking.celebrity}, ${booking.occasion}?`)) return;
      made.disabled = true;
      attempt(async () => {
        put(await request("PATCH", `/api/bookings/${booking.id}`, { action }));
        stored("Saved. Everyone concerned is notified as soon as the connection is back.");
      }).finally(() => {
        made.disabled = false;
        load().catch(() => {}); // after a refusal, too: the booking is not what the page shows
      });
    });
    return made;
  };

  /** Add a booking at its place, or replace it. The row of an unchanged one stays, with its focus. */
  const put = (booking) => {
    const shown = document.getElementById(`booking-${booking.id}`);
    if (shown?.dataset.booking === JSON.stringify(booking)) return;
    if (shown) return shown.replaceWith(row(booking));
    const next = [...list.children].find((one) => Number(one.dataset.id) < booking.id);
    list.insertBefore(row(booking), next ?? null);
    empty.hidden = true;
  };

  let last = Infinity; // the oldest booking of the pages that were loaded
  const showPage = (page) => {
    page.bookings.forEach(put);
    const end = page.bookings.at(-1)?.id ?? last;
    if (end < last) {
      last = end;
      older.hidden = !page.hasOlder;
    }
    empty.hidden = list.children.length > 0;
    show(page);
  };
  const load = async (before) => showPage(await request("GET", `/api/bookings${before ? `?before=${before}` : ""}`));

  /** Show the booking of the address, which may be older than those in the list. */
  const open = () => {
    const id = /^#booking-(\d+)$/.exec(location.hash)?.[1];
    if (!id) return;
    attempt(async () => {
      if (!document.getElementById(`booking-${id}`)) put(await request("GET", `/api/bookings/${id}`));
      for (const one of list.querySelectorAll(".opened")) one.classList.remove("opened");
      const opened = document.getElementById(`booking-${id}`);
      opened.classList.add("opened");
      opened.scrollIntoView({ block: "center" });
    });
  };

  older.addEventListener("click", () => attempt(() => load(last)));
  showPage(JSON.parse(document.querySelector("[data-page]").textContent));
  open();
  addEventListener("hashchange", open);

  // After a reconnection the newest bookings come with `dashboard_data`; the figures count all of them.
  socket.on("dashboard_data", ({ bookings, celebrities }) => {
    bookings.forEach(put);
    show({ celebrities });
    load().catch(() => {});
  });
  socket.on("booking_update", ({ booking }) => {
    put(booking);
    load().catch(() => {});
  });
  return { put, load };
}

// The agency's page: new requests appear live, and clients see every action immediately.

import { follow } from "./bookings.js";
import { attempt, request, socket } from "./connection.js";

const STEPS = { pending: ["confirm", "cancel"], confirmed: ["complete", "cancel"] };
const roster = document.querySelector("[data-roster]");
const warn = document.querySelector("[data-warn]");

const button = (words, act) => {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: words, className: "plain" });
  made.addEventListener("click", act);
  return made;
};

follow(
  (booking) =>
    (STEPS[booking.status] ?? []).map((action) =>
      button(action, () => attempt(() => request("PATCH", `/api/bookings/${booking.id}`, { action }))),
    ),
  (all) => {
    for (const figure of document.querySelectorAll("[data-figure]"))
      figure.textContent = all.filter((booking) => booking.status === figure.dataset.figure).length;
  },
);

const entry = (celebrity) => {
  const made = document.createElement("li");
  made.dataset.celebrity = celebrity.id;
  const words = celebrity.available ? "Mark as unavailable" : "Mark as available";
  made.append(
    Object.assign(document.createElement("strong"), { textContent: celebrity.name }),
    button(words, () => attempt(() => request("PATCH", `/api/celebrities/${celebrity.id}`, { available: !celebrity.available }))),
  );
  return made;
};

socket.on("dashboard_data", ({ celebrities }) => roster.replaceChildren(...celebrities.map(entry)));
socket.on("celebrity_update", (celebrity) => {
  roster.querySelector(`[data-celebrity="${CSS.escape(celebrity.id)}"]`)?.replaceWith(entry(celebrity));
});

// One id per message: a request that is repeated alerts once.
let requestId = crypto.randomUUID();
warn.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await request("POST", "/api/alerts", { ...Object.fromEntries(new FormData(warn)), requestId });
    requestId = crypto.randomUUID();
    warn.reset();
  });
});

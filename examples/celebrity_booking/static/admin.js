// The agency's page: new requests appear live, and clients see every action immediately.

import { draw, follow } from "./bookings.js";
import { attempt, request, socket, stored } from "./connection.js";

const roster = document.querySelector("[data-roster]");
const warn = document.querySelector("[data-warn]");

const entry = (celebrity) => {
  const made = document.createElement("li");
  made.dataset.celebrity = celebrity.id;
  const name = Object.assign(document.createElement("strong"), { textContent: celebrity.name });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain" });
  button.textContent = celebrity.available ? "Mark as unavailable" : "Mark as available";
  button.addEventListener("click", () =>
    attempt(async () => change(await request("PATCH", `/api/celebrities/${celebrity.id}`, { available: !celebrity.available }))),
  );
  made.append(name, button);
  return made;
};
const change = (celebrity) => {
  delete roster.dataset.shown;
  roster.querySelector(`[data-celebrity="${CSS.escape(celebrity.id)}"]`)?.replaceWith(entry(celebrity));
};

follow(({ celebrities, figures }) => {
  draw(roster, celebrities, () => roster.replaceChildren(...celebrities.map(entry)));
  if (!figures) return;
  for (const figure of document.querySelectorAll("[data-figure]")) figure.textContent = figures[figure.dataset.figure] ?? 0;
});
socket.on("celebrity_update", change);

// One id per message: a request that is repeated alerts once.
let requestId = crypto.randomUUID();
warn.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await request("POST", "/api/alerts", { ...Object.fromEntries(new FormData(warn)), requestId });
    requestId = crypto.randomUUID();
    warn.reset();
    stored("The alert is stored. It is sent as soon as the connection is back.");
  });
});

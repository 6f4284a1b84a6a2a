// The devices: their states in the words of `sensord devices`, and what to do.

import { clock, el } from "./format.js";
import { text } from "./text.js";

const ORDER = { down: 0, connecting: 1, up: 2 };

export function devices(main, { client }) {
  const body = el("tbody");
  const note = el("p", { class: "note" }, text.noDevices);
  main.append(el("h2", { class: "sr" }, text.views.devices),
    el("div", { class: "panel scroll", tabindex: 0, role: "region", "aria-label": text.views.devices }, el("table", {},
      el("thead", {}, el("tr", {}, ...text.devices.map((head) => el("th", { scope: "col" }, head)))), body), note));
  const known = new Map();
  let isOver = false;

  const draw = () => {
    note.hidden = known.size > 0;
    const sorted = [...known.values()].sort((a, b) =>
      ORDER[a.state] - ORDER[b.state] || a.device.localeCompare(b.device));
    body.replaceChildren(...sorted.map((one) => {
      const faults = Object.entries(one.faults ?? {});
      const told = faults.map(([reason, count]) => `${count} × ${reason}`).join(", ");
      return el("tr", {},
        el("th", { scope: "row" }, one.device),
        el("td", {}, el("span", { class: `state ${one.state}` }, one.state)),
        el("td", {}, clock(one.since_us)), el("td", {}, clock(one.last_reading_us)),
        el("td", { class: "num" }, (one.readings ?? 0).toLocaleString()),
        el("td", { title: told }, told || "0"),
        el("td", {}, [one.detail, ...(one.offline ?? [])].filter(Boolean).join(", ")));
    }));
  };
  const ask = () => {
    known.clear();
    client.ask("devices", { follow: true }, ({ rows }) => {
      if (isOver || !rows) return;
      for (const row of rows) known.set(row.device, row);
      draw();
    }).catch(() => {});
  };
  client.addEventListener("up", ask);
  if (client.state === "up") ask();
  draw();
  return () => { isOver = true; client.removeEventListener("up", ask); };
}

// The devices: their states in the words of `sensord devices`, what to do, and for who may what a
// device's connection carries.

import { clock, el, shown, unit, when } from "./format.js";
import { mayAll } from "./rights.js";
import { text } from "./text.js";

const ORDER = { faulted: 0, absent: 1, silent: 2, connecting: 3, stopped: 4, up: 5 };

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
      const faultText = faults.map(([reason, count]) => `${count} × ${reason}`).join(", ");
      return el("tr", {},
        el("th", { scope: "row" }, el("a", { href: `#device/${encodeURIComponent(one.device)}` }, one.device)),
        el("td", {}, el("span", { class: `state ${one.state}` }, one.state)),
        el("td", {}, [one.detail, ...(one.offline ?? [])].filter(Boolean).join(", ")),
        el("td", { title: clock(one.since_us) }, when(one.since_us)), el("td", { title: clock(one.last_reading_us) }, when(one.last_reading_us)),
        el("td", { class: "num" }, (one.readings ?? 0).toLocaleString()),
        el("td", { title: faultText }, faultText || "0"));
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

const MOST_LINES = 500;
const BYTES = { received: "←", sent: "→", message: "←" };

/** The bytes of a sight as text, with dots for what has no form. */
const printable = (hex) => (hex.match(/../g) ?? []).map((two) => parseInt(two, 16))
  .map((code) => (code >= 32 && code < 127 ? String.fromCharCode(code) : "·")).join("");

const described = (sight) => {
  const { what, hex, bytes, source, retained, topic, value, text: long, unit: code, level, reason, detail, count } = sight;
  if (what in BYTES) {
    const spaced = hex.replaceAll(/../g, "$& ").trim();
    const length = bytes ? ` … ${text.bytes(bytes)}` : "";
    return [`${BYTES[what]} ${source ?? ""}${retained ? ` (${text.retained})` : ""}`, `${printable(hex)}${length}`, `${spaced}${length}`];
  }
  if (what === "value") return [topic, `${long ?? shown(value)} ${unit(code)}`, level ? reason : ""];
  if (what === "dropped") return [text.dropped(count), "", ""];
  return [what, [reason, detail].filter(Boolean).join(": "), ""];
};

/** One device: its state, and the bytes of its connection beside the values that they became. */
export function device(main, { client, argument }) {
  const name = decodeURIComponent(argument);
  const facts = el("dl", { class: "facts" }), body = el("tbody"), note = el("p", { class: "soft", role: "status" });
  const look = el("button", { type: "button", class: "primary", onclick: () => (kept ? stop() : start()) }, text.look);
  main.append(el("h2", {}, name), el("section", { class: "card", "aria-label": name }, facts),
    el("div", { class: "bar", hidden: !mayAll(client) }, look, note),
    el("div", { class: "panel scroll sights", tabindex: 0, role: "region", "aria-label": text.look, hidden: !mayAll(client) }, el("table", {},
      el("thead", {}, el("tr", {}, ...text.sights.map((head) => el("th", { scope: "col" }, head)))), body)));
  let kept = null, waiting = [], frame = 0;

  const draw = () => {
    frame = 0;
    const rows = waiting.slice(-MOST_LINES).reverse().map((sight) => el("tr", { class: sight.what },
      el("td", {}, new Date(sight.time_us / 1000).toISOString().slice(11, 23)),
      ...described(sight).map((one) => el("td", {}, one))));
    waiting = [];
    body.prepend(...rows);
    while (body.children.length > MOST_LINES) body.lastChild.remove();
  };
  const stop = (error = null) => {
    kept?.cancel();
    kept = null;
    look.textContent = text.look;
    note.textContent = error?.message ?? "";
  };
  const start = () => {
    look.textContent = text.pause;
    note.textContent = text.looking;
    const mine = (kept = client.sniff(name, (sight) => {
      waiting.push(sight);
      frame ||= requestAnimationFrame(draw);
    }));
    mine.ended.then((error) => { if (kept === mine) stop(error); });
  };
  const subscription = client.subscribe([`$sys/devices/${name}`], (item) => {
    if (item.op !== "reading") return;
    const isEmpty = (value) => value !== null && typeof value === "object" && !Object.keys(value).length;
    facts.replaceChildren(...Object.entries(item.value ?? {}).filter(([, value]) => !isEmpty(value)).flatMap(([key, value]) =>
      [el("dt", {}, key.replace(/_us$/, "").replaceAll("_", " ")), el("dd", {}, key.endsWith("_us") ? clock(value) : shown(value))]));
  });
  return () => { stop(); subscription.cancel(); };
}

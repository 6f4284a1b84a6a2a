// What may be set and called: with its type, range and lease, what became of it, and who did what.

import { clock, el, shown, unit, when } from "./format.js";
import { may } from "./rights.js";
import { text } from "./text.js";

const CONTROL = "$sys/control/+", LEASES = "$sys/leases/#";
const AUDIT = ["$audit/set", "$audit/call", "$audit/lease"];
const MOST_ACTS = 50;
const LEASE_S = 600;

export function act(main, { client, store, toast }) {
  const cards = el("div", { class: "cards" });
  const note = el("p", { class: "note" }, text.noControls);
  const acts = el("tbody");
  main.append(el("h2", { class: "sr" }, text.views.act), cards, note,
    el("h3", { class: "below" }, text.acts),
    el("div", { class: "panel scroll", tabindex: 0, role: "region", "aria-label": text.acts }, el("table", {},
      el("thead", {}, el("tr", {}, ...text.actHeads.map((head) => el("th", { scope: "col" }, head)))), acts)));
  const values = new Map(), leases = new Map(), held = new Map();

  // A lease keeps others from acting; the device's covers all its topics and actions.
  const lease = (title, device) => {
    const words = el("span", { class: "soft" });
    const button = el("button", { type: "button", onclick: async () => {
      try { await (isMine(title) ? client.giveBack(title) : client.take(title, LEASE_S)); } catch (error) { toast(error.message); }
    } });
    held.set(title, () => {
      const found = [leases.get(title), leases.get(device)].find((one) => one?.holder);
      const mine = found?.holder.id === client.welcome?.client.id;
      words.textContent = found ? text.heldBy(mine ? text.me : found.holder.name || text.unnamed, when(found.until_us)) : "";
      button.textContent = isMine(title) ? text.giveBack : text.take;
      button.hidden = !may(client, "write", title) || Boolean(found && !mine) || Boolean(found && !isMine(title));
    });
    return el("p", { class: "lease" }, words, " ", button);
  };
  const isMine = (title) => leases.get(title)?.holder?.id === client.welcome?.client.id;

  const field = (name, facts) => {
    let input;
    if (facts.choices?.length)
      input = el("select", { name }, ...facts.choices.map((one) => el("option", { value: JSON.stringify(one) }, shown(one))));
    else if (facts.type === "bool")
      input = el("select", { name }, el("option", { value: "true" }, text.on), el("option", { value: "false" }, text.off));
    else if (facts.type === "string") input = el("input", { name, required: true });
    else input = el("input", { name, type: "number", required: true, step: facts.type === "int" ? 1 : "any",
      min: facts.range?.[0], max: facts.range?.[1], value: facts.default });
    const hint = [facts.range ? text.range_(...facts.range) : "", unit(facts.unit)].filter(Boolean).join(" ");
    return el("label", {}, `${name}${hint ? ` (${hint})` : ""}`, input);
  };
  const read = (form, facts) => Object.fromEntries(Object.entries(facts).map(([name, one]) => {
    const raw = form.elements[name].value;
    if (one.choices?.length) return [name, JSON.parse(raw)];
    if (one.type === "bool") return [name, raw === "true"];
    return [name, one.type === "string" ? raw : Number(raw)];
  }));

  const card = (title, device, facts, description, label, go) => {
    const outcome = el("p", { class: "outcome", role: "status" });
    const button = el("button", { class: "primary" }, label);
    const form = el("form", { onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      outcome.className = "outcome";
      outcome.textContent = text.doing;
      try {
        const done = await go(read(form, facts));
        outcome.textContent = text.done(done.value === undefined ? null : shown(done.value));
      } catch (error) {
        outcome.classList.add("failed");
        outcome.textContent = error.message;
      }
      button.disabled = false;
    } }, ...Object.entries(facts).map(([name, one]) => field(name, one)), button);
    const present = el("span", { class: "soft" });
    if (label === text.set) values.set(title, present);
    return el("section", { class: "card", "aria-label": title },
      el("strong", {}, title), " ", present, description ? el("p", { class: "soft" }, description) : null, form, outcome, lease(title, device));
  };

  const seen = new Map();
  const redraw = () => {
    values.clear();
    held.clear();
    const made = [];
    for (const [control, { set = {}, call = {} }] of seen) {
      const device = control.slice("$sys/control/".length);
      for (const [topic, facts] of Object.entries(set).filter(([topic]) => may(client, "write", topic)))
        made.push(card(topic, device, { value: facts }, facts.description, text.set, ({ value }) => client.set(topic, value)));
      for (const [name, facts] of Object.entries(call).filter(([name]) => may(client, "call", name)))
        made.push(card(name, device, facts.args ?? {}, facts.description, text.call, (args) => client.call(name, args)));
    }
    cards.replaceChildren(...made);
    note.hidden = made.length > 0;
    update();
  };
  const update = () => {
    for (const draw of held.values()) draw();
    for (const [topic, present] of values) {
      const entry = store.topics.get(topic);
      if (entry) present.textContent =
        `${text.present} ${shown(entry.reading.value, entry.reading.channel)} ${unit(entry.reading.channel.unit)}`;
    }
  };
  const subscription = client.subscribe([CONTROL], (item) => {
    if (item.op !== "reading") return;
    seen.set(item.topic, item.value ?? {});
    redraw();
  });
  const leasing = client.subscribe([LEASES], (item) => {
    if (item.op !== "reading") return;
    leases.set(item.topic.slice("$sys/leases/".length), item.value ?? {});
    update();
  });
  // An act is one row: its outcome takes the place of `pending`.
  const done = new Map();
  const auditing = client.subscribe(AUDIT, (item) => {
    if (item.op === "end" && item.error) acts.replaceChildren(el("tr", {}, el("td", { colspan: 6 }, item.error.message)));
    if (item.op !== "reading" || !item.value) return;
    const { who, subject, result, detail, key, after } = item.value;
    const label = item.topic.slice("$audit/".length);
    const made = el("tr", { class: ["done", "pending", "taken", "renewed", "given_back"].includes(result) ? "" : "bad" }, ...[
      when(item.time_us), who?.name || who?.id || "", label, subject,
      after === undefined || after === null ? "" : shown(after), [result, detail].filter(Boolean).join(": "),
    ].map((one) => el("td", {}, one)));
    const id = key ? `${who?.id}/${key}` : "";
    if (id && done.has(id)) done.get(id).replaceWith(made);
    else acts.prepend(made);
    if (id) done.set(id, made);
    while (acts.children.length > MOST_ACTS) acts.lastChild.remove();
    for (const [known, row] of done) if (!row.isConnected && row !== made) done.delete(known);
  }, { from: "-1d" });
  store.addEventListener("change", update);
  redraw();
  return () => { for (const one of [subscription, leasing, auditing]) one.cancel(); store.removeEventListener("change", update); };
}

// What may be set and called: with its type and range, and what became of it.

import { el, shown, unit } from "./format.js";
import { text } from "./text.js";

const CONTROL = "$sys/control/+";

export function act(main, { client, store }) {
  const cards = el("div", { class: "cards" });
  const note = el("p", { class: "note" }, text.noControls);
  main.append(el("h2", { class: "sr" }, text.views.act), cards, note);
  const values = new Map();

  const field = (name, facts) => {
    let input;
    if (facts.choices?.length)
      input = el("select", { name }, ...facts.choices.map((one) => el("option", { value: JSON.stringify(one) }, shown(one))));
    else if (facts.type === "bool")
      input = el("select", { name }, el("option", { value: "true" }, "on"), el("option", { value: "false" }, "off"));
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

  const card = (title, facts, description, label, go) => {
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
      el("strong", {}, title), " ", present, description ? el("p", { class: "soft" }, description) : null, form, outcome);
  };

  const seen = new Map();
  const redraw = () => {
    values.clear();
    const made = [];
    for (const { set = {}, call = {} } of seen.values()) {
      for (const [topic, facts] of Object.entries(set))
        made.push(card(topic, { value: facts }, facts.description, text.set, ({ value }) => client.set(topic, value)));
      for (const [name, facts] of Object.entries(call))
        made.push(card(name, facts.args ?? {}, facts.description, text.call, (args) => client.call(name, args)));
    }
    cards.replaceChildren(...made);
    note.hidden = made.length > 0;
    tell();
  };
  const tell = () => {
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
  store.addEventListener("change", tell);
  redraw();
  return () => { subscription.cancel(); store.removeEventListener("change", tell); };
}

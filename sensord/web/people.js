// Who is here and what they look at; a message to one or to all.

import { clock, el, when } from "./format.js";
import { may } from "./rights.js";
import { text } from "./text.js";

export function people(main, { client, toast }) {
  const body = el("tbody");
  const to = el("select", { "aria-label": text.to });
  const words = el("input", { "aria-label": text.message, placeholder: text.message, required: true, maxlength: 500 });
  const form = el("form", { class: "bar", onsubmit: async (event) => {
    event.preventDefault();
    const target = to.value ? { client: to.value } : { group: "operators" };
    try {
      const { receivers } = await client.ask("send", { to: target, body: { text: words.value } }, () => {});
      toast(text.sent(receivers));
      words.value = "";
    } catch (error) { toast(error.message); }
  } }, to, words, el("button", { class: "primary" }, text.send));
  const name = el("input", { "aria-label": text.myName, placeholder: text.myName, maxlength: 60, value: localStorage.getItem("sensord-name") ?? "" });
  // The name belongs to the connection, so the page is loaded again.
  const naming = el("form", { class: "bar own", onsubmit: (event) => {
    event.preventDefault();
    localStorage.setItem("sensord-name", name.value.trim());
    location.reload();
  } }, name, el("button", {}, text.rename));
  main.append(el("h2", { class: "sr" }, text.views.people), form, naming,
    el("div", { class: "panel scroll", tabindex: 0, role: "region", "aria-label": text.views.people }, el("table", {},
      el("thead", {}, el("tr", {}, ...text.people.map((head) => el("th", { scope: "col" }, head)))), body)));
  const known = new Map();
  let isOver = false;
  const draw = () => {
    const mine = client.welcome?.client.id;
    const here = [...known.values()];
    body.replaceChildren(...here.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.name || text.unnamed), el("td", {}, one.state),
      el("td", { title: clock(one.since_us) }, when(one.since_us)), el("td", {}, (one.watches ?? []).slice(0, 8).join(", ")))));
    const chosen = to.value;
    to.replaceChildren(...(may(client, "send", "group/operators") ? [el("option", { value: "" }, text.everybody)] : []),
      ...here.filter(({ id }) => id !== mine && may(client, "send", `client/${id}`))
        .map((one) => el("option", { value: one.id }, one.name || one.id)));
    if ([...to.options].some(({ value }) => value === chosen)) to.value = chosen;
    form.hidden = !to.options.length;
  };
  const ask = () => {
    known.clear();
    client.ask("clients", { follow: true }, ({ rows }) => {
      if (isOver || !rows) return;
      for (const row of rows) {
        if (row.state === "gone") known.delete(row.id);
        else known.set(row.id, row);
      }
      draw();
    }).catch(() => {});
  };
  client.addEventListener("up", ask);
  if (client.state === "up") ask();
  draw();
  return () => { isOver = true; client.removeEventListener("up", ask); };
}

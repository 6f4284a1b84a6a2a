// What is recorded, how long it is kept, and a stretch of it as a file.

import { cell, clock, download, el, iso, size, span } from "./format.js";
import { McapFile } from "./mcap.js";
import { text } from "./text.js";

/** Beyond it, a browser's memory ends: `sensord record` has no such bound. */
const MOST = 500_000;
const DAY_MS = 86_400_000;
const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

class CsvFile {
  #lines = ["time,topic,value,unit,quality,reason,restated"];

  add({ topic, channel, value, quality, reason, time_us, age }) {
    const written = typeof value === "string" || typeof value === "number" ? value : JSON.stringify(value);
    const cells = [iso(time_us), topic, value === null ? "" : written, channel.unit, quality, reason, age === null ? "" : "true"];
    this.#lines.push(cells.map(cell).join(","));
  }

  file() { return new Blob([this.#lines.join("\n"), "\n"], { type: "text/csv" }); }
}

export function recordings(main, { client, store, toast }) {
  const facts = el("dl", { class: "facts" });
  const now = store.now();
  const field = (label, attributes) => {
    const input = el("input", attributes);
    return [el("label", {}, label, " ", input), input];
  };
  const [topicsLabel, topics] = field(text.topicsWanted, { value: "#", required: true, list: "topics" });
  const [fromLabel, from] = field(text.from, { type: "datetime-local", required: true, value: local(now - 3_600_000) });
  const [toLabel, to] = field(text.to_, { type: "datetime-local", required: true, value: local(now + 60_000) });
  const kind = el("select", { "aria-label": text.format }, ...["CSV", "MCAP"].map((one) => el("option", {}, one)));
  const state = el("p", { class: "outcome", role: "status" });
  const save = el("button", { class: "primary" }, text.download);
  const stop = el("button", { type: "button", hidden: true, onclick: () => running?.cancel() }, text.cancel);
  const names = el("datalist", { id: "topics" }, ...[...store.topics.keys()].map((value) => el("option", { value })));
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); fetchAll(); } },
    topicsLabel, names, fromLabel, toLabel, kind, save, stop);
  main.append(el("h2", { class: "sr" }, text.views.recordings),
    el("section", { class: "card", "aria-label": text.journal }, el("h3", {}, text.journal), facts),
    el("section", { class: "card", "aria-label": text.stretch }, el("h3", {}, text.stretch), form, state));
  let running = null, isOver = false;

  const fetchAll = async () => {
    const times = [from, to].map((one) => new Date(one.value).getTime());
    if (!(times[0] < times[1])) return toast(text.noStretch);
    const file = kind.value === "MCAP" ? new McapFile() : new CsvFile();
    const range = { from: { time_us: times[0] * 1000 }, to: { time_us: times[1] * 1000 } };
    let count = 0, missing = 0, last = null;
    save.disabled = true;
    stop.hidden = false;
    try {
      running = client.history(topics.value.split(/[\s,]+/).filter(Boolean), range);
      for await (const item of running) {
        if (item.op === "gap") missing = item.count === null || missing === null ? null : missing + item.count;
        if (item.op !== "reading") continue;
        if (count === MOST) { last = item.reported_us; running.cancel(); break; }
        file.add(item);
        if (++count % 1000 === 0) state.textContent = text.fetched(count);
      }
      if (count) download(`sensord-${from.value.replaceAll(/[^0-9]/g, "")}.${kind.value.toLowerCase()}`, file.file());
      state.textContent = [text.fetched(count), missing !== 0 && `${text.gaps}: ${text.gap(missing)}`,
        last && text.tooLong(clock(last))].filter(Boolean).join("; ");
    } catch (error) { state.textContent = error.message; }
    save.disabled = false;
    stop.hidden = true;
    running = null;
  };

  const show = async () => {
    const [found] = await client.get(["$sys/journal"]);
    let oldest = null;
    for await (const item of client.history(["#"], { from: { time_us: 0 }, limit: 1 }))
      if (item.op === "reading") oldest = item.reported_us;
    if (!isOver) facts.replaceChildren(...rows(found?.value ?? { state: "off" }, oldest));
  };
  const rows = (journal, oldest) => {
    const { max_bytes: quota, written_per_day: daily, disk_bytes: disk, disk_written_per_day: worn } = journal;
    const facts = [
      [text.state, [text.journalStates[journal.state] ?? journal.state, journal.reason].filter(Boolean).join(": ")],
      [text.oldest, oldest && `${clock(oldest)} (${span(store.now() - oldest / 1000)})`],
      [text.readings, journal.recorded],
      [text.used, journal.used_bytes !== undefined && (quota ? text.of(size(journal.used_bytes), size(quota)) : size(journal.used_bytes))],
      [text.daily, daily && size(daily)],
      [text.keeps, daily && quota && span(quota / daily * DAY_MS)],
      [text.card, worn && disk && text.overwritten(size(worn), span(disk / worn * DAY_MS))],
      [text.damaged, journal.damaged ? `${journal.damaged} (${text.gap(journal.lost)})` : ""],
    ];
    return facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]);
  };
  const again = () => show().catch((error) => facts.replaceChildren(el("dt", {}, text.state), el("dd", {}, error.message)));
  client.addEventListener("up", again);
  const timer = setInterval(again, 60_000);
  if (client.state === "up") again();
  return () => {
    isOver = true;
    running?.cancel();
    clearInterval(timer);
    client.removeEventListener("up", again);
  };
}

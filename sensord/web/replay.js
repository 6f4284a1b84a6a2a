// The past on every view of values: a player that delivers it at its pace, and its controls.

import { clock, el } from "./format.js";
import { text } from "./text.js";

const BEFORE_MS = 60_000;
const MOST_BEFORE = 20_000;
const SPEEDS = [1, 10, 60, 600, 3600];
const STEPS = 1000;
const at = (ms) => ({ time_us: Math.round(ms * 1000) });

/** Delivers the readings between two times to the store. Events: `change`. */
export class Player extends EventTarget {
  #client; #store; #replay = null; #anchor; #anchoredAt = performance.now(); #run = 0;
  speed = 1;
  isPaused = false;
  isOver = false;

  /** `from` and `to` are milliseconds. */
  constructor(client, store, from, to) {
    super();
    Object.assign(this, { from, to });
    this.#client = client;
    this.#store = store;
    this.#anchor = from;
  }

  /** The time that is shown, in milliseconds. */
  now() {
    const moved = this.isPaused || this.isOver ? 0 : (performance.now() - this.#anchoredAt) * this.speed;
    return Math.min(this.to, this.#anchor + moved);
  }

  /** Play from a time on; what was shown before is forgotten. */
  async seek(ms) {
    const run = ++this.#run;
    this.#replay?.cancel();
    this.isOver = false;
    this.#anchorAt(Math.min(this.to, Math.max(this.from, ms)));
    const begin = this.#anchor;
    this.#store.clear();
    try {
      await this.#before(begin, run);
      if (run === this.#run) await this.#play(begin, run);
    } catch (error) {
      if (run === this.#run) this.#end(error.message);
    }
  }

  /** Values that were there already: those of the minute before. */
  async #before(begin, run) {
    const found = this.#client.history(["#"], { from: at(begin - BEFORE_MS), to: at(begin), limit: MOST_BEFORE });
    for await (const item of found) if (run === this.#run) this.#store.receive(item);
  }

  async #play(begin, run) {
    this.#anchorAt(begin);
    const { speed, isPaused: paused } = this;
    const replay = (this.#replay = this.#client.replay(["#"], { from: at(begin), to: at(this.to), speed, paused }));
    while (true) {
      const batch = await replay.arrived();
      if (run !== this.#run) return;
      if (batch === null) return this.#end();
      for (const item of batch.items) {
        this.#store.receive(item);
        // Silences are shortened, so the readings say how late it is.
        if (item.op === "reading") this.#anchorAt(Math.max(this.#anchor, item.reported_us / 1000));
      }
    }
  }

  async pause() { await this.#replay?.pause(); this.#turn(true, this.speed); }

  async go(speed = this.speed) {
    if (this.isOver) { this.speed = speed; this.isPaused = false; return this.seek(this.from); }
    await this.#replay?.go(speed);
    this.#turn(false, speed);
  }

  async step() { await this.#replay?.step(); this.#turn(true, this.speed); }

  close() {
    this.#run++;
    this.#replay?.cancel();
  }

  #turn(isPaused, speed) {
    this.#anchorAt(this.now());
    Object.assign(this, { isPaused, speed });
    this.dispatchEvent(new Event("change"));
  }

  #end(why = "") {
    this.#anchorAt(why ? this.now() : this.to);
    this.isOver = true;
    this.why = why;
    this.dispatchEvent(new Event("change"));
  }

  #anchorAt(ms) {
    this.#anchor = ms;
    this.#anchoredAt = performance.now();
  }
}

const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** Ask for the times, and play; the controls stay until one returns to the present. */
export function replay({ client, store, toast }) {
  document.querySelector("#replay")?.remove();
  const now = Date.now() + client.skewUs / 1000;
  const field = (label, ms) => {
    const input = el("input", { type: "datetime-local", required: true, value: local(ms) });
    return [el("label", {}, label, " ", input), () => new Date(input.value).getTime()];
  };
  // What somebody looks at in a chart is what they want to see again.
  const marked = /~(\d+)-(\d+)$/.exec(location.hash)?.slice(1).map((one) => Number(one) * 1000);
  const [fromLabel, from] = field(text.from, marked?.[0] ?? now - 3_600_000);
  const [toLabel, to] = field(text.to_, marked ? marked[1] + 59_999 : now + 60_000);
  const bar = el("section", { id: "replay", "aria-label": text.replay });
  const close = () => {
    store.player?.close();
    if (store.player) store.show(null);
    bar.remove();
  };
  const form = el("form", { class: "bar", onsubmit: (event) => {
    event.preventDefault();
    if (!(from() < to())) return toast(text.noStretch);
    const player = new Player(client, store, from(), Math.min(to(), now));
    store.show(player);
    bar.replaceChildren(controls(player, close, toast));
    player.seek(player.from);
  } }, fromLabel, toLabel, el("button", { class: "primary" }, text.play),
  el("button", { type: "button", onclick: close }, text.cancel));
  bar.append(form);
  document.body.append(bar);
  form.querySelector("input").focus();
}

function controls(player, close, toast) {
  const guarded = (act) => () => act().catch((error) => toast(error.message));
  const time = el("time", { class: "when" });
  const slider = el("input", { type: "range", min: 0, max: STEPS, "aria-label": text.position,
    onchange: () => player.seek(player.from + (player.to - player.from) * slider.value / STEPS) });
  const turn = el("button", { type: "button", class: "primary", onclick: guarded(() => (player.isPaused || player.isOver ? player.go() : player.pause())) });
  const step = el("button", { type: "button", onclick: guarded(() => player.step()) }, text.step);
  const speed = el("select", { "aria-label": text.speed, onchange: guarded(() => player.go(Number(speed.value))) },
    ...SPEEDS.map((one) => el("option", { value: one }, `${one} ×`)));
  const draw = () => {
    time.textContent = `${clock(player.now() * 1000)}${player.isOver ? ` · ${player.why || text.over}` : ""}`;
    if (document.activeElement !== slider)
      slider.value = STEPS * (player.now() - player.from) / (player.to - player.from);
    turn.textContent = player.isPaused || player.isOver ? text.play : text.pause;
    step.disabled = player.isOver;
  };
  const tick = setInterval(() => (time.isConnected ? draw() : clearInterval(tick)), 250);
  player.addEventListener("change", draw);
  draw();
  return el("div", { class: "bar" }, el("strong", {}, text.replay), time, slider, turn, step, speed,
    el("button", { type: "button", onclick: close }, text.backToPresent));
}

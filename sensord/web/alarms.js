// The alarms, the most urgent first: who looks after which, and until when one is shelved.

import { clock, el, shown, span } from "./format.js";
import { may } from "./rights.js";
import { text } from "./text.js";

const FILTER = "$sys/alarms/+";
const STATES = ["raised", "cleared", "acknowledged", "normal"];
const PRIORITIES = ["critical", "high", "medium", "low"];

/** The state of every alarm, for the view and for the number beside its name. */
export class Alarms extends EventTarget {
  known = new Map();
  #sound = new Sound();

  constructor(client) {
    super();
    client.subscribe([FILTER], (item) => {
      if (item.op !== "reading") return;
      const name = item.topic.split("/").pop();
      // One that the configuration no longer has is gone when its device is.
      const before = this.known.get(name);
      if (item.value === null || item.quality === "bad") this.known.delete(name);
      else this.known.set(name, item.value);
      if (before && before.state !== "raised" && item.value?.state === "raised" && !item.value.shelved) this.#sound.play();
      navigator.setAppBadge?.(this.waiting).catch(() => {});
      this.dispatchEvent(new Event("change"));
    });
  }

  get sound() { return this.#sound; }

  /** How many wait for somebody to look after them. */
  get waiting() {
    return [...this.known.values()].filter((one) => isWaiting(one)).length;
  }

  /** Names and states, the most urgent first. */
  sorted() {
    return [...this.known].sort(([a, one], [b, other]) =>
      Boolean(one.shelved) - Boolean(other.shelved)
      || STATES.indexOf(one.state) - STATES.indexOf(other.state)
      || PRIORITIES.indexOf(one.priority) - PRIORITIES.indexOf(other.priority)
      || other.since_us - one.since_us || a.localeCompare(b));
  }
}

/** Two short tones when an alarm is raised, if wanted: browsers allow them after a click. */
class Sound {
  #audio = null;
  isOn = localStorage.getItem("sensord-sound") === "on";
  /** How often it was played. */
  played = 0;

  turn(isOn) {
    this.isOn = isOn;
    localStorage.setItem("sensord-sound", isOn ? "on" : "off");
    if (isOn) this.play();
  }

  play() {
    if (!this.isOn) return;
    this.played++;
    this.#audio ??= new AudioContext();
    this.#audio.resume();
    for (const [begin, pitch] of [[0, 660], [0.22, 880]]) {
      const tone = this.#audio.createOscillator(), volume = this.#audio.createGain(), at = this.#audio.currentTime + begin;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.15, at);
      volume.gain.exponentialRampToValueAtTime(0.001, at + 0.2);
      tone.connect(volume).connect(this.#audio.destination);
      tone.start(at);
      tone.stop(at + 0.2);
    }
  }
}

const isWaiting = (one) => !one.shelved && (one.state === "raised" || one.state === "cleared");

export function alarms(main, { alarms: kept, client, toast, store }) {
  const cards = el("div", { class: "cards" });
  const note = el("p", { class: "note" }, text.noAlarms);
  const sound = el("button", { type: "button", "aria-pressed": String(kept.sound.isOn), onclick: () => {
    kept.sound.turn(!kept.sound.isOn);
    sound.setAttribute("aria-pressed", String(kept.sound.isOn));
  } }, text.sound);
  main.append(el("h2", { class: "sr" }, text.views.alarms), el("div", { class: "bar own" }, sound), cards, note);
  const made = new Map(); // a card stays: what is typed into it does, too

  const card = (name) => {
    const facts = el("div");
    const words = el("input", { "aria-label": text.alarmNote, placeholder: text.alarmNote, maxlength: 500 });
    const go = (args) => async () => {
      try {
        await client.call("alarms", { alarm: name, ...(words.value ? { text: words.value } : {}), ...args });
        words.value = "";
      } catch (error) { toast(error.message); }
    };
    const button = (label, args, kind) => el("button", { type: "button", class: kind, onclick: go(args) }, label);
    const acknowledge = button(text.acknowledge, { act: "acknowledge" }, "primary");
    const shelve = text.shelves.map(([label, seconds]) => button(label, { act: "shelve", for_s: seconds }));
    const unshelve = button(text.unshelve, { act: "unshelve" });
    const node = el("section", { class: "card", "aria-label": name }, facts,
      el("div", { class: "acts", hidden: !may(client, "call", "alarms") }, words, acknowledge, ...shelve, unshelve));
    const update = (one) => {
      acknowledge.hidden = one.state !== "raised" && one.state !== "cleared";
      for (const one_ of shelve) one_.hidden = Boolean(one.shelved);
      unshelve.hidden = !one.shelved;
      node.dataset.state = one.state;
      const by = (act) => [act.by?.name || text.unnamed, act.text].filter(Boolean).join(": ");
      facts.replaceChildren(
        el("strong", {}, name), " ",
        el("span", { class: `alarm ${one.state} ${one.priority}` }, `${text.alarmStates[one.state]}, ${one.priority}`),
        el("p", {}, el("a", { href: `#topic/${encodeURIComponent(one.topic)}` }, one.topic),
          one.cause ? ` ${text.causes[one.cause] ?? one.cause}: ${shown(one.value)}` : ""),
        ...[
          one.text,
          one.since_us ? `${text.since} ${clock(one.since_us)} (${span(store.now() - one.since_us / 1000)})` : "",
          one.count ? text.raised(one.count) : "",
          one.acknowledged ? `${text.acknowledgedBy} ${by(one.acknowledged)}` : "",
          one.shelved ? `${text.shelvedUntil} ${clock(one.shelved.until_us)}, ${by(one.shelved)}` : "",
        ].filter(Boolean).map((line) => el("p", { class: "soft" }, line)));
    };
    return { node, update };
  };
  const draw = () => {
    const sorted = kept.sorted();
    for (const [name, one] of sorted) {
      if (!made.has(name)) made.set(name, card(name));
      made.get(name).update(one);
    }
    const nodes = sorted.map(([name]) => made.get(name).node);
    // Moving a node takes the focus from what is in it.
    if (nodes.length !== cards.children.length || nodes.some((node, i) => node !== cards.children[i]))
      cards.replaceChildren(...nodes);
    note.hidden = sorted.length > 0;
  };
  kept.addEventListener("change", draw);
  const timer = setInterval(draw, 30_000);
  draw();
  return () => { kept.removeEventListener("change", draw); clearInterval(timer); };
}

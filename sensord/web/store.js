// The last value of every topic, and how it came to be: changed, confirmed or silent. They are those
// of the present, or those of a replay.

const SILENT_MS = 5 * 60_000;

/** Keeps what the daemon sends; views read it and follow its events: `change`, and `source`. */
export class Store extends EventTarget {
  topics = new Map();
  /** The player whose readings these are, or null: then they are those of the present. */
  player = null;
  #subscription = null;
  #watchers = new Map();
  #changed = new Set();
  #isNew = false;
  #isFirst = true;
  #frame = 0;

  constructor(client) {
    super();
    this.client = client;
    this.#follow();
  }

  #follow() {
    // At most a value a second of each topic: nobody reads faster.
    this.#subscription = this.client.subscribe(["#"], (item) => this.receive(item), { mode: "latest", period: 1 });
  }

  /** Show the readings of a player from now on, or for null those of the present. */
  show(player) {
    this.#subscription?.cancel();
    this.#subscription = null;
    this.player = player;
    this.clear();
    if (player === null) this.#follow();
  }

  /** Forget all values: the next ones are of another time. */
  clear() {
    this.topics.clear();
    this.#changed.clear();
    this.dispatchEvent(new Event("source"));
  }

  /** Call `onReading` with each reading of a topic that a player delivers; returns what ends it. */
  watch(topic, onReading) {
    const watchers = this.#watchers.get(topic) ?? new Set();
    this.#watchers.set(topic, watchers.add(onReading));
    return () => { if (watchers.delete(onReading) && !watchers.size) this.#watchers.delete(topic); };
  }

  /** The time of the values in milliseconds: the server's clock, or the player's. */
  now() { return this.player ? this.player.now() : Date.now() + this.client.skewUs / 1000; }

  /** What the quality column says: a class and a word. */
  mark(entry) {
    const { reading } = entry;
    if (reading.quality !== "good") return [reading.quality, reading.reason || reading.quality];
    const reported = reading.time_us / 1000 + (reading.age ?? 0) / 1000;
    if (this.now() - reported > SILENT_MS) return ["good silent", "silent"];
    return reading.age !== null ? ["good confirmed", "confirmed"] : ["good", "good"];
  }

  /** Accept an item of a subscription or a replay. */
  receive(item) {
    if (item.op !== "reading" || item.topic.startsWith("state/")) return;
    const known = this.topics.get(item.topic);
    if (known) {
      known.reading = item;
      known.changedAt = item.age === null ? performance.now() : known.changedAt;
    } else {
      this.topics.set(item.topic, { topic: item.topic, reading: item, changedAt: 0, spark: null });
      this.#isNew = true;
    }
    for (const onReading of this.#watchers.get(item.topic) ?? []) onReading(item);
    this.#changed.add(item.topic);
    // The first values are drawn at once, later ones with the browser's next frame.
    if (this.#isFirst) queueMicrotask(() => this.#notify());
    else this.#frame ||= requestAnimationFrame(() => this.#notify());
    this.#isFirst = false;
  }

  #notify() {
    const changed = this.#changed, isNew = this.#isNew;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#changed = new Set();
    this.#isNew = false;
    this.dispatchEvent(Object.assign(new Event("change"), { changed, isNew }));
  }
}

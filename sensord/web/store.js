// The last value of every topic, and how it came to be: changed, confirmed or silent.

const SILENT_MS = 5 * 60_000;

/** Keeps what the daemon sends; views ask it what there is and hear of changes. */
export class Store extends EventTarget {
  topics = new Map();
  #changed = new Set();
  #frame = 0;

  constructor(client) {
    super();
    this.client = client;
    // At most a value a second of each topic: nobody reads faster.
    client.subscribe(["#"], (item) => this.#received(item), { mode: "latest", period: 1 });
  }

  /** The server's present time in milliseconds. */
  now() { return Date.now() + this.client.skewUs / 1000; }

  /** What the quality column says: a class and a word. */
  mark(entry) {
    const { reading } = entry;
    if (reading.quality !== "good") return [reading.quality, reading.reason || reading.quality];
    const heard = reading.time_us / 1000 + (reading.age ?? 0) / 1000;
    if (this.now() - heard > SILENT_MS) return ["good silent", "silent"];
    return reading.age !== null ? ["good confirmed", "confirmed"] : ["good", "good"];
  }

  #received(item) {
    if (item.op !== "reading" || item.topic.startsWith("state/")) return;
    const known = this.topics.get(item.topic);
    if (known) {
      known.reading = item;
      known.changedAt = item.age === null ? performance.now() : known.changedAt;
    } else {
      this.topics.set(item.topic, { topic: item.topic, reading: item, changedAt: 0, spark: null });
    }
    this.#changed.add(item.topic);
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const changed = this.#changed;
      this.#changed = new Set();
      this.dispatchEvent(Object.assign(new Event("change"), { changed, isNew: !known }));
    });
  }
}

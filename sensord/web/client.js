// The JavaScript client of sensord: docs/protocol.md over sensord.v1.json, for browsers and Node.
//
// It reconnects by itself. A subscription resumes at its cursor, so no reading is missing or comes
// twice; what cannot be had is named in a gap. Requests with one answer fail when the connection is
// lost: only the caller knows whether to repeat them.

const PROTOCOL = "sensord.v1.json";
const LEVELS = ["good", "uncertain", "bad"];
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 15_000;
const SILENCE_MS = 45_000;

export class SensordError extends Error {
  constructor(code, message, more = {}) {
    super(`${code}: ${message}`);
    this.code = code;
    Object.assign(this, more);
  }
}

const lost = () => new SensordError("lost", "the connection is lost; try again");

/** A connection that comes back, and what is open on it. */
export class Sensord extends EventTarget {
  #url; #options; #socket = null; #number = 0; #waiting = new Map(); #open = new Map();
  #channels = new Map(); #streams = new Map(); #subscriptions = new Set();
  #delay = FIRST_DELAY_MS; #timer = null; #isClosed = false; #heardAt = 0; #watch = null;

  /** `options`: `name` that others see, `key` of an earlier connection, `token`, `WebSocket`. */
  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = options;
    this.state = "connecting";
    this.welcome = null;
    this.ready = new Promise((resolve) => this.addEventListener("up", resolve, { once: true }));
    this.#connect();
  }

  /** The microseconds by which the server's clock is ahead of this one. */
  skewUs = 0;

  /** Ask for something with one answer, or with `tell` for what follows the answer. */
  ask(op, fields = {}, tell = null) {
    if (this.state !== "up") return Promise.reject(lost());
    return this.#ask(op, fields, tell).answer;
  }

  /** Ask for something that comes in several messages; return them all. */
  async collect(op, fields = {}) {
    const found = [];
    await this.ready;
    return new Promise((resolve, reject) => {
      if (this.state !== "up") return reject(lost());
      const { id, answer } = this.#ask(op, fields, (message) => {
        if (message.op === "lost") reject(lost());
        else if (message.op === "end" || message.op === "complete") resolve(found);
        else found.push(message);
      });
      answer.catch((error) => { this.#open.delete(id); reject(error); });
    });
  }

  /**
   * Subscribe: `tell` gets `{op: "reading" | "gap" | "stream" | "lost" | "end", …}` until the
   * returned subscription is cancelled. It resumes by itself.
   */
  subscribe(topics, tell, fields = {}) {
    const subscription = new Subscription(this, topics, tell, fields);
    this.#subscriptions.add(subscription);
    if (this.state === "up") this.#begin(subscription);
    return subscription;
  }

  /** Iterate over the readings and gaps of topics: last values, then what comes. */
  async *readings(topics, fields = {}) {
    const queue = [];
    let wake = () => {};
    const subscription = this.subscribe(topics, (item) => { queue.push(item); wake(); }, fields);
    try {
      while (true) {
        while (queue.length) {
          const item = queue.shift();
          if (item.op === "end") {
            if (item.error) throw item.error;
            return;
          }
          if (item.op === "reading" || item.op === "gap") yield item;
        }
        await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      subscription.cancel();
    }
  }

  /** Act: `set` a topic or `call` a name; returns the outcome, throws if it was not done. */
  async act(op, fields, onPart = () => {}) {
    return new Promise((resolve, reject) => {
      if (this.state !== "up") return reject(lost());
      const { answer } = this.#ask(op, fields, (message) => {
        if (message.op === "part") onPart(message.value);
        if (message.op === "lost")
          reject(new SensordError("unknown", "the connection was lost", { may_have_acted: true }));
        if (message.op !== "outcome") return;
        if (message.status === "done" || !message.reason) resolve(message);
        else reject(new SensordError(message.reason, message.message ?? "not done", message));
      });
      answer.catch(reject);
    });
  }

  set(topic, value, fields = {}) { return this.act("set", { topic, value, ...fields }); }

  call(name, args = {}, fields = {}) { return this.act("call", { name, args, ...fields }); }

  /** What was announced of a channel: topic, unit, type, decimals, kind, device. */
  channel(number) {
    return { type: "float", unit: "", kind: "state", device: "", ...this.#channels.get(number) };
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.close();
    this.#become("closed");
  }

  // -- used by subscriptions ----------------------------------------------------------------------

  _cancel(subscription) {
    this.#subscriptions.delete(subscription);
    if (subscription.id !== null && this.state === "up") {
      this.#open.delete(subscription.id);
      this.#ask("cancel", { request: subscription.id }).answer.catch(() => {});
    }
  }

  // -- inside -------------------------------------------------------------------------------------

  #connect() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) throw new Error("there is no WebSocket: use Node 22, or pass one as an option");
    const socket = (this.#socket = new Socket(this.#url, PROTOCOL));
    socket.onopen = () => this.#hello().catch((error) => this.#refused(error));
    socket.onmessage = (event) => {
      this.#heardAt = Date.now();
      this.#received(JSON.parse(event.data));
    };
    socket.onclose = () => { if (socket === this.#socket) this.#down(); };
    socket.onerror = () => {};
  }

  async #hello() {
    const { name: client = "", key, token } = this.#options;
    const fields = { client, ...(key && { key }), ...(token && { token }) };
    const sent = Date.now();
    const welcome = await this.#ask("hello", fields).answer;
    this.skewUs = welcome.time_us - (sent + Date.now()) * 500;
    this.welcome = welcome;
    this.#options.key = welcome.client.key;
    this.#delay = FIRST_DELAY_MS;
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#check(), SILENCE_MS / 3);
    this.#become("up");
    for (const subscription of this.#subscriptions) this.#begin(subscription);
  }

  #refused(error) {
    this.dispatchEvent(Object.assign(new Event("refused"), { error }));
    this.#socket.close();
  }

  #check() {
    // A dead link gives no sign: the server's silence after a question does.
    if (Date.now() - this.#heardAt > SILENCE_MS) this.#socket.close();
    else if (Date.now() - this.#heardAt > SILENCE_MS / 3)
      this.#ask("ping", {}).answer.catch(() => {});
  }

  #down() {
    clearInterval(this.#watch);
    const waiting = [...this.#waiting.values()], open = [...this.#open.values()];
    this.#waiting.clear();
    this.#open.clear();
    this.#streams.clear();
    this.#channels.clear();
    for (const subscription of this.#subscriptions) subscription.id = null;
    for (const { reject } of waiting) reject(lost());
    for (const tell of open) tell({ op: "lost" });
    if (this.#isClosed) return;
    this.#become("down");
    const delay = this.#delay * (0.5 + Math.random() / 2);
    this.#delay = Math.min(LONGEST_DELAY_MS, this.#delay * 2);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event(state));
    this.dispatchEvent(new Event("state"));
  }

  #ask(op, fields, tell = null) {
    const id = ++this.#number;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    if (tell) this.#open.set(id, tell);
    try {
      this.#socket.send(JSON.stringify({ op, id, ...fields }));
    } catch {
      this.#waiting.get(id).reject(lost());
    }
    return { id, answer };
  }

  #begin(subscription) {
    const { id, answer } = this.#ask("subscribe", subscription.request(), (item) =>
      subscription.received(item));
    subscription.id = id;
    answer.catch((error) => {
      if (error.code !== "lost") subscription.refused(error);
    });
  }

  #received(message) {
    if (Array.isArray(message)) return this.#frame(message);
    const { op, id } = message;
    if (op === "channels") {
      for (const channel of message.channels) this.#channels.set(channel.channel, channel);
    } else if (op === "result" || op === "error") {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if ("stream" in message) this.#streams.set(message.stream, id);
      if (op === "result") return waiting?.resolve(message);
      this.#open.delete(id);
      const { code, message: text, present } = message;
      waiting?.reject(new SensordError(code, text, { present }));
    } else {
      if (op === "stream") this.#streams.set(message.stream, id);
      this.#open.get(id)?.(message);
      if (op === "end") this.#open.delete(id);
    }
  }

  #frame([stream, cursor, time, triples]) {
    const tell = this.#open.get(this.#streams.get(stream));
    if (!tell) return;
    for (let i = 0; i < triples.length; i += 3) {
      time += triples[i + 1];
      tell(this.#reading(triples[i], time, triples[i + 2]));
    }
    tell({ op: "cursor", cursor });
  }

  #reading(number, time_us, raw) {
    const channel = this.channel(number);
    const reading = {
      op: "reading", topic: channel.topic, channel, value: raw, quality: "good", reason: "",
      time_us, age: null,
    };
    if (raw !== null && typeof raw === "object" && !Array.isArray(raw)) {
      if ("j" in raw) reading.value = raw.j;
      else {
        reading.value = raw.v ?? null;
        if (reading.value !== null && typeof reading.value === "object" && "j" in reading.value)
          reading.value = reading.value.j;
        reading.quality = LEVELS[raw.q ?? 0];
        reading.reason = raw.r ?? "";
        reading.age = raw.age ?? null;
      }
    }
    return reading;
  }
}

/** One subscription: where it is, and how it goes on after a lost connection. */
class Subscription {
  #client; #topics; #tell; #fields; #epoch = null; #cursor = null; #isOver = false;

  constructor(client, topics, tell, fields) {
    this.#client = client;
    this.#topics = topics;
    this.#tell = tell;
    this.#fields = fields;
    this.id = null;
  }

  request() {
    // Before the first cursor nothing was received for good: begin again as at first.
    const from = this.#cursor === null ? this.#fields.from ?? "snapshot"
      : { epoch: this.#epoch, offset: this.#cursor };
    return { ...this.#fields, topics: this.#topics, from };
  }

  received(item) {
    if (this.#isOver) return;
    if (item.op === "cursor") return this.#reach(item.cursor);
    if (item.op === "stream") this.#reach(item.cursor);
    if (item.op === "gap" && item.to !== null) this.#reach(item.to);
    if (item.op === "gap" && item.reason === "epoch_changed") this.#cursor = null;
    if (item.op === "end") this.#isOver = true;
    this.#tell(item);
  }

  #reach(cursor) {
    if (cursor === null || cursor === undefined) return;
    this.#cursor = cursor;
    this.#epoch = this.#client.welcome.epoch;
  }

  refused(error) {
    this.#isOver = true;
    this.#tell({ op: "end", error });
  }

  cancel() {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client._cancel(this);
  }
}

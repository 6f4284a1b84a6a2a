// A client of sensord.v1.json in as few lines as show how it works; for browsers and Node.
// It does not come back after a lost connection: docs/protocol.md says how a client does that.

export class Sensord {
  #socket; #number = 0; #waiting = new Map(); #open = new Map(); #channels = new Map();
  #streams = new Map();

  // Connect and say hello; `me` is who the client is from now on: its id, and its key, which makes
  // it the same client again when it is given here the next time.
  static async connect(url, client, key) {
    if (typeof WebSocket === "undefined") throw new Error("Node 20 needs --experimental-websocket");
    const self = new Sensord();
    self.#socket = new WebSocket(url, "sensord.v1.json");
    self.#socket.onmessage = (event) => self.#received(JSON.parse(event.data));
    self.closed = new Promise((resolve) => (self.#socket.onclose = resolve));
    self.closed.then(() => {
      for (const { reject } of self.#waiting.values()) reject(self.#over());
    });
    await new Promise((resolve, reject) => {
      self.#socket.onopen = resolve;
      self.#socket.onerror = () => reject(new Error(`cannot connect to ${url}: is sensord there?`));
    });
    const hello = await self.ask("hello", { client, key });
    self.me = hello.client;
    return self;
  }

  // Ask, and return the result. What a request that stays open sends goes to `listener`.
  ask(op, fields = {}, listener = null) {
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.reject(this.#over());
    const id = ++this.#number;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    if (listener) this.#open.set(id, listener);
    this.#socket.send(JSON.stringify({ op, id, ...fields }));
    return answer;
  }

  // Subscribe; `listener` gets each reading: topic, value, unit, time and quality.
  subscribe(topics, listener, fields = {}) {
    return this.ask("subscribe", { topics, ...fields }, listener);
  }

  // Ask for something that comes in several messages, and return them all.
  async collect(op, fields = {}) {
    const received = [];
    return new Promise((resolve, reject) => {
      this.closed.then(() => reject(this.#over()));
      this.ask(op, fields, (message) => {
        if (message.op === "end" || message.op === "complete") resolve(received);
        else received.push(message);
      }).catch(reject);
    });
  }

  // Return what was announced of a channel: topic, unit, ...
  channel(number) {
    return { unit: "", ...this.#channels.get(number) };
  }

  close() {
    this.#socket.close();
  }

  #over() {
    return new Error("the connection is over");
  }

  #received(message) {
    if (Array.isArray(message)) return this.#frame(message);
    if (message.op === "channels") {
      for (const channel of message.channels) this.#channels.set(channel.channel, channel);
    } else if (message.op === "result" || message.op === "error") {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if ("stream" in message) this.#streams.set(message.stream, message.id);
      if (message.op === "result") return waiting?.resolve(message);
      this.#open.delete(message.id);
      const { code, message: why, present } = message;
      waiting?.reject(Object.assign(new Error(`${code}: ${why}`), { code, present }));
    } else {
      if (message.op === "stream") this.#streams.set(message.stream, message.id);
      this.#open.get(message.id)?.(message);
      if (message.op === "end") this.#open.delete(message.id);
    }
  }

  #frame([stream, , time, triples]) {
    const listener = this.#open.get(this.#streams.get(stream));
    for (let i = 0; i < triples.length; i += 3) {
      const { topic, unit = "" } = this.#channels.get(triples[i]);
      time += triples[i + 1];
      let value = triples[i + 2], quality = "good";
      if (value !== null && typeof value === "object" && !Array.isArray(value)) {
        if ("j" in value) value = value.j;
        else [value, quality] = [value.v ?? null, ["good", "uncertain", "bad"][value.q ?? 0]];
      }
      listener?.({ op: "reading", topic, value, unit, quality, time: new Date(time / 1000) });
    }
  }
}

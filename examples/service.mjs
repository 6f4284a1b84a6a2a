// A small service in Node: it joins, derives a topic from others, and answers calls.
// Node 22 has WebSocket; Node 20 needs --experimental-websocket.
//   node service.mjs [ws://127.0.0.1:8765/v1]

import { Sensord } from "./sensord.mjs";

const url = process.argv[2] ?? "ws://127.0.0.1:8765/v1";
const sensord = await Sensord.connect(url, "mean service");
const seen = new Map();

// It watches, and publishes what it makes of it.
await sensord.subscribe(["plant/boiler/temperature"], (message) => {
  if (message.op !== "reading" || message.value === null) return;
  const values = [...(seen.get(message.topic) ?? []), message.value].slice(-10);
  seen.set(message.topic, values);
  const value = values.reduce((sum, one) => sum + one, 0) / values.length;
  sensord.ask("publish", { topic: `derived/${message.topic}`, value });
});

// It answers whoever calls it by its name: sensord call mean topic=plant/boiler/temperature
await sensord.ask("serve", { name: "mean", description: "mean of the last ten" }, (message) => {
  if (message.op !== "request") return;
  console.log(`${message.from.name} calls ${message.name} ${JSON.stringify(message.args)}`);
  const values = seen.get(message.args.topic);
  const answer = values
    ? { value: values.reduce((sum, one) => sum + one, 0) / values.length }
    : { error: { reason: "no_data", message: "nothing came yet", may_have_acted: false } };
  sensord.ask("answer", { call: message.call, ...answer }).catch(() => {}); // too late
});

// It hears what others say, and answers.
await sensord.ask("groups", { join: ["operators"] });
await sensord.ask("receive", {}, (message) => {
  if (message.op !== "message") return;
  console.log(`${message.from.name} says ${JSON.stringify(message.body)}`);
  sensord.ask("ack", { message: message.message });
  if (message.body?.text === "how are you?")
    sensord.ask("send", { to: { client: message.from.id }, body: { text: "well, thank you" } }, () => {});
});

console.log(`ready as ${sensord.me.id}`);
await sensord.closed;

// A small service in Node: it joins, derives topics from others, and answers calls.
// Node 22 has WebSocket; Node 20 needs --experimental-websocket.
//   node service.mjs [ws://127.0.0.1:8765/v1 [.sensord-service-key]]
// With its key, which it keeps in that file, it is the same client again when it is started again:
// the topics that it publishes are still its own, and it gets what was sent to it meanwhile.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Sensord } from "./sensord.mjs";

const [url = "ws://127.0.0.1:8765/v1", keyFile = ".sensord-service-key"] = process.argv.slice(2);
const seen = new Map(); // by topic, its last ten values
const meanOf = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

// A refusal is printed once; a lost server is reported below.
const said = new Set();
const refused = ({ code, message }) => {
  if (code && !said.has(message)) console.error(message);
  said.add(message);
};

async function main() {
  const key = existsSync(keyFile) ? readFileSync(keyFile, "utf8").trim() : undefined;
  const sensord = await Sensord.connect(url, "mean service", key);
  writeFileSync(keyFile, `${sensord.me.key}\n`, { mode: 0o600 });

  let end;
  const ended = new Promise((resolve) => (end = resolve));
  sensord.closed.then(() => end("the connection is over"));

  // It answers whoever calls it by its name.
  await sensord.ask("serve", { name: "mean", description: "means of the last ten" }, (message) => {
    if (message.op === "end") end(`another one with the key in ${keyFile} has taken over`);
    else answer(sensord, message).catch(() => {}); // the call is over: it took too long
  });
  await work(sensord);
  console.log(`ready as ${sensord.me.id}`);
  throw new Error(await ended);
}

async function work(sensord) {
  // 1. The server tells: it watches, and publishes what it makes of it.
  await sensord.subscribe(["plant/#"], ({ op, topic, value }) => {
    if (op !== "reading" || typeof value !== "number") return;
    seen.set(topic, [...(seen.get(topic) ?? []), value].slice(-10));
    const mean = meanOf(seen.get(topic));
    sensord.ask("publish", { topic: `derived/${topic}`, value: mean }).catch(refused);
  });

  // 2. It asks, and the answer goes on: the last minute, then each ten seconds when they are over.
  const past = { topics: ["plant/+/temperature"], from: "-1m", interval: 10, follow: true };
  await sensord.ask("history", past, ({ op, rows }) => {
    if (op !== "summary") return;
    for (const { channel, time_us, count, mean } of rows) {
      const until = new Date(time_us / 1000 + 10_000).toTimeString().slice(0, 8);
      console.log(`${sensord.channel(channel).topic}: ${count} until ${until}, mean ${mean?.toFixed(2)}`);
    }
  });

  // 3. Clients work together: it hears what others say, and answers.
  await sensord.ask("groups", { join: ["operators"] });
  await sensord.ask("receive", {}, ({ op, message, from, body }) => {
    if (op !== "message") return;
    console.log(`${from.name} says ${JSON.stringify(body)}`);
    sensord.ask("ack", { message }).catch(refused);
    if (body?.text !== "how are you?") return;
    const reply = { to: { client: from.id }, body: { text: "well, thank you" } };
    sensord.ask("send", reply, () => {}).catch(refused);
  });
}

// sensord call mean topic=plant/boiler/temperature    one mean
// sensord call mean                                   a part for each topic, then how many
// sensord call mean pause=1                           the same, slowly
async function answer(sensord, { call, name, args, from }) {
  console.log(`${from.name} calls ${name} ${JSON.stringify(args)}`);
  if (args.topic === undefined) {
    for (const [topic, values] of seen) {
      await sensord.ask("yield", { call, value: { topic, mean: meanOf(values) } });
      await sleep(1000 * (Number(args.pause) || 0));
    }
    return sensord.ask("answer", { call, value: seen.size });
  }
  if (seen.has(args.topic))
    return sensord.ask("answer", { call, value: meanOf(seen.get(args.topic)) });
  const error = { reason: "no_data", message: "nothing came of that topic", may_have_acted: false };
  return sensord.ask("answer", { call, error });
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

// Hands vectors to the JavaScript client's conversation and prints what it makes of each.
// usage: node vectors.mjs CLIENT FOLDER
import { readFileSync } from "node:fs";

const [client, folder] = process.argv.slice(2);
const { Conversation } = await import(client);
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const { channels, frames, also_read, refused } = read("frames");
const { messages, announcements, refused_announcements } = read("messages");
const REQUEST = 5;
const tried = (act) => { try { return act(); } catch (error) { return { error: error.code }; } };
const following = (stream, phase) => {
  const conversation = new Conversation();
  for (const message of [
    { op: "result", id: REQUEST, stream: 0 },
    { op: "stream", id: REQUEST, stream, phase, cursor: null },
    { op: "channels", channels },
  ]) conversation.received(JSON.stringify(message));
  return conversation;
};
// JSON has no minus zero, and integers beyond 2^53 are what JavaScript makes of them.
const written = (value) => (Object.is(value, -0) ? "-0" : value);
const told = (event) => event && ({ ...event, items: event.items?.map((one) => ({ ...one, channel: one.channel.channel, value: written(one.value) })) });
const inText = (list) => list.filter(({ json }) => json !== null);
const found = {};
for (const { name, json, frame } of inText([...frames, ...also_read]))
  for (const phase of ["snapshot", "live"])
    found[`${phase} ${name}`] = tried(() => told(following(frame.stream, phase).received(json)));
for (const { name, json, frame } of inText(frames))
  found[`ended ${name}`] = tried(() => following(frame.stream + 1, "live").received(json));
for (const { name, json } of inText(refused)) {
  const conversation = following(3, "live");
  found[`refused ${name}`] = [tried(() => conversation.received(json)), told(conversation.received("[3,10,5,[1,0,1.5]]"))];
}
for (const { name, json } of inText(messages)) found[`message ${name}`] = tried(() => new Conversation().received(json));
for (const { name, json } of inText(announcements)) {
  const conversation = new Conversation();
  tried(() => conversation.received(json));
  found[`announcement ${name}`] = [...conversation.channels.values()];
}
for (const { name, json } of inText(refused_announcements))
  found[`refused announcement ${name}`] = tried(() => new Conversation().received(json));
console.log(JSON.stringify(found));

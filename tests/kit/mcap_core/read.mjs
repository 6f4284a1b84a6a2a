// Read an MCAP file by its index, every CRC checked; print what is in it as JSON.
import { McapIndexedReader } from "@mcap/core";
import { loadDecompressHandlers } from "@mcap/support";
import { open } from "node:fs/promises";

const file = await open(process.argv[2], "r");
const { size } = await file.stat();
const readable = {
  size: async () => BigInt(size),
  read: async (offset, length) => {
    const buffer = new Uint8Array(Number(length));
    await file.read(buffer, 0, Number(length), Number(offset));
    return buffer;
  },
};
const decompressHandlers = await loadDecompressHandlers();
const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });

const rows = [];
for await (const message of reader.readMessages({ validateCrcs: true })) {
  const channel = reader.channelsById.get(message.channelId);
  const text = new TextDecoder().decode(message.data);
  rows.push([message.sequence, String(message.logTime), channel.topic, JSON.parse(text)]);
}
const notes = [];
for await (const record of reader.readMetadata()) {
  notes.push(record.name);
}
const counted = Number(reader.statistics.messageCount);
console.log(JSON.stringify({ rows, notes, counted, chunks: reader.chunkIndexes.length }));
await file.close();

const client = connect("player");
const replay = client.replay(["plant/temperature"], { from: "-1h", paused: true });
await client.ready;
await replay.step(3);
const first = [];
while (first.length < 3) { const { value } = await replay.next(); if (value.op === "reading") first.push(value.value); }
await replay.seek("-1h");
await replay.go(1e9);
const all = [];
for await (const item of replay) if (item.op === "reading") all.push(item.value);
told([first, all]);

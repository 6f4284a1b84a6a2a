const client = connect("watcher", { silence: 400, longestPause: 200 });
await client.ready;
client.addEventListener("state", () => told(client.state));
told("ready");

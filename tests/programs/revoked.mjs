let attempts = 0;
class Counting extends WebSocket { constructor(...all) { super(...all); attempts += 1; } }
const client = connect("panel", { token: await heard(), WebSocket: Counting, longestPause: 100 });
const before = await client.get(["plant/#"]);
told(before.map(({ topic }) => topic));
const ended = (async () => { for await (const _ of client.readings(["plant/#"])); })();
told(await ended.catch(({ code }) => code));
const count = attempts;
await new Promise((resolve) => setTimeout(resolve, 1500));
told({ state: client.state, more: attempts - count, ask: await client.ping().catch(({ code }) => code) });

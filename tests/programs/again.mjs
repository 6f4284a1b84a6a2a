const offered = connect("service", { longestPause: 200 }), caller = connect("caller", { longestPause: 200 });
const service = offered.serve("one", () => 1);
await service.ready;
const got = [];
const inbox = offered.receive(({ body }) => { got.push(body); if (got.length === 2) told({ got }); });
await inbox.ready;
await caller.send({ client: offered.welcome.client.id }, "before");
told("begun");
await heard();
await Promise.all([offered, caller].map((one) => one.state === "up" ? 0 : new Promise((resolve) => one.addEventListener("up", resolve, { once: true }))));
await caller.send({ client: offered.welcome.client.id }, "after");
while (true) {
  const value = await caller.call("one").then((outcome) => outcome.value, ({ code }) => code);
  if (value !== "not_found") { told({ value }); break; }
}

const anna = connect("Anna", { groups: ["night"] }), bert = connect("Bert");
const found = {};
const service = anna.serve("double", async ({ of }, call) => {
  if (of === undefined) throw Object.assign(new Error("of: send a number"), { reason: "rejected", may_have_acted: false });
  await call.part(of);
  return 2 * of;
});
await service.ready;
const parts = [];
found.called = (await bert.call("double", { of: 21 }, {}, (value) => parts.push(value))).value;
found.parts = parts;
found.refused = await bert.call("double").catch(({ code, may_have_acted }) => [code, may_have_acted]);
found.nobody = await bert.call("treble").catch(({ code }) => code);
service.cancel();

const lease = await anna.take("plant/setpoint", 30);
found.holder = lease.holder.name;
found.held = await bert.set("plant/setpoint", 30).catch(({ code, may_have_acted }) => [code, may_have_acted]);
await anna.giveBack("plant/setpoint");
found.set = (await bert.set("plant/setpoint", 30)).status;

found.nothing = await anna.shared("state/plan");
await Promise.all([1, 2, 3, 4].map((n) => (n % 2 ? anna : bert).update("state/plan", (old) => [...(old ?? []), n])));
found.plan = (await anna.shared("state/plan")).value.sort();
found.conflict = await bert.put("state/plan", [], 1).catch(({ code, present }) => [code, present.value.length]);
await bert.delete("state/plan");
found.deleted = await anna.shared("state/plan");

const got = [];
const inbox = anna.receive(({ body, from }) => { got.push([from.name, body]); });
await inbox.ready;
const fate = new Promise((resolve) => bert.send({ group: "night" }, { text: "hello" }, ({ status }) => status === "delivered" && resolve(status)));
found.fate = await fate;
found.got = got;

const people = new Promise((resolve) => {
  const names = new Set();
  bert.list("clients", ({ op, rows }) => {
    for (const { name } of rows ?? []) names.add(name);
    if (op === "complete") resolve([...names].sort());
  });
});
found.people = await people;
found.type = (await bert.collect("topics", { topics: ["plant/#"] })).flatMap(({ rows }) => rows).map(({ topic }) => topic).sort();
told(found);
await anna.close({ bye: true });
await bert.close();

const client = connect("slow");
const readings = client.readings(["plant/temperature"], { from: "-1h" });
let most = 0, opened = new Set();
const watch = setInterval(() => { most = Math.max(most, readings.waiting); opened.add(readings.id); }, 1);
while (readings.waiting <= 20_000) await new Promise((resolve) => setTimeout(resolve, 5));
told("full");
await heard();
const values = [];
while (values.length < 60_000) {
  const { items } = await readings.arrived();
  for (const item of items) if (item.op === "reading") values.push(item.value);
  else if (item.op === "gap") values.push(item.reason);
}
clearInterval(watch);
told({ most, opened: opened.size, values });
client.close();

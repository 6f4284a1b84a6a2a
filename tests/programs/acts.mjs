const client = connect("actor", { longestPause: 300 });
await client.ready;
while (true) {
  const value = Number(await heard());
  const outcome = await client.set("plant/setpoint", value).then(({ status }) => status, ({ code }) => code);
  told({ value, outcome });
}

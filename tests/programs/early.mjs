const client = connect("early");
for await (const item of client.readings(["plant/#"])) if (item.op === "reading") break;
told("a value");

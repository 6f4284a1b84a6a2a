// Has AsyncAPI's own parser judge docs/asyncapi.yaml; README.md beside this says how to run it.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const file = new URL("../../docs/asyncapi.yaml", import.meta.url);
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
const levels = ["error", "warning", "information", "hint"];
for (const { severity, range, code, message, path } of diagnostics) {
  console.log(`${levels[severity]}, line ${range.start.line + 1}: ${code}: ${message} (${path.join("/")})`);
}
const counted = document && `${document.version()}: ${document.channels().length} channels, ` +
  `${document.operations().length} operations, ${document.allMessages().length} messages`;
console.log(`${document ? `valid AsyncAPI ${counted}` : "not valid"}; ${diagnostics.length} remarks`);
// "Information" says only that AsyncAPI has a newer version.
process.exitCode = document && diagnostics.every(({ severity }) => severity >= 2) ? 0 : 1;

// Writes `src/codes-table.ts` from `docs/errors.md`, so that the page speaks of every code.
import { readFileSync, writeFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const rows = [...read("../../../docs/errors.md").matchAll(/^\| A(\d{4}) \| (\w+) \| (\w+) \| (.+) \|$/gm)];
const lines = rows.map(([, number, name, action, help]) => `  [${Number(number)}, ${JSON.stringify(name)}, ${JSON.stringify(action)}, ${JSON.stringify(help.replaceAll("`", ""))}],`);
const text = `// Written by \`npm run codes\` from \`docs/errors.md\`.

export const CODES = [
${lines.join("\n")}
] as const;
`;
if (process.argv.includes("--check")) {
  if (read("../src/codes-table.ts") !== text) throw new Error("src/codes-table.ts is not in step with docs/errors.md: run `npm run codes`");
} else {
  writeFileSync(new URL("../src/codes-table.ts", import.meta.url), text);
}

// Declarations name each other as `.js`, which every TypeScript that knows `exports` can follow.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const lib = new URL("../lib/", import.meta.url);
for (const name of readdirSync(lib, { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = new URL(name, lib);
  writeFileSync(file, readFileSync(file, "utf8").replace(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"'));
}

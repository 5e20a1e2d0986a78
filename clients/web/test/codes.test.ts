import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CODES } from "../src/codes-table.ts";

it("knows every code of docs/errors.md (else run `npm run codes`)", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const numbers = [...text.matchAll(/^\| A(\d{4}) \| (\w+) \| (\w+)/gm)].map(([, number, name, action]) => [Number(number), name, action]);
  expect(CODES.map(([number, name, action]) => [number, name, action])).toEqual(numbers);
});

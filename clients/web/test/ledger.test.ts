import { describe, expect, it } from "vitest";
import { Ledger } from "../src/ledger.ts";
import { SnapshotDecoder } from "../src/replica.ts";
import { type ComponentSchema, Schema } from "../src/schema.ts";
import { Tables } from "../src/tables.ts";
import { fromHex, vector } from "./vectors.ts";

interface Script {
  tables?: string;
  schema: { components: ComponentSchema[] };
  steps: { hex: string }[];
}

describe("a ledger", () => {
  it.each(["steady", "trained"])("says what took the bytes of snapshots: %s", (name) => {
    const { schema, tables, steps } = vector<Script>(`snapshot/${name}.json`);
    const [parsed, ledger] = [new Schema(schema.components), new Ledger()];
    const decoder = new SnapshotDecoder(parsed, 60, ledger);
    if (tables !== undefined) decoder.addTables(1, Tables.read(fromHex(tables), parsed));
    const sizes = steps.map(({ hex }) => fromHex(hex).length);
    for (const { hex } of steps) decoder.decode(fromHex(hex));
    const { perS, bytesMean, bytesMax, components, entities } = ledger.take(2);
    const sum = (shares: { bytesPerS: number }[]) => shares.reduce((all, { bytesPerS }) => all + bytesPerS, 0);
    const all = sizes.reduce((a, b) => a + b, 0);
    expect([perS, bytesMean, bytesMax]).toEqual([steps.length / 2, all / steps.length, Math.max(...sizes)]);
    // Numbers are a part of rows, and rows of snapshots.
    expect(sum(components)).toBeGreaterThan(0);
    expect(sum(entities)).toBeGreaterThan(sum(components));
    expect(all / 2).toBeGreaterThan(sum(entities));
    expect(components.map(({ bytesPerS }) => bytesPerS)).toEqual(components.map(({ bytesPerS }) => bytesPerS).sort((a, b) => b - a));
    expect(ledger.take(1)).toEqual({ perS: 0, bytesMean: 0, bytesMax: 0, components: [], entities: [] });
  });
});

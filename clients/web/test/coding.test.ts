import { describe, expect, it } from "vitest";
import { BitReader, OutOfBits } from "../src/bits.ts";
import { readComponent } from "../src/coding.ts";
import { type ComponentSchema, Schema } from "../src/schema.ts";
import { Tables, TablesError } from "../src/tables.ts";
import { fromHex, vector } from "./vectors.ts";

interface Script {
  schema: { components: ComponentSchema[] };
  sets: { tables: string; cases: { past: number[][]; age: number; step: number; row: number[]; bits: number; hex: string }[] }[];
}

const { schema: json, sets } = vector<Script>("coding/components.json");
const schema = new Schema(json.components);

describe("components in trained tables", () => {
  it.each(sets)("are read as the server wrote them", ({ tables: hex, cases }) => {
    const tables = Tables.read(fromHex(hex), schema);
    for (const [n, { past, age, step, row, bits, hex }] of cases.entries()) {
      const reader = new BitReader(fromHex(hex));
      expect([n, readComponent(tables, reader, 0, { rows: past, age, step }), reader.position]).toEqual([n, row, bits]);
    }
  });

  it("that end too early are refused", () => {
    const { tables: hex, cases } = sets[0]!;
    const tables = Tables.read(fromHex(hex), schema);
    for (const { past, age, step } of cases) {
      expect(() => readComponent(tables, new BitReader(new Uint8Array(0)), 0, { rows: past, age, step })).toThrow(OutOfBits);
    }
  });
});

describe("tables", () => {
  const bytes = fromHex(sets[1]!.tables);

  it("that are cut, longer or of another schema are refused", () => {
    for (const length of [0, 4, 12, 13, 500, bytes.length - 1]) expect(() => Tables.read(bytes.slice(0, length), schema), `${length}`).toThrow(TablesError);
    expect(() => Tables.read(Uint8Array.from([...bytes, 0]), schema)).toThrow(TablesError);
    expect(() => Tables.read(bytes, new Schema(json.components.slice(0, 1)))).toThrow(TablesError);
    expect(() => Tables.read(bytes, new Schema([json.components[1]!, json.components[1]!]))).toThrow(TablesError);
  });

  it("with a damaged code are refused", () => {
    // The lengths of the first code stand behind magic, format, hash, the number of shapes and its shift.
    const damaged = Uint8Array.from(bytes);
    damaged[15]! ^= 1;
    expect(() => Tables.read(damaged, schema)).toThrow(TablesError);
  });
});

import { describe, expect, it } from "vitest";
import { BitReader } from "../src/bits.ts";
import { ABSOLUTE, encodeInputs, GAP, readCode, ReplicaError, RESIDUAL, SnapshotDecoder, ViewDecoder } from "../src/replica.ts";
import { type ComponentSchema, type Row, Schema } from "../src/schema.ts";
import { sinceOf } from "../src/reckon.ts";
import { SnapshotReader } from "../src/snapshots.ts";
import { Tables } from "../src/tables.ts";
import { Timeline } from "../src/timeline.ts";
import { fromHex, toHex, vector } from "./vectors.ts";

type Entity = [id: number, mask: number, values: number[], since?: number];
interface Script {
  /** Set 1, in hexadecimal. */
  tables?: string;
  schema: { components: ComponentSchema[] };
  steps: { hex: string; tick: number; epoch: number; applied: number | null; margin: number | null; late: number; restarted: boolean; gone: number[]; hidden: number[]; changed: number[]; entities: Entity[]; error?: string }[];
}

function flat(schema: Schema, [id, row]: [number, Row]): Entity {
  const components = row.slice(0, schema.components.length);
  const mask = components.reduce((sum, values, i) => sum + (values === undefined ? 0 : 2 ** i), 0);
  const since = sinceOf(schema, row);
  return [id, mask, components.flatMap((values) => values ?? []), ...(since === undefined ? [] : [since])] as Entity;
}

const ascending = (schema: Schema, entities: Iterable<[number, Row]>) => [...entities].map((entity) => flat(schema, entity)).sort((a, b) => a[0] - b[0]);

describe("snapshots", () => {
  it("use the codes of table set 0", () => {
    const { cases } = vector<{ cases: { code: string; number: number; bits: number; hex: string }[] }>("snapshot/codes.json");
    const codes: Record<string, typeof GAP> = { gap: GAP, residual: RESIDUAL, absolute: ABSOLUTE };
    for (const { code, number, bits, hex } of cases) {
      const reader = new BitReader(fromHex(hex));
      expect([code, readCode(reader, codes[code]!), reader.position]).toEqual([code, number, bits]);
    }
  });

  it.each(["steady", "lossy", "narrow", "restart", "early-gone", "hidden", "trained", "reckoned"])("are read as the server wrote them: %s", (name) => {
    const { schema, tables, steps } = vector<Script>(`snapshot/${name}.json`);
    const parsed = new Schema(schema.components);
    const decoder = new SnapshotDecoder(parsed);
    if (tables !== undefined) decoder.addTables(1, Tables.read(fromHex(tables), parsed));
    steps.forEach((step, i) => {
      const snapshot = decoder.decode(fromHex(step.hex))!;
      const { rows, applied, margin, ...rest } = snapshot;
      const seen = { ...rest, applied: applied ?? null, margin: margin ?? null, changed: rows.map(([id]) => id), entities: ascending(parsed, decoder.entities()) };
      const { hex: _, ...wanted } = step;
      expect(seen, `${name} step ${i}`).toEqual(wanted);
    });
  });

  it.each([1, 3, 8])("that overtake their schema count once it is there: %d of them", (early) => {
    const { schema, steps } = vector<Script>("snapshot/lossy.json");
    const parsed = new Schema(schema.components);
    const [reader, decoder] = [new SnapshotReader(), new SnapshotDecoder(parsed)];
    const wanted = steps.map(({ hex }) => decoder.decode(fromHex(hex))!);
    for (const { hex } of steps.slice(0, early)) expect(reader.take(fromHex(hex))).toBeUndefined();
    const late = steps.slice(early);
    expect([...reader.begin(parsed, 60), ...late.map(({ hex }) => reader.take(fromHex(hex)))]).toEqual(wanted);
  });

  it("that cannot be read are refused, and nothing of them counts", () => {
    const { schema, steps } = vector<Script>("snapshot/invalid.json");
    for (const { hex } of steps) {
      const decoder = new SnapshotDecoder(new Schema(schema.components));
      expect(() => decoder.decode(fromHex(hex)), hex).toThrow(ReplicaError);
      expect([...decoder.entities()]).toEqual([]);
    }
  });

  it("that come in parts beside the datagrams never start anything over", () => {
    const { schema, steps } = vector<Script>("snapshot/restart.json");
    const parsed = new Schema(schema.components);
    const decoder = new SnapshotDecoder(parsed);
    const again = steps.findIndex(({ epoch }) => epoch !== steps[0]!.epoch);
    for (const { hex } of steps.slice(0, again)) expect(decoder.decodePart(fromHex(hex))).toBeDefined();
    const before = ascending(parsed, decoder.entities());
    expect(before).toEqual(steps[again - 1]!.entities);
    expect(decoder.decodePart(fromHex(steps[again]!.hex))).toBeUndefined();
    expect(ascending(parsed, decoder.entities())).toEqual(before);
    expect(() => decoder.decodePart(new Uint8Array(3))).toThrow(ReplicaError);
  });

  it("of a view build on the frame before", () => {
    const { schema, frames } = vector<{ schema: Script["schema"]; frames: { hex: string; keyframe: boolean; changed: number[]; entities: Entity[] }[] }>("snapshot/view.json");
    const parsed = new Schema(schema.components);
    const decoder = new ViewDecoder(parsed);
    const world = new Map<number, Row>();
    frames.forEach(({ hex, keyframe, entities }, tick) => {
      const frame = decoder.decode(tick, tick - 1, keyframe, fromHex(hex))!;
      for (const id of [...frame.gone, ...frame.hidden]) world.delete(id);
      for (const [id, row] of frame.rows) world.set(id, row);
      expect(ascending(parsed, world), `frame ${tick}`).toEqual(entities);
    });
    expect(decoder.decode(900, 899, false, fromHex(frames[1]!.hex))).toBeUndefined();
  });

  it("are answered with inputs as the server reads them", () => {
    const { cases } = vector<{ cases: { tick: number; inputs: number[]; hex: string }[] }>("snapshot/inputs.json");
    for (const { tick, inputs, hex } of cases) {
      const bytes = encodeInputs(tick, inputs, (writer, input) => writer.bits(input, 8), (a, b) => a === b);
      expect(toHex(bytes)).toBe(hex);
    }
  });
});

describe("a timeline", () => {
  const schema = new Schema([{ name: "Thing", predict: false, interpolate: true, fields: [{ name: "x", unit: "1", kind: "i32", lerp: "linear" }] }]);
  const at = (timeline: Timeline, tick: number) => [...timeline.at(tick)].map(([id, row]) => [id, row[0]![0]]);

  it("takes a row that was overtaken when there is none after it", () => {
    const timeline = new Timeline(schema);
    timeline.push(1, [[7, [[10]]]], []);
    timeline.push(4, [[7, [[40]]]], []);
    timeline.push(2, [[7, [[99]]], [8, [[5]]]], []);
    expect([timeline.newest, at(timeline, 2), timeline.row(7)]).toEqual([4, [[7, 20], [8, 5]], [[40]]]);
    timeline.push(3, [], [8]);
    expect(at(timeline, 4)).toEqual([[7, 40]]);
  });
});

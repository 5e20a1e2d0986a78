// What is drawn between rows, and beyond them: the same as in Rust.

import { describe, expect, it } from "vitest";
import { type Row, Schema } from "../src/schema.ts";
import { Timeline } from "../src/timeline.ts";
import { vector, vectors } from "./vectors.ts";

type TellRow = [id: number, mask: number, values: number[], since?: number];

interface Script {
  about: string;
  tick_hz: number;
  schema: object;
  steps: ({ told: number; rows: TellRow[] } | { drawn: number; shown: TellRow[] })[];
}

/** A row by component, and behind the last one since when it goes on. */
function rowOf({ components }: Schema, [, mask, values, since]: TellRow): Row {
  let at = 0;
  const row: (number[] | undefined)[] = components.map(({ fields }, number) => {
    if (Math.floor(mask / 2 ** number) % 2 === 0) return undefined;
    at += fields.length;
    return values.slice(at - fields.length, at);
  });
  return since === undefined ? row : [...row, [since]];
}

describe("a timeline", () => {
  it.each(vectors("playout"))("draws as %s says", (name) => {
    const { tick_hz: tickHz, schema: json, steps } = vector<Script>(`playout/${name}`);
    const schema = Schema.parse(JSON.stringify(json));
    const timeline = new Timeline(schema, tickHz);
    let numbers = 0;
    for (const step of steps) {
      if ("told" in step) {
        timeline.push(step.told, step.rows.map((row) => [row[0], rowOf(schema, row)] as const).map(([id, row]) => [id, row]), []);
        continue;
      }
      const drawn = new Map(timeline.at(step.drawn));
      expect([...drawn.keys()].sort((a, b) => a - b)).toEqual(step.shown.map(([id]) => id));
      for (const row of step.shown) {
        const shown = schema.components.flatMap((_, number) => drawn.get(row[0])![number] ?? []);
        expect(shown.length).toBe(row[2].length);
        shown.forEach((number, i) => expect(Math.abs(number - row[2][i]!), `${row[0]} at ${step.drawn}, number ${i}: ${number}`).toBeLessThan(1e-6));
        numbers += shown.length;
      }
    }
    expect(numbers).toBeGreaterThan(500);
  });

  it("takes a part of the world for no snapshot", () => {
    const schema = new Schema([{ name: "Ball", predict: false, interpolate: true, fields: [
      { name: "x", unit: "1/512", kind: "f32", lerp: "linear", velocity: "vx" },
      { name: "vx", unit: "1/512", kind: "f32", lerp: "linear" },
    ] }]);
    const timeline = new Timeline(schema, 60);
    const x = (tick: number) => [...timeline.at(tick)][0]![1][0]![0];
    timeline.push(10, [[7, [[0, 3_072]]]], []);
    timeline.pushPart(12, [[8, [[0, 0]]]]);
    expect([x(11), timeline.newest]).toEqual([51.2, 10]);
    timeline.push(12, [], []);
    expect(x(20)).toBe(0);
  });
});

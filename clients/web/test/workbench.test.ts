// What the workbench finds in the schema of a game that it does not know.

import { describe, expect, it } from "vitest";
import { gridStep } from "../app/workbench/map.ts";
import { named, placeOf, placesOf, tagsOf } from "../app/workbench/place.ts";
import { type Held, planOf, stepsOf } from "../app/workbench/plan.ts";
import { World } from "../app/workbench/world.ts";
import { writeNumbers } from "../src/message.ts";
import { type ComponentSchema, type FieldSchema, type InputField, Schema } from "../src/schema.ts";
import { Timeline } from "../src/timeline.ts";
import { vector } from "./vectors.ts";

const SEAT: ComponentSchema = { name: "Seat", predict: false, interpolate: false, fields: [{ name: "0", unit: "1", kind: "u8", lerp: "step" }] };

/** Fields from words: `name kind lerp unit`. */
function fields(...words: string[]): FieldSchema[] {
  return words.map((word) => {
    const [name, kind = "i32", lerp = kind === "bool" ? "step" : "linear", unit = "1"] = word.split(" ");
    return { name, kind, lerp, unit } as FieldSchema;
  });
}

function component(name: string, ...words: string[]): ComponentSchema {
  return { name, predict: false, interpolate: true, fields: fields(...words) };
}

/** Inputs from words: `name kind min max unit`. */
function inputs(...words: string[]): InputField[] {
  return words.map((word) => {
    const [name, kind, min, max, unit = "1"] = word.split(" ");
    const bounds = { min: Number(min), max: Number(max) };
    return { name, kind, unit, ...bounds, bits: Math.ceil(Math.log2(bounds.max - bounds.min + 1)), late: "hold" } as InputField;
  });
}

const IDLE: Held = { right: 0, up: 0, pressed: new Set(), angle: undefined, sliders: new Map() };

describe("places", () => {
  it.each([
    ["an array of two", ["level u8", "at.0", "at.1"], { right: 1, up: 2, three: false }],
    ["an array of three, whose second is height", ["at.0", "at.1", "at.2"], { right: 0, up: 2, three: true }],
    ["x and y", ["hp u8", "x f32", "y f32"], { right: 1, up: 2, three: false }],
    ["x, y and z", ["x", "y", "z"], { right: 0, up: 2, three: true }],
  ])("are %s", (_, words, wanted) => {
    expect(placesOf(new Schema([SEAT, component("Body", ...words)]))).toEqual([{ component: 1, ...wanted }]);
  });

  it.each([
    ["an array of four", ["q.0", "q.1", "q.2", "q.3"]],
    ["an array that is not drawn in between", ["at.0 i32 step", "at.1 i32 step"]],
    ["bools", ["keys.0 bool linear", "keys.1 bool linear"]],
    ["one number", ["x i32"]],
    ["the seat alone", []],
  ])("are not %s", (_, words) => {
    expect(placesOf(new Schema([SEAT, component("Thing", ...words)]))).toEqual([]);
  });

  it("are the first that an entity has, in what its steps mean", () => {
    const schema = new Schema([SEAT, component("Body", "x i32 linear 1/4096", "y i32 linear 1/4096", "z i32 linear 1/4096"), component("Pose", "at.0 f32 linear 0.5", "at.1 f32 linear 0.5", "dead bool", "it bool")]);
    const places = placesOf(schema);
    expect(placeOf(schema, places, [[0], [4_096, 99, -8_192], [1, 1, 0, 0]])).toEqual({ x: 1, y: -2, three: true });
    const row = [undefined, undefined, [3, -4, 0, 1]];
    expect([placeOf(schema, places, row), placeOf(schema, places, [[0]]), tagsOf(schema, row)]).toEqual([{ x: 1.5, y: -2, three: false }, undefined, ["it"]]);
  });

  it("and everything else are written for people", () => {
    expect(named(fields("at.0", "at.1", "on bool", "speed f32 linear 1/512", "until u32"), [-3, 4, 1, -256, -1])).toEqual([
      { name: "at", value: "−3, 4" },
      { name: "on", value: "yes" },
      { name: "speed", value: "−0.500" },
      { name: "until", value: "4294967295" },
    ]);
  });
});

describe("hands", () => {
  it("take the numbers of tag's input", () => {
    const plan = planOf({ name: "Stick", fields: inputs("way.0 i8 -1 1", "way.1 i8 -1 1", "dash bool 0 1") });
    expect([plan.stick, plan.pointer, plan.sliders, plan.buttons.map(({ name, label }) => [name, label])]).toEqual([{ right: 0, up: 1 }, undefined, [], [["dash", "Space"]]]);
    expect(stepsOf(plan, { ...IDLE, right: -1, up: 1, pressed: new Set([2]) })).toEqual([-1, 1, 1]);
    expect(stepsOf(plan, IDLE)).toEqual([0, 0, 0]);
  });

  it("take the numbers of the sample's input: directions by name and range, the rest as sliders", () => {
    const plan = planOf(vector<{ input: { name: string; fields: InputField[] } }>("schema/sample.json").input);
    expect([plan.stick, plan.pointer, plan.sliders, plan.buttons.map(({ field }) => field)]).toEqual([{ right: 0, up: 1 }, 2, [3], [4]]);
    expect(stepsOf(plan, { ...IDLE, angle: Math.PI / 2, sliders: new Map([[3, 70_000]]) })).toEqual([0, 0, 157, 70_000, 0]);
  });

  it("take an analogue stick, a whole turn and many buttons, as the Arena's", () => {
    const words = ["x i8 -127 127", "y i8 -127 127", "yaw u16 0 65535", "pitch i16 -16000 16000", ...[0, 1, 2, 3, 4, 5, 6].map((i) => `b${i} bool 0 1`)];
    const plan = planOf({ name: "Hands", fields: inputs(...words) });
    expect([plan.stick, plan.pointer, plan.sliders]).toEqual([{ right: 0, up: 1 }, 2, [3]]);
    expect(plan.buttons.map(({ label }) => label)).toEqual(["Space", "Shift", "E", "Q", "F", "1", "2"]);
    expect(stepsOf(plan, { ...IDLE, right: 0.5, up: -1, angle: -Math.PI / 2 }).slice(0, 4)).toEqual([64, -127, 49_152, 0]);
  });

  it("do not take what is no direction of a stick or a pointer", () => {
    const plan = planOf({ name: "Build", fields: inputs("slot u8 0 255", "delta i8 -5 5", "count u8 1 9", "heading i16 -32768 32767") });
    expect([plan.stick, plan.pointer, plan.sliders]).toEqual([undefined, 3, [0, 1, 2]]);
    expect(stepsOf(plan, { ...IDLE, angle: Math.PI })).toEqual([0, 0, 1, -32_768]);
  });
});

describe("a world", () => {
  const schema = new Schema([SEAT, component("Runner", "at.0", "at.1", "it bool")], {
    events: [{ name: "Caught", predict: false, fields: [{ name: "seat", unit: "1", kind: "u8" }] }],
  });
  const ada = { seat: 1, team: 1, name: "Ada", user: "", bot: false };

  function world(): World {
    const world = new World(() => 60);
    const timeline = new Timeline(schema);
    timeline.push(0, [[4, [[1], [0, 0, 0]]], [9, [undefined, [5, 5, 1]]]], []);
    timeline.push(2, [[4, [[1], [10, -20, 0]]]], []);
    world.setSchema(schema, timeline);
    world.setRoster([ada]);
    world.own = 1;
    return world;
  }

  it("draws things between two samples, with whoever controls them", () => {
    expect(world().things(1)).toEqual([
      { id: 4, x: 5, y: -10, three: false, seat: ada, own: true, tags: [] },
      { id: 9, x: 5, y: 5, three: false, seat: undefined, own: false, tags: ["it"] },
    ]);
  });

  it("writes events with the names of seats, and those that it cannot read", () => {
    const shown = world();
    shown.addEvent(120, 1, writeNumbers([1]));
    shown.addEvent(180, 2, Uint8Array.of(1, 2));
    shown.addEvent(240, 1, Uint8Array.of(0x80));
    expect(shown.log.value.map(({ at, name, values }) => [at, name, values])).toEqual([
      [4, "event 1", [{ name: "bytes", value: "1" }]],
      [3, "event 2", [{ name: "bytes", value: "2" }]],
      [2, "Caught", [{ name: "seat", value: "1 (Ada)" }]],
    ]);
  });

  it("inspects the own entity until another is chosen", () => {
    const shown = world();
    shown.inspect();
    expect(shown.inspected.value).toEqual({ id: 4, components: [{ name: "Seat", fields: [{ name: "seat", value: "1 (Ada)" }] }, { name: "Runner", fields: [{ name: "at", value: "10, −20" }, { name: "it", value: "no" }] }] });
    shown.chosen.set(9);
    shown.inspect();
    expect([shown.inspected.value?.id, shown.entities.value.map(({ name }) => name)]).toEqual([9, ["Ada", "Runner"]]);
  });
});

describe("the grid", () => {
  it("has lines at round numbers", () => {
    expect([0.003, 0.2, 1, 3, 7, 80].map(gridStep)).toEqual([0.005, 0.2, 1, 5, 10, 100]);
  });
});

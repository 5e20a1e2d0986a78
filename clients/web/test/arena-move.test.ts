import { describe, expect, it } from "vitest";
import { type Box, cos, type PlayerBody, sin, step, type Vec3 } from "../src/arena-move.ts";
import { vector, vectors } from "./vectors.ts";

type Corners = [Vec3, Vec3];
interface Run {
  about: string;
  start: PlayerBody;
  blocks: "map" | Corners[];
  ledges: Corners[];
  columns: string[];
  steps: number[][];
}

const boxes = (corners: Corners[]): Box[] => corners.map(([min, max]) => ({ min, max }));
const map = vector<{ blocks: { box: Corners }[] }>("arena-move/map.json");
const field = boxes(map.blocks.map(({ box }) => box));
const runs = vectors("arena-move").filter((name) => name !== "map.json" && name !== "sine.json");

describe("the Arena's movement", () => {
  it("has the same sine as the server", () => {
    const { rows } = vector<{ rows: [number, number, number][] }>("arena-move/sine.json");
    for (const [angle, s, c] of rows) expect([angle, sin(angle), cos(angle)]).toEqual([angle, s, c]);
  });

  it.each(runs)("takes every step of %s as the server does", (name) => {
    const run = vector<Run>(`arena-move/${name}`);
    const statics = { blocks: run.blocks === "map" ? field : boxes(run.blocks), ledges: boxes(run.ledges) };
    expect(run.columns).toEqual(["buttons", "move_x", "move_y", "yaw", "pitch", "x", "y", "z", "vx", "vy", "vz", "air"]);
    let body = run.start;
    run.steps.forEach(([buttons, moveX, moveY, yaw, pitch, ...wanted], tick) => {
      body = step(body, { buttons: buttons!, moveX: moveX!, moveY: moveY!, yaw: yaw!, pitch: pitch! }, statics);
      expect([body.x, body.y, body.z, body.vx, body.vy, body.vz, body.air], `${name} tick ${tick}`).toEqual(wanted);
    });
  });
});

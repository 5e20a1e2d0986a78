// The Arena's ground, walls, goals and stands as three.js objects. Built once.

import {
  BoxGeometry,
  BufferGeometry,
  Color,
  DoubleSide,
  EdgesGeometry,
  Group,
  InstancedMesh,
  LineBasicMaterial,
  LineSegments,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  MeshLambertMaterial,
  PlaneGeometry,
} from "three";
import { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
import { type Block, type BlockKind, FIELD, TEAM_COLOURS } from "./frame.ts";
import { fieldTexture, netTexture } from "./textures.ts";

const LOOK: Record<Exclude<BlockKind, "ceiling" | "floor" | "glass">, number> = {
  wall: 0x33415a,
  goal: 0xdfe7f2,
  platform: 0x46587a,
  step: 0x53688e,
  cover: 0x5d7094,
};

/** Everything of the field that never moves. */
export function buildField(): Group {
  const field = new Group();
  field.add(ground(), outside(), glass(), stands());
  for (const kind of Object.keys(LOOK) as (keyof typeof LOOK)[]) field.add(...solids(kind));
  for (const goal of FIELD.goals) field.add(...goalNet(goal));
  return field;
}

function ground(): Mesh {
  const mesh = new Mesh(new PlaneGeometry(FIELD.halfLength * 2, FIELD.halfWidth * 2), new MeshLambertMaterial({ map: fieldTexture() }));
  mesh.rotation.x = -Math.PI / 2;
  mesh.receiveShadow = true;
  return mesh;
}

function outside(): Mesh {
  const mesh = new Mesh(new PlaneGeometry(220, 180), new MeshLambertMaterial({ color: 0x1a2433 }));
  mesh.rotation.x = -Math.PI / 2;
  mesh.position.y = -0.03;
  return mesh;
}

function box(block: Pick<Block, "min" | "max">): BoxGeometry {
  const size = block.max.map((value, axis) => value - block.min[axis]!) as [number, number, number];
  const geometry = new BoxGeometry(...size);
  geometry.translate(block.min[0] + size[0] / 2, block.min[1] + size[1] / 2, block.min[2] + size[2] / 2);
  return geometry;
}

function merged(blocks: Pick<Block, "min" | "max">[]): BufferGeometry {
  return blocks.length === 0 ? new BufferGeometry() : mergeGeometries(blocks.map(box));
}

function solids(kind: keyof typeof LOOK): [Mesh, LineSegments] {
  const blocks = FIELD.blocks.filter((block) => block.kind === kind);
  const mesh = new Mesh(merged(blocks), new MeshLambertMaterial({ color: LOOK[kind] }));
  mesh.castShadow = true;
  mesh.receiveShadow = true;
  const edges = blocks.length === 0 ? new BufferGeometry() : mergeGeometries(blocks.map((block) => new EdgesGeometry(box(block))));
  return [mesh, new LineSegments(edges, new LineBasicMaterial({ color: 0xc9d8ee, transparent: true, opacity: 0.22 }))];
}

function glass(): Mesh {
  const blocks = FIELD.blocks.filter((block) => block.kind === "glass");
  const material = new MeshBasicMaterial({ color: 0x9fc4ff, transparent: true, opacity: 0.045, depthWrite: false, side: DoubleSide });
  return new Mesh(merged(blocks), material);
}

function goalNet({ team, min, max }: (typeof FIELD.goals)[number]): Mesh[] {
  const colour = TEAM_COLOURS[team === 1 ? 1 : 0];
  const map = netTexture();
  map.repeat.set(9, 5);
  const net = new MeshBasicMaterial({ color: colour, map, transparent: true, opacity: 0.5, side: DoubleSide, depthWrite: false });
  const line = team === 0 ? max[0] : min[0];
  const inner = team === 0 ? { min: [min[0] + 0.06, min[1], min[2]], max: [min[0] + 0.1, max[1], max[2]] } : { min: [max[0] - 0.1, min[1], min[2]], max: [max[0] - 0.06, max[1], max[2]] };
  const back = new Mesh(box(inner as Pick<Block, "min" | "max">), net);
  const frame = merged([
    { min: [line - 0.12, 0, min[2] - 0.12], max: [line + 0.12, max[1] + 0.12, min[2] + 0.12] },
    { min: [line - 0.12, 0, max[2] - 0.12], max: [line + 0.12, max[1] + 0.12, max[2] + 0.12] },
    { min: [line - 0.12, max[1] - 0.12, min[2]], max: [line + 0.12, max[1] + 0.12, max[2]] },
  ]);
  const posts = new Mesh(frame, new MeshLambertMaterial({ color: colour, emissive: colour, emissiveIntensity: 0.55 }));
  posts.castShadow = true;
  const mat = new Mesh(new PlaneGeometry(max[0] - min[0], max[2] - min[2]), new MeshLambertMaterial({ color: new Color(colour).multiplyScalar(0.42) }));
  mat.rotation.x = -Math.PI / 2;
  mat.position.set((min[0] + max[0]) / 2, 0.01, (min[2] + max[2]) / 2);
  mat.receiveShadow = true;
  return [back, posts, mat];
}

/** Rows of seats around the walls with a crowd in the teams' colours. */
function stands(): Group {
  const group = new Group();
  const rows = 6;
  const steps: Pick<Block, "min" | "max">[] = [];
  const places: [number, number, number, number][] = [];
  for (let row = 0; row < rows; row++) {
    const [x, z, y] = [FIELD.halfLength + 7 + row * 2, FIELD.halfWidth + 4 + row * 2, 3.4 + row * 1.1];
    steps.push({ min: [-x, 0, z], max: [x, y, z + 2] }, { min: [-x, 0, -z - 2], max: [x, y, -z] });
    steps.push({ min: [x - 2, 0, -z], max: [x, y, z] }, { min: [-x, 0, -z], max: [-x + 2, y, z] });
    for (let at = -x + 1; at < x; at += 1.3) places.push([at, y, z + 0.8, at], [at, y, -z - 0.8, at]);
    for (let at = -z + 1; at < z; at += 1.3) places.push([x - 1, y, at, x], [-x + 1, y, at, -x]);
  }
  group.add(new Mesh(merged(steps), new MeshLambertMaterial({ color: 0x212c3f })));
  group.add(crowd(places));
  return group;
}

function crowd(places: [number, number, number, number][]): InstancedMesh {
  let state = 12_345;
  const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const present = places.filter(() => random() < 0.72);
  const mesh = new InstancedMesh(new BoxGeometry(0.5, 0.9, 0.45), new MeshLambertMaterial(), present.length);
  const place = new Matrix4();
  const colour = new Color();
  present.forEach(([x, y, z, side], i) => {
    place.makeTranslation(x + (random() - 0.5) * 0.5, y + 0.35 + random() * 0.25, z);
    mesh.setMatrixAt(i, place);
    const fan = random() < 0.45;
    colour.set(fan ? TEAM_COLOURS[side < 0 ? 0 : 1] : 0x7d8aa0).multiplyScalar(0.35 + random() * 0.45);
    mesh.setColorAt(i, colour);
  });
  return mesh;
}

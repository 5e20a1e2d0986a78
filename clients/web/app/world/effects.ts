// Short effects: pulses, hits, shoves, goals.

import { AdditiveBlending, BufferAttribute, BufferGeometry, CylinderGeometry, Group, Mesh, MeshBasicMaterial, Points, PointsMaterial, Quaternion, RingGeometry, Vector3 } from "three";
import { type Effect, TEAM_COLOURS } from "./frame.ts";

interface Live {
  object: Mesh | Points;
  age: number;
  life: number;
  step: (part: number, seconds: number) => void;
}

const LIVE_MAX = 64;
const UP = new Vector3(0, 1, 0);
const beam = new CylinderGeometry(1, 1, 1, 8, 1, true);
const wave = new RingGeometry(0.8, 1, 40);

/** Runs effects and forgets them. */
export class Effects {
  readonly group = new Group();
  private live: Live[] = [];

  start(effect: Effect): void {
    const colour = TEAM_COLOURS[effect.team === 1 ? 1 : 0];
    if (effect.kind === "pulse") this.pulse(new Vector3(...effect.from), new Vector3(...effect.to), colour);
    else if (effect.kind === "hit") this.sparks(effect.at, colour, 14, 4, 0.35);
    else if (effect.kind === "shove") this.ring(effect.at, colour, 2.4, 0.3);
    else {
      this.sparks(effect.at, colour, 160, 13, 1.6);
      this.ring(effect.at, colour, 12, 0.9);
    }
  }

  update(seconds: number): void {
    for (const live of this.live) {
      live.age += seconds;
      live.step(Math.min(1, live.age / live.life), seconds);
    }
    for (const live of this.live.filter(({ age, life }) => age >= life)) this.remove(live);
    this.live = this.live.filter(({ age, life }) => age < life);
  }

  private add(object: Mesh | Points, life: number, step: Live["step"]): void {
    this.group.add(object);
    this.live.push({ object, age: 0, life, step });
    if (this.live.length > LIVE_MAX) this.remove(this.live.shift()!);
  }

  private remove({ object }: Live): void {
    this.group.remove(object);
    (object.material as MeshBasicMaterial).dispose();
    if (object instanceof Points) object.geometry.dispose();
  }

  private pulse(from: Vector3, to: Vector3, colour: number): void {
    const material = new MeshBasicMaterial({ color: colour, transparent: true, blending: AdditiveBlending, depthWrite: false });
    const mesh = new Mesh(beam, material);
    const way = to.clone().sub(from);
    mesh.position.copy(from).addScaledVector(way, 0.5);
    mesh.quaternion.copy(new Quaternion().setFromUnitVectors(UP, way.clone().normalize()));
    mesh.scale.set(0.05, Math.max(0.01, way.length()), 0.05);
    this.add(mesh, 0.22, (part) => {
      material.opacity = 1 - part;
      mesh.scale.x = mesh.scale.z = 0.055 * (1 - part) + 0.008;
    });
    this.sparks([to.x, to.y, to.z], colour, 8, 3, 0.25);
  }

  private ring(at: [number, number, number], colour: number, size: number, life: number): void {
    const material = new MeshBasicMaterial({ color: colour, transparent: true, blending: AdditiveBlending, depthWrite: false });
    const mesh = new Mesh(wave, material);
    mesh.rotation.x = -Math.PI / 2;
    mesh.position.set(at[0], at[1] + 0.1, at[2]);
    this.add(mesh, life, (part) => {
      material.opacity = 1 - part;
      mesh.scale.setScalar(0.3 + size * Math.sqrt(part));
    });
  }

  private sparks(at: [number, number, number], colour: number, count: number, speed: number, life: number): void {
    const positions = new Float32Array(count * 3);
    const velocity = Array.from({ length: count }, () => {
      const [turn, lift] = [Math.random() * 2 * Math.PI, Math.random() * 1.6 - 0.3];
      const size = speed * (0.4 + Math.random() * 0.6);
      return [Math.cos(turn) * size * 0.8, lift * size, Math.sin(turn) * size * 0.8] as const;
    });
    for (let i = 0; i < count; i++) positions.set(at, i * 3);
    const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(positions, 3));
    const material = new PointsMaterial({ color: colour, size: count > 50 ? 0.22 : 0.1, transparent: true, blending: AdditiveBlending, depthWrite: false });
    const points = new Points(geometry, material);
    points.frustumCulled = false;
    let fall = 0;
    this.add(points, life, (part, seconds) => {
      fall += 9 * seconds;
      velocity.forEach(([x, y, z], i) => {
        positions[i * 3]! += x * seconds;
        positions[i * 3 + 1] = Math.max(0.05, positions[i * 3 + 1]! + (y - fall) * seconds);
        positions[i * 3 + 2]! += z * seconds;
      });
      geometry.attributes.position!.needsUpdate = true;
      material.opacity = 1 - part * part;
    });
  }
}

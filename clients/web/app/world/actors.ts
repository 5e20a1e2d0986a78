// What moves: players, the ball and crates as three.js objects.

import {
  BoxGeometry,
  CapsuleGeometry,
  CircleGeometry,
  CylinderGeometry,
  Group,
  Mesh,
  MeshBasicMaterial,
  MeshLambertMaterial,
  MeshStandardMaterial,
  RingGeometry,
  SphereGeometry,
  Sprite,
  SpriteMaterial,
} from "three";
import { type BodyView, FIELD, type PlayerView, TEAM_COLOURS } from "./frame.ts";
import { ballTexture, crateTexture, plateTexture } from "./textures.ts";

const HEIGHT = 1.8;
const RADIUS = 0.38;
const body = new CapsuleGeometry(RADIUS, HEIGHT - 2 * RADIUS, 6, 18);
const visor = new BoxGeometry(0.22, 0.2, 0.5);
const pack = new BoxGeometry(0.14, 0.42, 0.36);
const emitter = new CylinderGeometry(0.06, 0.08, 0.5, 10);
const ring = new RingGeometry(0.5, 0.62, 28);
const triangle = new CircleGeometry(0.72, 3);

/** One player: a capsule in the team's colour, a visor, a plate above. */
export class PlayerActor {
  readonly group = new Group();
  private readonly torso = new Group();
  private readonly arm = new Group();
  private readonly plate = new Sprite(new SpriteMaterial({ depthTest: true, transparent: true }));
  private readonly shell: MeshLambertMaterial;
  private plateKey = "";
  private phase = 0;
  private fallen = 0;

  constructor(readonly team: number) {
    const colour = TEAM_COLOURS[team === 1 ? 1 : 0];
    this.shell = new MeshLambertMaterial({ color: colour, emissive: colour, emissiveIntensity: 0.12 });
    const dark = new MeshLambertMaterial({ color: 0x222c3f });
    const trunk = new Mesh(body, this.shell);
    trunk.position.y = HEIGHT / 2;
    trunk.castShadow = true;
    const face = new Mesh(visor, dark);
    face.position.set(0.3, 1.48, 0);
    const back = new Mesh(pack, dark);
    back.position.set(-0.36, 1.1, 0);
    const gun = new Mesh(emitter, dark);
    gun.rotation.z = -Math.PI / 2;
    gun.position.set(0.42, 0, 0);
    this.arm.position.set(0.05, 1.12, 0.42);
    this.arm.add(gun);
    this.torso.add(trunk, face, back, this.arm);
    const mark = new Mesh(team === 0 ? triangle : ring, new MeshBasicMaterial({ color: colour, transparent: true, opacity: team === 0 ? 0.4 : 0.85, depthWrite: false }));
    mark.rotation.x = -Math.PI / 2;
    mark.position.y = 0.03;
    this.plate.scale.set(1.9, 0.475, 1);
    this.plate.position.y = HEIGHT + 0.5;
    this.group.add(this.torso, mark, this.plate);
  }

  /** Shows the player as it is; `hidden` leaves only the shadow's owner out (own eyes). */
  update(view: PlayerView, seconds: number, hidden: boolean): void {
    this.group.position.set(...view.at);
    this.torso.rotation.y = view.yaw;
    this.arm.rotation.z = view.pitch;
    this.phase += seconds * Math.min(view.speed, 9) * 1.9;
    const bob = view.speed > 0.5 ? Math.abs(Math.sin(this.phase)) * 0.07 : 0;
    this.fallen += ((view.alive ? 0 : 1) - this.fallen) * Math.min(1, seconds * 10);
    this.torso.rotation.z = -Math.min(view.speed, 9) * 0.012 + this.fallen * 1.45;
    this.torso.position.y = bob;
    this.shell.emissiveIntensity = view.alive ? 0.12 : 0;
    this.torso.visible = !hidden && this.fallen < 0.97;
    this.plate.visible = view.alive && !view.own;
    const key = `${view.name}|${Math.ceil(view.health / 5)}`;
    if (key !== this.plateKey && this.plate.visible) this.paintPlate(key, view);
  }

  dispose(): void {
    this.plate.material.map?.dispose();
    this.plate.material.dispose();
  }

  private paintPlate(key: string, view: PlayerView): void {
    this.plateKey = key;
    this.plate.material.map?.dispose();
    this.plate.material.map = plateTexture(view.name, view.team, view.health);
    this.plate.material.needsUpdate = true;
  }
}

/** The ball: it glows a little and marks the ground below it, so that it reads at distance. */
export class BallActor {
  readonly group = new Group();
  private readonly ball = new Mesh(new SphereGeometry(FIELD.ballRadius, 28, 20), new MeshStandardMaterial({ map: ballTexture(), roughness: 0.45, emissive: 0xffffff, emissiveIntensity: 0.16 }));
  private readonly spot = new Mesh(new RingGeometry(FIELD.ballRadius * 1.05, FIELD.ballRadius * 1.3, 36), new MeshBasicMaterial({ color: 0xffffff, transparent: true, opacity: 0.75, depthWrite: false }));
  private readonly beam = new Mesh(new CylinderGeometry(0.05, 0.05, 1, 8, 1, true), new MeshBasicMaterial({ color: 0xffffff, transparent: true, opacity: 0.28, depthWrite: false }));

  constructor() {
    this.ball.castShadow = true;
    this.spot.rotation.x = -Math.PI / 2;
    this.group.add(this.ball, this.spot, this.beam);
  }

  update(view: BodyView | undefined): void {
    this.group.visible = view !== undefined;
    if (view === undefined) return;
    this.ball.position.set(...view.at);
    this.ball.quaternion.set(...view.turn);
    this.spot.position.set(view.at[0], 0.04, view.at[2]);
    const height = Math.max(0.01, view.at[1] - FIELD.ballRadius);
    this.beam.visible = height > 0.4;
    this.beam.position.set(view.at[0], height / 2, view.at[2]);
    this.beam.scale.y = height;
  }
}

const crateGeometry = new BoxGeometry(FIELD.crateHalf * 2, FIELD.crateHalf * 2, FIELD.crateHalf * 2);
let crateMaterial: MeshLambertMaterial | undefined;

/** A crate. */
export function crateMesh(): Mesh {
  crateMaterial ??= new MeshLambertMaterial({ map: crateTexture() });
  const mesh = new Mesh(crateGeometry, crateMaterial);
  mesh.castShadow = true;
  mesh.receiveShadow = true;
  return mesh;
}

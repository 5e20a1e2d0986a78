// The world in three.js. Loaded only when a world is shown.

import {
  AmbientLight,
  Color,
  DirectionalLight,
  Fog,
  HemisphereLight,
  type Mesh,
  PCFShadowMap,
  PerspectiveCamera,
  Scene,
  Vector3,
  WebGLRenderer,
} from "three";
import { BallActor, crateMesh, PlayerActor } from "./actors.ts";
import { buildField } from "./arena.ts";
import { Effects } from "./effects.ts";
import { type Camera, direction, type Effect, type Renderer, type WorldFrame } from "./frame.ts";
import type { Vec3 } from "../../src/arena-move.ts";

/** Slower pictures than this lower the quality, seconds. */
const SLOW_S = 1 / 40;
const QUALITIES = [2, 1.5, 1, 0.7, 0.5];

/** Draws with WebGL; throws where there is none. */
export function createScene(host: HTMLElement): Renderer {
  return new SceneRenderer(host);
}

class SceneRenderer implements Renderer {
  readonly kind = "3d";
  private readonly gl: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(70, 1, 0.08, 260);
  private readonly players = new Map<number, PlayerActor>();
  private readonly crates = new Map<number, Mesh>();
  private readonly ball = new BallActor();
  private readonly effects = new Effects();
  private readonly sun = sunlight();
  private readonly observer: ResizeObserver;
  private quality = 0;
  private slow = 0;

  constructor(private readonly host: HTMLElement) {
    this.gl = new WebGLRenderer({ antialias: true, powerPreference: "high-performance" });
    this.gl.shadowMap.enabled = true;
    this.gl.shadowMap.type = PCFShadowMap;
    this.gl.domElement.setAttribute("aria-hidden", "true");
    host.append(this.gl.domElement);
    this.scene.background = new Color(0x16213a);
    this.scene.fog = new Fog(0x16213a, 60, 150);
    this.scene.add(new AmbientLight(0xc8d6ff, 0.95), new HemisphereLight(0xd6e4ff, 0x34473f, 1.25), this.sun);
    this.scene.add(buildField(), this.ball.group, this.effects.group);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  draw(frame: WorldFrame, camera: Camera, seconds: number): void {
    this.adapt(seconds);
    this.placePlayers(frame, camera, seconds);
    this.placeCrates(frame);
    this.ball.update(frame.ball);
    this.effects.update(seconds);
    this.camera.fov = camera.fov;
    this.camera.position.set(...camera.at);
    const ahead = direction(camera.yaw, camera.pitch);
    this.camera.lookAt(camera.at[0] + ahead[0], camera.at[1] + ahead[1], camera.at[2] + ahead[2]);
    this.camera.updateProjectionMatrix();
    this.gl.render(this.scene, this.camera);
  }

  effect(effect: Effect): void {
    this.effects.start(effect);
  }

  project(point: Vec3): { x: number; y: number; inside: boolean } {
    const at = new Vector3(...point).applyMatrix4(this.camera.matrixWorldInverse);
    const behind = at.z > -0.1;
    const clip = at.clone().applyMatrix4(this.camera.projectionMatrix);
    const sign = behind ? -1 : 1;
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    const inside = !behind && Math.abs(clip.x) < 0.96 && Math.abs(clip.y) < 0.94;
    return { x: ((sign * clip.x + 1) / 2) * width, y: ((1 - sign * clip.y) / 2) * height, inside };
  }

  dispose(): void {
    this.observer.disconnect();
    for (const actor of this.players.values()) actor.dispose();
    this.gl.dispose();
    this.gl.forceContextLoss();
    this.gl.domElement.remove();
  }

  private placePlayers(frame: WorldFrame, camera: Camera, seconds: number): void {
    const seen = new Set<number>();
    for (const view of frame.players) {
      seen.add(view.id);
      let actor = this.players.get(view.id);
      if (actor?.team !== view.team) {
        if (actor !== undefined) this.removePlayer(view.id, actor);
        actor = new PlayerActor(view.team);
        this.players.set(view.id, actor);
        this.scene.add(actor.group);
      }
      const eye = Math.hypot(camera.at[0] - view.at[0], camera.at[1] - view.at[1] - 1.5, camera.at[2] - view.at[2]);
      actor.update(view, seconds, view.own && eye < 0.9);
    }
    for (const [id, actor] of this.players) if (!seen.has(id)) this.removePlayer(id, actor);
  }

  private removePlayer(id: number, actor: PlayerActor): void {
    this.scene.remove(actor.group);
    actor.dispose();
    this.players.delete(id);
  }

  private placeCrates(frame: WorldFrame): void {
    const seen = new Set(frame.crates.map(({ id }) => id));
    for (const { id, at, turn } of frame.crates) {
      let mesh = this.crates.get(id);
      if (mesh === undefined) {
        mesh = crateMesh();
        this.crates.set(id, mesh);
        this.scene.add(mesh);
      }
      mesh.position.set(...at);
      mesh.quaternion.set(...turn);
    }
    for (const [id, mesh] of this.crates) {
      if (seen.has(id)) continue;
      this.scene.remove(mesh);
      this.crates.delete(id);
    }
  }

  private adapt(seconds: number): void {
    this.slow = this.slow * 0.97 + (seconds > SLOW_S ? 0.03 : 0);
    if (this.slow < 0.7 || this.quality >= QUALITIES.length - 1) return;
    this.slow = 0.2;
    this.quality += 1;
    if (this.quality >= 3) this.sun.castShadow = false;
    this.resize();
  }

  private resize(): void {
    const [width, height] = [Math.max(1, this.host.clientWidth), Math.max(1, this.host.clientHeight)];
    this.gl.setPixelRatio(Math.min(devicePixelRatio, QUALITIES[this.quality]!));
    this.gl.setSize(width, height);
    this.camera.aspect = width / height;
  }
}

function sunlight(): DirectionalLight {
  const sun = new DirectionalLight(0xfff1d6, 2.9);
  sun.position.set(-22, 42, 18);
  sun.castShadow = true;
  sun.shadow.mapSize.set(2048, 2048);
  Object.assign(sun.shadow.camera, { left: -34, right: 34, top: 26, bottom: -26, near: 5, far: 95 });
  sun.shadow.bias = -0.0006;
  sun.shadow.normalBias = 0.03;
  return sun;
}

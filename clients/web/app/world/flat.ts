// The world from above on a 2D canvas, where WebGL is missing.

import type { Vec3 } from "../../src/arena-move.ts";
import { type Camera, type Effect, FIELD, type Renderer, TEAM_LETTERS, type WorldFrame } from "./frame.ts";

const TEAM_CSS = ["#ff9f43", "#4dabf7"] as const;
const COLOURS: Partial<Record<string, string>> = { wall: "#2b384d", goal: "#c9d3e2", platform: "#3c4d6b", step: "#46597b", cover: "#5d7094" };

/** Draws a map with everything on it. */
export function createFlat(host: HTMLElement): Renderer {
  return new FlatRenderer(host);
}

class FlatRenderer implements Renderer {
  readonly kind = "2d";
  private readonly canvas = document.createElement("canvas");
  private readonly g: CanvasRenderingContext2D;
  private effects: { effect: Effect; age: number }[] = [];
  private scale = 10;
  private readonly observer: ResizeObserver;

  constructor(private readonly host: HTMLElement) {
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.canvas);
    this.g = this.canvas.getContext("2d")!;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  draw(frame: WorldFrame, _camera: Camera, seconds: number): void {
    const { g } = this;
    g.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    g.fillStyle = "#121b2b";
    g.fillRect(0, 0, this.host.clientWidth, this.host.clientHeight);
    this.field();
    for (const crate of frame.crates) this.square(crate.at, FIELD.crateHalf, "#97a3b6");
    for (const player of frame.players) this.player(player);
    if (frame.ball !== undefined) this.ball(frame.ball.at);
    this.effects = this.effects.map(({ effect, age }) => ({ effect, age: age + seconds })).filter(({ age }) => age < 0.6);
    for (const { effect, age } of this.effects) this.shownEffect(effect, age / 0.6);
    g.globalAlpha = 1;
  }

  effect(effect: Effect): void {
    this.effects.push({ effect, age: 0 });
  }

  project(point: Vec3): { x: number; y: number; inside: boolean } {
    return { x: this.x(point), y: this.y(point), inside: true };
  }

  dispose(): void {
    this.observer.disconnect();
    this.canvas.remove();
  }

  private x(point: Vec3): number {
    return this.host.clientWidth / 2 + point[0] * this.scale;
  }

  private y(point: Vec3): number {
    return this.host.clientHeight / 2 + point[2] * this.scale;
  }

  private resize(): void {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    this.canvas.width = Math.max(1, width * devicePixelRatio);
    this.canvas.height = Math.max(1, height * devicePixelRatio);
    this.scale = Math.min(width / (2 * FIELD.halfLength + 9), height / (2 * FIELD.halfWidth + 9));
  }

  private field(): void {
    const { g } = this;
    this.rect([-FIELD.halfLength, 0, -FIELD.halfWidth], [FIELD.halfLength, 0, FIELD.halfWidth], "#2a4644");
    for (const block of FIELD.blocks) {
      const colour = COLOURS[block.kind];
      if (colour !== undefined) this.rect(block.min, block.max, colour);
    }
    for (const { team, min, max } of FIELD.goals) this.rect(min, max, `${TEAM_CSS[team === 1 ? 1 : 0]}88`);
    g.strokeStyle = "#ffffff80";
    g.lineWidth = 2;
    g.beginPath();
    g.moveTo(this.x([0, 0, 0]), this.y([0, 0, -FIELD.halfWidth]));
    g.lineTo(this.x([0, 0, 0]), this.y([0, 0, FIELD.halfWidth]));
    g.moveTo(this.x([4.5, 0, 0]), this.y([0, 0, 0]));
    g.arc(this.x([0, 0, 0]), this.y([0, 0, 0]), 4.5 * this.scale, 0, 2 * Math.PI);
    g.stroke();
  }

  private rect(min: Vec3, max: Vec3, colour: string): void {
    this.g.fillStyle = colour;
    this.g.fillRect(this.x(min), this.y(min), (max[0] - min[0]) * this.scale, (max[2] - min[2]) * this.scale);
  }

  private square(at: Vec3, half: number, colour: string): void {
    this.rect([at[0] - half, 0, at[2] - half], [at[0] + half, 0, at[2] + half], colour);
  }

  private player({ at, team, yaw, name, own, alive }: WorldFrame["players"][number]): void {
    const { g } = this;
    const [x, y, size] = [this.x(at), this.y(at), Math.max(9, 0.75 * this.scale)];
    const side = team === 1 ? 1 : 0;
    g.globalAlpha = alive ? 1 : 0.3;
    g.fillStyle = TEAM_CSS[side];
    g.strokeStyle = own ? "#ffffff" : "#0d1117";
    g.lineWidth = own ? 3 : 1.5;
    g.beginPath();
    if (side === 0) g.rect(x - size, y - size, 2 * size, 2 * size);
    else g.arc(x, y, size, 0, 2 * Math.PI);
    g.fill();
    g.stroke();
    g.beginPath();
    g.moveTo(x, y);
    g.lineTo(x + Math.cos(yaw) * size * 1.9, y - Math.sin(yaw) * size * 1.9);
    g.strokeStyle = "#ffffff";
    g.lineWidth = 2;
    g.stroke();
    g.fillStyle = "#10151c";
    g.textAlign = "center";
    g.font = `700 ${Math.round(size * 1.2)}px system-ui, sans-serif`;
    g.fillText(TEAM_LETTERS[side], x, y + size * 0.42);
    g.fillStyle = "#ffffff";
    g.font = "14px system-ui, sans-serif";
    g.fillText(name, x, y - size - 6);
    g.globalAlpha = 1;
  }

  private ball(at: Vec3): void {
    const { g } = this;
    g.beginPath();
    g.arc(this.x(at), this.y(at), Math.max(7, FIELD.ballRadius * this.scale * (1 + at[1] / 20)), 0, 2 * Math.PI);
    g.fillStyle = "#ffffff";
    g.fill();
    g.lineWidth = 3;
    g.strokeStyle = "#e8344e";
    g.stroke();
  }

  private shownEffect(effect: Effect, part: number): void {
    const { g } = this;
    g.globalAlpha = 1 - part;
    g.strokeStyle = TEAM_CSS[effect.team === 1 ? 1 : 0];
    g.lineWidth = 3;
    g.beginPath();
    if (effect.kind === "pulse") {
      g.moveTo(this.x(effect.from), this.y(effect.from));
      g.lineTo(this.x(effect.to), this.y(effect.to));
    } else {
      g.arc(this.x(effect.at), this.y(effect.at), (effect.kind === "goal" ? 9 : 1.4) * this.scale * part, 0, 2 * Math.PI);
    }
    g.stroke();
  }
}

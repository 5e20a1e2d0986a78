// Any world from above on a 2D canvas: it fits and follows what is there, with a grid that tells its scale.

import { teamColour, teamLetter } from "../parts/teams.ts";
import type { Thing } from "./world.ts";

/** Room around the world for what lies on top of it, pixels. */
const INSETS = { top: 100, right: 44, bottom: 84, left: 44 };
/** The picture closes in on what is left by half in this time, seconds. */
const HALF_LIFE_S = 3;
/** Below this width buttons stand under the score: the numbers of the grid begin below them, pixels. */
const NARROW_PIXELS = 760;
/** Least distance of grid lines, pixels. */
const GRID_PIXELS = 72;
/** Reach of a click, pixels. */
const REACH_PIXELS = 22;
const THING_CSS = "#97a3b6";
const RADIUS = 13;

interface Box {
  left: number;
  right: number;
  bottom: number;
  top: number;
}

/** Draws things into an element. */
export class WorldMap {
  private readonly canvas = document.createElement("canvas");
  private readonly g: CanvasRenderingContext2D;
  private readonly observer: ResizeObserver;
  private box: Box | undefined;
  private scale = 1;
  private centre = { x: 0, y: 0 };
  private shown: readonly Thing[] = [];

  constructor(private readonly host: HTMLElement) {
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.canvas);
    this.g = this.canvas.getContext("2d")!;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  dispose(): void {
    this.observer.disconnect();
    this.canvas.remove();
  }

  /** Draws one picture. `chosen` is the entity in the inspector. */
  draw(things: readonly Thing[], chosen: number | undefined, seconds: number): void {
    const { g } = this;
    this.shown = things;
    this.look(things, seconds);
    g.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    g.fillStyle = "#10161f";
    g.fillRect(0, 0, this.host.clientWidth, this.host.clientHeight);
    if (this.box === undefined) return;
    this.grid();
    for (const thing of [...things].sort((a, b) => Number(a.own) - Number(b.own))) this.thing(thing, thing.id === chosen);
  }

  /** Pixels of a thing. */
  project({ x, y }: { x: number; y: number }): { x: number; y: number } {
    return { x: this.middle.x + (x - this.centre.x) * this.scale, y: this.middle.y - (y - this.centre.y) * this.scale };
  }

  /** The thing that is drawn nearest to these pixels, within reach. */
  hit(x: number, y: number): number | undefined {
    const near = this.shown.map((thing) => {
      const at = this.project(thing);
      return { id: thing.id, far: Math.hypot(at.x - x, at.y - y) };
    });
    return near.filter(({ far }) => far <= REACH_PIXELS).sort((a, b) => a.far - b.far)[0]?.id;
  }

  private get middle(): { x: number; y: number } {
    const { clientWidth, clientHeight } = this.host;
    return { x: (INSETS.left + clientWidth - INSETS.right) / 2, y: (INSETS.top + clientHeight - INSETS.bottom) / 2 };
  }

  private resize(): void {
    this.canvas.width = Math.max(1, this.host.clientWidth * devicePixelRatio);
    this.canvas.height = Math.max(1, this.host.clientHeight * devicePixelRatio);
  }

  /** Fits everything that is there. What leaves makes the picture close in slowly, so that it does not pump. */
  private look(things: readonly Thing[], seconds: number): void {
    const now = boxOf(things);
    if (now !== undefined) this.box = this.box === undefined ? now : following(this.box, now, 1 - 0.5 ** (seconds / HALF_LIFE_S));
    if (this.box === undefined) return;
    const { left, right, bottom, top } = this.box;
    const width = Math.max(1, this.host.clientWidth - INSETS.left - INSETS.right);
    const height = Math.max(1, this.host.clientHeight - INSETS.top - INSETS.bottom);
    this.centre = { x: (left + right) / 2, y: (bottom + top) / 2 };
    // A single thing, or a row of them, has no size of its own.
    const span = Math.max(right - left, top - bottom) || Math.max(1, Math.abs(left), Math.abs(top));
    this.scale = Math.min(width / Math.max(right - left, span / 4), height / Math.max(top - bottom, span / 4));
  }

  private grid(): void {
    const { g } = this;
    const { clientWidth, clientHeight } = this.host;
    const step = gridStep(GRID_PIXELS / this.scale);
    const [left, top] = [this.centre.x - this.middle.x / this.scale, this.centre.y + this.middle.y / this.scale];
    g.lineWidth = 1;
    g.font = "12px ui-monospace, monospace";
    g.textBaseline = "alphabetic";
    for (let i = Math.ceil(left / step); (i * step - left) * this.scale <= clientWidth; i++) {
      const x = Math.round((i * step - left) * this.scale) + 0.5;
      this.line(x, 0, x, clientHeight, i === 0);
      g.textAlign = "left";
      if (x > 44) g.fillText(label(i * step, step), x + 4, clientHeight - 6);
    }
    for (let i = Math.floor(top / step); (top - i * step) * this.scale <= clientHeight; i--) {
      const y = Math.round((top - i * step) * this.scale) + 0.5;
      this.line(0, y, clientWidth, y, i === 0);
      g.textAlign = "left";
      if (y > (innerWidth <= NARROW_PIXELS ? 164 : 64) && y < clientHeight - 24) g.fillText(label(i * step, step), 6, y - 4);
    }
  }

  private line(x0: number, y0: number, x1: number, y1: number, axis: boolean): void {
    const { g } = this;
    g.strokeStyle = axis ? "#4d5a6d" : "#212a36";
    g.beginPath();
    g.moveTo(x0, y0);
    g.lineTo(x1, y1);
    g.stroke();
    g.fillStyle = "#7f8b9b";
  }

  private thing(thing: Thing, chosen: boolean): void {
    const { g } = this;
    const { x, y } = this.project(thing);
    const { seat, own, tags } = thing;
    const radius = seat === undefined ? RADIUS * 0.6 : RADIUS;
    if (own) this.circle(x, y, radius + 5, { stroke: "#ffffff", width: 2.5 });
    if (chosen && !own) this.circle(x, y, radius + 5, { stroke: "#ffffffb3", width: 1.5, dash: [4, 4] });
    this.circle(x, y, radius, { fill: seat === undefined ? THING_CSS : teamColour(seat.team), stroke: "#0d1117", width: 1.5 });
    if (seat === undefined) return this.tags(x, y + radius + 16, tags);
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.fillStyle = "#10151c";
    g.font = "700 14px system-ui, sans-serif";
    g.fillText(teamLetter(seat.team), x, y + 1);
    g.textBaseline = "alphabetic";
    g.fillStyle = seat.bot ? "#b4bdc9" : "#ffffff";
    g.font = `${own ? "600 " : ""}14px system-ui, sans-serif`;
    g.fillText(seat.name, x, y - radius - 10);
    this.tags(x, y + radius + (own || chosen ? 20 : 14), tags);
  }

  private tags(x: number, y: number, tags: readonly string[]): void {
    const { g } = this;
    if (tags.length === 0) return;
    g.font = "600 12px system-ui, sans-serif";
    g.textBaseline = "middle";
    g.textAlign = "left";
    const widths = tags.map((tag) => g.measureText(tag).width + 12);
    let left = x - (widths.reduce((sum, width) => sum + width + 4, -4)) / 2;
    tags.forEach((tag, i) => {
      g.fillStyle = "#e6edf3";
      g.beginPath();
      g.roundRect(left, y - 9, widths[i]!, 18, 9);
      g.fill();
      g.fillStyle = "#0d1117";
      g.fillText(tag, left + 6, y + 0.5);
      left += widths[i]! + 4;
    });
    g.textBaseline = "alphabetic";
  }

  private circle(x: number, y: number, radius: number, { fill, stroke, width, dash }: { fill?: string; stroke: string; width: number; dash?: number[] }): void {
    const { g } = this;
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    if (fill !== undefined) {
      g.fillStyle = fill;
      g.fill();
    }
    g.setLineDash(dash ?? []);
    g.strokeStyle = stroke;
    g.lineWidth = width;
    g.stroke();
    g.setLineDash([]);
  }
}

function boxOf(things: readonly Thing[]): Box | undefined {
  if (things.length === 0) return undefined;
  const [xs, ys] = [things.map(({ x }) => x), things.map(({ y }) => y)];
  return { left: Math.min(...xs), right: Math.max(...xs), bottom: Math.min(...ys), top: Math.max(...ys) };
}

/** At least `now`; what is beyond it shrinks by a part. */
function following(old: Box, now: Box, part: number): Box {
  const lower = (from: number, to: number) => Math.min(to, from + (to - from) * part);
  const upper = (from: number, to: number) => Math.max(to, from + (to - from) * part);
  return { left: lower(old.left, now.left), right: upper(old.right, now.right), bottom: lower(old.bottom, now.bottom), top: upper(old.top, now.top) };
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
export function gridStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function label(value: number, step: number): string {
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9))).replace("-", "−");
}

// Keyboard, pointer and touch as the input of any game.

import type { Stick } from "../match/controls.ts";
import { Store } from "../store.ts";
import { type Plan, stepsOf } from "./plan.ts";

const STICK_PIXELS = 52;
/** The part of the width, from the left, where a finger moves the stick. */
const STICK_SIDE = 0.45;

/** A press lasts at least this many ticks: the input of one alone may come late and not count. */
const PRESS_TICKS = 6;

/** What hands want; `sample()` once per tick. */
export class Hands {
  readonly stick = new Store<Stick | undefined>(undefined);
  /** True while the person writes a chat line. */
  readonly writing = new Store(false);
  /** Steps of the sliders, by field. */
  readonly sliders = new Store<ReadonlyMap<number, number>>(new Map());
  /** Where the own entity is on the screen; the pointer's direction is seen from there. */
  origin: { x: number; y: number; three: boolean } | undefined;
  private readonly keys = new Set<string>();
  private readonly held = new Set<number>();
  /** Ticks that the press of a button still lasts, whether it is held or not. */
  private readonly pressed = new Map<number, number>();
  private stickId: number | undefined;
  private pointer: { x: number; y: number } | undefined;
  private readonly stop = new AbortController();

  constructor(private readonly element: HTMLElement, readonly plan: Plan | undefined) {
    const { signal } = this.stop;
    addEventListener("keydown", (event) => this.keyDown(event), { signal });
    addEventListener("keyup", (event) => this.keys.delete(keyOf(event)), { signal });
    addEventListener("blur", () => this.letGo(), { signal });
    element.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
    element.addEventListener("pointerdown", (event) => this.pointerDown(event), { signal });
    element.addEventListener("pointermove", (event) => this.pointerMove(event), { signal });
    element.addEventListener("pointerup", (event) => this.pointerUp(event), { signal });
    element.addEventListener("pointercancel", (event) => this.pointerUp(event), { signal });
  }

  dispose(): void {
    this.stop.abort();
  }

  /** Gives the keys back to the game after a form. */
  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** Holds or releases a button of the screen. */
  button(field: number, down: boolean): void {
    if (!down) return void this.held.delete(field);
    this.pressed.set(field, PRESS_TICKS);
    this.held.add(field);
  }

  /** Sets a slider, in steps. */
  slide(field: number, steps: number): void {
    this.sliders.set(new Map([...this.sliders.value, [field, steps]]));
  }

  /** Lets go of everything for a chat line. */
  write(): void {
    this.letGo();
    this.writing.set(true);
  }

  /** The input of a tick, as steps of its fields. */
  sample(): number[] {
    if (this.plan === undefined) return [];
    const stick = this.stick.value;
    const key = (...codes: string[]) => Number(codes.some((code) => this.keys.has(code)));
    const buttons = this.plan.buttons.filter(({ code }) => code !== undefined && this.keys.has(code)).map(({ field }) => field);
    const pressed = new Set([...this.held, ...this.pressed.keys(), ...buttons]);
    for (const [field, ticks] of [...this.pressed]) {
      if (ticks > 1) this.pressed.set(field, ticks - 1);
      else this.pressed.delete(field);
    }
    return stepsOf(this.plan, {
      right: stick === undefined ? key("KeyD", "ArrowRight") - key("KeyA", "ArrowLeft") : stick.dx / STICK_PIXELS,
      up: stick === undefined ? key("KeyW", "ArrowUp") - key("KeyS", "ArrowDown") : -stick.dy / STICK_PIXELS,
      pressed,
      angle: this.angle(),
      sliders: this.sliders.value,
    });
  }

  private angle(): number | undefined {
    if (this.pointer === undefined || this.origin === undefined) return undefined;
    const [right, up] = [this.pointer.x - this.origin.x, this.origin.y - this.pointer.y];
    return Math.atan2(this.origin.three ? -up : up, right);
  }

  private letGo(): void {
    this.keys.clear();
    this.held.clear();
    this.pressed.clear();
    this.stickId = undefined;
    this.stick.set(undefined);
  }

  private keyDown(event: KeyboardEvent): void {
    if (isText(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const onControl = event.target instanceof HTMLElement && event.target.closest("button, input, select, summary, a") !== null;
    if (event.code === "Enter" && !onControl) {
      // The same key press must not send the box it opens.
      event.preventDefault();
      return this.write();
    }
    const works = event.code === "Space" || event.code.startsWith("Arrow");
    if (works && onControl) return;
    if (works) event.preventDefault();
    const code = keyOf(event);
    this.keys.add(code);
    if (event.repeat) return;
    const button = this.plan?.buttons.find((button) => button.code === code);
    if (button !== undefined) this.pressed.set(button.field, PRESS_TICKS);
  }

  private pointerDown(event: PointerEvent): void {
    const at = this.at(event);
    this.focus();
    if (event.pointerType === "mouse") return;
    this.element.setPointerCapture(event.pointerId);
    const left = at.x < this.element.clientWidth * STICK_SIDE;
    if (left && this.stickId === undefined && this.plan?.stick !== undefined) {
      this.stickId = event.pointerId;
      this.stick.set({ ...at, dx: 0, dy: 0 });
    } else this.pointer = at;
  }

  private pointerMove(event: PointerEvent): void {
    const at = this.at(event);
    const stick = this.stick.value;
    if (event.pointerId !== this.stickId || stick === undefined) {
      this.pointer = at;
      return;
    }
    const [dx, dy] = [at.x - stick.x, at.y - stick.y];
    const scale = Math.min(1, STICK_PIXELS / Math.max(1, Math.hypot(dx, dy)));
    this.stick.set({ ...stick, dx: dx * scale, dy: dy * scale });
  }

  private pointerUp(event: PointerEvent): void {
    if (event.pointerId !== this.stickId) return;
    this.stickId = undefined;
    this.stick.set(undefined);
  }

  private at(event: PointerEvent): { x: number; y: number } {
    const { left, top } = this.element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

/** Both Shift keys are one. */
function keyOf({ code }: KeyboardEvent): string {
  return code.startsWith("Shift") ? "Shift" : code;
}

/** True when keys are text or numbers that somebody writes. */
function isText(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return target.type !== "checkbox" && target.type !== "range";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

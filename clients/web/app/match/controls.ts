// Keyboard, mouse and touch as the input of one tick.

import { type ArenaInput, BUTTON_FIRE, BUTTON_JUMP, BUTTON_SHOVE, PITCH_MAX, TURN } from "../../src/arena-move.ts";
import { Store } from "../store.ts";

const MOUSE_RADIANS_PER_PIXEL = 0.0023;
const TOUCH_RADIANS_PER_PIXEL = 0.0062;
const STICK_PIXELS = 52;
const PITCH_RADIANS_MAX = (PITCH_MAX / TURN) * 2 * Math.PI;

/** Where a finger holds the stick. */
export interface Stick {
  x: number;
  y: number;
  dx: number;
  dy: number;
}

/** What hands want; `sample()` once per tick. */
export class Controls {
  /** True while the mouse looks around. */
  readonly locked = new Store(false);
  readonly stick = new Store<Stick | undefined>(undefined);
  /** First person instead of over the shoulder. */
  readonly firstPerson = new Store(false);
  readonly help = new Store(false);
  /** True while the person writes a chat line. */
  readonly writing = new Store(false);
  yaw = 0;
  pitch = 0;
  private keys = new Set<string>();
  private held = 0;
  /** Buttons pressed since the last sample, so that a short click counts. */
  private pressed = 0;
  private stickId: number | undefined;
  private lookId: number | undefined;
  private look: { x: number; y: number } | undefined;
  private readonly undo: (() => void)[] = [];

  constructor(private readonly element: HTMLElement) {
    this.on(window, "keydown", (event) => this.keyDown(event));
    this.on(window, "keyup", (event) => this.keys.delete(event.code));
    this.on(window, "blur", () => this.letGo());
    this.on(document, "pointerlockchange", () => this.lockChanged());
    this.on(document, "mousemove", (event) => this.mouseMoved(event));
    this.on(document, "mousedown", (event) => this.mouseDown(event));
    this.on(document, "mouseup", (event) => this.mouseUp(event));
    this.on(element, "contextmenu", (event) => event.preventDefault());
    this.on(element, "pointerdown", (event) => this.pointerDown(event));
    this.on(element, "pointermove", (event) => this.pointerMove(event));
    this.on(element, "pointerup", (event) => this.pointerUp(event));
    this.on(element, "pointercancel", (event) => this.pointerUp(event));
  }

  dispose(): void {
    for (const step of this.undo) step();
    if (document.pointerLockElement === this.element) document.exitPointerLock();
  }

  /** Asks for the mouse; a browser may refuse, then dragging looks around. */
  lock(): void {
    const asked = this.element.requestPointerLock?.() as Promise<void> | undefined;
    asked?.catch?.(() => undefined);
  }

  /** Looks along a direction, in the units of the simulation. */
  face(yaw: number): void {
    this.yaw = (yaw / TURN) * 2 * Math.PI;
    this.pitch = 0;
  }

  /** Holds or releases a button of the touch screen. */
  button(bit: number, down: boolean): void {
    if (down) this.pressed |= bit;
    this.held = down ? this.held | bit : this.held & ~bit;
  }

  /** The input of a tick. */
  sample(): ArenaInput {
    const stick = this.stick.value;
    const key = (...codes: string[]) => codes.some((code) => this.keys.has(code));
    let x = Number(key("KeyD", "ArrowRight")) - Number(key("KeyA", "ArrowLeft"));
    let y = Number(key("KeyW", "ArrowUp")) - Number(key("KeyS", "ArrowDown"));
    if (stick !== undefined) {
      x = clamp(stick.dx / STICK_PIXELS);
      y = clamp(-stick.dy / STICK_PIXELS);
    }
    let buttons = this.held | this.pressed;
    this.pressed = 0;
    if (key("Space")) buttons |= BUTTON_JUMP;
    if (key("ShiftLeft", "ShiftRight", "KeyE")) buttons |= BUTTON_SHOVE;
    if (key("KeyF")) buttons |= BUTTON_FIRE;
    const turned = Math.round((this.yaw / (2 * Math.PI)) * TURN);
    const pitch = Math.round((this.pitch / (2 * Math.PI)) * TURN);
    return { buttons, moveX: Math.round(x * 127), moveY: Math.round(y * 127), yaw: ((turned % TURN) + TURN) % TURN, pitch: Math.max(-PITCH_MAX, Math.min(PITCH_MAX, pitch)) };
  }

  /** Lets go of everything for a chat line. */
  write(): void {
    this.letGo();
    this.writing.set(true);
  }

  private on<K extends string>(target: EventTarget, name: K, handler: (event: K extends keyof GlobalEventHandlersEventMap ? GlobalEventHandlersEventMap[K] : Event) => void): void {
    target.addEventListener(name, handler as EventListener);
    this.undo.push(() => target.removeEventListener(name, handler as EventListener));
  }

  private keyDown(event: KeyboardEvent): void {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "KeyV" && !event.repeat) this.firstPerson.set(!this.firstPerson.value);
    if (event.code === "KeyH" && !event.repeat) this.help.set(!this.help.value);
    const onButton = event.target instanceof HTMLButtonElement;
    if (event.code === "Enter" && !onButton) {
      // The same key press must not send the box it opens.
      event.preventDefault();
      this.write();
    }
    this.keys.add(event.code);
    if (!event.repeat) {
      if (event.code === "Space") this.pressed |= BUTTON_JUMP;
      if (event.code.startsWith("Shift")) this.pressed |= BUTTON_SHOVE;
    }
    if ((event.code === "Space" || event.code.startsWith("Arrow")) && !onButton) event.preventDefault();
  }

  private letGo(): void {
    this.keys.clear();
    this.held = 0;
    this.stick.set(undefined);
  }

  private lockChanged(): void {
    const locked = document.pointerLockElement === this.element;
    if (!locked) this.letGo();
    this.locked.set(locked);
  }

  private turn(dx: number, dy: number, scale: number): void {
    this.yaw -= dx * scale;
    this.pitch = Math.max(-PITCH_RADIANS_MAX, Math.min(PITCH_RADIANS_MAX, this.pitch - dy * scale));
  }

  private mouseMoved(event: MouseEvent): void {
    if (this.locked.value) this.turn(event.movementX, event.movementY, MOUSE_RADIANS_PER_PIXEL);
  }

  private mouseDown(event: MouseEvent): void {
    if (!this.locked.value) return;
    this.button(event.button === 2 ? BUTTON_SHOVE : BUTTON_FIRE, true);
    event.preventDefault();
  }

  private mouseUp(event: MouseEvent): void {
    this.button(event.button === 2 ? BUTTON_SHOVE : BUTTON_FIRE, false);
  }

  private pointerDown(event: PointerEvent): void {
    if (event.pointerType === "mouse") {
      if (event.button === 0 && !this.locked.value) this.lock();
      return;
    }
    this.element.setPointerCapture(event.pointerId);
    const left = event.clientX < this.element.clientWidth * 0.45;
    if (left && this.stickId === undefined) {
      this.stickId = event.pointerId;
      this.stick.set({ x: event.clientX, y: event.clientY, dx: 0, dy: 0 });
    } else if (this.lookId === undefined) {
      this.lookId = event.pointerId;
      this.look = { x: event.clientX, y: event.clientY };
    }
  }

  private pointerMove(event: PointerEvent): void {
    const stick = this.stick.value;
    if (event.pointerId === this.stickId && stick !== undefined) {
      const [dx, dy] = [event.clientX - stick.x, event.clientY - stick.y];
      const scale = Math.min(1, STICK_PIXELS / Math.max(1, Math.hypot(dx, dy)));
      this.stick.set({ ...stick, dx: dx * scale, dy: dy * scale });
    } else if (event.pointerId === this.lookId && this.look !== undefined) {
      this.turn(event.clientX - this.look.x, event.clientY - this.look.y, TOUCH_RADIANS_PER_PIXEL);
      this.look = { x: event.clientX, y: event.clientY };
    }
  }

  private pointerUp(event: PointerEvent): void {
    if (event.pointerId === this.stickId) {
      this.stickId = undefined;
      this.stick.set(undefined);
    } else if (event.pointerId === this.lookId) {
      this.lookId = undefined;
      this.look = undefined;
    }
  }
}

function clamp(value: number): number {
  return Math.max(-1, Math.min(1, value));
}

/** True when keys go into a text field. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

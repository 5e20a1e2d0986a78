// The map of a world on the page: draws a picture for every frame of the screen; a click chooses what is inspected.

import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { useStore } from "../store.ts";
import type { Hands } from "./hands.ts";
import { WorldMap } from "./map.ts";
import type { Thing, World } from "./world.ts";

/** How often inspector and choice are brought up to date, ms. */
const INSPECT_MS = 100;
/** How often the picture is also written as text, ms. */
const DESCRIBE_MS = 250;
/** A press that moves less than this is a click, pixels. */
const CLICK_PIXELS = 8;

/** Whoever can show a world. */
export interface BenchSource {
  readonly world: World;
  readonly hands?: Hands | undefined;
  things(seconds: number): Thing[];
}

/** Draws `source`; children lie on top. */
export function Canvas({ source, view, matchId, children }: { source: BenchSource; view?: RefObject<HTMLDivElement | null>; matchId: string; children?: ReactNode }) {
  const own = useRef<HTMLDivElement>(null);
  const host = view ?? own;
  const schema = useStore(source.world.schema);
  useEffect(() => {
    const element = host.current;
    return element === null ? undefined : show(source, element);
  }, [source, host]);
  return (
    <section className="stage" aria-label="The world" data-match={matchId}>
      <div className="view" ref={host} tabIndex={-1} data-renderer="2d" />
      <div className="hud">
        {schema !== undefined && !source.world.hasPlaces ? <NoPlaces /> : null}
        {children}
      </div>
    </section>
  );
}

function NoPlaces() {
  return (
    <div className="bench-empty">
      <h2>Nothing here has a place</h2>
      <p>A component with <code>x</code> and <code>y</code>, or with an array of two or three numbers, is drawn here. The inspector shows everything else.</p>
    </div>
  );
}

/** Draws until the returned function is called. */
function show(source: BenchSource, element: HTMLElement): () => void {
  const map = new WorldMap(element);
  const { world } = source;
  const stop = new AbortController();
  let [frame, last, inspected, described] = [0, performance.now(), 0, 0];
  const draw = (now: number) => {
    frame = requestAnimationFrame(draw);
    const seconds = Math.min(0.25, (now - last) / 1_000);
    last = now;
    const things = source.things(seconds);
    map.draw(things, world.inspected.value?.id, seconds);
    const own = things.find((thing) => thing.own);
    if (source.hands !== undefined) source.hands.origin = own && { ...map.project(own), three: own.three };
    if (now - inspected > INSPECT_MS) {
      inspected = now;
      world.inspect();
    }
    if (now - described > DESCRIBE_MS) {
      described = now;
      element.dataset.players = describe(things);
    }
  };
  frame = requestAnimationFrame(draw);
  onClick(element, stop.signal, (x, y) => world.chosen.set(map.hit(x, y)));
  return () => {
    stop.abort();
    cancelAnimationFrame(frame);
    map.dispose();
  };
}

function onClick(element: HTMLElement, signal: AbortSignal, clicked: (x: number, y: number) => void): void {
  let down = { x: 0, y: 0 };
  element.addEventListener("pointerdown", ({ clientX, clientY }) => (down = { x: clientX, y: clientY }), { signal });
  element.addEventListener("pointerup", ({ clientX, clientY }) => {
    if (Math.hypot(clientX - down.x, clientY - down.y) >= CLICK_PIXELS) return;
    const { left, top } = element.getBoundingClientRect();
    clicked(clientX - left, clientY - top);
  }, { signal });
}

/** Who stands where: `name@x,y` for each seat. */
function describe(things: readonly Thing[]): string {
  return things.flatMap(({ seat, x, y }) => (seat === undefined ? [] : [`${seat.name}@${x.toFixed(1)},${y.toFixed(1)}`])).join(";");
}

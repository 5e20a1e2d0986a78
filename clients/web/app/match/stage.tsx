// The world on the page: starts a renderer and draws a frame for every picture of the screen.

import { type ReactNode, type RefObject, useEffect, useRef, useState } from "react";
import { useAfter } from "../parts/later.ts";
import type { Camera, Effect, Renderer, WorldFrame } from "../world/frame.ts";
import { createRenderer } from "../world/renderer.ts";

/** How often the picture is also written as text, ms. */
const DESCRIBE_MS = 250;

/** Whoever can show a world. */
export interface WorldSource {
  frame(seconds: number): { frame: WorldFrame; camera: Camera; effects: Effect[] };
}

/** The drawn element; tests and consoles see what is on it. */
export type View = HTMLDivElement & { shown?: WorldFrame };

/** Draws `source`; children lie on top. */
export function Stage({ source, view, matchId, label, children }: { source: WorldSource; view?: RefObject<HTMLDivElement | null>; matchId: string; label: string; children?: ReactNode }) {
  const own = useRef<HTMLDivElement>(null);
  const host = view ?? own;
  const arrow = useRef<HTMLDivElement>(null);
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let renderer: Renderer | undefined;
    let frame = 0;
    let gone = false;
    let last = performance.now();
    let described = 0;
    const draw = (now: number) => {
      frame = requestAnimationFrame(draw);
      const seconds = Math.min(0.25, (now - last) / 1_000);
      last = now;
      if (renderer === undefined) return;
      const shown = source.frame(seconds);
      for (const effect of shown.effects) renderer.effect(effect);
      renderer.draw(shown.frame, shown.camera, seconds);
      if (host.current !== null) (host.current as View).shown = shown.frame;
      if (now - described > DESCRIBE_MS && host.current !== null) {
        described = now;
        host.current.dataset.players = describe(shown.frame);
      }
      pointAtBall(arrow.current, renderer, shown.frame);
    };
    if (host.current !== null) {
      void createRenderer(host.current).then((created) => {
        if (gone) return created.dispose();
        renderer = created;
        host.current?.setAttribute("data-renderer", created.kind);
        setReady(true);
      });
    }
    frame = requestAnimationFrame(draw);
    return () => {
      gone = true;
      cancelAnimationFrame(frame);
      renderer?.dispose();
    };
  }, [source, host]);
  return (
    <section className="stage" aria-label={label} data-match={matchId}>
      <div className="view" ref={host} tabIndex={-1} />
      <div className="hud">
        <div className="ball-arrow" ref={arrow} hidden>
          <svg viewBox="0 0 44 44" width="44" height="44" aria-hidden="true">
            <circle cx="22" cy="22" r="9" fill="#fff" stroke="#e8344e" strokeWidth="3" />
            <path d="M36 22l-6-5v10z" fill="#fff" />
          </svg>
        </div>
        {children}
      </div>
      {ready ? null : <Loading />}
    </section>
  );
}

/** Who stands where, in metres: `name@x,z` for each player. */
function describe({ players }: WorldFrame): string {
  return players.map(({ name, at }) => `${name}@${at[0].toFixed(1)},${at[2].toFixed(1)}`).join(";");
}

function Loading() {
  const [slow, verySlow] = [useAfter(300), useAfter(3_000)];
  if (!slow) return null;
  return (
    <div className="overlay light" role="status">
      <p>{verySlow ? "Loading the arena: the 3D part is still on its way." : "Loading the arena…"}</p>
    </div>
  );
}

/** Shows where the ball is when it is out of the picture. */
function pointAtBall(arrow: HTMLDivElement | null, renderer: Renderer, frame: WorldFrame): void {
  if (arrow === null) return;
  const at = frame.ball && renderer.project(frame.ball.at);
  arrow.hidden = at === undefined || at.inside;
  if (at === undefined || at.inside) return;
  const parent = arrow.parentElement!;
  const [cx, cy] = [parent.clientWidth / 2, parent.clientHeight / 2];
  const turn = Math.atan2(at.y - cy, at.x - cx);
  const reach = Math.min((cx - 36) / Math.max(0.01, Math.abs(Math.cos(turn))), (cy - 90) / Math.max(0.01, Math.abs(Math.sin(turn))));
  arrow.style.transform = `translate(${cx + Math.cos(turn) * reach}px, ${cy + Math.sin(turn) * reach}px) rotate(${turn}rad)`;
}

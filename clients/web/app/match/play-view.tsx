// A seat on the page: the world, hands, and everything a player needs to see.

import { useEffect, useMemo, useRef, useState } from "react";
import { BUTTON_FIRE, BUTTON_JUMP, BUTTON_SHOVE } from "../../src/arena-move.ts";
import type { SeatGrant } from "../api.ts";
import { ExitIcon, HelpIcon, TeamMark } from "../parts/icons.tsx";
import { useLater } from "../parts/later.ts";
import type { Saved } from "../../src/session-types.ts";
import { useStore } from "../store.ts";
import { Controls } from "./controls.ts";
import { Banner, Feed, NetGlyph, Scoreboard } from "./hud.tsx";
import { PlaySession } from "./play-session.ts";
import { Result } from "./result.tsx";
import { useSeat } from "./seat.ts";
import { Stage } from "./stage.tsx";
import { Talk } from "./talk.tsx";
import { Trouble } from "./trouble.tsx";

const RESULT_AFTER_MS = 1_800;

/** Plays a seat until the person leaves. */
export function PlayView({ grant, resume, onAgain, onLeave }: { grant: SeatGrant; resume?: Saved | undefined; onAgain: () => void; onLeave: () => void }) {
  const session = useSeat(grant, () => new PlaySession(grant, resume));
  if (session === undefined) return <section className="stage" />;
  return <Playing session={session} onAgain={onAgain} onLeave={onLeave} />;
}

function Playing({ session, onAgain, onLeave }: { session: PlaySession; onAgain: () => void; onLeave: () => void }) {
  const view = useRef<HTMLDivElement>(null);
  const [controls, setControls] = useState<Controls>();
  const touch = useMemo(() => matchMedia("(pointer: coarse)").matches, []);
  const result = useLater(session.result, RESULT_AFTER_MS);
  useEffect(() => {
    if (view.current === null) return;
    const made = new Controls(view.current);
    session.controls = made;
    setControls(made);
    return () => {
      session.controls = undefined;
      made.dispose();
    };
  }, [session]);
  useEffect(() => {
    if (result !== undefined && document.pointerLockElement !== null) document.exitPointerLock();
  }, [result]);
  return (
    <Stage source={session} view={view} matchId={session.grant.match_id} label="The arena">
      <Hurt session={session} />
      <Scoreboard model={session.model} />
      <Feed model={session.model} />
      <Banner model={session.model} />
      {result === undefined && controls !== undefined ? <Aim session={session} /> : null}
      {controls !== undefined && touch ? <Touch controls={controls} /> : null}
      <Health session={session} />
      {controls === undefined || result !== undefined ? null : <Talk matchId={session.grant.match_id} controls={controls} />}
      <div className="corner left" hidden={result !== undefined}>
        <button type="button" className="chip" onClick={onLeave} title="Leave the match; a bot takes the seat"><ExitIcon /><span className="wide">Leave</span></button>
        {controls === undefined || touch ? null : <button type="button" className="chip" onClick={() => controls.help.set(!controls.help.value)} aria-label="Keys"><HelpIcon /><span className="wide">Keys</span> <span className="kbd wide">H</span></button>}
      </div>
      <div className="corner" hidden={result !== undefined}><NetGlyph net={session.net} /></div>
      {controls === undefined || touch || result !== undefined ? null : <Start session={session} controls={controls} />}
      {result === undefined ? <Trouble session={session} entered={session.own} onAgain={onAgain} onLeave={onLeave} /> : <Result result={result} seat={session.grant} onAgain={onAgain} onLeave={onLeave} />}
    </Stage>
  );
}

function Aim({ session }: { session: PlaySession }) {
  const own = useStore(session.own);
  const hit = useStore(session.hit);
  const [marked, setMarked] = useState(false);
  useEffect(() => {
    if (hit === 0) return;
    setMarked(true);
    const timer = setTimeout(() => setMarked(false), 140);
    return () => clearTimeout(timer);
  }, [hit]);
  if (own?.alive === false) {
    return (
      <div className="respawn" role="status">
        <span>You are out. Back in</span>
        <strong>{own.respawn}</strong>
      </div>
    );
  }
  return (
    <svg className={marked ? "crosshair hit" : "crosshair"} viewBox="0 0 28 28" aria-hidden="true" style={{ opacity: own?.pulseReady === false ? 0.45 : 1 }}>
      <path d="M14 3v6M14 19v6M3 14h6M19 14h6" />
      {marked ? <path d="M6 6l5 5M22 6l-5 5M6 22l5-5M22 22l-5-5" /> : <path d="M14 13.5v1" />}
    </svg>
  );
}

function Health({ session }: { session: PlaySession }) {
  const own = useStore(session.own);
  if (own === undefined) return null;
  return (
    <div className="health" role="group" aria-label={`Health ${own.health} of 100`}>
      <div className="row"><TeamMark team={own.team} /><strong data-health>{own.health}</strong></div>
      <div className="bar"><i className={own.health <= 35 ? "low" : ""} style={{ width: `${own.health}%` }} /></div>
    </div>
  );
}

function Hurt({ session }: { session: PlaySession }) {
  const own = useStore(session.own);
  const before = useRef(100);
  const [on, setOn] = useState(false);
  const health = own?.health ?? 100;
  useEffect(() => {
    const lost = health < before.current;
    before.current = health;
    if (!lost) return;
    setOn(true);
    const timer = setTimeout(() => setOn(false), 90);
    return () => clearTimeout(timer);
  }, [health]);
  return <div className={on ? "hurt on" : "hurt"} />;
}

/** The first thing a player sees: a click takes the mouse. */
function Start({ session, controls }: { session: PlaySession; controls: Controls }) {
  const [locked, help, own, over] = [useStore(controls.locked), useStore(controls.help), useStore(session.own), useStore(session.over)];
  const [started, setStarted] = useState(false);
  useEffect(() => {
    if (locked) setStarted(true);
  }, [locked]);
  if (own === undefined || over !== undefined) return null;
  if (help || (!started && !locked)) {
    return (
      <div className="overlay light" onClick={() => { setStarted(true); controls.help.set(false); controls.lock(); }}>
        <div className="panel">
          <h2>Bring the ball into the other goal</h2>
          <KeyHelp />
          <button type="button" className="button primary" autoFocus>Take the mouse and play</button>
        </div>
      </div>
    );
  }
  return locked ? null : <div className="respawn" style={{ top: "auto", bottom: 96 }}>Click to look around again</div>;
}

const KEYS: [string[], string][] = [
  [["W", "A", "S", "D"], "run"],
  [["Mouse"], "look around"],
  [["Space"], "jump"],
  [["Click"], "pulse: hurts players, pushes the ball"],
  [["Shift"], "shove: a strong kick from close by"],
  [["V"], "first person"],
  [["N"], "the network in numbers"],
  [["Enter"], "chat"],
];

function KeyHelp() {
  return (
    <dl className="help">
      {KEYS.map(([keys, what]) => [
        <dt key={what} className="row tight">{keys.map((key) => <kbd key={key} className="kbd">{key}</kbd>)}</dt>,
        <dd key={`${what}-does`}>{what}</dd>,
      ])}
    </dl>
  );
}

function Touch({ controls }: { controls: Controls }) {
  const stick = useStore(controls.stick);
  const hold = (bit: number) => ({
    onPointerDown: () => controls.button(bit, true),
    onPointerUp: () => controls.button(bit, false),
    onPointerCancel: () => controls.button(bit, false),
    onContextMenu: (event: React.MouseEvent) => event.preventDefault(),
  });
  return (
    <div className="touch">
      {stick === undefined ? (
        <div className="stick" style={{ left: 88, bottom: 32, opacity: 0.5 }} aria-hidden="true"><i /></div>
      ) : (
        <div className="stick" style={{ left: stick.x, top: stick.y }} aria-hidden="true"><i style={{ transform: `translate(${stick.dx}px, ${stick.dy}px)` }} /></div>
      )}
      <div className="touch-buttons">
        <button type="button" {...hold(BUTTON_SHOVE)}>Shove</button>
        <button type="button" className="fire" {...hold(BUTTON_FIRE)}>Pulse</button>
        <button type="button" {...hold(BUTTON_JUMP)}>Jump</button>
      </div>
    </div>
  );
}

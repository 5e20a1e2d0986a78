// A seat of any game on the page: the map, hands found in the schema, and what the game says.

import { useEffect, useMemo, useRef, useState } from "react";
import type { Saved } from "../../src/session-types.ts";
import type { SeatGrant } from "../api.ts";
import { NetGlyph } from "../match/hud.tsx";
import { Result } from "../match/result.tsx";
import { useSeat } from "../match/seat.ts";
import { Talk } from "../match/talk.tsx";
import { Trouble } from "../match/trouble.tsx";
import { ExitIcon } from "../parts/icons.tsx";
import { useLater } from "../parts/later.ts";
import { useStore } from "../store.ts";
import { Canvas } from "./canvas.tsx";
import { Hands } from "./hands.ts";
import { InputPart, InspectorPart, LogPart, RequestsPart } from "./panels.tsx";
import { planOf } from "./plan.ts";
import { BenchSession } from "./play-session.ts";
import { Score } from "./score.tsx";

const RESULT_AFTER_MS = 800;

/** Plays a seat until the person leaves. */
export function BenchPlay({ grant, resume, onAgain, onLeave }: { grant: SeatGrant; resume?: Saved | undefined; onAgain: () => void; onLeave: () => void }) {
  const session = useSeat(grant, () => new BenchSession(grant, resume));
  if (session === undefined) return <section className="stage" />;
  return <Playing session={session} onAgain={onAgain} onLeave={onLeave} />;
}

function Playing({ session, onAgain, onLeave }: { session: BenchSession; onAgain: () => void; onLeave: () => void }) {
  const view = useRef<HTMLDivElement>(null);
  const hands = useHands(session, view);
  const schema = useStore(session.world.schema);
  const touch = useMemo(() => matchMedia("(pointer: coarse)").matches, []);
  const result = useLater(session.result, RESULT_AFTER_MS);
  const matchId = session.grant.match_id;
  return (
    <div className="bench">
      <Canvas source={session} view={view} matchId={matchId}>
        <Score world={session.world} />
        {hands !== undefined && touch ? <Touch hands={hands} /> : null}
        {hands === undefined || result !== undefined ? null : <Talk matchId={matchId} controls={hands} />}
        <div className="corner left" hidden={result !== undefined}>
          <button type="button" className="chip" onClick={onLeave} title="Leave the match; a bot takes the seat"><ExitIcon /><span className="wide">Leave</span></button>
        </div>
        <div className="corner" hidden={result !== undefined}><NetGlyph net={session.net} /></div>
        {result === undefined ? <Trouble session={session} entered={session.entered} onAgain={onAgain} onLeave={onLeave} /> : <Result result={result} seat={session.grant} onAgain={onAgain} onLeave={onLeave} />}
      </Canvas>
      <aside className="bench-side" aria-label="Workbench">
        {schema === undefined || hands === undefined ? null : <InputPart schema={schema} hands={hands} />}
        {schema === undefined || hands === undefined ? null : <RequestsPart schema={schema} session={session} hands={hands} />}
        <InspectorPart world={session.world} />
        <LogPart world={session.world} />
      </aside>
    </div>
  );
}

/** Hands for the input that the schema describes, once it is known. */
function useHands(session: BenchSession, view: React.RefObject<HTMLDivElement | null>): Hands | undefined {
  const schema = useStore(session.world.schema);
  const [hands, setHands] = useState<Hands>();
  useEffect(() => {
    if (schema === undefined || view.current === null) return;
    const made = new Hands(view.current, schema.input && planOf(schema.input));
    session.hands = made;
    setHands(made);
    return () => {
      session.hands = undefined;
      made.dispose();
    };
  }, [session, schema, view]);
  return hands;
}

function Touch({ hands }: { hands: Hands }) {
  const stick = useStore(hands.stick);
  const { plan } = hands;
  if (plan === undefined) return null;
  const hold = (field: number) => ({
    onPointerDown: () => hands.button(field, true),
    onPointerUp: () => hands.button(field, false),
    onPointerCancel: () => hands.button(field, false),
    onContextMenu: (event: React.MouseEvent) => event.preventDefault(),
  });
  return (
    <div className="touch">
      {plan.stick === undefined ? null : stick === undefined ? (
        <div className="stick" style={{ left: 88, bottom: 24, opacity: 0.5 }} aria-hidden="true"><i /></div>
      ) : (
        <div className="stick" style={{ left: stick.x, top: stick.y }} aria-hidden="true"><i style={{ transform: `translate(${stick.dx}px, ${stick.dy}px)` }} /></div>
      )}
      <div className="touch-buttons">
        {plan.buttons.map(({ field, name }) => <button key={field} type="button" {...hold(field)}>{name}</button>)}
      </div>
    </div>
  );
}

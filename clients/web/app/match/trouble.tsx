// What stands between a person and their match: the way in, a lost connection, the end of the session.

import { useEffect, useState } from "react";
import { CODE } from "../../src/codes.ts";
import type { MatchResult } from "../../src/gen/room_pb.ts";
import type { LinkState } from "../../src/link.ts";
import { AmphiError } from "../../src/error.ts";
import { ErrorNotice } from "../parts/notice.tsx";
import { type Store, useStore } from "../store.ts";

/** How long a host keeps a seat. */
const RESUME_S = 60;

/** A seat's session, as far as it can be in trouble. */
export interface Seated {
  readonly link: Store<LinkState>;
  readonly over: Store<{ code: number; message: string } | undefined>;
  readonly result: Store<MatchResult | undefined>;
}

/** The way into the match until `entered` holds something, a lost connection, and the end of the session. */
export function Trouble({ session, entered, onAgain, onLeave }: { session: Seated; entered: Store<unknown>; onAgain: () => void; onLeave: () => void }) {
  const [link, over, result, inside] = [useStore(session.link), useStore(session.over), useStore(session.result), Boolean(useStore(entered))];
  const left = useCountdown(link === "lost", RESUME_S);
  if (result !== undefined) return null;
  if (over !== undefined) {
    const ended = over.code === CODE.MatchEnded || over.code === CODE.Bye;
    return (
      <div className="overlay">
        <div className="panel" style={{ textAlign: "left" }}>
          {ended ? <div className="stack"><h2>The match is over</h2><p className="muted">It ended while this page was not connected.</p></div> : <ErrorNotice title="Your seat is gone" error={new AmphiError(over.code, over.message)} />}
          <div className="row">
            <button type="button" className="button primary" onClick={onAgain}>Play again</button>
            <button type="button" className="button" onClick={onLeave}>Back</button>
          </div>
        </div>
      </div>
    );
  }
  if (link === "lost") {
    return (
      <div className="overlay" role="alert">
        <div className="panel">
          <div className="pulse-ring"><span className="num">{left}</span></div>
          <h2>Connection lost</h2>
          <p className="muted">Connecting again. Your seat is kept for {left} more seconds; nothing of the match is lost.</p>
          <button type="button" className="button" onClick={onLeave}>Leave the match</button>
        </div>
      </div>
    );
  }
  return inside ? null : <Joining />;
}

function Joining() {
  const seconds = useCountdown(true, 0);
  return (
    <div className="overlay light" role="status">
      <p>{seconds < -3 ? "Waiting for the match host to answer." : "Entering the match…"}</p>
    </div>
  );
}

/** Seconds from `from` downwards while `on`. */
function useCountdown(on: boolean, from: number): number {
  const [left, setLeft] = useState(from);
  useEffect(() => {
    setLeft(from);
    if (!on) return;
    const timer = setInterval(() => setLeft((value) => value - 1), 1_000);
    return () => clearInterval(timer);
  }, [on, from]);
  return from > 0 ? Math.max(0, left) : left;
}

// What stands around a match that is watched: the way back, a seat, and what there is to say when there is no picture.

import { type ReactNode, useEffect, useRef, useState } from "react";
import type { TopicsClient } from "../../src/topics.ts";
import { callAs } from "../account.ts";
import type { SeatGrant } from "../api.ts";
import { follow } from "../app.tsx";
import { games } from "../game.ts";
import { ownRating, ratingsBefore, Share } from "../match/result.tsx";
import { BackIcon, SeatIcon, WatchIcon } from "../parts/icons.tsx";
import { useAfter } from "../parts/later.ts";
import { ErrorNotice } from "../parts/notice.tsx";
import { withTransport } from "../route.ts";
import { useStore } from "../store.ts";
import type { Viewed, ViewReader } from "./view-reader.ts";

/** A view that is read as long as somebody looks at it. */
export function useView<V extends { stop(): void }>(topics: TopicsClient | undefined, make: (home: TopicsClient) => V): V | undefined {
  const [view, setView] = useState<V>();
  const maker = useRef(make);
  maker.current = make;
  useEffect(() => {
    if (topics === undefined) return;
    const made = maker.current(topics);
    setView(made);
    return () => made.stop();
  }, [topics]);
  return view;
}

/** Lies on top of a view's picture; children stand beside the way back. */
export function Around({ view, matchId, onSeat, children }: { view: ViewReader<Viewed>; matchId: string; onSeat: (grant: SeatGrant) => void; children?: ReactNode }) {
  const [state, result, failure] = [useStore(view.state), useStore(view.result), useStore(view.failure)];
  const slow = useAfter(3_000);
  return (
    <>
      <div className="corner left">
        <a className="chip" href={withTransport("/watch")} onClick={follow("/watch")}><BackIcon /><span className="wide">All matches</span></a>
        {children}
      </div>
      <div className="corner"><Share matchId={matchId} chip /></div>
      {state === "live" ? <div className="seat"><TakeSeat matchId={matchId} onSeat={onSeat} /></div> : null}
      {state === "loading" && slow ? <div className="overlay light" role="status"><p>Waiting for the first picture of this match.</p></div> : null}
      {state === "missing" ? (
        <Ended title="This match is not on air"><p className="muted">It has ended, or never was. {failure?.label}</p></Ended>
      ) : null}
      {result === undefined ? null : <Ended title="Full time"><Scores scores={result.teamScores} /></Ended>}
    </>
  );
}

function Scores({ scores }: { scores: readonly number[] }) {
  if (scores.length !== 2) return <p style={{ fontSize: 28 }} className="num">{scores.join(" · ")}</p>;
  return <p style={{ fontSize: 40 }} className="num"><span className="team a">{scores[0]}</span> : <span className="team b">{scores[1]}</span></p>;
}

function Ended({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="overlay light">
      <div className="panel">
        <h2>{title}</h2>
        {children}
        <div className="row">
          <a className="button primary" href={withTransport("/")} onClick={follow("/")}>Play</a>
          <a className="button" href={withTransport("/watch")} onClick={follow("/watch")}><WatchIcon />Other matches</a>
        </div>
      </div>
    </div>
  );
}

function TakeSeat({ matchId, onSeat }: { matchId: string; onSeat: (grant: SeatGrant) => void }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const take = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const [grant, { modes }] = await Promise.all([callAs<SeatGrant>("POST", `/api/v1/matches/${matchId}/seat`, { body: {} }), games()]);
      for (const { name } of modes) void ownRating(name).then((rating) => ratingsBefore.set(name, rating), () => undefined);
      onSeat(grant);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <div className="stack takes-clicks" style={{ justifyItems: "center" }}>
      {error === undefined ? null : <ErrorNotice title="No seat for now" error={error} />}
      <button type="button" className="button primary" disabled={busy} onClick={() => void take()}><SeatIcon />{busy ? "One moment…" : "Take a seat"}</button>
    </div>
  );
}

// /m/{match}: a match with its chat; a bot's seat is one click away.

import { useEffect, useState } from "react";
import type { TopicsClient } from "../../src/topics.ts";
import { callAs } from "../account.ts";
import { Failure, type SeatGrant } from "../api.ts";
import { follow } from "../app.tsx";
import { home } from "../home.ts";
import { Banner, Feed, Scoreboard } from "../match/hud.tsx";
import { PlayView } from "../match/play-view.tsx";
import { ownRating, ratingsBefore, Share } from "../match/result.tsx";
import { Stage } from "../match/stage.tsx";
import { BackIcon, CameraIcon, SeatIcon, WatchIcon } from "../parts/icons.tsx";
import { useAfter } from "../parts/later.ts";
import { ErrorNotice } from "../parts/notice.tsx";
import { go, withTransport } from "../route.ts";
import { useStore } from "../store.ts";
import { preloadRenderer } from "../world/renderer.ts";
import { Chat } from "./chat.tsx";
import { ViewSession } from "./view-session.ts";

/** Watches one match, or plays it after "Take a seat". */
export function SpectatePage({ matchId, onFull }: { matchId: string; onFull: (full: boolean) => void }) {
  const [topics, setTopics] = useState<TopicsClient>();
  const [view, setView] = useState<ViewSession>();
  const [viewers, setViewers] = useState<number>();
  const [error, setError] = useState<unknown>();
  const [grant, setGrant] = useState<SeatGrant>();
  useEffect(() => onFull(grant !== undefined), [grant, onFull]);
  useEffect(() => {
    preloadRenderer();
    let gone = false;
    const undo: (() => void)[] = [];
    home().then((client) => {
      if (gone) return;
      const session = new ViewSession(client, matchId);
      undo.push(() => session.stop());
      undo.push(client.subscribe(`match:${matchId}:stats`, {
        publication: ({ payload }) => payload.case === "json" && setViewers((JSON.parse(payload.value) as { viewers: number }).viewers),
      }));
      setTopics(client);
      setView(session);
    }, setError);
    return () => {
      gone = true;
      for (const step of undo) step();
    };
  }, [matchId]);
  if (error !== undefined) return <div className="page"><ErrorNotice title="The match cannot be shown" error={error} /></div>;
  if (grant !== undefined) return <PlayView grant={grant} onAgain={() => go("/")} onLeave={() => setGrant(undefined)} />;
  return (
    <div className="spectate">
      {view === undefined ? <section className="stage" /> : <Spectating view={view} matchId={matchId} onSeat={setGrant} />}
      <Chat home={topics} matchId={matchId} viewers={viewers} />
    </div>
  );
}

function Spectating({ view, matchId, onSeat }: { view: ViewSession; matchId: string; onSeat: (grant: SeatGrant) => void }) {
  const [state, result, failure] = [useStore(view.state), useStore(view.result), useStore(view.failure)];
  const slow = useAfter(3_000);
  return (
    <Stage source={view} matchId={matchId} label="The match">
      <Scoreboard model={view.model} />
      <Feed model={view.model} />
      {result === undefined ? <Banner model={view.model} /> : null}
      <div className="corner left">
        <a className="chip" href={withTransport("/watch")} onClick={follow("/watch")}><BackIcon /><span className="wide">All matches</span></a>
        <CameraChoice view={view} />
      </div>
      <div className="corner"><Share matchId={matchId} chip /></div>
      {state === "live" ? <div className="seat"><TakeSeat matchId={matchId} onSeat={onSeat} /></div> : null}
      {state === "loading" && slow ? <div className="overlay light" role="status"><p>Waiting for the first picture of this match.</p></div> : null}
      {state === "missing" ? (
        <Ended title="This match is not on air"><p className="muted">It has ended, or never was. {failure === undefined ? null : new Failure(failure.code, failure.message).label}</p></Ended>
      ) : null}
      {result === undefined ? null : (
        <Ended title="Full time"><p style={{ fontSize: 40 }} className="num"><span className="team a">{result.teamScores[0]}</span> : <span className="team b">{result.teamScores[1]}</span></p></Ended>
      )}
    </Stage>
  );
}

function Ended({ title, children }: { title: string; children: React.ReactNode }) {
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

function CameraChoice({ view }: { view: ViewSession }) {
  const [choice, roster] = [useStore(view.camera), useStore(view.model.roster)];
  return (
    <label className="chip takes-clicks">
      <CameraIcon />
      <span className="hidden-visually">Camera</span>
      <select value={String(choice)} style={{ background: "none", color: "inherit", border: 0, font: "inherit", maxWidth: 140 }} onChange={(event) => view.camera.set(event.target.value === "ball" ? "ball" : Number(event.target.value))}>
        <option value="ball">Ball</option>
        {roster.map(({ seat, name, team }) => <option key={seat} value={seat}>{team === 1 ? "● B" : "▲ A"} {name}</option>)}
      </select>
    </label>
  );
}

function TakeSeat({ matchId, onSeat }: { matchId: string; onSeat: (grant: SeatGrant) => void }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const take = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const grant = await callAs<SeatGrant>("POST", `/api/v1/matches/${matchId}/seat`, { body: {} });
      for (const mode of ["1v1", "2v2", "4v4", "8v8", "blitz"]) void ownRating(mode).then((rating) => ratingsBefore.set(mode, rating), () => undefined);
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

// /m/{match}: a match with its chat; a bot's seat is one click away.

import { lazy, Suspense, useEffect, useState } from "react";
import type { TopicsClient } from "../../src/topics.ts";
import type { SeatGrant } from "../api.ts";
import { isArena, useGames } from "../game.ts";
import { home } from "../home.ts";
import { Banner, Feed, Scoreboard } from "../match/hud.tsx";
import { SeatView } from "../match/seat-view.tsx";
import { Stage } from "../match/stage.tsx";
import { CameraIcon } from "../parts/icons.tsx";
import { ErrorNotice } from "../parts/notice.tsx";
import { go } from "../route.ts";
import { useStore } from "../store.ts";
import { preloadRenderer } from "../world/renderer.ts";
import { Around, useView } from "./around.tsx";
import { Chat } from "./chat.tsx";
import { ViewSession } from "./view-session.ts";

const BenchSpectating = lazy(() => import("../workbench/watch.tsx").then(({ BenchSpectating }) => ({ default: BenchSpectating })));

/** Watches one match, or plays it after "Take a seat". */
export function SpectatePage({ matchId, onFull }: { matchId: string; onFull: (full: boolean) => void }) {
  const [topics, setTopics] = useState<TopicsClient>();
  const [viewers, setViewers] = useState<number>();
  const [error, setError] = useState<unknown>();
  const [grant, setGrant] = useState<SeatGrant>();
  const { value: known } = useGames();
  useEffect(() => onFull(grant !== undefined), [grant, onFull]);
  useEffect(() => {
    let gone = false;
    const undo: (() => void)[] = [];
    home().then((client) => {
      if (gone) return;
      undo.push(client.subscribe(`match:${matchId}:stats`, {
        onPublication: ({ data }) => setViewers((data as { viewers: number }).viewers),
      }));
      setTopics(client);
    }, setError);
    return () => {
      gone = true;
      for (const step of undo) step();
    };
  }, [matchId]);
  if (error !== undefined) return <div className="page"><ErrorNotice title="The match cannot be shown" error={error} /></div>;
  if (grant !== undefined) return <SeatView grant={grant} onAgain={() => go("/")} onLeave={() => setGrant(undefined)} />;
  const parts = { topics, matchId, onSeat: setGrant };
  const arena = known !== undefined && isArena(known);
  return (
    <div className={known === undefined || arena ? "spectate" : "spectate bench"}>
      {known === undefined ? <section className="stage" /> : arena ? <Spectating {...parts} /> : <Suspense fallback={<section className="stage" />}><BenchSpectating {...parts} /></Suspense>}
      <Chat home={topics} matchId={matchId} viewers={viewers} />
    </div>
  );
}

interface Parts {
  topics: TopicsClient | undefined;
  matchId: string;
  onSeat: (grant: SeatGrant) => void;
}

function Spectating({ topics, matchId, onSeat }: Parts) {
  const view = useView(topics, (home) => new ViewSession(home, matchId));
  useEffect(preloadRenderer, []);
  if (view === undefined) return <section className="stage" />;
  return (
    <Stage source={view} matchId={matchId} label="The match">
      <Scoreboard model={view.model} />
      <Feed model={view.model} />
      <BannerUntil view={view} />
      <Around view={view} matchId={matchId} onSeat={onSeat}><CameraChoice view={view} /></Around>
    </Stage>
  );
}

function BannerUntil({ view }: { view: ViewSession }) {
  return useStore(view.result) === undefined ? <Banner model={view.model} /> : null;
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

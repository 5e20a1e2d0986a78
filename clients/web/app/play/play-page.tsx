// Play: one button, the queue, the match.

import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { account, signedIn, suggestedName } from "../account.ts";
import type { Games, Mode, SeatGrant } from "../api.ts";
import { follow } from "../app.tsx";
import { isArena, titleOf, useGames } from "../game.ts";
import { SeatView } from "../match/seat-view.tsx";
import { storedMatch } from "../match/stored.ts";
import { ownRating, ratingsBefore } from "../match/result.tsx";
import { PlayIcon } from "../parts/icons.tsx";
import { useAfter } from "../parts/later.ts";
import { clockText, ErrorNotice } from "../parts/notice.tsx";
import { withTransport } from "../route.ts";
import type { Saved } from "../../src/session-types.ts";
import { useStore } from "../store.ts";
import { preloadRenderer } from "../world/renderer.ts";
import { HeroArt } from "./hero-art.tsx";
import { Queue } from "./queue.ts";

const MODE_KEY = "amphi.mode";
const MODE_DEFAULT = "2v2";

type Where = { kind: "lobby" } | { kind: "queue"; queue: Queue } | { kind: "match"; grant: SeatGrant; resume?: Saved | undefined };

function begin(): Where {
  const stored = storedMatch();
  if (stored?.saved === undefined) return { kind: "lobby" };
  return { kind: "match", grant: stored.grant, resume: { ...stored.saved, secret: Uint8Array.from(stored.saved.secret) } };
}

/** The first page. */
export function PlayPage({ onFull }: { onFull: (full: boolean) => void }) {
  const [where, setWhere] = useState<Where>(begin);
  const [mode, setMode] = useState(() => localStorage.getItem(MODE_KEY) ?? MODE_DEFAULT);
  const { value: known, error } = useGames();
  useEffect(() => onFull(where.kind === "match"), [where.kind, onFull]);
  const enter = (chosen: string) => {
    if (known !== undefined && isArena(known)) preloadRenderer();
    localStorage.setItem(MODE_KEY, chosen);
    setMode(chosen);
    void ownRating(chosen).then((rating) => ratingsBefore.set(chosen, rating), () => undefined);
    setWhere({ kind: "queue", queue: new Queue(chosen) });
  };
  const lobby = () => setWhere({ kind: "lobby" });
  if (where.kind === "match") return <SeatView grant={where.grant} resume={where.resume} onAgain={() => enter(mode)} onLeave={lobby} />;
  if (where.kind === "queue") return <Waiting known={known} queue={where.queue} onMatch={(grant) => setWhere({ kind: "match", grant })} onCancel={lobby} onAgain={() => enter(mode)} />;
  return <Lobby known={known} unknown={error} mode={mode} onEnter={enter} />;
}

function Lobby({ known, unknown, mode, onEnter }: { known: Games | undefined; unknown: unknown; mode: string; onEnter: (mode: string) => void }) {
  const who = useStore(account)?.user;
  const [name, setName] = useState(() => (who?.role === "guest" ? who.name : suggestedName()));
  const [wanted, setWanted] = useState(mode);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const modes = known?.modes;
  const chosen = modes === undefined || modes.some(({ name }) => name === wanted) ? wanted : (modes[0]?.name ?? wanted);
  const failure = error ?? unknown;
  const play = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await signedIn(name);
      onEnter(chosen);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <div className="lobby">
      <Hero known={known}>
        <form className="ticket" onSubmit={(event) => void play(event)}>
          <Welcome known={known} />
          {who !== undefined && who.role !== "guest" ? <p className="lead">You play as <strong>{who.name}</strong>.</p> : (
            <label className="field">
              <span>Your name</span>
              <input className="input" name="name" value={name} maxLength={24} required autoComplete="nickname" onChange={(event) => setName(event.target.value)} />
            </label>
          )}
          <ModeChoice modes={modes} chosen={chosen} onChoose={setWanted} />
          <button type="submit" className="button primary big play-button" disabled={busy}><PlayIcon />{busy ? "One moment…" : "Play"}</button>
          {failure === undefined ? null : <ErrorNotice title="The match could not be entered" error={failure} />}
          <p className="lead" style={{ marginTop: 0, fontSize: 14 }}>or <a className="link" href={withTransport("/watch")} onClick={follow("/watch")}>watch a match</a> first</p>
        </form>
      </Hero>
      {known !== undefined && isArena(known) ? <Keys /> : null}
    </div>
  );
}

/** What lies behind lobby and queue: the arena, or a plain board for a game that the page does not know. */
function Hero({ known, children }: { known: Games | undefined; children: ReactNode }) {
  const arena = known !== undefined && isArena(known);
  return (
    <section className={known === undefined || arena ? "hero" : "hero board"}>
      {arena ? <HeroArt /> : null}
      {children}
    </section>
  );
}

function Welcome({ known }: { known: Games | undefined }) {
  if (known === undefined) return <h1>&nbsp;</h1>;
  if (!isArena(known)) return <><h1>{titleOf(known)}</h1><p className="lead">You are in within seconds; bots fill the other seats.</p></>;
  return <><h1>Into the arena</h1><p className="lead">Two teams, one ball. You are in within seconds.</p></>;
}

function Keys() {
  return (
    <ul className="keys" aria-label="Keys">
      <li><kbd className="kbd">W A S D</kbd> run</li>
      <li><kbd className="kbd">Mouse</kbd> look</li>
      <li><kbd className="kbd">Space</kbd> jump</li>
      <li><kbd className="kbd">Click</kbd> pulse</li>
      <li><kbd className="kbd">Shift</kbd> shove</li>
    </ul>
  );
}

function ModeChoice({ modes, chosen, onChoose }: { modes: Mode[] | undefined; chosen: string; onChoose: (mode: string) => void }) {
  const slow = useAfter(300);
  if (modes === undefined) return <div className={slow ? "skeleton" : ""} style={{ height: 62 }} />;
  return (
    <fieldset className="modes" style={{ margin: 0 }}>
      <legend className="hidden-visually">Mode</legend>
      {modes.map(({ name, duration_s }) => (
        <label key={name}>
          <input type="radio" name="mode" value={name} checked={name === chosen} onChange={() => onChoose(name)} />
          {name}
          <small>{duration_s % 60 === 0 ? `${duration_s / 60} min` : `${duration_s} s`}</small>
        </label>
      ))}
    </fieldset>
  );
}

function Waiting({ known, queue, onMatch, onCancel, onAgain }: { known: Games | undefined; queue: Queue; onMatch: (grant: SeatGrant) => void; onCancel: () => void; onAgain: () => void }) {
  const state = useStore(queue.state);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    if (state.kind === "matched") onMatch(state.grant);
  });
  const leave = () => {
    queue.cancel();
    onCancel();
  };
  if (state.kind === "failed") {
    return (
      <div className="page">
        <ErrorNotice title="The queue let this ticket go" error={state.error}>
          <button type="button" className="button primary" onClick={onAgain}>Try again</button>
          <button type="button" className="button" onClick={onCancel}>Back</button>
        </ErrorNotice>
      </div>
    );
  }
  const ticket = state.kind === "waiting" ? state.ticket : undefined;
  const waited = state.kind === "waiting" ? Math.max(0, Math.floor((now - state.since) / 1_000)) : 0;
  return (
    <div className="lobby">
      <Hero known={known}>
        <div className="ticket queue" role="status">
          <div className="pulse-ring"><span className="num">{clockText(waited)}</span></div>
          <h1>{ticket?.state === "claimed" ? "Match found" : "Finding a match"}</h1>
          <p className="lead"><span className="badge">{queue.mode}</span>{ticket?.estimate_ms === undefined ? null : <> about {Math.max(1, Math.ceil(ticket.estimate_ms / 1_000))} s</>}</p>
          <div className="why">{(ticket?.explain ?? ["Joining the queue."]).map((line) => <p key={line}>{line}</p>)}</div>
          <button type="button" className="button" onClick={leave}>Leave the queue</button>
        </div>
      </Hero>
    </div>
  );
}

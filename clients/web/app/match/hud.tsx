// Score, clock, feed and banners above the world; the same for players and spectators.

import { useEffect, useState } from "react";
import type { NetStats } from "../../src/client.ts";
import type { Share } from "../../src/ledger.ts";
import { clockText } from "../parts/notice.tsx";
import { SignalIcon, TeamMark } from "../parts/icons.tsx";
import { type Store, useStore } from "../store.ts";
import type { MatchHud, MatchModel } from "./model.ts";

/** Score and clock on top. */
export function Scoreboard({ model }: { model: MatchModel }) {
  const { score, clock, phase } = useStore(model.hud);
  return (
    <div className="scoreboard" role="group" aria-label={`Team A ${score[0]}, team B ${score[1]}`}>
      <div className="team-score a"><TeamMark team={0} label={false} /><span data-score="a">{score[0]}</span></div>
      <div className={`clock ${clock <= 10 && phase !== "over" ? "ending" : ""}`} data-clock>{phase === "over" ? <small>Full time</small> : clockText(clock)}</div>
      <div className="team-score b"><TeamMark team={1} label={false} /><span data-score="b">{score[1]}</span></div>
    </div>
  );
}

/** Kills and goals, newest last. */
export function Feed({ model }: { model: MatchModel }) {
  const lines = useStore(model.feed);
  return (
    <ol className="feed" aria-live="polite">
      {lines.map((line) => (
        <li key={line.id}>
          {line.kind === "goal" ? (
            <><strong className={`team ${line.team === 1 ? "b" : "a"}`}>{line.who === "" ? `Team ${line.team === 1 ? "B" : "A"}` : line.who}</strong> scored</>
          ) : (
            <><strong className={`team ${line.team === 1 ? "b" : "a"}`}>{line.who}</strong> <span className="muted">took out</span> <strong className={`team ${line.whomTeam === 1 ? "b" : "a"}`}>{line.whom}</strong></>
          )}
        </li>
      ))}
    </ol>
  );
}

/** Kick-off, goal and full time in large letters. */
export function Banner({ model }: { model: MatchModel }) {
  const hud = useStore(model.hud);
  const text = bannerText(hud);
  if (text === undefined) return null;
  return (
    <div className="banner" role="status" key={text.big}>
      <strong style={{ color: text.colour }}>{text.big}</strong>
      <span>{text.small}</span>
    </div>
  );
}

function bannerText({ phase, phaseLeft, lastGoal, score }: MatchHud): { big: string; small: string; colour: string } | undefined {
  if (phase === "kick-off") return { big: phaseLeft > 0 ? "Get ready" : "Go!", small: "", colour: "#fff" };
  if (phase === "goal" && lastGoal !== undefined) {
    const team = lastGoal.team === 1 ? "B" : "A";
    return { big: "GOAL", small: lastGoal.who === "" ? `for team ${team}` : `${lastGoal.who} for team ${team}`, colour: `var(--team-${team.toLowerCase()})` };
  }
  if (phase === "over") return { big: "Full time", small: `${score[0]} : ${score[1]}`, colour: "#fff" };
  return undefined;
}

const HISTORY = 48;

function level({ rttMs, lossPercent }: NetStats): 0 | 1 | 2 | 3 {
  if (rttMs > 250 || lossPercent > 10) return 1;
  return rttMs > 120 || lossPercent > 3 ? 2 : 3;
}

function transportName({ transport }: NetStats): string {
  return transport === "webtransport" ? "WebTransport" : transport === "ws" ? "WebSocket" : "none";
}

/** The connection as one small sign; a click opens its numbers. */
export function NetGlyph({ net }: { net: Store<NetStats | undefined> }) {
  const stats = useStore(net);
  const [open, setOpen] = useState(false);
  const [history, setHistory] = useState<number[]>([]);
  useEffect(() => {
    if (stats !== undefined) setHistory((old) => [...old, stats.rttMs].slice(-HISTORY));
  }, [stats]);
  useEffect(() => {
    const toggle = ({ code, target, repeat, ctrlKey, metaKey, altKey }: KeyboardEvent) => {
      if (code !== "KeyN" || repeat || ctrlKey || metaKey || altKey || (target instanceof HTMLElement && target.closest("input, textarea, select") !== null)) return;
      setOpen((was) => !was);
    };
    addEventListener("keydown", toggle);
    return () => removeEventListener("keydown", toggle);
  }, []);
  if (stats === undefined) return null;
  const { traffic } = stats;
  const words = ["no connection", "poor", "fair", "good"][level(stats)];
  return (
    <>
      <button type="button" className="chip" aria-expanded={open} aria-label={`Connection ${words}: ${transportName(stats)}, ${Math.round(stats.rttMs)} ms`} onClick={() => setOpen(!open)}>
        <SignalIcon level={level(stats)} />
        <span className="num">{Math.round(stats.rttMs)} ms</span>
      </button>
      {open ? (
        <div className="net takes-clicks">
          <Sparkline values={history} />
          <dl>
            <dt>Transport</dt><dd>{transportName(stats)}</dd>
            <dt>Round trip</dt><dd>{stats.rttMs.toFixed(1)} ms</dd>
            <dt>Loss</dt><dd>{stats.lossPercent.toFixed(1)} %</dd>
            <dt>Down</dt><dd>{(stats.inBytesPerS / 1_000).toFixed(1)} kB/s</dd>
            <dt>Up</dt><dd>{(stats.outBytesPerS / 1_000).toFixed(1)} kB/s</dd>
            <dt>Corrections</dt><dd>{stats.correctionsPerS.toFixed(1)} /s</dd>
            <dt>Input margin</dt><dd>{stats.marginTicks.toFixed(1)} ticks</dd>
            <dt>Input lead</dt><dd>{stats.leadTicks.toFixed(1)} ticks</dd>
            <dt>Others lag by</dt><dd>{Math.round(stats.delayMs)} ms</dd>
            <dt>Snapshots</dt><dd>{Math.round(traffic.perS)} /s</dd>
            <dt>Mean, largest</dt><dd>{Math.round(traffic.bytesMean)}, {traffic.bytesMax} B</dd>
          </dl>
          <Shares title="Components" shares={traffic.components} />
          <Shares title="Entities" shares={traffic.entities.map(({ of, bytesPerS }) => ({ of: `#${of}`, bytesPerS }))} />
        </div>
      ) : null}
    </>
  );
}

/** Lines of a list of shares: the rest is one line more. */
const SHARES_MAX = 5;

/** Who takes how much of the snapshots, as bars. */
function Shares({ title, shares }: { title: string; shares: Share<string>[] }) {
  const rest = shares.slice(SHARES_MAX).reduce((sum, { bytesPerS }) => sum + bytesPerS, 0);
  const lines = [...shares.slice(0, SHARES_MAX), ...(rest > 0 ? [{ of: `${shares.length - SHARES_MAX} more`, bytesPerS: rest }] : [])];
  const top = Math.max(1, ...lines.map(({ bytesPerS }) => bytesPerS));
  return (
    <dl className="shares" aria-label={`${title}, bytes per second`}>
      <dt>{title}</dt><dd>B/s</dd>
      {lines.map(({ of, bytesPerS }) => [
        <dt key={of} style={{ "--part": `${(bytesPerS / top) * 100}%` } as React.CSSProperties}>{of}</dt>,
        <dd key={`${of}-takes`}>{Math.round(bytesPerS)}</dd>,
      ])}
    </dl>
  );
}

function Sparkline({ values }: { values: number[] }) {
  const top = Math.max(50, ...values);
  const points = values.map((value, i) => `${(i / (HISTORY - 1)) * 240},${34 - (value / top) * 32}`).join(" ");
  return <svg viewBox="0 0 240 36" preserveAspectRatio="none" aria-hidden="true"><polyline points={points} fill="none" stroke="var(--team-b)" strokeWidth="2" /></svg>;
}

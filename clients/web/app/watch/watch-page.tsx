// Watch: the running matches as cards.

import { call } from "../../src/http.ts";
import type { MatchInfo } from "../api.ts";
import { follow } from "../app.tsx";
import { TeamMark, WatchIcon } from "../parts/icons.tsx";
import { useAfter, usePolled } from "../parts/later.ts";
import { clockText, ErrorNotice } from "../parts/notice.tsx";
import { withTransport } from "../route.ts";

/** Every running match, newest first. */
export function WatchPage() {
  const { value, error } = usePolled((signal) => call<{ matches: MatchInfo[] }>("GET", "/api/v1/matches", { signal }), 1_500);
  const running = value?.matches.filter(({ state }) => state === "running");
  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1>Watch</h1>
          <p>{running === undefined ? " " : running.length === 0 ? "Nothing is being played at the moment." : `${running.length} ${running.length === 1 ? "match is" : "matches are"} being played. Open one, chat, and take a bot's seat.`}</p>
        </div>
      </header>
      {error === undefined ? null : <ErrorNotice title="The list of matches is not up to date" error={error} />}
      {running === undefined ? <Skeletons /> : running.length === 0 ? <NoMatches /> : (
        <ul className="matches">{running.map((match) => <li key={match.id}><MatchCard match={match} /></li>)}</ul>
      )}
    </div>
  );
}

function MatchCard({ match }: { match: MatchInfo }) {
  const people = match.roster.filter(({ bot }) => !bot);
  const to = `/m/${match.id}`;
  const names = people.slice(0, 3).map(({ name }) => name).join(", ");
  return (
    <a className="card match-card" href={withTransport(to)} onClick={follow(to)}>
      <div className="board">
        <div className="side"><span className="score">{match.score[0] ?? 0}</span><TeamMark team={0} /></div>
        <span className="clock">{clockText(Math.ceil(match.ends_in_ms / 1_000))}</span>
        <div className="side"><span className="score">{match.score[1] ?? 0}</span><TeamMark team={1} /></div>
      </div>
      <div className="foot">
        <span className="row tight"><span className="badge live">Live</span><span className="badge">{match.mode}</span></span>
        <span title={people.map(({ name }) => name).join(", ")}>{people.length === 0 ? "bots only" : people.length > 3 ? `${names} +${people.length - 3}` : names}</span>
      </div>
    </a>
  );
}

function Skeletons() {
  const slow = useAfter(300);
  if (!slow) return null;
  return <ul className="matches" aria-hidden="true">{[0, 1, 2].map((i) => <li key={i} className="skeleton" style={{ height: 172 }} />)}</ul>;
}

function NoMatches() {
  return (
    <div className="empty">
      <WatchIcon />
      <h2>No match is running</h2>
      <p className="muted">Start one: bots fill the other seats within seconds, and friends can watch by its link.</p>
      <a className="button primary" href={withTransport("/")} onClick={follow("/")}>Play</a>
    </div>
  );
}

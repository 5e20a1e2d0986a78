// The end of a match: scores, what it did to the own rating, and what next.

import { useEffect, useState } from "react";
import type { MatchResult } from "../../src/gen/room_pb.ts";
import { account, callAs } from "../account.ts";
import type { Rating, SeatGrant } from "../api.ts";
import { ShareIcon, TeamMark } from "../parts/icons.tsx";
import { teamLetter } from "../parts/teams.ts";
import { withTransport } from "../route.ts";

const POLLS_MAX = 12;

/** Ratings before the match, by mode; kept when a match begins. */
export const ratingsBefore = new Map<string, Rating | undefined>();

/** The own rating in a mode; `undefined` for a newcomer. */
export async function ownRating(mode: string): Promise<Rating | undefined> {
  const { ratings } = await callAs<{ ratings: Rating[] }>("GET", "/api/v1/ratings/me");
  return ratings.find((rating) => rating.mode === mode);
}

/** Scores, players, rating and "Play again". */
export function Result({ result, seat, onAgain, onLeave }: { result: MatchResult; seat: SeatGrant; onAgain: () => void; onLeave: () => void }) {
  const best = Math.max(...result.teamScores);
  const winner = result.teamScores.filter((score) => score === best).length === 1 ? result.teamScores.indexOf(best) : undefined;
  const me = account.value?.user.id;
  const words = winner === undefined ? "A draw" : winner === seat.team ? "Your team wins" : result.teamScores.length === 2 ? "The other team wins" : `Team ${teamLetter(winner)} wins`;
  const players = [...result.players].sort((x, y) => y.score - x.score);
  return (
    <div className="overlay" data-result>
      <div className="panel wide" role="dialog" aria-label="Result">
        <h2>{result.outcome === "finished" ? words : "The match was ended early"}</h2>
        <TeamScores scores={result.teamScores} />
        <div className="scroll">
          <table className="table">
            <thead><tr><th>Player</th><th>Team</th><th className="n">Points</th></tr></thead>
            <tbody>
              {players.map((player) => (
                <tr key={player.seat} className={player.user !== "" && player.user === me ? "own" : ""}>
                  <td>{player.name}{player.bot ? <span className="muted"> · bot</span> : null}</td>
                  <td><TeamMark team={player.team} /></td>
                  <td className="n">{player.score}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <RatingChange mode={result.mode} />
        <div className="row">
          <button type="button" className="button primary" onClick={onAgain} autoFocus>Play again</button>
          <Share matchId={result.matchId} />
          <button type="button" className="button quiet" onClick={onLeave}>Back</button>
        </div>
      </div>
    </div>
  );
}

function TeamScores({ scores }: { scores: readonly number[] }) {
  if (scores.length !== 2) {
    return <div className="row">{scores.map((score, team) => <span key={team} className="row tight"><TeamMark team={team} /><strong className="num">{score}</strong></span>)}</div>;
  }
  return (
    <div className="result-score">
      <div className="stack"><TeamMark team={0} /></div>
      <span className="big num">{scores[0]} : {scores[1]}</span>
      <div className="stack"><TeamMark team={1} /></div>
    </div>
  );
}

/** Asks until the result has been counted. */
function RatingChange({ mode }: { mode: string }) {
  const [now, setNow] = useState<Rating>();
  const [given, setGiven] = useState(false);
  useEffect(() => {
    let [gone, polls] = [false, 0];
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      const rating = await ownRating(mode).catch(() => undefined);
      if (gone) return;
      polls += 1;
      if (rating !== undefined && rating.matches > (ratingsBefore.get(mode)?.matches ?? 0)) return setNow(rating);
      if (polls >= POLLS_MAX) return setGiven(true);
      timer = setTimeout(() => void ask(), 700);
    };
    void ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [mode]);
  if (now === undefined) return <p className="muted" role="status">{given ? "Your rating is counted later." : "Counting your rating…"}</p>;
  const before = ratingsBefore.get(mode);
  const change = now.rating - (before?.rating ?? 25);
  const sign = change >= 0 ? "+" : "−";
  return (
    <p data-rating>
      Your {mode} rating: <strong className="num">{now.rating.toFixed(1)}</strong>{" "}
      <span className={change >= 0 ? "good num" : "bad num"}>{sign}{Math.abs(change).toFixed(1)}</span>{" "}
      <span className="muted">after {now.matches} {now.matches === 1 ? "match" : "matches"}, ± {now.uncertainty.toFixed(1)}</span>
    </p>
  );
}

/** Copies the match's link, or hands it to the phone. */
export function Share({ matchId, chip }: { matchId: string; chip?: boolean }) {
  const [done, setDone] = useState(false);
  const share = async () => {
    const url = new URL(withTransport(`/m/${matchId}`).split("?")[0]!, location.origin).href;
    if (navigator.share !== undefined && matchMedia("(pointer: coarse)").matches) await navigator.share({ url, title: "Amphi" }).catch(() => undefined);
    else await navigator.clipboard?.writeText(url).catch(() => undefined);
    setDone(true);
    setTimeout(() => setDone(false), 2_000);
  };
  return (
    <button type="button" className={chip ? "chip" : "button"} onClick={() => void share()} aria-label="Share a link to this match">
      <ShareIcon />
      <span className={chip ? "wide" : ""}>{done ? "Link copied" : "Share"}</span>
    </button>
  );
}

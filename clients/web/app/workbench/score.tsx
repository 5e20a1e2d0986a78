// Score of every team and the clock, above a world.

import { TeamMark } from "../parts/icons.tsx";
import { clockText } from "../parts/notice.tsx";
import { useStore } from "../store.ts";
import type { World } from "./world.ts";

/** Two teams as a board; more as a list. */
export function Score({ world }: { world: World }) {
  const { teams, clock } = useStore(world.score);
  if (teams.length === 0 && clock === undefined) return null;
  const time = <div className={`clock ${clock !== undefined && clock <= 10 ? "ending" : ""}`} data-clock>{clock === undefined ? "–:––" : clockText(clock)}</div>;
  const [a, b] = teams;
  if (teams.length !== 2) {
    return (
      <div className="scoreboard many" role="group" aria-label="Score">
        {time}
        {teams.map((score, team) => <div key={team} className="team-score"><TeamMark team={team} label={false} /><span>{score}</span></div>)}
      </div>
    );
  }
  return (
    <div className="scoreboard" role="group" aria-label={`Team A ${a}, team B ${b}`}>
      <div className="team-score a"><TeamMark team={0} label={false} /><span data-score="a">{a}</span></div>
      {time}
      <div className="team-score b"><TeamMark team={1} label={false} /><span data-score="b">{b}</span></div>
    </div>
  );
}

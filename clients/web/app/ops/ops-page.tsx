// Ops: hosts, rooms, queue and sessions, live.

import { callAs } from "../account.ts";
import { AmphiError } from "../../src/error.ts";
import type { Overview } from "../api.ts";
import { follow } from "../app.tsx";
import { usePolled } from "../parts/later.ts";
import { clockText, ErrorNotice, ShortId } from "../parts/notice.tsx";
import { withTransport } from "../route.ts";
import { CODE } from "../../src/codes.ts";

/** A tick may take this long at 60 Hz, µs. */
const TICK_US = 16_667;

/** Everything an operator asks first. */
export function OpsPage() {
  const { value, error } = usePolled((signal) => callAs<Overview>("GET", "/api/v1/ops/overview", { signal }), 1_000);
  if (error !== undefined && AmphiError.from(error).code === CODE.RoleMissing) {
    return <div className="page"><ErrorNotice title="This page is for operators" error={error}><span className="muted">The first start of the server prints a sign-in link; <span className="num">amphi user add</span> makes more.</span></ErrorNotice></div>;
  }
  return (
    <div className="page">
      <header className="page-head"><div><h1>Ops</h1><p>{value === undefined ? "Asking the roles…" : "Updated every second."}</p></div></header>
      {error === undefined ? null : <ErrorNotice title="These numbers are old" error={error} />}
      {value === undefined ? null : <Tables overview={value} />}
    </div>
  );
}

function Tables({ overview: { fleet, live, match } }: { overview: Overview }) {
  return (
    <>
      <div className="tiles">
        <Tile label="Rooms" value={fleet?.rooms.length} />
        <Tile label="People playing" value={fleet?.rooms.reduce((sum, room) => sum + room.people, 0)} />
        <Tile label="Viewers" value={live?.viewers} />
        <Tile label="Home sessions" value={live?.attached} />
        <Tile label="In the queue" value={match?.queues.reduce((sum, queue) => sum + queue.players, 0)} />
        <Tile label="Deliveries" value={live === undefined ? undefined : Math.round(live.deliveries_per_s)} unit="/s" />
      </div>
      {fleet === undefined ? null : <><Rooms rooms={fleet.rooms} /><Hosts hosts={fleet.hosts} /></>}
      {match === undefined ? null : <Queues match={match} />}
    </>
  );
}

function Tile({ label, value, unit }: { label: string; value: number | undefined; unit?: string }) {
  return <div className="card tile"><span className="muted">{label}</span><strong className="num">{value ?? "–"}<small>{unit ?? ""}</small></strong></div>;
}

/** A share of a whole as people read it; nothing of nothing is a dash. */
function shareText(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`;
}

type Fleet = NonNullable<Overview["fleet"]>;

function Rooms({ rooms }: { rooms: Fleet["rooms"] }) {
  return (
    <section className="stack">
      <h2>Rooms</h2>
      {rooms.length === 0 ? <div className="empty"><h3>No room is running</h3><p className="muted">A room starts when the queue forms a match.</p></div> : (
        <div className="card scroll" style={{ padding: 0 }}>
          <table className="table">
            <thead><tr><th>Match</th><th>Mode</th><th>State</th><th className="n">Score</th><th className="n">People</th><th className="n">Bots</th><th className="n">Tick p50</th><th className="n">Tick p99</th><th className="n">Overruns</th><th className="n">Late inputs</th><th className="n">Refused</th><th className="n">Ends in</th></tr></thead>
            <tbody>
              {rooms.map((room) => (
                <tr key={room.id}>
                  <td className="row tight"><ShortId id={room.id} /><a className="link" href={withTransport(`/m/${room.id}`)} onClick={follow(`/m/${room.id}`)}>watch</a></td>
                  <td>{room.mode}</td>
                  <td>{room.state}</td>
                  <td className="n">{room.score.join(" : ")}</td>
                  <td className="n">{room.people}</td>
                  <td className="n">{room.bots}</td>
                  <td className="n">{room.tick_us_p50} µs</td>
                  <td className={`n ${room.tick_us_p99 > TICK_US ? "bad" : room.tick_us_p99 > TICK_US / 2 ? "warn" : ""}`}>{room.tick_us_p99} µs</td>
                  <td className="n">{room.overruns}</td>
                  <td className="n">{shareText(room.inputs_late, room.inputs + room.inputs_late)}</td>
                  <td className="n">{room.refused}</td>
                  <td className="n">{clockText(Math.ceil(room.ends_in_ms / 1_000))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Hosts({ hosts }: { hosts: Fleet["hosts"] }) {
  return (
    <section className="stack">
      <h2>Hosts</h2>
      <div className="card scroll" style={{ padding: 0 }}>
        <table className="table">
          <thead><tr><th>Host</th><th>State</th><th className="n">Rooms</th><th className="n">Tick load</th><th className="n">Heard</th><th className="n">Age</th></tr></thead>
          <tbody>
            {hosts.map((host) => (
              <tr key={host.id}>
                <td><ShortId id={host.id} /></td>
                <td className={host.state === "ready" ? "good" : host.state === "dead" ? "bad" : "warn"}>{host.state}</td>
                <td className="n">{host.rooms} / {host.rooms_max}</td>
                <td className="n">{(host.tick_load_permille / 10).toFixed(1)} %</td>
                <td className="n">{(host.heard_ms_ago / 1_000).toFixed(1)} s ago</td>
                <td className="n">{clockText(host.age_s)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Queues({ match }: { match: NonNullable<Overview["match"]> }) {
  return (
    <section className="stack">
      <h2>Queue</h2>
      <p className="muted">Tickets so far: {match.queued_total}, of them {match.matched_total} matched, {match.cancelled_total} taken back, {match.failed_total} failed. Seats given to bots: {match.bot_seats_total}.</p>
      {match.queues.length === 0 ? null : (
        <div className="card scroll" style={{ padding: 0 }}>
          <table className="table">
            <thead><tr><th>Mode</th><th className="n">Tickets</th><th className="n">Players</th><th className="n">Oldest wait</th><th className="n">Typical wait</th></tr></thead>
            <tbody>
              {match.queues.map((queue) => (
                <tr key={queue.mode}>
                  <td>{queue.mode}</td>
                  <td className="n">{queue.tickets}</td>
                  <td className="n">{queue.players}</td>
                  <td className="n">{(queue.oldest_wait_ms / 1_000).toFixed(1)} s</td>
                  <td className="n">{queue.typical_wait_ms === null ? "–" : `${(queue.typical_wait_ms / 1_000).toFixed(1)} s`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

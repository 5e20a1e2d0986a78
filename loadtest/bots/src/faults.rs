//! The real binary and real sockets through bad weather: nobody loses a seat, reliable lanes stay exact, play goes on.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amphi_shared_wire::Seed;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::observed::{Observed, unix_ms};
use crate::player::{self, Played};
use crate::shaper::{self, Network, Weather};
use crate::{Faults, Players};

/// Round trips of 80 ± 30 ms, and one packet in twenty lost each way.
const BAD: Weather = Weather { delay_ms: 40, jitter_ms: 15, loss_permille: 50, dead: false, path: 0 };
/// Players behind the bad network. One more has the host to itself, and hears everything as it was said.
const FAR: u32 = 3;
const MODE: &str = "2v2";
/// Play under [`BAD`], then nothing passes, then [`BAD`] again until the players leave.
const BEFORE: Duration = Duration::from_secs(8);
const BLACKOUT: Duration = Duration::from_secs(10);
const PLAY_S: u64 = 26;
/// Play goes on this soon after the network is back, in the median of the players …
const BACK_MEDIAN_MS_MAX: u64 = 1_000;
/// … and for each of them: one packet in twenty is lost, and some lose two in a row of the new connection's first ones.
const BACK_MS_MAX: u64 = 2_500;
/// A machine that lets the witness wait lets everyone wait: dial, hello and snapshot, one after the other.
const WAITS: u64 = 3;
/// Snapshots of a player at least, compared with the witness: it is there twice as long.
const SNAPSHOTS_PERCENT_MIN: u64 = 20;
const START_MAX: Duration = Duration::from_secs(60);

/// The last line on stdout.
#[derive(Debug, Serialize)]
struct Verdict {
    seed: u64,
    players: usize,
    reliable_events: usize,
    /// From the end of the blackout to the next snapshot, by player.
    back_ms: Vec<u64>,
    /// The longest gap of the player who had the host to itself: how busy the machine was.
    witness_gap_ms: u64,
    packets_passed: u64,
    packets_lost: u64,
}

/// Plays through the weather and judges what the players saw.
///
/// # Errors
/// The program does not start, or the network took something away.
pub(crate) async fn run(faults: &Faults) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (amphi, url) = start(&faults.amphi, folder.path()).await?;
    let players = Players { url, mode: MODE.to_owned(), seconds: PLAY_S, ..Players::default() };
    let (sky, weather) = watch::channel(BAD);
    let counted = Arc::new(shaper::Faults::default());
    let mut playing = JoinSet::new();
    for number in 0..=FAR {
        let (seed, faults) = (Seed(faults.seed).nth(number.into()), Arc::clone(&counted));
        let network = Network { weather: weather.clone(), faults, seed };
        let (players, network) = (players.clone(), (number < FAR).then_some(network));
        playing.spawn(async move { player::play(&players, number, network).await });
    }
    tokio::time::sleep(BEFORE).await;
    sky.send_modify(|weather| weather.dead = true);
    tokio::time::sleep(BLACKOUT).await;
    sky.send_modify(|weather| weather.dead = false);
    let back_at_ms = unix_ms();
    let mut all = playing.join_all().await;
    stop(amphi).await?;
    all.sort_by_key(|played| played.observed.first().map(|observed| observed.player));
    let mut verdict = judge(&all, back_at_ms).inspect_err(|_| {
        let seen = all.iter().flat_map(|played| &played.observed);
        seen.for_each(|seen| eprintln!("{}", seen.summary(back_at_ms)));
    })?;
    verdict.seed = faults.seed;
    verdict.packets_passed = counted.passed.load(Ordering::Relaxed);
    verdict.packets_lost = counted.lost.load(Ordering::Relaxed);
    println!("{}", serde_json::to_string(&verdict)?);
    Ok(())
}

fn judge(all: &[Played], back_at_ms: u64) -> Result<Verdict> {
    if let Some(problem) = all.iter().find_map(|played| played.problem.as_ref()) {
        anyhow::bail!("{problem}");
    }
    let seen: Vec<&Observed> = all.iter().flat_map(|played| &played.observed).collect();
    let (witness, far) = seen.split_last().context("nobody played")?;
    ensure!(far.len() == FAR as usize, "each plays one match: {far:#?}");
    let busy_ms = WAITS * witness.worst_gap();
    let mut back_ms = Vec::new();
    for player in far {
        let name = format!("player {}", player.player);
        ensure!(player.match_id == witness.match_id, "{name} is in another match than the witness");
        ensure!(player.closed.is_none(), "{name} lost its session: {:?}", player.closed);
        ensure!(player.has_one_seat(), "{name} changed seats: {:?}", player.seats);
        let share = 100 * player.snapshots / witness.snapshots.max(1);
        ensure!(share >= SNAPSHOTS_PERCENT_MIN, "{name} read {share} % of the snapshots that the witness read");
        let back = player.back_after(back_at_ms).with_context(|| format!("{name} did not notice the blackout"))?;
        ensure!(back <= BACK_MS_MAX + busy_ms, "{name} played on {back} ms after the network was back");
        back_ms.push(back);
        let (said, heard) = witness.shared_events(player);
        ensure!(!heard.is_empty(), "{name} heard nothing on its reliable lane");
        ensure!(heard == said, "{name} heard something else than was said\nsaid:  {said:?}\nheard: {heard:?}");
    }
    let median = *sorted(&back_ms).get(far.len() / 2).context("nobody played")?;
    ensure!(median <= BACK_MEDIAN_MS_MAX + busy_ms, "play went on {back_ms:?} ms after the network was back");
    let reliable_events = far.iter().map(|player| player.events.len()).sum();
    Ok(Verdict {
        seed: 0,
        players: far.len(),
        reliable_events,
        back_ms,
        witness_gap_ms: witness.worst_gap(),
        packets_passed: 0,
        packets_lost: 0,
    })
}

fn sorted(values: &[u64]) -> Vec<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Starts the program on a free port; it says where.
async fn start(program: &Path, folder: &Path) -> Result<(Child, String)> {
    let mut command = Command::new(program);
    command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut amphi = command.spawn().with_context(|| program.display().to_string())?;
    let stderr = amphi.stderr.take().context("no pipe")?;
    let mut lines = BufReader::new(stderr).lines();
    let url = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = line.trim().strip_prefix("Open ") {
                return Ok(url.to_owned());
            }
        }
        anyhow::bail!("{} ended before it said its address", program.display())
    };
    let url = tokio::time::timeout(START_MAX, url).await.context("the program does not start")??;
    // What it says from now on is nobody's concern, but it must not wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((amphi, url))
}

/// Ends the program in order; the second signal does not wait for matches.
async fn stop(mut amphi: Child) -> Result<()> {
    let id = amphi.id().context("the program has ended")?.to_string();
    for _ in 0..2 {
        Command::new("kill").args(["-TERM", &id]).status().await?;
    }
    let status = amphi.wait().await?;
    ensure!(status.success(), "the program ended with {status}");
    Ok(())
}

//! One player: queue, connect, play, again.

use std::time::{Duration, Instant};

use amphi_clients_rust::quic::Player as Link;
use amphi_clients_rust::{ClientConfig, ClientEvent};
use amphi_server_arena::bots::{View, brain};
use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::{Arena, ArenaInput, BALL, Player, Pose, Thing};
use amphi_shared_replica::{Game, NetId, Seat};
use amphi_shared_wire::{AppId, Micros, Rng, Seed};
use anyhow::Result;

use crate::Players;
use crate::observed::Observed;
use crate::service::{Found, Service};
use crate::shaper::Network;

/// Time between two decisions of a bot: one tick.
const THINK: Micros = Micros(16_667);
/// Round trips are sampled this often.
const SAMPLE: Micros = Micros::from_millis(250);

/// What one player met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Played {
    pub(crate) matches: Vec<String>,
    pub(crate) join_ms: Vec<f64>,
    pub(crate) rtt_ms: Vec<f64>,
    pub(crate) snapshots: u64,
    pub(crate) up_bytes: u64,
    pub(crate) down_bytes: u64,
    pub(crate) mispredictions: u64,
    pub(crate) disconnects: u64,
    /// Time in matches.
    pub(crate) seconds: f64,
    pub(crate) problem: Option<String>,
    pub(crate) observed: Vec<Observed>,
}

/// Plays until the time is over.
pub(crate) async fn play(players: &Players, number: u32, network: Option<Network>) -> Played {
    let mut played = Played::default();
    if let Err(error) = matches(players, (number, network), &mut played).await {
        played.disconnects += 1;
        played.problem = Some(format!("player {number}: {error:#}"));
    }
    played
}

async fn matches(players: &Players, (number, network): (u32, Option<Network>), played: &mut Played) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(players.seconds);
    let game = Game::new("arena", Arena);
    let service = Service::sign_in(&players.url, &format!("Bot {number}")).await?;
    let mut rng = Seed(u64::from(number)).split("bot").rng();
    while Instant::now() < end {
        let mut found = service.find_match(&players.mode).await?;
        played.matches.push(found.match_id.clone());
        let mut observed = Observed::new(number, &found.match_id);
        let shaper = match &network {
            Some(network) => Some(network.in_front_of(found.host.address).await?),
            None => None,
        };
        if let Some(shaper) = &shaper {
            found.host.address = shaper.address;
        }
        let ended = play_match(&game, found, end, (&mut rng, played, &mut observed)).await;
        played.observed.push(observed);
        ended?;
    }
    Ok(())
}

async fn play_match(
    game: &Game,
    found: Found,
    end: Instant,
    (rng, played, observed): (&mut Rng, &mut Played, &mut Observed),
) -> Result<()> {
    let started = Instant::now();
    let config = ClientConfig {
        app: AppId::default(),
        token: found.token,
        resume: None,
        session: amphi_clients_rust::SessionConfig::default(),
    };
    let mut link: Link<ArenaInput> = Link::connect(game, config, found.host).await?;
    let (mut first, mut sample_at) = (true, Micros(0));
    let mut over = false;
    while !over && Instant::now() < end {
        let now = link.now();
        match link.run(now + THINK).await? {
            Some(ClientEvent::Ended(_)) => over = true,
            Some(ClientEvent::Closed { code, .. }) => {
                over = true;
                observed.closed = Some(code.name().to_owned());
            }
            Some(ClientEvent::Detached) => played.disconnects += 1,
            Some(ClientEvent::Refused(refusal)) => anyhow::bail!("refused: {} {}", refusal.code, refusal.message),
            Some(ClientEvent::Attached { .. }) => observed.attaches += 1,
            Some(ClientEvent::Joined(joined)) => observed.seats.push(joined.seat),
            Some(ClientEvent::Game(said)) => observed.event(said.tick, said.kind, &said.body),
            Some(ClientEvent::PathSilent | ClientEvent::Roster(_) | ClientEvent::Answer { .. }) => {}
            None => think(&mut link, rng),
        }
        observed.snapshots(link.client().stats().snapshots);
        if first && link.client().stats().snapshots > 0 {
            first = false;
            played.join_ms.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        if link.now() >= sample_at {
            sample_at = link.now() + SAMPLE;
            played.rtt_ms.extend(link.client().session().rtt().map(|rtt| rtt.0 as f64 / 1_000.0));
        }
    }
    let (stats, traffic) = (link.client().stats(), link.traffic());
    played.snapshots += stats.snapshots;
    played.mispredictions += stats.mispredictions;
    played.up_bytes += traffic.sent_bytes;
    played.down_bytes += traffic.received_bytes;
    played.seconds += started.elapsed().as_secs_f64();
    link.leave().await;
    Ok(())
}

/// Presses what the game's own bots would press, seeing only what was received.
fn think(link: &mut Link<ArenaInput>, rng: &mut Rng) {
    let client = link.client();
    let Some(seat) = client.seat() else { return };
    let (seats, players) = (client.received::<Seat>(), client.received::<Player>());
    let (bodies, things, poses) =
        (client.received::<PlayerBody>(), client.received::<Thing>(), client.received::<Pose>());
    let Some((ball, _)) = things.iter().find(|(_, thing)| thing.kind == BALL) else { return };
    let Some(ball) = get(&poses, *ball) else { return };
    let everyone = seats.iter().filter_map(|(id, seat)| Some((*seat, get(&players, *id)?, get(&bodies, *id)?)));
    let view = View::new(client.tick().0, everyone, &ball);
    client.set_input(brain(&view, Seat(seat), rng));
}

fn get<C: Clone>(rows: &[(NetId, C)], id: NetId) -> Option<C> {
    rows.iter().find(|(known, _)| *known == id).map(|(_, component)| component.clone())
}

//! The bench `resume`: from a dial to the first applied state of the match, over a path of 50 ms.
//!
//! A client sits in a running match of the sample game. Its network takes 25 ms each way (a forwarder in this process;
//! see `load/proxy.rs`). It goes away, and the client dials on another one: the clock runs from the dial until a
//! snapshot that the host sent after the resume is decoded. In `blackhole` the first network goes silent without a
//! word and the clock runs from that moment; the client dials when its engine notices.
//!
//! A goal is a bound for everyone, so the figures are 95th percentiles; medians stand beside them. WebSocket clients say
//! Hello inside their upgrade, as pages do: RFC 6455 section 4.1 lets them send nothing before its answer.
//!
//! A match host has no certificate of a CA, so `wss` comes back to a listener whose owner answers as a host does: it sends
//! a state when a session attaches, and each tick.
//!
//! `bytes` are what the session layer says for a resume both ways (Hello, Welcome, and what they resend), without the
//! snapshot; `handshake_bytes` everything else on the wire until then, over native QUIC without early data.

mod player;
mod ticker;

use std::time::Duration;

use crate::harness::{Bench, Contestant, Sample, Scale, Server};
use crate::load::{Shape, Way};
use crate::node::{self, Node};
use crate::serve::Serve;
use player::Player;
pub(crate) use ticker::serve as serve_ticker;

/// Time from client to server, and back again.
const DELAY: Duration = Duration::from_millis(25);
const SHAPE: Shape = Shape { delay: DELAY, loss_permille: 0 };

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let resumes = scale.pick(40, 1);
    let floor =
        Contestant::new("echo over the path", move || Ok(Sample::new().with("rtt_ms", player::rtt_ms(resumes)?)));
    let ours = Contestant::new("ours", move || ours(scale, resumes));
    Bench::new("resume", "rtt_ms", floor, ours).rounds(3)
}

fn ours(scale: Scale, resumes: usize) -> anyhow::Result<Sample> {
    let mut sample = Sample::new().with("rtt_ms", player::rtt_ms(resumes)?);
    for (name, way) in [
        ("quic0", Way::Quic0),
        ("quic", Way::Quic),
        ("webtransport", Way::WebTransport),
        ("ws", Way::Ws),
        ("wss", Way::Wss),
    ] {
        sample =
            sample.and(match_of(scale, way, async |mut player| come_back(&mut player, (name, way), resumes).await)?);
    }
    let silent = match_of(scale, Way::Quic, async |mut player| {
        let mut times = Vec::with_capacity(resumes);
        for _ in 0..resumes {
            times.push(player.blackhole().await?);
        }
        Ok(named("blackhole", &mut times))
    })?;
    Ok(sample.and(silent))
}

/// Plays in a fresh match of a fresh node.
fn match_of(
    scale: Scale,
    way: Way,
    play: impl AsyncFnOnce(Player) -> anyhow::Result<Sample>,
) -> anyhow::Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sample, server) = if way == Way::Wss {
        let server = Server::start(scale, Serve::Ticker)?;
        (runtime.block_on(async { play(Player::join_ticker(server.ready(), way).await?).await })?, server)
    } else {
        let mut node = Node::start(scale, node::Work { host: true, redis: None })?;
        (runtime.block_on(async { play(Player::join(&mut node, way).await?).await })?, node.server)
    };
    drop(runtime);
    server.stop()?;
    Ok(sample)
}

async fn come_back(player: &mut Player, (name, way): (&str, Way), resumes: usize) -> anyhow::Result<Sample> {
    let mut times = Vec::with_capacity(resumes);
    let (mut bytes, mut handshake_bytes, mut early) = (0, 0, 0);
    for _ in 0..resumes {
        let resume = player.resume().await?;
        times.push(resume.ms);
        early += usize::from(resume.early);
        bytes = bytes.max(resume.session_bytes);
        handshake_bytes = handshake_bytes.max(resume.handshake_bytes);
    }
    let sample = named(name, &mut times);
    Ok(match way {
        Way::Quic => sample.with("bytes", bytes as f64).with("handshake_bytes", handshake_bytes as f64),
        Way::Quic0 => sample.beside("quic0_early", early as f64 / resumes as f64),
        Way::WebTransport | Way::Ws | Way::Wss => {
            sample.beside(format!("{name}_handshake_bytes"), handshake_bytes as f64)
        }
    })
}

fn named(name: &str, times: &mut [f64]) -> Sample {
    Sample::new().with(format!("{name}_ms"), at(times, 0.95)).beside(format!("{name}_p50_ms"), at(times, 0.5))
}

fn at(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len().max(1) - 1) as f64 * share).ceil() as usize).copied().unwrap_or(f64::NAN)
}

//! A player beside a real match host.

use std::collections::VecDeque;

use amphi_server_arena::ArenaInput;
use amphi_shared_replica::{SnapshotDecoder, encode_inputs};
use amphi_shared_session::{Event, InputLead};
use amphi_shared_wire::{LANE_BULK, LANE_CONTROL, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Lane, Micros, Tick};
use anyhow::{Context, bail, ensure};

use super::spread;
use crate::harness::{Sample, Scale};
use crate::load::{Client, Dialler, Way};
use crate::node::{self, Node};

const LANES: [Lane; 3] = [LANE_CONTROL, LANE_ROOM, LANE_BULK];
/// Inputs that are repeated in each datagram.
const INPUTS: usize = 8;
/// What is learned about the path at first is not counted.
const WARM_UP: Micros = Micros::from_secs(5);

/// Plays for half a minute in a match of bots.
///
/// # Errors
/// The host does not serve, or no input was applied.
pub(super) fn run(scale: Scale) -> anyhow::Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut node = Node::start(scale, node::Work { host: true, redis: None })?;
    let span = Micros::from_secs(scale.pick(35, 7) as u64);
    let sample = runtime.block_on(async {
        let mut player = Player::join(&mut node).await?;
        player.play(span).await?;
        let report = node.report().await?;
        let room = report.rooms.first().context("the host reports no room")?;
        ensure!(!player.added_ms.is_empty(), "no input was applied");
        Ok(Sample::new()
            .with("added_ms_p99", spread::at(&player.added_ms, 0.99))
            .beside("added_ms_p50", spread::at(&player.added_ms, 0.5))
            .beside("step_ms_p99", f64::from(room.tick_us_p99) / 1_000.0)
            .beside("lan_late_share", room.inputs_late as f64 / (room.inputs + room.inputs_late).max(1) as f64))
    });
    drop(runtime);
    node.server.stop()?;
    sample
}

/// A seat in a match.
struct Player {
    client: Client,
    clock: amphi_shared_edge::clock::Clock,
    decoder: SnapshotDecoder,
    lead: Option<InputLead>,
    /// The next tick to say an input for.
    next: Option<Tick>,
    inputs: VecDeque<ArenaInput>,
    /// Inputs that no snapshot has told of yet, and when they left.
    waiting: VecDeque<(Tick, Micros)>,
    from: Micros,
    added_ms: Vec<f64>,
}

impl Player {
    async fn join(node: &mut Node) -> anyhow::Result<Self> {
        let match_id = node.open_match().await?;
        let request = node.hello(match_id, 0);
        let host = node.host.context("the node has no host")?;
        let mut client = Client::new(node.clock, request);
        client.connect(&Dialler::new()?, (0, host), Way::Quic, &LANES).await?;
        client.attached().await?;
        Ok(Self {
            client,
            clock: node.clock,
            decoder: SnapshotDecoder::new(node::game().schema().clone()),
            lead: None,
            next: None,
            inputs: VecDeque::new(),
            waiting: VecDeque::new(),
            from: node.clock.now() + WARM_UP,
            added_ms: Vec::new(),
        })
    }

    async fn play(&mut self, span: Micros) -> anyhow::Result<()> {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            let due = self.speak().unwrap_or(end).min(end);
            if let Some(event) = self.client.run(due).await {
                self.hear(event)?;
            }
        }
        Ok(())
    }

    /// Says the inputs that are due; when the next one is.
    fn speak(&mut self) -> Option<Micros> {
        let now = self.clock.now();
        let ticks = self.client.engine.tick_clock()?;
        let lead = self.lead.as_mut()?;
        lead.advance(now, self.client.engine.clock().offset_us(now));
        let target = ticks.at(self.client.engine.clock().server_time(now) + lead.lead());
        let mut next = self.next.unwrap_or(target).max(Tick(target.0.saturating_sub(4)));
        let due = next <= target;
        while next <= target {
            let yaw = (next.0 / 24).wrapping_mul(9_973) as u16;
            self.inputs.push_back(ArenaInput { move_y: 127, yaw, ..ArenaInput::default() });
            self.waiting.push_back((next, now));
            next = next.plus(1);
        }
        self.inputs.drain(..self.inputs.len().saturating_sub(INPUTS));
        self.next = Some(next);
        if due {
            let payload = encode_inputs(target, self.inputs.make_contiguous());
            // A datagram that finds no room is lost like any other.
            let _ = self.client.engine.send_datagram(now, LANE_INPUT, payload.into());
        }
        let server = ticks.start_of(next) - self.lead.as_ref()?.lead();
        Some(self.client.engine.clock().local_time(now, server).max(now))
    }

    fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Datagram { lane: LANE_SNAPSHOT, payload } => self.read(&payload),
            Event::Refused(refusal) => bail!("refused: {}: {}", refusal.code, refusal.message),
            Event::Closed { code, message } => bail!("closed: {code}: {message}"),
            Event::Attached { .. }
            | Event::Detached
            | Event::PathSilent
            | Event::Message { .. }
            | Event::Datagram { .. }
            | Event::Acked { .. }
            | Event::Lost { .. }
            | Event::LaneLost { .. }
            | Event::LaneWritable { .. } => Ok(()),
        }
    }

    fn read(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let now = self.clock.now();
        let header = self.decoder.decode(payload)?.header;
        let (Some(ticks), rtt) = (self.client.engine.tick_clock(), self.client.engine.rtt().unwrap_or(Micros(0)))
        else {
            return Ok(());
        };
        let lead = self.lead.get_or_insert_with(|| InputLead::new(ticks.period(), rtt));
        if let Some(margin) = header.margin {
            lead.on_margin(now, margin, header.late, rtt);
        }
        let Some(applied) = header.applied else { return Ok(()) };
        while let Some((tick, left)) = self.waiting.pop_front_if(|(tick, _)| *tick <= applied) {
            // Of inputs that came too late no snapshot tells.
            if tick == applied && now >= self.from {
                self.added_ms.push(now.since(left).0 as f64 / 1_000.0);
            }
        }
        Ok(())
    }
}

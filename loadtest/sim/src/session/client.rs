//! A client: its engine, what it has sent, and how it comes back.

use amphi_shared_session::{Config, ConnectRequest, PipeId, PipeKind, Session};
use amphi_shared_wire::{Code, Lane, Micros};

use super::flows::Flows;
use crate::net::End;
use crate::plan::ClientPlan;

/// How often something is sent to a client that plays.
const BEAT_EVERY: Micros = Micros::from_millis(100);
/// Silence after which a client that plays looks for a second path.
const PATH_SILENT_AFTER: Micros = Micros::from_millis(300);

pub(super) struct Client {
    pub(super) plan: ClientPlan,
    config: Config,
    pub(super) session: Session,
    /// Towards the node.
    pub(super) up: Flows,
    pub(super) kind: PipeKind,
    /// A pipe that is dialled and not there yet, and since when.
    pub(super) opening: Option<(PipeId, Micros)>,
    pub(super) redials_at: Option<Micros>,
    /// When the node sends it a beat.
    pub(super) beats_at: Option<Micros>,
    pub(super) timer: Option<Micros>,
    pub(super) closed: Option<Code>,
    pub(super) refuse_next: bool,
    pub(super) lose_welcome: bool,
    /// Who gives up a lane when it has lost its pipe.
    pub(super) gives_up: Option<(End, Lane)>,
    /// Messages of a lane may be lost for a reason that the plan gave.
    pub(super) may_lose: bool,
}

impl Client {
    pub(super) fn new(who: usize, plan: ClientPlan) -> Self {
        let path_silent_after = plan.plays.then_some(PATH_SILENT_AFTER);
        let config = Config { path_silent_after, ..Config::default() };
        let request = ConnectRequest { token: token(who), ..ConnectRequest::default() };
        Self {
            session: Session::connect(config.clone(), request),
            config,
            up: Flows::default(),
            kind: plan.kind,
            opening: None,
            redials_at: Some(Micros(0)),
            beats_at: plan.plays.then_some(BEAT_EVERY),
            timer: None,
            closed: None,
            refuse_next: false,
            lose_welcome: false,
            gives_up: None,
            may_lose: false,
            plan,
        }
    }

    /// Neither a pipe nor one on its way.
    pub(super) fn is_idle(&self) -> bool {
        !self.session.is_attached() && !self.is_dialing() && !self.session.is_closed()
    }

    pub(super) fn is_dialing(&self) -> bool {
        self.opening.is_some() || self.session.is_dialing()
    }

    /// It knows its session and the node from earlier, so its next resume may travel in early data.
    pub(super) fn is_early(&self) -> bool {
        self.plan.tickets && self.kind == PipeKind::Streams && self.session.id().is_some()
    }

    /// The other transport is tried next.
    pub(super) fn switch(&mut self) {
        self.kind = match self.kind {
            PipeKind::Streams => PipeKind::Ordered,
            PipeKind::Ordered => PipeKind::Streams,
        };
    }

    /// Loses its memory, all but what finds its session again; false when it has nothing to find.
    pub(super) fn forget(&mut self, who: usize) -> bool {
        let Some(saved) = self.session.saved() else {
            return false;
        };
        let request = ConnectRequest { token: token(who), resume: Some(saved), ..ConnectRequest::default() };
        self.session = Session::connect(self.config.clone(), request);
        self.up.sender_forgets();
        self.may_lose = true;
        true
    }

    pub(super) fn beat(&mut self, now: Micros) {
        self.beats_at = Some(now + BEAT_EVERY);
    }

    pub(super) fn next(&self) -> Option<Micros> {
        [self.timer, self.redials_at, self.beats_at].into_iter().flatten().min()
    }
}

/// What a client shows instead of a signed token: who it is.
fn token(who: usize) -> String {
    format!("client {who}")
}

/// Who a token names.
pub(super) fn bearer(token: &str) -> Option<usize> {
    token.strip_prefix("client ")?.parse().ok()
}

//! What happens to the player, as Bevy messages.

use amphi_clients_rust::{ClientEvent, Joined, Said};
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{self, MatchResult};
use bevy_ecs::prelude::Message;
use bytes::Bytes;

/// What happened to the player's place in the match. Read it with `MessageReader<News>`.
#[derive(Clone, Debug, Message, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// The host has greeted this player.
    Joined(Joined),
    /// Who sits where has changed.
    Roster(Vec<proto::Seat>),
    /// The connection is gone. The seat waits, and the plugin dials again; nothing has to be done.
    Lost,
    /// The connection is back.
    Back,
    /// The match is over.
    Ended(MatchResult),
    /// The host said no.
    Refused {
        /// Why.
        code: Code,
        /// What happened and what to do.
        message: String,
    },
    /// The session has ended.
    Closed {
        /// Why.
        code: Code,
        /// What happened and what to do.
        message: String,
    },
    /// The host could not be reached, or this program cannot go on.
    Failed {
        /// What happened and what to do.
        message: String,
    },
}

/// Everything that the network thread tells a frame, oldest first.
#[derive(Debug)]
pub(crate) enum Told {
    News(News),
    Said(Said),
    Answer { request: u32, answer: Result<Bytes, Code> },
}

/// An event or effect of the game, as it came.
#[derive(Clone, Debug, Message)]
pub(crate) struct RawSaid(pub(crate) Said);

/// An answer, as it came.
#[derive(Clone, Debug, Message)]
pub(crate) struct RawAnswer {
    pub(crate) request: u32,
    pub(crate) answer: Result<Bytes, Code>,
}

impl News {
    /// Nothing follows on this seat: join another match, or the same one with a new token.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Closed { .. } | Self::Failed { .. } => true,
            Self::Joined(_) | Self::Roster(_) | Self::Lost | Self::Back | Self::Ended(_) => false,
        }
    }
}

impl Told {
    /// What an event of the client means; `None` when the plugin deals with it alone.
    pub(crate) fn of(event: ClientEvent) -> Option<Self> {
        let said = |code: Code, words: &str| {
            let words = if words.is_empty() { code.name() } else { words };
            format!("A{:04}: {words}. {}", code.number(), code.help())
        };
        Some(match event {
            ClientEvent::Attached { resumed: true } => Self::News(News::Back),
            ClientEvent::Attached { resumed: false } | ClientEvent::PathSilent => return None,
            ClientEvent::Detached => Self::News(News::Lost),
            ClientEvent::Joined(joined) => Self::News(News::Joined(joined)),
            ClientEvent::Roster(roster) => Self::News(News::Roster(roster)),
            ClientEvent::Game(event) => Self::Said(event),
            ClientEvent::Answer { request, answer } => Self::Answer { request, answer },
            ClientEvent::Ended(result) => Self::News(News::Ended(result)),
            ClientEvent::Refused(refusal) => {
                let message = said(refusal.code, &refusal.message);
                Self::News(News::Refused { code: refusal.code, message })
            }
            ClientEvent::Closed { code, message } => Self::News(News::Closed { code, message: said(code, &message) }),
        })
    }
}

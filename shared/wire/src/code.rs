//! Numbered reasons: everything a client can be refused or closed with.

use std::fmt;

/// What a client should do about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The same call may work later, on the same connection.
    Retry,
    /// Connect again, and resume the session where there is one.
    Reconnect,
    /// Trying again will not help: something has to be changed first.
    Stop,
}

impl Action {
    /// Lower-case word, as in documents and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reconnect => "reconnect",
            Self::Stop => "stop",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal, $action:ident, $help:literal;)*) => {
        /// A numbered reason for a refusal or a close. `docs/errors.md` lists them all.
        ///
        /// 1xx session, 2xx admission, 3xx messages and topics, 4xx matchmaking and fleet, 5xx people and HTTP, 9xx ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $help] $name = $number,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The code with this number, if this build knows it.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name, as in documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What a client should do about it.
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)*
                }
            }

            /// One sentence: what happened and what to do.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$name => $help,)*
                }
            }
        }
    };
}

codes! {
    Bye = 100, Stop, "The other side left in order.";
    ProtocolUnsupported = 101, Stop, "The protocol versions do not overlap; update the older side.";
    SchemaUnsupported = 102, Stop, "The client was built with another schema of this game; update the client.";
    HandshakeInvalid = 103, Stop, "The first message was not a Hello.";
    HandshakeTimeout = 104, Reconnect, "No Hello arrived in time.";
    FrameInvalid = 105, Stop, "A frame could not be read.";
    FrameTooLarge = 106, Stop, "A frame is larger than the limit in Welcome.";
    MessageInvalid = 107, Stop, "A message could not be read as Protobuf or JSON, or breaks a bound.";
    LaneInvalid = 108, Stop, "A frame names a lane that this session does not have.";
    SessionUnknown = 109, Stop, "The session to resume has ended; start a new one.";
    SessionSecret = 110, Stop, "The secret does not belong to the session to resume.";
    GenerationStale = 111, Stop, "A newer connection already carries this session.";
    SlowReader = 112, Reconnect, "The client read too slowly and its queue was full; reconnect and resume.";
    Silent = 113, Reconnect, "Nothing was heard for too long.";
    RateLimited = 114, Retry, "Too many messages; slow down.";
    LaneLost = 115, Retry, "Messages of this lane could not be kept for the resume.";
    Draining = 116, Reconnect, "This node is going away; connect again for another one.";
    Overloaded = 117, Retry, "This node is at a limit; try again after the stated time.";
    OriginForbidden = 118, Stop, "Pages of this origin may not connect here.";
    AckInvalid = 119, Stop, "A datagram acknowledges one that was never sent.";
    Disconnected = 120, Stop, "The service ended this session.";
    ReconnectAsked = 121, Reconnect, "The service ended this connection; connect again.";

    TokenMissing = 200, Stop, "This needs a token; sign in first.";
    TokenInvalid = 201, Stop, "The token could not be verified.";
    TokenExpired = 202, Stop, "The token has expired; get a new one.";
    TokenUsed = 203, Stop, "The token was already used for a seat.";
    TokenWrongMatch = 204, Stop, "The token belongs to another match.";
    TokenWrongApp = 205, Stop, "The token belongs to another app.";
    RoleMissing = 206, Stop, "This needs a role or scope that the token does not have.";
    MatchUnknown = 207, Stop, "No such match runs here.";
    SeatTaken = 208, Stop, "The seat is taken.";
    MatchFull = 209, Retry, "Every seat is taken by a person.";
    MatchEnded = 210, Stop, "The match has ended.";
    SignInUsed = 211, Stop, "This sign-in link was already used or never existed.";
    TokenRevoked = 212, Stop, "The token was revoked; sign in again if you may.";
    TokenIssuer = 213, Stop, "The issuer of the token is not known here.";
    TokenAudience = 214, Stop, "The token is meant for another audience.";
    TokenAlgorithm = 215, Stop, "The token is signed with another algorithm than its key is for.";
    TokenKeyUnknown = 216, Retry, "The key that signed the token is not known yet; try again after the stated time.";
    ApiKeyUnknown = 217, Stop, "There is no such API key here.";
    ApiKeyRevoked = 218, Stop, "The API key was revoked; make a new one.";

    TopicInvalid = 300, Stop, "A topic name has 1 to 128 bytes: parts of a-z, 0-9, `_` and `-`, joined by `:`.";
    TopicUnknown = 301, Stop, "There is no such topic.";
    NotSubscribed = 302, Stop, "This session is not subscribed to the topic.";
    PublishForbidden = 303, Stop, "This topic does not take publications from you.";
    SubscribeForbidden = 304, Stop, "This topic is not open to you.";
    MessageTooLarge = 305, Stop, "The message is longer than the limit of its topic.";
    TooManySubscriptions = 306, Stop, "This session has as many subscriptions as it may have.";
    MessageEmpty = 307, Stop, "The message is empty.";
    AlreadySubscribed = 308, Stop, "This session is already subscribed to the topic.";
    KeyReused = 309, Stop, "The idempotency key was used for another message; take a new key for each message.";
    TopicFull = 310, Stop, "The topic holds as many entries as it may; remove one first.";

    QueueFull = 400, Retry, "The queue is full; try again after the stated time.";
    TicketUnknown = 401, Stop, "There is no such ticket, or it is not yours.";
    AlreadyQueued = 402, Stop, "A player of this ticket is already in the queue.";
    ModeUnknown = 403, Stop, "There is no such mode.";
    NoCapacity = 404, Retry, "No host has room for a match; try again after the stated time.";
    HostFull = 405, Retry, "This host has no room left.";
    HostUnknown = 406, Stop, "The fleet does not know this host or lease.";
    FleetFull = 407, Retry, "The fleet has as many hosts as it may have.";
    TicketEnded = 408, Stop, "The ticket has already ended.";

    RequestInvalid = 500, Stop, "The request could not be understood; the message names the field.";
    NameInvalid = 501, Stop, "A name has 1 to 24 visible characters.";
    RouteUnknown = 502, Stop, "There is nothing at this address.";
    MethodNotAllowed = 503, Stop, "This address does not take that method.";
    BodyTooLarge = 504, Stop, "The request body is larger than the limit.";
    UserExists = 505, Stop, "A user of this name already exists.";

    Internal = 900, Retry, "A fault on our side; it was logged with the request id.";
    Unavailable = 901, Retry, "A service behind this one did not answer; try again.";
}

impl fmt::Display for Code {
    /// `A0101 ProtocolUnsupported`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{:04} {}", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests;

//! Every maximum of the system in one table, with what happens beyond it.
//!
//! Units stand last in each name. The overload policy is one of: *refuse* (numbered code, nothing changes),
//! *drop oldest*, *coalesce*, *close* (numbered code).

// Session layer.
/// One message on a reliable lane, bytes. Beyond: close with `FrameTooLarge`.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// One message on the bulk lane, bytes (a chunk, not the whole). Beyond: close with `FrameTooLarge`.
pub const BULK_CHUNK_BYTES_MAX: usize = 16 * 1024;
/// Payload of one datagram to a browser, bytes, session header included.
pub const DATAGRAM_BYTES_BROWSER_MAX: usize = 1_000;
/// Payload of one datagram to a native client until the path MTU is known, bytes, session header included.
pub const DATAGRAM_BYTES_NATIVE_MAX: usize = 1_150;
/// The session header in front of every datagram, bytes.
pub const DATAGRAM_HEADER_BYTES: usize = 8;
/// Unacked messages kept for resume, bytes per session. Beyond: `send` answers `Full`.
pub const RESUME_BYTES_MAX: usize = 256 * 1024;
/// Unacked messages kept for resume, count per session. Beyond: `send` answers `Full`.
pub const RESUME_MESSAGES_MAX: usize = 4_096;
/// Age of the oldest unacked message on a live connection, ms. Beyond: close with `SlowReader`; the session can resume.
/// A dial on a second path holds acks back for as long as a handshake may take.
pub const RESUME_AGE_MS_MAX: u64 = 2 * HANDSHAKE_MS_MAX;
/// How long a session without a connection is kept, ms. Beyond: it ends, a resume is answered with `SessionUnknown`.
pub const RESUME_WINDOW_MS: u64 = 60_000;
/// An ack is sent after this many received messages …
pub const ACK_AFTER_MESSAGES: u64 = 64;
/// … or this many bytes …
pub const ACK_AFTER_BYTES: usize = 32 * 1024;
/// … or this long after the first unacked message, ms.
pub const ACK_AFTER_MS: u64 = 200;
/// Unacked `latest` frames in flight on a transport without datagrams. Beyond: coalesce, the newest waits.
pub const LATEST_IN_FLIGHT_MAX: usize = 2;
/// Unacked `unordered` datagrams that wait on a transport without datagrams. Beyond: drop oldest.
pub const UNORDERED_WAITING_MAX: usize = 8;
/// Datagrams that wait for the transport on one ordered pipe: those in flight, and as many acknowledgements. Beyond: drop
/// oldest.
pub const ORDERED_DATAGRAMS_WAITING_MAX: usize = 2 * LATEST_IN_FLIGHT_MAX;
/// Datagrams whose fate is remembered, per session. Beyond: the oldest counts as lost.
pub const DATAGRAM_SENT_MAX: usize = 256;
/// Time from accepting a connection to a valid Hello, ms. Beyond: close with `HandshakeTimeout`.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;
/// Bytes of the Hello message. Beyond: close with `FrameTooLarge`.
pub const HELLO_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a Hello inside an upgrade request: half of what proxies take as a header is left for the rest. A longer one
/// comes as the first message. Beyond: close with `FrameTooLarge`.
pub const UPGRADE_HELLO_BYTES_MAX: usize = 3 * 1024;
/// Bytes of a token. Beyond: refuse with `TokenInvalid`.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Entries in each list of a Hello. Beyond: refuse with `MessageInvalid`.
pub const HELLO_ENTRIES_MAX: usize = 64;
/// Connections waiting for or inside their handshake, per listener. Beyond: refuse with `Overloaded`.
pub const HANDSHAKES_PENDING_MAX: usize = 1_024;
/// Those of them that are WebSockets, so that a crowd over TCP leaves places to others. Beyond: the client waits, for at
/// most [`HANDSHAKE_MS_MAX`], then refuse with `Overloaded`.
pub const UPGRADES_PENDING_MAX: usize = HANDSHAKES_PENDING_MAX / 2;
/// TCP connections that wait to be accepted, per listener; the system may hold fewer (on Linux `net.core.somaxconn`, 4,096
/// unless it was changed). Beyond: the client's system tries again, after 1 s at first.
pub const ACCEPTS_WAITING_MAX: i32 = 16_384;
/// New connections of one address per second, each over QUIC and over TCP …
pub const CONNECTS_PER_S_MAX: u32 = 32;
/// … and at once. Beyond: QUIC makes the client prove its address, then refuses; TCP closes. Counted.
pub const CONNECTS_BURST_MAX: u32 = 256;
/// Addresses whose new connections are counted, per transport. Beyond: all start anew.
pub const ADDRESSES_MAX: usize = 4_096;
/// TLS handshakes on the TCP port of one listener that go on at a time. Beyond: the client waits, for at most
/// [`HANDSHAKE_MS_MAX`].
pub const TLS_HANDSHAKES_MAX: usize = 1_024;
/// Attached connections of one listener. Beyond: refuse with `Overloaded`.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Frames between a network task and the owner of its session, each way; a resume sends all that is kept at once.
/// Beyond: close with `SlowReader` or `RateLimited`.
pub const RING_FRAMES_MAX: usize = 2 * RESUME_MESSAGES_MAX;
/// Bytes queued towards one connection. Beyond: close with `SlowReader`; the session can resume.
pub const SEND_QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// Age of the oldest message that waits for a client, ms. Beyond: close with `SlowReader`; the session can resume.
pub const SEND_QUEUE_AGE_MS_MAX: u64 = 5_000;
/// Reliable messages of one client per second (token bucket) …
pub const MESSAGES_PER_S_MAX: u32 = 256;
/// … and at once: a resume sends all that is kept. Beyond: close with `RateLimited`.
pub const MESSAGES_BURST_MAX: u32 = MESSAGES_PER_S_MAX + RESUME_MESSAGES_MAX as u32;
/// Datagrams of one client per second (token bucket; the burst is the same). Beyond: dropped and counted.
pub const DATAGRAMS_PER_S_MAX: u32 = 512;
/// A connection that is silent this long is dead, ms; a session's may be given longer (`silence_ms_max`).
pub const IDLE_MS_MAX: u64 = 30_000;
/// Interval of the pings of a match session, ms.
pub const PING_EVERY_MS: u64 = 5_000;
/// Interval of the pings of a home session, ms. The client asks; pings of the transport and of the server are for one
/// that does not, so they come later.
pub const HOME_PING_EVERY_MS: u64 = 25_000;
/// Answers to clock probes that are compared. Beyond: drop oldest.
pub const CLOCK_SAMPLES_MAX: usize = 32;
/// Largest difference of two nodes' clock speeds, parts per million, the slew of one that is led included.
pub const CLOCK_DRIFT_PPM: u32 = 200;
/// How fast a node's clock is led to the reference, parts per million.
pub const CLOCK_SLEW_PPM: u32 = 100;
/// Datagrams that a client keeps while its Hello waits for the answer. Beyond: drop oldest.
pub const DATAGRAMS_BEFORE_WELCOME_MAX: usize = 8;
/// Attaches of one session that came in early data and wait for their confirmation. Beyond: the oldest is closed with
/// `Overloaded`.
pub const EARLY_ATTACHES_MAX: usize = 2;

/// How long a pipe of a session that pings each `ping_every_ms` may be silent, ms. Beyond: close with `Silent`; the
/// session can resume.
pub const fn silence_ms_max(ping_every_ms: u64) -> u64 {
    let patience_ms = 2 * ping_every_ms + 10_000;
    if patience_ms > IDLE_MS_MAX { patience_ms } else { IDLE_MS_MAX }
}

/// Match sessions that one live node carries to hosts at a time. Beyond: refuse with `Overloaded`.
pub const RELAY_SESSIONS_MAX: usize = 1_024;
/// Connections that wait for the relay, or for what the fleet says of their match. Beyond: refuse with `Overloaded`.
pub const RELAY_WAITING_MAX: usize = 256;
/// How long a host may take to answer its relay, ms. Beyond: refuse with `Unavailable`.
pub const RELAY_DIAL_MS_MAX: u64 = 2_000;
/// Time between two token refreshes of one session, ms. Beyond: refuse with `RateLimited`.
pub const REFRESH_EVERY_MS_MIN: u64 = 1_000;
/// A WebSocket from which nothing was heard for this long is pinged, ms.
pub const WS_PING_MS: u64 = 27_000;
/// Interval of keep-alive packets on a QUIC connection where nobody says anything, ms.
pub const QUIC_PING_EVERY_MS: u64 = 27_000;

// Rooms.
/// Seats of one room. Beyond: refuse with `RequestInvalid`.
pub const SEATS_MAX: usize = 64;
/// Entities of one room.
pub const ENTITIES_MAX: usize = 100_000;
/// Ticks of a world that a history keeps. Beyond: drop oldest; a prediction that old is not compared.
pub const HISTORY_TICKS_MAX: usize = 128;
/// Entities that a client predicts beside its own. Beyond: the nearest; others are only shown.
pub const PREDICTED_MAX: usize = 64;
/// Entities spawned for its own player that a client predicts, those that the server has named and those that it has not,
/// each. Beyond: of the named ones the newest, the others are only shown; further ones wait for the server.
pub const SPAWNS_PREDICTED_MAX: usize = 64;
/// Ticks that a predicted spawn outlives the snapshot that should have told of it: the server may have spawned it a little later,
/// or have had no room for it. Beyond: it is taken away.
pub const SPAWN_SLACK_TICKS: u32 = 12;
/// Ticks of inputs in one datagram.
pub const INPUTS_PER_DATAGRAM_MAX: usize = 32;
/// Ticks that inputs may lie ahead of the room. Beyond: the input is dropped and counted.
pub const INPUT_LEAD_TICKS_MAX: u32 = 64;
/// Largest lead of a client's simulation over the server's, ms.
pub const INPUT_LEAD_MS_MAX: u64 = 500;
/// Arrival margins that decide on the lead. Beyond: drop oldest.
pub const INPUT_MARGINS_MAX: usize = 256;
/// Changes of the lead that are remembered until their effect is reported. Beyond: drop oldest.
pub const INPUT_LEAD_CHANGES_MAX: usize = 128;
/// Bytes of one encoded input.
pub const INPUT_BYTES_MAX: usize = 64;
/// Commands waiting for one room's next tick. Beyond: refuse with `Overloaded`.
pub const ROOM_COMMANDS_MAX: usize = 4_096;
/// Rooms of one host. Beyond: refuse with `HostFull`.
pub const ROOMS_PER_HOST_MAX: usize = 64;
/// Ticks between keyframes, to which baselines are aligned.
pub const KEYFRAME_TICKS: u32 = 8;
/// Bytes of one part of the world, of which a client that joins gets one per tick on the bulk lane.
pub const JOIN_PART_BYTES_MAX: usize = 8 * 1024;
/// Parts of the world that a client has not said to have read. Beyond: the next one waits.
pub const JOIN_PARTS_UNREAD_MAX: usize = 8;
/// Rows that a client has nothing of, left over behind a datagram. Fewer wait for the next datagrams; more go in parts.
pub const JOIN_ROWS_MIN: usize = 64;
/// Live baseline classes per entity; a client beyond them gets absolute rows.
pub const BASELINE_CLASSES_MAX: usize = 4;
/// Ticks of rows that are kept as baselines.
pub const BASELINE_TICKS_MAX: u32 = 128;
/// Ticks for which a row is reckoned. Beyond: it is told again.
pub const RECKONED_TICKS_MAX: u32 = 4_096;
/// A view publishes a keyframe this often, ms.
pub const VIEW_KEYFRAME_MS: u64 = 2_000;
/// Components registered by one game.
pub const COMPONENTS_MAX: usize = 64;
/// Bytes of a schema as JSON that a client reads.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// Schemas of other builds that one run of a client reads. Beyond: it says that it must be started anew.
pub const SCHEMAS_READ_MAX: usize = 64;
/// Snapshots that a client keeps until it knows the schema: four seconds. Beyond: drop the oldest.
pub const SNAPSHOTS_EARLY_MAX: usize = 256;
/// Messages of the network thread that wait for a frame of a client's app. Beyond: drop the oldest, counted.
pub const CLIENT_EVENTS_MAX: usize = 4_096;
/// Commands of a client's app that wait for its network thread. Beyond: refuse, the app tries in its next frame.
pub const CLIENT_COMMANDS_MAX: usize = 8;
/// Integer fields of one component.
pub const FIELDS_MAX: usize = 32;
/// Kinds of events, and kinds of requests, registered by one game.
pub const MESSAGE_KINDS_MAX: usize = 256;
/// Requests of one seat that wait for one tick. Beyond: answered with `RateLimited`.
pub const REQUESTS_PER_TICK_MAX: usize = 16;
/// Requests of one seat without an answer. Beyond: an answer to the oldest is dropped.
pub const REQUESTS_OPEN_MAX: usize = 64;
/// Bytes of one request. Beyond: answered with `RequestInvalid`.
pub const REQUEST_BYTES_MAX: usize = 1_024;
/// One-shot events of one tick of a room. Beyond: dropped and counted.
pub const EVENTS_PER_TICK_MAX: usize = 256;
/// Bytes of one one-shot event. Beyond: dropped and counted.
pub const EVENT_BYTES_MAX: usize = 1_024;

// Topics.
/// A topic name, bytes. Beyond: refuse with `TopicInvalid`.
pub const TOPIC_BYTES_MAX: usize = 128;
/// Topics of one node. Beyond: refuse with `Overloaded`.
pub const TOPICS_MAX: usize = 100_000;
/// Subscriptions of one session. Beyond: refuse with `TooManySubscriptions`.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Publications kept per topic. Beyond: drop oldest.
pub const HISTORY_MESSAGES_MAX: usize = 512;
/// Bytes kept per topic. Beyond: drop oldest.
pub const HISTORY_BYTES_MAX: usize = 1024 * 1024;
/// Payload of one publication by a client, bytes. Beyond: refuse with `MessageTooLarge`.
pub const PUBLISH_BYTES_MAX: usize = 4 * 1024;
/// Payload of one publication by a service, bytes; with its head it fits into one frame. Beyond: refuse with
/// `MessageTooLarge`.
pub const SERVICE_PUBLISH_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;
/// Bytes of an idempotency key. Beyond: refuse with `MessageInvalid`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;
/// Idempotency keys remembered per topic. Beyond: drop oldest.
pub const IDEMPOTENCY_KEYS_MAX: usize = 256;
/// Age of the oldest publication that a class may keep, s. Beyond: the settings are refused.
pub const HISTORY_AGE_S_MAX: u64 = 30 * 24 * 3_600;
/// How long a class may keep a topic that nobody uses, s. Beyond: the settings are refused.
pub const TOPIC_IDLE_S_MAX: u64 = 30 * 24 * 3_600;
/// Classes of topics in the settings. Beyond: the settings are refused.
pub const TOPIC_CLASSES_MAX: usize = 64;
/// Entries of one `state` topic; their bytes are bounded by [`HISTORY_BYTES_MAX`]. Beyond: refuse with `TopicFull`.
pub const STATE_ENTRIES_MAX: usize = 1_024;
/// Bytes of the name of an entry, or of what publications are conflated by. Beyond: refuse with `MessageInvalid`.
pub const ENTRY_BYTES_MAX: usize = 64;
/// Patterns of topics that one token may grant. Beyond: refuse with `TokenInvalid`.
pub const TOPIC_GRANTS_MAX: usize = 64;
/// Publications of one topic that wait for those before them. Beyond: dropped, and read from history.
pub const TOPIC_HELD_MAX: usize = 256;
/// How long a subscriber waits for the first read of a topic, ms. Beyond: refuse with `Unavailable`.
pub const TOPIC_OPEN_MS_MAX: u64 = 5_000;
/// Publications whose answer a broker owes, per node. Beyond: refuse with `Overloaded`.
pub const PUBLISHES_PENDING_MAX: usize = 8_192;
/// What a broker has heard and its node has not taken yet. Beyond: dropped, and every topic is read again.
pub const BROKER_EVENTS_MAX: usize = 16_384;
/// Calls of one node to its broker at a time. Beyond: the next one waits.
pub const BROKER_CALLS_MAX: usize = 256;
/// How long a broker may take to answer a call, ms. Beyond: a new connection, and `Unavailable`.
pub const BROKER_ANSWER_MS_MAX: u64 = 2_000;
/// Publications of a `latest` topic that wait for one slow reader, one per key. Beyond: drop oldest, counted.
pub const LATEST_WAITING_MAX: usize = 256;
/// Subscriptions that one session may make per second …
pub const SUBSCRIBES_PER_S_MAX: u32 = 8;
/// … and at once. Beyond: refuse with `RateLimited`.
pub const SUBSCRIBES_BURST_MAX: u32 = 128;
/// Nesting of a JSON payload. Beyond: refuse with `MessageInvalid`.
pub const JSON_DEPTH_MAX: usize = 32;
/// Characters of one chat line. Beyond: refuse with `MessageTooLarge`.
pub const CHAT_CHARS_MAX: usize = 500;
/// Chat lines of one person per 10 s. Beyond: refuse with `RateLimited`.
pub const CHAT_LINES_PER_10_S: u32 = 8;
/// Chat lines a newcomer sees.
pub const CHAT_HISTORY: usize = 50;

// People and HTTP.
/// Characters of a display name. Beyond: refuse with `NameInvalid`.
pub const NAME_CHARS_MAX: usize = 24;
/// Bytes of an app id.
pub const APP_ID_BYTES_MAX: usize = 32;
/// Events that wait for one client of an event stream, beside [`SEND_QUEUE_BYTES_MAX`]. Beyond: the stream ends, and
/// the client comes back with the id of its last event.
pub const EVENTS_WAITING_MAX: usize = 256;
/// An event stream on which nothing happens gets a comment this often, ms.
pub const EVENTS_HEARTBEAT_MS: u64 = 15_000;
/// Body of an HTTP request, bytes. Beyond: status 413.
pub const HTTP_BODY_BYTES_MAX: usize = 64 * 1024;
/// Body of an internal request, bytes. Beyond: status 413.
pub const INTERNAL_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages of one call that publishes. Beyond: refuse with `RequestInvalid`.
pub const PUBLISH_BATCH_MAX: usize = 100;
/// Body of a call that publishes, bytes. Beyond: refuse with `BodyTooLarge`.
pub const PUBLISH_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Reads of history that one address may make per second …
pub const HISTORY_READS_PER_S_MAX: u32 = 32;
/// … and at once. Beyond: refuse with `RateLimited`.
pub const HISTORY_READS_BURST_MAX: u32 = 256;
/// Reads of history that wait for a broker, per node. Beyond: refuse with `Overloaded`.
pub const HISTORY_READS_WAITING_MAX: usize = 1_024;

/// API keys that count, per deployment. Beyond: refuse with `Overloaded`.
pub const API_KEYS_MAX: usize = 1_024;
/// Calls that one API key may be given per second; as many as ten seconds earn, and one whole batch, come at once. Beyond:
/// refuse with `RequestInvalid`.
pub const API_KEY_CALLS_PER_S_MAX: u32 = 10_000;
/// How often the last use of an API key is written, ms.
pub const API_KEY_USED_MS: u64 = 60_000;

/// Revoked tokens, and people whose older tokens are revoked, each. Beyond: refuse with `Overloaded`: to forget one
/// would let it in again.
pub const REVOCATIONS_MAX: usize = 10_000;
/// How long a token may live, s; a revocation is remembered for as long. Beyond: refuse with `TokenInvalid`.
pub const TOKEN_LIFE_S_MAX: u64 = 90 * 24 * 3_600;
/// Public keys of one issuer, and issuers of one deployment. Beyond: the key set, or the settings, are refused.
pub const TOKEN_KEYS_MAX: usize = 16;

// Matchmaking and fleet.
/// Tickets in the pool. Beyond: refuse with `QueueFull`.
pub const TICKETS_MAX: usize = 100_000;
/// Tickets that one person may ask for per 10 s. Beyond: refuse with `RateLimited`.
pub const TICKETS_PER_10_S: u32 = 10;
/// Players on one ticket.
pub const TICKET_PLAYERS_MAX: usize = 8;
/// A ticket that nobody polls for this long is cancelled, ms.
pub const TICKET_SILENCE_MS_MAX: u64 = 30_000;
/// Longest answer time of a long poll, ms.
pub const LONG_POLL_MS_MAX: u64 = 25_000;
/// Hosts of one fleet. Beyond: refuse with `FleetFull`.
pub const HOSTS_MAX: usize = 1_000;
/// Matches the fleet remembers. Beyond: drop the oldest ended one.
pub const MATCHES_MAX: usize = 10_000;
/// A host that does not report for this long is dead, ms.
pub const LEASE_MS: u64 = 6_000;

const _: () = {
    assert!(DATAGRAM_BYTES_BROWSER_MAX <= DATAGRAM_BYTES_NATIVE_MAX);
    assert!(BULK_CHUNK_BYTES_MAX <= FRAME_BYTES_MAX);
    assert!(JOIN_PART_BYTES_MAX + 64 <= BULK_CHUNK_BYTES_MAX);
    assert!(HELLO_BYTES_MAX <= FRAME_BYTES_MAX && TOKEN_BYTES_MAX < HELLO_BYTES_MAX);
    assert!(FRAME_BYTES_MAX <= RESUME_BYTES_MAX && RESUME_BYTES_MAX <= SEND_QUEUE_BYTES_MAX);
    assert!(SERVICE_PUBLISH_BYTES_MAX <= INTERNAL_BODY_BYTES_MAX);
    assert!(SUBSCRIBES_BURST_MAX as usize >= SUBSCRIPTIONS_MAX);
    assert!(
        INPUTS_PER_DATAGRAM_MAX * INPUT_BYTES_MAX < 4_096 && INPUT_LEAD_TICKS_MAX >= INPUTS_PER_DATAGRAM_MAX as u32
    );
    assert!(INPUT_LEAD_MS_MAX * 128 <= INPUT_LEAD_TICKS_MAX as u64 * 1_000);
    // Ids of predicted spawns repeat after 2^15 ticks.
    assert!(INPUT_LEAD_TICKS_MAX + SPAWN_SLACK_TICKS < 1 << 15);
    assert!(BASELINE_TICKS_MAX.is_multiple_of(KEYFRAME_TICKS));
    assert!(CLOCK_SLEW_PPM < CLOCK_DRIFT_PPM);
    assert!(PING_EVERY_MS * 3 < IDLE_MS_MAX && HOME_PING_EVERY_MS < IDLE_MS_MAX);
    assert!(RELAY_DIAL_MS_MAX < HANDSHAKE_MS_MAX);
    assert!(HOME_PING_EVERY_MS < WS_PING_MS && WS_PING_MS + 3_000 <= IDLE_MS_MAX);
    assert!(HOME_PING_EVERY_MS < QUIC_PING_EVERY_MS && QUIC_PING_EVERY_MS + 3_000 <= IDLE_MS_MAX);
};

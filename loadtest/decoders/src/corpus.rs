//! The first inputs of each decoder.

use std::fs;
use std::path::Path;

use amphi_loadtest_decoders::{Ask, Piece, PipeEvent, join, modelled, schema};
use amphi_shared_wire::proto::{
    Answer, GameEvent, Joined, MatchEnded, MatchResult, Payload, Position, Publish, RolledBack, RoomMessage,
    RosterChanged, Seat, ServicePublication, Subscribe, TopicRequest, Unsubscribe, payload, room_message,
    topic_request,
};
use amphi_shared_wire::{
    Datagram, DatagramHeader, LANE_CONTROL, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, LANE_TOPICS, Lane,
};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};

/// Snapshots or frames of one input.
const STEPS: usize = 12;
/// Inputs from one file of vectors.
const PARTS: usize = 4;

/// A file: its name and what it holds.
type Seeds = Vec<(String, Vec<u8>)>;
/// Messages with their kinds.
type Pieces = Vec<(u8, Vec<u8>)>;

/// The inputs of a decoder, from the golden vectors in `vectors` where there are some.
///
/// # Errors
/// The decoder has none, or the vectors cannot be read.
pub(crate) fn seeds(decoder: &str, vectors: &Path) -> Result<Seeds> {
    let vectors = Vectors(vectors);
    Ok(match decoder {
        "claims" => numbered(claims().iter().map(|claims| claims.to_string().into_bytes())),
        "datagrams" => vectors.cases("session/datagrams.json")?,
        "frames" => [vectors.cases("session/pipe_frames.json")?, streams(&vectors)?].concat(),
        "hello" => [vectors.cases("session/hellos.json")?, vectors.cases("session/refused_hellos.json")?].concat(),
        "inputs" => [vectors.cases("snapshot/inputs.json")?, numbered(SHORT_INPUTS.map(<[u8]>::to_vec))].concat(),
        "jwks" => numbered(jwks().iter().map(|jwks| jwks.to_string().into_bytes())),
        "player" => player(&vectors)?,
        "sessions" => sessions(&vectors)?,
        "snapshots" => snapshots(&vectors)?,
        "tables" => tables(),
        "tokens" => numbered(TOKENS.map(|token| token.as_bytes().to_vec())),
        "topics" => topics(),
        "views" => views(&vectors)?,
        "websocket" => numbered(websocket()),
        other => bail!("`{other}` has no inputs"),
    })
}

/// The golden vectors.
struct Vectors<'a>(&'a Path);

impl Vectors<'_> {
    fn read(&self, file: &str) -> Result<Value> {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The bytes of the entries under `list`.
    fn list(&self, file: &str, list: &str) -> Result<Vec<(Value, Vec<u8>)>> {
        let file = self.read(file)?;
        let entries = file[list].as_array().context("the vectors are a list")?;
        entries.iter().map(|entry| Ok((entry.clone(), unhex(entry["hex"].as_str().unwrap_or_default())?))).collect()
    }

    /// One input per entry under `cases`.
    fn cases(&self, file: &str) -> Result<Seeds> {
        let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let cases = self.list(file, "cases")?.into_iter().enumerate();
        Ok(cases.map(|(n, (_, bytes))| (format!("{stem}-{n:02}"), bytes)).collect())
    }

    /// The entries under `cases`, as pieces of one kind.
    fn pieces(&self, file: &str, event: PipeEvent) -> Result<Pieces> {
        Ok(self.list(file, "cases")?.into_iter().map(|(_, bytes)| (event.kind(), bytes)).collect())
    }
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    (0..text.len() / 2).map(|at| Ok(u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?)).collect()
}

fn numbered(inputs: impl IntoIterator<Item = Vec<u8>>) -> Seeds {
    inputs.into_iter().enumerate().map(|(n, bytes)| (format!("seed-{n:02}"), bytes)).collect()
}

fn joined(pieces: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let pieces: Vec<_> = pieces.iter().map(|(kind, bytes)| Piece { kind: *kind, bytes }).collect();
    join(&pieces)
}

/// The messages of a lane without its number, which the decoder is not given.
fn streams(vectors: &Vectors<'_>) -> Result<Seeds> {
    let cases = vectors.cases("session/streams.json")?;
    Ok(cases.into_iter().map(|(name, bytes)| (name, bytes.into_iter().skip(1).collect())).collect())
}

fn datagram(seq: u16, lane: Lane, payload: Vec<u8>) -> Vec<u8> {
    let header = DatagramHeader { seq, ack: 0, ack_bits: 0 };
    Datagram { header, lane, payload: payload.into() }.encode().to_vec()
}

/// Each vector alone, then all of them in a row, then in a row with pauses.
fn sessions(vectors: &Vectors<'_>) -> Result<Seeds> {
    let control = PipeEvent::Frame(LANE_CONTROL);
    let all = [
        vectors.pieces("session/links.json", control)?,
        vectors.pieces("session/controls.json", control)?,
        vectors.pieces("session/hellos.json", PipeEvent::Hello)?,
        vectors.pieces("session/datagrams.json", PipeEvent::Datagram)?,
        vectors.pieces("session/publications.json", PipeEvent::Frame(LANE_TOPICS))?,
        vec![(PipeEvent::Frame(LANE_ROOM).kind(), b"room".to_vec()), (PipeEvent::Closed.kind(), Vec::new())],
    ]
    .concat();
    let mut inputs: Vec<_> = all.iter().map(|piece| joined(std::slice::from_ref(piece))).collect();
    inputs.push(joined(&all));
    let later = (PipeEvent::Later.kind(), vec![20]);
    let pauses: Pieces = all.iter().flat_map(|piece| [piece.clone(), later.clone()]).collect();
    inputs.extend(pauses.chunks(STEPS).map(joined));
    Ok(numbered(inputs))
}

fn room_messages() -> Vec<Vec<u8>> {
    let seat = |seat, bot| Seat { seat, team: 0, name: format!("player {seat}"), bot, ..Seat::default() };
    let roster = vec![seat(0, false), seat(1, true)];
    let result = MatchResult { version: 1, outcome: "finished".to_owned(), ..MatchResult::default() };
    [
        room_message::Kind::Joined(Joined {
            match_id: "mch_01ks8zrx000000000000000009".to_owned(),
            entity: 1,
            mode: "test".to_owned(),
            roster: roster.clone(),
            schema_json: schema().to_json().to_owned(),
            ..Joined::default()
        }),
        room_message::Kind::Roster(RosterChanged { roster }),
        room_message::Kind::Event(GameEvent { tick: 7, kind: 1, body: Bytes::from_static(&[1, 2, 3]) }),
        room_message::Kind::RolledBack(RolledBack { to_tick: 3, epoch: 1 }),
        room_message::Kind::MatchEnded(MatchEnded { result: Some(result) }),
        room_message::Kind::Answer(Answer { request: 1, code: 0, body: Bytes::from_static(&[4]) }),
    ]
    .map(|kind| RoomMessage { kind: Some(kind) }.encode_to_vec())
    .into()
}

/// A player joins, gets snapshots and events, and ticks in between.
fn player(vectors: &Vectors<'_>) -> Result<Seeds> {
    let room = room_messages();
    let room_kind = PipeEvent::Frame(LANE_ROOM).kind();
    let later = (PipeEvent::Later.kind(), vec![1]);
    // Two answers to pings set the clock.
    let pong = (PipeEvent::Frame(LANE_CONTROL).kind(), unhex("00320d08e80710c096b10218ca96b102")?);
    let mut inputs: Vec<_> =
        room.iter().map(|message| joined(&[(room_kind, room[0].clone()), (room_kind, message.clone())])).collect();
    for file in ["early-gone", "hidden", "invalid", "lossy", "narrow", "restart", "steady"] {
        let steps = vectors.list(&format!("snapshot/{file}.json"), "steps")?;
        for part in steps.chunks(STEPS).take(PARTS) {
            let mut pieces: Pieces = vec![(room_kind, room[0].clone()), pong.clone(), later.clone(), pong.clone()];
            for (n, (_, bytes)) in part.iter().enumerate() {
                let datagram = datagram(n as u16 + 1, LANE_SNAPSHOT, bytes.clone());
                pieces.extend([(PipeEvent::Datagram.kind(), datagram), later.clone()]);
            }
            pieces.push((room_kind, room[4].clone()));
            inputs.push(joined(&pieces));
        }
    }
    Ok(numbered(inputs))
}

fn snapshots(vectors: &Vectors<'_>) -> Result<Seeds> {
    let mut seeds = Seeds::new();
    for file in ["early-gone", "hidden", "invalid", "lossy", "narrow", "restart", "steady"] {
        let steps = vectors.list(&format!("snapshot/{file}.json"), "steps")?;
        for (n, part) in steps.chunks(STEPS).take(PARTS).enumerate() {
            let pieces: Pieces = part.iter().map(|(_, bytes)| (0, bytes.clone())).collect();
            seeds.push((format!("{file}-{n:02}"), joined(&pieces)));
        }
    }
    let modelled: Pieces = modelled().1.into_iter().map(|bytes| (0, bytes)).collect();
    seeds.extend(modelled.chunks(STEPS).enumerate().map(|(n, part)| (format!("modelled-{n:02}"), joined(part))));
    Ok(seeds)
}

/// Tables alone and before snapshots; cut short, of another format, and with another number in each of some places.
fn tables() -> Seeds {
    let (tables, snapshots) = modelled();
    let alone = |bytes: &[u8]| joined(&[(0, bytes.to_vec())]);
    let mut all: Pieces = vec![(0, tables.clone())];
    all.extend(snapshots.into_iter().map(|bytes| (0, bytes)));
    let changed = (0..tables.len()).step_by(tables.len() / STEPS + 1).map(|at| {
        let mut changed = tables.clone();
        changed[at] ^= 0x55;
        alone(&changed)
    });
    numbered([joined(&all), alone(&tables), alone(&tables[..tables.len() / 2]), alone(&[])].into_iter().chain(changed))
}

fn views(vectors: &Vectors<'_>) -> Result<Seeds> {
    let frames = vectors.list("snapshot/view.json", "frames")?;
    let piece = |(frame, bytes): &(Value, Vec<u8>)| (u8::from(frame["keyframe"] == true), bytes.clone());
    let pieces: Pieces = frames.iter().map(piece).collect();
    let alone = pieces.iter().filter(|(keyframe, _)| *keyframe == 1).take(STEPS).map(std::slice::from_ref);
    Ok(numbered(pieces.chunks(STEPS).take(2 * PARTS).chain(alone).map(joined)))
}

fn topics() -> Seeds {
    let topic = || "match:a:chat".to_owned();
    let binary = |kind| (Ask::Binary as u8, TopicRequest { id: 1, kind: Some(kind) }.encode_to_vec());
    let text = |request: Value| (Ask::Text as u8, request.to_string().into_bytes());
    let service = |topic: &str, flags, kind| {
        let payload = Some(Payload { kind: Some(kind) });
        let publication = ServicePublication { topic: topic.to_owned(), flags, payload, ..Default::default() };
        (Ask::Service as u8, publication.encode_to_vec())
    };
    let say = |text: &str| {
        let payload = Some(Payload { kind: Some(payload::Kind::Text(text.to_owned())) });
        topic_request::Kind::Publish(Publish { topic: topic(), payload, key: "k".to_owned() })
    };
    let since = Some(Position { epoch: 1, offset: 0 });
    let all: Pieces = vec![
        binary(topic_request::Kind::Subscribe(Subscribe { topic: topic(), since: None })),
        binary(say("hello")),
        binary(say("a\u{202e}b\n\tc <b>\u{1f600}</b>")),
        text(json!({ "id": 1, "subscribe": { "topic": "match:a:chat" } })),
        text(json!({ "id": 2, "subscribe": { "topic": "match:a:view:0", "since": { "epoch": "5", "offset": 7 } } })),
        text(json!({ "publish": { "topic": "match:a:chat", "data": { "x": [1, 2.5e3, null, "\u{2028}"] } } })),
        text(json!({ "publish": { "topic": "match:a:chat", "payload": { "text": "hi" }, "key": "k" } })),
        text(json!({ "publish": { "topic": "match:a:chat", "payload": { "binary": "AP8=" } } })),
        text(json!({ "unsubscribe": { "topic": "match:a:chat" } })),
        service("match:a:view:0", 1, payload::Kind::Binary(Bytes::from_static(&[0, 255]))),
        service("match:a:view:0", 0, payload::Kind::Json("{\"a\":\r\n1}".to_owned())),
        service("match:a:stats", 0, payload::Kind::Text("line\nline".to_owned())),
        binary(topic_request::Kind::Unsubscribe(Unsubscribe { topic: topic() })),
        (Ask::Gone as u8, Vec::new()),
        binary(topic_request::Kind::Subscribe(Subscribe { topic: topic(), since })),
    ];
    let alone = all.iter().map(|piece| joined(std::slice::from_ref(piece)));
    numbered(alone.chain([joined(&all), joined(&all[3..11])]))
}

/// Inputs that end early, or belong to a tick before 0.
const SHORT_INPUTS: [&[u8]; 6] = [
    &[],
    &[0, 0, 0, 0],
    &[0, 0, 0, 0, 0x1f, 1, 2],
    &[3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0, 0],
    &[9, 0, 0, 0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

const TOKENS: [&str; 12] = [
    "",
    ".",
    "..",
    "e30.e30.",
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhbXBoaSJ9.",
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.eyJpc3MiOiJhbXBoaSJ9.AAAA",
    "eyJhbGciOiJFZERTQSIsImtpZCI6Im5vIn0.eyJpc3MiOiJhbXBoaSJ9.AAAA",
    "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ.AAAA",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ.AAAA",
    "eyJhbGciOiJFZERTQSIsImNyaXQiOltdfQ.eyJpc3MiOiJhbXBoaSJ9.AAAA",
    "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOjF9.AAAA",
    "not a token",
];

fn claims() -> Vec<Value> {
    let (jti, user) = ("tok_01ks8zrx000000000000000001", "usr_01ks8zrx000000000000000002");
    let life = |mut claims: Value, kind: &str| {
        claims["iss"] = json!("amphi");
        claims["aud"] = json!(format!("amphi:{kind}"));
        claims["iat"] = json!(1_763_000_000_u64);
        claims["exp"] = json!(1_763_000_600_u64);
        claims
    };
    let person = json!({ "jti": jti, "sub": user, "app": "default", "name": "Ada", "role": "user" });
    let player =
        json!({ "jti": jti, "sub": user, "app": "default", "name": "Ada", "match": "mch_01ks8zrx000000000000000009" });
    let mut reader = person.clone();
    reader["subscribe"] = json!(["match:a:chat", "match:a:view:0"]);
    let mut team = player.clone();
    team["team"] = json!(255);
    let theirs = |exp: Value| {
        json!({ "iss": "https://id.example", "aud": ["other", "amphi"], "sub": "somebody", "iat": 1_763_000_000.5,
            "exp": exp, "nbf": 1_763_000_000, "name": "Ben", "nested": { "deep": [1, [2, [3]]] } })
    };
    vec![
        life(person.clone(), "user"),
        life(reader, "user"),
        life(player.clone(), "connect"),
        life(team, "connect"),
        life(json!({ "sub": "fleet", "scope": "host.rooms" }), "service"),
        life(json!({ "sub": "fleet", "scope": "nothing" }), "service"),
        life(person, "connect"),
        life(player, "user"),
        theirs(json!(1_763_000_600)),
        theirs(json!(1e300)),
        theirs(json!(-1)),
        theirs(json!("soon")),
        json!({}),
        json!({ "iss": "amphi" }),
        json!({ "iss": ["amphi"], "aud": {}, "exp": null }),
    ]
}

fn jwks() -> Vec<Value> {
    let okp = |x: &str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x, "use": "sig", "alg": "EdDSA" });
    let public = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    // RFC 7517 appendix A.1.
    let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "e",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" });
    let rsa = json!({ "kty": "RSA", "kid": "r", "e": "AQAB", "n": "0".repeat(342) });
    let many: Vec<_> =
        (0..17).map(|n| json!({ "kty": "OKP", "crv": "Ed25519", "kid": n.to_string(), "x": public })).collect();
    vec![
        json!({ "keys": [okp(public)] }),
        json!({ "keys": [okp(public), ec, rsa] }),
        json!({ "keys": [okp("")] }),
        json!({ "keys": [okp("AA")] }),
        json!({ "keys": [okp("!")] }),
        json!({ "keys": [ec] }),
        json!({ "keys": [rsa] }),
        json!({ "keys": [{ "kty": "RSA", "kid": "r", "n": "AA", "e": "AQAB" }] }),
        json!({ "keys": [{ "kty": "oct", "k": "AA", "kid": "o" }] }),
        json!({ "keys": [{ "kty": "OKP", "crv": "X25519", "kid": "k", "x": public }] }),
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": public, "use": "enc" }] }),
        json!({ "keys": many }),
        json!({ "keys": [] }),
        json!({ "keys": {} }),
        json!([]),
    ]
}

/// Frames of a client (RFC 6455 section 5.2), masked with zeros, so that what they hold can be read here.
fn websocket() -> Vec<Vec<u8>> {
    let frame = |first: u8, payload: &[u8]| {
        let length = match payload.len() {
            short @ 0..=125 => vec![0x80 | short as u8],
            long => [&[0x80 | 126], &(long as u16).to_be_bytes()[..]].concat(),
        };
        [&[first][..], &length, &[0; 4], payload].concat()
    };
    let (long, inputs) = ([7; 300], datagram(1, LANE_INPUT, vec![1, 2, 3]));
    vec![
        frame(0x82, b"\x02hello"),
        frame(0x82, &[&[63][..], &inputs].concat()),
        frame(0x81, "grüß dich".as_bytes()),
        frame(0x82, &long),
        frame(0x89, b"ping"),
        frame(0x8a, b""),
        frame(0x88, &[0x03, 0xe8]),
        frame(0x88, b""),
        frame(0x88, &[0x03]),
        frame(0x88, &[0x0f, 0xa1, 0xff]),
        [frame(0x01, b"gr\xc3"), frame(0x89, b""), frame(0x80, b"\xbc")].concat(),
        [frame(0x02, b"a"), frame(0x00, b"b"), frame(0x80, b"c"), frame(0x88, &[0x03, 0xe8])].concat(),
        [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
        frame(0x81, b"\xff\xfe"),
        frame(0x80, b"nothing goes before"),
        frame(0xc2, b"reserved"),
        frame(0x83, b"unknown"),
        frame(0x09, b"a ping in pieces"),
        vec![0x82, 0x05, 1, 2, 3, 4, 5],
        vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        vec![0x82, 0xfe, 0x00, 0x05, 0, 0, 0, 0, 1, 2, 3, 4, 5],
        vec![0x82, 0x85, 0xa5, 0x5a, 0x0f, 0xf0, 1, 2, 3, 4, 5],
    ]
}

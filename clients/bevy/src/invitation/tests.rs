use super::*;

fn check(json: &str, expected: Result<&str, &str>) {
    let read = Invitation::from_json(json).map(|found| found.address.to_string()).map_err(|error| error.to_string());
    match (read, expected) {
        (Ok(address), Ok(expected)) => assert_eq!(address, expected),
        (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
        (read, expected) => panic!("{read:?} instead of {expected:?}"),
    }
}

#[test]
fn an_invitation_is_read_or_says_what_is_wrong() {
    let hash = "ab".repeat(HASH_BYTES);
    let seat = |transport: &str, url: &str, hash: &str| {
        format!(
            r#"{{"match_id":"x","token":"t","endpoints":[{{"transport":"{transport}","url":"{url}","cert_sha256":["{hash}"]}}]}}"#
        )
    };
    check(&seat("quic", "quic://127.0.0.1:7001", &hash), Ok("127.0.0.1:7001"));
    check(&seat("ws", "ws://127.0.0.1:7001", &hash), Err("no QUIC"));
    check(&seat("quic", "quic://127.0.0.1", &hash), Err("leads nowhere"));
    check(&seat("quic", "quic://127.0.0.1:7001", "ab"), Err("no SHA-256"));
    check(&seat("quic", "quic://127.0.0.1:7001", &"é".repeat(HASH_BYTES)), Err("no SHA-256"));
    check("{}", Err("not the `match` of a matched ticket"));
}

//! The service over HTTP: probes, guests, the queue, operators, and an orderly end.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{Up, amphi, run};

/// A person who talks to the service.
pub(crate) struct Person {
    url: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Person {
    fn stranger(up: &Up) -> Self {
        // An error says that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url: up.url.clone(), http: reqwest::Client::builder().no_proxy().build().unwrap(), token: None }
    }

    pub(crate) async fn guest(up: &Up, name: &str) -> Self {
        let mut person = Self::stranger(up);
        let (status, answer) = person.call(Method::POST, "/api/v1/auth/guest", json!({ "name": name })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        person.token = Some(answer["token"].as_str().unwrap().to_owned());
        person
    }

    async fn signed_in(up: &Up, link: &str) -> (StatusCode, Self) {
        let mut person = Self::stranger(up);
        let code = link.rsplit('#').next().unwrap();
        let (status, answer) = person.call(Method::POST, "/api/v1/auth/signin", json!({ "code": code })).await;
        person.token = answer["token"].as_str().map(str::to_owned);
        (status, person)
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut call = self.http.request(method, format!("{}{path}", self.url)).json(&body);
        if let Some(token) = &self.token {
            call = call.bearer_auth(token);
        }
        let answer = call.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    /// Queues for a mode and waits for the match.
    pub(crate) async fn play(&self, mode: &str) -> Value {
        let (status, ticket) = self.call(Method::POST, "/api/v1/matchmaking/queue", json!({ "mode": mode })).await;
        assert!(status.is_success(), "{ticket}");
        let path = format!("/api/v1/matchmaking/queue/{}?wait_ms=25000", ticket["ticket"].as_str().unwrap());
        for _ in 0..4 {
            let (_, ticket) = self.get(&path).await;
            match ticket["state"].as_str() {
                Some("matched") => return ticket["match"].clone(),
                Some("queued" | "claimed") => {}
                _ => panic!("{ticket}"),
            }
        }
        panic!("no match in time")
    }
}

/// The word after `marker` in the greeting.
fn link(up: &Up, marker: &str) -> Option<String> {
    let line = up.greeting.iter().find(|line| line.trim().starts_with(marker))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

#[tokio::test]
async fn a_guest_is_matched_with_bots_and_everyone_sees_the_match() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let stranger = Person::stranger(&up);
    for probe in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(stranger.get(probe).await.0, StatusCode::OK, "{probe}");
    }
    let (status, problem) = stranger.call(Method::POST, "/api/v1/matchmaking/queue", json!({ "mode": "2v2" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("A0200")));

    let ada = Person::guest(&up, "Ada").await;
    let found = ada.play("blitz").await;
    let transports: Vec<&str> =
        found["endpoints"].as_array().unwrap().iter().map(|e| e["transport"].as_str().unwrap()).collect();
    assert_eq!(transports, ["quic", "webtransport", "ws", "ws"]);
    assert!(found["token"].as_str().unwrap().len() > 100);

    let id = found["match_id"].as_str().unwrap();
    let (_, matches) = stranger.get("/api/v1/matches").await;
    assert!(matches["matches"].as_array().unwrap().iter().any(|m| m["id"] == id), "{matches}");
    let (status, _) = stranger.get("/api/v1/matches/mch_00000000000000000000000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let seat = Person::guest(&up, "Bob").await;
    let (status, seat) = seat.call(Method::POST, &format!("/api/v1/matches/{id}/seat"), json!({})).await;
    assert!(status.is_success(), "{seat}");
    assert_eq!(seat["match_id"], id);
}

#[tokio::test]
async fn pages_of_any_origin_load_the_client_and_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let url = format!("{}/sdk/amphi.js", up.url);
    let client = Person::stranger(&up).http;
    let loaded = client.get(&url).header("origin", "https://other.example").send().await.unwrap();
    assert_eq!(loaded.status(), StatusCode::OK, "run `npm run build` in clients/web");
    let header = |name: &str| loaded.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    assert_eq!(header("amphi-version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let etag = header("etag").unwrap();
    let text = loaded.text().await.unwrap();
    assert!(text.starts_with(concat!("/*! amphi ", env!("CARGO_PKG_VERSION"))), "{}", &text[..60]);
    let again = client.get(&url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn operators_sign_in_once_and_guests_see_no_operations() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let first = up.line_with("Operator");
    let first = first.split_whitespace().nth(1).unwrap();
    let (status, operator) = Person::signed_in(&up, first).await;
    assert_eq!(status, StatusCode::OK);
    let (status, overview) = operator.get("/api/v1/ops/overview").await;
    assert_eq!(status, StatusCode::OK);
    assert!(overview["fleet"]["hosts"].is_array() && overview["live"].is_object() && overview["match"].is_object());
    let (status, _) = Person::signed_in(&up, first).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let guest = Person::guest(&up, "Eve").await;
    let (status, problem) = guest.get("/api/v1/ops/overview").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("A0206")));

    let data = folder.path().to_str().unwrap();
    let add = ["user", "add", "Grace", "--role", "operator", "--data", data];
    let (code, printed, said) = run(amphi().args(add));
    assert_eq!(code, Some(0), "{said}");
    let (status, _) = Person::signed_in(&up, printed.trim()).await;
    assert_eq!(status, StatusCode::OK);
    let (code, _, said) = run(amphi().args(add));
    assert_eq!(code, Some(1));
    assert!(said.contains("A0505"), "{said}");

    assert_eq!(up.terminate().code(), Some(0));
    let (code, printed, said) = run(amphi().args(["user", "add", "Hopper", "--role", "moderator", "--data", data]));
    assert_eq!(code, Some(0), "{said}");
    let up = Up::start(folder.path(), &[]);
    assert!(link(&up, "Operator").is_none(), "the link is printed on the first start only");
    let (status, _) = Person::signed_in(&up, printed.trim()).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn sigterm_lets_a_match_finish_and_exits_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let ada = Person::guest(&up, "Ada").await;
    ada.play("blitz").await;
    assert_eq!(up.terminate().code(), Some(0));
}

#[tokio::test]
async fn hostile_words_are_refused_or_stay_words() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let stranger = Person::stranger(&up);
    let name = "'; DROP TABLE users;--";
    let (_, answer) = stranger.call(Method::POST, "/api/v1/auth/guest", json!({ "name": name })).await;
    assert_eq!(answer["user"]["name"], name);
    let (_, answer) = stranger.call(Method::POST, "/api/v1/auth/guest", json!({ "name": "<b>x</b>" })).await;
    assert_eq!(answer["user"]["name"], "<b>x</b>");
    for bad in [
        json!({ "name": "" }),
        json!({ "name": "x".repeat(25) }),
        json!({ "name": "a\u{202e}b" }),
        json!({ "name": 7 }),
    ] {
        let (status, _) = stranger.call(Method::POST, "/api/v1/auth/guest", bad.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (status, _) = stranger.call(Method::POST, "/api/v1/auth/guest", json!({ "name": "x".repeat(1_000_000) })).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let guest = Person::guest(&up, "Mallory").await;
    let (status, problem) = guest.call(Method::POST, "/api/v1/matchmaking/queue", json!({ "mode": "1000v1000" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_REQUEST, Some("A0403")));
    let (status, problem) = guest.call(Method::PUT, "/api/v1/matches", json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::METHOD_NOT_ALLOWED, Some("A0503")));
    let (status, problem) = guest.get("/api/v1/nothing").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("A0502")));
}

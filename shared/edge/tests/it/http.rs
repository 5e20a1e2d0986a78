//! HTTP: access, problems, bodies, the page, and calls between services.

use std::time::Duration;

use amphi_shared_auth::{Role, Scope};
use amphi_shared_edge::Origins;
use amphi_shared_edge::http::{Access, Event, Problem, Request, Response, Routes, asset, probes};
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::HTTP_BODY_BYTES_MAX;
use amphi_shared_wire::proto::{MatchInfo, MatchQuery};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, patient};

fn routes() -> Routes {
    let page = |path: &str| match path {
        "/" | "/m/mch_1" => Some(asset("/index.html", "<html>")),
        "/assets/app-3f9a01bc.js" => Some(asset(path, "let a")),
        _ => None,
    };
    Routes::new()
        .post("/api/v1/echo/{id}", Access::Public, echo)
        .get("/api/v1/me", Access::User, |request| async move { Ok(Response::text(request.user()?.name.clone())) })
        .get("/api/v1/ops", Access::Role(Role::Operator), |_| async { Ok(Response::empty()) })
        .get("/api/v1/events", Access::Public, |_| async {
            let (events, response) = Response::events();
            for n in ["1", "2"] {
                events.send(Event::new(Some(n), Some("count"), n)).map_err(Problem::internal)?;
            }
            Ok(response)
        })
        .get("/api/v1/panic", Access::Public, |_| async { panic!("a handler's mistake") })
        .post("/internal/v1/fleet/match", Access::Service(Scope::FleetRead), |request| async move {
            let query: MatchQuery = request.proto()?;
            if query.match_id.is_empty() {
                return Err(Problem::from(Code::MatchUnknown).retry_after(1_500));
            }
            Ok(Response::proto(&MatchInfo { match_id: query.match_id, ..Default::default() }))
        })
        .merge(probes(|| Err("starting".to_owned()), Access::Public))
        .fallback(page)
}

async fn echo(request: Request) -> Result<Response, Problem> {
    #[derive(serde::Deserialize)]
    struct Body {
        name: String,
    }
    let body: Body = request.json()?;
    let answer = json!({ "id": request.param("id"), "q": request.query("q"), "name": body.name });
    Ok(Response::created_json(&answer))
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One request, byte for byte, so that it can be as wrong as wanted.
async fn ask(server: &Server, request: &str) -> Answer {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    patient(stream.read_to_end(&mut bytes)).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

async fn call(server: &Server, start: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request =
        format!("{start} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    ask(server, &request).await
}

fn server() -> Server {
    Server::with(routes(), Origins::Any)
}

#[tokio::test]
async fn a_handler_gets_path_query_and_body() {
    let server = server();
    let answer = call(&server, "POST /api/v1/echo/7?q=a%20b&r=", "", r#"{"name":"Ada"}"#).await;
    assert_eq!((answer.status, answer.json()), (201, json!({ "id": "7", "q": "a b", "name": "Ada" })));
    assert!(answer.head.contains("x-request-id: ") && answer.head.contains("cache-control: no-store"));
}

#[tokio::test]
async fn an_answer_may_be_events() {
    let server = server();
    let answer = call(&server, "GET /api/v1/events", "", "").await;
    assert!(answer.head.contains("content-type: text/event-stream") && answer.head.contains("x-accel-buffering: no"));
    let events: Vec<&str> = answer.body.lines().filter(|line| line.contains(": ")).collect();
    assert_eq!(events, ["id: 1", "event: count", "data: 1", "id: 2", "event: count", "data: 2"]);
}

#[tokio::test]
async fn problems_are_numbered() {
    let server = server();
    let wrong = call(&server, "POST /api/v1/echo/7", "", r#"{"nam":1}"#).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.head.contains("content-type: application/problem+json"));
    let problem = wrong.json();
    assert_eq!((&problem["code"], &problem["name"]), (&json!("A0500"), &json!("RequestInvalid")));
    assert_eq!((&problem["action"], &problem["type"]), (&json!("stop"), &json!("urn:amphi:code:A0500")));
    assert!(problem["detail"].as_str().unwrap().contains("missing field `name`"));
    assert!(wrong.head.contains(problem["request_id"].as_str().unwrap()));
    let panic = call(&server, "GET /api/v1/panic", "", "").await;
    assert_eq!((panic.status, &panic.json()["code"]), (500, &json!("A0900")));
    // Whoever may try again hears when.
    assert_eq!(panic.json()["retry_after_ms"], 1_000);
    assert!(panic.head.contains("retry-after: 1\r\n") && !wrong.head.contains("retry-after"), "{}", panic.head);
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_refused() {
    let server = server();
    let check = async |start: &str, status: u16, code: &str| {
        let answer = call(&server, start, "", "").await;
        assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (status, code), "{start}");
    };
    check("GET /api/v1/nothing", 404, "A0502").await;
    check("POST /", 404, "A0502").await;
    check("GET /api/v1/echo/7", 405, "A0503").await;
    check("BREW /api/v1/echo/7", 405, "A0503").await;
    check("POST /session", 405, "A0503").await;
    check("GET /session", 400, "A0500").await;
    let internal = call(&server, "GET /internal/v1/nothing", "", "").await;
    assert!(internal.head.contains("application/x-protobuf"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = server();
    let stated = format!("POST /api/v1/echo/7 HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", u64::MAX / 2);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(stated.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    patient(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    let hidden = "a".repeat(HTTP_BODY_BYTES_MAX + 1);
    let chunked = format!(
        "POST /api/v1/echo/7 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
        hidden.len()
    );
    let answer = ask(&server, &chunked).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("A0504")));
}

#[tokio::test]
async fn every_route_keeps_its_access_rule() {
    let server = server();
    let check = async |start: &str, token: Option<String>, status: u16| {
        let header = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        assert_eq!(call(&server, start, &header, "").await.status, status, "{start}");
    };
    let (guest, operator) = (server.user_token(Role::Guest), server.user_token(Role::Operator));
    check("GET /api/v1/me", None, 401).await;
    check("GET /api/v1/me", Some("rubbish".into()), 401).await;
    check("GET /api/v1/me", Some(guest.clone()), 200).await;
    let lower = format!("authorization: bearer  {guest}\r\n");
    assert_eq!(call(&server, "GET /api/v1/me", &lower, "").await.status, 200, "the scheme has no case");
    check("GET /api/v1/ops", Some(guest), 403).await;
    check("GET /api/v1/ops", Some(operator.clone()), 204).await;
    check("POST /internal/v1/fleet/match", Some(operator), 401).await;
    check("POST /internal/v1/fleet/match", Some(server.service_token(Scope::HostDrain)), 403).await;
    check("POST /internal/v1/fleet/match", Some(server.service_token(Scope::FleetRead)), 404).await;
    let table = routes().table();
    assert_eq!(table.len(), 9);
    assert!(table.iter().any(|(_, path, access)| path == "/api/v1/ops" && *access == Access::Role(Role::Operator)));
}

#[tokio::test]
async fn the_page_is_served_and_cached() {
    let server = server();
    let index = call(&server, "GET /m/mch_1", "", "").await;
    assert_eq!((index.status, index.body.as_str()), (200, "<html>"));
    assert!(index.head.contains("content-type: text/html") && index.head.contains("cache-control: no-cache"));
    let script = call(&server, "GET /assets/app-3f9a01bc.js", "", "").await;
    assert!(script.head.contains("text/javascript") && script.head.contains("immutable"));
    let etag = script.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = call(&server, "GET /assets/app-3f9a01bc.js", &format!("if-none-match: {etag}\r\n"), "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let head = call(&server, "HEAD /", "", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn probes_answer() {
    let server = server();
    assert_eq!(call(&server, "GET /healthz", "", "").await.status, 200);
    let ready = call(&server, "GET /readyz", "", "").await;
    assert_eq!((ready.status, &ready.json()["detail"]), (503, &json!("starting")));
    assert_eq!(call(&server, "GET /metrics", "", "").await.status, 200);
}

#[tokio::test]
async fn services_call_each_other() {
    let server = server();
    let token = server.service_token(Scope::FleetRead);
    let client = ServiceClient::new(&server.url("/"), move |_| token.clone()).unwrap();
    let query = |id: &str| MatchQuery { match_id: id.to_owned() };
    let info: MatchInfo = client.call("/internal/v1/fleet/match", &query("mch_1")).await.unwrap();
    assert_eq!(info.match_id, "mch_1");
    let refused = client.call::<_, MatchInfo>("/internal/v1/fleet/match", &query("")).await.unwrap_err();
    let expected = ServiceFailure::Refused {
        code: Code::MatchUnknown,
        message: Code::MatchUnknown.help().to_owned(),
        retry_after_ms: 1_500,
    };
    assert_eq!(refused, expected);
    let nobody = ServiceClient::new("http://127.0.0.1:1", |_| String::new()).unwrap();
    let nobody = nobody.with_timeout(Duration::from_secs(5));
    let failure = nobody.call::<_, MatchInfo>("/internal/v1/fleet/match", &query("x")).await.unwrap_err();
    assert!(matches!(failure, ServiceFailure::Unreachable(_)));
    assert_eq!((failure.code(), Problem::from(failure).status), (Code::Unavailable, 503));
}

#[tokio::test]
async fn pages_of_other_origins_may_call_when_they_are_named() {
    const PREFLIGHT: &str = "access-control-request-method: POST\r\n";
    let named = Server::with(routes().origins(["https://shop.example".to_owned()]), Origins::Any);
    let all = Server::with(routes().origins(["*".to_owned()]), Origins::Any);
    let nobody = server();
    let allowed = |answer: &Answer| {
        let header = answer.head.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
        header.map(str::to_owned)
    };
    let ours = "origin: https://shop.example\r\n";
    for (server, origin, expected) in [
        (&named, ours, Some("https://shop.example")),
        (&named, "origin: https://shop.example.evil.example\r\n", None),
        (&named, "origin: http://shop.example\r\n", None),
        (&named, "origin: null\r\n", None),
        (&all, ours, Some("*")),
        (&nobody, ours, None),
    ] {
        let preflight = call(server, "OPTIONS /api/v1/echo/7", &format!("{origin}{PREFLIGHT}"), "").await;
        assert_eq!(allowed(&preflight).as_deref(), expected, "{origin}");
        if expected.is_some() {
            assert_eq!(preflight.status, 204);
            assert!(preflight.head.contains("access-control-allow-headers: authorization, content-type"));
        } else {
            assert_eq!((preflight.status, &preflight.json()["code"]), (403, &json!("A0118")));
        }
        let real = call(server, "POST /api/v1/echo/7", origin, r#"{"name":"Ada"}"#).await;
        assert_eq!((real.status, allowed(&real).as_deref()), (201, expected));
        let refused = call(server, "GET /api/v1/me", origin, "").await;
        assert_eq!((refused.status, allowed(&refused).as_deref()), (401, expected), "problems can be read too");
        for answer in [preflight, real, refused] {
            assert!(!answer.head.contains("allow-credentials"), "{}", answer.head);
        }
    }
    let cached = call(&named, "GET /api/v1/me", "", "").await;
    assert!(cached.head.contains("vary: origin"), "{}", cached.head);
    // What is not for programs is for nobody else's pages.
    for path in ["/", "/metrics", "/internal/v1/fleet/match"] {
        let answer = call(&named, &format!("GET {path}"), ours, "").await;
        assert_eq!(allowed(&answer), None, "{path}");
    }
    let plain = call(&named, "OPTIONS /api/v1/echo/7", "", "").await;
    assert_eq!(plain.status, 405);
}

#[tokio::test]
async fn a_key_passes_to_the_handler_and_a_token_is_checked_before_it() {
    let who = |request: Request| async move {
        let caller = request.caller.as_ref().map(|caller| caller.name.clone());
        Ok(Response::json(&json!([caller, request.bearer()])))
    };
    let routes = Routes::new()
        .get("/api/v1/keyed", Access::Key { guests: false }, who)
        .get("/api/v1/open", Access::Key { guests: true }, who)
        .post("/api/v1/keyed", Access::Key { guests: false }, who)
        .body_bytes_max(amphi_shared_edge::http::Method::Post, "/api/v1/keyed", 3);
    let server = Server::with(routes, Origins::Any);
    let ask = async |start: &str, token: &str| {
        let header = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let answer = call(&server, start, &header, "").await;
        (answer.status, answer.json())
    };
    let guest = server.user_token(Role::Guest);
    assert_eq!(ask("GET /api/v1/keyed", "amk_x").await, (200, json!([null, "amk_x"])));
    assert_eq!(ask("GET /api/v1/keyed", "").await.0, 401);
    assert_eq!(ask("GET /api/v1/open", "").await, (200, json!([null, null])));
    for path in ["GET /api/v1/keyed", "GET /api/v1/open"] {
        assert_eq!(ask(path, "rubbish").await.0, 401, "{path}");
        assert_eq!(ask(path, &guest).await.1[1], guest);
        assert!(ask(path, &guest).await.1[0].is_string());
    }
    let key = "authorization: Bearer amk_x\r\n";
    assert_eq!(call(&server, "POST /api/v1/keyed", key, "abc").await.status, 200);
    assert_eq!(call(&server, "POST /api/v1/keyed", key, "abcd").await.status, 413);
}

#[test]
fn the_document_holds_every_route_for_programs_and_no_other() {
    use amphi_shared_edge::http::{Method, Operation, openapi};
    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "its schema is asked for")]
    struct Echo {
        /// Who.
        name: String,
    }
    let echo = Operation::new("echo", "Say it again")
        .path("id", "An id.")
        .query("q", "Anything.")
        .body::<Echo>(json!({ "name": "Ada" }))
        .answer_with::<Echo>(201);
    let routes = routes().describe(Method::Post, "/api/v1/echo/{id}", echo);
    assert_eq!(routes.undescribed(), ["GET /api/v1/me", "GET /api/v1/ops", "GET /api/v1/events", "GET /api/v1/panic"]);
    let document = openapi(&routes, ("Test", "1"));
    assert_eq!(document["openapi"], "3.1.0");
    let stated: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(stated, ["/api/v1/echo/{id}", "/api/v1/events", "/api/v1/me", "/api/v1/ops", "/api/v1/panic"]);
    let echo = &document["paths"]["/api/v1/echo/{id}"]["post"];
    assert_eq!(echo["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Echo");
    assert_eq!(echo["responses"]["201"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Echo");
    assert_eq!(document["components"]["schemas"]["Echo"]["properties"]["name"]["description"], "Who.");
    assert_eq!((&echo["parameters"][0]["in"], &echo["parameters"][1]["in"]), (&json!("path"), &json!("query")));
    let problem = &echo["responses"]["default"]["content"]["application/problem+json"]["schema"];
    assert_eq!(problem["$ref"], "#/components/schemas/Problem");
    assert_eq!(document["paths"]["/api/v1/me"]["get"]["security"], json!([{ "token": [] }]));
}

//! People of other issuers: tokens that five languages sign with a shared secret, and those of a real OpenID provider.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::Up;

const SECRET: &str = "thirty-two bytes that are shared";
const ROOMS: &str = "[[live.class]]\nprefix = \"room\"\nsubscribe = \"token\"\npublish = \"token\"\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// A language of the guide: its file, and what runs it in that folder.
const LANGUAGES: [(&str, &str); 5] = [
    ("token.mjs", "node token.mjs"),
    ("token.py", "python3 token.py"),
    ("token.go", "GOCACHE=$OUT go run token.go"),
    ("token.php", "php token.php"),
    ("Token.cs", "mcs -out:$OUT/Token.exe Token.cs && mono $OUT/Token.exe"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `amphi up` with these settings in its data folder.
fn up(folder: &Path, settings: &str) -> Up {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = folder.join("amphi.toml");
    fs::write(&file, settings).unwrap();
    Up::start(&folder.join("data"), &["--config", file.to_str().unwrap()])
}

/// Publishes as the person of a token: the status, and the answer.
async fn publish(up: &Up, token: &str, topic: &str) -> (u16, Value) {
    let http = Client::builder().no_proxy().build().unwrap();
    let call = http.post(format!("{}/api/v1/topics/messages", up.url)).bearer_auth(token);
    let answer = call.body(json!({ "topic": topic, "text": "hello" }).to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn every_language_of_the_guide_signs_a_token_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let issuer = "[[auth.issuers]]\nissuer = \"https://example.org\"\naudience = \"example\"\n";
    let up = up(folder.path(), &format!("{issuer}secret_file = {:?}\n{ROOMS}", secret.to_str().unwrap()));
    let examples = root().join("examples/sign-in");
    for (file, command) in LANGUAGES {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&examples).env("AMPHI_SECRET", SECRET).env("OUT", folder.path());
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {said}\nIs it installed? Run `cargo xtask setup`.");
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let (status, answer) = publish(&up, &token, "room:1").await;
        assert_eq!((status, answer["topic"].as_str()), (200, Some("room:1")), "{file}: {answer}");
        let (status, answer) = publish(&up, &token, "room:2").await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("A0303")), "{file}: {answer}");
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for (forged, code) in [
            (format!("{none}.{claims}."), "A0215"),
            (format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(other(claims))), "A0201"),
        ] {
            let (status, answer) = publish(&up, &forged, "room:1").await;
            assert_eq!((status, answer["code"].as_str()), (401, Some(code)), "{file}: {answer}");
        }
    }
}

/// The claims of somebody else.
fn other(claims: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap().replace("\"17\"", "\"18\"")
}

#[test]
fn the_guide_shows_the_examples_as_they_are() {
    let guide = fs::read_to_string(root().join("docs/guides/sign-in.md")).unwrap();
    for (file, _) in LANGUAGES {
        let text = fs::read_to_string(root().join("examples/sign-in").join(file)).unwrap();
        assert!(guide.contains(&text), "docs/guides/sign-in.md shows another {file}");
    }
}

/// The provider of `clients/web/e2e/sign-in`, ended when it is dropped.
struct Provider {
    process: Child,
    url: String,
}

impl Provider {
    fn start() -> Self {
        let script = root().join("clients/web/e2e/sign-in/issuer.mjs");
        let mut node = Command::new("node");
        let mut process = node.arg(script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http"), "the provider did not start: run `npm ci` in clients/web");
        Self { process, url: url.trim().to_owned() }
    }

    /// A token for a program that the provider knows.
    async fn token(&self, program: &str) -> String {
        let http = Client::builder().no_proxy().build().unwrap();
        let call = http.post(format!("{}/token", self.url)).basic_auth(program, Some("secret"));
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let call = call.body("grant_type=client_credentials&scope=chat&resource=urn:arena");
        let answer: Value = call.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn those_whom_an_openid_provider_knows_read_and_publish() {
    let (provider, folder) = (Provider::start(), tempfile::tempdir().unwrap());
    let issuer = format!(
        "[[auth.issuers]]\nissuer = \"{0}\"\naudience = \"arena\"\njwks_url = \"{0}/jwks\"\nalgorithms = [\"ES256\"]\n\
         [auth.issuers.scopes.chat]\npublish = [\"room:*\"]\nread = [\"room:*\"]\n",
        provider.url
    );
    let up = up(folder.path(), &format!("{issuer}{ROOMS}"));
    let token = provider.token("bot-ec").await;
    // The key set is read when the process starts, and again when a key is missing.
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, answer) = publish(&up, &token, "room:1").await;
        if status == 200 {
            break;
        }
        assert_eq!(answer["code"], "A0216", "{answer}");
        assert!(tokio::time::Instant::now() < until, "the keys did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let http = Client::builder().no_proxy().build().unwrap();
    let events = http.get(format!("{}/api/v1/topics/events?topic=room:1", up.url)).bearer_auth(&token);
    let mut events = events.send().await.unwrap();
    assert_eq!(events.status(), 200);
    let (status, answer) = publish(&up, &token, "room:1").await;
    assert_eq!((status, answer["offset"].as_str()), (200, Some("2")));
    let mut read = String::new();
    while !read.contains("\"offset\":\"2\"") {
        let chunk = tokio::time::timeout(PATIENCE, events.chunk()).await.unwrap().unwrap().unwrap();
        read.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(read.contains("hello"), "{read}");
    // The same provider signs for this program with a key that the settings do not take.
    let (status, answer) = publish(&up, &provider.token("bot-rsa").await, "room:1").await;
    assert_eq!((status, answer["code"].as_str()), (503, Some("A0216")), "{answer}");
}

use amphi_shared_auth::Keyring;
use amphi_shared_wire::UserId;
use bevy_app::{App, Plugin};

use super::*;

const NOW: Micros = Micros::from_secs(1_763_000_000);
const MATCH: MatchId = MatchId::from_bits(1);

#[derive(Clone)]
struct Nothing;

impl Plugin for Nothing {
    fn build(&self, _: &mut App) {}
}

struct Door {
    admission: Admission,
    keyring: Keyring,
}

impl Door {
    fn new() -> Self {
        let keyring = Keyring::generate();
        let mut admission = Admission::new(AppId::default(), Game::new("nothing", Nothing), keyring.verifier());
        admission.match_opened(MATCH, 3);
        Self { admission, keyring }
    }

    fn token(&self) -> ConnectToken {
        ConnectToken {
            id: TokenId::from_bits(9),
            match_id: MATCH,
            user: UserId::from_bits(7),
            app: AppId::default(),
            name: "Ada".into(),
            team: None,
            trace: TokenId::from_bits(9).into(),
            expires: NOW + Micros::from_secs(60),
        }
    }

    fn hello(&self, token: &ConnectToken) -> ClientHello {
        ClientHello {
            protocol: 1,
            app: AppId::default(),
            game: "nothing".into(),
            build: String::new(),
            schema_hash: self.admission.game.schema().hash(),
            tables_known: Vec::new(),
            capabilities: Vec::new(),
            token: self.keyring.mint_connect(NOW, token),
            resume: None,
        }
    }

    fn refusal(&mut self, now: Micros, hello: &ClientHello) -> Code {
        self.admission.route(now, hello).unwrap_err().code
    }
}

#[test]
fn a_token_is_good_once() {
    let mut door = Door::new();
    let token = door.token();
    let hello = door.hello(&token);
    assert_eq!(door.admission.route(NOW, &hello), Ok(Route::Join { worker: 3, token: token.clone(), replaces: None }));
    assert_eq!(door.refusal(NOW, &hello), Code::TokenUsed);
    door.admission.token_unused(token.id);
    assert!(door.admission.route(NOW, &hello).is_ok(), "it found no seat, so it may be tried again");
    assert_eq!(door.refusal(token.expires, &hello), Code::TokenExpired);
    let other = ConnectToken { id: TokenId::from_bits(10), expires: NOW + Micros::from_secs(120), ..token };
    let other = door.hello(&other);
    assert!(door.admission.route(NOW + Micros::from_secs(60), &other).is_ok());
    assert_eq!(door.admission.used.len(), 1, "expired tokens are forgotten");
}

#[test]
fn a_used_token_may_replace_the_session_it_opened() {
    let mut door = Door::new();
    let (token, first, second) = (door.token(), SessionId::from_bits(1), SessionId::from_bits(2));
    let hello = door.hello(&token);
    let join = |replaces| Ok(Route::Join { worker: 3, token: token.clone(), replaces });
    assert_eq!(door.admission.route(NOW, &hello), join(None));
    door.admission.session_opened(first, 3, &token);
    assert_eq!(door.admission.route(NOW, &hello), join(Some(first)));
    door.admission.session_opened(second, 3, &token);
    door.admission.session_ended(first);
    assert_eq!(door.admission.route(NOW, &hello), join(Some(second)));
    door.admission.session_ended(second);
    assert_eq!(door.refusal(NOW, &hello), Code::TokenUsed);
}

#[test]
fn every_wrong_token_has_its_code() {
    let mut door = Door::new();
    let elsewhere = ConnectToken { match_id: MatchId::from_bits(2), ..door.token() };
    let elsewhere = door.hello(&elsewhere);
    assert_eq!(door.refusal(NOW, &elsewhere), Code::TokenWrongMatch);
    let shop = ConnectToken { app: "shop".parse().unwrap(), ..door.token() };
    let shop = door.hello(&shop);
    assert_eq!(door.refusal(NOW, &shop), Code::TokenWrongApp);
    let good = door.hello(&door.token());
    assert_eq!(door.refusal(NOW, &ClientHello { token: String::new(), ..good.clone() }), Code::TokenMissing);
    assert_eq!(door.refusal(NOW, &ClientHello { token: "x.y.z".into(), ..good.clone() }), Code::TokenInvalid);
    assert_eq!(door.refusal(NOW, &ClientHello { game: "chess".into(), ..good.clone() }), Code::SchemaUnsupported);
    door.admission.match_ended(MATCH);
    assert_eq!(door.refusal(NOW, &good), Code::MatchEnded);
}

#[test]
fn another_build_of_the_game_is_let_in() {
    let mut door = Door::new();
    let older = ClientHello { schema_hash: 1, ..door.hello(&door.token()) };
    assert!(matches!(door.admission.route(NOW, &older), Ok(Route::Join { .. })));
}

#[test]
fn a_session_is_found_until_it_ends() {
    let mut door = Door::new();
    let session = SessionId::from_bits(4);
    let resume = ResumeRequest {
        session,
        secret: [0; 16],
        generation: 1,
        received: Vec::new(),
        welcomed: 0,
        lost: Vec::new(),
        topics: Vec::new(),
    };
    let hello = ClientHello { resume: Some(resume), ..door.hello(&door.token()) };
    assert_eq!(door.refusal(NOW, &hello), Code::SessionUnknown);
    door.admission.session_opened(session, 2, &door.token());
    assert_eq!(door.admission.route(NOW, &hello), Ok(Route::Resume { worker: 2, match_id: MATCH, session }));
    door.admission.session_ended(session);
    assert_eq!(door.refusal(NOW, &hello), Code::SessionUnknown);
}

#[test]
fn matches_go_to_the_least_busy_worker() {
    let mut door = Door::new();
    assert_eq!(door.admission.least_busy(4), 0);
    door.admission.match_opened(MatchId::from_bits(2), 0);
    assert_eq!(door.admission.least_busy(4), 1);
    assert_eq!(door.admission.least_busy(1), 0);
}

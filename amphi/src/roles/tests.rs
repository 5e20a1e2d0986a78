//! Every route has a stated rule, and this is the statement.

use std::path::Path;

use amphi_shared_auth::{Role as UserRole, Scope};
use amphi_shared_edge::http::Method;
use amphi_shared_replica::{Mode, ReplicaApp};
use bevy_app::App;

use super::*;

/// Who may call what. Guests are users: they may play, watch and chat; everything else needs a role.
const RULES: &[(Method, &str, Access)] = &[
    (Method::Get, "/healthz", Access::Public),
    (Method::Get, "/readyz", Access::Public),
    (Method::Get, "/metrics", Access::Public),
    (Method::Get, "/.well-known/jwks.json", Access::Public),
    (Method::Get, "/api/v1/time", Access::Public),
    (Method::Get, "/api/v1/topics/events", Access::Public),
    (Method::Post, "/api/v1/topics/messages", Access::Key { guests: false }),
    (Method::Get, "/api/v1/topics/history", Access::Key { guests: true }),
    (Method::Get, "/api/v1/topics/presence", Access::Key { guests: false }),
    (Method::Post, "/api/v1/sessions/disconnect", Access::Key { guests: false }),
    (Method::Get, "/api/docs", Access::Public),
    (Method::Get, "/api/v1/openapi.json", Access::Public),
    (Method::Post, "/api/v1/auth/guest", Access::Public),
    (Method::Post, "/api/v1/auth/signin", Access::Public),
    (Method::Get, "/api/v1/modes", Access::Public),
    (Method::Get, "/api/v1/matches", Access::Public),
    (Method::Get, "/api/v1/matches/{id}", Access::Public),
    (Method::Post, "/api/v1/matches/{id}/seat", Access::User),
    (Method::Post, "/api/v1/matchmaking/queue", Access::User),
    (Method::Get, "/api/v1/matchmaking/queue/{ticket}", Access::User),
    (Method::Delete, "/api/v1/matchmaking/queue/{ticket}", Access::User),
    (Method::Get, "/api/v1/ratings/me", Access::User),
    (Method::Get, "/api/v1/ops/overview", Access::Role(UserRole::Operator)),
    (Method::Post, "/internal/v1/fleet/allocate", Access::Service(Scope::FleetAllocate)),
    (Method::Post, "/internal/v1/fleet/match", Access::Service(Scope::FleetRead)),
    (Method::Post, "/internal/v1/fleet/report", Access::Service(Scope::FleetReport)),
    (Method::Post, "/internal/v1/results", Access::Service(Scope::MatchResults)),
    (Method::Post, "/internal/v1/topics/publish", Access::Service(Scope::LivePublish)),
    (Method::Post, "/internal/v1/topics/presence", Access::Service(Scope::LivePublish)),
    (Method::Post, "/internal/v1/tokens", Access::Service(Scope::LiveTokens)),
    (Method::Post, "/internal/v1/tokens/revoke", Access::Service(Scope::LiveTokens)),
    (Method::Post, "/internal/v1/keys", Access::Service(Scope::LiveKeys)),
    (Method::Post, "/internal/v1/keys/list", Access::Service(Scope::LiveKeys)),
    (Method::Post, "/internal/v1/keys/revoke", Access::Service(Scope::LiveKeys)),
    (Method::Post, "/internal/v1/users", Access::Service(Scope::LiveUsers)),
];

fn game(app: &mut App) {
    app.modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 1 }]);
}

/// Roles that start no host.
fn roles(folder: &Path) -> Roles {
    Roles::open(Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: folder.to_owned(),
        fleet: crate::config::Fleet { warm_rooms: 0, ..Default::default() },
        ..Settings::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_certificate_is_renewed_when_half_of_its_life_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut roles = roles(folder.path());
    roles.start_live().await.unwrap();
    let listening = roles.listen(&Shutdown::new()).unwrap();
    let hashes = || listening.endpoints("localhost", "")[0].cert_sha256.clone();
    let first = roles.certificate().unwrap();
    assert_eq!(hashes(), [first.sha256().to_vec()]);
    let due = first.renew_at().unwrap();
    roles.renew_certificate(due - Micros(1), &listening).await;
    assert_eq!(hashes().len(), 1);
    roles.renew_certificate(due, &listening).await;
    let second = roles.data.certificate(due).unwrap();
    assert_eq!(hashes(), [second.sha256().to_vec(), first.sha256().to_vec()]);
    roles.renew_certificate(due, &listening).await;
    assert_eq!(roles.certificate().unwrap().sha256(), second.sha256());
    roles.stop(&Shutdown::new()).await;
}

#[tokio::test]
async fn every_route_has_a_stated_rule() {
    let folder = tempfile::tempdir().unwrap();
    let mut roles = roles(folder.path());
    roles.start_live().await.unwrap();
    roles.start_match(&Game::new("test", game)).await.unwrap();
    roles.start_fleet().await.unwrap();
    let routes = roles.routes(&Shutdown::new()).unwrap();
    assert!(routes.undescribed().is_empty(), "say what they do: {:?}", routes.undescribed());
    let table = routes.table();
    for (method, path, access) in &table {
        let rule = RULES.iter().find(|(m, p, _)| m == method && p == path);
        let Some((_, _, stated)) = rule else {
            panic!("{} {path} has no stated rule", method.as_str());
        };
        assert_eq!(access, stated, "{} {path}", method.as_str());
    }
    for (method, path, _) in RULES {
        assert!(table.iter().any(|(m, p, _)| m == method && p == path), "{} {path} is gone", method.as_str());
    }
    roles.stop(&Shutdown::new()).await;
}

//! Every noun of the store on every engine, and what a store says when it cannot open.

mod fleet;
mod live;
mod matchmaking;
mod opening;
mod postgres;

use amphi_shared_store::Location;
use amphi_shared_wire::Micros;

/// A moment to count from.
const NOW: Micros = Micros::from_secs(1_763_000_000);

/// The suite that both engines pass. Each noun gets a place of its own.
async fn every_noun(mut place: impl FnMut(&'static str) -> Location) {
    live::people(&place("people")).await;
    live::codes(&place("codes")).await;
    live::first_operator(&place("first")).await;
    live::revocations(&place("revocations")).await;
    live::api_keys(&place("keys")).await;
    fleet::hosts(&place("hosts")).await;
    fleet::matches(&place("matches")).await;
    fleet::results(&place("results")).await;
    matchmaking::tickets(&place("tickets")).await;
    matchmaking::claims(&place("claims")).await;
    matchmaking::one_match_per_player(&place("holds")).await;
    matchmaking::ratings(&place("ratings")).await;
    matchmaking::fences(&place("fences")).await;
    matchmaking::purge(&place("purge")).await;
    opening::reopening(&place("reopening")).await;
    opening::taken(&place("taken")).await;
    opening::roles_apart(&place("roles")).await;
}

#[tokio::test]
async fn every_noun_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    every_noun(|name| Location::Folder(folder.path().join(name))).await;
}

#[tokio::test]
async fn every_noun_on_postgresql() {
    let server = postgres::Server::start();
    every_noun(|name| Location::Postgres(server.database(name))).await;
}

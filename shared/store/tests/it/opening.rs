use std::path::Path;

use amphi_shared_store::{
    FleetStore, LiveStore, Location, MatchStore, OpenError, StoreError, StoredTicket, TicketState,
};
use amphi_shared_wire::{AppId, TicketId};
use sqlx::{Connection, SqliteConnection};

use crate::NOW;

pub(crate) async fn reopening(location: &Location) {
    for _ in 0..3 {
        let store = FleetStore::open(location).await.expect("opened again");
        assert_eq!(store.hosts().await.expect("read"), []);
        store.close().await;
    }
}

pub(crate) async fn taken(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let error = LiveStore::open(location).await.err().expect("refused");
    assert!(matches!(error, OpenError::Taken { .. }), "{error}");
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    store.close().await;
    LiveStore::open(location).await.expect("free again").close().await;
}

pub(crate) async fn roles_apart(location: &Location) {
    let live = LiveStore::open(location).await.expect("opened");
    let fleet = FleetStore::open(location).await.expect("beside it");
    let queue = MatchStore::open(location).await.expect("beside both");
    assert_eq!(fleet.hosts().await.expect("read"), []);
    assert_eq!(queue.waiting_tickets().await.expect("read"), []);
    live.close().await;
    fleet.close().await;
    queue.close().await;
}

async fn sqlite(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("connected")
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let location = Location::Folder(folder.path().to_owned());
    LiveStore::open(&location).await.expect("opened").close().await;
    let mut connection = sqlite(&folder.path().join("live.db")).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'of tomorrow', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.expect("written");
    let error = LiveStore::open(&location).await.err().expect("refused");
    assert!(error.to_string().contains("live.db was written by a newer version of this program"), "{error}");
}

#[tokio::test]
async fn an_overtaken_process_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = MatchStore::open(&Location::Folder(folder.path().to_owned())).await.expect("opened");
    let mut connection = sqlite(&folder.path().join("match.db")).await;
    sqlx::query("UPDATE fence SET fence = fence + 1").execute(&mut connection).await.expect("overtaken");
    let ticket = StoredTicket {
        ticket: TicketId::from_bits(1),
        app: AppId::default(),
        mode: "2v2".to_owned(),
        players: Vec::new(),
        state: TicketState::Queued,
        match_id: None,
        code: 0,
        queued: NOW,
    };
    assert!(matches!(store.add_ticket(&ticket).await, Err(StoreError::Fenced)));
    assert_eq!(store.waiting_tickets().await.expect("read"), []);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").expect("written");
    // The second one is read-only for everyone, root included.
    for place in [file.join("data"), Path::new("/sys/kernel").to_owned()] {
        let error = LiveStore::open(&Location::Folder(place.clone())).await.err().expect("refused");
        let start = format!("the data folder {} cannot be written: ", place.display());
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[tokio::test]
async fn an_address_is_understood_or_refused_without_its_password() {
    assert_eq!("./data".parse(), Ok(Location::Folder("./data".into())));
    let location: Location = "postgres://ann:secret@127.0.0.1:1/amphi".parse().expect("any text is a location");
    assert!(!format!("{location:?}").contains("secret"));
    let error = LiveStore::open(&location).await.err().expect("nobody listens there");
    assert!(error.to_string().starts_with("the live schema of 127.0.0.1:1/amphi cannot be opened"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    let location: Location = "postgres://ann:secret@:port/".parse().expect("any text is a location");
    let error = LiveStore::open(&location).await.err().expect("not understood");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let store = LiveStore::open(&Location::Folder(folder.path().to_owned())).await.expect("opened");
    assert!(!store.has_role(&AppId::default(), "operator").await.expect("asked"));
    for entry in std::fs::read_dir(folder.path()).expect("listed") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("known").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", entry.path().display());
    }
}

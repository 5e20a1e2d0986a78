//! Records survive; torn, changed and foreign bytes are told apart.

use proptest::prelude::*;

use super::*;

fn header() -> JournalHeader {
    JournalHeader {
        match_id: "mch_1".to_owned(),
        app: "default".to_owned(),
        game: "test".to_owned(),
        build: "1".to_owned(),
        schema_hash: 7,
        mode: MatchMode { name: "1v1".to_owned(), teams: 2, team_size: 1, duration_s: 10, tick_hz: 60 },
        seed: 3,
        tick0_us: 5,
    }
}

fn journal() -> Vec<u8> {
    let input = RoomCommand::Input { seat: 1, bytes: vec![1, 2, 3] };
    let mut bytes = frame(&header()).to_vec();
    bytes.extend_from_slice(&frame(&JournalRecord { tick: 1, commands: vec![input], hash: Some(9) }));
    bytes.extend_from_slice(&frame(&JournalRecord { tick: 2, commands: Vec::new(), hash: None }));
    bytes
}

#[test]
fn records_survive() {
    let bytes = journal();
    let mut reader = JournalReader::new(&bytes).unwrap();
    assert_eq!(reader.header(), &header());
    assert_eq!(reader.next_record().unwrap().unwrap().hash, Some(9));
    assert_eq!(reader.next_record().unwrap().unwrap().tick, 2);
    assert_eq!(reader.next_record(), Ok(None));
}

proptest! {
    #[test]
    fn a_torn_journal_gives_its_whole_records(cut in 0_usize..200) {
        let bytes = journal();
        let whole = frame(&header()).len();
        let cut = cut.min(bytes.len());
        match JournalReader::new(&bytes[..cut]) {
            Ok(mut reader) => {
                prop_assert!(cut >= whole);
                while let Ok(Some(_)) = reader.next_record() {}
            }
            Err(error) => prop_assert!(error == JournalError::Torn && cut < whole),
        }
    }

    #[test]
    fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), at: usize, value: u8) {
        let _ = JournalReader::new(&bytes);
        bytes.splice(0..0, *MAGIC);
        let _ = JournalReader::new(&bytes);
        let mut changed = journal();
        let at = at % changed.len();
        changed[at] = value;
        if let Ok(mut reader) = JournalReader::new(&changed) {
            while let Ok(Some(_)) = reader.next_record() {}
        }
    }
}

//! Numbers are unique, and the documents list every code.

use super::*;

#[test]
fn numbers_are_unique_and_come_back() {
    for pair in Code::ALL.windows(2) {
        assert!(pair[0].number() < pair[1].number(), "{} {}", pair[0], pair[1]);
    }
    for code in Code::ALL {
        assert_eq!(Code::from_number(code.number()), Some(*code));
    }
    assert_eq!(Code::from_number(999), None);
}

#[test]
fn the_documents_list_every_code() {
    let page = include_str!("../../../../docs/errors.md");
    for code in Code::ALL {
        let row = format!("| A{:04} | {} | {} | {} |", code.number(), code.name(), code.action().as_str(), code.help());
        assert!(page.contains(&row), "docs/errors.md lacks: {row}");
    }
}

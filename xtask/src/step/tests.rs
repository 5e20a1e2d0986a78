use super::{Count, without_colours};

#[test]
fn summaries_of_every_runner_are_counted() {
    let check = |line: &str, expected: Option<(u64, u64)>| {
        let expected = expected.map(|(passed, failed)| Count { passed, failed });
        assert_eq!(Count::of_line(line), expected, "{line}");
    };
    check("     Summary [   0.140s] 5 tests run: 5 passed, 0 skipped", Some((5, 0)));
    check("     Summary [   0.1s] 1 test run: 1 passed, 0 skipped", Some((1, 0)));
    check("     Summary [  61.0s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped", Some((6, 3)));
    check(
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s",
        Some((3, 0)),
    );
    check("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((1, 2)));
    check("      Tests  12 passed (12)", Some((12, 0)));
    check("      Tests  1 failed | 11 passed (12)", Some((11, 1)));
    check(" Test Files  2 passed (2)", None);
    check("Tests are good", None);
    check("running 5 tests", None);
}

#[test]
fn colours_do_not_hide_a_summary() {
    assert_eq!(without_colours("\x1b[1;32m Tests \x1b[0m 3 passed (3)"), " Tests  3 passed (3)");
}

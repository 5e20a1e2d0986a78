use super::{Count, Runner, without_colours};

#[test]
fn summaries_of_every_runner_are_counted() {
    let check = |runner: Runner, line: &str, expected: Option<(u64, u64)>| {
        let expected = expected.map(|(passed, failed)| Count { passed, failed });
        assert_eq!(Count::of_line(runner, line), expected, "{runner:?}: {line}");
    };
    let nextest = Runner::Nextest;
    check(nextest, "     Summary [   0.140s] 5 tests run: 5 passed, 0 skipped", Some((5, 0)));
    check(nextest, "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped", Some((1, 0)));
    check(
        nextest,
        "     Summary [  61.0s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
        Some((6, 3)),
    );
    check(nextest, "    test result: FAILED. 0 passed; 1 failed; 0 ignored", None);
    let libtest = Runner::Libtest;
    check(libtest, "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; finished in 0.20s", Some((3, 0)));
    check(libtest, "test result: FAILED. 1 passed; 2 failed; 0 ignored", Some((1, 2)));
    check(libtest, "running 5 tests", None);
    let vitest = Runner::Vitest;
    check(vitest, "      Tests  12 passed (12)", Some((12, 0)));
    check(vitest, "      Tests  1 failed | 11 passed (12)", Some((11, 1)));
    check(vitest, " Test Files  2 passed (2)", None);
    check(vitest, "Tests are good", None);
}

#[test]
fn colours_do_not_hide_a_summary() {
    assert_eq!(without_colours("\x1b[1;32m Tests \x1b[0m 3 passed (3)"), " Tests  3 passed (3)");
}

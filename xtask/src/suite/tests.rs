use std::process::Command;

use super::{Step, Weight};
use crate::step::Runner;

const TESTS: Weight = Weight::Tests(Runner::Libtest);

fn check(weight: Weight, scripts: &[&str], expected: (bool, u64, u64)) {
    let shell = |script: &&str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    let done = Step { name: "test", weight, commands: scripts.iter().map(shell).collect() }.run();
    assert_eq!((done.success, done.count.passed, done.count.failed), expected, "{weight:?} {scripts:?}");
}

#[test]
fn a_step_counts_what_its_runner_says_on_either_stream() {
    let two = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
    let three = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored' >&2";
    check(TESTS, &[two, three], (true, 5, 0));
    check(TESTS, &["echo 'test result: FAILED. 2 passed; 1 failed'; exit 101"], (false, 2, 1));
}

#[test]
fn a_failure_is_counted_even_when_no_runner_did() {
    check(TESTS, &["exit 3"], (false, 0, 1));
    check(Weight::None, &["exit 3"], (false, 0, 1));
    check(Weight::One, &["true", "exit 3"], (false, 0, 1));
}

#[test]
fn a_build_is_no_test_and_a_program_is_one() {
    check(Weight::None, &["true"], (true, 0, 0));
    check(Weight::One, &["true", "true"], (true, 1, 0));
}

#[test]
fn nothing_runs_after_a_failure() {
    check(TESTS, &["false", "echo 'test result: ok. 2 passed; 0 failed'"], (false, 0, 1));
}

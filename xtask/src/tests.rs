use clap::{CommandFactory, Parser};

use crate::Command;

fn parse(line: &str) -> Command {
    Command::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn flags_after_up_belong_to_amphi() {
    let check = |line: &str, expected_release: bool, expected: &[&str]| {
        let Command::Up { release, args } = parse(line) else { panic!("{line} is no up") };
        assert_eq!(
            (release, args.iter().map(String::as_str).collect::<Vec<_>>()),
            (expected_release, expected.to_vec())
        );
    };
    check("xtask up", false, &[]);
    check("xtask up --release", true, &[]);
    check("xtask up --listen 127.0.0.1:7100", false, &["--listen", "127.0.0.1:7100"]);
    check("xtask up --release --data /tmp/a --json", true, &["--data", "/tmp/a", "--json"]);
}

#[test]
fn options_after_a_bench_belong_to_it() {
    let Command::Bench { args } = parse("xtask bench session --rounds 3") else { panic!("no bench") };
    assert_eq!(args, ["session", "--rounds", "3"]);
    assert!(Command::try_parse_from(["xtask", "bench"]).is_err(), "a bench has a name");
}

#[test]
fn the_command_line_is_consistent() {
    Command::command().debug_assert();
}

//! Generated readers and writers give what Rust gives, in every language: `shared/vectors/schema`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use amphi::prelude::*;
use amphi::schema::{Language, export, generate};
use amphi_shared_replica::{decode_message, encode_message};

#[derive(Clone, Component, Copy, Replicate)]
struct Body {
    at: [i32; 3],
    #[replica(unit = "1/512", tolerance = 2)]
    height: f32,
    #[replica(lerp = "angle")]
    turn: i16,
    owner: u32,
    level: u8,
    tilt: i8,
    awake: bool,
}

#[derive(Replicate)]
#[replica(by = "seat")]
struct Hit {
    seat: u8,
    #[replica(unit = "0.5")]
    at: [i16; 3],
    #[replica(unit = "0.5")]
    strength: f32,
}

#[derive(Clone, Copy, Replicate)]
struct Buy {
    item: u16,
    count: i8,
    #[replica(unit = "0.25")]
    price: f32,
}

impl Request for Buy {
    type Answer = Bought;
}

#[derive(Replicate)]
struct Bought {
    ok: bool,
    gold: u32,
}

#[derive(Clone, Default, PartialEq, Input)]
struct Stick {
    #[input(range = "-1..=1")]
    way: [i8; 2],
    #[input(unit = "1/100", range = "-3.2..=3.2", late = "fade")]
    aim: f32,
    slot: u32,
    jump: bool,
}

fn sample(app: &mut App) {
    app.predict::<Body>().input::<Stick>().effect::<Hit>().request::<Buy>();
}

fn game() -> Game {
    Game::new("sample", sample)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Questions of the vectors, and their answers.
fn vectors() -> (String, Vec<String>) {
    let text = fs::read_to_string(root().join("shared/vectors/schema/sample.txt")).expect("the vectors are there");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let (questions, answers): (Vec<_>, Vec<_>) = lines.map(|line| line.split_once(" = ").expect(line)).unzip();
    (questions.join("\n") + "\n", answers.into_iter().map(str::to_owned).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn float(value: f32) -> String {
    format!("x{:08x}", value.to_bits())
}

fn unfloat(text: &str) -> f32 {
    f32::from_bits(u32::from_str_radix(&text[1..], 16).expect("hex"))
}

fn words(values: &[&dyn ToString]) -> String {
    values.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}

/// What Rust makes of a question.
fn answer(line: &str) -> String {
    let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
    let parts: Vec<&str> = rest.split_whitespace().collect();
    match what {
        "Body" => {
            let row: Vec<i32> = parts.iter().map(|part| part.parse().expect("a number")).collect();
            let Body { at: [x, y, z], height, turn, owner, level, tilt, awake } = Body::read(&row);
            words(&[&x, &y, &z, &float(height), &turn, &owner, &level, &tilt, &u8::from(awake)])
        }
        "Hit" => decode_message(&unhex(rest)).map_or_else(
            |_| "none".to_owned(),
            |Hit { seat, at: [x, y, z], strength }| words(&[&seat, &x, &y, &z, &float(strength)]),
        ),
        "Bought" => decode_message(&unhex(rest))
            .map_or_else(|_| "none".to_owned(), |Bought { ok, gold }| words(&[&u8::from(ok), &gold])),
        "Buy" => {
            let (item, count) = (parts[0].parse().expect("u16"), parts[1].parse().expect("i8"));
            hex(&encode_message(&Buy { item, count, price: unfloat(parts[2]) }))
        }
        _ => {
            let way = [parts[0].parse().expect("i8"), parts[1].parse().expect("i8")];
            let (aim, slot) = (unfloat(parts[2]), parts[3].parse().expect("u32"));
            let mut writer = BitWriter::new();
            Stick { way, aim, slot, jump: parts[4] == "1" }.encode(&mut writer);
            hex(&writer.finish())
        }
    }
}

#[track_caller]
fn run(command: &mut Command, input: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A compiler reads nothing, and may have closed its end.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{errors}");
    out.into_owned()
}

fn check(answers: &str) {
    let (questions, wanted) = vectors();
    let got: Vec<&str> = answers.lines().map(str::trim_end).collect();
    for ((question, wanted), got) in questions.lines().zip(&wanted).zip(&got) {
        assert_eq!(got, wanted, "{question}");
    }
    assert_eq!(got.len(), wanted.len());
}

#[test]
fn the_vectors_hold_the_schema_that_they_are_of() {
    let text = fs::read_to_string(root().join("shared/vectors/schema/sample.json")).expect("the vectors are there");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(&text), json(game().schema().to_json()));
}

#[test]
fn rust_gives_what_the_vectors_say() {
    let (questions, _) = vectors();
    check(&questions.lines().map(answer).collect::<Vec<_>>().join("\n"));
}

#[test]
fn typescript_gives_what_rust_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("sample.ts"), generate(&game(), Language::Ts)).expect("written");
    fs::copy(root().join("amphi/tests/it/schema/driver.ts"), at("driver.ts")).expect("copied");
    let compiler = root().join("clients/web/node_modules/.bin/tsc");
    fs::write(at("package.json"), "{\"type\":\"module\"}").expect("written");
    let flags =
        "--strict --noUncheckedIndexedAccess --noUnusedLocals --noUnusedParameters --target es2022 --module nodenext";
    let mut tsc = Command::new(compiler);
    run(tsc.current_dir(folder.path()).args(flags.split(' ')).args(["--types", "", "driver.ts"]), "");
    check(&run(Command::new("node").arg(at("driver.js")), &vectors().0));
}

#[test]
fn csharp_gives_what_rust_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("Sample.cs");
    fs::write(&source, generate(&game(), Language::Cs)).expect("written");
    let program = folder.path().join("driver.exe");
    let mut compiler = Command::new("mcs");
    compiler.args(["-langversion:7", "-warnaserror", &format!("-out:{}", program.display())]);
    run(compiler.arg(root().join("amphi/tests/it/schema/driver.cs")).arg(source), "");
    check(&run(Command::new("mono").arg(program), &vectors().0));
}

#[test]
fn cpp_gives_what_rust_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("sample.hpp"), generate(&game(), Language::Cpp)).expect("written");
    let program = folder.path().join("driver");
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-I"]).arg(folder.path());
    run(compiler.arg(root().join("amphi/tests/it/schema/driver.cpp")).arg("-o").arg(&program), "");
    check(&run(&mut Command::new(program), &vectors().0));
}

#[test]
fn the_export_names_units_ranges_and_kinds() {
    let json: serde_json::Value = serde_json::from_str(&export(&game()).expect("JSON")).expect("JSON");
    assert_eq!(json["game"], "sample");
    assert_eq!(
        json["components"][1]["fields"][3],
        serde_json::json!({
            "name": "height", "unit": "1/512", "kind": "f32", "lerp": "linear", "tolerance": 2
        })
    );
    assert_eq!(
        json["input"]["fields"][2],
        serde_json::json!({
            "name": "aim", "unit": "1/100", "kind": "f32", "min": -320, "max": 320, "bits": 10, "late": "fade"
        })
    );
    assert_eq!((&json["events"][0]["name"], &json["events"][0]["by"]), (&"Hit".into(), &0.into()));
    assert_eq!(json["requests"][0]["answer"]["fields"][1]["kind"], "u32");
}

#[test]
fn the_page_has_the_module_of_its_game() {
    let output = Command::new(env!("CARGO_BIN_EXE_amphi")).args(["schema", "generate", "--lang", "ts"]).output();
    let generated = String::from_utf8(output.expect("it runs").stdout).expect("text");
    let page = fs::read_to_string(root().join("clients/web/app/match/arena-schema.ts")).expect("the module is there");
    assert!(page == generated, "run `amphi schema generate --lang ts --out clients/web/app/match/arena-schema.ts`");
}

use super::*;

#[test]
fn visible_names_pass_as_typed() {
    for name in ["Ada", "Ada Lovelace", "李雷", "<b>Bobby</b>", "'); DROP TABLE--", "👩‍🚀", "Zoë ❤️", &"x".repeat(24)]
    {
        assert_eq!(DisplayName::parse(name).map(DisplayName::into_string), Ok(name.to_owned()), "{name:?}");
    }
    assert_eq!(DisplayName::parse(" \tAda\n").map(DisplayName::into_string), Ok("Ada".to_owned()));
}

#[test]
fn names_that_nobody_could_read_are_refused() {
    let long = "x".repeat(25);
    let huge = "x".repeat(1_000_000);
    for name in [
        "",
        "   ",
        "\u{200b}",
        "a\u{0}b",
        "a\nb",
        "a  b",
        "\u{202e}adA",
        "a\u{200d}b",
        "\u{3164}",
        "a\u{e0041}",
        &long,
        &huge,
    ] {
        assert_eq!(DisplayName::parse(name), Err(Code::NameInvalid), "{:?}", name.get(..8));
    }
}

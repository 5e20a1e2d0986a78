//! Display names.

use amphi_shared_wire::Code;
use amphi_shared_wire::limits::NAME_CHARS_MAX;

/// A display name: 1 to 24 visible characters, single spaces between them. Data, never markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Reads a name as a person typed it; white space around it is dropped.
    ///
    /// # Errors
    /// `NameInvalid`: empty, too long, or with a character that nobody would see.
    pub fn parse(text: &str) -> Result<Self, Code> {
        // Longer than any name could be, so the characters need not be counted.
        if text.len() > 16 * NAME_CHARS_MAX {
            return Err(Code::NameInvalid);
        }
        let name = text.trim();
        let mut before = ' ';
        for c in name.chars() {
            if !fits(before, c) {
                return Err(Code::NameInvalid);
            }
            before = c;
        }
        let seen = name.chars().any(|c| !is_joiner(c));
        if seen && name.chars().count() <= NAME_CHARS_MAX { Ok(Self(name.to_owned())) } else { Err(Code::NameInvalid) }
    }

    /// The name.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Whether `c` may follow `before` in a name.
fn fits(before: char, c: char) -> bool {
    match c {
        ' ' => before != ' ',
        c if is_joiner(c) => !before.is_ascii(),
        c => !c.is_control() && !c.is_whitespace() && !is_invisible(c),
    }
}

/// Zero-width joiner and emoji presentation: parts of emoji, invisible alone.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe0f}')
}

/// Format characters, fillers and tags (Unicode general category Cf and Default_Ignorable_Code_Point).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;

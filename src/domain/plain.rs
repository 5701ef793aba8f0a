//! Text of others, made harmless: nothing that a person or an agent wrote may hide, or act on whoever shows it.

use std::fmt::Write;

/// Bidi, zero-width and control characters as `⟦U+202E⟧`. Joiners inside emoji and Indic or Arabic text stay.
pub fn reveal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for c in text.replace("\r\n", "\n").chars() {
        let joins = c == '\u{200d}' && !previous.is_ascii() && !is_hanzi(previous);
        let hidden = match c {
            '\n' | '\t' => false,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => !joins,
            '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{00ad}' | '\u{180e}' | '\u{034f}' => true,
            '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}' => true,
            other => other.is_control(),
        };
        if hidden {
            let _ = write!(out, "⟦U+{:04X}⟧", u32::from(c));
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}')
}

/// The same in one line, for lists: nobody's name may look like a line of its own.
pub fn in_one_line(text: &str) -> String {
    reveal(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_acts_is_shown() {
        assert_eq!(reveal("a\u{1b}[2J\u{9b}1m\u{202e}b\tc\r\nd\re"), "a⟦U+001B⟧[2J⟦U+009B⟧1m⟦U+202E⟧b\tc\nd⟦U+000D⟧e");
        assert_eq!(reveal("👩\u{200d}💻"), "👩\u{200d}💻");
        assert_eq!(in_one_line(" a\n b\u{7}"), "a b⟦U+0007⟧");
    }
}

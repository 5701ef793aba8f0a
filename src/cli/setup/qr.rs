//! A code in the terminal, two of its rows in a line: black on white whatever the terminal's own colours are.

use qrcode::{Color, EcLevel, QrCode};

/// White around the code. Scanners want four; they find it with two.
const MARGINS: [usize; 3] = [4, 2, 1];
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

/// The code of the first of these texts that finds room, line by line; nothing where none does.
pub(super) fn lines(texts: &[&str], columns: usize) -> Option<Vec<String>> {
    texts.iter().find_map(|text| {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let margin = MARGINS.into_iter().find(|margin| code.width() + 2 * margin <= columns)?;
        Some(drawn(&code, margin))
    })
}

/// In colours, for a terminal that has some.
pub(super) fn painted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{BLACK_ON_WHITE}{line}{PLAIN}")).collect::<Vec<_>>().join("\n")
}

fn drawn(code: &QrCode, margin: usize) -> Vec<String> {
    let (width, colors) = (code.width(), code.to_colors());
    let is_dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(margin), y.checked_sub(margin)) else { return false };
        x < width && y < width && colors[y * width + x] == Color::Dark
    };
    let side = width + 2 * margin;
    let cell = |x: usize, y: usize| match (is_dark(x, y), is_dark(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..side).step_by(2).map(|y| (0..side).map(|x| cell(x, y)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code as it was, read from its lines.
    fn read(lines: &[String], margin: usize, width: usize) -> Vec<bool> {
        let rows: Vec<Vec<(bool, bool)>> = lines
            .iter()
            .map(|line| line.chars().map(|c| (matches!(c, '█' | '▀'), matches!(c, '█' | '▄'))).collect())
            .collect();
        let at = |x: usize, y: usize| if y.is_multiple_of(2) { rows[y / 2][x].0 } else { rows[y / 2][x].1 };
        (0..width * width).map(|n| at(margin + n % width, margin + n / width)).collect()
    }

    #[test]
    fn what_is_drawn_is_the_code() {
        let code = QrCode::with_error_correction_level("https://open.example/page?x=1", EcLevel::L).unwrap();
        for margin in MARGINS {
            let lines = drawn(&code, margin);
            let side = code.width() + 2 * margin;
            assert!(lines.iter().all(|line| line.chars().count() == side) && lines.len() == side.div_ceil(2));
            assert_eq!(
                read(&lines, margin, code.width()),
                code.to_colors().into_iter().map(|color| color == Color::Dark).collect::<Vec<_>>()
            );
            assert!(lines[0].chars().all(|c| c != '█' && c != '▀'), "the margin is white");
        }
    }

    #[test]
    fn eighty_columns_hold_all_that_an_app_is_to_have() {
        let long = "x".repeat(520);
        let lines = lines(&[&long, "short"], 80).unwrap();
        assert!(lines[0].chars().count() > 70 && lines[0].chars().count() <= 80);
        assert!(super::lines(&[&long, "short"], 40).unwrap()[0].chars().count() <= 40, "the shorter one");
        assert_eq!(super::lines(&[&long, "short"], 10), None);
    }
}

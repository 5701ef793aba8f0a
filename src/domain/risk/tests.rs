//! The tables, and what holds for any line.

use std::path::Path;


use super::*;

const PLACE: fn() -> Place<'static> = || Place {
    project: Path::new("/home/li/shop"),
    directory: Path::new("/home/li/shop"),
    home: Path::new("/home/li"),
    temp: Some(Path::new("/tmp/ally-1")),
    ally_home: Path::new("/home/li/.ally"),
};

/// The rows of the table: class and line.
fn rows() -> Vec<(Class, String)> {
    let text = include_str!("table.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let (class, line) = row.split_once(' ').expect(row);
        // `\n` stands for a line break, but not within `printf '…\n'`.
        let line = if line.contains("<<") { line.replace("\\n", "\n") } else { line.to_owned() };
        (Class::parse(class).expect(row), line)
    })
    .collect()
}

#[test]
fn the_table_of_commands() {
    let rows = rows();
    assert!(rows.len() >= 400, "only {} rows", rows.len());
    let mut wrong = String::new();
    for (class, line) in &rows {
        let verdict = command(line, &PLACE());
        if verdict.class != *class {
            wrong +=
                &format!("\n  {} is {}, judged {} for {:?}", line, class.as_str(), verdict.class.as_str(), verdict.why);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

//! `ally cards`: every card that the chat may show, drawn for a look at it. Needs no daemon and no home.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::Context;
use super::error::CliError;
use super::output;
use crate::channels::feishu::card::gallery::{self, MARK};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the pages; made where it is missing
    #[arg(long, value_name = "DIR")]
    html: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let pages = gallery::pages().map_err(|error| {
        CliError::new(format!("a card cannot be drawn: {error}"))
            .hint("这是 ally 的错，请报告上面这一行", "this is a fault of ally; please report the line above")
    })?;
    let folder = &args.html;
    std::fs::create_dir_all(folder).map_err(|error| failed("make", folder, &error))?;
    // All or nothing: a page that is somebody else's is seen before the first is written.
    for page in &pages {
        refuse_foreign(&folder.join(&page.file))?;
    }
    for page in &pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, &page.html).map_err(|error| failed("write", &path, &error))?;
    }
    let index = folder.join("index.html");
    let bytes: usize = pages.iter().map(|page| page.html.len()).sum();
    if args.json {
        output::json(&json!({ "index": index, "pages": pages.len(), "bytes": bytes }))?;
    } else {
        let (n, kib) = (pages.len(), bytes.div_ceil(1024));
        output::note(
            &context.say(
                &format!("写了 {n} 页（{kib} KiB），从这里看起："),
                &format!("{n} pages ({kib} KiB), begin here:"),
            ),
        );
        output::line(&index.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages of an earlier run may be replaced, nothing else.
fn refuse_foreign(path: &Path) -> Result<(), CliError> {
    let found = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| failed("read", path, &error))?,
    };
    match String::from_utf8_lossy(&found).contains(MARK) {
        true => Ok(()),
        false => Err(CliError::new(format!(
            "{} exists and is not a page of ally cards; nothing was written",
            path.display()
        ))
        .hint("换一个目录，或先把它移走", "name another folder, or move it away first")),
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("cannot {what} {}: {error}", path.display()))
        .hint("换一个可以写的目录", "name a folder that can be written to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::domain::view::Lang;

    fn run_in(folder: &Path) -> Result<ExitCode, CliError> {
        let context = Context { environment: Environment::of(Vec::<(&str, &str)>::new()), lang: Lang::En };
        run(&context, &Args { html: folder.to_owned(), json: true })
    }

    #[test]
    fn pages_are_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cards = folder.path().join("a/cards");
        run_in(&cards).unwrap();
        run_in(&cards).unwrap();
        let index = std::fs::read_to_string(cards.join("index.html")).unwrap();
        assert!(index.contains("gate.dark-320.html") && cards.join("gate.dark-320.html").exists());
        std::fs::write(cards.join("live.light.html"), "mine").unwrap();
        std::fs::remove_file(cards.join("index.html")).unwrap();
        let refused = run_in(&cards).unwrap_err();
        assert!(refused.message.contains("live.light.html exists"), "{}", refused.message);
        assert!(!cards.join("index.html").exists(), "nothing was written");
    }
}

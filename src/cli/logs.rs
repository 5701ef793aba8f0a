//! `ally logs`: the log as a person reads it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Context;
use super::error::CliError;
use super::output;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on as lines come
    #[arg(short, long)]
    follow: bool,
    /// Show the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Print the JSON lines as they are
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    let files = telemetry::files(&paths.logs, "ally");
    if files.is_empty() && !args.follow {
        output::note(&context.say("还没有日志", "there is no log yet"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut last: VecDeque<String> = VecDeque::new();
    for file in &files {
        // A log may hold anything: a torn line must not keep back the others.
        for line in BufReader::new(File::open(file)?).split(b'\n') {
            last.push_back(String::from_utf8_lossy(&line?).into_owned());
            if last.len() > args.lines {
                last.pop_front();
            }
        }
    }
    for line in &last {
        print(line, args.json)?;
    }
    if args.follow {
        follow(&paths.logs, args.json).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(folder: &std::path::Path, json: bool) -> Result<(), CliError> {
    let mut current: Option<PathBuf> = telemetry::files(folder, "ally").pop();
    let mut offset = match &current {
        Some(path) => std::fs::metadata(path)?.len(),
        None => 0,
    };
    let mut rest = Vec::new();
    loop {
        if let Some(path) = &current
            && let Ok(mut file) = File::open(path)
        {
            // It was moved aside when it was large, and another one has begun.
            if file.metadata()?.len() < offset {
                offset = 0;
                rest.clear();
            }
            file.seek(SeekFrom::Start(offset))?;
            offset += file.read_to_end(&mut rest)? as u64;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                print(String::from_utf8_lossy(&line).trim_end(), json)?;
            }
        }
        let newest = telemetry::files(folder, "ally").pop();
        if newest != current {
            (current, offset) = (newest, 0);
            rest.clear();
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn print(line: &str, json: bool) -> Result<(), CliError> {
    match (json, serde_json::from_str::<Map<String, Value>>(line)) {
        (true, _) => output::raw(line),
        (false, Ok(fields)) => output::line(&human(fields)),
        (false, Err(_)) => output::line(line),
    }
}

/// `time LEVEL message key=value …`
fn human(mut fields: Map<String, Value>) -> String {
    let mut take = |key: &str| match fields.remove(key) {
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let (time, level, message) = (take("timestamp"), take("level"), take("message"));
    let _ = (take("target"), take("span"), take("spans"));
    let time = time.split('.').next().unwrap_or_default().replace('T', " ");
    let mut text = format!("{time} {level:>5} {message}");
    for (key, value) in fields {
        match value {
            Value::String(value) => text.push_str(&format!(" {key}={value}")),
            value => text.push_str(&format!(" {key}={value}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_made_readable() {
        let line =
            r#"{"timestamp":"2026-11-21T05:00:00.123Z","level":"INFO","message":"ready","target":"x","bridge.pid":7}"#;
        assert_eq!(human(serde_json::from_str(line).unwrap()), "2026-11-21 05:00:00  INFO ready bridge.pid=7");
    }
}

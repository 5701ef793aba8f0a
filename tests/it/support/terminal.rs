//! A terminal of its own for a program: what a person would see there, and what they would type.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::world::PATIENCE;

pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    /// How much of it was looked at.
    at: usize,
    keys: usize,
}

impl Terminal {
    /// Runs a program in a terminal of 100 columns.
    pub fn run(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        tcsetwinsize(&master, Winsize { ws_row: 60, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("a terminal").into_string().expect("a plain name");
        let noctty = rustix::fs::OFlags::NOCTTY.bits() as i32;
        let open = || OpenOptions::new().read(true).write(true).custom_flags(noctty).open(&name).expect("a terminal");
        let side: Vec<OwnedFd> = (0..3).map(|_| open().into()).collect();
        let [input, output, errors] = <[OwnedFd; 3]>::try_from(side).expect("three");
        let child = command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::from(errors)).spawn();
        let child = child.expect("a program");
        // It holds the other side as well, as long as it lives.
        drop(command);
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, seen) = (keyboard.try_clone().expect("a terminal"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let (mut bytes, mut rest) = ([0; 4096], Vec::new());
            // The end is an error where nobody has the other side any more.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..count]);
                let good = match std::str::from_utf8(&rest) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let text: Vec<u8> = rest.drain(..good).collect();
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&text));
            }
        });
        Self { child, keyboard, screen, at: 0, keys: 0 }
    }

    /// Waits until these words are shown, behind the last ones that were waited for.
    pub async fn until(&mut self, words: &str) {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let screen = self.seen();
            if let Some(found) = screen[self.at..].find(words) {
                self.at += found + words.len();
                return;
            }
            let left = screen[self.at..].to_owned();
            assert!(Instant::now() < until, "waited in vain for {words:?}; the terminal shows:\n{left}");
            if let Some(status) = self.child.try_wait().unwrap() {
                // Its last words may still be on their way.
                tokio::time::sleep(Duration::from_millis(200)).await;
                let shown = self.seen();
                let left = &shown[self.at..];
                assert!(left.contains(words), "it ended ({status}) without {words:?}; the terminal shows:\n{left}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types a line, and Enter.
    pub fn types(&mut self, text: &str) {
        self.keys += text.chars().count() + 1;
        self.keyboard.write_all(format!("{text}\n").as_bytes()).expect("a terminal");
    }

    /// Waits for a question, and answers it.
    pub async fn answers(&mut self, question: &str, text: &str) {
        self.until(question).await;
        self.types(text);
    }

    /// How many keys were pressed.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Everything that was shown, without colours.
    pub fn seen(&self) -> String {
        let raw = self.screen.lock().unwrap().clone();
        let (mut text, mut rest) = (String::new(), raw.as_str());
        while let Some(at) = rest.find('\u{1b}') {
            text.push_str(&rest[..at]);
            let sequence = &rest[at..];
            let end = sequence.char_indices().skip(2).find(|(_, c)| c.is_ascii_alphabetic());
            let Some((end, _)) = end else { return text };
            rest = &sequence[end + 1..];
        }
        text + rest
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Waits for its end; its exit code.
    pub async fn ended(mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end; the terminal shows:\n{}", self.seen());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

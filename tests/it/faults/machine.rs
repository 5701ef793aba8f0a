//! The computer itself: a ledger that is damaged, a machine that sleeps, a day of absence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::feishu_sim::Fault;
use crate::support::world::*;

/// A world with a few answered messages.
async fn used() -> (World, PathBuf) {
    let world = World::start(Kind::Embedded).await;
    for n in 0..3 {
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[say {n}]]"));
        world.answer(&message).await;
    }
    world.settled().await;
    let ledger = world.home.path().join("ally/ledger.db");
    (world, ledger)
}

/// Overwrites half of the pages in the middle. Gives what the file is then.
fn damage(file: &Path) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let length = std::fs::metadata(file).unwrap().len();
    let from = length / 4 / 4096 * 4096;
    let open = std::fs::File::options().write(true).open(file).unwrap();
    open.write_all_at(&vec![0xa5; (length / 2) as usize], from).unwrap();
    std::fs::read(file).unwrap()
}

fn assert_status_says_what_to_do(world: &World) {
    let (shown, well) = world.run(&["status"]);
    let said = ["stopped", "is damaged", "restore the newest file from the backups folder"];
    assert!(!well && said.iter().all(|words| shown.contains(words)), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_damaged_in_the_middle_is_left_alone_and_named() {
    let (mut world, ledger) = used().await;
    world.down().await;
    let damaged = damage(&ledger);
    let output = world.ally(&["start"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("is damaged") && told.contains("backups"), "{told}");
    assert_status_says_what_to_do(&world);
    assert_eq!(std::fs::read(&ledger).unwrap(), damaged, "not a byte is changed");
}

/// The same under a running daemon: it stops, rather than go on with half of what it knows, and takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_damaged_under_the_daemon_ends_it_with_a_word() {
    let (world, ledger) = used().await;
    let other = rusqlite::Connection::open(&ledger).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(other);
    damage(&ledger);
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    world.wait("it to stop", |world| (world.status()?["state"] == "stopped").then_some(())).await;
    assert_status_says_what_to_do(&world);
    assert!(world.sim.message(&message).receipts().is_empty(), "no reaction: not received");
}

/// All processes stand still for hours, as on a laptop whose lid is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_slept_goes_on_where_it_was() {
    let world = World::start(Kind::Embedded).await;
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 3000]] [[say worked on]]");
    let group = world.sim.say(GROUP, OWNER, "@bot [[escalate true]] [[say allowed]]");
    let card = world.card_with(&group, "Allow once").await;
    world.settled_surfaces().await;
    let before = (world.pid("bridge"), world.pid("supervisor"));
    for pid in world.processes() {
        kill(pid, "-STOP");
    }
    // The platform gives up on its connection.
    world.sim.drop_connections();
    world.sim.wait_for("the end of the line", |sim| (sim.connections() == 0).then_some(())).await;
    let asleep = world.sim.say(GROUP, LI, "@bot [[say said in the night]]");
    let hours = Duration::from_secs(5 * 3600);
    world.sim.advance(hours);
    for pid in world.processes() {
        kill(pid, "-CONT");
    }
    world.sim.wait_connected(2).await;
    world.warp(hours).await;
    world.ready().await;
    assert_eq!((world.pid("bridge"), world.pid("supervisor")), before, "nobody was killed for having slept");
    world.sim.advance(Duration::from_secs(3_601));
    let stale = world.card_with(&asleep, "Do it").await;
    assert!(stale.text().contains("I was offline since then. Still wanted?"), "{}", stale.text());
    world.sim.click(&card.id, "Allow once", OWNER).await;
    world.sim.click(&stale.id, "Do it", LI).await;
    for (message, words) in [(&running, "worked on"), (&group, "allowed"), (&asleep, "said in the night")] {
        let answer = |world: &World| world.answers(message).into_iter().find(|one| one.said() == words);
        world.wait(words, answer).await;
    }
    world.settled().await;
    for message in [&running, &group, &asleep] {
        let answers = world.answers(message).into_iter().filter(|one| one.msg_type == "post").count();
        assert!(answers <= 2, "an answer, and at most a reminder of the request");
    }
}

/// What waits for a time would else wait for as long as the clock was set back.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_holds_up_nothing() {
    let world = World::start(Kind::Embedded).await;
    let hours = Duration::from_secs(3 * 3600);
    world.warp(hours).await;
    world.sim.advance(hours);
    let running = world.sim.say(GROUP, OWNER, "@bot [[stream 900 100]]");
    let newest_word = |world: &World| {
        let text = world.cards(&running).first()?.text();
        text.split_whitespace().filter_map(|word| word.strip_prefix('w')?.parse::<u32>().ok()).max()
    };
    world.wait("the picture of a turn", newest_word).await;
    let refused = world.sim.say(OWNER_CHAT, OWNER, "[[say told in the end]]");
    let path = format!("POST /open-apis/im/v1/messages/{refused}/reply");
    world.sim.fault(&path, Fault::Html { status: 502 }, 6);
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("waits that grow", |world| (attempts(world) >= 5).then_some(())).await;
    world.warp_back(hours).await;
    let then = newest_word(&world).unwrap();
    world.wait("its picture to go on", |world| newest_word(world).filter(|word| *word > then + 50)).await;
    assert_eq!(world.answer(&refused).await.said(), "told in the end");
    world.sim.say(GROUP, OWNER, "@bot /stop");
    world.settled().await;
    assert_eq!(world.answers(&refused).len(), 1);
}

/// Ten thousand messages wait at the platform, in two chats, and come all at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_offline_is_asked_about_and_never_a_flood() {
    const ALL: usize = 10_000;
    let mut world = World::start(Kind::Embedded).await;
    world.down().await;
    let said: Vec<String> = (0..ALL)
        .map(|n| match n % 2 {
            0 => world.sim.say(OWNER_CHAT, OWNER, &format!("[[say direct {n}]]")),
            _ => world.sim.say(GROUP, LI, &format!("@bot [[say group {n}]]")),
        })
        .collect();
    let day = Duration::from_secs(86_400);
    world.sim.advance(day);
    world.up().await;
    world.warp(day).await;
    let (bridge, before) = (world.pid("bridge").unwrap(), resident(world.pid("bridge").unwrap()));
    world.sim.advance(Duration::from_secs(301));
    world.wait("the last to be taken", |world| (world.sim.taken() == ALL).then_some(())).await;
    let chats = [OWNER_CHAT, GROUP];
    let by_bot = |chat: &str| world.sim.messages(chat).into_iter().filter(|one| one.by_bot()).collect::<Vec<_>>();
    world.wait("all to be said", |_| chats.iter().all(|chat| by_bot(chat).len() == 21).then_some(())).await;
    for chat in chats {
        let said = by_bot(chat);
        assert_eq!(said.iter().filter(|one| one.button("Do it").is_some()).count(), 20, "asked about");
        let told = said.iter().filter(|one| one.text().contains("beyond the 20 that I ask about")).count();
        assert_eq!(told, 1, "the rest is told once");
    }
    let grown = resident(bridge).saturating_sub(before);
    assert!(grown < 100 << 20, "{} MiB more than before", grown >> 20);
    // What comes now is not behind thousands of reactions.
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still quick]]");
    let answer = |world: &World| world.answers(&next).into_iter().find(|one| one.said() == "still quick");
    world.patiently(3, "the next answer", answer).await;
    world.wait("its reaction", |world| (world.sim.message(&next).receipts() == ["DONE"]).then_some(())).await;
    let wanted = world.card_with(&said[0], "Do it").await;
    world.sim.click(&wanted.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&said[0]).await.said(), "direct 0");
}

fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

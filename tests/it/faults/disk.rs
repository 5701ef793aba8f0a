//! A ledger that cannot commit, through the whole daemon: W1's promise is kept, people and operator are told, and all of
//! it ends by itself when the disk works again.

use std::time::Duration;

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const ALLOW: &str = "Allow once";
const IN_BOTH: [&str; 2] = ["还没存下", "I could not store this yet"];

fn ledger(world: &World) -> std::path::PathBuf {
    world.home.path().join("ally/ledger.db")
}

fn problem(world: &World) -> Option<String> {
    world.status()?["ledger"]["problem"].as_str().map(str::to_owned)
}

fn notices(world: &World, message: &str) -> Vec<SimMessage> {
    let all = world.sim.answers_to(message).into_iter();
    all.filter(|one| IN_BOTH.iter().all(|words| one.text().contains(words))).collect()
}

/// An open request, before anything goes wrong: its message and its card.
async fn asked(world: &World, allow: &str) -> (String, SimMessage) {
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say fine]]");
    let card = world.card_with(&message, allow).await;
    world.settled_surfaces().await;
    (message, world.sim.message(&card.id))
}

/// What holds while nothing can be stored. Gives the message that was not stored.
async fn assert_nothing_is_taken(world: &World, card: &SimMessage, allow: &str) -> String {
    let message = world.sim.say(GROUP, OWNER, "@bot [[say back again]]");
    let ack = world.sim.wait_ack(&message).await;
    assert_eq!(ack.code, 500, "not stored, so it must come again");
    assert!(ack.took < Duration::from_secs(3), "the platform waits no longer: {:?}", ack.took);
    world.wait("the notice", |world| (!notices(world, &message).is_empty()).then_some(())).await;
    let toast = world.sim.click(&card.id, allow, OWNER).await;
    assert_eq!(toast["toast"]["i18n"]["zh_cn"], "没有记下，请再按一次");
    assert_eq!(toast["toast"]["i18n"]["en_us"], "Not recorded, press again");
    // The platform's second try, while it still cannot be stored.
    world.sim.advance(Duration::from_secs(16));
    world.wait("the second refusal", |world| (world.sim.acks(&message).len() >= 2).then_some(())).await;
    assert_eq!(world.sim.acks(&message)[1].code, 500);
    message
}

/// What holds once writes work again.
async fn assert_all_is_made_up_for(world: &World, asked: &str, card: &SimMessage, allow: &str, message: &str) {
    world.wait("the end of the trouble", |world| (world.status()?["ledger"]["problem"].is_null()).then_some(())).await;
    world.sim.advance(Duration::from_secs(301));
    world
        .wait("the redelivery to be taken", |world| {
            world.sim.acks(message).iter().any(|ack| ack.code == 200).then_some(())
        })
        .await;
    world.sim.click(&card.id, allow, OWNER).await;
    let said = |message: &str, words: &str| world.answers(message).iter().filter(|one| one.said() == words).count();
    world.wait("both answers", |_| (said(message, "back again") + said(asked, "fine") >= 2).then_some(())).await;
    world.settled().await;
    assert_eq!(said(message, "back again"), 1, "{:?}", world.answers(message));
    assert_eq!(said(asked, "fine"), 1, "the request that waited is answered");
    assert_eq!(notices(world, message).len(), 1, "told once, however often it came");
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns.as_array().unwrap().len(), 2, "one turn a message");
}

fn lines(world: &World, words: &str) -> usize {
    world.whole_log().lines().filter(|line| line.contains(words)).count()
}

/// The disk takes no more: every write beyond a size that the log of writes has reached already fails.
#[cfg(target_os = "linux")]
mod full {
    use std::path::Path;

    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    use super::*;

    fn limit(world: &World, bytes: Option<u64>) {
        let pid = Pid::from_raw(world.pid("bridge").expect("it runs") as i32);
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).expect("our own process");
    }

    fn size(path: &Path) -> u64 {
        std::fs::metadata(path).map_or(0, |found| found.len())
    }

    /// Processor time of a process so far, in clock ticks.
    fn ticks(pid: u32) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_loses_nothing_and_is_told() {
        let mut world = World::prepare(Kind::Embedded, "").await;
        world.up_without_size_signals().await;
        let (first, card) = asked(&world, ALLOW).await;
        // The log, which grows in the same file system, keeps enough room to be read here.
        let most = world.whole_log().len() as u64 + 64 * 1024;
        let wal = ledger(&world).with_extension("db-wal");
        assert!(size(&wal) > most, "the write-ahead log is longer than the limit: {}", size(&wal));
        let (bridge, before) = (world.pid("bridge").unwrap(), world.whole_log().lines().count());
        limit(&world, Some(most));

        let message = assert_nothing_is_taken(&world, &card, ALLOW).await;
        let told = world.wait("the trouble in status", problem).await;
        assert!(told.contains("takes no writes") && told.contains("df -h"), "{told}");
        let (shown, well) = world.run(&["status"]);
        assert!(well && shown.contains(&told), "{shown}");
        let spent = ticks(bridge);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let spent = ticks(bridge) - spent;
        assert!(spent <= 20, "it spins: {spent} ticks in two seconds");
        assert_eq!(lines(&world, "The ledger takes no writes"), 1);
        let logged = world.whole_log().lines().count() - before;
        assert!(logged < 20, "{logged} lines about one outage");

        limit(&world, None);
        assert_all_is_made_up_for(&world, &first, &card, ALLOW, &message).await;
        assert_eq!(lines(&world, "The ledger takes writes again"), 1);
        assert_eq!(world.pid("bridge"), Some(bridge), "nothing crashed");
        world.down().await;
    }
}

/// Another program holds the file. In Chinese.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_ledger_answers_in_time_and_goes_on_after_it() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    world.up().await;
    let (first, card) = asked(&world, "允许一次").await;
    let other = rusqlite::Connection::open(ledger(&world)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message = assert_nothing_is_taken(&world, &card, "允许一次").await;
    world.sim.add_direct("oc_stranger", STRANGER);
    world.sim.say("oc_stranger", STRANGER, "who are you?");
    let told = world.wait("the trouble in status", problem).await;
    assert!(told.contains("另一个程序占着它") && told.contains("lsof"), "{told}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_all_is_made_up_for(&world, &first, &card, "允许一次", &message).await;
    let heard = world.sim.messages("oc_stranger");
    assert!(!heard.iter().any(|said| said.text().contains(IN_BOTH[0])), "a stranger learns nothing of the disk");
    assert_eq!(lines(&world, "The ledger takes no writes"), 1);
    world.down().await;
}

//! The bridge is killed again and again while six conversations work: no turn is interrupted, no request is void, and every
//! answer comes as if nothing had happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ally::ledger::{LedgerError, Transaction};
use fastrand::Rng;
use serde_json::json;

use super::death::find;
use super::held::{assert_nothing_was_told, workspaces};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const DEATHS: usize = 50;
const SEED: u64 = 5;

const WORDS: &str = "oc_words";
const COMMANDS: &str = "oc_commands";
const QUEUE: &str = "oc_queue";
const REQUEST: &str = "oc_request";
const QUESTION: &str = "oc_question";
const SECRET: &str = "oc_secret";
const CHATS: [&str; 6] = [WORDS, COMMANDS, QUEUE, REQUEST, QUESTION, SECRET];

/// A message, and the word that its answer ends with.
struct Said {
    message: String,
    last_word: String,
}

/// People who say the next thing as soon as the last one is answered.
struct Load<'w> {
    world: &'w World,
    said: BTreeMap<&'static str, Vec<Said>>,
}

impl Load<'_> {
    fn say(&mut self, chat: &'static str, text: &str, last_word: &str) -> String {
        let message = self.world.sim.say(chat, OWNER, text);
        self.said.entry(chat).or_default().push(Said { message: message.clone(), last_word: last_word.to_owned() });
        message
    }

    fn goes_on(&mut self) {
        self.world.sim.deliver_again();
        for chat in [WORDS, COMMANDS, QUEUE] {
            let all = self.said.entry(chat).or_default();
            if all.last().is_some_and(|last| self.world.answers(&last.message).is_empty()) {
                continue;
            }
            let n = all.len();
            match chat {
                WORDS => drop(self.say(chat, "[[stream 40 50]]", "w40")),
                COMMANDS => {
                    let steps = (0..2).map(|step| format!("[[shell echo n{n}-{step} >> nonces.txt; sleep 0.4]] "));
                    let text = format!("{}[[say done {n}]]", steps.collect::<String>());
                    self.say(chat, &text, &format!("done {n}"));
                }
                _ => {
                    self.say(chat, "[[stream 20 50]]", "w20");
                    (1..4)
                        .for_each(|of| drop(self.say(chat, &format!("[[say {n} of {of}]]"), &format!("{n} of {of}"))));
                }
            }
        }
    }
}

fn is_working(world: &World) -> bool {
    world.status().is_some_and(|status| status["state"] == "running" && status["runtime"]["state"] == "ready")
}

/// What the ledger says of the turns and requests that did not go as they do when nobody dies.
fn went_wrong(tx: &Transaction<'_>) -> Result<Vec<String>, LedgerError> {
    let mut statement = tx.prepare(
        "SELECT 'turn ' || coalesce(outcome, state), count(*) FROM turns WHERE outcome IS NOT 'completed' GROUP BY 1
         UNION ALL SELECT 'request ' || state, count(*) FROM gates WHERE state <> 'answered' GROUP BY 1",
    )?;
    let rows = statement.query_map([], |row| Ok(format!("{} {}", row.get::<_, i64>(1)?, row.get::<_, String>(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deaths_under_load_interrupt_nothing() {
    let mut world = World::prepare(Kind::Codex, "[conversation]\nparallel = 8\n").await;
    world.add_chats(&CHATS);
    world.set_faults(&["restart at once"]);
    world.up().await;
    let world = &world;
    let mut load = Load { world, said: BTreeMap::new() };
    let approved = world.file("approved.txt");
    let request = load.say(REQUEST, &format!("[[escalate echo n1 >> {}]] [[say done]]", approved.display()), "done");
    let question = load.say(QUESTION, "[[ask Which one?|Alpha|Beta]] [[say thanks]]", "thanks");
    let secret = load.say(SECRET, "[[secret Which token?]] [[say got it]]", "got it");
    let cards: Vec<SimMessage> = [
        world.card_with(&request, "Allow once").await,
        world.card_with(&question, "2 Beta").await,
        world.card_with(&secret, "Send").await,
    ]
    .into();
    world.settled_surfaces().await;
    let codex = world.pid("runtime");
    let began = Instant::now();
    let mut rng = Rng::with_seed(SEED);
    for _ in 0..DEATHS {
        // Some die while they begin, most while they work.
        let works = rng.u8(0..3) > 0;
        while works && !is_working(world) {
            load.goes_on();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let at = Instant::now() + Duration::from_millis(rng.u64(100..1600));
        while Instant::now() < at {
            load.goes_on();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let bridge = world.wait("a bridge", World::bridge_pid).await;
        kill(bridge, "-KILL");
    }
    let took = began.elapsed();
    world.ready().await;
    assert_eq!(world.pid("runtime"), codex, "codex lives on");
    world.settled_surfaces().await;
    for card in &cards {
        assert_eq!(world.sim.message(&card.id).buttons(), card.buttons(), "the same card asks the same");
    }
    let press = |card: &SimMessage, label: &str| card.button(label).unwrap();
    world.sim.click_value(&cards[0].id, OWNER, press(&cards[0], "Allow once"), json!(null)).await;
    world.sim.click_value(&cards[1].id, OWNER, press(&cards[1], "2 Beta"), json!(null)).await;
    world.sim.click_value(&cards[2].id, OWNER, press(&cards[2], "Send"), json!({ "t0": "hunter2" })).await;
    world.sim.deliver_again();
    for said in load.said.values().flatten() {
        let answer = world.answer(&said.message).await.said();
        assert!(answer.ends_with(&said.last_word), "{answer:?} ends with {:?}", said.last_word);
    }
    world.settled().await;
    for said in load.said.values().flatten() {
        assert_eq!(world.answers(&said.message).len(), 1, "{}", said.last_word);
        assert_nothing_was_told(world, &said.message);
    }
    world.assert_nothing_runs_on_cards(&CHATS);
    assert_eq!(world.ledger(went_wrong), [] as [&str; 0]);
    assert_eq!(world.nonces(&approved), [("n1".to_owned(), 1)].into());
    let nonces = world.nonces(&find(&workspaces(world), "nonces.txt").unwrap());
    let commands = load.said[COMMANDS].len();
    assert!(nonces.len() == 2 * commands && nonces.values().all(|times| *times == 1), "{nonces:?}");
    let messages: usize = load.said.values().map(Vec::len).sum();
    eprintln!(
        "{DEATHS} deaths of the bridge in {} s: {messages} messages, {} commands, 3 requests; nothing interrupted, nothing void",
        took.as_secs(),
        nonces.len()
    );
}

//! A task that is let out to the network: by whom, for how long, and what became of the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::world::*;

/// Somewhere on the network. Counts those who came.
pub struct Elsewhere {
    pub address: String,
    came: Arc<AtomicUsize>,
    listening: tokio::task::JoinHandle<()>,
}

impl Elsewhere {
    pub async fn listen() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string().replace(':', "/");
        let came = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&came);
        let listening = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, came, listening }
    }

    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// A command that goes there from inside the sandbox, and ends well in any case.
    pub fn visit(&self) -> String {
        format!("[[shell (exec 3<>/dev/tcp/{}) 2> /dev/null; true]]", self.address)
    }

    /// A request to go there from outside of it.
    pub fn ask(&self) -> String {
        format!("[[escalate (exec 3<>/dev/tcp/{}) 2> /dev/null; true]]", self.address)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_let_out_by_a_decider_and_goes_on() {
    let world = World::start(Kind::Codex).await;
    let there = Elsewhere::listen().await;
    let (visit, ask) = (there.visit(), there.ask());
    let message = world.sim.say(GROUP, LI, &format!("@bot {visit} {ask} [[say done]]"));
    let card = world.card_with(&message, "Network for task").await;
    assert_eq!(there.came(), 0, "no network by itself");
    let text = card.text();
    assert!(text.contains("allowed once it has none") && text.contains("sending included"), "{text}");

    // The one who asked does not let himself out.
    let toast = world.sim.click(&card.id, "Network for task", LI).await.to_string();
    assert!(toast.contains("Only Wang"), "{toast}");
    world.sim.click(&card.id, "Network for task", OWNER).await;
    world
        .wait("the card to say so", |world| {
            world.sim.message(&card.id).text().contains("Network for this task allowed by Wang").then_some(())
        })
        .await;

    // It goes on, and asks again for what did not run; allowed once it would still stay outside.
    let again = world
        .wait("the same request", |world| {
            world.cards(&message).into_iter().find(|other| other.id != card.id && other.button("Allow once").is_some())
        })
        .await;
    assert_eq!(there.came(), 1, "the sandbox is open for the task");
    assert!(again.button("Network for task").is_none() && again.text().contains("#2"), "{}", again.text());
    assert!(world.sim.message(&card.id).text().contains("This did not run"));

    // Nobody without that right puts words into it.
    let more = world.sim.say(GROUP, LI, "@bot /steer [[say more]]");
    world.wait("a turn of its own", |world| (!world.answers(&more).is_empty()).then_some(())).await;
    world.sim.click(&again.id, "Decline", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1, "one answer");
    assert_eq!(world.sim.message(&message).receipts(), ["DONE"]);

    // The grant went with the task.
    let next = world.sim.reply(&message, LI, &format!("@bot {visit} [[say next]]"));
    assert_eq!(world.answer(&next).await.said(), "next");
    assert_eq!(there.came(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_the_network_gets_it_for_the_task() {
    let world = World::start(Kind::Codex).await;
    let there = Elsewhere::listen().await;
    let visit = there.visit();
    let message = world.sim.say(GROUP, LI, &format!("@bot [[permit network]] {visit} [[say done]]"));
    let card = world.card_with(&message, "Network for task").await;
    assert!(card.button("Allow once").is_none(), "{:?}", card.buttons());
    let toast = world.sim.click(&card.id, "Network for task", LI).await.to_string();
    assert!(toast.contains("Only Wang"), "{toast}");
    world.sim.click(&card.id, "Network for task", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    assert_eq!(there.came(), 1);
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("Network for this task allowed by Wang"), "{text}");
    let next = world.sim.reply(&message, LI, &format!("@bot {visit} [[say next]]"));
    assert_eq!(world.answer(&next).await.said(), "next");
    assert_eq!(there.came(), 1, "gone with the task");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_stronger_than_going_on() {
    let world = World::start(Kind::Codex).await;
    let there = Elsewhere::listen().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{} [[say done]]", there.ask()));
    let card = world.card_with(&message, "Network for task").await;
    world.sim.click(&card.id, "Stop", OWNER).await;
    let toast = world.sim.click(&card.id, "Network for task", OWNER).await.to_string();
    assert!(!toast.contains("Recorded"), "{toast}");
    world.settled().await;
    assert_eq!((there.came(), world.answers(&message).len()), (0, 0));
    assert_eq!(world.sim.message(&message).receipts(), ["CrossMark"]);
}

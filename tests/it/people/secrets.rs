//! What somebody in a group can get at through the agent, whatever the owner lets him: nothing that is a secret, and
//! nothing of another chat's project.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::support::feishu_sim::APP_SECRET;
use crate::support::world::*;

/// Stands in every file that nobody may read.
const SECRET: &str = "plain-text-of-the-secret";
const FAR: &str = "oc_far";
/// Everything that says yes, the longest first.
const YES: [&str; 5] = ["Always…", "For 12 hours", "For this task", "Network for task", "Allow once"];

/// A person's home with secrets in it, ally's own file of secrets, a project with one, and another chat's project.
struct Grounds {
    home: PathBuf,
}

impl Grounds {
    fn plant(world: &World) -> Self {
        let grounds = Self { home: world.home.path().canonicalize().unwrap() };
        std::fs::create_dir_all(grounds.project()).unwrap();
        for file in grounds.planted() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            // ally's own has some already.
            let former = std::fs::read_to_string(&file).unwrap_or_default();
            std::fs::write(&file, format!("{former}# {SECRET}\nexport TOKEN={SECRET}\n")).unwrap();
        }
        let ally = grounds.home.join("ally/.env");
        std::fs::write(&ally, std::fs::read_to_string(&ally).unwrap().replace(&format!("export TOKEN={SECRET}\n"), ""))
            .unwrap();
        std::fs::write(grounds.project().join("readme"), "an example\n").unwrap();
        let secrets = ["project/.env", ".ssh/id_rsa", "ally/.env", "other/plan.txt"];
        let files = secrets.map(|file| format!("cat '{}'\n", grounds.home.join(file).display())).concat();
        let steal = format!(
            "exec >> \"${{TMPDIR:-/tmp}}/told\" 2>&1\n{files}cat .env readme\nenv\ncat /proc/*/environ | tr '\\0' '\\n'\n\
             cp -r . \"$TMPDIR/copy\"\ngrep -r . \"$TMPDIR/copy\"\nrm -rf \"$TMPDIR/copy\"\necho end\n"
        );
        std::fs::write(grounds.project().join("steal.sh"), steal).unwrap();
        grounds
    }

    fn project(&self) -> PathBuf {
        self.home.join("project")
    }

    /// What login shells read is no secret by its name; what it exports must not reach a command.
    fn planted(&self) -> Vec<PathBuf> {
        [".ssh/id_rsa", ".profile", ".bash_profile", ".bashrc", "project/.env", "ally/.env", "other/plan.txt"]
            .map(|file| self.home.join(file))
            .to_vec()
    }

    /// Asks for everything, in the sandbox and out of it, by name and by a script, with more rights and the network.
    fn wishes(&self) -> String {
        let home = self.home.display();
        let permits: String = ["other", ".ssh", "project/.env", "ally/.env"]
            .map(|path| format!("[[permit read {home}/{path}]] "))
            .concat();
        format!(
            "[[shell ls]] [[shell cat readme]] [[shell wc readme]] [[shell cat {home}/.ssh/id_rsa .env; env; true]] [[shell sh ./steal.sh]] \
             [[escalate cat {home}/.ssh/id_rsa; true]] [[escalate cat .env {home}/ally/.env; true]] [[escalate env]] \
             [[escalate cat {home}/other/plan.txt; true]] [[escalate cat {home}/project/readme]] \
             [[escalate sh ./steal.sh]] {permits} [[shell sh ./steal.sh]] \
             [[escalate (exec 3<>/dev/tcp/127.0.0.1/9) 2> /dev/null; sh ./steal.sh]] [[say done]]"
        )
    }

    /// What the commands wrote into the folder that every level may write to.
    fn told(&self) -> String {
        let Some(told) = super::gates::find(&self.home.join("ally/tmp"), "told") else { return String::new() };
        let text = std::fs::read(&told).unwrap_or_default();
        let _ = std::fs::remove_file(told);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Files with a secret in them, besides those in which it was planted.
    fn leaks(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let planted: HashSet<PathBuf> = self.planted().into_iter().collect();
        search(&self.home, &mut |file| {
            let text = std::fs::read(file).unwrap_or_default();
            let holds = |secret: &str| text.windows(secret.len()).any(|part| part == secret.as_bytes());
            if !planted.contains(file) && (holds(SECRET) || holds(APP_SECRET)) {
                found.push(file.to_owned());
            }
        });
        found
    }
}

fn search(folder: &Path, look: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => search(&entry.path(), look),
            Ok(kind) if kind.is_file() => look(&entry.path()),
            _ => {}
        }
    }
}

/// The owner presses a yes on every card that comes, the least pressed of those that it has, until there is an answer.
async fn say_yes(world: &World, message: &str, pressed: &mut BTreeMap<&'static str, usize>) {
    let mut done = HashSet::new();
    loop {
        let next = world.wait("a card or the answer", |world| {
            let cards = world.cards(message).into_iter().filter(|card| !done.contains(&card.id));
            let asks = |card: &_| YES.into_iter().filter(|yes| has(card, yes)).collect::<Vec<_>>();
            let open = cards.map(|card| (asks(&card), card.id)).find(|(yes, _)| !yes.is_empty());
            let over = !world.answers(message).is_empty();
            open.map(Some).or(over.then_some(None))
        });
        let Some((yes, card)) = next.await else { return };
        let label = yes.into_iter().min_by_key(|yes| pressed.get(yes).copied().unwrap_or_default()).unwrap();
        let toast = world.sim.click(&card, label, OWNER).await.to_string();
        *pressed.entry(label).or_default() += usize::from(!toast.contains("no longer"));
        done.insert(card);
    }
}

fn has(card: &crate::support::feishu_sim::SimMessage, label: &str) -> bool {
    card.buttons().iter().any(|button| button == label)
}

async fn set(world: &World, chat: &str, text: &str) {
    let mention = if chat == OWNER_CHAT { "" } else { "@bot " };
    let message = world.sim.say(chat, OWNER, &format!("{mention}{text}"));
    world.said(&message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_gets_no_byte_of_a_secret_at_any_level_whatever_is_allowed() {
    let mut world = World::prepare(Kind::Codex, "").await;
    world.sim.add_group(FAR, "Far", &[OWNER]);
    let grounds = Grounds::plant(&world);
    world.up().await;
    set(&world, FAR, "/cd ~/other").await;
    for chat in [GROUP, OWNER_CHAT] {
        set(&world, chat, "/cd ~/project").await;
    }
    let mut pressed = BTreeMap::new();
    for (chat, user, level) in
        [(GROUP, STRANGER, "ask"), (GROUP, STRANGER, "safe"), (GROUP, STRANGER, "edit"), (OWNER_CHAT, OWNER, "trusted")]
    {
        set(&world, chat, &format!("/settings autonomy {level}")).await;
        let mention = if chat == OWNER_CHAT { "" } else { "@bot " };
        let message = world.sim.say(chat, user, &format!("{mention}{}", grounds.wishes()));
        say_yes(&world, &message, &mut pressed).await;
        let answer = world.answer(&message).await.said();
        assert_eq!(answer, "done", "{level}");
        let ran = world.ledger(|tx| {
            let sql = "SELECT level FROM turns ORDER BY created_at_ms DESC, ord DESC LIMIT 1";
            Ok(tx.query_row(sql, [], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(ran, level);
        let told = grounds.told();
        assert!(told.contains("an example") && told.ends_with("end\n"), "{level}: it ran to its end: {told}");
        for secret in [SECRET, APP_SECRET] {
            assert!(!told.contains(secret), "{level} gave {secret} away: {told}");
        }
        assert_eq!(grounds.leaks(), Vec::<PathBuf>::new(), "{level}");
    }
    world.settled().await;
    for yes in YES {
        assert!(pressed.contains_key(yes), "{yes} was never offered: {pressed:?}");
    }
    for chat in [GROUP, OWNER_CHAT, FAR] {
        for message in world.sim.messages(chat) {
            for content in message.history.iter().chain([&message.content]) {
                assert!(!content.contains(SECRET) && !content.contains(APP_SECRET), "{content}");
            }
        }
    }
}

//! `ally setup` in a terminal: from nothing to a bot that has greeted its owner, left and taken up again anywhere.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use crate::support::feishu_sim::{APP_ID, APP_SECRET, Console, Fault, SimMessage};
use crate::support::terminal::Terminal;
use crate::support::world::*;

/// A machine on which ally never ran: of the home there is only codex's own part, with a model to talk to.
async fn fresh(kind: Kind) -> World {
    let world = World::prepare(kind, "").await;
    for file in ["ally.toml", ".env"] {
        std::fs::remove_file(world.home.path().join("ally").join(file)).unwrap();
    }
    std::fs::create_dir_all(world.home.path().join("code/shop/.git")).unwrap();
    world
}

fn command(world: &World, args: &[&str]) -> Command {
    let base = world.sim.base_url();
    let mut command = world.ally(&[&["setup", "--base-url", &base], args].concat());
    // Of the machine's own service manager nothing is wanted.
    let path = programs(world, &[("systemctl", NO_BUS)]);
    command.env_remove("ALLY_LANG").env("PATH", path).current_dir(world.home.path());
    command
}

const NO_BUS: &str = "echo 'Failed to connect to bus' >&2; exit 1";
/// One that starts what it is told to start, and keeps nothing running.
const SYSTEMCTL: &str = r#"case "$*" in
  *is-active*) exit 3;;
  *"start --no-block"*) "$PROGRAM" run --quiet > /dev/null 2>&1 &;;
esac"#;

/// A search path on which these scripts come first.
fn programs(world: &World, scripts: &[(&str, &str)]) -> String {
    use std::os::unix::fs::PermissionsExt;
    let folder = world.home.path().join("programs");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in scripts {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// A person at a terminal.
fn person(world: &World, args: &[&str]) -> Terminal {
    Terminal::run(command(world, args))
}

fn greetings(world: &World) -> Vec<SimMessage> {
    let all = world.sim.messages_since(0).0.into_iter();
    all.filter(|one| one.by_bot() && one.text().contains("I listen only to you")).collect()
}

/// What the bot said in the owner's chat, in these words.
fn told(world: &World, words: &str) -> Option<SimMessage> {
    world.sim.messages(OWNER_CHAT).into_iter().find(|one| one.by_bot() && one.text().contains(words))
}

/// The owner looks for the newest card in the chat, and presses its button.
async fn press(world: &World, person: &mut Terminal) {
    person.until("press Continue on the card").await;
    let newest = |world: &World| {
        let all = world.sim.messages(OWNER_CHAT).into_iter().rev();
        all.filter(SimMessage::by_bot).find(|one| one.button("Continue").is_some())
    };
    let card = world.wait("the card", newest).await;
    let button = card.button("Continue").unwrap();
    // It is for whoever it was sent to, in a chat that the ledger may not know yet.
    let refused = world.sim.press(&card, STRANGER, button.clone());
    world.wait("the answer to a stranger", |world| world.sim.toast(&refused)).await;
    world.sim.press(&card, OWNER, button);
    person.until("the click came back").await;
    let told = world.wait("who pressed", |world| told(world, "buttons work")).await;
    assert!(!told.text().contains("Nobody") && !told.text().contains(STRANGER), "{}", told.text());
}

fn file(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.home.path().join("ally").join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_by_a_scanned_code_to_a_greeted_owner() {
    let world = fresh(Kind::Codex).await;
    let mut command = command(&world, &[]);
    command.env("PATH", programs(&world, &[("systemctl", SYSTEMCTL)])).env("PROGRAM", env!("CARGO_BIN_EXE_ally"));
    let mut person = Terminal::run(command);
    person.answers("Language", "").await;
    person.answers("This computer is:", "").await;
    person.answers("The platform:", "").await;
    person.answers("The app:", "").await;
    person.answers("Rights:", "").await;
    person.until("becomes the owner").await;
    person.until("https://open.feishu.cn/page/launcher?user_code=").await;
    person.until("waiting for the scan").await;
    world.sim.scan(OWNER);
    person.until(&format!("Feishu app {APP_ID}; whoever scanned is its owner")).await;
    person.until("one connection only").await;
    person.until("callback of buttons").await;
    person.answers("~/code/shop", "").await;
    person.until("one task was tried, and answered").await;
    person.answers("Enter to accept", "").await;
    person.answers("Start ally by itself", "").await;
    person.until("runs as a service").await;
    person.until("connected to Feishu").await;
    person.until("has greeted you").await;
    press(&world, &mut person).await;
    person.until("Done in ").await;
    let (keys, seen) = (person.keys(), person.seen());
    assert_eq!(person.ended().await, Some(0));
    assert!(keys <= 12, "{keys} keys");
    assert!(!seen.contains(APP_SECRET), "a secret is shown");
    let greeting = greetings(&world);
    assert_eq!(greeting.len(), 1);
    assert_eq!(greeting[0].chat, OWNER_CHAT);
    assert!(greeting[0].text().contains("code/shop"), "{}", greeting[0].text());
    // The owner is heard, and works in the project.
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    assert!(world.answer(&hello).await.said().contains("hello"));
    // Once more: nothing is asked, and nobody is greeted again.
    let mut again = self::person(&world, &[]);
    again.until("Done in ").await;
    assert_eq!(again.keys(), 0);
    assert_eq!(again.ended().await, Some(0));
    assert_eq!(greetings(&world).len(), 1);
    assert_eq!(world.sim.codes(), 1);
}

/// The settings of a home up to the codes: what a test of a later step begins with.
async fn begun(world: &World, args: &[&str]) -> Terminal {
    let mut person = person(world, args);
    person.answers("Language", "2").await;
    person.answers("This computer is:", "1").await;
    person
}

/// What is asked after the app where nothing is wrong with it, and there is no sandbox.
async fn finished(world: &World, mut person: Terminal) -> Option<i32> {
    person.answers("a number, or a path", "0").await;
    person.until("one task was tried").await;
    person.answers("type yes", "").await;
    person.answers("type yes", "yes").await;
    press(world, &mut person).await;
    person.until("Done in ").await;
    person.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_goes_on_there_and_greets_once() {
    let world = fresh(Kind::Embedded).await;
    let kill_at = async |words: &str, before: &[(&str, &str)]| {
        let mut person = person(&world, &[]);
        for (question, answer) in before {
            person.answers(question, answer).await;
        }
        person.until(words).await;
        person.kill();
    };
    kill_at("Language", &[]).await;
    kill_at("This computer is:", &[("Language", "2")]).await;
    kill_at("The platform:", &[("This computer is:", "2")]).await;
    kill_at("The app:", &[("The platform:", "1")]).await;
    kill_at("Rights:", &[("The platform:", "1"), ("The app:", "1")]).await;
    kill_at("waiting for the scan", &[("The platform:", "1"), ("The app:", "1"), ("Rights:", "1")]).await;
    // It is scanned while nobody waits for it.
    world.sim.scan(OWNER);
    kill_at("a number, or a path", &[]).await;
    assert_eq!(world.sim.codes(), 1, "the code of before was taken up");
    assert!(file(&world, ".env").contains(APP_SECRET) && file(&world, "ally.toml").contains(OWNER));
    kill_at("type yes", &[("a number, or a path", "~/code/shop")]).await;
    assert!(file(&world, "ally.toml").contains("code/shop"));
    // The greeting arrives, and nobody hears that it did: neither ally nor setup lives to hear it.
    world.sim.fault("POST /open-apis/im/v1/messages", Fault::AfterEffectHang, 1);
    kill_at("greeting you", &[("type yes", "yes")]).await;
    world.wait("the greeting", |world| greetings(world).into_iter().next()).await;
    world.kill_bridge().await;
    kill_at("press Continue on the card", &[]).await;
    let mut last = person(&world, &[]);
    last.until("has greeted you").await;
    press(&world, &mut last).await;
    last.until("Done in ").await;
    assert_eq!((last.keys(), last.ended().await), (0, Some(0)));
    assert_eq!(greetings(&world).len(), 1);
    let cards = world.sim.messages(OWNER_CHAT).iter().filter(|one| one.text().contains("buttons work")).count();
    assert_eq!(cards, 1, "the card of before was taken up");
    assert_eq!(world.sim.messages(OWNER_CHAT).iter().filter(|one| one.msg_type == "interactive").count(), 1);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_credentials_need_a_code_in_the_direct_chat() {
    let world = fresh(Kind::Embedded).await;
    let mut person = begun(&world, &[]).await;
    person.answers("The platform:", "1").await;
    person.answers("The app:", "2").await;
    person.answers("Rights:", "1").await;
    person.answers("App ID:", "not-an-id").await;
    person.until("begins with cli_").await;
    person.answers("App ID:", APP_ID).await;
    person.answers("App Secret", "another-secret").await;
    person.until("does not accept the app id or the app secret").await;
    person.answers("p to give the credentials again", "p").await;
    person.answers("App ID:", APP_ID).await;
    person.answers("App Secret", APP_SECRET).await;
    person.until("Feishu accepts them").await;
    person.answers("a number, or a path", "0").await;
    person.answers("type yes", "yes").await;
    person.until("becomes the owner:").await;
    person.until("waiting").await;
    let seen = person.seen();
    let code =
        seen.lines().rev().map(str::trim).find(|line| line.len() == 8 && !line.contains(' ')).unwrap().to_owned();
    world.sim.say(OWNER_CHAT, OWNER, &code);
    person.until("the bot has an owner").await;
    person.answers("s to skip this", "s").await;
    person.until("to try it later").await;
    person.until("Done in ").await;
    assert!(!person.seen().contains(APP_SECRET) && !person.seen().contains("another-secret"), "a secret is shown");
    assert_eq!(person.ended().await, Some(0));
    let greeting = greetings(&world);
    assert_eq!(greeting.len(), 1, "the answer to the code is the greeting");
    assert!(greeting[0].text().contains("you are the owner"), "{}", greeting[0].text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_and_looked_at_again() {
    let world = fresh(Kind::Embedded).await;
    let all = Console::default();
    world.sim.rules(|rules| {
        rules.console.scopes.retain(|scope| *scope != "im:resource");
        rules.console.events.clear();
        // A version with all of it is handed in.
        rules.console.waiting_version = Some("oav_2");
    });
    let mut person = begun(&world, &["--new-app"]).await;
    world.rewrite("ally.toml", "# zone = \"Asia/Shanghai\"\n", &daytime());
    person.answers("Rights:", "2").await;
    person.until("an administrator has to approve the group context").await;
    person.until("waiting for the scan").await;
    world.sim.scan(OWNER);
    person.until("`im:resource` (no files out)").await;
    person.until(&format!("/app/{APP_ID}/auth?q=im:resource")).await;
    person.until("not subscribed to: im.message.receive_v1").await;
    // The console takes the long connection only while there is one.
    person.until("ally is started now").await;
    world.sim.wait_connected(1).await;
    person.until("an administrator has to approve it").await;
    person.answers("Enter to check again", "").await;
    person.until("Enter to check again").await;
    // However it is left.
    kill(person.pid(), "-INT");
    person
        .until("Saved. After the administrator approves, run `ally setup` again; I will also tell you in Feishu")
        .await;
    assert_eq!(person.ended().await, Some(0), "that is an end like any other");
    let approved = "The administrator has approved the app";
    assert!(told(&world, approved).is_none());
    let mut with_groups = Console { online_version: Some("oav_2"), ..all.clone() };
    with_groups.scopes.push("im:message.group_msg");
    // A bridge that died meanwhile has forgotten nothing.
    world.kill_bridge().await;
    world.sim.rules(|rules| rules.console = Console { online_version: Some("oav_2"), ..all });
    world.patiently(3, "the word of the approval", |world| told(world, approved)).await;
    let mut again = self::person(&world, &[]);
    again.until("`im:message.group_msg` (what others say in groups cannot be read").await;
    assert_eq!(finished(&world, again).await, Some(0));
    assert_eq!(greetings(&world).len(), 1);
    let groups = "The administrator has approved the group context";
    assert!(told(&world, groups).is_none());
    world.sim.rules(|rules| rules.console = with_groups);
    world.patiently(3, "the word of the other approval", |world| told(world, groups)).await;
    let mut last = self::person(&world, &[]);
    last.until("the rights of the group context are there").await;
    last.until("Done in ").await;
    assert_eq!((last.keys(), last.ended().await), (0, Some(0)));
    let said = |words| world.sim.messages(OWNER_CHAT).iter().filter(|one| one.text().contains(words)).count();
    assert_eq!([said(approved), said(groups)], [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_refused_or_too_old_gives_way_to_another() {
    let world = fresh(Kind::Embedded).await;
    let mut person = begun(&world, &["--new-app", "--no-service", "--rights", "basic"]).await;
    person.until("waiting for the scan").await;
    world.sim.refuse_scan();
    person.until("whoever scanned it said no").await;
    person.answers("Enter for another code", "").await;
    person.until("user_code=ABCD-0002").await;
    person.until("waiting for the scan").await;
    world.sim.expire_code();
    person.until("no longer good").await;
    person.answers("Enter for another code", "").await;
    person.until("user_code=ABCD-0003").await;
    person.until("waiting for the scan").await;
    person.types("q");
    person.until("Run `ally setup` again to go on from here").await;
    assert_eq!(person.ended().await, Some(75));
    let mut person = self::person(&world, &["--new-app"]);
    person.until("waiting for the scan").await;
    kill(person.pid(), "-INT");
    person.until("Run `ally setup` again to go on from here").await;
    assert_eq!(person.ended().await, Some(75));
    // A code with other rights is no use.
    let mut person = self::person(&world, &["--new-app", "--rights", "group"]);
    person.until("user_code=ABCD-0004").await;
    person.until("waiting for the scan").await;
    kill(person.pid(), "-INT");
    assert_eq!(person.ended().await, Some(75));
    // The code is taken up, and its person belongs to Lark; the bot may not write to them yet.
    world.sim.rules(|rules| {
        rules.tenant_brand = "lark";
        rules.out_of_range = Some(OWNER);
    });
    let mut person = self::person(&world, &["--new-app"]);
    person.until("user_code=ABCD-0004").await;
    world.sim.scan(OWNER);
    person.answers("a number, or a path", "0").await;
    person.answers("type yes", "yes").await;
    person.until("the greeting did not arrive").await;
    assert!(greetings(&world).is_empty());
    world.sim.rules(|rules| rules.out_of_range = None);
    person.answers("Enter to try again", "").await;
    person.until("has greeted you").await;
    press(&world, &mut person).await;
    person.until("the group context waits for an administrator").await;
    person.until("Done in ").await;
    assert_eq!(person.ended().await, Some(0));
    assert_eq!(greetings(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_does_not_work_is_told_with_its_remedy() {
    let world = fresh(Kind::Codex).await;
    world.rewrite("codex/config.toml", &world.model_at, "127.0.0.1:9");
    let mut person = begun(&world, &["--new-app", "--rights", "basic"]).await;
    person.until("waiting for the scan").await;
    world.sim.scan(OWNER);
    person.answers("a number, or a path", &world.home.path().display().to_string()).await;
    person.until("is too wide").await;
    person.answers("a number, or a path", "code/shop").await;
    person.until("the task that was tried did not work").await;
    person.until("Check this computer's network and proxy").await;
    world.rewrite("codex/config.toml", "127.0.0.1:9", &world.model_at);
    person.answers("Enter to try again", "").await;
    person.until("one task was tried, and answered").await;
    person.answers("Enter to accept", "q").await;
    assert_eq!(person.ended().await, Some(75));
    assert!(greetings(&world).is_empty() && world.pid("bridge").is_none(), "nothing was started");
}

/// As far as setup asks it before it gives it a task.
const CODEX: &str = r#"case "$*" in
  --version) echo "codex-cli 0.169.0";;
  "login status") [ -e "$CODEX_HOME/auth.json" ] || exit 1;;
  login) echo "signing in"; touch "$CODEX_HOME/auth.json";;
esac"#;

#[tokio::test(flavor = "multi_thread")]
async fn codex_is_installed_and_signed_in_where_it_is_not() {
    let world = fresh(Kind::Codex).await;
    std::fs::remove_file(world.home.path().join("ally/codex/config.toml")).unwrap();
    let begin = |npm: &str| {
        let path = programs(&world, &[("npm", npm), ("the-codex", CODEX)]);
        let mut command = command(&world, &["--new-app", "--rights", "basic"]);
        command.env("PATH", path).env_remove("ALLY_RUNTIME_BIN");
        Terminal::run(command)
    };
    let mut person = begin("echo 'no way to the registry' >&2; exit 1");
    person.answers("Language", "2").await;
    person.answers("This computer is:", "1").await;
    person.until("waiting for the scan").await;
    world.sim.scan(OWNER);
    person.until("npm could not install codex").await;
    person.until("no way to the registry").await;
    person.answers("Enter to try again", "q").await;
    assert_eq!(person.ended().await, Some(75));
    let npm = r#"for name in x64:x86_64 arm64:aarch64; do
  folder="node_modules/@openai/codex-linux-${name%:*}/vendor/${name#*:}-unknown-linux-musl/bin"
  mkdir -p "$folder" && cp "$HOME/programs/the-codex" "$folder/codex"
done"#;
    let mut person = begin(npm);
    person.until("codex: codex 0.169.0 at ").await;
    person.until("codex is not signed in").await;
    person.answers("Enter to sign in", "").await;
    person.until("signing in").await;
    person.until("✓ codex's sign-in").await;
    person.answers("a number, or a path", "q").await;
    assert_eq!(person.ended().await, Some(75));
    // The desk's own, for whoever wants to share it.
    let (own, desk) = (world.home.path().join("ally/codex/auth.json"), world.home.path().join(".codex"));
    std::fs::remove_file(own).unwrap();
    std::fs::create_dir(&desk).unwrap();
    std::fs::write(desk.join("auth.json"), "").unwrap();
    let mut person = begin(npm);
    person.answers("codex is signed in on this computer", "2").await;
    person.until("✓ codex's sign-in").await;
    person.answers("a number, or a path", "q").await;
    assert_eq!(person.ended().await, Some(75));
    assert!(file(&world, "ally.toml").contains("home = \"~/.codex\""));
}

/// Without a terminal, to its end.
fn script(world: &World, args: &[&str], input: &str) -> Output {
    let mut command = command(world, args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without having read anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_says_everything_by_flags() {
    let world = fresh(Kind::Embedded).await;
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = script(&world, &[], "");
    assert_eq!(refused.status.code(), Some(1));
    for flag in
        ["--yes", "--new-app", "--app-id", "--app-secret-stdin", "--app-secret-env", "--rights", "--project", "--lang"]
    {
        assert!(told(&refused).contains(flag), "{flag} is missing in {}", told(&refused));
    }
    let refused = script(&world, &["--yes", "--lang", "en"], "");
    assert!(!refused.status.success() && told(&refused).contains("--new-app"), "{}", told(&refused));
    let app = ["--yes", "--lang", "en", "--app-id", APP_ID];
    let refused = script(&world, &app, "");
    assert!(!refused.status.success() && told(&refused).contains("--app-secret-stdin"), "{}", told(&refused));
    let refused = script(&world, &[&app[..], &["--app-secret-stdin"]].concat(), "\n");
    assert!(told(&refused).contains("is empty"), "{}", told(&refused));
    let home = world.home.path().display().to_string();
    let wide = [&app[..], &["--app-secret-stdin", "--no-service", "--project", &home]].concat();
    let refused = script(&world, &wide, &format!("{APP_SECRET}\n"));
    assert!(!refused.status.success() && told(&refused).contains("too wide"), "{}", told(&refused));
    let mut shadowed = command(&world, &[&app[..], &["--app-secret-env", "THE_SECRET"]].concat());
    shadowed.env("THE_SECRET", APP_SECRET).env("FEISHU_APP_ID", "cli_another").env("FEISHU_APP_SECRET", "s");
    let refused = shadowed.stdin(Stdio::null()).output().unwrap();
    assert!(told(&refused).contains("unset FEISHU_APP_ID"), "{}", told(&refused));
    // All of it, but for what only a person can do: to send the code.
    let shop = world.home.path().join("code/shop").display().to_string();
    let named = ["--app-secret-env", "FEISHU_APP_SECRET", "--project", &shop];
    let mut command = command(&world, &[&app[..], &named].concat());
    command.env("FEISHU_APP_SECRET", APP_SECRET).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut code = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut code).unwrap();
    assert_eq!(code.trim().len(), 8, "{code:?} is all that is data");
    world.sim.say(OWNER_CHAT, OWNER, code.trim());
    world.wait("the greeting", |world| greetings(world).into_iter().next()).await;
    assert!(child.wait().unwrap().success());
    assert_eq!(greetings(&world).len(), 1);
    assert!(file(&world, "ally.toml").contains(&shop) && file(&world, "ally.toml").contains("lang = \"en\""));
}

//! Recorded lines through the reading: `received.jsonl` holds one line of every shape that was ever seen.

use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::runtimes::codex::wire::{Thread, ThreadOpened, TurnHolder, TurnPage};

const RECEIVED: &str = include_str!("../../../../tests/fixtures/codex/received.jsonl");

/// Notifications that mean nothing to a turn.
const IGNORED: [&str; 16] = [
    "account/rateLimits/updated",
    "configWarning", // judged before it gets here
    "deprecationNotice",
    "mcpServer/startupStatus/updated",
    "remoteControl/status/changed",
    "thread/archived",
    "thread/deleted",
    "thread/goal/cleared",
    "thread/name/updated",
    "thread/readState/changed",
    "thread/settings/updated",
    "thread/started",
    "thread/status/changed",
    "thread/unarchived",
    "warning",
    "model/rerouted",
];
/// Items without a side effect and without an answer.
const WITHOUT_WORDS: [&str; 4] = ["reasoning", "contextCompaction", "enteredReviewMode", "exitedReviewMode"];

fn received() -> impl Iterator<Item = Value> {
    RECEIVED.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn turn(value: Value) -> Turn {
    serde_json::from_value(value).unwrap()
}

fn asked(value: Value) -> Asked {
    serde_json::from_value(value).unwrap()
}

#[test]
fn every_recorded_notification_is_read_or_ignored_on_purpose() {
    let (mut meant, mut ignored) = (BTreeSet::new(), BTreeSet::new());
    for message in received().filter(|message| message.get("id").is_none()) {
        let method = message["method"].as_str().unwrap().to_owned();
        let params = &message["params"];
        let about: About = serde_json::from_value(params.clone()).unwrap_or_else(|error| panic!("{message}: {error}"));
        assert_eq!(about.thread_id.as_deref(), params["threadId"].as_str(), "{message}");
        assert_eq!(about.item.is_some(), params["item"].is_object(), "{message}");
        assert_eq!(about.turn.is_some(), params["turn"].is_object(), "{message}");
        assert_eq!(about.error.is_some(), params["error"].is_object(), "{message}");
        match fact(&method, &about) {
            Some(fact) => {
                let wordless = params["item"]["type"].as_str().is_some_and(|kind| WITHOUT_WORDS.contains(&kind));
                let other = matches!(about.item, Some(Item::Other));
                assert_eq!(wordless, other, "{message} became {fact:?}");
                meant.insert(method);
            }
            None => drop(ignored.insert(method)),
        }
    }
    let left: Vec<&String> = ignored.iter().filter(|method| !IGNORED.contains(&method.as_str())).collect();
    assert_eq!(left, Vec::<&String>::new(), "neither read nor ignored on purpose");
    assert_eq!(meant.iter().find(|method| IGNORED.contains(&method.as_str())), None);
    for method in
        ["turn/started", "turn/completed", "item/started", "item/completed", "error", "serverRequest/resolved"]
    {
        assert!(meant.contains(method), "{method} is not among the recorded lines");
    }
}

#[test]
fn every_recorded_answer_is_read() {
    let (mut pages, mut turns, mut threads) = (0, 0, 0);
    for message in received().filter(|message| message.get("method").is_none()) {
        let result = &message["result"];
        if result["data"].is_array() {
            let page: TurnPage = serde_json::from_value(result.clone()).unwrap();
            for (read, raw) in page.data.iter().zip(result["data"].as_array().unwrap()) {
                let pulled = pulled_turn(read);
                assert_eq!(pulled.items.len(), raw["items"].as_array().unwrap().len());
                let others = pulled.items.iter().filter(|item| matches!(item, PulledItem::Other)).count();
                let kinds = raw["items"].as_array().unwrap().iter().filter_map(|item| item["type"].as_str());
                assert_eq!(others, kinds.filter(|kind| WITHOUT_WORDS.contains(kind)).count(), "{raw}");
                assert_eq!(pulled.failure.is_some(), raw["error"].is_object());
            }
            pages += 1;
        } else if result["turn"].is_object() {
            serde_json::from_value::<TurnHolder>(result.clone()).unwrap();
            turns += 1;
        } else {
            serde_json::from_value::<ThreadOpened>(result.clone()).unwrap();
            serde_json::from_value::<Thread>(result["thread"].clone()).unwrap();
            threads += 1;
        }
    }
    assert!(pages > 0 && turns > 0 && threads > 0, "{pages} {turns} {threads}");
}

#[test]
fn every_recorded_request_can_be_shown() {
    let mut files = HashMap::new();
    let mut kinds = BTreeSet::new();
    for message in received() {
        if message["method"] == "item/started"
            && let Some(Item::FileChange { id, changes, .. }) =
                serde_json::from_value::<About>(message["params"].clone()).unwrap().item
        {
            files.insert(id, changes);
        }
        let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else { continue };
        let asked = asked(message["params"].clone());
        // Lines of one shape stand for each other: any change will do.
        let file = files.values().next().map(Vec::as_slice);
        let gate = gate(method, id, &asked, file, "untrusted");
        if method == "item/tool/call" {
            assert_eq!((gate, turned_down(method)), (None, None), "no tools of ours are registered");
            continue;
        }
        let gate = gate.unwrap_or_else(|| panic!("cannot be shown: {message}"));
        assert!(turned_down(method).is_some());
        assert_eq!(gate.native.as_str(), id.to_string());
        if let Ask::Command { command, exact, outside_sandbox, unsure, .. } = &gate.ask {
            assert_eq!(outside_sandbox, &!unsure);
            assert_eq!(Some(exact.as_str()), message["params"]["command"].as_str());
            assert!(!command.starts_with("/bin/bash"), "{command}");
            assert_eq!(*outside_sandbox, message["params"]["reason"].is_string());
        }
        kinds.insert(method.to_owned());
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn one_odd_item_hides_nothing() {
    let items = json!([
        { "type": "userMessage", "id": null, "clientId": "c.1" },
        { "type": "agentMessage", "id": "m", "text": null },
        { "type": "commandExecution", "id": 7, "command": ["not", "a", "string"] },
        { "type": "commandExecution", "id": "c", "command": null, "status": null, "exitCode": "odd", "startedAtMs": {} },
        { "type": "fileChange", "id": "f", "changes": null },
        { "type": "fileChange", "id": "f", "changes": [{ "path": null, "kind": { "type": null }, "diff": null }] },
        { "type": "brandNew", "deep": [1] },
        { "no": "type" },
        "text",
        null,
    ]);
    let page: TurnPage = serde_json::from_value(json!({ "data": [{ "id": "t", "status": "completed", "items": items,
        "error": "odd", "completedAt": 1 }], "nextCursor": null }))
    .unwrap();
    let pulled = pulled_turn(&page.data[0]);
    assert_eq!(pulled.status, FoundStatus::Completed);
    assert_eq!(pulled.items.len(), 10);
    assert!(pulled.has_client(&ClientId::new("c.1")));
    assert!(matches!(pulled.items[2], PulledItem::Other));
    assert!(matches!(pulled.items[3], PulledItem::Tool { .. }));

    let about: About =
        serde_json::from_value(json!({ "threadId": "T", "turn": { "id": "t", "status": "completed", "items": [1] } }))
            .unwrap();
    let ended = fact("turn/completed", &about);
    assert_eq!(ended, Some(Fact::TurnEnded { end: TurnEnd::Completed, failure: None }));
    let bare = About { turn: Some(turn(json!({ "id": "t", "status": "failed" }))), ..About::default() };
    assert!(matches!(fact("turn/completed", &bare), Some(Fact::TurnEnded { end: TurnEnd::Failed, failure: None })));
}

/// What is not in a page is taken for absent: half a page must not be taken for a whole one.
#[test]
fn half_a_page_is_no_page() {
    for page in [
        json!({}),
        json!({ "data": null }),
        json!({ "data": [{ "items": [] }] }),
        json!({ "data": [{ "id": "t", "items": {} }] }),
    ] {
        assert!(serde_json::from_value::<TurnPage>(page.clone()).is_err(), "{page}");
    }
}

#[test]
fn what_cannot_be_shown_is_never_a_gate() {
    let id = json!(4);
    let change: Vec<FileUpdate> = serde_json::from_value(json!([{ "path": "a" }])).unwrap();
    for (method, params, file) in [
        ("item/commandExecution/requestApproval", json!({ "command": null }), None),
        ("item/commandExecution/requestApproval", json!({ "command": " " }), None),
        ("item/fileChange/requestApproval", json!({ "itemId": "x" }), None),
        ("item/fileChange/requestApproval", json!({ "itemId": "x" }), Some(&change[..0])),
        ("item/permissions/requestApproval", json!({}), None),
        ("item/permissions/requestApproval", json!({ "permissions": { "network": null } }), None),
        ("item/tool/requestUserInput", json!({ "questions": null }), None),
        ("mcpServer/elicitation/request", json!({ "mode": "url", "message": "open this" }), None),
        ("something/new", json!({}), None),
    ] {
        assert_eq!(gate(method, &id, &asked(params), file, "on-request"), None, "{method}");
    }
    assert!(gate("item/fileChange/requestApproval", &id, &asked(json!({})), Some(&change), "on-request").is_some());
    let wanted =
        json!({ "network": { "enabled": true, "hosts": ["h"] }, "camera": true, "fileSystem": { "read": null } });
    assert_eq!(permission_lines(&wanted).unwrap(), ["network", "camera true", "network.hosts [\"h\"]"]);
}

/// A move is judged and shown by where it goes, too.
#[test]
fn what_moves_arrives_somewhere() {
    let ask = |kind: Value, more: Value| {
        let file: Vec<FileUpdate> =
            serde_json::from_value(json!([{ "path": "/w/a", "kind": kind, "diff": "+x" }])).unwrap();
        gate("item/fileChange/requestApproval", &json!(1), &asked(more), Some(&file), "on-request").map(|gate| gate.ask)
    };
    let change =
        |path: &str, kind: &str, diff: &str| Change { path: path.into(), kind: kind.into(), diff: diff.into() };
    let stays = ask(json!({ "type": "update", "move_path": null }), json!({}));
    let Some(Ask::FileChange { changes, .. }) = stays else { panic!("{stays:?}") };
    assert_eq!(changes, [change("/w/a", "update", "+x")]);
    for field in ["move_path", "movePath"] {
        let moves = ask(json!({ "type": "update", field: "/w/.git/hooks/x" }), json!({ "grantRoot": null }));
        let Some(Ask::FileChange { changes, .. }) = moves else { panic!("{moves:?}") };
        assert_eq!(changes, [change("/w/a", "update", "+x"), change("/w/.git/hooks/x", "move", "")]);
    }
    // What cannot be read or is more than the changes is turned down.
    for (kind, more) in [
        (json!({ "type": "update", "move_path": 7 }), json!({})),
        (json!({ "type": "update", "move_path": "" }), json!({})),
        (json!({ "type": "update" }), json!({ "grantRoot": "/w" })),
        (json!({ "type": "update" }), json!({ "grantRoot": {} })),
    ] {
        assert_eq!(ask(kind.clone(), more.clone()), None, "{kind} {more}");
    }
}

#[test]
fn leaving_the_sandbox_depends_on_the_policy() {
    for (policy, reason, extra, want) in [
        ("on-request", None, Value::Null, true),
        ("untrusted", None, Value::Null, false),
        ("untrusted", Some("needs the net"), Value::Null, true),
        ("untrusted", None, json!({ "network": null }), true),
        ("never", None, Value::Null, true),
    ] {
        let params = json!({ "command": "ls", "reason": reason, "additionalPermissions": extra });
        let gate = gate("item/commandExecution/requestApproval", &json!(1), &asked(params), None, policy).unwrap();
        assert!(
            matches!(gate.ask, Ask::Command { outside_sandbox, unsure, .. } if outside_sandbox == want && unsure != want),
            "{policy} {reason:?}"
        );
    }
}

/// What is granted along with a command is shown, word for word or not at all.
#[test]
fn what_is_granted_along_is_shown() {
    let ask = |more: Value| {
        let mut params = json!({ "command": "ls", "cwd": "/w" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gate("item/commandExecution/requestApproval", &json!(1), &asked(params), None, "on-request")
            .map(|gate| gate.ask)
    };
    let entry = json!({ "path": { "type": "path", "path": "/x" }, "access": "write" });
    let shown = |more: Value| match ask(more) {
        Some(Ask::Command { wanted, network, .. }) => Some((wanted, network)),
        None => None,
        other => panic!("{other:?}"),
    };
    let files = json!({ "additionalPermissions": { "network": null,
        "fileSystem": { "read": null, "write": ["/x"], "entries": [entry] } } });
    // In the order of the payload's keys.
    assert_eq!(shown(files), Some((vec![entry.to_string(), "write /x".to_owned()], false)));
    let both = json!({ "additionalPermissions": { "network": { "enabled": true }, "fileSystem": { "read": ["/y"] } },
        "networkApprovalContext": { "host": "example.org", "protocol": "https" } });
    let want = ["network", "read /y", "network https://example.org"].map(str::to_owned).to_vec();
    assert_eq!(shown(both), Some((want, true)));
    assert_eq!(shown(json!({ "kind": "command", "environmentId": "local" })), Some((Vec::new(), false)));
    for odd in [
        json!({ "additionalPermissions": [] }),
        json!({ "additionalPermissions": { "network": { "enabled": "yes" } } }),
        json!({ "additionalPermissions": { "fileSystem": { "read": "/x" } } }),
        json!({ "additionalPermissions": { "fileSystem": { "write": [{ "path": "/x" }] } } }),
        json!({ "additionalPermissions": { "fileSystem": { "write": ["/x\nread /y"] } } }),
        json!({ "additionalPermissions": { "fileSystem": { "entries": {} } } }),
        json!({ "networkApprovalContext": "example.org" }),
        json!({ "networkApprovalContext": { "host": "example.org" } }),
        json!({ "networkApprovalContext": { "host": "h", "protocol": "https", "port": 1 } }),
        json!({ "kind": "writeStdin" }),
        json!({ "environmentId": "elsewhere" }),
    ] {
        assert_eq!(ask(odd.clone()), None, "{odd}");
    }
    let hidden = json!({ "network": { "enabled": true }, "fileSystem": { "enabled": true } });
    assert_eq!(permission_lines(&hidden).unwrap(), ["network", "fileSystem.enabled true"]);
}

#[test]
fn only_a_wrapper_is_taken_off() {
    for (command, want) in [
        ("/bin/bash -lc 'touch a; echo b'", "touch a; echo b"),
        ("/bin/bash -lc ls", "ls"),
        ("/bin/bash -c 'touch a; echo b'", "touch a; echo b"),
        ("/bin/zsh -c ls", "ls"),
        ("/bin/bashful -c ls", "/bin/bashful -c ls"),
        (r#"/bin/bash -lc 'echo '\''x'\'' '"'"'y'"'"''"#, "echo 'x' 'y'"),
        ("/bin/bash -lc 'ls' 'rm'", "/bin/bash -lc 'ls' 'rm'"),
        ("/bin/bash -lc ls rm", "/bin/bash -lc ls rm"),
        ("/bin/bash -lc \"echo $HOME\"", "/bin/bash -lc \"echo $HOME\""),
        ("git status", "git status"),
    ] {
        assert_eq!(bare_command(command), want);
    }
}

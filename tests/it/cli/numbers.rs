//! What those who run many machines look at: versions before an update, numbers for a scraper.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::{Home, check};

#[test]
fn an_update_is_looked_at_before_it_is_done() {
    let home = Home::new();
    let version = env!("CARGO_PKG_VERSION");
    check(&home.ally(&["update"]), 1, &[], &["does not update itself", "ally update --check"]);
    check(&home.ally(&["update", "--check"]), 0, &[version, "none runs", "restart cuts nothing"], &[]);
    check(&home.ally(&["start"]), 0, &[], &[]);
    let said = ["it is the one that runs", "nothing to migrate", "restart cuts nothing (0 under way go on"];
    check(&home.ally(&["update", "--check"]), 0, &said, &[]);
    let json: serde_json::Value = serde_json::from_slice(&home.ally(&["update", "--check", "--json"]).stdout).unwrap();
    assert!(json["ally"]["running"] == version && json["restart"]["hands_over"] == true, "{json}");
    assert!(json["codex"].is_null() && json["ledger"]["backup"].is_null(), "{json}");
}

fn scrape(port: u16) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn numbers_are_told_on_the_socket_and_on_a_port_where_one_is_set() {
    let home = Home::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.write("ally.toml", &format!("[metrics]\nport = {port}\n"));
    check(&home.ally(&["status", "--metrics"]), 69, &[], &["not running"]);
    check(&home.ally(&["start"]), 0, &[], &[]);
    check(&home.ally(&["chat", "--say", "[[say planted-words]]"]), 0, &["planted-words"], &[]);
    let said = [
        "ally_turns_total{outcome=\"completed\"} 1",
        "ally_events_total{channel=\"local\",result=\"stored\"} 1",
        "ally_runtime_starts_total 1",
        "ally_turns_now{state=\"running\"} 0.0",
        "ally_ledger_commit_seconds_bucket",
        "# EOF",
    ];
    check(&home.ally(&["status", "--metrics"]), 0, &said, &[]);
    let scraped = scrape(port);
    assert!(scraped.contains("content-type: application/openmetrics-text"), "{scraped}");
    assert!(said.iter().all(|line| scraped.contains(line)), "{scraped}");
    for private in ["planted-words", "local:", "main"] {
        assert!(!scraped.contains(private), "{private} is somebody's: {scraped}");
    }
    home.write("ally.toml", "[metrics]\nport = 0\n");
    check(&home.ally(&["reload"]), 78, &[], &["ally.toml:2: metrics.port: 0 is out of range", "nothing is changed"]);
}

//! The configuration: any file gives a configuration or problems that tell where, never a panic, and no secret is told.

use ally::config::{self, Environment, Paths, parse_duration, write_private};
use proptest::prelude::*;

const KEYS: &[&str] = &[
    "lang",
    "log",
    "enabled",
    "app_id",
    "base_url",
    "owner",
    "users",
    "kind",
    "bin",
    "args",
    "idle_timeout",
    "parallel",
    "busy",
    "scope",
    "roots",
    "keep_days",
    "sandbox",
    "zzz",
    "\"quoted key\"",
    "a.b",
];
const TABLES: &[&str] = &[
    "feishu",
    "channels.feishu",
    "access",
    "runtime",
    "runtime.codex",
    "turn",
    "conversation",
    "intake",
    "zzz",
    "\"é\"",
];
const VALUES: &[&str] = &[
    "1",
    "-1",
    "0",
    "99999999999999999999",
    "true",
    "\"\"",
    "\"10m\"",
    "\"x\"",
    "[]",
    "[\"ou_a\", 1]",
    "{}",
    "1.5",
    "\"\\u0000\"",
    "\"/no/such\"",
    "\"~/x\"",
    "1979-05-27",
    "'''\nx'''",
    "inf",
    "\"queue\"",
    "\"zh\"",
];

fn settings() -> impl Strategy<Value = String> {
    let row =
        (prop::sample::select(KEYS), prop::sample::select(VALUES)).prop_map(|(key, value)| format!("{key} = {value}"));
    let table = prop::sample::select(TABLES).prop_map(|table| format!("[{table}]"));
    let line = prop_oneof![4 => row, 2 => table, 1 => "[a-z =\\[\\]\"'#.]{0,20}"];
    let template = include_str!("../../templates/ally.toml");
    let cut = any::<prop::sample::Index>();
    prop_oneof![
        3 => proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n")),
        1 => (cut, ".{0,5}").prop_map(move |(at, put)| {
            let at = template.floor_char_boundary(at.index(template.len()));
            let uncommented = template.replace("\n# ", "\n");
            let text = if put.len() > 2 { &uncommented } else { template };
            let at = text.floor_char_boundary(at);
            format!("{}{put}{}", &text[..at], &text[at..])
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_file_is_a_configuration_or_tells_where_it_is_wrong(settings in settings(), dotenv in "([A-Z_]{1,12}=.{0,12}\n){0,3}") {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let paths = Paths::of_home(home.clone(), None);
        paths.create().unwrap();
        write_private(&paths.config, &settings).unwrap();
        let dotenv = format!("FEISHU_APP_SECRET=hush-hush\n{dotenv}");
        write_private(&paths.env, &dotenv).unwrap();
        let (home, user) = (home.display().to_string(), folder.path().display().to_string());
        match config::load(&Environment::of([("ALLY_HOME", home.as_str()), ("HOME", user.as_str())])) {
            Ok(config) => {
                let shown = format!("{:?}", config.feishu);
                prop_assert!(!shown.contains("hush-hush"), "{}", shown);
            }
            Err(problems) => {
                let text = problems.to_string();
                prop_assert!(!problems.list().is_empty() && !text.contains("hush-hush"), "{}", text);
                prop_assert!(text.contains("ally.toml") || text.contains(".env"), "{}\n---\n{}", settings, text);
            }
        }
    }

    #[test]
    fn a_duration_is_positive_or_none(text in "[0-9]{0,22}[a-z é]{0,4}") {
        prop_assert!(parse_duration(&text).is_none_or(|span| span.as_millis() < u128::from(u64::MAX)));
    }
}

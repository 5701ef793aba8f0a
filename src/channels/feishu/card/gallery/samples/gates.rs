//! Requests and questions: one, several, and what became of them.

use super::{Named, People, THEN, buttons, name};
use crate::domain::gate::{Ask, Change, Decision, Question, QuestionOption};
use crate::domain::risk::Class;
use crate::domain::rule::{Covers, Judged, Span};
use crate::domain::view::*;

impl People {
    // -------------------------------------------------------------------------------------------- C3, C5

    pub(super) fn command(&self) -> Ask {
        self.ask_command("git push origin main", true, false)
    }

    fn ask_command(&self, command: &str, outside_sandbox: bool, network: bool) -> Ask {
        let (command, exact, directory) = (command.to_owned(), String::new(), "web".to_owned());
        Ask::Command { command, exact, directory, outside_sandbox, unsure: false, network, wanted: Vec::new() }
    }

    /// A request with the buttons that its class gets.
    pub(super) fn gate(&self, ask: Ask, class: Class) -> GateView {
        let sandboxed = !matches!(&ask, Ask::Command { outside_sandbox: true, .. });
        let judged = Judged { class, why: None, sandboxed, needs_network: false };
        let covers = Covers::of(&ask, &judged).filter(|_| class.lasts().task);
        let network_only = matches!(ask, Ask::Permissions { network_only: true, .. });
        let allow = if network_only { ButtonRole::AllowNetwork } else { ButtonRole::Allow };
        let mut roles = vec![allow, ButtonRole::Decline];
        if covers.is_some() {
            let spans = every!(Span {
                Span::Task => [Span::Task],
                Span::Hours => [Span::Hours],
                Span::Always => [Span::Always],
            });
            let lasts = |span: &Span| *span != Span::Always || class.lasts().always;
            roles.extend(spans.into_iter().filter(lasts).map(ButtonRole::AllowFor));
        }
        roles.extend([ButtonRole::DeclineWhy, ButtonRole::Stop]);
        GateView {
            gate: None,
            risk: Some(RiskShown { class, why: None, sandboxed, needs_network: false }),
            rule: covers.map(|Covers { subject, directory, sandboxed, .. }| RuleOffer {
                subject,
                directory,
                sandboxed,
                until_ms: THEN + 30 * 86_400_000,
            }),
            paused: false,
            opened_at_ms: THEN,
            number: 3,
            requester: self.li.clone(),
            project: "web".to_owned(),
            deciders: self.mei.clone(),
            mention: vec!["ou_mei".into()],
            ask,
            claim: Some(self.words("把修好的分支推上去，好让 CI 跑", "Pushes the mended branch, so that CI runs")),
            state: GateShown::Open,
            buttons: buttons(roles),
            direct: false,
            bot_name: "ally".to_owned(),
        }
    }

    fn changes(&self, n: usize) -> Ask {
        let kinds = ["update", "add", "delete"];
        let change = |i: usize| {
            Change {
            path: format!("src/auth/session{i}.ts"),
            kind: kinds[i % kinds.len()].to_owned(),
            diff: "--- a/session.ts\n+++ b/session.ts\n@@ -1,3 +1,4 @@\n import { user } from './user';\n-if (!user) return;\n+if (!user) {\n+  return redirect('/login');\n+}\n".to_owned(),
        }
        };
        Ask::FileChange { changes: (0..n).map(change).collect(), directory: "web".to_owned() }
    }

    fn question(&self, options: usize, secret: bool) -> Question {
        let names = [
            self.words("保留旧接口", "Keep the old API"),
            self.words("换成新接口（建议）", "Use the new API (recommended)"),
            self.words("两个都留", "Keep both"),
        ];
        let option = |n: usize| QuestionOption {
            label: match options {
                0..=3 => names[n].clone(),
                _ => format!("{} {n}", names[n % 3]),
            },
            description: if n == 1 { self.words("要改 3 个调用处", "3 callers change") } else { String::new() },
        };
        Question {
            id: format!("q{options}"),
            header: self.words("接口", "API"),
            text: self
                .words("旧的登录接口还有人用。怎么处理？", "The old login API is still used. What shall become of it?"),
            options: (0..options).map(option).collect(),
            free_text: true,
            secret,
        }
    }

    fn questions(&self, questions: Vec<Question>) -> GateView {
        let options = match questions.as_slice() {
            [one] if one.options.len() <= 4 => u32::try_from(one.options.len()).unwrap_or_default(),
            _ => 0,
        };
        let roles = (0..options).map(ButtonRole::Option);
        let roles = roles.chain([ButtonRole::Submit, ButtonRole::Skip, ButtonRole::Stop]);
        let gate = self.gate(Ask::Questions { questions }, Class::Read);
        GateView { buttons: buttons(roles), claim: None, risk: None, rule: None, ..gate }
    }

    pub(super) fn gates(&self) -> Named {
        let mut gates: Vec<(String, GateView)> = Vec::new();
        for ask in every!(Ask {
            Ask::Command { .. } => [self.command()],
            Ask::FileChange { .. } => [self.changes(3)],
            Ask::Permissions { .. } => [Ask::Permissions {
                wanted: vec!["write /etc/hosts".to_owned(), "network access".to_owned()],
                directory: "web".to_owned(),
                network_only: false,
            }],
            Ask::Tool { .. } => [Ask::Tool {
                server: "jira".to_owned(),
                tool: "create_issue".to_owned(),
                detail: "{\"project\": \"WEB\", \"title\": \"Login\"}".to_owned(),
            }],
            Ask::Questions { .. } => [],
        }) {
            gates.push((name(&ask), self.gate(ask, Class::Unknown)));
        }
        // Secrets are refused, nobody is asked.
        for (class, ask) in self.classes().into_iter().filter(|(class, _)| *class != Class::Secret) {
            gates.push((format!("class_{}", name(&class)), self.gate(ask, class)));
        }
        let network = vec![self.words("联网", "network")];
        let network = Ask::Permissions { wanted: network, directory: "web".to_owned(), network_only: true };
        gates.push(("permissions_network_only".to_owned(), self.gate(network, Class::Fetch)));
        let long = (1..=43).map(|n| format!("echo line {n}\n")).collect::<String>();
        let wide =
            "docker run --rm -v \"$PWD\":/app -w /app node:22 npm run build -- --mode production --target es2022";
        for (state, ask, class) in [
            ("command_of_43_lines", self.ask_command(&long, true, false), Class::WriteOut),
            ("command_of_one_wide_line", self.ask_command(wide, true, false), Class::WriteOut),
            ("command_with_quotes", self.ask_command("npm test -- --grep 'log in'", false, false), Class::Write),
            ("files_30", self.changes(30), Class::Write),
        ] {
            gates.push((state.to_owned(), self.gate(ask, class)));
        }
        let mut ask = self.ask_command("touch notes.txt", false, false);
        if let Ask::Command { unsure, .. } = &mut ask {
            *unsure = true;
        }
        let mut perhaps = self.gate(ask, Class::WriteOut);
        perhaps.risk = Some(RiskShown { class: Class::WriteOut, why: None, sandboxed: false, needs_network: false });
        gates.push(("perhaps_outside".to_owned(), perhaps));
        let mut fetches = self.gate(self.ask_command("npm install", true, false), Class::WriteOut);
        fetches.risk = Some(RiskShown { class: Class::WriteOut, why: None, sandboxed: false, needs_network: true });
        fetches.buttons.extend(buttons([ButtonRole::AllowNetwork]));
        gates.push(("needs_network".to_owned(), fetches));
        let pushed = || self.gate(self.command(), Class::Publish);
        let direct = GateView { direct: true, deciders: self.li.clone(), mention: Vec::new(), ..pushed() };
        gates.push(("command_direct_chat".to_owned(), direct));
        gates.push(("paused".to_owned(), GateView { paused: true, ..pushed() }));
        let line = self.ask_command("cd web && git push && rm -rf dist", true, false);
        let risk = Some(RiskShown {
            class: Class::Destroy,
            why: Some("rm -rf dist".to_owned()),
            sandboxed: false,
            needs_network: false,
        });
        gates.push(("worst_part_of_a_line".to_owned(), GateView { risk, ..self.gate(line, Class::Destroy) }));
        let states = every!(GateShown {
            GateShown::Open => [],
            GateShown::OpenAgain { .. } => [GateShown::OpenAgain { who: self.mei.clone(), at_ms: THEN }],
            GateShown::Decided { .. } => [],
            GateShown::Refused => [GateShown::Refused],
            GateShown::Withdrawn => [GateShown::Withdrawn],
            GateShown::Void => [GateShown::Void],
            GateShown::VoidMayHaveRun { .. } => [GateShown::VoidMayHaveRun { who: self.mei.clone() }],
        });
        for state in states {
            let view = match state {
                GateShown::Refused => self.gate(self.ask_command("cat .env", true, false), Class::Secret),
                _ => pushed(),
            };
            gates.push((name(&state), GateView { state, ..view }));
        }
        for (state, decision) in self.decisions() {
            gates.push((state, GateView { state: self.decided(decision), ..pushed() }));
        }
        for (span, applied) in Span::ALL.into_iter().flat_map(|span| [(span, false), (span, true)]) {
            let rule = Some(RuleShown { number: 7, span, applied, made_at_ms: THEN - 86_400_000 });
            let state = GateShown::Decided { who: self.mei.clone(), at_ms: THEN, decision: Decision::Allow, rule };
            let by = if applied { "allowed_by_rule_for" } else { "allowed_for" };
            let tested = self.gate(self.ask_command("npm test", false, false), Class::Write);
            gates.push((format!("{by}_{}", name(&span)), GateView { state, ..tested }));
        }
        gates.extend(self.question_cards());
        gates.into_iter().map(|(state, gate)| (state, View::Gate(gate))).collect()
    }

    /// A request of every class.
    fn classes(&self) -> Vec<(Class, Ask)> {
        let classes = every!(Class {
            Class::Read => [Class::Read],
            Class::Write => [Class::Write],
            Class::ReadOut => [Class::ReadOut],
            Class::Fetch => [Class::Fetch],
            Class::WriteOut => [Class::WriteOut],
            Class::Autorun => [Class::Autorun],
            Class::Publish => [Class::Publish],
            Class::Destroy => [Class::Destroy],
            Class::Unknown => [Class::Unknown],
            Class::Privilege => [Class::Privilege],
            Class::Secret => [Class::Secret],
        });
        let line = |class| match class {
            Class::Read => "git log --oneline -20",
            Class::Write => "npm test",
            Class::ReadOut => "cat /etc/hosts",
            Class::Fetch => "npm install lodash",
            Class::WriteOut => "tee ../other/notes.md",
            Class::Autorun => "tee .husky/pre-commit",
            Class::Publish => "git push origin main",
            Class::Destroy => "git reset --hard",
            Class::Unknown => "bash -c \"$x\"",
            Class::Privilege => "sudo systemctl restart nginx",
            Class::Secret => "cat .env",
        };
        let ask = |class| {
            let outside = !matches!(class, Class::Read | Class::Write);
            self.ask_command(line(class), outside, class == Class::Publish)
        };
        classes.into_iter().map(|class| (class, ask(class))).collect()
    }

    // -------------------------------------------------------------------------------------------- C4

    fn gate_row(&self, number: i64, ask: Ask, class: Class, state: GateShown) -> GateRow {
        let roles = [ButtonRole::AllowNumber(number), ButtonRole::DeclineNumber(number)];
        let sandboxed = !matches!(&ask, Ask::Command { outside_sandbox: true, .. });
        GateRow {
            gate: format!("g-{number}").as_str().into(),
            number,
            ask,
            claim: Some(self.words("测试要用它", "The tests need it")),
            risk: RiskShown { class, why: None, sandboxed, needs_network: false },
            buttons: if state.is_open() { buttons(roles) } else { Vec::new() },
            state,
            opened_at_ms: THEN,
        }
    }

    pub(super) fn list(&self, rows: Vec<GateRow>) -> GatesView {
        let open: Vec<&GateRow> = rows.iter().filter(|row| row.state.is_open()).collect();
        let is_low = |row: &&&GateRow| matches!(row.risk.class, Class::Read | Class::Write);
        let low: Vec<i64> = open.iter().filter(is_low).map(|row| row.number).collect();
        let mut roles = Vec::new();
        roles.extend((low.len() > 1).then_some(ButtonRole::AllowLow));
        roles.extend((open.len() > 1).then_some(ButtonRole::DeclineAll));
        roles.extend((!open.is_empty()).then_some(ButtonRole::Stop));
        GatesView {
            requester: self.li.clone(),
            project: "web".to_owned(),
            deciders: self.mei.clone(),
            mention: vec!["ou_mei".into()],
            more: 0,
            low,
            buttons: buttons(roles),
            paused: false,
            direct: false,
            bot_name: "ally".to_owned(),
            rows,
        }
    }

    pub(super) fn lists(&self) -> Named {
        let row = |number, ask, class| self.gate_row(number, ask, class, GateShown::Open);
        let mut of_all: Vec<GateRow> = Vec::new();
        for (number, (class, ask)) in (3..).zip(self.classes().into_iter().filter(|(class, _)| *class != Class::Secret))
        {
            of_all.push(row(number, ask, class));
        }
        let low = vec![
            row(3, self.ask_command("npm test", false, false), Class::Write),
            row(4, self.ask_command("git log --oneline -20", false, false), Class::Read),
            row(5, self.changes(2), Class::Write),
        ];
        let red = [of_all[0].clone(), of_all[7].clone()].to_vec();
        of_all.truncate(MAX_GATE_ROWS);
        let over = |number, state| self.gate_row(number, self.command(), Class::Publish, state);
        let allowed = || over(6, self.decided(Decision::Allow));
        let again = || GateShown::OpenAgain { who: self.mei.clone(), at_ms: THEN };
        let mut half = low.clone();
        half.push(allowed());
        [
            ("low_risk", self.list(low.clone())),
            ("with_a_red_one", self.list(red)),
            ("eight_and_more", GatesView { more: 3, ..self.list(of_all) }),
            ("paused_direct_chat", GatesView { paused: true, direct: true, mention: Vec::new(), ..self.list(low) }),
            ("half_decided", self.list(half)),
            ("asked_again", self.list(vec![over(6, again()), over(7, again())])),
            ("all_decided", self.list(vec![allowed(), over(7, GateShown::Withdrawn)])),
        ]
        .map(|(state, view)| (state.to_owned(), View::Gates(view)))
        .into()
    }

    fn decided(&self, decision: Decision) -> GateShown {
        GateShown::Decided { who: self.mei.clone(), at_ms: THEN, decision, rule: None }
    }

    /// What can become of an approval; answers belong to questions.
    fn decisions(&self) -> Vec<(String, Decision)> {
        let reason = Some(self.words("先等 CI", "Wait for CI first"));
        let decisions = every!(Decision {
            Decision::Allow => [Decision::Allow],
            Decision::Decline { .. } => [Decision::Decline { reason: None }, Decision::Decline { reason }],
            Decision::StopTurn => [Decision::StopTurn],
            Decision::Network => [Decision::Network],
            Decision::Answers { .. } => [],
        });
        let named = |decision: Decision| match &decision {
            Decision::Decline { reason: Some(_) } => ("decline_with_reason".to_owned(), decision),
            other => (name(other), decision),
        };
        decisions.into_iter().map(named).collect()
    }

    fn question_cards(&self) -> Vec<(String, GateView)> {
        let several = vec![self.question(3, false), self.question(6, false), self.question(0, true)];
        let answers = |id: &str, words: &[String]| {
            self.decided(Decision::Answers { answers: vec![(id.to_owned(), words.to_vec())] })
        };
        let one = self.questions(vec![self.question(3, false)]);
        let secret = self.questions(vec![self.question(0, true)]);
        let skipped = answers("q3", &[]);
        let answered = answers("q3", &[self.words("换成新接口", "Use the new API")]);
        let provided = answers("q0", &["hunter2".to_owned()]);
        [
            ("question_of_buttons", one.clone()),
            ("question_direct_chat", GateView { direct: true, mention: Vec::new(), ..one.clone() }),
            ("question_of_select", self.questions(vec![self.question(6, false)])),
            ("question_free_text", self.questions(vec![self.question(0, false)])),
            ("question_secret", secret.clone()),
            ("questions_3", self.questions(several)),
            ("question_answered", GateView { state: answered, ..one.clone() }),
            ("question_skipped", GateView { state: skipped, ..one }),
            ("question_secret_answered", GateView { state: provided, ..secret }),
        ]
        .map(|(state, view)| (state.to_owned(), view))
        .into()
    }
}

//! Compound commands: what they run, and the conditions in them.

use brush_parser::ast::*;

use super::{Judge, MAX_COMMANDS, Stdin};
use crate::domain::risk::{Class, paths, programs, words};

impl Judge<'_> {
    pub(super) fn compound(&mut self, compound: &CompoundCommand, stdin: &Stdin) {
        let around = self.connect(stdin);
        self.compound_parts(compound);
        self.around = around;
    }

    fn compound_parts(&mut self, compound: &CompoundCommand) {
        match compound {
            CompoundCommand::Arithmetic(command) => self.arithmetic(&command.expr.value),
            CompoundCommand::ArithmeticForClause(clause) => {
                for expression in [&clause.initializer, &clause.condition, &clause.updater].into_iter().flatten() {
                    self.arithmetic(&expression.value);
                }
                self.repeat(&clause.body.list);
            }
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(shell) => self.list(&shell.list),
            CompoundCommand::ForClause(clause) => {
                match &clause.values {
                    Some(values) => {
                        for value in values.iter().flat_map(|value| self.expand(&value.value)).collect::<Vec<_>>() {
                            self.assign(&clause.variable_name, Some(value));
                        }
                    }
                    None => self.assign(&clause.variable_name, None),
                }
                let inner = self.take_inner();
                self.note(inner.max(programs::variable(&clause.variable_name)), "for");
                self.repeat(&clause.body.list);
            }
            CompoundCommand::CaseClause(clause) => {
                self.expand(&clause.value.value);
                for case in &clause.cases {
                    for pattern in &case.patterns {
                        self.expand(&pattern.value);
                    }
                    if let Some(list) = &case.cmd {
                        self.list(list);
                    }
                }
                let inner = self.take_inner();
                self.note(inner, "case");
            }
            CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition);
                self.list(&clause.then);
                for branch in clause.elses.iter().flatten() {
                    if let Some(condition) = &branch.condition {
                        self.list(condition);
                    }
                    self.list(&branch.body);
                }
            }
            CompoundCommand::WhileClause(WhileOrUntilClauseCommand(condition, body, _))
            | CompoundCommand::UntilClause(WhileOrUntilClauseCommand(condition, body, _)) => {
                self.repeat(condition);
                self.repeat(&body.list);
            }
            CompoundCommand::Coprocess(coprocess) => {
                self.command(&coprocess.body, &Stdin::unknown());
            }
        }
    }

    fn repeat(&mut self, list: &CompoundList) {
        self.repeats += 1;
        let before = self.dirs.clone();
        self.list(list);
        // The next round begins where this one ended.
        if self.dirs != before && self.commands < MAX_COMMANDS {
            self.list(list);
        }
        self.repeats -= 1;
    }

    fn arithmetic(&mut self, expression: &str) {
        words::arithmetic(expression, self);
        let inner = self.take_inner();
        self.note(inner, expression);
    }

    pub(super) fn test(&mut self, expression: &ExtendedTestExpr) -> Class {
        match expression {
            ExtendedTestExpr::And(a, b) | ExtendedTestExpr::Or(a, b) => self.test(a).max(self.test(b)),
            ExtendedTestExpr::Not(inner) | ExtendedTestExpr::Parenthesized(inner) => self.test(inner),
            ExtendedTestExpr::UnaryTest(UnaryPredicate::ShellVariableIsSetAndAssigned, _) => Class::Unknown,
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let text =
                    matches!(predicate, UnaryPredicate::StringHasNonZeroLength | UnaryPredicate::StringHasZeroLength);
                let words = self.expand(&word.value);
                let class = words.iter().map(|word| {
                    if text || word.dynamic { Class::Read } else { paths::list(word, &self.dirs, self.place) }
                });
                let class = class.max().unwrap_or(Class::Read);
                class.max(self.take_inner())
            }
            ExtendedTestExpr::BinaryTest(predicate, a, b) => {
                use BinaryPredicate::*;
                let numbers = matches!(
                    predicate,
                    ArithmeticEqualTo
                        | ArithmeticNotEqualTo
                        | ArithmeticLessThan
                        | ArithmeticLessThanOrEqualTo
                        | ArithmeticGreaterThan
                        | ArithmeticGreaterThanOrEqualTo
                );
                let words = [self.expand(&a.value), self.expand(&b.value)].concat();
                // `-eq` evaluates its sides, and an index in them may run commands.
                for word in words.iter().filter(|_| numbers) {
                    words::arithmetic(&word.text, self);
                }
                let runs = numbers && words.iter().any(|word| word.dynamic || word.text.contains(['$', '=']));
                self.take_inner().max(if runs { Class::Unknown } else { Class::Read })
            }
        }
    }
}

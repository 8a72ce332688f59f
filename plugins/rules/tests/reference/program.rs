//! A random rule set in pieces that can be taken out one by one, with the facts and steps that go with it.

use std::fmt::{self, Write};

use rules_plugin::engine::Change;
use rules_plugin::rows::Row;

#[derive(Clone, Debug)]
pub(crate) struct RuleText {
    pub(crate) id: String,
    /// `phase` and `salience`.
    pub(crate) head: String,
    pub(crate) when: Vec<String>,
    pub(crate) then: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Assert,
    Retract,
    Modify,
}

#[derive(Clone, Debug)]
pub(crate) struct StepChange {
    pub(crate) kind: ChangeKind,
    pub(crate) template: usize,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// All but the rules.
    pub(crate) head: Vec<String>,
    pub(crate) rules: Vec<RuleText>,
    pub(crate) facts: Vec<(usize, Row)>,
    pub(crate) steps: Vec<Vec<StepChange>>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.yaml())?;
        self.facts.iter().try_for_each(|(template, row)| writeln!(f, "fact of template {template}: {row:?}"))?;
        for step in &self.steps {
            writeln!(f, "step:")?;
            step.iter().try_for_each(|change| writeln!(f, "  {change:?}"))?;
        }
        Ok(())
    }
}

impl Program {
    pub(crate) fn yaml(&self) -> String {
        let mut text = self.head.join("\n");
        text.push_str("\nrules:\n");
        if self.rules.is_empty() {
            text.truncate(text.len() - 1);
            text.push_str(" []\n");
        }
        for rule in &self.rules {
            let _ = writeln!(text, "  - id: {}", rule.id);
            if !rule.head.is_empty() {
                let _ = writeln!(text, "    {}", rule.head);
            }
            text.push_str("    when:\n");
            rule.when.iter().for_each(|condition| _ = writeln!(text, "      - {condition}"));
            text.push_str("    then:\n");
            rule.then.iter().for_each(|action| _ = writeln!(text, "      - {action}"));
        }
        text
    }

    /// Facts by template.
    pub(crate) fn given(&self) -> Vec<(usize, Vec<Row>)> {
        let mut given: Vec<(usize, Vec<Row>)> = Vec::new();
        for (template, row) in &self.facts {
            match given.iter_mut().find(|(known, _)| known == template) {
                Some((_, rows)) => rows.push(row.clone()),
                None => given.push((*template, vec![row.clone()])),
            }
        }
        given
    }

    pub(crate) fn changes(step: &[StepChange]) -> Vec<Change> {
        let change = |change: &StepChange| match change.kind {
            ChangeKind::Assert => Change::Assert(change.template, change.rows.clone()),
            ChangeKind::Retract => Change::Retract(change.template, change.rows.clone()),
            ChangeKind::Modify => Change::Modify(change.template, change.rows.clone()),
        };
        step.iter().map(change).collect()
    }

    /// The program with one piece less, in every way.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut smaller = self.clone();
            change(&mut smaller);
            all.push(smaller);
        };
        (0..self.steps.len()).for_each(|step| add(&|program| _ = program.steps.remove(step)));
        (0..self.rules.len()).for_each(|rule| add(&|program| _ = program.rules.remove(rule)));
        (0..self.facts.len()).for_each(|fact| add(&|program| _ = program.facts.remove(fact)));
        for (place, step) in self.steps.iter().enumerate() {
            (0..step.len()).for_each(|change| add(&|program| _ = program.steps[place].remove(change)));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            if rule.when.len() > 1 {
                (0..rule.when.len()).for_each(|at| add(&|program| _ = program.rules[place].when.remove(at)));
            }
            if rule.then.len() > 1 {
                (0..rule.then.len()).for_each(|at| add(&|program| _ = program.rules[place].then.remove(at)));
            }
            if rule.head.starts_with("salience") {
                add(&|program| program.rules[place].head.clear());
            }
        }
        all
    }
}

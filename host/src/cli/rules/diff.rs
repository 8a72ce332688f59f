//! `inferwit rules diff`: two versions of a rule set on the same recorded facts, and the decisions that differ.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::facts::{self, Record};
use super::report::shown;
use super::run::{evaluate, of_rule_set};
use super::{Params, Settings, Subject};
use crate::cli::failure::RefusedRules;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};
use crate::plugin::{self, RunStatus};

#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// The version that decides now: a rule set file, or a registered rule set
    #[arg(value_name = "A: FILE or REF")]
    before: String,
    /// The version that would decide
    #[arg(value_name = "B: FILE or REF")]
    after: String,
    /// The facts, as recorded .jsonl, .json or .yaml
    #[arg(long, value_name = "FILE")]
    facts: String,
    /// Exit code 1 if a decision changes
    #[arg(long)]
    fail_on_change: bool,
    #[command(flatten)]
    params: Params,
}

/// By subject (`None` is the request) what was decided, each as `decision CODE`, in order.
type Decided = BTreeMap<Option<String>, Vec<String>>;

/// What one version made of one record.
enum Came {
    Decided(Decided),
    /// It was refused, or ended with an error or at a limit without an answer: why.
    Ended(String),
}

/// What a subject got from both versions.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    subject: Option<String>,
    before: String,
    after: String,
}

impl Diff {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let (mut before, mut after) = (Subject::find(&app, &self.before)?, Subject::find(&app, &self.after)?);
        let records = of_rule_set(facts::read(&self.facts)?, &mut before, session)?;
        // What is wrong with the second version as such is told once, not for each record.
        after.open(&Settings::default())?;
        let progress = session.progress(format!("run {} records twice", records.len()));
        let mut changed = Vec::new();
        for record in &records {
            let changes = changes(&self.came(&mut before, record), &self.came(&mut after, record));
            if !changes.is_empty() {
                changed.push((record, changes));
            }
        }
        drop(progress);
        if out.is_json() {
            out.json(&as_json((&before.label, &after.label), records.len(), &changed))?;
        } else {
            for line in lines(records.len(), &changed) {
                out.text(line)?;
            }
        }
        Ok(if self.fail_on_change && !changed.is_empty() { Verdict::Failed } else { Verdict::Good })
    }

    /// A record that a version refuses is something to tell, not the end.
    fn came(&self, subject: &mut Subject, record: &Record) -> Came {
        let rules = subject.open(&self.params.over(record));
        match rules.and_then(|rules| evaluate(rules, record, None, &self.facts)) {
            Ok(outcome) => came(&outcome),
            Err(error) => Came::Ended(format!("refused: {}", reason(&error))),
        }
    }
}

/// The first thing that is wrong, in a line.
fn reason(error: &anyhow::Error) -> String {
    let first = error.downcast_ref::<RefusedRules>().and_then(|refused| refused.parts.first());
    match first {
        Some((message, _)) => message.lines().next().unwrap_or_default().to_owned(),
        None => format!("{error:#}"),
    }
}

fn came(outcome: &plugin::Outcome) -> Came {
    let report: Value = outcome.report.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let named = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    match outcome.status {
        RunStatus::Error => return Came::Ended(format!("error {}", named(&report["error"]["code"]))),
        RunStatus::Limit if outcome.decisions.is_empty() => {
            let limit = outcome.limit.as_ref().map_or("unknown", |limit| limit.name.as_str());
            return Came::Ended(format!("limit {limit}"));
        }
        RunStatus::Ok | RunStatus::Limit => {}
    }
    let mut decided = Decided::new();
    for decision in &outcome.decisions {
        let said = format!("{} {}", decision.decision, decision.code);
        decided.entry(decision.subject.clone()).or_default().push(said);
    }
    decided.values_mut().for_each(|said| said.sort_unstable());
    Came::Decided(decided)
}

/// Where both versions came to different decisions.
fn changes(before: &Came, after: &Came) -> Vec<Change> {
    let (before, after) = match (before, after) {
        (Came::Decided(before), Came::Decided(after)) => (before, after),
        (Came::Ended(before), Came::Ended(after)) if before == after => return Vec::new(),
        (before, after) => return vec![Change { subject: None, before: whole(before), after: whole(after) }],
    };
    let mut subjects: Vec<&Option<String>> = before.keys().chain(after.keys()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let change = |subject: &Option<String>| {
        let (before, after) = (before.get(subject), after.get(subject));
        (before != after).then(|| Change { subject: subject.clone(), before: said(before), after: said(after) })
    };
    subjects.into_iter().filter_map(change).collect()
}

fn said(decisions: Option<&Vec<String>>) -> String {
    decisions.map_or_else(|| "nothing".to_owned(), |decisions| decisions.join(", "))
}

fn whole(came: &Came) -> String {
    match came {
        Came::Ended(why) => why.clone(),
        Came::Decided(decided) if decided.is_empty() => said(None),
        Came::Decided(decided) => decided.values().map(|said| said.join(", ")).collect::<Vec<_>>().join(", "),
    }
}

/// How often decisions changed in the same way, the most frequent first.
fn transitions(changed: &[(&Record, Vec<Change>)]) -> Vec<(usize, String, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for change in changed.iter().flat_map(|(_, changes)| changes) {
        *counts.entry((&change.before, &change.after)).or_default() += 1;
    }
    let mut transitions: Vec<(usize, String, String)> =
        counts.into_iter().map(|((before, after), count)| (count, before.to_owned(), after.to_owned())).collect();
    transitions.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    transitions
}

fn lines(records: usize, changed: &[(&Record, Vec<Change>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (record, changes) in changed {
        lines.push(shown(&record.title()));
        for Change { subject, before, after } in changes {
            let subject = subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
            lines.push(shown(&format!("  {subject}{before} -> {after}")));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!("{} of {records} records changed", changed.len()));
    let transitions = transitions(changed).into_iter();
    lines.extend(transitions.map(|(count, before, after)| shown(&format!("  {count}  {before} -> {after}"))));
    lines
}

fn as_json((before, after): (&str, &str), records: usize, changed: &[(&Record, Vec<Change>)]) -> Value {
    let change = |(record, changes): &(&Record, Vec<Change>)| {
        let changes = changes
            .iter()
            .map(|change| json!({"subject": change.subject, "before": change.before, "after": change.after}));
        json!({"record": record.number, "origin": record.origin, "changes": changes.collect::<Vec<_>>()})
    };
    let transitions = transitions(changed).into_iter();
    let transitions =
        transitions.map(|(count, before, after)| json!({"count": count, "before": before, "after": after}));
    json!({
        "before": before, "after": after, "records": records, "changed": changed.len(),
        "changes": changed.iter().map(change).collect::<Vec<_>>(), "transitions": transitions.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(decisions: &[(Option<&str>, &str)]) -> Came {
        let mut decided = Decided::new();
        for (subject, said) in decisions {
            decided.entry(subject.map(str::to_owned)).or_default().push((*said).to_owned());
        }
        Came::Decided(decided)
    }

    fn check(before: &Came, after: &Came, expected: &[(Option<&str>, &str, &str)]) {
        let found = changes(before, after);
        let found: Vec<(Option<&str>, &str, &str)> = found
            .iter()
            .map(|change| (change.subject.as_deref(), change.before.as_str(), change.after.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn decisions_are_compared_by_subject() {
        let before = decided(&[(Some("A"), "approve OK"), (Some("B"), "reject RISK"), (None, "refer NEW")]);
        let after = decided(&[(Some("A"), "reject RISK"), (Some("B"), "reject RISK"), (Some("C"), "refer NEW")]);
        check(&before, &before, &[]);
        check(
            &before,
            &after,
            &[
                (None, "refer NEW", "nothing"),
                (Some("A"), "approve OK", "reject RISK"),
                (Some("C"), "nothing", "refer NEW"),
            ],
        );
    }

    #[test]
    fn a_run_that_ends_is_a_change_once() {
        let (before, ended) = (decided(&[(Some("A"), "approve OK")]), Came::Ended("error overflow".to_owned()));
        check(&before, &ended, &[(None, "approve OK", "error overflow")]);
        check(&ended, &ended, &[]);
        check(&ended, &decided(&[]), &[(None, "error overflow", "nothing")]);
    }

    #[test]
    fn the_summary_counts_changes_of_one_kind() {
        let record = |number| Record { number, ..Record::default() };
        let (first, third) = (record(1), record(3));
        let change = |subject: &str, before: &str, after: &str| Change {
            subject: Some(subject.to_owned()),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let changed = [
            (&first, vec![change("A", "approve OK", "refer NEW"), change("B", "approve OK", "reject RISK")]),
            (&third, vec![change("C", "approve OK", "reject RISK")]),
        ];
        insta::assert_snapshot!(lines(5, &changed).join("\n"), @"
        record 1
          A: approve OK -> refer NEW
          B: approve OK -> reject RISK
        record 3
          C: approve OK -> reject RISK

        2 of 5 records changed
          2  approve OK -> reject RISK
          1  approve OK -> refer NEW
        ");
        assert_eq!(lines(5, &[]), ["0 of 5 records changed"]);
    }
}

//! `inferwit rules explain`: what a fact or a decision rests on, or what keeps it from holding, as a tree.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::facts::{self, Record};
use super::report::{list, pairs, shown, text};
use super::run::{columns, of_rule_set};
use super::{Params, Subject};
use crate::app::AppError;
use crate::cli::failure::WrongCall;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};
use crate::plugin::EvaluateOptions;

#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// A rule set file, or a registered rule set
    #[arg(value_name = "FILE or REF")]
    rule_set: String,
    /// What is asked about, as `risk(id='A1')` or `decision(code='RISK')`
    #[arg(value_name = "QUERY")]
    query: String,
    /// The facts, as .json, .yaml or recorded .jsonl
    #[arg(long, value_name = "FILE")]
    facts: String,
    /// Which record of the facts is meant, from 1; needed where there are several
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    #[command(flatten)]
    params: Params,
}

impl Explain {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut subject = Subject::find(&app, &self.rule_set)?;
        let records = of_rule_set(facts::read(&self.facts)?, &mut subject, session)?;
        let record = self.chosen(&records)?;
        let rules = subject.open(&self.params.over(record))?;
        let name = rules.signature().name.clone();
        let facts = columns(record, rules.signature(), &self.facts)?;
        let explained = rules.explain(&facts, &EvaluateOptions::default(), &self.query).map_err(AppError::from)?;
        let mut explained: Value = serde_json::from_str(&explained).context("read the explanation of the engine")?;
        name_places(&mut explained, &name, &subject.label);
        if out.is_json() {
            out.text(explained)?;
            return Ok(Verdict::Good);
        }
        for line in lines(&explained) {
            out.text(line)?;
        }
        Ok(Verdict::Good)
    }

    fn chosen<'r>(&self, records: &'r [Record]) -> anyhow::Result<&'r Record> {
        match (self.record, records) {
            (None, [only]) => Ok(only),
            (None, _) => {
                let message = format!("{} holds {} records, and one run is explained", self.facts, records.len());
                Err(WrongCall::new(message, "say which with --record N").into())
            }
            (Some(number), _) => records.iter().find(|record| record.number == number).ok_or_else(|| {
                let message = format!("{} has no record {number} of this rule set", self.facts);
                let numbers = (records[0].number, records[records.len() - 1].number);
                WrongCall::new(message, format!("its records are {} to {}", numbers.0, numbers.1)).into()
            }),
        }
    }
}

/// The engine knows no file and has the rule set's name before lines and columns; here it is known what holds its text.
fn name_places(explained: &mut Value, name: &str, label: &str) {
    let candidates = explained["candidates"].as_array_mut().into_iter().flatten();
    for place in candidates.filter_map(|candidate| candidate.pointer_mut("/failed/at")) {
        let within = place.as_str().and_then(|at| at.strip_prefix(name)).filter(|within| within.starts_with(':'));
        if let Some(named) = within.map(|within| format!("{label}{within}")) {
            *place = named.into();
        }
    }
}

fn lines(explained: &Value) -> Vec<String> {
    if explained["holds"] == true { why(explained) } else { why_not(explained) }
}

fn why(explained: &Value) -> Vec<String> {
    let nodes = list(&explained["nodes"]).iter();
    let mut tree =
        Tree { nodes: nodes.map(|node| (text(&node["id"]), node)).collect(), told: HashSet::new(), lines: Vec::new() };
    tree.tell(text(&explained["root"]));
    if explained["truncated"] == true {
        tree.lines.push("what else it rests on is not shown".to_owned());
    }
    tree.lines
}

/// The nodes of a proof, each told once with all that it rests on.
struct Tree<'a> {
    nodes: HashMap<&'a str, &'a Value>,
    told: HashSet<&'a str>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    /// Depth first, without recursion: a chain of derivations may be long.
    fn tell(&mut self, root: &'a str) {
        let mut open = vec![(root, 0)];
        while let Some((id, depth)) = open.pop() {
            let indent = "  ".repeat(depth);
            let Some(node) = self.nodes.get(id).copied() else {
                self.lines.push(format!("{indent}{}", shown(id)));
                continue;
            };
            let supports = list(&node["supports"]);
            let is_told = !self.told.insert(id);
            let above = if is_told && !supports.is_empty() { ", see above" } else { "" };
            self.lines.push(format!("{indent}{}{above}", described(node)));
            if is_told {
                continue;
            }
            let values = with_value(&node["values"]);
            if !values.is_empty() {
                self.lines.push(format!("{indent}    where {}", values.join(", ")));
            }
            open.extend(supports.iter().rev().map(|support| (text(support), depth + 1)));
        }
    }
}

/// Values as pairs, without those that a fact leaves out.
fn with_value(values: &Value) -> Vec<String> {
    let mut values = values.clone();
    if let Some(entries) = values.as_object_mut() {
        entries.retain(|_, value| !value.is_null());
    }
    pairs(&values)
}

/// `risk(id='A1'): derived by rule `model-risk``
fn described(node: &Value) -> String {
    let fact = match &node["fact"] {
        Value::String(fact) => shown(fact),
        Value::Null => shown(text(&node["id"])),
        fact => fact.to_string(),
    };
    let rule = node["rule"].as_str().map(|rule| format!(" by rule `{rule}`")).unwrap_or_default();
    format!("{fact}: {}{rule}", text(&node["kind"]))
}

fn why_not(explained: &Value) -> Vec<String> {
    let mut lines = vec![format!("{} does not hold", shown(text(&explained["query"])))];
    let candidates = list(&explained["candidates"]);
    if candidates.is_empty() {
        lines.push("  no rule can give it".to_owned());
    }
    for candidate in candidates {
        let (rule, passed, of) = (text(&candidate["rule"]), &candidate["passed"], &candidate["of"]);
        lines.push(format!("\nrule `{rule}`: {passed} of {of} conditions hold"));
        let failed = &candidate["failed"];
        if failed.is_null() {
            continue;
        }
        lines.push(format!("  {}", condition(failed)));
        lines.push(format!("  {}", reason(failed)));
        let bindings = pairs(&failed["bindings"]);
        if !bindings.is_empty() {
            lines.push(format!("  with {}", bindings.join(", ")));
        }
        let values = pairs(&failed["values"]);
        if !values.is_empty() {
            lines.push(format!("  where {}", values.join(", ")));
        }
    }
    lines
}

/// `condition 2, `n >= 3` (at loan.rules.yaml:21:9)`
fn condition(failed: &Value) -> String {
    let mut line = match &failed["condition"] {
        Value::Null => "the rule".to_owned(),
        Value::String(condition) => format!("condition {condition}"),
        condition => format!("condition {condition}"),
    };
    if let Some(text) = failed["text"].as_str() {
        line.push_str(&format!(", `{}`", shown(text)));
    }
    if let Some(at) = failed["at"].as_str() {
        line.push_str(&format!(", at {}", shown(at)));
    }
    line
}

fn reason(failed: &Value) -> String {
    let blocker = match &failed["blocker"] {
        Value::Null => String::new(),
        Value::String(blocker) => format!(" {}", shown(blocker)),
        blocker => format!(" {blocker}"),
    };
    let said = match text(&failed["reason"]) {
        "no_fact" => "no fact fits it",
        "false" => "it is false",
        "blocked_by" => "it is blocked by",
        "error" => "it fails to evaluate:",
        "not_reached" => "the run ended, or its phase was left, before it could fire",
        "refracted" => "it has fired for these facts already",
        "withdrawn" => "it held and was withdrawn",
        "combined_away" => "another decision was stronger:",
        other => other,
    };
    format!("{said}{blocker}").trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proof_is_a_tree_with_each_node_once() {
        let explained = json!({
            "query": "decision(code='RISK')", "holds": true, "root": "d1", "truncated": false,
            "nodes": [
                {"id": "d1", "fact": "decision(code='RISK')", "kind": "decision", "rule": "reject", "supports": ["a", "b"], "values": {}},
                {"id": "a", "fact": "sum(id='A1')", "kind": "derived", "rule": "total", "supports": ["agg", "b"], "values": {}},
                {"id": "agg", "fact": null, "kind": "aggregate", "rule": null, "supports": ["s"], "values": {"total": 3}},
                {"id": "b", "fact": "risk(id='A1')", "kind": "derived", "rule": "model", "supports": ["s"], "values": {}},
                {"id": "s", "fact": "score(id='A1')", "kind": "input", "rule": null, "supports": [], "values": {"pd": 0.4, "model": null}},
            ],
        });
        insta::assert_snapshot!(lines(&explained).join("\n"), @"
        decision(code='RISK'): decision by rule `reject`
          sum(id='A1'): derived by rule `total`
            agg: aggregate
                where total = 3
              score(id='A1'): input
                  where pd = 0.4
            risk(id='A1'): derived by rule `model`
              score(id='A1'): input
          risk(id='A1'): derived by rule `model`, see above
        ");
    }

    #[test]
    fn what_does_not_hold_is_told_with_the_nearest_rules() {
        let explained = json!({
            "query": "risk(kind='velocity')", "holds": false,
            "candidates": [
                {"rule": "velocity", "passed": 2, "of": 3, "failed": {
                    "condition": 3, "text": "n >= 3", "at": "loan.rules.yaml:21:13", "bindings": {"a": "applicant(id='A1')"},
                    "values": {"n": 1}, "reason": "false", "blocker": null}},
                {"rule": "other", "passed": 0, "of": 1, "failed": {
                    "condition": 1, "text": "not task", "at": null, "bindings": {}, "values": {}, "reason": "blocked_by",
                    "blocker": "task(picture=3)"}},
            ],
        });
        insta::assert_snapshot!(lines(&explained).join("\n"), @"
        risk(kind='velocity') does not hold

        rule `velocity`: 2 of 3 conditions hold
          condition 3, `n >= 3`, at loan.rules.yaml:21:13
          it is false
          with a = applicant(id='A1')
          where n = 1

        rule `other`: 0 of 1 conditions hold
          condition 1, `not task`
          it is blocked by task(picture=3)
        ");
        let none = json!({"query": "x()", "holds": false, "candidates": []});
        assert_eq!(lines(&none), ["x() does not hold", "  no rule can give it"]);
    }
}

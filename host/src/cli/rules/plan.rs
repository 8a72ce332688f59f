//! `inferwit rules plan`: how the rules are joined (`rules-plan/v1`), for people. Plans nothing.

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::report::{list, text};
use super::{Settings, Subject};
use crate::app::AppError;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};

#[derive(Debug, Args)]
pub(in crate::cli) struct Plan {
    /// A rule set file, or a registered rule set
    #[arg(value_name = "FILE or REF")]
    rule_set: String,
    /// Only this rule; may be given again
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,
}

impl Plan {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut subject = Subject::find(&app, &self.rule_set)?;
        let plan = subject.open(&Settings::default())?.plan().map_err(AppError::from)?;
        if out.is_json() {
            out.text(plan)?;
            return Ok(Verdict::Good);
        }
        let plan: Value = serde_json::from_str(&plan).context("read the plan of the engine")?;
        for line in lines(&plan, &self.rule) {
            out.text(line)?;
        }
        Ok(Verdict::Good)
    }
}

/// The whole plan, or what concerns some rules.
fn lines(plan: &Value, only: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    if only.is_empty() {
        lines.push(format!("{}@{}", text(&plan["rule_set"]["name"]), text(&plan["rule_set"]["version"])));
        lines.extend(strata(plan));
        lines.extend(agenda(plan));
    }
    let is_wanted = |rule: &&Value| only.is_empty() || only.iter().any(|id| *id == rule["rule"]);
    for rule in list(&plan["rules"]).iter().filter(is_wanted) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(rule_lines(rule));
    }
    lines
}

fn strata(plan: &Value) -> Vec<String> {
    let strata = list(&plan["strata"]);
    let told = |(place, stratum): (usize, &Value)| {
        let mut line = format!("  {}  {} derive {}", place + 1, words(&stratum["rules"]), words(&stratum["derives"]));
        for (key, said) in [("recursive", "recursive"), ("changes_with_the_agenda", "kept up while rules fire")] {
            if stratum[key] == true {
                line.push_str(&format!(", {said}"));
            }
        }
        line
    };
    titled("strata, each brought to its fixpoint before the next", strata.iter().enumerate().map(told).collect())
}

fn agenda(plan: &Value) -> Vec<String> {
    let rule = |entry: &Value| match entry["salience"].as_i64() {
        None | Some(0) => text(&entry["rule"]).to_owned(),
        Some(salience) => format!("{} ({salience})", text(&entry["rule"])),
    };
    let told = |phase: &Value| {
        let rules: Vec<String> = list(&phase["rules"]).iter().map(rule).collect();
        let rules = if rules.is_empty() { "no rule".to_owned() } else { rules.join(", ") };
        match phase["phase"].as_str() {
            Some(name) => format!("  phase {name}: {rules}"),
            None => format!("  {rules}"),
        }
    };
    titled("agenda, in the order in which rules are asked (salience)", list(&plan["agenda"]).iter().map(told).collect())
}

fn titled(title: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    [vec![String::new(), title.to_owned()], lines].concat()
}

fn rule_lines(rule: &Value) -> Vec<String> {
    let crosses = if rule["cross_product"] == true { ", CROSS PRODUCT" } else { "" };
    let mut lines = vec![format!("rule `{}`: {}{crosses}", text(&rule["rule"]), text(&rule["kind"]))];
    let bodies = list(&rule["bodies"]);
    for (place, body) in bodies.iter().enumerate() {
        if bodies.len() > 1 {
            lines.push(format!("  alternative {} of {}", place + 1, bodies.len()));
        }
        lines.extend(body_lines(body).into_iter().map(|line| format!("  {line}")));
    }
    lines
}

fn body_lines(body: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for step in list(&body["first"]) {
        lines.extend(step_lines(step).into_iter().map(|line| format!("first {line}")));
    }
    for (place, position) in list(&body["positions"]).iter().enumerate() {
        lines.extend(position_lines(place + 1, position));
    }
    lines.push(format!("about {} matches at a cost of {}", body["estimated_rows"], body["estimated_cost"]));
    for order in list(&body["on_new_fact"]) {
        if !list(&order["then"]).is_empty() {
            lines.push(format!("on a new {}: then {}", text(&order["begins_with"]), words(&order["then"])));
        }
    }
    lines
}

fn position_lines(number: usize, position: &Value) -> Vec<String> {
    let mut line = format!("{number}. {} as {}: {}", text(&position["match"]), text(&position["as"]), access(position));
    if !position["distinct"].is_null() {
        line.push_str(&format!(", distinct {}", words(&position["distinct"])));
    }
    if position["only_exists"] == true {
        line.push_str(", only whether there is one");
    }
    line.push_str(&format!(", about {} so far", position["estimated_rows"]));
    if position["cross_product"] == true {
        line.push_str(", CROSS PRODUCT with what stands before");
    }
    let mut lines = vec![line];
    lines.extend(list(&position["tests"]).iter().map(|test| format!("     test {}", plain(test))));
    for step in list(&position["steps"]) {
        lines.extend(step_lines(step).into_iter().map(|line| format!("     then {line}")));
    }
    lines
}

/// `hash probe id == a.n`, `range probe n > a.n`, `scan`
fn access(position: &Value) -> String {
    let keys = list(&position["access"]["keys"]).iter();
    let keys: Vec<String> = keys.map(|key| format!("{} == {}", text(&key["field"]), plain(&key["equals"]))).collect();
    let mut parts = Vec::new();
    if !keys.is_empty() {
        parts.push(format!("hash probe {}", keys.join(", ")));
    }
    let ranges = list(&position["range_probes"]);
    if !ranges.is_empty() {
        parts.push(format!("range probe {}", ranges.iter().map(plain).collect::<Vec<_>>().join(", ")));
    }
    if parts.is_empty() { "scan".to_owned() } else { parts.join(", ") }
}

fn step_lines(step: &Value) -> Vec<String> {
    let mut line = text(&step["kind"]).to_owned();
    let gives = list(&step["gives"]);
    if step["match"].is_string() {
        line.push_str(&format!(" {} as {}: {}", text(&step["match"]), text(&step["as"]), access(step)));
    }
    if let Some(expression) = step["expression"].as_str() {
        line.push_str(&format!(" {expression}"));
    }
    for test in list(&step["tests"]) {
        line.push_str(&format!(", test {}", plain(test)));
    }
    if let Some(satisfies) = step["satisfies"].as_str() {
        line.push_str(&format!(", satisfies {satisfies}"));
    }
    if !gives.is_empty() {
        line.push_str(&format!(", gives {}", words(&step["gives"])));
    }
    vec![line]
}

fn words(value: &Value) -> String {
    list(value).iter().map(plain).collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Value {
        let scan = json!({"kind": "scan"});
        let probe = json!({"kind": "hash-probe", "keys": [{"field": "id", "equals": "a.n"}]});
        json!({
            "schema": "rules-plan/v1", "rule_set": {"name": "sample", "version": "1.0.0"},
            "strata": [{"rules": ["r"], "derives": ["d"], "recursive": true, "changes_with_the_agenda": false}],
            "agenda": [{"phase": "decide", "rules": [{"rule": "high", "salience": 3}, {"rule": "low", "salience": 0}]},
                       {"phase": "review", "rules": []}],
            "rules": [
                {"rule": "r", "kind": "derive", "cross_product": false, "bodies": [{
                    "first": [], "cross_product": false, "estimated_rows": 333, "estimated_cost": 2000,
                    "positions": [
                        {"match": "p", "as": "a", "only_exists": false, "distinct": null, "access": scan, "range_probes": [],
                         "tests": [], "order": "newest-first", "cross_product": false, "estimated_rows": 1000,
                         "steps": [{"kind": "not", "match": "q", "as": "x", "access": probe, "tests": ["x.n > 1"]}]},
                        {"match": "q", "as": "b", "only_exists": false, "distinct": ["n"], "access": probe, "range_probes": [],
                         "tests": ["b.n > params.cut"], "order": "newest-first", "cross_product": false, "estimated_rows": 333,
                         "steps": [{"kind": "let", "gives": ["v"], "expression": "expression over (a.n)"}]}],
                    "on_new_fact": [{"begins_with": "a", "then": ["b"]}, {"begins_with": "b", "then": ["a"]}]}]},
                {"rule": "high", "kind": "agenda", "cross_product": true, "bodies": [{
                    "first": [], "cross_product": true, "estimated_rows": 1000, "estimated_cost": 1000,
                    "positions": [{"match": "p", "as": "a", "only_exists": false, "distinct": null, "access": scan,
                         "range_probes": [], "tests": [], "order": "newest-first", "cross_product": true,
                         "estimated_rows": 1000, "steps": []}],
                    "on_new_fact": [{"begins_with": "a", "then": []}]}]},
            ],
        })
    }

    #[test]
    fn a_plan_tells_strata_agenda_and_joins() {
        insta::assert_snapshot!(lines(&plan(), &[]).join("\n"), @"
        sample@1.0.0

        strata, each brought to its fixpoint before the next
          1  r derive d, recursive

        agenda, in the order in which rules are asked (salience)
          phase decide: high (3), low
          phase review: no rule

        rule `r`: derive
          1. p as a: scan, about 1000 so far
               then not q as x: hash probe id == a.n, test x.n > 1
          2. q as b: hash probe id == a.n, distinct n, about 333 so far
               test b.n > params.cut
               then let expression over (a.n), gives v
          about 333 matches at a cost of 2000
          on a new a: then b
          on a new b: then a

        rule `high`: agenda, CROSS PRODUCT
          1. p as a: scan, about 1000 so far, CROSS PRODUCT with what stands before
          about 1000 matches at a cost of 1000
        ");
    }

    #[test]
    fn one_rule_is_shown_alone() {
        let lines = lines(&plan(), &["high".to_owned()]);
        assert_eq!((lines.len(), lines[0].as_str()), (3, "rule `high`: agenda, CROSS PRODUCT"));
    }
}

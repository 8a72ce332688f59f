//! A report of a run (`rules-report/v1`) for people: what was decided, why, and what it took. Computes nothing.

use serde_json::Value;

use crate::cli::output::{Output, short};

/// Prints a report.
pub(super) fn told(report: &Value, out: &mut Output<'_>) -> anyhow::Result<()> {
    let rule_set = &report["rule_set"];
    let is_ok = report["status"] == "ok";
    let status = out.mark(text(&report["status"]), is_ok);
    out.text(format_args!(
        "{}@{} ({}): {status}",
        text(&rule_set["name"]),
        text(&rule_set["version"]),
        short(&text(&rule_set["digest"]))
    ))?;
    section("result", results(report), out)?;
    section("reasons", reasons(report), out)?;
    section("facts", facts(report), out)?;
    section("diagnostics", diagnostics(report), out)?;
    section("limit", limit(report), out)?;
    section("error", error(report), out)?;
    section("trace", trace(report), out)?;
    let stats = &report["stats"];
    out.text(format_args!(
        "\n{} firings, {} derivations, {} facts, {} units of work",
        stats["firings"], stats["derivations"], stats["facts"], stats["work"]
    ))?;
    section("by rule", by_rule(report), out)
}

fn section(title: &str, lines: Vec<String>, out: &mut Output<'_>) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    out.text(format_args!("\n{title}"))?;
    lines.iter().try_for_each(|line| out.text(format_args!("  {line}")))
}

/// What the combination of decisions came to, and nothing decided as such.
fn results(report: &Value) -> Vec<String> {
    let results = list(&report["result"]);
    if results.is_empty() {
        return vec!["nothing was decided".to_owned()];
    }
    results.iter().map(decision).collect()
}

/// `reject RISK for A1: risk total 3 >= 3 {"total":3}`
pub(super) fn decision(decision: &Value) -> String {
    let mut line = format!("{} {}", text(&decision["decision"]), text(&decision["code"]));
    if let Some(subject) = decision["subject"].as_str() {
        line.push_str(&format!(" for {}", shown(subject)));
    }
    if let Some(message) = decision["message"].as_str() {
        line.push_str(&format!(": {}", shown(message)));
    }
    if !decision["data"].is_null() {
        line.push_str(&format!(" {}", decision["data"]));
    }
    line
}

fn reasons(report: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for given in list(&report["decisions"]) {
        lines.push(format!("{}  {}", text(&given["id"]), decision(given)));
        match given["rule"].as_str() {
            Some(rule) => lines.push(format!("    by rule `{rule}`{}", firing(given))),
            None if given["default"] == true => lines.push("    by default: no rule decided anything".to_owned()),
            None => lines.push("    by the limit".to_owned()),
        }
        lines.extend(list(&given["because"]).iter().map(|fact| format!("    because {}", shown(text(fact)))));
    }
    lines
}

fn firing(decision: &Value) -> String {
    decision["firing"].as_u64().map(|firing| format!(", firing {firing}")).unwrap_or_default()
}

fn facts(report: &Value) -> Vec<String> {
    let templates = report["facts"].as_object().into_iter().flatten();
    let rows = templates.flat_map(|(template, rows)| list(rows).iter().map(move |row| format!("{template} {row}")));
    rows.collect()
}

fn diagnostics(report: &Value) -> Vec<String> {
    let told = |found: &Value| {
        let rule = found["rule"].as_str().map(|rule| format!(" in rule `{rule}`")).unwrap_or_default();
        let condition = match &found["condition"] {
            Value::Null => String::new(),
            Value::String(condition) => format!(", condition {condition}"),
            condition => format!(", condition {condition}"),
        };
        let times = if found["count"] == 1 { "once".to_owned() } else { format!("{} times", found["count"]) };
        format!("{}{rule}{condition}: {} ({times})", text(&found["code"]), shown(text(&found["error"])))
    };
    list(&report["diagnostics"]).iter().map(told).collect()
}

fn limit(report: &Value) -> Vec<String> {
    let limit = &report["limit"];
    if limit.is_null() {
        return Vec::new();
    }
    let mut lines = vec![format!("{} ({}) was reached", text(&limit["name"]), limit["value"])];
    lines.extend(list(&limit["rules"]).iter().map(|rule| format!("  by rule `{}`", text(rule))));
    lines.extend(list(&limit["facts"]).iter().map(|fact| format!("  with {}", shown(text(fact)))));
    lines
}

fn error(report: &Value) -> Vec<String> {
    let error = &report["error"];
    if error.is_null() {
        return Vec::new();
    }
    let rule = error["rule"].as_str().map(|rule| format!(" in rule `{rule}`")).unwrap_or_default();
    let mut lines = vec![format!("{}{rule}: {}", text(&error["code"]), shown(text(&error["message"])))];
    lines.extend(pairs(&error["bindings"]).into_iter().map(|pair| format!("  with {pair}")));
    lines
}

fn trace(report: &Value) -> Vec<String> {
    let told = |event: &Value| {
        let mut line = format!("{}  {}", event["n"], text(&event["kind"]));
        if let Some(rule) = event["rule"].as_str() {
            line.push_str(&format!(" by `{rule}`"));
        }
        if let Some(phase) = event["phase"].as_str() {
            line.push_str(&format!(" in phase {phase}"));
        }
        if let Some(fact) = event["fact"].as_str() {
            line.push_str(&format!(": {}", shown(fact)));
        }
        let bindings = pairs(&event["bindings"]);
        if !bindings.is_empty() {
            line.push_str(&format!(" ({})", bindings.join(", ")));
        }
        let changed = pairs(&event["changed"]);
        if !changed.is_empty() {
            line.push_str(&format!(" changed {}", changed.join(", ")));
        }
        line
    };
    let mut lines: Vec<String> = list(&report["trace"]["events"]).iter().map(told).collect();
    if report["trace"]["dropped"].as_u64().is_some_and(|dropped| dropped > 0) {
        lines.push(format!("{} more are not kept", report["trace"]["dropped"]));
    }
    lines
}

fn by_rule(report: &Value) -> Vec<String> {
    let counts = report["stats"]["by_rule"].as_object().into_iter().flatten();
    counts.map(|(rule, count)| format!("{count}  {rule}")).collect()
}

/// `a = 1` for the entries of an object, the elements of a list, or a text.
pub(super) fn pairs(value: &Value) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), shown);
    match value {
        Value::Object(entries) => entries.iter().map(|(name, value)| format!("{name} = {}", plain(value))).collect(),
        Value::Array(elements) => elements.iter().map(plain).collect(),
        Value::Null => Vec::new(),
        value => vec![plain(value)],
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Facts come from anywhere: they must not steer a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(report: &Value) -> String {
        let mut written = Vec::new();
        told(report, &mut Output::new(&mut written, false)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_report_tells_results_reasons_and_counts() {
        let report = json!({
            "schema": "rules-report/v1",
            "rule_set": {"name": "loan", "version": "3.2.0", "digest": "sha256:0123456789abcdef0123"},
            "params": {}, "params_digest": "sha256:00", "status": "ok",
            "result": [{"subject": "A1", "decision": "reject", "code": "RISK", "message": "risk total 3", "data": {"n": 3}, "id": "d1"}],
            "decisions": [
                {"id": "d1", "decision": "reject", "code": "RISK", "subject": "A1", "message": "risk total 3", "data": {"n": 3},
                 "rule": "reject-high-risk", "firing": 1, "default": false, "because": ["risk_sum(id='A1')"]},
                {"id": "d2", "decision": "refer", "code": "NO_RULE", "subject": null, "message": null, "data": null,
                 "rule": null, "firing": null, "default": true, "because": []},
            ],
            "facts": {"task": [{"picture": 3, "reviewer": "bob"}], "other": []},
            "stats": {"firings": 1, "derivations": 2, "facts": 5, "work": 40, "by_rule": {"model-risk": 1, "total-risk": 1}},
            "diagnostics": [{"code": "no-such-key", "rule": "able", "condition": 2, "error": "no such \u{1b}key", "count": 3}],
            "limit": null, "error": null,
            "trace": {"level": "decisions", "dropped": 2, "events": [
                {"n": 1, "phase": "decide", "rule": "reject-high-risk", "bindings": {"q": "risk_sum(id='A1')"}, "kind": "emit", "fact": "d1", "changed": null},
            ]},
        });
        insta::assert_snapshot!(printed(&report), @r#"
        loan@3.2.0 (sha256:0123456789ab): ok

        result
          reject RISK for A1: risk total 3 {"n":3}

        reasons
          d1  reject RISK for A1: risk total 3 {"n":3}
              by rule `reject-high-risk`, firing 1
              because risk_sum(id='A1')
          d2  refer NO_RULE
              by default: no rule decided anything

        facts
          task {"picture":3,"reviewer":"bob"}

        diagnostics
          no-such-key in rule `able`, condition 2: no such �key (3 times)

        trace
          1  emit by `reject-high-risk` in phase decide: d1 (q = risk_sum(id='A1'))
          2 more are not kept

        1 firings, 2 derivations, 5 facts, 40 units of work

        by rule
          1  model-risk
          1  total-risk
        "#);
    }

    #[test]
    fn a_run_that_did_not_end_says_why() {
        let report = json!({
            "rule_set": {"name": "loop", "version": "1.0.0", "digest": "sha256:00"}, "status": "limit",
            "result": [], "decisions": [],
            "stats": {"firings": 100, "derivations": 0, "facts": 1, "work": 400, "by_rule": {}},
            "limit": {"name": "max_firings", "value": 100, "rules": ["again"], "facts": ["counter()#100"]},
            "error": {"code": "overflow", "rule": "again", "bindings": {"c": "counter()"}, "message": "too large"},
        });
        insta::assert_snapshot!(printed(&report), @"
        loop@1.0.0 (sha256:00): limit

        result
          nothing was decided

        limit
          max_firings (100) was reached
            by rule `again`
            with counter()#100

        error
          overflow in rule `again`: too large
            with c = counter()

        100 firings, 0 derivations, 1 facts, 400 units of work
        ");
    }
}

//! Files of facts: one set of facts as JSON or YAML, or many as JSON lines that a server recorded. Knows no rule set.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::cli::failure::WrongCall;
use crate::plugin::RulesSignature;

/// A larger file is refused.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// YAML is for facts that people write; larger ones are JSON.
const YAML_BYTES_MAX: usize = 16 << 20;
const YAML_NODES_MAX: usize = 4_000_000;
const YAML_DEPTH_MAX: usize = 64;

/// Facts of one run, and what is known of where they come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// From 1, as lines of the file that hold something.
    pub(super) number: usize,
    pub(super) facts: Value,
    pub(super) params: Map<String, Value>,
    /// Of the rule set, if a server has recorded it.
    pub(super) rule_set: Option<String>,
    /// When, and in which pipeline and step.
    pub(super) origin: Vec<String>,
}

/// Reads the records of a file; at least one.
pub(super) fn read(path: &str) -> anyhow::Result<Vec<Record>> {
    let text = read_text(path)?;
    let records = parse(&text).map_err(|reason| WrongCall::new(format!("{path}: {reason}"), HINT))?;
    if records.is_empty() {
        return Err(WrongCall::new(format!("{path} holds no facts"), HINT).into());
    }
    Ok(records)
}

const HINT: &str =
    "facts are `{template: [{field: value, ..}, ..]}` as JSON or YAML, or JSON lines as `rules.record` writes";

fn read_text(path: &str) -> anyhow::Result<String> {
    let attempt = || format!("read facts `{path}`");
    let file = fs::File::open(path).with_context(attempt)?;
    let mut text = String::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(attempt)?;
    if length as u64 > FILE_BYTES_MAX {
        let message = format!("{path} is larger than {FILE_BYTES_MAX} bytes");
        return Err(WrongCall::new(message, "split it").into());
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<Record>, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(vec![record(1, yaml(text)?)]);
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut records = Vec::new();
    for (place, value) in values.enumerate() {
        match value {
            Ok(value) => records.push(record(place + 1, value)),
            // `{a: 1}` is YAML and no JSON.
            Err(error) if place == 0 => {
                return yaml(text).map(|value| vec![record(1, value)]).map_err(|_| error.to_string());
            }
            Err(error) => return Err(format!("record {}: {error}", place + 1)),
        }
    }
    Ok(records)
}

fn yaml(text: &str) -> Result<Value, String> {
    if text.len() > YAML_BYTES_MAX {
        return Err(format!("as YAML it is larger than {YAML_BYTES_MAX} bytes"));
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH_MAX,
            max_nodes: YAML_NODES_MAX,
            max_documents: 1,
            max_aliases: 0,
            max_total_scalar_bytes: YAML_BYTES_MAX,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// A recorded run has its facts under `facts`, beside what says where they come from.
fn record(number: usize, value: Value) -> Record {
    let is_recorded = |value: &Value| value["facts"].is_object() && value.get("rule_set").is_some();
    if !is_recorded(&value) {
        return Record { number, facts: value, ..Record::default() };
    }
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let rule_set = match &value["rule_set"] {
        Value::String(name) => Some(name.split('@').next().unwrap_or_default().to_owned()),
        named => named["name"].as_str().map(str::to_owned),
    };
    Record {
        number,
        rule_set,
        origin: ["time", "pipeline", "step"].into_iter().filter_map(text).collect(),
        params: value["params"].as_object().cloned().unwrap_or_default(),
        facts: value["facts"].clone(),
    }
}

impl Record {
    /// Whether nobody has said that these are facts of another rule set.
    pub(super) fn is_of(&self, signature: &RulesSignature) -> bool {
        self.rule_set.as_ref().is_none_or(|name| *name == signature.name)
    }

    /// `record 3 (2026-01-31T12:00:00Z, credit, decide)`
    pub(super) fn title(&self) -> String {
        match self.origin.is_empty() {
            true => format!("record {}", self.number),
            false => format!("record {} ({})", self.number, self.origin.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &[Value]) {
        let facts: Vec<Value> = parse(text).unwrap().into_iter().map(|record| record.facts).collect();
        assert_eq!(facts, expected, "{text}");
    }

    #[test]
    fn facts_are_json_yaml_or_lines() {
        check("{\"a\": [{\"x\": 1}]}", &[json!({"a": [{"x": 1}]})]);
        check("{\n \"a\": []\n}\n", &[json!({"a": []})]);
        check("a:\n  - {x: 1, y: 1.0, z: no, t: true}\n", &[json!({"a": [{"x": 1, "y": 1.0, "z": "no", "t": true}]})]);
        check("{a: [{x: one}]}", &[json!({"a": [{"x": "one"}]})]);
        check("{\"a\": []}\n{\"b\": []}\n", &[json!({"a": []}), json!({"b": []})]);
        check("", &[Value::Null]);
    }

    #[test]
    fn what_a_server_recorded_is_read_with_its_origin() {
        let line = json!({
            "time": "2026-01-31T12:00:00Z", "pipeline": "credit", "step": "decide",
            "rule_set": {"name": "loan", "version": "3.2.0"}, "facts": {"a": []}, "params": {"cut": 0.5}, "report": {},
        });
        let records = parse(&format!("{line}\n{line}\n")).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].title(), "record 2 (2026-01-31T12:00:00Z, credit, decide)");
        assert_eq!(
            (records[0].facts.clone(), records[0].params.clone()),
            (json!({"a": []}), json!({"cut": 0.5}).as_object().unwrap().clone())
        );
        assert_eq!(records[0].rule_set.as_deref(), Some("loan"));
        assert_eq!(record(1, json!({"rule_set": "loan@3.2.0", "facts": {}})).rule_set.as_deref(), Some("loan"));
    }

    #[test]
    fn a_template_may_be_called_facts() {
        check("{\"facts\": [{\"x\": 1}]}", &[json!({"facts": [{"x": 1}]})]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(parse("{\"a\": [}").unwrap_err().contains("line 1"));
        assert!(parse("{\"a\": []}\n{\"a\": [}\n").unwrap_err().starts_with("record 2: "));
        assert!(parse("a: [\n").is_err());
        assert!(parse("a: &x [1]\nb: *x\n").is_err());
    }
}

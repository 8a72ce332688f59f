//! What loading says of parameters and ceilings that do not suit: what they are called, not where they stood.

use super::{Loaded, Options, Refused};
use crate::engine::Given;

const RULES: &str = "
schema: rules/v1
name: loan
version: 1.0.0
params:
  pd_cut: {type: double, default: 0.35, min: 0.0, max: 1.0}
  tries: {type: int, default: 3, min: 1, request: true}
  mode: {type: enum, values: [strict, loose], default: loose, request: true}
  size: {type: int, values: [8, 16], default: 8}
  zip: {type: string, default: '1'}
facts: {item: {origin: input, key: [id], fields: {id: int}}}
limits: {max_work: 1000}
rules: []
";

fn load(config: &str) -> Result<Loaded, Vec<String>> {
    let told = |finding: crate::diagnostic::Diagnostic| {
        assert_eq!(finding.span, None, "{finding:?}");
        let (path, hint) = (finding.path.unwrap_or_default(), finding.hint.unwrap_or_default());
        format!("{path}: {} ({}); {hint}", finding.message, finding.code)
    };
    Loaded::from_source(RULES.as_bytes(), config, || false).map_err(|found| found.into_iter().map(told).collect())
}

fn check(config: &str, expected: &[&str]) {
    assert_eq!(load(config).err().unwrap_or_default(), expected, "{config}");
}

#[test]
fn a_parameter_is_named_with_what_it_allows() {
    let check = |params: &str, expected: &str| check(&format!("{{\"params\": {{{params}}}}}"), &[expected]);
    check("\"pd_cut\": 1.5", "/params/pd_cut: `pd_cut` is at most 1 (value-range); it is a double from 0 to 1");
    check(
        "\"pd_cut\": true",
        "/params/pd_cut: `pd_cut` is a double, not a truth value (value-type); it is a double from 0 to 1",
    );
    check("\"tries\": 0", "/params/tries: `tries` is at least 1 (value-range); it is an int of at least 1");
    check(
        "\"tries\": 1.5",
        "/params/tries: `tries` is an int, not a number (value-type); write it without a fraction and an exponent",
    );
    check("\"mode\": \"lose\"", "/params/mode: `lose` is no value of `mode` (value-unknown); did you mean `loose`?");
    check("\"size\": 9", "/params/size: `size` does not allow this value (value-unknown); it is one of 8, 16");
    check("\"zip\": 1234", "/params/zip: `zip` is a string, not an integer (value-type); put it in quotes");
    check("\"trys\": 1", "/params/trys: there is no parameter `trys` (unknown-param); did you mean `tries`?");
    check(
        "\"a/b\": 1",
        "/params/a~1b: there is no parameter `a/b` (unknown-param); known are `mode`, `pd_cut`, `size`, `tries`, `zip`",
    );
}

#[test]
fn all_parameters_that_are_wrong_are_told() {
    check(
        r#"{"params": {"pd_cut": -1, "tries": 0}}"#,
        &[
            "/params/pd_cut: `pd_cut` is at least 0 (value-range); it is a double from 0 to 1",
            "/params/tries: `tries` is at least 1 (value-range); it is an int of at least 1",
        ],
    );
}

#[test]
fn a_limit_above_the_ceiling_is_named() {
    check(
        r#"{"ceilings": {"max_work": 999}}"#,
        &["/limits/max_work: `max_work` is 1000, this host allows 999 (limit-too-high); \
           lower it in the file, or raise the ceiling `rules.max_work` of the host"],
    );
    check(r#"{"ceilings": {"max_facts": 1}}"#, &[]);
}

#[test]
fn a_configuration_that_is_none_has_no_lines() {
    check("[]", &[": the configuration is no mapping (configuration); "]);
    check(r#"{"param": {}}"#, &[": unknown, or no mapping: `param` (configuration); "]);
    check(r#"{"ceilings": {"max_work": "a"}}"#, &[": no such ceiling, or no number: `max_work` (configuration); "]);
}

#[test]
fn a_request_sets_what_is_open_to_it() {
    let mut loaded = load("").unwrap_or_else(|found| panic!("{found:?}"));
    let mut refused = |params: &str| {
        let ended = loaded.evaluate(&Given::default(), Options { trace: None, params: Some(params) });
        ended.err().map(|refused| match refused {
            Refused::Params(reason) | Refused::Facts(reason) => reason,
        })
    };
    assert_eq!(refused(r#"{"tries": 9, "mode": "strict"}"#), None);
    let reason = "`tries` is at least 1; it is an int of at least 1";
    assert_eq!(refused(r#"{"tries": 0}"#).as_deref(), Some(reason));
    let reason = "a request may not set the parameter `pd_cut`; say `request: true` on it";
    assert_eq!(refused(r#"{"pd_cut": 0.5}"#).as_deref(), Some(reason));
}

//! `inferwit rules ..` as its users meet it: the built program, with the engine that it carries.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli::Place;

/// Accepts where any score reaches the cut.
fn gate(version: &str, cut: f64) -> String {
    format!(
        "schema: rules/v1
name: gate
version: {version}
params: {{cut: {{type: double, default: {cut}, min: 0.0, max: 1.0}}}}
facts:
  face: {{origin: input, key: [id], fields: {{id: int, score: double, note: {{type: string, optional: true}}}}}}
  kept: {{origin: output, key: [id], fields: {{id: int, score: double}}}}
decisions: {{combine: most-severe, order: [reject, accept], default: {{decision: reject, code: NONE}}}}
rules:
  - id: keep
    when: [{{match: face, as: f, where: f.score >= params.cut}}]
    then: [{{derive: {{kept: {{id: f.id, score: f.score}}}}}}]
  - id: accept
    when: [{{exists: {{match: kept, as: k}}}}]
    then: [{{emit: {{decision: accept, code: SEEN, message: \"seen at {{params.cut}}\"}}}}]
tests:
  - name: a sure face is accepted
    given: {{face: [{{id: 1, score: 0.99}}]}}
    expect: {{decision: {{decision: accept, code: SEEN}}}}
  - name: no face is none
    given: {{}}
    expect: {{decision: {{decision: reject, code: NONE}}}}
"
    )
}

const PIPELINE: &str = "schema: pipeline/v1
name: p
version: 1.0.0
inputs: {scores: {datatype: FP32, shape: [-1]}}
outputs: [decision, code]
steps:
  - {name: judge, rules: gate, facts: {face: {id: $row, score: scores}}}
";

/// A place with a rule set, facts, and recorded facts of three runs.
fn place() -> Place {
    let place = Place::new();
    place.write("gate.yaml", &gate("1.0.0", 0.5));
    place.write("facts.json", r#"{"face": [{"id": 1, "score": 0.25}, {"id": 2, "score": 0.75}]}"#);
    let record = |score: f64, rule_set: &str, params: Value| {
        json!({
            "time": "2026-01-31T12:00:00Z", "pipeline": "p", "step": "judge", "rule_set": rule_set,
            "facts": {"face": [{"id": 1, "score": score}]}, "params": params, "report": null,
        })
        .to_string()
    };
    let lines = [
        record(0.4, "gate@1.0.0", Value::Null),
        record(0.9, "other@1.0.0", Value::Null),
        record(0.6, "gate@1.0.0", Value::Null),
        record(0.6, "gate@0.9.0", json!({"cut": 0.1})),
    ];
    place.write("recorded.jsonl", &(lines.join("\n") + "\n"));
    place
}

/// Times differ from run to run.
fn without_time(text: &str) -> String {
    let is_timed = |line: &&str| line.ends_with(" ms");
    let untimed = |line: &str| line.rsplit_once(" in ").map_or(line, |(text, _)| text).to_owned();
    text.lines()
        .map(|line| if is_timed(&line) { untimed(line) } else { line.to_owned() })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_check_tells_each_problem_with_its_line() {
    let place = place();
    assert_eq!(place.good(&["rules", "check", "gate.yaml"]), "gate.yaml: gate@1.0.0 is valid: 2 rules, 0 warnings\n");
    place.write("bad.yaml", &gate("1.0.0", 0.5).replace("match: face", "match: faces"));
    let ended = place.run(&["rules", "check", "bad.yaml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    let first = "\
error: bad.yaml:11:20: no template `faces` (unknown-template)
  in rule `keep`
   |
11 |     when: [{match: faces, as: f, where: f.score >= params.cut}]
   |                    ^

hint: did you mean `face`?
";
    assert!(ended.error.starts_with(first), "{}", ended.error);
    let ended = place.run(&["rules", "check", "bad.yaml", "gate.yaml", "--json"]);
    let reports: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, ended.error.as_str()), (Some(1), ""));
    assert_eq!((&reports[0]["valid"], &reports[0]["diagnostics"][0]["line"]), (&json!(false), &json!(11)));
    assert_eq!((&reports[1]["valid"], &reports[1]["rule_set"]), (&json!(true), &json!("gate")));
    place.refused(
        &["rules", "check", "gone.yaml"],
        3,
        "error: read `gone.yaml`: No such file or directory (os error 2)\n",
    );
}

#[test]
fn warnings_fail_a_check_only_where_they_are_denied() {
    let place = place();
    let doubtful =
        gate("1.0.0", 0.5).replace("{exists: {match: kept, as: k}}", "{match: kept, as: k}, {match: face, as: f}");
    place.write("doubtful.yaml", &doubtful);
    for (more, code) in [(&[][..], 0), (&["--deny-warnings"][..], 1)] {
        let ended = place.run(&[&["rules", "check", "doubtful.yaml"], more].concat());
        assert_eq!((ended.code, ended.out.contains("is valid: 2 rules, ")), (Some(code), true), "{}", ended.out);
        assert!(ended.error.starts_with("warning: doubtful.yaml:14:"), "{}", ended.error);
        assert!(ended.error.contains("(join-without-key)") && !ended.error.contains("error:"), "{}", ended.error);
    }
}

#[test]
fn tests_run_in_the_engine_and_say_what_differs() {
    let place = place();
    let told = without_time(&place.good(&["rules", "test", "gate.yaml"]));
    assert_eq!(told, "ok      a sure face is accepted\nok      no face is none\n\ngate.yaml: 2 of 2 tests passed");
    place.write("failing.yaml", &gate("1.0.0", 1.0));
    let ended = place.run(&["rules", "test", "failing.yaml", "--filter", "sure"]);
    insta::assert_snapshot!(without_time(&ended.out), @r#"
    FAILED  a sure face is accepted
            expected the one decision: 1, found 1
              expected: {"code":"SEEN","decision":"accept"}
              found: {"decision":"reject","code":"NONE"}

    failing.yaml: 0 of 1 tests passed
    "#);
    assert_eq!((ended.code, ended.error.as_str()), (Some(1), ""));
    let results = place.json(&["rules", "test", "gate.yaml"]);
    assert_eq!((&results["failed"], results["tests"].as_array().unwrap().len()), (&json!(0), 2));
    place.refused(
        &["rules", "test", "gate.yaml", "--filter", "zzz"],
        2,
        "error: no test's name holds `zzz`\n\nhint: leave out --filter to see all names\n",
    );
}

#[test]
fn a_watched_file_is_tested_again_when_it_changes() {
    let place = place();
    let mut watching =
        place.command(&["rules", "test", "gate.yaml", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut failed = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["failed"].clone();
    assert_eq!(failed(), 0);
    // Written aside and moved, so that no half of it is read.
    place.write("next.yaml", &gate("1.0.0", 1.0));
    fs::rename(place.path("next.yaml"), place.path("gate.yaml")).unwrap();
    let second = failed();
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert_eq!(second, 1);
    place.refused(
        &["rules", "test", "gate", "--watch"],
        2,
        "error: `gate` is no file, and only a file can be watched\n\nhint: leave out --watch, or name the file\n",
    );
}

#[test]
fn a_run_gives_decisions_with_reasons_or_the_report() {
    let place = place();
    let told = place.good(&["rules", "run", "gate.yaml", "--facts", "facts.json"]);
    assert!(told.starts_with("gate@1.0.0 (sha256:"), "{told}");
    for part in
        ["): ok\n", "\nresult\n  accept SEEN: seen at 0.5\n", "by rule `accept`", "kept {\"id\":2,\"score\":0.75}\n"]
    {
        assert!(told.contains(part), "{told}");
    }
    let report = place.json(&["rules", "run", "gate.yaml", "--facts", "facts.json", "--param", "cut=0.8"]);
    assert_eq!((&report["schema"], &report["params"]["cut"]), (&json!("rules-report/v1"), &json!(0.8)));
    assert_eq!(report["result"][0]["code"], "NONE");
    place.refused(
        &["rules", "run", "gate.yaml", "--facts", "facts.json", "--param", "cut=7"],
        1,
        "error: gate.yaml: --param cut: `cut` is at most 1 (value-range)\n\nhint: it is a double from 0 to 1\n",
    );
    place.write("recorded.jsonl", "{\"rule_set\": \"gate\", \"facts\": {}, \"params\": {\"cut\": 7}}\n");
    place.refused(
        &["rules", "run", "gate.yaml", "--facts", "recorded.jsonl"],
        1,
        "error: gate.yaml: params.cut of record 1: `cut` is at most 1 (value-range)\n\nhint: it is a double from 0 to 1\n",
    );
    let traced = place.json(&["rules", "run", "gate.yaml", "--facts", "facts.json", "--trace", "full"]);
    assert_eq!(traced["trace"]["level"], "full");
}

#[test]
fn recorded_runs_of_the_rule_set_are_run_again_with_their_parameters() {
    let place = place();
    let ended = place.run(&["rules", "run", "gate.yaml", "--facts", "recorded.jsonl", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.error);
    assert!(ended.error.starts_with("note: 1 records of other rule sets are left out\n"), "{}", ended.error);
    let reports: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<&Value> = reports.iter().map(|report| &report["result"][0]["code"]).collect();
    assert_eq!(codes, ["NONE", "SEEN", "SEEN"]);
    assert_eq!(reports[2]["params"]["cut"], 0.1);
    let told = place.good(&["rules", "run", "gate.yaml", "--facts", "recorded.jsonl", "--quiet"]);
    assert!(told.contains("record 3 (2026-01-31T12:00:00Z, p, judge)\ngate@1.0.0"), "{told}");
}

#[test]
fn facts_that_do_not_fit_are_told_with_template_row_and_field() {
    let place = place();
    let refused = |facts: &str, error: &str| {
        place.write("wrong.yaml", facts);
        place.refused(
            &["rules", "run", "gate.yaml", "--facts", "wrong.yaml"],
            2,
            &format!("error: wrong.yaml: {error}\n"),
        );
    };
    refused(
        "face: [{id: 1, score: 1}, {id: 1.5, score: 1}]",
        "`face` row 2, field `id`: `int` is wanted, not the number 1.5\n\nhint: write it without a fraction and within 64 bits",
    );
    refused("faces: []", "there is no template `faces`\n\nhint: did you mean `face`?");
    refused("kept: []", "facts of `kept` are made by rules and cannot be given\n\nhint: given can be `face`");
    place.write("few.yaml", "face: [{id: 1}]");
    let ended = place.run(&["rules", "run", "gate.yaml", "--facts", "few.yaml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.error.contains("score") && ended.error.contains("face"), "{}", ended.error);
}

#[test]
fn a_query_is_answered_by_what_it_rests_on_or_what_is_missing() {
    let place = place();
    let ask = |query: &str| place.good(&["rules", "explain", "gate.yaml", query, "--facts", "facts.json"]);
    let why = ask("decision(code='SEEN')");
    for part in ["decision by rule `accept`", "derived by rule `keep`", "face(id=2): input"] {
        assert!(why.contains(part), "{why}");
    }
    let why_not = ask("kept(id=1)");
    assert!(why_not.starts_with("kept(id=1) does not hold\n\nrule `keep`: 0 of 1 conditions hold\n"), "{why_not}");
    assert!(why_not.contains(", at gate.yaml:11:12\n"), "{why_not}");
    let explain = |query| place.json(&["rules", "explain", "gate.yaml", query, "--facts", "facts.json"]);
    assert_eq!(explain("kept(id=2)")["holds"], true);
    assert_eq!(explain("kept(id=1)")["candidates"][0]["failed"]["at"], "gate.yaml:11:12");
    place.refused(
        &["rules", "explain", "gate.yaml", "kept(id=2)", "--facts", "recorded.jsonl", "--quiet"],
        2,
        "error: recorded.jsonl holds 3 records, and one run is explained\n\nhint: say which with --record N\n",
    );
}

#[test]
fn a_plan_tells_how_rules_are_joined() {
    let place = place();
    let plan = place.good(&["rules", "plan", "gate.yaml"]);
    for part in ["gate@1.0.0\n", "\nstrata", "keep derive kept", "rule `keep`: derive\n", "1. face as f: scan"] {
        assert!(plan.contains(part), "{plan}");
    }
    assert_eq!(place.json(&["rules", "plan", "gate.yaml"])["schema"], "rules-plan/v1");
}

#[test]
fn two_versions_are_compared_on_recorded_facts() {
    let place = place();
    place.write("stricter.yaml", &gate("1.1.0", 0.7));
    let diff = ["rules", "diff", "gate.yaml", "stricter.yaml", "--facts", "recorded.jsonl", "--quiet"];
    insta::assert_snapshot!(place.good(&diff), @"
    record 3 (2026-01-31T12:00:00Z, p, judge)
      accept SEEN -> reject NONE

    1 of 3 records changed
      1  accept SEEN -> reject NONE
    ");
    assert_eq!(place.run(&[&diff[..], &["--fail-on-change"]].concat()).code, Some(1));
    let same = place.json(&["rules", "diff", "gate.yaml", "gate.yaml", "--facts", "facts.json", "--fail-on-change"]);
    assert_eq!((&same["records"], &same["changed"], &same["changes"]), (&json!(1), &json!(0), &json!([])));
    // A version that does not know a recorded parameter refuses that record, and only that.
    place.write("other.yaml", &gate("2.0.0", 0.5).replace("cut", "least"));
    let changed = place.json(&["rules", "diff", "gate.yaml", "other.yaml", "--facts", "recorded.jsonl", "--quiet"]);
    assert_eq!((&changed["changed"], &changed["changes"][0]["record"]), (&json!(1), &json!(4)));
    let refused = "refused: other.yaml: params.cut of record 4 (2026-01-31T12:00:00Z, p, judge): there is no parameter `cut` (unknown-param)";
    assert_eq!(changed["changes"][0]["changes"][0]["after"], refused);
}

#[test]
fn the_schema_is_printed() {
    let schema: Value = serde_json::from_str(&Place::new().good(&["rules", "schema"])).unwrap();
    assert_eq!(schema["title"], "rules/v1");
}

#[test]
fn what_passes_its_tests_is_registered_listed_shown_and_archived() {
    let place = place();
    place.good(&["init", "--quiet"]);
    assert_eq!(
        place.good(&["rules", "add", "gate.yaml", "--dry-run"]),
        "would register rules gate@1.0.0\nits 2 tests passed\n"
    );
    assert_eq!(place.json(&["rules", "list"]), json!([]));
    let added = place.json(&["rules", "add", "gate.yaml"]);
    assert_eq!((&added["is_new"], &added["artifact"]["name"]), (&json!(true), &json!("gate")));
    assert_eq!(place.json(&["rules", "list"])[0]["version"], "1.0.0");
    assert!(place.good(&["rules", "show", "gate"]).contains("identity    sha256:"));
    assert!(place.good(&["rules", "run", "gate@^1", "--facts", "facts.json"]).contains("accept SEEN"));
    place.write("failing.yaml", &gate("1.0.1", 1.0));
    let ended = place.run(&["rules", "add", "failing.yaml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    let first =
        "error: 1 of 2 tests in rule set `gate@1.0.1` failed\n  a sure face is accepted\n    expected the one decision";
    assert!(ended.error.starts_with(first), "{}", ended.error);
    // Who archived it stands in the log, on standard error.
    let archived = place.run(&["rules", "archive", "gate@1.0.0"]);
    assert_eq!(archived.code, Some(0), "{}", archived.error);
    assert!(archived.out.starts_with("archived rules gate@1.0.0"), "{}", archived.out);
    assert_eq!(place.json(&["rules", "list"]), json!([]));
}

#[test]
fn pipelines_follow_a_version_that_their_reference_admits() {
    let place = place();
    place.good(&["init", "--quiet"]);
    place.write("p.yaml", PIPELINE);
    let deployed = place.json(&["rules", "add", "gate.yaml", "--deploy", "dev"]);
    assert_eq!(deployed["redeployed"], json!([]));
    place.json(&["pipeline", "add", "p.yaml"]);
    let first = place.json(&["deploy", "p", "--env", "dev"]);
    place.write("stricter.yaml", &gate("1.1.0", 0.7));
    let would = place.good(&["rules", "add", "stricter.yaml", "--deploy", "dev", "--dry-run"]);
    assert!(would.starts_with("would register rules gate@1.1.0\n"), "{would}");
    let followed = place.json(&["rules", "add", "stricter.yaml", "--deploy", "dev", "--reason", "stricter"]);
    assert_eq!(followed["redeployed"][0]["deployed"], true, "{followed}");
    let status = place.json(&["status", "--env", "dev"]);
    assert_eq!(
        (&status[0]["bundle"], &status[0]["reason"]),
        (&followed["redeployed"][0]["bundle"], &json!("stricter"))
    );
    assert_ne!(status[0]["bundle"], first["bundle"]);
}

//! Rule sets from the file to the answer: registered, deployed, judged by, recorded, swapped while requests run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use inferwit::app::{AppError, RedeployPlan, Target};
use inferwit::name::{Digest, Kind, Version};
use inferwit::registry::{Added, NewRules, RegistryError, RulesRecord};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::fixtures;
use crate::lab::{ENVIRONMENT, Lab};
use crate::swap;

/// Far longer than anything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: &str = "  - {name: judge, rules: gate, facts: {face: {id: $row, score: scores}}}";
const OUTPUTS: &str = "[decision, code, subject, kept.id, kept.score]";

/// A rule set that accepts where any score reaches the cut; `more` follows its rules.
fn gate(version: &str, cut: f64, more: &str) -> String {
    format!(
        "schema: rules/v1
name: gate
version: {version}
params:
  cut: {{type: double, default: {cut}, min: 0.0, max: 1.0, request: true}}
facts:
  face: {{origin: input, key: [id], fields: {{id: int, score: double}}}}
  request:
    origin: input
    key: []
    fields: {{id: string, now: timestamp, model: string, strict: {{type: bool, default: false}}}}
  kept: {{origin: output, key: [id], fields: {{id: int, score: double}}}}
decisions: {{combine: most-severe, order: [reject, accept], default: {{decision: reject, code: NONE}}}}
rules:
  - id: keep
    when: [{{match: face, as: f, where: f.score >= params.cut}}]
    then: [{{derive: {{kept: {{id: f.id, score: f.score}}}}}}]
  - id: accept
    when: [{{exists: {{match: kept, as: k}}}}]
    then: [{{emit: {{decision: accept, code: SEEN, message: \"seen\"}}}}]
  - id: strict
    when: [{{match: request, as: r, where: r.strict && r.model == 'p'}}]
    then: [{{emit: {{decision: reject, code: STRICT}}}}]
{more}"
    )
}

/// Its test passes where the cut is below 1.
const TESTS: &str = "tests:
  - name: a sure face is accepted
    given: {face: [{id: 1, score: 0.99}]}
    expect: {decision: {decision: accept, code: SEEN}}
";

fn lab_with(changes: &[(&str, &str)]) -> Lab {
    let lab = Lab::with(changes);
    lab.add_plugins(&["rules"]);
    lab
}

fn add(lab: &Lab, source: &str) -> Result<Added, AppError> {
    lab.app.add_rules(source.as_bytes()).map(|(added, _)| added)
}

/// A lab with the gate at one half.
fn gate_lab(changes: &[(&str, &str)]) -> Lab {
    let lab = lab_with(changes);
    add(&lab, &gate("1.0.0", 0.5, TESTS)).unwrap();
    lab
}

fn pipeline(version: &str, parameters: &str, step: &str) -> String {
    format!(
        "schema: pipeline/v1
name: p
version: {version}
inputs: {{scores: {{datatype: FP32, shape: [-1]}}}}
outputs: {OUTPUTS}
parameters: {{{parameters}}}
steps:
{step}
"
    )
}

fn scores(values: &Value) -> Value {
    json!({"name": "scores", "datatype": "FP32", "shape": [values.as_array().unwrap().len()], "data": values})
}

fn ask(client: Client, values: &Value, parameters: &Value) -> Reply {
    client.post_json("p", &json!({"id": "r1", "inputs": [scores(values)], "parameters": parameters}))
}

fn data(reply: &Reply, output: &str) -> Value {
    let json = reply.json();
    let outputs = json["outputs"].as_array().unwrap_or_else(|| panic!("{json}"));
    outputs.iter().find(|tensor| tensor["name"] == output).unwrap_or_else(|| panic!("{json}"))["data"].clone()
}

fn decisions(reply: &Reply) -> Value {
    let json = reply.json();
    serde_json::from_str(json["parameters"]["inferwit_decisions"].as_str().unwrap_or_else(|| panic!("{json}"))).unwrap()
}

fn bundle(reply: &Reply) -> String {
    reply.json()["parameters"]["inferwit_bundle"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
}

/// What is wrong with a pipeline, as a person reads it.
fn told(lab: &Lab, pipeline: &str) -> String {
    match lab.load(pipeline).map(|_| ()).unwrap_err() {
        AppError::Pipeline(found) => {
            let lines = found.iter().map(|found| {
                let position = found.position.map_or(0, |position| position.line);
                format!("{position}: {}; {}", found.message, found.hint)
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_of_a_tensor_are_facts_and_decisions_are_tensors() {
    let lab = gate_lab(&[]);
    let door = lab.serve_texts(&[&pipeline("1.0.0", "", STEP)]);
    let reply = ask(door.client(), &json!([0.25, 0.75]), &json!({})).expect(200);
    assert_eq!(data(&reply, "decision"), json!(["accept"]));
    assert_eq!(data(&reply, "code"), json!(["SEEN"]));
    assert_eq!(data(&reply, "subject"), json!([""]));
    assert_eq!((data(&reply, "kept.id"), data(&reply, "kept.score")), (json!([1]), json!([0.75])));
    let decided = &decisions(&reply)["judge"];
    assert_eq!((&decided["status"], &decided["result"][0]["decision"]), (&json!("ok"), &json!("accept")));
    assert_eq!((&decided["result"][0]["message"], decided.get("report")), (&json!("seen"), None));

    let reply = ask(door.client(), &json!([]), &json!({})).expect(200);
    assert_eq!((data(&reply, "decision"), data(&reply, "code")), (json!(["reject"]), json!(["NONE"])));
    assert_eq!(data(&reply, "kept.id"), json!([]));
    let page = door.metrics.to_text();
    let expected = r#"inferwit_rule_firings_total{rule_set="gate@1.0.0",rule="accept"} 1"#;
    assert!(page.contains(expected), "{page}");
}

/// Fields of every kind, seen again in an output template.
const KINDS: &str = "schema: rules/v1
name: kinds
version: 1.0.0
facts:
  thing:
    origin: input
    key: [id]
    fields:
      id: string
      flag: bool
      count: int
      size: double
      color: {type: enum, values: [red, green]}
      raw: bytes
      at: timestamp
      took: duration
      box: {type: list<double>, len: 2}
      tags: {type: list<string>, optional: true}
      note: {type: string, default: nothing}
  frame: {origin: input, key: [], fields: {width: int, corners: {type: list<int>, len: 2}, name: {type: string, optional: true}}}
  seen:
    origin: output
    key: [id]
    fields:
      id: string
      flag: bool
      count: int
      size: double
      color: {type: enum, values: [red, green]}
      raw: bytes
      at: timestamp
      took: duration
      box: {type: list<double>, len: 2}
      note: string
      width: int
      corners: {type: list<int>, len: 2}
rules:
  - id: see
    when: [{match: thing, as: t}, {match: frame, as: f}]
    then:
      - derive:
          seen:
            {id: t.id, flag: t.flag, count: t.count, size: t.size, color: t.color, raw: t.raw, at: t.at, took: t.took, box: t.box, note: t.note, width: f.width, corners: f.corners}
";

#[test]
fn every_kind_of_field_is_filled_and_given_back() {
    let lab = lab_with(&[]);
    add(&lab, KINDS).unwrap();
    let inputs = [
        ("id", "BYTES", json!([2]), json!(["a", "b"])),
        ("flag", "BOOL", json!([2]), json!([true, false])),
        ("count", "UINT16", json!([2]), json!([1, 65535])),
        ("size", "INT32", json!([2, 1]), json!([-3, 4])),
        ("color", "BYTES", json!([2]), json!(["green", "red"])),
        ("raw", "BYTES", json!([2]), json!(["", "xyz"])),
        ("at", "INT64", json!([2]), json!([0, 1_500_000_000])),
        ("took", "INT64", json!([2]), json!([-1, 1])),
        ("box", "FP32", json!([2, 2]), json!([0.5, 1.0, 1.5, 2.0])),
        ("width", "INT8", json!([1]), json!([7])),
        ("corners", "INT64", json!([1, 2]), json!([8, 9])),
    ];
    let declared: Vec<String> = inputs
        .iter()
        .map(|(name, datatype, shape, _)| {
            let rank = shape.as_array().unwrap().len();
            format!("{name}: {{datatype: {datatype}, shape: {:?}}}", vec![-1; rank])
        })
        .collect();
    let fields = |names: &[&str]| names.iter().map(|name| format!("{name}: {name}")).collect::<Vec<_>>().join(", ");
    let things = fields(&["id", "flag", "count", "size", "color", "raw", "at", "took", "box"]);
    let outputs: Vec<String> =
        inputs.iter().map(|(name, ..)| format!("seen.{name}")).chain(["seen.note".to_owned()]).collect();
    let door = lab.serve_texts(&[&format!(
        "schema: pipeline/v1\nname: p\nversion: 1.0.0\ninputs: {{{}}}\noutputs: [{}]\nsteps:\n  - {{name: see, rules: kinds, facts: {{thing: {{{things}}}, frame: {{width: width, corners: corners}}}}}}\n",
        declared.join(", "),
        outputs.join(", ")
    )]);
    let tensors: Vec<Value> = inputs
        .iter()
        .map(|(name, datatype, shape, data)| json!({"name": name, "datatype": datatype, "shape": shape, "data": data}))
        .collect();
    let reply = door.client().post_json("p", &json!({"inputs": tensors})).expect(200);
    for (name, _, _, sent) in &inputs[..9] {
        let seen = data(&reply, &format!("seen.{name}"));
        let same =
            |(seen, sent): (&Value, &Value)| seen == sent || seen.as_f64().is_some_and(|it| Some(it) == sent.as_f64());
        assert!(seen.as_array().unwrap().iter().zip(sent.as_array().unwrap()).all(same), "{name}: {seen}");
    }
    assert_eq!(data(&reply, "seen.note"), json!(["nothing", "nothing"]));
    assert_eq!((data(&reply, "seen.width"), data(&reply, "seen.corners")), (json!([7, 7]), json!([8, 9, 8, 9])));
}

#[test]
fn request_parameters_reach_the_request_fact_and_open_parameters() {
    let lab = gate_lab(&[]);
    let declared = "strict: {type: bool, default: false}, cut: {type: double, default: 0.5}";
    let door = lab.serve_texts(&[&pipeline("1.0.0", declared, STEP)]);
    let code = |parameters: Value| data(&ask(door.client(), &json!([0.6]), &parameters).expect(200), "code");
    assert_eq!(code(json!({})), json!(["SEEN"]));
    assert_eq!(code(json!({"strict": true})), json!(["STRICT"]));
    assert_eq!(code(json!({"cut": 0.7})), json!(["NONE"]));
    let refused = ask(door.client(), &json!([0.6]), &json!({"cut": 1.5})).expect(400);
    assert_eq!(refused.code(), "invalid_input");
}

#[test]
fn parameters_of_a_step_are_pinned_and_make_another_bundle() {
    let lab = gate_lab(&[]);
    let deploy = |version: &str, params: &str| {
        let step = STEP.replace("rules: gate", &format!("rules: gate, params: {params}"));
        let file = lab.file("p.yaml", pipeline(version, "", &step));
        lab.deploy(&Target::PipelineFile(file)).unwrap()
    };
    let first = deploy("1.0.0", "{cut: 0.5}");
    let second = deploy("1.0.0", "{cut: 0.9}");
    assert_ne!(first.bundle, second.bundle);
    let pins: Vec<String> = second.artifacts.iter().map(|pin| format!("{} {}", pin.kind, pin.name)).collect();
    assert_eq!(pins, ["plugin rules", "rules gate"]);
    let active = lab.app.registry().unwrap().active(&ENVIRONMENT.parse().unwrap()).unwrap();
    assert_eq!(active[0].bundle.parts().rule_params, json!({"judge": {"cut": 0.9}}));
    let (door, _follower) = lab.follow();
    assert_eq!(data(&ask(door.client(), &json!([0.6]), &json!({})).expect(200), "code"), json!(["NONE"]));
}

#[test]
fn the_report_is_given_where_client_and_operator_want_it() {
    let lab = gate_lab(&[("monitoring.trace_requests", "true")]);
    let step = STEP.replace("facts:", "outputs: {report: why}, facts:");
    let text = pipeline("1.0.0", "", &step).replace("[decision,", "[why, decision,");
    let door = lab.serve_texts(&[&text]);
    let reply = ask(door.client(), &json!([0.75]), &json!({"explain": true})).expect(200);
    let report: Value = serde_json::from_str(data(&reply, "why")[0].as_str().unwrap()).unwrap();
    assert_eq!((&report["schema"], &report["status"]), (&json!("rules-report/v1"), &json!("ok")));
    assert_eq!(report["rule_set"]["name"], "gate");
    assert_eq!(decisions(&reply)["judge"]["report"], report);

    let quiet = gate_lab(&[]);
    let door = quiet.serve_texts(&[&pipeline("1.0.0", "", STEP)]);
    let reply = ask(door.client(), &json!([0.75]), &json!({"explain": true})).expect(200);
    assert_eq!(decisions(&reply)["judge"].get("report"), None);
}

#[test]
fn what_does_not_fit_is_found_at_its_line_before_a_request_comes() {
    let lab = gate_lab(&[]);
    let check = |step: &str, expected: &str| {
        let told = told(&lab, &pipeline("1.0.0", "", step));
        assert!(told.contains(expected), "{told}");
    };
    check(
        "  - name: judge\n    rules: gate\n    facts:\n      face: {id: $row}",
        "11: step `judge`: template `face` needs field `score`, which nothing fills; map a tensor to it: `score: ..`",
    );
    check(
        "  - name: judge\n    rules: gate\n    facts:\n      faec: {id: $row}",
        "11: step `judge`: the rule set has no template `faec`; did you mean `face`?",
    );
    check(
        "  - name: judge\n    rules: gate\n    facts:\n      face: {id: $row, score: scoers}",
        "11: step `judge` reads `scoers`, which no step and no input gives; did you mean `scores`?",
    );
    check(
        "  - name: judge\n    rules: gate\n    facts:\n      face: {id: scores, score: scores}",
        "11: step `judge`: tensor `scores` is FP32, which cannot serve as field `id` of `face`; the field is int",
    );
    check("  - {name: judge, rules: gate@^7, facts: {}}", "there is no rules `gate@^7`");
    check(
        "  - name: judge\n    rules: gate\n    params: {cut: 7}\n    facts: {face: {id: $row, score: scores}}",
        "10: step `judge`: `params.cut` does not suit gate@1.0.0: `cut` is at most 1; it is a double from 0 to 1",
    );
    let low = gate_lab(&[("rules.max_work", "1000")]);
    assert!(add(&low, &gate("1.1.0", 0.5, "limits: {max_work: 2000}\n")).is_err());
}

#[test]
fn how_a_run_ends_is_how_the_request_ends() {
    let lab = lab_with(&[]);
    let check = |name: &str, more: &str, values: Value, (status, code): (u16, &str)| {
        let source = gate("1.0.0", 0.5, more).replace("name: gate", &format!("name: {name}"));
        add(&lab, &source).unwrap();
        let door = lab.serve_texts(&[&pipeline("1.0.0", "", &STEP.replace("rules: gate", &format!("rules: {name}")))]);
        let reply = ask(door.client(), &values, &json!({})).expect(status);
        if status == 200 {
            assert_eq!(data(&reply, "code"), json!([code]));
            assert_eq!(decisions(&reply)["judge"]["status"], "limit");
        } else {
            assert_eq!(reply.code(), code, "{}", reply.text());
            assert!(!reply.text().contains(name), "a client is not told of rule sets: {}", reply.text());
        }
    };
    let divide = "  - id: divide\n    when: [{match: face, as: f}, {if: 1 / (f.id - f.id) == 1}]\n    then: [{emit: {decision: accept, code: NEVER}}]\n";
    check("divides", divide, json!([0.6]), (500, "plugin_failed"));
    let limit = "limits: {max_work: 3, on_limit: error}\n";
    check("limited", limit, json!([0.6, 0.7, 0.8]), (500, "plugin_limit"));
    let decide = "limits: {max_work: 3, on_limit: decide, limit_decision: {decision: reject, code: LIMIT}}\n";
    check("decides", decide, json!([0.6, 0.7, 0.8]), (200, "LIMIT"));
}

#[test]
fn facts_that_the_rule_set_refuses_are_the_clients_fault() {
    let lab = gate_lab(&[]);
    let door = lab.serve_texts(&[&pipeline("1.0.0", "", STEP).replace("FP32", "FP64")]);
    let nan = f64::NAN.to_le_bytes();
    let header = json!({"inputs": [{
        "name": "scores", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": nan.len()},
    }]});
    let body = [header.to_string().as_bytes(), &nan].concat();
    let length = header.to_string().len().to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    let reply = door.client().post("/v2/models/p/infer", &headers, &body).expect(422);
    assert_eq!(reply.code(), "unprocessable");
}

#[test]
fn a_rule_set_is_registered_once_and_only_if_its_tests_pass() {
    let lab = lab_with(&[]);
    let error = add(&lab, &gate("1.0.0", 1.0, TESTS)).unwrap_err();
    assert!(
        matches!(&error, AppError::RuleTests { rule_set, results } if rule_set == "gate@1.0.0" && results.len() == 1)
    );
    assert!(error.hint().unwrap().contains("rules test"));
    assert!(matches!(add(&lab, "schema: rules/v1\nname: x\n"), Err(AppError::Plugin(_))));
    let registry = lab.app.registry().unwrap();
    assert_eq!(registry.list(Kind::Rules).unwrap(), []);

    let (added, report) = lab.app.add_rules(gate("1.0.0", 0.5, TESTS).as_bytes()).unwrap();
    assert!(matches!(added, Added::New(_)) && report.tests.len() == 1 && report.parsed["name"] == "gate");
    let reordered = format!("# the same again\n{}", gate("1.0.0", 0.5, TESTS));
    assert!(matches!(add(&lab, &reordered).unwrap(), Added::AlreadyThere(_)));
    let error = add(&lab, &gate("1.0.0", 0.6, TESTS)).unwrap_err();
    assert!(matches!(error, AppError::Registry(RegistryError::VersionTaken { .. })), "{error:?}");
    let (label, source) = lab.app.rules_source("gate@^1").unwrap();
    assert_eq!((label.as_str(), source), ("gate@1.0.0", gate("1.0.0", 0.5, TESTS).into_bytes()));
}

#[test]
fn a_rule_set_that_does_not_load_or_fails_its_tests_is_refused_and_the_old_one_serves() {
    let lab = gate_lab(&[]);
    let deploy = |version: &str, rules: &str| {
        let step = STEP.replace("rules: gate", &format!("rules: gate@{rules}"));
        lab.deploy(&Target::PipelineFile(lab.file("p.yaml", pipeline(version, "", &step))))
    };
    let good = deploy("1.0.0", "1.0.0").unwrap();
    let (door, _follower) = lab.follow();
    // Past `add`, which would have refused them: as another program, or an engine with other opinions, may leave them.
    let force = |version: Version, source: &str| {
        let record = RulesRecord { identity: Digest::of(source.as_bytes()), parsed: json!({}) };
        let new = NewRules { name: "gate".parse().unwrap(), version, source: source.as_bytes(), record };
        lab.app.registry().unwrap().add_rules(&new).unwrap();
    };
    force(Version::new(1, 0, 1), &gate("1.0.1", 1.0, TESTS));
    force(Version::new(1, 0, 2), "schema: rules/v1\nname: gate\n");
    assert!(matches!(deploy("1.0.1", "1.0.1").unwrap_err(), AppError::RuleTests { .. }));
    assert!(matches!(deploy("1.0.2", "1.0.2").unwrap_err(), AppError::Pipeline(_)));

    let environment = ENVIRONMENT.parse().unwrap();
    let rows = lab.app.registry().unwrap().deployments(Some(&environment), 10).unwrap();
    let statuses: Vec<&str> = rows.iter().map(|row| row.status.as_str()).collect();
    assert_eq!(statuses, ["refused", "refused", "active"]);
    let reply = ask(door.client(), &json!([0.6]), &json!({})).expect(200);
    assert_eq!((bundle(&reply), data(&reply, "code")), (good.bundle.to_string(), json!(["SEEN"])));
}

#[test]
fn what_follows_a_rule_set_is_deployed_again_when_a_version_is_published() {
    let lab = gate_lab(&[]);
    let register = |name: &str, reference: &str| {
        let step = STEP.replace("rules: gate", &format!("rules: {reference}"));
        let text = pipeline("1.0.0", "", &step).replace("name: p\n", &format!("name: {name}\n"));
        let file = lab.file(&format!("{name}.yaml"), text);
        lab.app.add_pipeline(&file, None).unwrap();
        lab.deploy(&Target::parse(name).unwrap()).unwrap();
    };
    register("follows", "gate@^1");
    register("stays", "gate@1.0.0");
    let file = lab.file("file.yaml", pipeline("1.0.0", "", STEP).replace("name: p\n", "name: unregistered\n"));
    lab.deploy(&Target::PipelineFile(file)).unwrap();

    add(&lab, &gate("1.1.0", 0.7, TESTS)).unwrap();
    let (name, version, environment) = ("gate".parse().unwrap(), Version::new(1, 1, 0), ENVIRONMENT.parse().unwrap());
    let plan = RedeployPlan {
        rule_set: &name,
        version: &version,
        environment: &environment,
        actor: "test",
        reason: None,
        dry_run: false,
    };
    let redeployed = lab.app.redeploy_rules(&plan).unwrap();
    let outcomes: BTreeMap<&str, String> = redeployed
        .iter()
        .map(|one| {
            let outcome = match &one.result {
                Ok(deployment) => format!("{:?}", deployment.artifacts[1].version.to_string()),
                Err(error) => error.to_string(),
            };
            (one.pipeline.as_str(), outcome)
        })
        .collect();
    assert_eq!(outcomes["follows"], "\"1.1.0\"");
    assert!(outcomes["stays"].contains("does not admit gate@1.1.0"), "{outcomes:?}");
    assert!(outcomes["unregistered"].contains("deployed from a file"), "{outcomes:?}");
}

#[test]
fn runs_are_recorded_as_rules_run_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.jsonl");
    let lab = gate_lab(&[("rules.record.path", path.to_str().unwrap()), ("rules.record.redact", "[score]")]);
    // Tests of a deployment are no traffic.
    lab.deploy(&Target::PipelineFile(lab.file("p.yaml", pipeline("1.0.0", "", STEP)))).unwrap();
    assert!(!path.exists());
    lab.app.start_recording().unwrap();
    let door = lab.serve_texts(&[&pipeline("1.0.0", "", STEP)]);
    ask(door.client(), &json!([0.25, 0.75]), &json!({})).expect(200);
    let until = Instant::now() + PATIENCE;
    let line = loop {
        let text = fs::read_to_string(&path).unwrap();
        if text.ends_with('\n') {
            break text;
        }
        assert!(Instant::now() < until, "a run is recorded");
        thread::yield_now();
    };
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["step"], &line["rule_set"]), (&json!("judge"), &json!("gate@1.0.0")));
    let faces = json!([{"id": 0, "score": "[redacted]"}, {"id": 1, "score": "[redacted]"}]);
    assert_eq!((&line["facts"]["face"], &line["facts"]["request"][0]["id"]), (&faces, &json!("r1")));
    assert_eq!(line["report"]["result"][0]["code"], "SEEN");
    assert_eq!(line["report"]["facts"]["kept"][0]["score"], "[redacted]");
}

#[test]
fn the_compiled_form_is_kept_and_a_damaged_one_is_made_again() {
    let lab = gate_lab(&[]);
    let rule_set = lab.app.registry().unwrap().resolve(Kind::Rules, &"gate".parse().unwrap()).unwrap();
    let text = pipeline("1.0.0", "", STEP);
    lab.load(&text).unwrap();
    let engine = lab.app.registry().unwrap().resolve(Kind::Plugin, &"rules".parse().unwrap()).unwrap();
    let kept = lab.home().join("compiled").join(format!("{}-{}.rules", engine.digest.hex(), rule_set.digest.hex()));
    let compiled = fs::read(&kept).unwrap();
    fs::write(&kept, b"damaged").unwrap();
    lab.load(&text).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), compiled);
}

#[expect(clippy::disallowed_methods, reason = "tests have no `env.rs`; the variable is documented in xtask's")]
fn is_slow() -> bool {
    std::env::var_os("INFERWIT_TEST_SLOW").is_some_and(|value| !value.is_empty())
}

#[test]
fn swaps_under_load_fail_no_request_and_mix_none() {
    let swaps = if is_slow() { 1000 } else { 50 };
    let report = swap::measure(swaps).as_json(swaps);
    let _ = writeln!(std::io::stdout(), "{report}");
    let folder = fixtures::target().join("tests");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rules-swap.json"), report.to_string()).unwrap();
}

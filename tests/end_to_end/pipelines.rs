//! What a pipeline's file can say, as it works behind the door: order, conditions, grants, findings, tests, limits.

use inferwit::app::{AppError, NewModelFile, Target};
use inferwit::infer::{InferRequest, StepTrace, Trace};
use inferwit::pipeline::document::Diagnostic;
use inferwit::server::Served;
use inferwit::tensor::{Datatype, Tensor};
use serde_json::{Value, json};

use crate::client::Reply;
use crate::fixtures::root;
use crate::lab::{Door, Lab};

const HEAD: &str = "schema: pipeline/v1
name: p
version: 1.0.0
inputs: {x: {datatype: FP32, shape: [-1]}}
";

#[test]
fn independent_steps_run_side_by_side() {
    let trace = trace(
        "outputs: [one, two]
steps:
  - {name: first, plugin: hostile, config: {misbehave: sleep, amount: 1}, inputs: {tensor: x}, outputs: {tensor: one}}
  - {name: second, plugin: hostile, config: {misbehave: sleep, amount: 1}, inputs: {tensor: x}, outputs: {tensor: two}}
",
    );
    let [first, second] = [step(&trace, "first"), step(&trace, "second")];
    let overlap = end_ns(first).min(end_ns(second)).saturating_sub(first.start_ns.max(second.start_ns));
    assert!(overlap > 0, "{trace:?}");
}

#[test]
fn a_step_waits_for_what_stands_under_after() {
    let trace = trace(
        "outputs: [one, two]
steps:
  - {name: late, plugin: echo, inputs: {tensor: x}, outputs: {tensor: one}, after: [early]}
  - {name: early, plugin: echo, inputs: {tensor: x}, outputs: {tensor: two}}
",
    );
    assert!(end_ns(step(&trace, "early")) <= step(&trace, "late").start_ns, "{trace:?}");
}

#[test]
fn a_step_whose_condition_does_not_hold_gives_its_defaults() {
    let (_lab, door) = serve(
        "outputs: [y]
parameters: {policy: {type: bool, default: true}}
steps:
  - name: maybe
    plugin: echo
    inputs: {tensor: x}
    outputs: {tensor: y}
    when: {parameter: policy, equals: true}
    defaults: {y: {datatype: FP32, shape: [2], data: [7, 8]}}
",
    );
    assert_eq!(data(&ask(&door, &json!([1, 2]), &json!({}))), json!([1.0, 2.0]));
    assert_eq!(data(&ask(&door, &json!([1, 2]), &json!({"policy": true}))), json!([1.0, 2.0]));
    assert_eq!(data(&ask(&door, &json!([1, 2]), &json!({"policy": false}))), json!([7.0, 8.0]));
}

#[test]
fn a_condition_may_look_at_a_tensor() {
    let (_lab, door) = serve(
        "outputs: [y]
steps:
  - {name: flag, plugin: echo, inputs: {tensor: x}, outputs: {tensor: flag}}
  - name: maybe
    plugin: echo
    inputs: {tensor: x}
    outputs: {tensor: y}
    when: {tensor: flag, equals: 1}
    defaults: {y: {datatype: FP32, shape: [0]}}
",
    );
    assert_eq!(data(&ask(&door, &json!([1]), &json!({}))), json!([1.0]));
    assert_eq!(data(&ask(&door, &json!([2]), &json!({}))), json!([]));
    assert_eq!(data(&ask(&door, &json!([1, 1]), &json!({}))), json!([]), "two elements equal nothing");
}

#[test]
fn a_plugin_runs_a_model_only_if_it_was_granted() {
    let lab = lab();
    let file = root().join("tests/fixtures/models/relu.onnx");
    let name = Some("secret".parse().unwrap());
    lab.app.add_model(&NewModelFile { file, name, ..NewModelFile::default() }).unwrap();
    let pipeline = |name: &str, grants: &str| {
        let step = "name: act, plugin: hostile, config: {misbehave: model}, inputs: {tensor: x}, outputs: {tensor: y}";
        format!("{HEAD}outputs: [y]\nsteps:\n  - {{{step}{grants}}}\n").replace("name: p\n", &format!("name: {name}\n"))
    };
    let granted = pipeline("granted", ", grants: {models: [secret]}");
    let door = lab.serve_texts(&[&granted, &pipeline("denied", "")]);
    let ask = |model: &str| door.client().post_json(model, &request(&json!([-1, 2]), &json!({})));
    assert_eq!(data(&ask("granted").expect(200)), json!([0.0, 2.0]), "what the model gave");
    assert_eq!(ask("denied").expect(500).code(), "plugin_failed");
}

#[test]
fn a_warm_instance_is_kept_and_a_fresh_one_is_not() {
    let lab = lab();
    // The numbers of an instance that was not granted randomness are fixed, and go on from call to call.
    let seen = |isolation: &str| {
        let step = "name: act, plugin: hostile, config: {misbehave: wasi}, inputs: {tensor: x}, outputs: {tensor: y}";
        let pipeline = format!("{HEAD}outputs: [y]\nsteps:\n  - {{{step}, isolation: {isolation}}}\n");
        let door = lab.serve_texts(&[&pipeline]);
        let numbers = || data(&ask(&door, &json!([1]), &json!({}))).as_array().unwrap().last().unwrap().clone();
        (numbers(), numbers())
    };
    let (first, second) = seen("fresh");
    assert_eq!(first, second);
    let (first, second) = seen("warm");
    assert_ne!(first, second);
}

#[test]
fn a_finding_blocks_or_is_only_noted_as_the_pipeline_says() {
    let pipeline = |on_finding: &str| {
        format!(
            "outputs: [y]
steps:
  - {{name: pass, plugin: echo, inputs: {{tensor: x}}, outputs: {{tensor: y}}}}
  - name: sane
    validate: checks
    config: {{checks: [{{tensor: y, expect: {{range: {{max: 10}}}}, code: too_much}}]}}
    on_finding: {on_finding}
"
        )
    };
    let (_lab, door) = serve(&pipeline("block"));
    ask(&door, &json!([1]), &json!({})).expect(200);
    let blocked = ask(&door, &json!([11]), &json!({})).expect(422);
    assert_eq!(blocked.code(), "rejected");
    assert_eq!(blocked.json()["findings"][0]["code"], "too_much");

    let (_lab, door) = serve(&pipeline("annotate"));
    let noted = ask(&door, &json!([11]), &json!({})).expect(200);
    assert_eq!(data(&noted), json!([11.0]));
    let findings = noted.json()["parameters"]["inferwit_findings"].as_str().unwrap().to_owned();
    let findings: Value = serde_json::from_str(&findings).unwrap();
    assert_eq!((&findings[0]["code"], &findings[0]["severity"]), (&json!("too_much"), &json!("error")));
}

#[test]
fn golden_tests_say_what_differs() {
    let lab = lab();
    let text = format!(
        "{HEAD}outputs: [y]
steps:
  - {{name: pass, plugin: echo, inputs: {{tensor: x}}, outputs: {{tensor: y}}}}
tests:
  - {{name: good, inputs: {{x: [1, 2]}}, expect: {{y: [1, 2]}}}}
  - {{name: bad, inputs: {{x: [1, 2]}}, expect: {{y: [1, 3]}}}}
  - {{name: refused, inputs: {{}}, error: invalid_input}}
"
    );
    let file = lab.file("p.yaml", text);
    let assembly = lab.gather(&Target::PipelineFile(file)).unwrap();
    let generation = lab.app.load(&assembly).unwrap();
    let results = lab.app.test(&assembly, &generation, "");
    let passed: Vec<(&str, bool)> = results.iter().map(|result| (result.name.as_str(), result.passed)).collect();
    assert_eq!(passed, [("good", true), ("bad", false), ("refused", true)]);
    assert_eq!(results[1].differences, ["y: expected [1] 3, got [1] 2"]);
    assert_eq!(lab.app.test(&assembly, &generation, "goo").len(), 1);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place_and_a_remedy() {
    let lab = lab();
    let wrong = |body: &str| match lab.load(&format!("{HEAD}{body}")).err().expect("the file is wrong") {
        AppError::Pipeline(diagnostics) => diagnostics,
        other => panic!("{other:?}"),
    };
    // Where the marked text stands in the body, there the diagnostic must point.
    let check = |marked: &str, code: &str, hint: &str| {
        let (before, after) = marked.split_once('^').expect("a mark");
        let line = (HEAD.lines().count() + before.lines().count()) as u64;
        let column = before.lines().last().unwrap().chars().count() as u64 + 1;
        let found = wrong(&format!("{before}{after}"));
        let fits = |diagnostic: &Diagnostic| {
            let at = diagnostic.position.map(|position| (position.line, position.column));
            diagnostic.code == code && at == Some((line, column)) && diagnostic.hint.contains(hint)
        };
        assert!(found.iter().any(fits), "{marked}: {found:#?}");
        assert!(found[0].to_string().contains(&format!("pipeline.yaml:{line}:{column}: ")), "{}", found[0]);
    };
    let one = |step: &str| format!("outputs: [y]\nsteps:\n  - {{name: a, {step}}}\n");
    let io = "inputs: {tensor: x}, outputs: {tensor: y}";
    check(&one(&format!("plugin: ^ecko, {io}")), "unknown-artifact", "plugin list");
    check(&one("plugin: echo, inputs: {tensor: ^z}, outputs: {tensor: y}"), "unknown-tensor", "known are");
    check(&one(&format!("plugin: echo, {io}, ^isolated: true")), "unknown-key", "isolation");
    check(&one(&format!("plugin: hostile, {io}, config: {{misbehave: ^refuse_open}}")), "step", "");
    check(&one(&format!("plugin: hostile, {io}, config: {{misbehave: ^refuse_oben}}")), "step", "");
    check(&one(&format!("plugin: echo, {io}, on_finding: ^block")), "unsuited-key", "remove it");
    check(&one(&format!("plugin: echo, {io}, ^outputs: {{}}")), "syntax", "");
    let circle = "outputs: [y]\nsteps:\n  - ^{name: a, plugin: echo, inputs: {tensor: z}, outputs: {tensor: y}}\n  - {name: b, plugin: echo, inputs: {tensor: y}, outputs: {tensor: z}}\n";
    check(circle, "cycle", "");
    let expect = |text: &str| {
        let checks = format!("config: {{checks: [{{tensor: y, expect: {{{text}}}}}]}}");
        format!("{}  - {{name: b, validate: checks, {checks}}}\n", one(&format!("plugin: echo, {io}")))
    };
    check(&expect("shape: ^nine"), "step", "a list");
    check(&expect("^shap: [9]"), "step", "did you mean `shape`?");
}

#[test]
fn the_clients_time_and_the_steps_own_are_told_apart() {
    let (_lab, door) = serve(
        "outputs: [y]
parameters: {misbehave: {type: string, default: none}}
steps:
  - {name: act, plugin: hostile, limits: {deadline_ms: 500}, inputs: {tensor: x}, outputs: {tensor: y}}
",
    );
    let looping = |timeout: u64| ask(&door, &json!([1]), &json!({"misbehave": "loop", "timeout": timeout}));
    assert_eq!(looping(100_000).expect(504).code(), "deadline");
    assert_eq!(looping(0).expect(500).code(), "plugin_limit");
    ask(&door, &json!([1]), &json!({})).expect(200);
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.add_plugins(&["echo-guest", "hostile-guest", "checks"]);
    lab
}

fn serve(body: &str) -> (Lab, Door) {
    let lab = lab();
    let door = lab.serve_texts(&[&format!("{HEAD}{body}")]);
    (lab, door)
}

/// One request straight through the library.
fn trace(body: &str) -> Trace {
    let lab = lab();
    let generation = lab.load(&format!("{HEAD}{body}")).unwrap();
    let tensor = Tensor::zeros(Datatype::Fp32, &[1]).unwrap();
    let (answer, trace) = generation.infer(InferRequest::new(vec![("x".to_owned(), tensor)]));
    answer.unwrap();
    trace
}

fn step<'a>(trace: &'a Trace, name: &str) -> &'a StepTrace {
    trace.steps.iter().find(|step| step.step == name).unwrap()
}

fn end_ns(step: &StepTrace) -> u64 {
    step.start_ns + step.duration_ns
}

fn request(values: &Value, parameters: &Value) -> Value {
    let count = values.as_array().unwrap().len();
    let tensor = json!({"name": "x", "datatype": "FP32", "shape": [count], "data": values});
    json!({"inputs": [tensor], "parameters": parameters})
}

fn ask(door: &Door, values: &Value, parameters: &Value) -> Reply {
    door.client().post_json("p", &request(values, parameters))
}

fn data(reply: &Reply) -> Value {
    reply.clone().expect(200).json()["outputs"][0]["data"].clone()
}

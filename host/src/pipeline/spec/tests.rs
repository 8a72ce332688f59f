//! The file by itself: what is read, what is refused and in which words.

use super::*;

/// A pipeline around these lines.
const HEAD: &str = "schema: pipeline/v1\nname: p\nversion: 1.0.0\n";
const BODY: &str = "inputs: {x: {datatype: FP32, shape: [1]}}\noutputs: [y]\n";
const STEPS: &str = "steps:\n  - name: a\n    plugin: image@^1\n";

fn parse(text: &str) -> Result<PipelineSpec, Vec<Diagnostic>> {
    PipelineSpec::parse("p.yaml", text)
}

/// Every error with its hint, as a person sees them.
fn check(text: &str) -> String {
    match parse(text) {
        Ok(_) => "good".to_owned(),
        Err(found) => {
            let lines: Vec<_> = found.iter().map(|found| format!("{found}\n  hint: {}", found.hint)).collect();
            lines.join("\n")
        }
    }
}

fn with_steps(steps: &str) -> String {
    check(&format!("{HEAD}{BODY}steps:\n{steps}"))
}

#[test]
fn the_example_of_the_contract_is_read() {
    let spec = parse(include_str!("example.yaml")).unwrap();
    assert_eq!(spec.steps.len(), 5);
    assert_eq!(spec.steps[0].kind(), StepKind::Plugin);
    assert_eq!(spec.steps[0].config_json(), r#"{"layout":"nchw","multiple_of":32}"#);
    assert_eq!(spec.steps[1].outputs["537"], "heat");
    assert_eq!(spec.steps[3].reference().to_string(), "photo-policy@^1");
    assert_eq!(spec.timeout_ms.map(NonZeroU64::get), Some(500));
    assert_eq!(spec.tests[0].files().collect::<Vec<_>>(), ["fixtures/astronaut.png"]);
}

#[test]
fn a_small_file_is_good() {
    assert_eq!(check(&format!("{HEAD}{BODY}{STEPS}")), "good");
}

#[test]
fn all_problems_are_reported_at_once_and_in_order() {
    insta::assert_snapshot!(
        check(
            "schema: pipeline/v2\nname: Photo\nversion: 1.0\ninputs: {x: {datatype: FP31, shape: [one]}}\ntimeout: 5\ntimeout_ms: 0\ncache: true\nsteps:\n  - name: a\n    plugin: image@Prod\n    model: m\n    limts: {}\n    isolation: hot\n  - nam: b\n"
        ),
        @r#"
        p.yaml:1:1: the file has no `outputs`
          hint: add `outputs:`
        p.yaml:1:9: `schema` is `pipeline/v2`
          hint: did you mean `pipeline/v1`?
        p.yaml:2:7: `Photo` is no name: it takes 1 to 128 of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit
          hint: write lower-case letters, digits, `.`, `_` and `-`
        p.yaml:3:10: `version` is `1.0`, must be text
          hint: quote it: "1.0"
        p.yaml:4:24: `datatype` is `FP31`
          hint: did you mean `FP32`?
        p.yaml:4:38: `shape[0]` is `one`, must be a whole number
          hint: write a whole number
        p.yaml:5:1: unknown key `timeout`
          hint: did you mean `timeout_ms`?
        p.yaml:6:13: `timeout_ms` is 0
          hint: must be at least 1
        p.yaml:7:8: answers cannot be cached yet: this part is not built
          hint: write `cache: false` or leave it out
        p.yaml:9:5: step `a` has `plugin` and `model`
          hint: write exactly one of `plugin`, `model`, `rules` and `validate`
        p.yaml:10:13: `image@Prod` is no reference: after the @ it takes a version, a range such as ^1, sha256:.., or a label
          hint: write `name`, `name@1.4.2`, `name@^1`, `name@sha256:..` or `name@label`
        p.yaml:12:5: unknown key `limts`
          hint: did you mean `limits`?
        p.yaml:13:16: `isolation` is `hot`
          hint: known are `fresh`, `warm`
        p.yaml:14:5: unknown key `nam`
          hint: did you mean `name`?
        p.yaml:14:5: `steps[1]` has no `name`
          hint: add `name:`
        p.yaml:14:5: step 1 says nothing to run
          hint: write exactly one of `plugin`, `model`, `rules` and `validate`
        "#
    );
}

#[test]
fn keys_that_do_not_suit_the_step_are_named() {
    insta::assert_snapshot!(
        with_steps("  - {name: a, model: m, config: {}, limits: {memory_mib: 4, deadline_ms: 5}}\n  - {name: a, validate: v, outputs: {}, params: {}}\n  - {name: c, plugin: p, on_finding: block, when: {equals: 1}}\n"),
        @r#"
        p.yaml:7:25: a model step takes no `config`
          hint: remove it
        p.yaml:7:58: a model step takes no limit `memory_mib`
          hint: only `deadline_ms` bounds a model
        p.yaml:8:12: two steps are called `a` (line 7)
          hint: give it another name
        p.yaml:8:28: a validate step takes no `outputs`
          hint: remove it
        p.yaml:8:41: a validate step takes no `params`
          hint: remove it
        p.yaml:9:38: a plugin step takes no `on_finding`
          hint: remove it
        p.yaml:9:45: `when` tests one thing
          hint: write `{parameter: p, equals: v}` or `{tensor: t, equals: v}`
        "#
    );
}

#[test]
fn parameters_must_fit_their_type() {
    let text = "parameters:\n  a: {type: int, default: 1.5}\n  b: {type: double, default: 2, max: 1}\n  c: {type: string, min: 1, values: [x, 2], default: z}\n  d: {type: bool, default: yes}\n  timeout: {type: int, default: 1}\n  g: {type: double, min: 2, max: 1}\n";
    insta::assert_snapshot!(check(&format!("{HEAD}{BODY}{text}{STEPS}")), @r#"
    p.yaml:7:27: parameter `a`: 1.5 is no int
      hint: values, default and bounds must fit the type
    p.yaml:8:30: parameter `b`: must be at most 1
      hint: values, default and bounds must fit the type
    p.yaml:9:26: parameter `c`: a string has no `min`
      hint: values, default and bounds must fit the type
    p.yaml:9:29: parameter `c`: 2: 2 is no string
      hint: values, default and bounds must fit the type
    p.yaml:9:54: parameter `c`: must be one of "x", 2
      hint: values, default and bounds must fit the type
    p.yaml:10:28: parameter `d`: "yes" is no bool
      hint: values, default and bounds must fit the type
    p.yaml:11:3: parameter `timeout` has a meaning of its own on the wire
      hint: give it another name
    p.yaml:12:34: parameter `g`: 1 is below `min`, 2
      hint: values, default and bounds must fit the type
    "#);
}

#[test]
fn when_tests_a_declared_parameter_with_a_value_that_it_can_have() {
    let text = "parameters: {policy: {type: bool, default: true}}\n";
    let steps = "  - {name: a, plugin: p, when: {parameter: polcy, equals: true}}\n  - {name: b, plugin: p, when: {parameter: policy, equals: 1}}\n";
    insta::assert_snapshot!(check(&format!("{HEAD}{BODY}{text}steps:\n{steps}")), @r#"
    p.yaml:8:44: `when` reads parameter `polcy`, which is not declared
      hint: did you mean `policy`?
    p.yaml:9:60: parameter `policy` never equals 1: 1 is no bool
      hint: compare with a value that it can have
    "#);
}

#[test]
fn tests_of_the_file_are_checked_for_their_shape() {
    let text = "tests:\n  - {name: t, inputs: {x: {fil: a.png}}, expect: {y: {near: [1], tol: a}}, error: rejectd}\n";
    insta::assert_snapshot!(check(&format!("{HEAD}{BODY}{STEPS}{text}")), @r#"
    p.yaml:10:28: unknown key `fil`
      hint: did you mean `file`?
    p.yaml:10:71: `tol` is `a`, must be a number
      hint: write a number
    p.yaml:10:83: `error` is `rejectd`
      hint: did you mean `rejected`?
    "#);
}

#[test]
fn a_bundle_holds_the_file_with_references_resolved_and_reads_back() {
    let spec = parse(&format!("{HEAD}{BODY}{STEPS}    grants: {{models: [m@^2]}}\n")).unwrap();
    let resolve = |kind: Kind, reference: &Reference| {
        let version = if kind == Kind::Model { Version::new(2, 0, 1) } else { Version::new(1, 4, 2) };
        Reference::exact(reference.name.clone(), version)
    };
    let value = spec.to_json(resolve);
    assert_eq!(value["steps"][0]["plugin"], "image@1.4.2");
    assert_eq!(value["steps"][0]["grants"]["models"][0], "m@2.0.1");
    let canonical = serde_json_canonicalizer::to_string(&value).unwrap();
    let again = PipelineSpec::from_json(serde_json::from_str(&canonical).unwrap()).unwrap();
    assert_eq!(again.to_json(|_, reference| reference.clone()), value);
    assert_eq!(serde_json_canonicalizer::to_string(&again.document.value).unwrap(), canonical);
}

#[test]
fn yaml_and_json_of_the_same_file_are_the_same_value() {
    let spec = parse(&format!("{HEAD}{BODY}{STEPS}")).unwrap();
    let json = serde_json::to_string_pretty(&spec.document.value).unwrap();
    assert_eq!(PipelineSpec::parse("p.json", &json).unwrap().document.value, spec.document.value);
}

#[test]
fn a_model_by_itself_is_a_pipeline_of_one_step() {
    let signature = Signature {
        inputs: vec![TensorSpec::new("input:0", Datatype::Fp32, &[-1, 3])],
        outputs: vec![TensorSpec::new("b/1", Datatype::Fp32, &[-1]), TensorSpec::new("a", Datatype::Int64, &[])],
    };
    let spec = PipelineSpec::of_model(&"m".parse().unwrap(), &Version::new(1, 2, 3), &signature);
    assert_eq!(spec.steps[0].reference().to_string(), "m@1.2.3");
    assert_eq!(spec.outputs, ["b/1", "a"]);
    assert!(PipelineSpec::from_json(spec.to_json(|_, reference| reference.clone())).is_ok());
}

#[test]
fn the_json_schema_names_every_key() {
    let schema = PipelineSpec::json_schema_value();
    assert_eq!(schema["title"], "pipeline/v1");
    assert!(schema["properties"].get("timeout_ms").is_some());
    assert!(schema["properties"].get("document").is_none());
}

#[test]
fn the_pipeline_of_the_demo_is_good() {
    let spec = parse(include_str!("../../../../config/pipelines/photo-check.yaml")).unwrap();
    let files: Vec<_> = spec.tests.iter().flat_map(GoldenTest::files).collect();
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| super::super::golden::test_file(file).is_ok()));
}

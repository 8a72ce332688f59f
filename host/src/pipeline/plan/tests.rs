//! Pipelines against the signatures of a small world: what compiles to which plan, and what is refused in which words.

use super::*;
use crate::infer::InferRequest;
use crate::tensor::Datatype::{Bool, Bytes, Fp32, Int64, Uint8, Uint32};

/// What the steps of these tests may name.
fn world(step: &StepSpec) -> Result<Signature, Vec<Problem>> {
    let signature = |inputs: &[TensorSpec], outputs: &[TensorSpec]| {
        Ok(Signature { inputs: inputs.to_vec(), outputs: outputs.to_vec() })
    };
    let any = |name: &str| TensorSpec { datatype: None, shape: None, ..TensorSpec::new(name, Fp32, &[]) };
    let optional = |tensor: TensorSpec| TensorSpec { optional: true, ..tensor };
    let multiple = TensorSpec { multiple_of: vec![1, 1, 32, 32], ..TensorSpec::new("input.1", Fp32, &[-1, 3, -1, -1]) };
    match step.reference().name.as_str() {
        "image" => signature(
            &[TensorSpec::new("image", Bytes, &[1])],
            &[TensorSpec::new("tensor", Fp32, &[1, 3, -1, -1]), TensorSpec::new("size", Uint32, &[2])],
        ),
        "centerface" => signature(
            &[multiple],
            &[TensorSpec::new("537", Fp32, &[-1, 1, -1, -1]), TensorSpec::new("538", Fp32, &[-1, 2, -1, -1])],
        ),
        "detections" => signature(
            &[
                TensorSpec::new("heat", Fp32, &[-1, 1, -1, -1]),
                TensorSpec::new("scale", Fp32, &[-1, 2, -1, -1]),
                optional(TensorSpec::new("ratio", Fp32, &[2])),
            ],
            &[TensorSpec::new("boxes", Fp32, &[-1, 4]), TensorSpec::new("scores", Fp32, &[-1])],
        ),
        "checks" => signature(&[TensorSpec::new("boxes", Fp32, &[-1, 4]), TensorSpec::new("size", Uint32, &[2])], &[]),
        "pass" => signature(&[any("x")], &[any("y")]),
        "double" => signature(&[TensorSpec::new("x", Fp32, &[-1])], &[TensorSpec::new("y", Fp32, &[-1])]),
        "add" => signature(
            &[TensorSpec::new("a", Fp32, &[-1]), TensorSpec::new("b", Fp32, &[-1])],
            &[TensorSpec::new("sum", Fp32, &[-1])],
        ),
        "flag" => signature(&[TensorSpec::new("x", Fp32, &[-1])], &[TensorSpec::new("is", Bool, &[1])]),
        "maybe" => signature(&[any("x")], &[optional(TensorSpec::new("m", Int64, &[1]))]),
        other => Err(vec![Problem {
            path: String::new(),
            message: format!("plugin `{other}` is not registered"),
            hint: format!("add it with `inferwit plugin add {other}.wasm`"),
        }]),
    }
}

fn compile(body: &str) -> Result<Plan, Vec<Diagnostic>> {
    let text = format!("schema: pipeline/v1\nname: p\nversion: 1.0.0\n{body}");
    Plan::compile(&PipelineSpec::parse("p.yaml", &text)?, &world)
}

/// Every error with its hint, as a person sees them.
fn check(body: &str) -> String {
    match compile(body) {
        Ok(_) => "good".to_owned(),
        Err(found) => {
            let lines: Vec<_> = found.iter().map(|found| format!("{found}\n  hint: {}", found.hint)).collect();
            lines.join("\n")
        }
    }
}

const PHOTO: &str = "\
inputs: {photo: {datatype: BYTES, shape: [1]}}
outputs: [boxes, scores, size]
parameters: {min_score: {type: double, default: 0.5, min: 0, max: 1}}
steps:
  - {name: decode, plugin: image@^1, inputs: {image: photo}, outputs: {tensor: pixels}}
  - {name: faces, model: centerface@^1, inputs: {input.1: pixels}, outputs: {\"537\": heat, \"538\": scale}}
  - {name: boxes, plugin: detections@^1}
  - {name: sane, validate: checks@^1}
";

#[test]
fn the_demo_becomes_a_chain_that_hands_tensors_on() {
    let plan = compile(PHOTO).unwrap();
    assert!(plan.is_chain);
    assert_eq!(plan.roots, [0]);
    let next: Vec<_> = plan.steps.iter().map(|step| step.next).collect();
    assert_eq!(next, [Some(1), Some(2), Some(3), None]);
    let names: Vec<_> = plan.slots.iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(names, ["photo", "pixels", "size", "heat", "scale", "boxes", "scores"]);
    let last: Vec<Vec<bool>> =
        plan.steps.iter().map(|step| step.inputs.iter().map(|input| input.is_last).collect()).collect();
    assert_eq!(last, [vec![true], vec![true], vec![true, true], vec![false, false]]);
    // `ratio` is optional and nobody gives it.
    assert_eq!(plan.steps[2].inputs.len(), 2);
    let signature = plan.signature();
    assert_eq!(signature.inputs, [TensorSpec::new("photo", Bytes, &[1])]);
    assert_eq!(signature.outputs[2], TensorSpec::new("size", Uint32, &[2]));
}

#[test]
fn steps_side_by_side_share_their_input_and_nobody_takes_it_away() {
    let plan = compile(
        "inputs: {x: {datatype: FP32, shape: [-1]}}\noutputs: [sum]\nsteps:\n  - {name: last, plugin: add}\n  \
         - {name: one, plugin: double, outputs: {y: a}}\n  - {name: two, plugin: double, outputs: {y: b}}\n",
    )
    .unwrap();
    let names: Vec<_> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "last"]);
    assert_eq!(plan.steps[2].index, 0);
    assert!(!plan.is_chain);
    assert_eq!(plan.roots, [0, 1]);
    assert_eq!((plan.steps[2].dependencies, plan.steps[0].next), (2, None));
    assert!(plan.steps[..2].iter().all(|step| !step.inputs[0].is_last && step.releases.is_empty()));
    assert!(plan.steps[2].inputs.iter().all(|input| input.is_last));
    assert_eq!(plan.slots[0].readers, 2);
}

#[test]
fn after_orders_what_data_does_not() {
    let plan = compile(
        "inputs: {x: {}}\noutputs: [a, b]\nsteps:\n  - {name: one, plugin: double, outputs: {y: a}, after: [two]}\n  \
         - {name: two, plugin: double, outputs: {y: b}}\n",
    )
    .unwrap();
    assert_eq!(plan.steps[0].name.as_str(), "two");
    assert!(plan.is_chain && plan.steps[1].inputs[0].is_last);
}

#[test]
fn an_input_that_says_nothing_is_what_its_readers_ask_for() {
    let plan = compile("inputs: {i: {shape: [1, -1, -1, -1]}}\noutputs: [\"537\"]\nsteps: [{name: m, model: centerface, inputs: {input.1: i}}]\n").unwrap();
    let expected = TensorSpec { multiple_of: vec![1, 1, 32, 32], ..TensorSpec::new("i", Fp32, &[1, 3, -1, -1]) };
    assert_eq!(plan.inputs, [expected]);
    assert!(!plan.steps[0].outputs[1].is_read);
}

#[test]
fn unknown_names_are_reported_with_the_nearest() {
    insta::assert_snapshot!(
        check("inputs: {photo: {datatype: BYTES, shape: [1]}}\noutputs: [boxs]\nsteps:\n  - name: decode\n    plugin: image\n    inputs: {imag: photo}\n    outputs: {pixels: tensor}\n  - name: faces\n    model: centerface\n    inputs: {input.1: pixels}\n    after: [decod]\n  - name: again\n    plugin: image\n    inputs: {image: photo}\n"),
        @r#"
        p.yaml:5:11: no step and no input gives output `boxs`
          hint: known are `537`, `538`, `photo`, `size`, `tensor`
        p.yaml:7:5: step `decode` needs input `image`, which no step and no input gives
          hint: say which tensor it is: `inputs: {"image": ..}`; known are `537`, `538`, `photo`, `size`, `tensor`
        p.yaml:9:14: step `decode` has no input `imag`
          hint: did you mean `image`?
        p.yaml:10:15: step `decode` has no output `pixels`
          hint: left stands the step's own name, right the pipeline's
        p.yaml:13:23: step `faces` reads `pixels`, which no step and no input gives
          hint: known are `537`, `538`, `photo`, `size`, `tensor`
        p.yaml:14:13: `after` names `decod`, which is no step
          hint: did you mean `decode`?
        p.yaml:15:5: tensor `tensor` is written twice: by step `decode` and by step `again`
          hint: give it another name here: `outputs: {"tensor": other_name}`
        p.yaml:15:5: tensor `size` is written twice: by step `decode` and by step `again`
          hint: give it another name here: `outputs: {"size": other_name}`
        "#
    );
}

#[test]
fn a_plugin_that_is_not_there_is_reported_once() {
    insta::assert_snapshot!(
        check("inputs: {x: {}}\noutputs: [boxes]\nsteps:\n  - {name: a, plugin: blur@^2}\n  - {name: b, validate: checks}\n  - {name: c, rules: policy}\n"),
        @r#"
        p.yaml:7:23: step `a`: plugin `blur` is not registered
          hint: add it with `inferwit plugin add blur.wasm`
        p.yaml:9:22: step `c`: plugin `policy` is not registered
          hint: add it with `inferwit plugin add policy.wasm`
        "#
    );
}

#[test]
fn datatypes_ranks_and_dimensions_must_fit() {
    insta::assert_snapshot!(
        check("inputs:\n  x: {datatype: UINT8, shape: [4]}\n  i: {datatype: FP32, shape: [1, 3, 100, 64]}\n  r: {datatype: FP32, shape: [2, 2]}\n  c: {datatype: FP32, shape: [1, 4, -1, -1]}\noutputs: [y]\nsteps:\n  - {name: a, plugin: double}\n  - {name: b, model: centerface, inputs: {input.1: i}, outputs: {\"537\": p, \"538\": q}}\n  - {name: c, plugin: double, inputs: {x: r}, outputs: {y: z}}\n  - {name: d, model: centerface, inputs: {input.1: c}}\n  - {name: e, plugin: double, inputs: {x: p}, outputs: {y: w}}\n"),
        @r#"
        p.yaml:11:5: step `a`, input `x`: tensor `x` is UINT8, must be FP32
          hint: it comes from the request (line 5)
        p.yaml:12:52: step `b`, input `input.1`: tensor `i` has dimension 2 of 100, must be a multiple of 32
          hint: it comes from the request (line 6)
        p.yaml:13:43: step `c`, input `x`: tensor `r` has 2 dimensions [2, 2], must have 1 [-1]
          hint: it comes from the request (line 7)
        p.yaml:14:52: step `d`, input `input.1`: tensor `c` has shape [1, 4, -1, -1], must be [-1, 3, -1, -1]
          hint: it comes from the request (line 8)
        p.yaml:15:43: step `e`, input `x`: tensor `p` has 4 dimensions [-1, 1, -1, -1], must have 1 [-1]
          hint: it comes from output `537` of step `b` (line 12)
        "#
    );
}

#[test]
fn a_cycle_is_named() {
    insta::assert_snapshot!(
        check("inputs: {x: {}}\noutputs: [q]\nsteps:\n  - {name: a, plugin: double, inputs: {x: r}, outputs: {y: q}}\n  - {name: b, plugin: double, inputs: {x: q}, outputs: {y: r}}\n  - {name: c, plugin: double, outputs: {y: s}, after: [c]}\n"),
        @r#"
        p.yaml:7:5: steps wait for each other: `a` -> `b` -> `a`
          hint: rename an output, or remove an `after`, so that one can start
        "#
    );
}

const SKIPPED: &str = "\
inputs: {x: {datatype: FP32, shape: [-1]}}
outputs: [y]
parameters: {on: {type: bool, default: true}}
steps:
";

#[test]
fn a_skipped_step_needs_defaults_where_somebody_reads_it() {
    let steps = |steps: &str| check(&format!("{SKIPPED}{steps}"));
    insta::assert_snapshot!(steps("  - {name: a, plugin: double, when: {parameter: on, equals: true}}\n"), @r#"
    p.yaml:8:31: the client reads `y`, but step `a` may be skipped
      hint: say what it is then: `defaults: {y: {datatype: FP32, shape: [0]}}`
    "#);
    assert_eq!(
        steps(
            "  - {name: a, plugin: double, when: {parameter: on, equals: true}, defaults: {y: {datatype: FP32, shape: [0]}}}\n"
        ),
        "good"
    );
    // Both are skipped together, so that nothing is missed between them.
    assert_eq!(
        steps(
            "  - {name: a, plugin: double, when: {parameter: on, equals: true}, outputs: {y: t}}\n  - {name: b, plugin: double, inputs: {x: t}, when: {parameter: on, equals: true}, defaults: {y: {datatype: FP32, shape: [1], data: [1.5]}}}\n"
        ),
        "good"
    );
    insta::assert_snapshot!(
        steps("  - {name: a, plugin: double, when: {parameter: on, equals: true}, defaults: {y: {datatype: INT64, shape: [1, 1]}, z: {datatype: FP32, shape: [2], data: [1]}}}\n"),
        @r#"
        p.yaml:8:79: default of `y` is INT64, the step gives FP32
          hint: make it like the step's own output
        p.yaml:8:116: step `a` does not give `z`
          hint: known are `y`
        p.yaml:8:116: default of `z`: shape [2] has 2 elements, got 1
          hint: `shape` and `data` must fit the datatype
        "#
    );
    insta::assert_snapshot!(steps("  - {name: a, plugin: maybe, outputs: {m: y}}\n"), @r#"
    p.yaml:8:12: the client reads `y`, but step `a` may leave it out
      hint: say what it is then: `defaults: {y: {datatype: INT64, shape: [0]}}`
    "#);
}

#[test]
fn a_default_loosens_what_clients_are_told() {
    let plan = compile(
        "inputs: {photo: {}}\noutputs: [size]\nparameters: {on: {type: bool, default: true}}\nsteps:\n  - {name: a, plugin: image, inputs: {image: photo}, when: {parameter: on, equals: false}, defaults: {size: {datatype: UINT32, shape: [0]}}}\n",
    )
    .unwrap();
    assert_eq!(plan.outputs[0].spec, TensorSpec::new("size", Uint32, &[-1]));
    // A step that may be skipped does not narrow what clients may send.
    assert_eq!(plan.inputs[0].datatype, None);
    let step = &plan.steps[0];
    let parameters = |on| Parameters::from([("on".to_owned(), Parameter::Bool(on))]);
    assert!(plan.is_wanted(step, &parameters(false), &[]) && !plan.is_wanted(step, &parameters(true), &[]));
}

#[test]
fn when_on_a_tensor_compares_its_one_element() {
    let body = |equals: &str| {
        format!(
            "inputs: {{x: {{datatype: FP32, shape: [-1]}}}}\noutputs: [y]\nsteps:\n  - {{name: test, plugin: flag}}\n  - {{name: a, plugin: double, when: {{tensor: is, equals: {equals}}}, defaults: {{y: {{datatype: FP32, shape: [0]}}}}}}\n"
        )
    };
    let plan = compile(&body("true")).unwrap();
    assert!(plan.is_chain);
    assert_eq!(plan.steps[1].releases, [0, 1]);
    let holds = |tensor: Option<Tensor>| plan.is_wanted(&plan.steps[1], &Parameters::new(), &[None, tensor, None]);
    assert!(holds(Some(Tensor::from_bytes(Bool, &[1], &[1]).unwrap())));
    assert!(!holds(Some(Tensor::from_bytes(Bool, &[1], &[0]).unwrap())));
    assert!(!holds(Some(Tensor::from_bytes(Bool, &[2], &[1, 1]).unwrap())));
    assert!(!holds(None));
    insta::assert_snapshot!(check(&body("1")), @r#"
    p.yaml:8:58: `is` is BOOL and never equals 1
      hint: compare with a value of its datatype
    "#);
    insta::assert_snapshot!(check(&body("true").replace("tensor: is", "tensor: its")), @r#"
    p.yaml:8:46: `when` reads `its`, which no step and no input gives
      hint: did you mean `is`?
    "#);
}

#[test]
fn elements_equal_values_of_their_datatype() {
    let equals = |tensor: Tensor, value: serde_json::Value| {
        Condition::Tensor { slot: 0, equals: value }.holds(&Parameters::new(), &[Some(tensor)])
    };
    assert!(equals(Tensor::from_slice(&[1], &[0.1_f32]).unwrap(), 0.1.into()));
    assert!(equals(Tensor::from_slice(&[], &[-0.0_f64]).unwrap(), 0.into()));
    assert!(equals(Tensor::from_slice(&[1, 1], &[u64::MAX]).unwrap(), u64::MAX.into()));
    assert!(equals(Tensor::from_elements(&[1], &["yes"]).unwrap(), "yes".into()));
    assert!(!equals(Tensor::from_slice(&[1], &[44_u8]).unwrap(), 300.into()));
    assert!(!equals(Tensor::from_elements(&[1], &["1"]).unwrap(), 1.into()));
}

#[test]
fn an_optional_input_may_only_go_where_it_may_be_missing() {
    insta::assert_snapshot!(check("inputs: {x: {optional: true}}\noutputs: [y]\nsteps: [{name: a, plugin: double}]\n"), @r#"
    p.yaml:4:10: input `x` may be left out, but step `a` must have it
      hint: remove `optional`
    "#);
    let extra = PHOTO.replace("inputs: {photo:", "inputs: {ratio: {optional: true}, photo:");
    let plan = compile(&extra).unwrap();
    assert_eq!(plan.inputs[1].name, "ratio");
    assert!(plan.steps[2].inputs[2].optional);
}

#[test]
fn one_step_made_from_a_signature_has_that_signature() {
    for name in ["centerface", "detections", "image", "pass"] {
        let text = format!(
            "schema: pipeline/v1\nname: p\nversion: 1.0.0\ninputs: {{}}\noutputs: [x]\nsteps: [{{name: a, plugin: {name}}}]"
        );
        let signature = world(&PipelineSpec::parse("", &text).unwrap().steps[0]).unwrap();
        let spec = PipelineSpec::of_step(StepKind::Plugin, &name.parse().unwrap(), &Version::new(1, 0, 0), &signature);
        assert_eq!(Plan::compile(&spec, &world).unwrap().signature(), signature);
    }
}

#[test]
fn errors_without_a_text_name_the_part() {
    let signature = Signature { inputs: vec![], outputs: vec![TensorSpec::new("y", Fp32, &[1])] };
    let spec = PipelineSpec::of_model(&"centerface".parse().unwrap(), &Version::new(1, 0, 0), &signature);
    let found = Plan::compile(&spec, &world).unwrap_err();
    assert!(found[0].to_string().ends_with("(at /steps/0)"), "{}", found[0]);
}

fn request(inputs: Vec<(&str, Tensor)>) -> InferRequest {
    InferRequest::new(inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())
}

fn photo() -> Tensor {
    Tensor::from_elements(&[1], &[b"png"]).unwrap()
}

#[test]
fn requests_are_checked_against_what_is_declared() {
    let plan = compile(PHOTO).unwrap();
    let check = |mut request: InferRequest| {
        plan.check_request(&mut request).map_or_else(|error| error.to_string(), |()| "good".to_owned())
    };
    let wants = |wanted: &[&str]| InferRequest {
        wanted: wanted.iter().map(ToString::to_string).collect(),
        ..request(vec![("photo", photo())])
    };
    let with =
        |name: &str, value: Parameter| InferRequest { parameters: [(name.to_owned(), value)].into(), ..wants(&[]) };
    let answers = [
        check(wants(&[])),
        check(wants(&["size", "boxes"])),
        check(request(vec![])),
        check(request(vec![("foto", photo())])),
        check(request(vec![("photo", photo()), ("photo", photo())])),
        check(request(vec![("photo", Tensor::zeros(Uint8, &[1]).unwrap())])),
        check(request(vec![("photo", Tensor::zeros(Bytes, &[2]).unwrap())])),
        check(wants(&["boxs"])),
        check(wants(&["size", "size"])),
        check(with("min_score", Parameter::Int64(1))),
        check(with("min_score", Parameter::Double(1.5))),
        check(with("min_score", Parameter::Double(f64::NAN))),
        check(with("min_score", Parameter::String("1".to_owned()))),
        check(with("minscore", Parameter::Double(0.1))),
        check(with("trace", Parameter::Bool(true))),
        check(with("sequence_id", Parameter::Uint64(1))),
        check(with("triton_x", Parameter::Uint64(1))),
    ];
    insta::assert_snapshot!(answers.join("\n"), @r#"
    good
    good
    input `photo` is missing
    there is no input `foto`; did you mean `photo`?
    input `photo` is given twice
    tensor `photo` is UINT8, must be BYTES
    tensor `photo` has shape [2], must be [1] (-1 is any)
    there is no output `boxs`; did you mean `boxes`?
    output `size` is asked for twice
    good
    parameter `min_score` must be at most 1
    parameter `min_score` must be a number
    parameter `min_score` must be double
    there is no parameter `minscore`; did you mean `min_score`?
    good
    good
    good
    "#);
}

#[test]
fn defaults_are_filled_in_and_numbers_take_their_declared_type() {
    let plan = compile(PHOTO).unwrap();
    let mut asked = request(vec![("photo", photo())]);
    plan.check_request(&mut asked).unwrap();
    assert_eq!(asked.parameters["min_score"], Parameter::Double(0.5));
    asked.parameters.insert("min_score".to_owned(), Parameter::Uint64(1));
    plan.check_request(&mut asked).unwrap();
    assert_eq!(asked.parameters["min_score"], Parameter::Double(1.0));
    let slots = plan.fill(asked.inputs);
    assert_eq!(slots.iter().filter(|slot| slot.is_some()).count(), 1);
    assert_eq!(slots[0], Some(photo()));
}

#[test]
fn a_plan_can_be_drawn() {
    let plan = compile(PHOTO).unwrap();
    insta::assert_snapshot!(super::super::graph::mermaid(&plan), @r#"
    flowchart LR
      in0(["photo: BYTES [1]"])
      s0["decode<br/>plugin image@^1"]
      s1["faces<br/>model centerface@^1"]
      s2["boxes<br/>plugin detections@^1"]
      s3["sane<br/>validate checks@^1"]
      out0(["boxes: FP32 [-1, 4]"])
      out1(["scores: FP32 [-1]"])
      out2(["size: UINT32 [2]"])
      in0 -->|"photo"| s0
      s0 -->|"pixels"| s1
      s1 -->|"heat"| s2
      s1 -->|"scale"| s2
      s2 -->|"boxes"| s3
      s0 -->|"size"| s3
      s2 -->|"boxes"| out0
      s2 -->|"scores"| out1
      s0 -->|"size"| out2
    "#);
    insta::assert_snapshot!(super::super::graph::dot(&plan).lines().take(5).collect::<Vec<_>>().join("\n"), @r#"
    digraph "p" {
      rankdir=LR;
      in0 [shape=oval, label="photo: BYTES [1]"];
      s0 [shape=box, label="decode\nplugin image@^1"];
      s1 [shape=box, label="faces\nmodel centerface@^1"];
    "#);
}

//! Pipelines of fake models: order, sharing of work, skipping, failing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use crate::backend::fake::{FakeFailure, FakeModel, Operation};
use crate::backend::{Model, ModelOptions};
use crate::infer::{Deadline, InferRequest, Parameter, StepOutcome};
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::{PipelineSpec, StepSpec};
use crate::pipeline::{Crew, Pipeline, PipelineOptions, Runner};
use crate::tensor::{Datatype, Tensor, TensorSpec};

type Models = BTreeMap<&'static str, Arc<dyn Model>>;

/// A model `x [-1] -> y [-1]` of fp32.
fn model(operation: Operation) -> Arc<dyn Model> {
    let spec = |name| TensorSpec::new(name, Datatype::Fp32, &[-1]);
    let model = FakeModel::new(vec![spec("x")], vec![spec("y")], operation);
    model.loaded("fake@1.0.0", &ModelOptions { instances: 8, ..ModelOptions::single() }).unwrap().into()
}

fn custom(
    run: impl Fn(&[(&str, &Tensor)], &Deadline) -> Result<Vec<Tensor>, FakeFailure> + Send + Sync + 'static,
) -> Arc<dyn Model> {
    model(Operation::Custom(Arc::new(run)))
}

fn add(number: f32) -> Arc<dyn Model> {
    custom(move |inputs, _| {
        let values: Vec<f32> = inputs[0].1.as_slice::<f32>().unwrap().iter().map(|value| value + number).collect();
        Ok(vec![Tensor::from_slice(&[values.len() as u64], &values).unwrap()])
    })
}

fn pipeline(yaml: &str, models: &Models) -> Arc<Pipeline> {
    let text = format!("{{schema: pipeline/v1, name: p, version: 1.0.0, {yaml}}}");
    let spec = PipelineSpec::parse("p.yaml", &text).unwrap();
    let of = |step: &StepSpec| Arc::clone(&models[step.reference().name.as_str()]);
    let plan = Plan::compile(&spec, &|step: &StepSpec| Ok(of(step).signature().clone())).unwrap();
    let runners = plan.steps.iter().map(|step| Runner::Model(of(&spec.steps[step.index]))).collect();
    let options = PipelineOptions { bundle: Some("sha256:00".to_owned()), may_trace: true };
    Pipeline::new(plan, runners, Arc::new(Crew::start(3).unwrap()), options)
}

fn request(values: &[f32]) -> InferRequest {
    let tensor = Tensor::from_slice(&[values.len() as u64], values).unwrap();
    InferRequest::new(vec![("a".to_owned(), tensor)])
}

const INPUT: &str = "inputs: {a: {datatype: FP32, shape: [-1]}}";
const DIAMOND: &str = "outputs: [d], steps: [
    {name: left, model: one, inputs: {x: a}, outputs: {y: b}},
    {name: right, model: two, inputs: {x: a}, outputs: {y: c}},
    {name: join, model: join, inputs: {x: b, z: c}, outputs: {y: d}}]";

fn join() -> Arc<dyn Model> {
    let spec = |name| TensorSpec::new(name, Datatype::Fp32, &[-1]);
    let sum = |inputs: &[(&str, &Tensor)], _: &Deadline| {
        let columns: Vec<&[f32]> = inputs.iter().map(|(_, tensor)| tensor.as_slice().unwrap()).collect();
        let values: Vec<f32> =
            columns[0].iter().zip(columns[1]).map(|(first, second)| first * 100.0 + second).collect();
        Ok(vec![Tensor::from_slice(&[values.len() as u64], &values).unwrap()])
    };
    let model = FakeModel::new(vec![spec("x"), spec("z")], vec![spec("y")], Operation::Custom(Arc::new(sum)));
    model.loaded("join@1.0.0", &ModelOptions { instances: 8, ..ModelOptions::single() }).unwrap().into()
}

#[test]
fn steps_that_follow_each_other_run_in_order() {
    let models = Models::from([("one", add(1.0)), ("two", add(2.0))]);
    let steps = "outputs: [c, b], steps: [
        {name: second, model: two, inputs: {x: b}, outputs: {y: c}},
        {name: first, model: one, inputs: {x: a}, outputs: {y: b}}]";
    let pipeline = pipeline(&format!("{INPUT}, {steps}"), &models);
    assert!(pipeline.plan().is_chain);
    let (answer, trace) = pipeline.infer(request(&[1.0]));
    let answer = answer.unwrap();
    let values: Vec<_> =
        answer.outputs.iter().map(|(name, tensor)| (name.as_str(), tensor.as_slice::<f32>().unwrap()[0])).collect();
    assert_eq!(values, [("c", 4.0), ("b", 2.0)]);
    assert_eq!(answer.parameters["inferwit_bundle"], Parameter::String("sha256:00".to_owned()));
    assert_eq!(trace.steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn independent_steps_run_at_the_same_time() {
    // Each waits for the other, so that running them one after the other would never end.
    let barrier = Arc::new(Barrier::new(2));
    let meet = |number: f32| {
        let barrier = Arc::clone(&barrier);
        custom(move |inputs, _| {
            barrier.wait();
            let values: Vec<f32> = inputs[0].1.as_slice::<f32>().unwrap().iter().map(|value| value + number).collect();
            Ok(vec![Tensor::from_slice(&[values.len() as u64], &values).unwrap()])
        })
    };
    let models = Models::from([("one", meet(1.0)), ("two", meet(2.0)), ("join", join())]);
    let pipeline = pipeline(&format!("{INPUT}, {DIAMOND}"), &models);
    for _ in 0..100 {
        let answer = pipeline.infer(request(&[1.0])).0.unwrap();
        assert_eq!(answer.outputs[0].1.as_slice::<f32>().unwrap(), [203.0]);
    }
}

#[test]
fn many_requests_at_once_do_not_wait_for_a_busy_crew() {
    let models = Models::from([("one", add(1.0)), ("two", add(2.0)), ("join", join())]);
    let pipeline = pipeline(&format!("{INPUT}, {DIAMOND}"), &models);
    std::thread::scope(|scope| {
        for thread in 0..8_u16 {
            let pipeline = &pipeline;
            scope.spawn(move || {
                for _ in 0..200 {
                    let answer = pipeline.infer(request(&[f32::from(thread)])).0.unwrap();
                    let expected = (f32::from(thread) + 1.0) * 100.0 + f32::from(thread) + 2.0;
                    assert_eq!(answer.outputs[0].1.as_slice::<f32>().unwrap(), [expected]);
                }
            });
        }
    });
}

#[test]
fn a_step_that_fails_ends_the_request_and_stops_the_others() {
    let fails = custom(|_, _| Err(FakeFailure::Failed("no".to_owned())));
    // Runs until it is cancelled: a request without a deadline ends only if the failure stops this one.
    let waits = custom(|_, deadline| {
        while !deadline.is_cancelled() {
            std::thread::yield_now();
        }
        Err(FakeFailure::OutOfTime)
    });
    let models = Models::from([("one", fails), ("two", waits), ("join", join())]);
    let pipeline = pipeline(&format!("{INPUT}, {DIAMOND}"), &models);
    let (answer, trace) = pipeline.infer(request(&[1e12]));
    assert_eq!(answer.unwrap_err().code(), crate::infer::ErrorCode::BackendFailed);
    assert!(trace.steps.iter().any(|step| step.step == "left" && step.outcome == StepOutcome::Failed));
    assert!(trace.steps.iter().all(|step| step.step != "join"));
}

#[test]
fn a_panic_in_a_step_fails_the_request_alone() {
    let calls = AtomicUsize::new(0);
    let panics = custom(move |inputs, _| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "the first call panics");
        Ok(vec![inputs[0].1.clone()])
    });
    let models = Models::from([("one", panics), ("two", add(2.0)), ("join", join())]);
    let pipeline = pipeline(&format!("{INPUT}, {DIAMOND}"), &models);
    assert_eq!(pipeline.infer(request(&[1.0])).0.unwrap_err().code(), crate::infer::ErrorCode::Internal);
    assert_eq!(pipeline.infer(request(&[1.0])).0.unwrap().outputs[0].1.as_slice::<f32>().unwrap(), [103.0]);
}

#[test]
fn a_skipped_step_gives_its_defaults() {
    let models = Models::from([("one", add(1.0))]);
    let yaml = "parameters: {on: {type: bool, default: false}}, outputs: [b], steps: [
        {name: maybe, model: one, inputs: {x: a}, outputs: {y: b}, when: {parameter: on, equals: true},
         defaults: {b: {datatype: FP32, shape: [2]}}}]";
    let pipeline = pipeline(&format!("{INPUT}, {yaml}"), &models);
    let (answer, trace) = pipeline.infer(request(&[5.0]));
    assert_eq!(answer.unwrap().outputs[0].1.as_slice::<f32>().unwrap(), [0.0, 0.0]);
    assert_eq!(trace.steps[0].outcome, StepOutcome::Skipped);
    let mut asked = request(&[5.0]);
    asked.parameters.insert("on".to_owned(), Parameter::Bool(true));
    assert_eq!(pipeline.infer(asked).0.unwrap().outputs[0].1.as_slice::<f32>().unwrap(), [6.0]);
}

#[test]
fn only_the_wanted_outputs_are_given_in_their_order() {
    let models = Models::from([("one", add(1.0)), ("two", add(2.0)), ("join", join())]);
    let outputs = DIAMOND.replace("outputs: [d],", "outputs: [b, c, d],");
    let pipeline = pipeline(&format!("{INPUT}, {outputs}"), &models);
    let mut asked = request(&[1.0]);
    asked.wanted = vec!["d".to_owned(), "b".to_owned()];
    let answer = pipeline.infer(asked).0.unwrap();
    assert_eq!(answer.outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["d", "b"]);
}

#[test]
fn a_trace_is_given_to_those_who_ask() {
    let models = Models::from([("one", add(1.0))]);
    let yaml = "outputs: [b], steps: [{name: only, model: one, inputs: {x: a}, outputs: {y: b}}]";
    let pipeline = pipeline(&format!("{INPUT}, {yaml}"), &models);
    assert!(!pipeline.infer(request(&[1.0])).0.unwrap().parameters.contains_key("inferwit_trace"));
    let mut asked = request(&[1.0]);
    asked.parameters.insert("trace".to_owned(), Parameter::Bool(true));
    let answer = pipeline.infer(asked).0.unwrap();
    let Parameter::String(trace) = &answer.parameters["inferwit_trace"] else { panic!("a text") };
    let trace: serde_json::Value = serde_json::from_str(trace).unwrap();
    assert_eq!(trace[0]["step"], "only");
}

//! What every backend must do, as tests: each backend runs all of them with models of its own that do the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::{Backend, BackendError, Model, ModelOptions, ModelSource, TensorOverride};
use crate::infer::Deadline;
use crate::tensor::{Datatype, Tensor, TensorSpec};

/// A backend and where its models are: `add`, `count` and a broken one, with this ending.
pub(super) struct Subject {
    pub(super) backend: Box<dyn Backend>,
    pub(super) ending: &'static str,
}

impl Subject {
    fn source(&self, name: &str) -> ModelSource {
        ModelSource {
            label: format!("{name}@1.0.0"),
            path: fixture(&format!("{name}.{}", self.ending)),
            options: ModelOptions::single(),
        }
    }

    fn load(&self, name: &str) -> Box<dyn Model> {
        self.backend.load(&self.source(name)).unwrap()
    }
}

/// A file of the test models.
pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name)
}

pub(super) fn floats(shape: &[u64], elements: &[f32]) -> Tensor {
    Tensor::from_slice(shape, elements).unwrap()
}

fn trips(count: i64) -> Tensor {
    Tensor::from_slice(&[1], &[count]).unwrap()
}

fn never() -> Deadline {
    Deadline::never()
}

/// Makes a test of each rule for the backend that the expression gives.
macro_rules! contract_tests {
    ($subject:expr) => {
        $crate::backend::contract::contract_tests!(@each $subject;
            signature_and_metadata_are_those_of_the_file, outputs_come_in_the_order_of_the_model_or_of_the_caller,
            inputs_that_do_not_fit_are_refused_by_name, outputs_that_do_not_exist_are_refused_by_name,
            an_input_without_elements_runs, overrides_replace_declarations_and_must_name_a_tensor,
            a_request_that_is_late_is_not_run, a_run_ends_with_its_deadline_and_the_model_serves_on,
            a_cancelled_run_ends, nobody_waits_for_an_instance_beyond_the_deadline, many_threads_get_their_own_answers,
            outputs_outlive_their_model, a_bad_file_is_an_error_that_names_it);
    };
    (@each $subject:expr; $($rule:ident),*) => {
        $(#[test] fn $rule() { $crate::backend::contract::$rule(&$subject); })*
    };
}
pub(super) use contract_tests;

pub(super) fn signature_and_metadata_are_those_of_the_file(subject: &Subject) {
    assert!(!subject.backend.describe().is_empty());
    let model = subject.load("add");
    let spec = |name| TensorSpec::new(name, Datatype::Fp32, &[-1, 2]);
    assert_eq!(model.signature().inputs, [spec("a")]);
    assert_eq!(model.signature().outputs, [spec("one"), spec("two")]);
    assert_eq!(model.metadata().get("labels").map(String::as_str), Some("cat,dog"));
}

pub(super) fn outputs_come_in_the_order_of_the_model_or_of_the_caller(subject: &Subject) {
    let model = subject.load("add");
    let input = floats(&[2, 2], &[0.0, 1.0, 2.0, 3.0]);
    let one = ("one".to_owned(), floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let two = ("two".to_owned(), floats(&[2, 2], &[2.0, 3.0, 4.0, 5.0]));
    let run = |wanted: &[&str]| model.run(&[("a", &input)], wanted, &never()).unwrap().outputs;
    assert_eq!(run(&[]), [one.clone(), two.clone()]);
    assert_eq!(run(&["two", "one"]), [two.clone(), one]);
    assert_eq!(run(&["two"]), [two]);
}

fn refusal(model: &dyn Model, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> String {
    match model.run(inputs, wanted, &never()).unwrap_err() {
        error @ BackendError::InvalidInput { .. } => error.to_string(),
        other => panic!("{other}"),
    }
}

pub(super) fn inputs_that_do_not_fit_are_refused_by_name(subject: &Subject) {
    let model = subject.load("add");
    let good = floats(&[1, 2], &[0.0; 2]);
    let cases: [(&[(&str, &Tensor)], &str); 6] = [
        (&[("a", &good), ("b", &good)], "no input `b`"),
        (&[], "`a` is missing"),
        (&[("a", &good), ("a", &good)], "`a` is given twice"),
        (&[("a", &Tensor::zeros(Datatype::Fp64, &[1, 2]).unwrap())], "`a` is FP64"),
        (&[("a", &floats(&[2], &[0.0; 2]))], "`a` has shape [2]"),
        (&[("a", &floats(&[1, 3], &[0.0; 3]))], "`a` has shape [1, 3]"),
    ];
    for (inputs, expected) in cases {
        let error = refusal(&*model, inputs, &[]);
        assert!(error.contains(expected) && error.contains("add@1.0.0"), "{error} should contain {expected}");
    }
}

pub(super) fn outputs_that_do_not_exist_are_refused_by_name(subject: &Subject) {
    let model = subject.load("add");
    let input = floats(&[1, 2], &[0.0; 2]);
    assert!(refusal(&*model, &[("a", &input)], &["three"]).contains("no output `three`"));
    assert!(refusal(&*model, &[("a", &input)], &["one", "one"]).contains("`one` is asked for twice"));
}

pub(super) fn an_input_without_elements_runs(subject: &Subject) {
    let input = floats(&[0, 2], &[]);
    let run = subject.load("add").run(&[("a", &input)], &["one"], &never()).unwrap();
    assert_eq!(run.outputs, [("one".to_owned(), input)]);
}

pub(super) fn overrides_replace_declarations_and_must_name_a_tensor(subject: &Subject) {
    let mut source = subject.source("add");
    let multiples = TensorOverride { multiple_of: vec![2, 1], ..TensorOverride::default() };
    source.options.inputs = BTreeMap::from([("a".to_owned(), multiples.clone())]);
    source
        .options
        .outputs
        .insert("one".to_owned(), TensorOverride { shape: Some(vec![-1, -1]), ..TensorOverride::default() });
    let model = subject.backend.load(&source).unwrap();
    assert_eq!(model.signature().outputs[0].shape, Some(vec![-1, -1]));
    let error = refusal(&*model, &[("a", &floats(&[3, 2], &[0.0; 6]))], &[]);
    assert!(error.contains("`a`") && error.contains("multiple of 2"), "{error}");
    source.options.inputs = BTreeMap::from([("nobody".to_owned(), multiples)]);
    let error = subject.backend.load(&source).err().unwrap().to_string();
    assert!(error.contains("`nobody`"), "{error}");
}

fn is_late(model: &dyn Model, count: i64, deadline: &Deadline) -> bool {
    let result = model.run(&[("trips", &trips(count))], &[], deadline);
    matches!(result, Err(BackendError::DeadlineExceeded { .. }))
}

pub(super) fn a_request_that_is_late_is_not_run(subject: &Subject) {
    let model = subject.load("count");
    assert!(is_late(&*model, 1, &Deadline::after(Duration::ZERO)));
    let cancelled = Deadline::never();
    cancelled.cancel();
    assert!(is_late(&*model, 1, &cancelled));
}

pub(super) fn a_run_ends_with_its_deadline_and_the_model_serves_on(subject: &Subject) {
    let model = subject.load("count");
    for wanted in [&[] as &[&str], &["count"]] {
        let soon = Deadline::after(Duration::from_millis(20));
        let result = model.run(&[("trips", &trips(i64::MAX))], wanted, &soon);
        assert!(matches!(result, Err(BackendError::DeadlineExceeded { .. })), "{result:?}");
        let run = model.run(&[("trips", &trips(3))], wanted, &never()).unwrap();
        assert_eq!(run.outputs, [("count".to_owned(), trips(3))]);
    }
}

pub(super) fn a_cancelled_run_ends(subject: &Subject) {
    let model = subject.load("count");
    let deadline = Deadline::never();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| is_late(&*model, i64::MAX, &deadline));
        deadline.cancel();
        assert!(run.join().unwrap());
    });
}

pub(super) fn nobody_waits_for_an_instance_beyond_the_deadline(subject: &Subject) {
    let model = subject.load("count");
    let endless = Deadline::never();
    std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| is_late(&*model, i64::MAX, &endless)));
        // One of the two runs, the other waits: a third can only wait.
        assert!(is_late(&*model, i64::MAX, &Deadline::after(Duration::from_millis(5))));
        endless.cancel();
        assert!(runs.into_iter().all(|run| run.join().unwrap()));
    });
}

pub(super) fn many_threads_get_their_own_answers(subject: &Subject) {
    let mut source = subject.source("add");
    source.options.instances = 2;
    let model = subject.backend.load(&source).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let model = &model;
            scope.spawn(move || {
                for round in 0..50_u8 {
                    let value = f32::from(thread) * 100.0 + f32::from(round);
                    let input = floats(&[1, 2], &[value, -value]);
                    let run = model.run(&[("a", &input)], &["one"], &never()).unwrap();
                    assert_eq!(run.outputs[0].1, floats(&[1, 2], &[value + 1.0, 1.0 - value]));
                }
            });
        }
    });
}

pub(super) fn outputs_outlive_their_model(subject: &Subject) {
    let rows = 4096;
    let model = subject.load("add");
    let input = floats(&[rows, 2], &vec![1.0; 2 * rows as usize]);
    let first = model.run(&[("a", &input)], &[], &never()).unwrap().outputs;
    let second = model.run(&[("a", &first[0].1)], &["one"], &never()).unwrap().outputs;
    drop((model, input));
    let all = |tensor: &Tensor, expected: f32| tensor.as_slice::<f32>().unwrap().iter().all(|&got| got == expected);
    assert!(all(&first[0].1, 2.0) && all(&first[1].1, 3.0) && all(&second[0].1, 3.0));
}

pub(super) fn a_bad_file_is_an_error_that_names_it(subject: &Subject) {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(fixture(&format!("add.{}", subject.ending))).unwrap();
    let mut source = subject.source("add");
    source.path = folder.path().join("model");
    let check = |bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            std::fs::write(&source.path, bytes).unwrap();
        }
        match subject.backend.load(&source).err() {
            Some(error @ BackendError::Load { .. }) => assert!(error.to_string().contains("model"), "{error}"),
            other => panic!("{other:?}"),
        }
    };
    check(None);
    check(Some(b""));
    check(Some(b"not a model"));
    check(Some(&[0xff; 4096]));
    check(Some(&good[..good.len() / 2]));
}

mod fake {
    use super::Subject;
    use crate::backend::fake::FakeBackend;

    super::contract_tests!(Subject { backend: Box::new(FakeBackend::new()), ending: "fake.yaml" });
}

mod onnxruntime {
    use super::Subject;
    use crate::backend::onnxruntime::tests::backend;

    super::contract_tests!(Subject { backend: Box::new(backend()), ending: "onnx" });
}

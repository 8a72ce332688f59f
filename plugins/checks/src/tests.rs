//! Each kind of check, on tensors that are as expected and on such that are not.

use super::*;
use inferwit_plugin::Datatype;

fn run(expect: &str, tensor: Tensor) -> Result<Vec<Finding>, Failure> {
    let config = format!(r#"{{"checks": [{{"tensor": "t", "expect": {expect}}}]}}"#);
    let size = Tensor::from_vec(vec![100_u32, 50]).unwrap();
    Checks::open_json(&config).unwrap().check(Inputs::new().with("t", tensor).with("size", size), &Request::default())
}

/// `expected` is the first offending index and the number of them.
fn check(expect: &str, tensor: Tensor, expected: Option<(Option<u64>, u64)>) {
    let findings = run(expect, tensor).unwrap();
    let data = expected.map(|(index, count)| serde_json::json!({ "index": index, "count": count }).to_string());
    assert_eq!(findings.first().and_then(|finding| finding.data.clone()), data, "{expect}: {findings:?}");
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_slice(&[values.len() as u64], values).unwrap()
}

#[test]
fn elements_must_be_finite() {
    let finite = r#"{"finite": {}}"#;
    check(finite, floats(&[1.0, 2.0]), None);
    check(finite, floats(&[1.0, f32::NAN, f32::INFINITY]), Some((Some(1), 2)));
    check(finite, Tensor::from_vec(vec![1_u8]).unwrap(), None);
    check(finite, floats(&[]), None);
}

#[test]
fn elements_must_lie_in_the_range() {
    let range = r#"{"range": {"min": 0, "max": 1}}"#;
    check(range, floats(&[0.0, 1.0]), None);
    check(range, floats(&[0.5, 1.5, -0.5]), Some((Some(1), 2)));
    check(range, floats(&[0.5, f32::NAN]), Some((Some(1), 1)));
    check(range, Tensor::from_vec(vec![0_i64, 1, 2]).unwrap(), Some((Some(2), 1)));
    check(r#"{"range": {"min": 0}}"#, floats(&[f32::INFINITY]), None);
    check(range, floats(&[]), None);
}

#[test]
fn an_offence_is_found_beyond_the_first_window() {
    let mut values = vec![0.0; 200_000];
    values[150_000] = 9.0;
    check(r#"{"range": {"max": 1}}"#, floats(&values), Some((Some(150_000), 1)));
}

#[test]
fn the_shape_must_fit() {
    let tensor = || Tensor::zeros(Datatype::Fp32, &[3, 4]).unwrap();
    check(r#"{"shape": [-1, 4]}"#, tensor(), None);
    check(r#"{"shape": [3, 5]}"#, tensor(), Some((None, 1)));
    check(r#"{"shape": [-1]}"#, tensor(), Some((None, 1)));
}

#[test]
fn rows_are_counted() {
    let tensor = || Tensor::zeros(Datatype::Fp32, &[3, 4]).unwrap();
    check(r#"{"count": {"min": 1, "max": 3}}"#, tensor(), None);
    check(r#"{"count": {"max": 2}}"#, tensor(), Some((None, 3)));
    check(r#"{"count": {"min": 4}}"#, tensor(), Some((None, 3)));
}

#[test]
fn boxes_must_lie_inside_the_picture() {
    let boxes = |values: &[f32]| Tensor::from_slice(&[values.len() as u64 / 4, 4], values).unwrap();
    let inside = r#"{"inside": {"size": "size", "tolerance": 0.5}}"#;
    check(inside, boxes(&[0.0, 0.0, 100.0, 50.0, -0.5, 0.0, 9.0, 9.0]), None);
    check(inside, boxes(&[0.0, 0.0, 100.0, 50.0, 0.0, 0.0, 9.0, 51.0]), Some((Some(1), 1)));
    check(inside, boxes(&[9.0, 0.0, 1.0, 5.0]), Some((Some(0), 1)));
    check(inside, boxes(&[f32::NAN, 0.0, 1.0, 5.0]), Some((Some(0), 1)));
    check(inside, boxes(&[]), None);
    check(inside, floats(&[1.0, 2.0, 3.0, 4.0]), Some((None, 1)));
}

#[test]
fn what_is_no_number_can_not_be_checked_as_one() {
    let tensor = Tensor::from_byte_strings(&[1], &["a"]).unwrap();
    assert!(run(r#"{"range": {"max": 1}}"#, tensor).is_err());
}

#[test]
fn a_finding_says_what_was_configured() {
    let config =
        r#"{"checks": [{"tensor": "t", "expect": {"range": {"max": 1}}, "severity": "warning", "code": "hot"}]}"#;
    let inputs = Inputs::new().with("t", floats(&[2.0]));
    let findings = Checks::open_json(config).unwrap().check(inputs, &Request::default()).unwrap();
    assert_eq!((findings[0].severity, findings[0].code.as_str()), (Severity::Warning, "hot"));
    assert_eq!(findings[0].subject.as_deref(), Some("t"));
    assert_eq!(findings[0].message, "`t` has 1 elements outside of -inf to 1");
}

#[test]
fn every_tensor_is_asked_for_once() {
    let config = r#"{"checks": [
        {"tensor": "boxes", "expect": {"finite": {}}},
        {"tensor": "boxes", "expect": {"inside": {"size": "size"}}}
    ]}"#;
    let names: Vec<_> = Checks::open_json(config).unwrap().inputs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["boxes", "size"]);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let check = |expect: &str, path: &str| {
        let config = format!(r#"{{"checks": [{{"tensor": "t", "expect": {expect}}}]}}"#);
        let diagnostics = Checks::open_json(&config).unwrap_err();
        assert_eq!(diagnostics[0].path.as_deref(), Some(path), "{config}: {diagnostics:?}");
    };
    check(r#"{"range": {}}"#, "/checks/0/expect/range");
    check(r#"{"range": {"min": 2, "max": 1}}"#, "/checks/0/expect/range");
    check(r#"{"inside": {"size": "s", "tolerance": -1}}"#, "/checks/0/expect/inside");
    check(r#"{"shape": [-2]}"#, "/checks/0/expect/shape");
    check(r#"{"colour": 1}"#, "/checks/0/expect");
    assert_eq!(Checks::open_json(r#"{"checks": []}"#).unwrap_err()[0].path.as_deref(), Some("/checks"));
    assert_eq!(Checks::open_json("{}").unwrap_err()[0].code, "missing-key");
}

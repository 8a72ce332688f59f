//! Tests of tests: what is sent, and what counts as expected.

use serde_json::json;

use super::*;

fn golden(value: Value) -> GoldenTest {
    serde_json::from_value(value).unwrap()
}

fn inputs() -> Vec<TensorSpec> {
    vec![
        TensorSpec::new("photo", Datatype::Bytes, &[1]),
        TensorSpec::new("x", Datatype::Fp32, &[-1, 2]),
        TensorSpec { datatype: None, ..TensorSpec::new("any", Datatype::Fp32, &[-1]) },
    ]
}

fn sent(input: Value) -> Result<Tensor, String> {
    let test = golden(json!({"name": "t", "inputs": input}));
    let read = |file: TestFile<'_>| match file {
        TestFile::Beside("a.bin") => Ok(Bytes::from_static(&[0, 0, 128, 63, 0, 0, 0, 64])),
        TestFile::Fixture("a.png") => Ok(Bytes::from_static(b"png")),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    test.tensors(&inputs(), read).map(|mut tensors| tensors.remove(0).1).map_err(|error| error.to_string())
}

#[test]
fn tensors_come_from_files_values_and_zeros() {
    assert_eq!(
        sent(json!({"photo": {"file": "${fixtures}/a.png"}})),
        Ok(Tensor::from_elements(&[1], &["png"]).unwrap())
    );
    assert_eq!(sent(json!({"x": {"file": "a.bin"}})), Ok(Tensor::from_slice(&[1, 2], &[1.0_f32, 2.0]).unwrap()));
    assert_eq!(
        sent(json!({"x": [[1, 2], [3, 4.5]]})),
        Ok(Tensor::from_slice(&[2, 2], &[1.0_f32, 2.0, 3.0, 4.5]).unwrap())
    );
    assert_eq!(
        sent(json!({"x": {"data": [1, 2], "shape": [1, 2]}})),
        Ok(Tensor::from_slice(&[1, 2], &[1.0_f32, 2.0]).unwrap())
    );
    assert_eq!(
        sent(json!({"any": {"data": [1, 2], "datatype": "INT64"}})),
        Ok(Tensor::from_slice(&[2], &[1_i64, 2]).unwrap())
    );
    assert_eq!(sent(json!({"x": {"zeros": [3, 2]}})), Ok(Tensor::zeros(Datatype::Fp32, &[3, 2]).unwrap()));
    assert_eq!(sent(json!({"photo": "text"})), Ok(Tensor::from_elements(&[], &["text"]).unwrap()));
    // A test may send what the pipeline must refuse.
    assert_eq!(
        sent(json!({"photo": {"data": [1], "datatype": "UINT8"}})),
        Ok(Tensor::from_slice(&[1], &[1_u8]).unwrap())
    );
}

#[test]
fn what_cannot_be_sent_says_why() {
    let refused = [
        sent(json!({"foto": [1]})),
        sent(json!({"any": [1]})),
        sent(json!({"x": {"data": [1], "zeros": [1]}})),
        sent(json!({"photo": {"file": "/etc/passwd"}})),
        sent(json!({"photo": {"file": "../a.png"}})),
        sent(json!({"photo": {"file": "${home}/a.png"}})),
        sent(json!({"photo": {"file": "b.png"}})),
        sent(json!({"x": [[1, 2], [3]]})),
    ];
    insta::assert_snapshot!(refused.map(Result::unwrap_err).join("\n"), @r#"
    the pipeline has no input `foto`
    the datatype of input `any` is not known; write `datatype:`
    input `x` takes exactly one of `file`, `data` and `zeros`
    file `/etc/passwd` is outside: name it relative to the pipeline's file, or as ${fixtures}/NAME
    file `../a.png` is outside: name it relative to the pipeline's file, or as ${fixtures}/NAME
    file `${home}/a.png` is outside: name it relative to the pipeline's file, or as ${fixtures}/NAME
    read `b.png`
    input `x` of the test
    "#);
}

/// What differs when `y` comes out.
fn differs(expect: Value, got: Tensor) -> String {
    let test = golden(json!({"name": "t", "expect": {"y": expect}}));
    let outputs = [("y".to_owned(), got)];
    match test.check(&Outcome { answer: Ok(&outputs), findings: &[] }) {
        Ok(()) => "good".to_owned(),
        Err(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn outputs_are_equal_near_or_of_a_shape() {
    let floats = || Tensor::from_slice(&[2, 2], &[0.1_f32, 2.0, f32::NAN, -3.0]).unwrap();
    for good in [
        json!([0.1, 2, "NaN", -3]),
        json!([[0.1, 2], ["NaN", -3]]),
        json!({"near": [0.105, 2, "NaN", -3.004], "tol": 0.01}),
        json!({"shape": [-1, 2], "datatype": "FP32"}),
    ] {
        assert_eq!(differs(good.clone(), floats()), "good", "{good}");
    }
    let texts = || Tensor::from_elements(&[2], &["accept", "b\n"]).unwrap();
    assert_eq!(differs(json!(["accept", "b\n"]), texts()), "good");
    assert_eq!(differs(json!(7), Tensor::from_slice(&[1], &[7_u64]).unwrap()), "good");
    assert_eq!(differs(json!([]), Tensor::zeros(Datatype::Fp32, &[0, 4]).unwrap()), "good");
    let found = [
        differs(json!([0.1, 2, "NaN", -4]), floats()),
        differs(json!([1, 2]), floats()),
        differs(json!([[0.1, 2, "NaN", -3]]), floats()),
        differs(json!({"near": [9, 2, 3, -3]}), floats()),
        differs(json!({"shape": [4], "datatype": "FP64"}), floats()),
        differs(json!(["reject", "b"]), texts()),
        differs(json!([1, 2]), texts()),
        differs(json!({"near": [1, 2]}), texts()),
        differs(json!([300]), Tensor::from_slice(&[1], &[44_u8]).unwrap()),
        differs(json!({"values": vec![1; 9]}), Tensor::zeros(Datatype::Int8, &[9]).unwrap()),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    y: expected [3] -4, got [3] -3
    y: expected 2 elements, got 4 elements of shape [2, 2]
    y: expected shape [1, 4], got 4 elements of shape [2, 2]
    y: expected [0] 9 ± 0.000001, [2] 3 ± 0.000001, got [0] 0.1, [2] NaN
    y: expected FP64, got FP32
    y: expected shape [4], got shape [2, 2]
    y: expected [0] "reject", [1] "b", got [0] "accept", [1] "b\n"
    y: expected 1 is no BYTES, got BYTES[2]
    y: expected numbers, got BYTES[2]
    y: expected 300 is no UINT8, got UINT8[1]
    y: expected [0] 1, [1] 1, [2] 1, [3] 1, [4] 1 and 4 more, got [0] 0, [1] 0, [2] 0, [3] 0, [4] 0 and 4 more
    "#);
}

#[test]
fn errors_and_findings_are_expected_too() {
    let check = |test: Value, answer: Result<&[(String, Tensor)], Failure<'_>>, findings: &[&str]| match golden(test)
        .check(&Outcome { answer, findings })
    {
        Ok(()) => "good".to_owned(),
        Err(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let blocked = || Err(Failure { code: ErrorCode::Rejected, message: "2 findings" });
    let good = json!({"name": "t", "error": "rejected", "findings": ["b", "a"]});
    assert_eq!(check(good.clone(), blocked(), &["a", "b"]), "good");
    assert_eq!(check(json!({"name": "t"}), Ok(&[]), &["a"]), "good");
    let found = [
        check(good.clone(), Ok(&[]), &["a"]),
        check(json!({"name": "t", "error": "deadline"}), blocked(), &[]),
        check(json!({"name": "t", "expect": {"y": [1]}}), blocked(), &[]),
        check(json!({"name": "t", "expect": {"y": [1]}}), Ok(&[]), &[]),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    error: expected rejected, got an answer
    findings: expected [a, b], got [a]
    error: expected deadline, got rejected (2 findings)
    error: expected an answer, got rejected (2 findings)
    y: expected an output, got none of this name
    "#);
}

#[test]
fn parameters_of_a_test_take_their_declared_type() {
    let declared = BTreeMap::from([(
        "score".to_owned(),
        serde_json::from_value::<ParameterSpec>(json!({"type": "double", "default": 0.5})).unwrap(),
    )]);
    let test = golden(json!({"name": "t", "parameters": {"score": 1, "trace": true, "wrong": "x"}}));
    let parameters = test.request_parameters(&declared);
    assert_eq!(parameters["score"], Parameter::Double(1.0));
    assert_eq!(parameters["trace"], Parameter::Bool(true));
    assert_eq!(parameters["wrong"], Parameter::String("x".to_owned()));
}

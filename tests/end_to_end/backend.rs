//! A backend that cannot be had says where it was looked for and what to do.

use inferwit::app::AppError;
use inferwit::backend::BackendError;

use crate::fixtures::{fixture, plugin};
use crate::lab::Lab;

#[test]
fn a_missing_library_is_named_with_its_place_and_a_remedy() {
    let lab = Lab::with(&[("inference.onnx.library", "/nowhere/libonnxruntime.so")]);
    let (text, hint) = unavailable(&lab);
    assert!(text.contains("`onnxruntime` is not available") && text.contains("/nowhere/libonnxruntime.so"), "{text}");
    assert!(hint.contains("cargo xtask setup"), "{hint}");

    lab.app.inspect_plugin(&plugin("echo-guest")).unwrap();
}

#[test]
fn without_a_configured_library_every_place_is_named() {
    let lab = Lab::with(&[("inference.onnx.library", "null")]);
    let (text, _) = unavailable(&lab);
    let place = lab.home().join("lib").display().to_string();
    assert!(text.contains(&place), "{place} is not in: {text}");
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let lab = Lab::with(&[("inference.onnx.library", &plugin("echo-guest").display().to_string())]);
    let (text, _) = unavailable(&lab);
    assert!(text.contains("echo-guest.wasm"), "{text}");
}

#[test]
fn providers_that_this_machine_lacks_are_an_error_where_the_cpu_is_not_listed() {
    let lab = Lab::with(&[("inference.onnx.providers", "[TensorrtExecutionProvider]")]);
    let (text, hint) = unavailable(&lab);
    assert!(text.contains("TensorrtExecutionProvider"), "{text}");
    assert!(hint.contains("CPUExecutionProvider"), "{hint}");
}

fn unavailable(lab: &Lab) -> (String, String) {
    let new = inferwit::app::NewModelFile { file: fixture("centerface.onnx"), ..Default::default() };
    match lab.app.add_model(&new).unwrap_err() {
        error @ AppError::Backend(BackendError::Unavailable { .. }) => (error.to_string(), error.hint().unwrap()),
        other => panic!("{other:?}"),
    }
}

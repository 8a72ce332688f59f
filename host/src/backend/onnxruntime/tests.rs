//! ONNX Runtime on models of our own: what the contract of all backends does not say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::*;
use crate::backend::contract::{fixture, floats};
use crate::backend::{ModelOptions, TensorOverride};
use crate::infer::Deadline;
use crate::tensor::{Datatype, Tensor};

/// The backend on the CPU, with the library that set-up put into the data folder.
pub(in crate::backend) fn backend() -> OnnxRuntime {
    OnnxRuntime::open(&options()).expect("the tests need ONNX Runtime: run `cargo xtask setup`")
}

fn options() -> OnnxRuntimeOptions {
    OnnxRuntimeOptions {
        search: LibrarySearch { data_dir: Some(data_dir()), ..LibrarySearch::default() },
        providers: Provider::ALL.to_vec(),
        tensorrt: TensorRtOptions::default(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests have no `env.rs` between them and the machine")]
fn data_dir() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("INFERWIT_DATA_DIR")
        .or_else(|| set("XDG_DATA_HOME").map(|folder| folder.join("inferwit")))
        .unwrap_or_else(|| set("HOME").unwrap_or_default().join(".local/share/inferwit"))
}

fn source(path: PathBuf) -> ModelSource {
    ModelSource { label: "test@1.0.0".to_owned(), path, options: ModelOptions::single() }
}

fn load(name: &str) -> Box<dyn Model> {
    backend().load(&source(fixture(name))).unwrap()
}

fn load_error(source: &ModelSource) -> String {
    backend().load(source).err().expect("it must not load").to_string()
}

fn run(model: &dyn Model, inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    model.run(inputs, &[], &Deadline::never()).unwrap().outputs
}

#[test]
fn the_library_and_its_providers_are_described() {
    let backend = backend();
    let text = backend.describe();
    assert!(text.contains("ONNX Runtime 1.") && text.contains("CPUExecutionProvider"), "{text}");
    assert_eq!(backend.providers().used.last(), Some(&Provider::Cpu));
    assert_eq!(backend.providers().used.len() + backend.providers().refused.len(), 3);
}

#[test]
fn a_list_without_a_usable_provider_is_an_error() {
    let Some(&(refused, _)) = backend().providers().refused.first() else { return };
    let error = OnnxRuntime::open(&OnnxRuntimeOptions { providers: vec![refused], ..options() }).err().unwrap();
    assert!(error.to_string().contains(refused.name()), "{error}");
}

#[test]
fn a_file_that_is_no_library_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libonnxruntime.so");
    std::fs::write(&file, b"not a library").unwrap();
    let search = LibrarySearch { configured: Some(file), ..LibrarySearch::default() };
    let error = OnnxRuntime::open(&OnnxRuntimeOptions { search, ..options() }).err().unwrap();
    assert!(error.to_string().contains("libonnxruntime.so"), "{error}");
}

#[test]
fn every_datatype_goes_in_and_comes_out() {
    let model = load("datatypes.onnx");
    for count in [0_u64, 3, 5000] {
        let bytes = |seed: u64| (0..count).map(move |index| (index * 7 + seed) as u8);
        let shape = [count];
        let tensor = |datatype: Datatype| match datatype {
            Datatype::Bool => Tensor::from_bytes(datatype, &shape, &bytes(0).map(|byte| byte & 1).collect::<Vec<_>>()),
            Datatype::Fp16 => Tensor::from_vec(&shape, bytes(1).map(|byte| f16::from_f32(byte.into())).collect()),
            Datatype::Bf16 => Tensor::from_vec(&shape, bytes(1).map(|byte| bf16::from_f32(byte.into())).collect()),
            Datatype::Fp32 => Tensor::from_vec(&shape, bytes(1).map(f32::from).collect()),
            Datatype::Fp64 => Tensor::from_vec(&shape, bytes(1).map(f64::from).collect()),
            _ => {
                let width = datatype.width().unwrap() as u64;
                let all: Vec<u8> = (0..count * width).map(|index| (index * 31) as u8).collect();
                Tensor::from_bytes(datatype, &shape, &all)
            }
        };
        let numeric = Datatype::ALL.into_iter().filter(|&datatype| datatype != Datatype::Bytes);
        let tensors: Vec<_> = numeric.map(|datatype| (datatype.name(), tensor(datatype).unwrap())).collect();
        let inputs: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let mut outputs: BTreeMap<String, Tensor> = run(&*model, &inputs).into_iter().collect();
        for (name, tensor) in &tensors {
            assert_eq!(outputs.remove(&format!("{name}_out")).as_ref(), Some(tensor), "{name}");
        }
    }
}

#[test]
fn strings_go_in_and_come_out() {
    let model = load("strings.onnx");
    for texts in [&["", "a", "größer", ""] as &[&str], &[]] {
        let tensor = Tensor::from_elements(&[texts.len() as u64], texts).unwrap();
        assert_eq!(run(&*model, &[("text", &tensor)])[0].1, tensor);
    }
    for (bytes, expected) in [(b"\xff".as_slice(), "UTF-8"), (b"a\0b", "zero byte")] {
        let tensor = Tensor::from_elements(&[2], &[b"fine".as_slice(), bytes]).unwrap();
        let error = model.run(&[("text", &tensor)], &[], &Deadline::never()).unwrap_err();
        assert!(matches!(error, BackendError::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains("`text`: element 1") && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn outputs_that_are_inputs_or_constants_outlive_both() {
    for name in ["passthrough.onnx", "direct.onnx"] {
        let model = load(name);
        let numbers: Vec<f32> = (0..2048_u16).map(f32::from).collect();
        let input = floats(&[2048], &numbers);
        let input_at = input.bytes().as_ptr_range();
        let outputs = run(&*model, &[("x", &input)]);
        assert!(outputs.iter().all(|(_, tensor)| !input_at.contains(&tensor.bytes().as_ptr())), "{name}");
        drop((model, input));
        let _other = floats(&[2048], &[-1.0; 2048]);
        assert!(outputs.iter().all(|(_, tensor)| tensor.as_slice::<f32>().unwrap() == numbers), "{name}");
    }
}

#[test]
fn a_large_output_is_not_copied_and_a_small_one_is() {
    let model = load("relu.onnx");
    let kept = run(&*model, &[("x", &floats(&[5000], &[1.0; 5000]))]).remove(0).1;
    let copied = run(&*model, &[("x", &floats(&[5], &[1.0; 5]))]).remove(0).1;
    assert!(!kept.is_writable_in_place() && copied.is_writable_in_place());
}

fn shape(shape: &[i64], multiple_of: &[u64]) -> TensorOverride {
    TensorOverride { shape: Some(shape.to_vec()), multiple_of: multiple_of.to_vec(), datatype: None }
}

#[test]
fn a_wrong_declaration_is_overridden() {
    let declared = load("wrong_shape.onnx");
    let input = Tensor::zeros(Datatype::Fp32, &[1, 3, 64, 96]).unwrap();
    assert!(declared.run(&[("input.1", &input)], &[], &Deadline::never()).is_err());

    let mut source = source(fixture("wrong_shape.onnx"));
    source.options.inputs.insert("input.1".to_owned(), shape(&[-1, 3, -1, -1], &[1, 1, 32, 32]));
    let model = backend().load(&source).unwrap();
    assert_eq!(model.signature().inputs.len(), 1, "a weight is not an input");
    assert_eq!(model.signature().inputs[0].shape, Some(vec![-1, 3, -1, -1]));
    assert_eq!(run(&*model, &[("input.1", &input)])[0].1.shape(), [1, 1, 16, 24]);
    let odd = Tensor::zeros(Datatype::Fp32, &[1, 3, 64, 95]).unwrap();
    let error = model.run(&[("input.1", &odd)], &[], &Deadline::never()).unwrap_err().to_string();
    assert!(error.contains("dimension 3 of tensor `input.1` is 95, must be a multiple of 32"), "{error}");
}

#[test]
fn an_override_that_cannot_be_is_refused_when_loading() {
    let mut source = source(fixture("relu.onnx"));
    for (wanted, expected) in [
        (shape(&[-2], &[]), "below -1"),
        (shape(&[-1], &[1, 2]), "2 multiples for input `x`"),
        (TensorOverride { datatype: Some(Datatype::Bytes), ..TensorOverride::default() }, "Relu"),
    ] {
        source.options.inputs.insert("x".to_owned(), wanted);
        let error = load_error(&source);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn weights_beside_the_model_are_found_and_others_are_refused() {
    let input = floats(&[2, 32], &[0.5; 64]);
    let inside = run(&*load("mlp.onnx"), &[("x", &input)]);
    assert_eq!(run(&*load("external.onnx"), &[("x", &input)]), inside);
    let error = load_error(&source(fixture("outside.onnx")));
    assert!(error.contains("../../../etc/passwd") && error.contains("outside of its folder"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("external.onnx");
    std::fs::copy(fixture("external.onnx"), &alone).unwrap();
    let error = load_error(&source(alone));
    assert!(error.contains("`external.weights`, which is not beside it"), "{error}");
}

#[test]
fn what_cannot_be_served_is_refused_with_a_remedy() {
    for name in ["sequence.onnx", "nested_sequence.onnx"] {
        let error = load_error(&source(fixture(name)));
        assert!(error.contains("a sequence") && error.contains("'zipmap': False"), "{error}");
    }
    let error = load_error(&source(fixture("float8.onnx")));
    assert!(error.contains("`x` has ONNX element type 17"), "{error}");
}

#[test]
fn metadata_of_the_file_and_of_its_makers_are_kept_apart() {
    let model = load("add.onnx");
    let expected = [
        ("labels", "cat,dog"),
        ("onnx.domain", "test.inferwit"),
        ("onnx.graph", "g"),
        ("onnx.model_version", "3"),
        ("onnx.opset", "17"),
        ("onnx.producer", "inferwit-fixtures"),
        ("onnx.producer_version", "1"),
        ("version", "custom"),
    ];
    let metadata: Vec<_> = model.metadata().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(metadata, expected);
}

fn cached(folder: &Path) -> ModelSource {
    let mut source = source(fixture("mlp.onnx"));
    source.options.optimized_cache = Some(folder.join("mlp.opt.onnx"));
    source.options.instances = 2;
    source
}

fn files(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_optimised_model_is_kept_and_used_and_a_broken_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, source) = (backend(), cached(folder.path()));
    let input = floats(&[3, 32], &[0.25; 96]);
    let expected = run(&*load("mlp.onnx"), &[("x", &input)]);
    let answers = || run(&*backend.load(&source).unwrap(), &[("x", &input)]);
    assert_eq!(answers(), expected);
    assert_eq!(files(folder.path()), ["mlp.opt.onnx"]);
    let cache = source.options.optimized_cache.as_deref().unwrap();
    let made = std::fs::read(cache).unwrap();
    assert_eq!(answers(), expected);
    let other = std::fs::read(fixture("relu.onnx")).unwrap();
    for broken in [&made[..made.len() / 2], b"", b"garbage", other.as_slice()] {
        std::fs::write(cache, broken).unwrap();
        assert_eq!(answers(), expected);
        assert_eq!(std::fs::read(cache).unwrap().len(), made.len());
    }
    assert_eq!(files(folder.path()), ["mlp.opt.onnx"]);
}

#[test]
fn a_model_loads_where_its_optimised_form_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let source = cached(&folder.path().join("nowhere"));
    assert!(backend().load(&source).is_ok());
}

#[test]
fn no_change_of_a_byte_takes_the_process_down() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, source) = (backend(), source(folder.path().join("model.onnx")));
    let input = floats(&[1, 2], &[0.0; 2]);
    let good = std::fs::read(fixture("add.onnx")).unwrap();
    for at in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            std::fs::write(&source.path, &bytes).unwrap();
            if let Ok(model) = backend.load(&source) {
                let _ = model.run(&[("a", &input)], &[], &Deadline::after(std::time::Duration::from_secs(5)));
            }
        }
    }
}

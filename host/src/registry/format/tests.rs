//! Models made by hand, field by field: what is found in them, and what is refused.

use std::fs;

use proptest::prelude::*;

use super::*;

/// A field of length `bytes.len()`.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = varint(number << 3 | 2);
    encoded.extend(varint(bytes.len() as u64));
    encoded.extend(bytes);
    encoded
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn external_tensor(location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    [field(8, b"w"), entry("location", location), entry("offset", "0"), vec![0x70, 1]].concat()
}

/// A model with this graph.
fn model_of(graph: &[u8]) -> Vec<u8> {
    [vec![0x08, 9], field(2, b"test"), field(7, graph)].concat()
}

/// A model whose initializers lie in these files.
pub(in crate::registry) fn model(locations: &[&str]) -> Vec<u8> {
    let graph: Vec<u8> = locations.iter().flat_map(|location| field(5, &external_tensor(location))).collect();
    model_of(&[graph, field(5, &field(9, &[7; 100]))].concat())
}

fn inspect_in(folder: &Path, bytes: &[u8]) -> Result<ModelFiles, FormatError> {
    let path = folder.join("m.onnx");
    fs::write(&path, bytes).unwrap();
    inspect(&path)
}

fn refused(folder: &Path, bytes: &[u8], expected: &str) {
    let error = inspect_in(folder, bytes).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn external_data_is_found_wherever_a_tensor_can_stand() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("weights")).unwrap();
    for name in ["a.bin", "b.bin", "c.bin", "d.bin", "weights/e.bin"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    // A constant's value, a tensor in a branch, a sparse initializer, and a function's constant.
    let constant = |name: &str| field(1, &field(5, &field(5, &external_tensor(name))));
    let branch = field(1, &field(5, &field(6, &field(5, &external_tensor("b.bin")))));
    let sparse = field(15, &field(2, &external_tensor("./c.bin")));
    let function = field(25, &field(7, &field(5, &field(10, &external_tensor("d.bin")))));
    let graph = [constant("a.bin"), branch, sparse, field(5, &external_tensor("weights//e.bin"))].concat();
    let files = inspect_in(folder.path(), &[model_of(&graph), function].concat()).unwrap();
    assert_eq!(files.external, ["a.bin", "b.bin", "c.bin", "d.bin", "weights/e.bin"]);
    assert_eq!(inspect_in(folder.path(), &model(&[])).unwrap().external, [""; 0]);
}

#[test]
fn external_data_outside_the_models_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path(), inside.join("up")).unwrap();
    for location in ["../secret", "a/../../secret", "/etc/passwd"] {
        refused(&inside, &model(&[location]), "");
    }
    refused(&inside, &model(&["../secret"]), "outside the model's folder");
    refused(&inside, &model(&["link"]), "symbolic link");
    refused(&inside, &model(&["up/secret"]), "symbolic link");
    refused(&inside, &model(&["missing"]), "no such file");
    refused(&inside, &model(&["."]), "no file");
    refused(&inside, &model(&[""]), "no file");
    refused(&inside, &model(&["C:\\x"]), "not portable");
}

#[test]
fn other_files_are_told_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), b"", "it is empty");
    refused(folder.path(), b"version https://git-lfs.github.com/spec/v1\n", "Git LFS");
    refused(folder.path(), b"PK\x03\x04....", "ZIP archive");
    refused(folder.path(), b"\x18\0\0\0ORTM....", "ORT format");
    refused(folder.path(), b"ftrt....", "TensorRT plan");
    refused(folder.path(), b"<html></html>", "is no ONNX model");
    refused(folder.path(), &field(2, b"no graph"), "no ir_version or no graph");
    assert!(inspect(folder.path()).is_err());
}

#[test]
fn a_broken_or_boundless_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = model(&[]);
    refused(folder.path(), &whole[..whole.len() - 1], "broken at byte");
    refused(folder.path(), &[whole.clone(), vec![0x3b]].concat(), "broken at byte");
    refused(
        folder.path(),
        &[whole, vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat(),
        "broken",
    );
    let nested = (0..40).fold(Vec::new(), |graph, _| field(1, &field(5, &field(6, &graph))));
    refused(folder.path(), &model_of(&nested), "nested deeper");
    let names: Vec<String> = (0..5000).map(|number| format!("{number}.bin")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refused(folder.path(), &model(&names), "more than 4096 files");
}

proptest! {
    #[test]
    fn no_bytes_make_the_walk_panic_or_read_past_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..300_usize) {
        let mut whole = model(&["a", "b"]);
        whole.truncate(cut);
        for input in [bytes.clone(), [whole, bytes].concat()] {
            let length = input.len() as u64;
            let mut walker = Walker::new(io::Cursor::new(input));
            let _ = walker.walk(Message::Model, length, 0);
            prop_assert!(walker.position <= length);
        }
    }
}

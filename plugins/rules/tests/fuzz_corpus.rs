//! The inputs that fuzzing kept, once each: what they found stays mended, without a fuzzer.

use inferwit_fuzz::{folder, targets};

fn check(name: &str) {
    let target = targets::named(name).expect("the target has this name");
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    let inputs = folder::read(&package.join("corpus").join(name)).expect("the inputs can be read");
    assert!(inputs.len() > 100, "{} inputs", inputs.len());
    for (path, input) in inputs {
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            panic!("`{name}` fails on {}", path.display());
        }
    }
}

#[test]
fn texts_of_rule_sets() {
    check("loader");
}

#[test]
fn expressions() {
    check("cel");
}

#[test]
fn compiled_forms() {
    check("compiled");
}

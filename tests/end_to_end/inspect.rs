//! What a plugin file says of itself, and which files are none.

use std::fs;
use std::sync::Arc;

use inferwit::app::AppError;
use inferwit::plugin::{Isolation, Plugin, PluginError, Usage};

use crate::fixtures::plugin;
use crate::lab::Lab;

/// What Rust's library imports of WASI for wasm32-wasip2. No files, no sockets, no clocks.
const WASI_OF_RUST: [&str; 14] = [
    "wasi:io/poll",
    "wasi:io/error",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:random/insecure-seed",
];

#[test]
fn a_plugin_imports_what_it_uses_and_nothing_else() {
    let lab = Lab::new();
    let check = |name: &str, interface: &str, expected: &[&str]| {
        let report = lab.app.inspect_plugin(&plugin(name)).unwrap();
        assert_eq!(report.name, name);
        assert_eq!(report.contract, "0.1.0");
        assert_eq!(report.interfaces, ["manifest", interface]);
        assert!(report.config_schema["properties"].is_object(), "{}", report.config_schema);
        assert!(!report.description.is_empty());
        let split: Vec<(&str, &str)> = report.imports.iter().map(|import| import.split_once('@').unwrap()).collect();
        let contract = split.iter().filter_map(|(import, _)| import.strip_prefix("inferwit:plugin/"));
        assert_eq!(contract.collect::<Vec<_>>(), expected, "{name}");
        let mut others = split.iter().filter(|(import, _)| !import.starts_with("inferwit:plugin/"));
        assert!(others.all(|(import, _)| WASI_OF_RUST.contains(import)), "{name}: {:?}", report.imports);
    };
    check("image", "processor", &["common", "tensors", "tensor-ops", "log", "context"]);
    check("detections", "processor", &["common", "tensors", "context"]);
    check("checks", "validator", &["common", "tensors", "tensor-ops", "context"]);
}

#[test]
fn precompiled_machine_code_is_refused() {
    let lab = Lab::new();
    lab.app.inspect_plugin(&plugin("echo-guest")).unwrap();
    let compiled = fs::read_dir(lab.home().join("compiled")).unwrap().map(|entry| entry.unwrap().path());
    let file = compiled.into_iter().find(|path| path.extension().is_some_and(|it| it == "cwasm")).unwrap();
    let (reason, hint) = refusal(&lab, &fs::read(file).unwrap());
    assert!(reason.contains("precompiled machine code"), "{reason}");
    assert!(hint.contains("WebAssembly component"), "{hint}");
}

#[test]
fn what_is_not_webassembly_is_refused() {
    let lab = Lab::new();
    let (reason, hint) = refusal(&lab, b"#!/bin/sh\n");
    assert!(reason.contains("not WebAssembly") && hint.contains("wasm32-wasip2"), "{reason}; {hint}");
    let (reason, _) = refusal(&lab, b"\0asm\x01\0\0\0");
    assert!(reason.contains("exports no interface of inferwit:plugin"), "{reason}");
    let half = fs::read(plugin("echo-guest")).unwrap();
    let error = inspect(&lab, &half[..half.len() / 2]);
    assert!(matches!(error, AppError::Plugin(PluginError::Compile(_))), "{error:?}");
}

#[test]
fn a_plugin_for_another_contract_is_refused_with_both_versions() {
    let other = replaced(&fs::read(plugin("echo-guest")).unwrap(), b"@0.1.0", b"@0.9.9");
    let (reason, hint) = refusal(&Lab::new(), &other);
    assert!(reason.contains("inferwit:plugin@0.9.9") && reason.contains("0.1.0"), "{reason}");
    assert!(hint.contains("offered version"), "{hint}");
}

#[test]
fn an_import_that_is_not_offered_is_refused_by_name() {
    let bytes = fs::read(plugin("echo-guest")).unwrap();
    let other = replaced(&bytes, b"inferwit:plugin/tensors@", b"inferwit:plugin/tenzors@");
    let (reason, hint) = refusal(&Lab::new(), &other);
    assert!(reason.contains("inferwit:plugin/tenzors@0.1.0"), "{reason}");
    assert!(hint.contains("inferwit:plugin@0.1.0 and WASI 0.2 only"), "{hint}");
}

/// The module inside a component, with the component's type embedded: what a toolchain without component support gives.
#[test]
fn a_core_module_with_an_embedded_component_type_is_a_plugin() {
    let lab = Lab::new();
    let component = fs::read(plugin("echo-guest")).unwrap();
    let module = core_module(&component);
    assert!(wasmparser::Parser::is_core_wasm(&module));
    let report = lab.app.inspect_plugin(&lab.file("core.wasm", &module)).unwrap();
    let whole = lab.app.inspect_plugin(&plugin("echo-guest")).unwrap();
    assert_eq!((&report.name, &report.interfaces, &report.contract), (&whole.name, &whole.interfaces, &whole.contract));
    let compiled = Plugin::compile(lab.app.plugin_engine().unwrap(), "core", &module, 1).unwrap();
    let usage = Usage {
        step: None,
        interface: inferwit::plugin::Interface::Processor,
        config: "{}".to_owned(),
        isolation: Isolation::Fresh,
        limits: inferwit::plugin::Limits::with_cores(1),
        grants: Arc::default(),
    };
    assert_eq!(Arc::new(compiled).open(usage).unwrap().signature().inputs[0].name, "tensor");
}

fn core_module(component: &[u8]) -> Vec<u8> {
    let decoded = wit_component::decode(component).unwrap();
    let wit_component::DecodedWasm::Component(resolve, world) = decoded else { panic!("not a component") };
    let payloads = wasmparser::Parser::new(0).parse_all(component);
    let modules = payloads.filter_map(|payload| match payload.unwrap() {
        wasmparser::Payload::ModuleSection { unchecked_range, .. } => Some(component[unchecked_range].to_vec()),
        _ => None,
    });
    // The others are small adapters that the component's linker adds.
    let mut module = modules.max_by_key(Vec::len).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    module
}

fn inspect(lab: &Lab, bytes: &[u8]) -> AppError {
    let file = lab.file("other.wasm", bytes);
    let error = lab.app.inspect_plugin(&file).unwrap_err();
    assert!(lab.app.add_plugin(&file).is_err(), "what is not inspected is not registered either");
    error
}

fn refusal(lab: &Lab, bytes: &[u8]) -> (String, String) {
    match inspect(lab, bytes) {
        AppError::Plugin(PluginError::Unsupported { reason, hint }) => (reason, hint),
        other => panic!("{other:?}"),
    }
}

/// Every occurrence replaced by as many other bytes.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    let mut count = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
        at += found;
        bytes[at..at + to.len()].copy_from_slice(to);
        count += 1;
    }
    assert!(count > 0, "nothing was replaced");
    bytes
}

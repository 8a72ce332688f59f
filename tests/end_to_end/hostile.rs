//! Plugins that misbehave: each costs its own request and nothing else, and what they took comes back.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use inferwit::infer::{ErrorCode, InferRequest, Parameter, PluginFailureKind};
use inferwit::server::Served;
use inferwit::tensor::{Datatype, Tensor};
use serde_json::json;

use crate::client::Client;
use crate::lab::Lab;

const REQUESTS: usize = 1000;
/// One in so many is hostile.
const HOSTILE_EVERY: usize = 10;
const AT_ONCE: usize = 8;
/// What the process may have grown by: far less than what hostile requests had in all.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// What a plugin does, and how its request must end.
const MISBEHAVIOURS: &[(&str, &str)] = &[
    ("loop", "plugin_limit"),
    ("trap", "plugin_failed"),
    ("panic", "plugin_failed"),
    ("memory", "plugin_limit"),
    ("handles", "plugin_limit"),
    ("tensor_memory", "plugin_limit"),
    ("log", "plugin_limit"),
    ("output", "plugin_limit"),
    ("recursion", "plugin_limit"),
    ("wide_recursion", "plugin_failed"),
    ("exit", "plugin_failed"),
    ("exit_failure", "plugin_failed"),
    ("sleep", "plugin_limit"),
    ("missing_output", "plugin_failed"),
    ("unknown_output", "plugin_failed"),
    ("double_output", "plugin_failed"),
    ("fail_internal", "plugin_failed"),
];

#[test]
fn hostile_requests_cost_only_themselves_in_fresh_instances() {
    check("fresh");
}

#[test]
fn hostile_requests_cost_only_themselves_in_warm_instances() {
    check("warm");
}

#[test]
fn an_error_names_plugin_version_and_step() {
    let lab = Lab::new();
    lab.add_plugins(&["hostile-guest"]);
    let generation = lab.load(&pipeline("fresh")).unwrap();
    let ask = |misbehave: &str| {
        let tensor = Tensor::zeros(Datatype::Fp32, &[2]).unwrap();
        let mut request = InferRequest::new(vec![("tensor".to_owned(), tensor)]);
        request.parameters.insert("misbehave".to_owned(), Parameter::String(misbehave.to_owned()));
        generation.infer(request).0
    };
    let expected = [
        ("trap", ErrorCode::PluginFailed, PluginFailureKind::Trap, "trapped in `process`"),
        ("loop", ErrorCode::PluginLimit, PluginFailureKind::Deadline, "limit `deadline` in `process`"),
        ("memory", ErrorCode::PluginLimit, PluginFailureKind::Limit, "limit `memory` in `process`"),
        ("handles", ErrorCode::PluginLimit, PluginFailureKind::Limit, "limit `handles` in `process`"),
        ("recursion", ErrorCode::PluginLimit, PluginFailureKind::Limit, "limit `stack` in `process`"),
        ("fail_internal", ErrorCode::PluginFailed, PluginFailureKind::Failed, "secret of the plugin"),
    ];
    for (misbehave, code, kind, text) in expected {
        let error = ask(misbehave).unwrap_err();
        let failure = error.failure.as_ref().unwrap_or_else(|| panic!("{misbehave}: {error}"));
        assert_eq!((error.code, failure.kind, failure.step.as_str()), (code, kind, "act"), "{misbehave}");
        assert!(failure.plugin.starts_with("hostile@"), "{}", failure.plugin);
        let chain = chain(&error);
        let label = format!("plugin `{}` in step `act`", failure.plugin);
        assert!(chain.contains(&label) && chain.contains(text), "{misbehave}: {chain}");
        assert!(ask("none").is_ok(), "the request after `{misbehave}` is served");
    }
}

#[test]
fn nothing_of_the_outside_is_seen() {
    let lab = Lab::new();
    lab.add_plugins(&["hostile-guest"]);
    let door = lab.serve_texts(&[&pipeline("fresh").replace("datatype: FP32, ", "")]);
    let ask = || {
        let parameters = json!({"misbehave": "wasi"});
        let tensor = json!({"name": "tensor", "datatype": "FP32", "shape": [1], "data": [1.0]});
        door.client().post_json("hostile", &json!({"inputs": [tensor], "parameters": parameters})).expect(200).json()
    };
    let first = ask();
    let seen: Vec<&str> =
        first["outputs"][0]["data"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for expected in
        ["path: None", "variables: 0", "arguments: 0", "stdin: None", "elapsed: 0ns", "time: Ok(946684800s)"]
    {
        assert!(seen.contains(&expected), "{expected} is not in {seen:#?}");
    }
    for refused in ["read: Err", "write: Err", "list: Err", "connect: Err"] {
        assert!(seen.iter().any(|line| line.starts_with(refused)), "{refused} is not in {seen:#?}");
    }
    assert_eq!(ask()["outputs"], first["outputs"], "randomness that was not granted is the same each time");
}

fn pipeline(isolation: &str) -> String {
    format!(
        "schema: pipeline/v1
name: hostile
version: 1.0.0
inputs: {{tensor: {{datatype: FP32, shape: [-1]}}}}
outputs: [out]
parameters: {{misbehave: {{type: string, default: none}}}}
steps:
  - name: act
    plugin: hostile
    isolation: {isolation}
    limits: {{deadline_ms: 400, memory_mib: 16, handles: 256, sent_mib: 4, tensor_mib: 8}}
    outputs: {{tensor: out}}
"
    )
}

fn check(isolation: &str) {
    let lab = Lab::new();
    lab.add_plugins(&["hostile-guest"]);
    let door = lab.serve_texts(&[&pipeline(isolation)]);
    let undisturbed = answers(door.client(), &|_| "none");
    assert!(undisturbed.iter().all(|(status, _)| *status == 200));
    let resident_before = resident_bytes();

    let disturbed = answers(door.client(), &misbehaviour);
    for (index, (answer, expected)) in disturbed.iter().zip(&undisturbed).enumerate() {
        let name = misbehaviour(index);
        if name == "none" {
            assert!(answer == expected, "request {index}: {}", String::from_utf8_lossy(&answer.1));
            continue;
        }
        let (_, code) = MISBEHAVIOURS.iter().find(|(other, _)| *other == name).unwrap();
        let body = String::from_utf8_lossy(&answer.1);
        assert!(answer.0 == 500 && body.contains(&format!("\"code\":\"{code}\"")), "{name}: {} {body}", answer.0);
        assert!(!body.contains("secret"), "{body}");
    }

    let grown = resident_bytes().saturating_sub(resident_before);
    assert!(grown <= GROWTH_BYTES_MAX, "the process grew by {} MiB", grown >> 20);
    let again = answers(door.client(), &|_| "none");
    assert!(again == undisturbed, "afterwards all is as before");
    assert_eq!(door.metrics.in_flight.get(), 0);
    let metrics = door.metrics.to_text();
    assert!(metrics.contains("plugin=\"hostile@"), "{metrics}");
}

/// What the request of this number does; every one of the list comes up.
fn misbehaviour(index: usize) -> &'static str {
    if index % HOSTILE_EVERY == 3 { MISBEHAVIOURS[index / HOSTILE_EVERY % MISBEHAVIOURS.len()].0 } else { "none" }
}

/// Status and body of each request, several at a time.
fn answers(client: Client, misbehaviour: &(dyn Fn(usize) -> &'static str + Sync)) -> Vec<(u16, Vec<u8>)> {
    let next = AtomicUsize::new(0);
    let ask = |index: usize| {
        let data: Vec<usize> = (index..index + 16).collect();
        let tensor = json!({"name": "tensor", "datatype": "FP32", "shape": [16], "data": data});
        let parameters = json!({"misbehave": misbehaviour(index)});
        let reply = client.post_json("hostile", &json!({"inputs": [tensor], "parameters": parameters}));
        (index, (reply.status, reply.body))
    };
    let mut answers: Vec<_> = thread::scope(|scope| {
        let askers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mine = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                    mine.take_while(|index| *index < REQUESTS).map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE_BYTES
}

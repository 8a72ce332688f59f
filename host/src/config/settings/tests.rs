//! The layers of a configuration: what overrides what, what is refused, and what the refusal says.

use serde_json::json;

use super::*;
use crate::config::DEFAULT_TEXT;

fn load(text: &str, overrides: &[Override]) -> Result<Settings, ConfigError> {
    Settings::layered(Some((text, Path::new("c.yaml"))), overrides)
}

fn variable(name: &str, value: &str) -> Override {
    Override::variable(name, value).unwrap()
}

/// The value of `key` and where it came from.
fn explained(settings: &Settings, key: &str) -> (Value, String) {
    let found = settings.explain().into_iter().find(|explained| explained.key == key).unwrap();
    (found.value, found.origin.to_string())
}

fn refused(text: &str, expected: &str) {
    check_refused(load(text, &[]), expected);
}

fn check_refused(result: Result<Settings, ConfigError>, expected: &str) {
    let error = result.unwrap_err();
    let told = format!("{error} / {}", error.hint().unwrap_or(""));
    assert!(told.contains(expected), "{told}");
}

#[test]
fn the_default_file_is_the_defaults_and_has_every_key() {
    let settings = load(DEFAULT_TEXT, &[]).unwrap();
    assert_eq!(settings.values, defaults());
    for Explained { key, origin, .. } in settings.explain() {
        assert!(matches!(origin, Origin::File { .. }), "`{key}` is not in config/inference.yaml");
    }
    let keys: Vec<String> = settings.explain().into_iter().map(|explained| explained.key).collect();
    let mut lines: Vec<String> = keys.clone();
    lines.sort_by_key(|key| match settings.origin(key) {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    assert_eq!(keys, lines, "the keys are in the order of the file");
}

#[test]
fn nothing_and_an_empty_section_are_the_defaults() {
    for text in ["", "# nothing\n", "{}", "server:\n  # http: ..\n"] {
        assert_eq!(load(text, &[]).unwrap().values, defaults(), "{text:?}");
    }
}

#[test]
fn flags_override_variables_and_variables_the_file() {
    let text = "environment: staging\nserver:\n  queue_requests: 5\n  http: 0.0.0.0:1\n";
    let overrides = [
        variable("INFERWIT__SERVER__QUEUE_REQUESTS", "6"),
        variable("INFERWIT__SERVER__HTTP", "[::1]:9000"),
        variable("INFERWIT__INFERENCE__ONNX__PROVIDERS", r#"["CPUExecutionProvider"]"#),
        variable("INFERWIT__SERVER__LIMITS", "{body_mib: 7}"),
        Override::flag("--env", "environment", "production"),
    ];
    let settings = load(text, &overrides).unwrap();
    let check = |key: &str, value: Value, origin: &str| {
        assert_eq!(explained(&settings, key), (value, origin.to_owned()));
    };
    check("environment", json!("production"), "--env");
    check("server.queue_requests", json!(6), "INFERWIT__SERVER__QUEUE_REQUESTS");
    check("server.http", json!("[::1]:9000"), "INFERWIT__SERVER__HTTP");
    check("inference.onnx.providers", json!(["CPUExecutionProvider"]), "INFERWIT__INFERENCE__ONNX__PROVIDERS");
    check("server.limits.body_mib", json!(7), "INFERWIT__SERVER__LIMITS");
    check("server.drain_ms", json!(10000), "default");
    let settings = load(text, &[]).unwrap();
    assert_eq!(explained(&settings, "server.queue_requests"), (json!(5), "c.yaml:3:19".to_owned()));
    assert_eq!(Override::variable("INFERWIT_DATA_DIR", "x"), None);
}

#[test]
fn a_variable_that_only_fits_as_text_is_text() {
    let settings = load("", &[variable("INFERWIT__DATA_DIR", "1234")]).unwrap();
    assert_eq!(explained(&settings, "data_dir").0, json!("1234"));
    let settings = load("", &[variable("INFERWIT__DATA_DIR", "a: b")]).unwrap();
    assert_eq!(explained(&settings, "data_dir").0, json!("a: b"));
}

#[test]
fn unknown_keys_name_the_nearest_valid_one() {
    refused("\nserver:\n  htpp: 1\n", "c.yaml:3:3: unknown key `server.htpp` / did you mean `server.http`?");
    refused("serverr: {}\n", "c.yaml:1:1: unknown key `serverr` / did you mean `server`?");
    refused("body_mib: 3\n", "did you mean `server.limits.body_mib`?");
    refused("server.http: 127.0.0.1:80\n", "unknown key `server.http`");
    refused("server: {http: {port: 3}}\n", "`server.http`");
    refused("cache: {zzzzzzzzzzzzzz: 1}\n", "known here are responses_mib");
    let wrong = [variable("INFERWIT__SERVER__HTPP", "1")];
    check_refused(
        load("", &wrong),
        "INFERWIT__SERVER__HTPP: unknown key `server.htpp` / did you mean INFERWIT__SERVER__HTTP?",
    );
    check_refused(load("", &[variable("INFERWIT__", "1")]), "unknown key");
}

#[test]
fn values_out_of_range_or_of_another_type_are_refused() {
    refused("server: {limits: {body_mib: 0}}\n", "c.yaml:1:29: `server.limits.body_mib` is 0, must be at least 1");
    refused("server: {queue_requests: 99999999}\n", "must be at most 1000000");
    refused("server: {queue_requests: many}\n", "`server.queue_requests`");
    refused("server: {http: nowhere}\n", "an address and port such as 127.0.0.1:8000");
    refused("monitoring: {log_level: inof}\n", "must be one of error, warn, info, debug, trace / did you mean `info`?");
    refused("monitoring: {metrics_port: 70000}\n", "must be at most 65535");
    refused("plugins: {concurrency: 0}\n", "must be at least 1");
    refused("plugins: {concurrency: many}\n", "`plugins.concurrency`");
    refused("inference: {onnx: {providers: []}}\n", "`inference.onnx.providers`");
    refused("inference: {onnx: {providers: [cpu]}}\n", "`inference.onnx.providers`");
    refused("environment: 1.0.0\n", "is no label");
    refused("server: 5\n", "`server` must be a mapping");
    refused("- 1\n", "must be a mapping");
    check_refused(load("", &[variable("INFERWIT__PLUGINS__HANDLES", "[")]), "INFERWIT__PLUGINS__HANDLES: ");
}

#[test]
fn what_is_not_built_is_accepted_at_its_default_only() {
    load("server: {grpc: 127.0.0.1:8001, tls: {key: null}}\ncache: {responses_mib: 0}\n", &[]).unwrap();
    refused("server: {grpc: 127.0.0.1:9001}\n", "c.yaml:1:16: `server.grpc` is not built yet");
    refused("server: {repository_control: load}\n", "leave it out, or at its default `\"off\"`");
    refused("monitoring: {trace_sample: 0.5}\n", "not built yet");
    refused("cache: {responses_mib: 5}\n", "not built yet");
}

#[test]
fn all_faults_are_told_at_once() {
    let error = load("a: 1\nserver: {queue_requests: 0}\n", &[]).unwrap_err();
    assert_eq!(error.faults().len(), 2);
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn the_schema_has_ranges_and_defaults() {
    let schema = schema();
    let limits = &schema["$defs"]["ServerLimits"]["properties"]["body_mib"];
    assert_eq!((&limits["minimum"], &limits["maximum"], &limits["default"]), (&json!(1), &json!(4096), &json!(64)));
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&defaults()));
}

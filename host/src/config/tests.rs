//! What settings come to: sockets, paths, durations, and the checks that concern several keys.

use super::*;

fn machine() -> Machine {
    Machine { cores: 6, data_dir: PathBuf::from("/home/u/.local/share/inferwit") }
}

fn resolve(text: &str, overrides: &[Override]) -> Result<Config, ConfigError> {
    Settings::layered(Some((text, Path::new("/etc/inferwit/c.yaml"))), overrides)?.resolve(&machine())
}

#[test]
fn the_defaults_come_to_a_loopback_server() {
    let config = Settings::load(None, &[]).unwrap().resolve(&machine()).unwrap();
    assert_eq!(config.server.http, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(config.monitoring.metrics, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.server.limits.body_bytes, 64 << 20);
    assert_eq!(config.data_dir, machine().data_dir);
    assert_eq!(config.model_registry.path, machine().data_dir.join("inferwit.db"));
    assert_eq!((config.plugins.concurrency, config.plugins.warm_instances), (6, 6));
    assert_eq!(config.plugins.deadline, Duration::from_millis(100));
    assert_eq!(config.environment.as_str(), "dev");
}

#[test]
fn a_relative_path_belongs_to_the_file_that_holds_it() {
    let text = "data_dir: data\nmodel_registry: {path: /var/r.db}\ninference: {onnx: {library: lib/ort.so}}\n";
    let config = resolve(text, &[]).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/inferwit/data"));
    assert_eq!(config.model_registry.path, Path::new("/var/r.db"));
    assert_eq!(config.inference.onnx.library.as_deref(), Some(Path::new("/etc/inferwit/lib/ort.so")));
    let flag = Override::flag("--registry", "model_registry.path", "here.db");
    assert_eq!(resolve(text, &[flag]).unwrap().model_registry.path, Path::new("here.db"));
}

#[test]
fn ceilings_and_recording_of_rules_are_read() {
    let text =
        "rules: {max_work: 7, memory_mib: 32, record: {path: runs.jsonl, sample: 0.5, max_mib: 2, redact: [name]}}\n";
    let rules = resolve(text, &[]).unwrap().rules;
    assert_eq!((rules.max_work, rules.max_firings, rules.memory_bytes), (7, 1_000_000, 32 << 20));
    assert_eq!(rules.record.path.as_deref(), Some(Path::new("/etc/inferwit/runs.jsonl")));
    assert_eq!((rules.record.sample, rules.record.bytes_max), (0.5, 2 << 20));
    assert_eq!(rules.record.redact, ["name"]);
    let error = resolve("rules: {memory_mib: 8}\n", &[]).unwrap_err().to_string();
    assert!(error.contains("`rules.memory_mib` is 8, must be at least 16"), "{error}");
}

#[test]
fn metrics_may_listen_elsewhere() {
    let config = resolve("monitoring: {metrics_port: \"0.0.0.0:9091\"}\n", &[]).unwrap();
    assert_eq!(config.monitoring.metrics, "0.0.0.0:9091".parse().unwrap());
}

#[test]
fn what_contradicts_itself_is_refused_where_it_was_written() {
    let check = |text: &str, expected: &str| {
        let error = resolve(text, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("inference: {timeout_ms: 40000}\n", "c.yaml:1:25: `inference.timeout_ms` is 40000, must be at most");
    check("server: {limits: {request_timeout_ms: 500}}\n", "c.yaml:1:39: `inference.timeout_ms` is 1000");
    check("inference: {default_backend: tract}\n", "backend `tract` is not built yet");
    let twice = "inference: {onnx: {providers: [CPUExecutionProvider, CPUExecutionProvider]}}\n";
    check(twice, "lists `CPUExecutionProvider` twice");
}

#[test]
fn files_are_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    let load = || Settings::load(Some(&path), &[]).unwrap_err();
    assert!(matches!(load(), ConfigError::Read { .. }));
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(matches!(load(), ConfigError::TooLarge { .. }));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(load(), ConfigError::NotText { .. }));
}

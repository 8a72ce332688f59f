//! `cargo xtask bench start`: size of the program, time from `serve` to ready with everything cached, memory of a loaded plugin.

#[expect(dead_code, reason = "shared by the benchmarks, none of which uses all of it")]
mod harness;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use harness::{Bar, Row, report, rounds};
use inferwit::plugin::{EngineSettings, Interface, Isolation, Limits, OpenPlugin, Plugin, PluginEngine, Usage};
use serde_json::json;

#[path = "../end_to_end/fixtures.rs"]
mod fixtures;

/// From the start of `serve` to its line that says it is ready.
const READY_NS_MAX: f64 = 300e6;
/// Of each plugin beyond the first, one warm instance included.
const PLUGIN_BYTES_MAX: u64 = 2 << 20;
const PLUGINS: [&str; 6] = ["checks", "image", "detections", "rules", "echo-guest", "hostile-guest"];

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary folder");
    prepare(folder.path());
    let mut times = Vec::new();
    for round in 0..=rounds(20) {
        let start = Instant::now();
        let mut server = serve(folder.path());
        let mut line = String::new();
        let stdout = server.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the line that says ready");
        let elapsed = start.elapsed();
        server.kill().expect("the server runs");
        server.wait().expect("the server ends");
        assert!(line.contains("\"ready\":true"), "not ready: {line}");
        if round > 0 {
            times.push(elapsed.as_nanos() as f64);
        }
    }
    let size_bytes = fs::metadata(fixtures::program()).expect("the program is built").len();
    let plugins = plugin_memory();
    let rows = [Row::new("from serve to ready", &times).at_most(Bar::MedianNs(READY_NS_MAX))];
    let more = json!({"program_bytes": size_bytes, "plugin_bytes": plugins.iter().map(|(name, bytes)| json!({"plugin": name, "bytes": bytes})).collect::<Vec<_>>()});
    let code = report("start", &rows, more);
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "the program takes {:.1} MiB", size_bytes as f64 / f64::from(1 << 20));
    let mut is_met = true;
    for (place, (name, bytes)) in plugins.iter().enumerate() {
        let note = match place {
            0 => "with the engine itself",
            _ if *bytes <= PLUGIN_BYTES_MAX => "bar 2 MiB: met",
            _ => {
                is_met = false;
                "bar 2 MiB: MISSED"
            }
        };
        let _ = writeln!(
            out,
            "memory of the loaded plugin {name:<14} {:>7.2} MiB   {note}",
            *bytes as f64 / f64::from(1 << 20)
        );
    }
    if is_met { code } else { ExitCode::FAILURE }
}

fn inferwit(folder: &Path) -> Command {
    let mut command = Command::new(fixtures::program());
    command.args(["--registry"]).arg(folder.join("inferwit.db")).env("INFERWIT_DATA_DIR", fixtures::data());
    command
}

fn prepare(folder: &Path) {
    let root = fixtures::root();
    let run = |arguments: &[&str], file: &Path| {
        let output = inferwit(folder).args(arguments).arg(file).output().expect("the program runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let options = root.join("config/models/centerface.model.yaml");
    run(&["model", "add", "--options", &options.display().to_string()], &fixtures::fixture("centerface.onnx"));
    // Registering compiles, so that what is measured below loads machine code and compiles nothing.
    for plugin in PLUGINS {
        run(&["plugin", "add"], &fixtures::plugin(plugin));
    }
    run(&["rules", "add"], &root.join("config/rules/photo-policy.rules.yaml"));
    run(&["pipeline", "add"], &root.join("config/pipelines/photo-check.yaml"));
    run(&["deploy", "--env", "dev"], Path::new("photo-check"));
}

fn serve(folder: &Path) -> Child {
    inferwit(folder)
        .args(["serve", "--env", "dev", "--json"])
        .env("INFERWIT__SERVER__HTTP", "127.0.0.1:0")
        .env("INFERWIT__MONITORING__METRICS_PORT", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts")
}

/// How much resident memory grew with each plugin, compiled, opened, and with one warm instance.
fn plugin_memory() -> Vec<(&'static str, u64)> {
    let settings = EngineSettings { cache_dir: Some(fixtures::data().join("compiled")), memory_bytes_max: 64 << 20 };
    let engine = Arc::new(PluginEngine::new(settings).expect("the engine starts"));
    let mut kept: Vec<OpenPlugin> = Vec::new();
    let mut before = resident_bytes();
    let mut grown = Vec::new();
    for name in PLUGINS {
        let bytes = fs::read(fixtures::plugin(name)).expect("set-up has built the plugin");
        let plugin = Arc::new(Plugin::compile(&engine, name, &bytes, 4).expect("the plugin is valid"));
        drop(bytes);
        let (interface, config) = match name {
            "checks" => (Interface::Validator, r#"{"checks": [{"tensor": "x", "expect": {"finite": {}}}]}"#),
            _ => (Interface::Processor, "{}"),
        };
        let usage = Usage {
            step: None,
            interface,
            config: config.to_owned(),
            isolation: Isolation::Warm,
            limits: Limits::with_cores(2),
            grants: Arc::default(),
        };
        kept.push(plugin.open(usage).expect("the configuration is valid"));
        let now = resident_bytes();
        grown.push((name, now.saturating_sub(before)));
        before = now;
    }
    grown
}

/// Resident memory of this process: mapped machine code counts as far as it was touched.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

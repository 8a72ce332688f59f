//! `cargo xtask bench rules`: rule sets in the engine inside Wasm beside the same programs in CLIPS, and what rules cost alone.
//!
//!     cargo xtask bench rules [--clips-programs DIR] [--only NAME] [--quick]

#[expect(dead_code, reason = "shared with the other benchmarks, which use all of it")]
mod harness;

mod rules {
    pub(crate) mod alone;
    pub(crate) mod clips;
    pub(crate) mod clips_facts;
    pub(crate) mod engine;
    pub(crate) mod generated;
    pub(crate) mod pairs;
    pub(crate) mod report;
    pub(crate) mod seating;
    pub(crate) mod workloads;
}

#[path = "../end_to_end/fixtures.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixtures;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use rules::clips::Clips;
use rules::engine::Engine;
use rules::report::{Line, report};
use rules::{alone, pairs, workloads};

const PAIRS: usize = 10;
const REQUESTS: usize = 20_000;

struct Options {
    programs: Option<PathBuf>,
    only: Option<String>,
}

impl Options {
    fn of_command_line() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let after = |flag: &str| {
            let place = arguments.iter().position(|argument| argument == flag)?;
            arguments.get(place + 1).cloned()
        };
        Self { programs: after("--clips-programs").map(PathBuf::from), only: after("--only") }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }
}

fn main() -> ExitCode {
    match run(&Options::of_command_line()) {
        Ok(lines) => report(&lines),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(3)
        }
    }
}

/// What `--only` may name beside the workloads.
const ALONE: [&str; 3] = ["memory", "request", "compile"];

fn run(options: &Options) -> Result<Vec<Line>, String> {
    let mut names: Vec<&str> = workloads::all().iter().map(|workload| workload.name).collect();
    names.extend(ALONE);
    if !names.iter().any(|name| options.wants(name)) {
        return Err(format!("`--only` names one of {}", names.join(", ")));
    }
    let plugin = std::fs::read(fixtures::plugin("rules")).map_err(|error| format!("read the rule engine: {error}"))?;
    let engine = Engine::start(&plugin, fixtures::data().join("compiled"));
    let folder = fixtures::root().join("tests/benches/rules");
    let mut lines = compared(options, &engine, &folder.join("in_clips.py"))?;
    if options.wants("memory") {
        lines.push(Line::of("closure: memory", alone::memory_of_closure(&engine, &folder.join("gen.py"))));
    }
    if options.wants("request") {
        lines.push(Line::of("request", alone::request(&engine, harness::rounds(REQUESTS))));
    }
    if options.wants("compile") {
        match alone::ten_thousand_rules(&engine, harness::rounds(PAIRS)) {
            Ok(both) => lines.extend(both),
            Err(error) => lines.push(Line::failed("10,000 rules", &error)),
        }
    }
    Ok(lines)
}

fn compared(options: &Options, engine: &Engine, script: &std::path::Path) -> Result<Vec<Line>, String> {
    let (mut chosen, mut skipped) = (Vec::new(), Vec::new());
    for workload in workloads::all().into_iter().filter(|workload| options.wants(workload.name)) {
        if workload.is_published() && options.programs.is_none() {
            skipped.push(workload.name);
        } else {
            chosen.push(workload);
        }
    }
    if !skipped.is_empty() {
        let mut out = std::io::stderr();
        let _ = writeln!(
            out,
            "SKIPPED: {}: they are read from the published programs: give `--clips-programs DIR`",
            skipped.join(", ")
        );
    }
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir().map_err(|error| format!("make a folder for facts: {error}"))?;
    let mut clips = Clips::start(script, folder.path(), options.programs.as_deref())?;
    Ok(pairs::run(engine, &mut clips, &chosen, harness::rounds(PAIRS)))
}

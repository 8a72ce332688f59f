//! What is measured without CLIPS: the memory of a closure, the latency of a request, loading of ten thousand rules.

use std::path::Path;
use std::process::Command;

use inferwit::plugin::Facts;
use serde_json::{Value, json};

use super::engine::{Engine, cpu_s};
use super::report::{Line, milliseconds, min_and_median};
use super::workloads::CLOSURE;
use super::{clips_facts, generated};
use crate::harness::{Times, duration};

const MIB: f64 = 1_048_576.0;
const BYTES_PER_FACT_MAX: f64 = 150.0;
const REQUEST_P50_US_MAX: f64 = 60.0;
const REQUEST_P99_US_MAX: f64 = 250.0;
const COMPILE_S_MAX: f64 = 0.5;
const LOAD_COMPILED_S_MAX: f64 = 0.010;

/// Peak linear memory of an instance that has made a closure, less that of one that was given no facts, for each fact.
pub(crate) fn memory_of_closure(engine: &Engine, generator: &Path) -> Result<Line, String> {
    let name = "closure: memory";
    let made = Command::new("python3").arg(generator).args(["tc", "1000", "1500", "1"]).output();
    let made = made.map_err(|error| format!("start python3: {error}"))?;
    let rows = clips_facts::read(&String::from_utf8_lossy(&made.stdout)).ok_or("the facts cannot be read")?;
    let empty = engine.load(CLOSURE)?.evaluate(&Facts::default())?.memory_bytes;
    let loaded = engine.load(CLOSURE)?;
    let facts = loaded.facts(&rows)?;
    let evaluated = loaded.evaluate(&facts)?;
    let count = evaluated.outcome.stats.facts;
    let per_fact = (evaluated.memory_bytes - empty) as f64 / count as f64;
    let lines = loaded.lines(&evaluated.outcome, &[("path", &["a", "b"])]);
    let words: Vec<&str> = lines[lines.len() / 2].split(' ').collect();
    let explained = loaded.explain(&facts, &format!("path(a={}, b={})", words[1], words[2]))?;
    let explained: Value = serde_json::from_str(&explained).map_err(|error| format!("read an explanation: {error}"))?;
    if explained["holds"] != true {
        return Err(format!("`{}` is not explained: {explained}", lines[lines.len() / 2]));
    }
    let text = format!(
        "{per_fact:.1} bytes a fact over {count} facts ({:.1} MiB less {:.1} MiB), bar {BYTES_PER_FACT_MAX} bytes; one is explained",
        evaluated.memory_bytes as f64 / MIB,
        empty as f64 / MIB,
    );
    let numbers = json!({"bytes_per_fact": per_fact, "facts": count, "memory_bytes": evaluated.memory_bytes,
        "empty_bytes": empty});
    Ok(Line::new(name, text, Some(per_fact <= BYTES_PER_FACT_MAX), numbers))
}

/// The loan example with 200 rules on 100 facts, other ones each time.
pub(crate) fn request(engine: &Engine, requests: usize) -> Result<Line, String> {
    let name = "request";
    let loaded = engine.load(&generated::grown_loan())?;
    let facts: Result<Vec<Facts>, String> = (0..256).map(|seed| loaded.facts(&generated::loan_facts(seed))).collect();
    let facts = facts?;
    let (mut cpu, mut wall) = (Vec::with_capacity(requests), Vec::with_capacity(requests));
    let mut matched = usize::MAX;
    // The first tenth warms up.
    let warm_up = requests / 10;
    for request in 0..warm_up + requests {
        let evaluated = loaded.evaluate(&facts[request % facts.len()])?;
        matched = matched.min(evaluated.outcome.fired.len());
        if request >= warm_up {
            cpu.push(evaluated.cpu_s * 1e9);
            wall.push(evaluated.wall_s * 1e9);
        }
    }
    let (cpu, wall) = (Times::new(cpu), Times::new(wall));
    let (p50, p99) = (cpu.median(), cpu.quantile(0.99));
    let met = p50 <= REQUEST_P50_US_MAX * 1e3 && p99 <= REQUEST_P99_US_MAX * 1e3;
    let text = format!(
        "200 rules, of which at least {matched} match, 100 facts: p50 {}, p99 {} (by the clock on the wall {}, {}), bars {REQUEST_P50_US_MAX} us, {REQUEST_P99_US_MAX} us",
        duration(p50),
        duration(p99),
        duration(wall.median()),
        duration(wall.quantile(0.99)),
    );
    let numbers = json!({"p50_ns": p50, "p99_ns": p99, "wall_p50_ns": wall.median(),
        "wall_p99_ns": wall.quantile(0.99), "requests": requests, "rules_matched_min": matched});
    Ok(Line::new(name, text, Some(met), numbers))
}

/// Checking and compiling ten thousand rules, and loading what that gave.
pub(crate) fn ten_thousand_rules(engine: &Engine, rounds: usize) -> Result<Vec<Line>, String> {
    let source = generated::constant_rules(10_000);
    let (mut compile, mut load) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = cpu_s();
        let compiled = engine.compile(&source)?;
        let middle = cpu_s();
        let loaded = engine.load_compiled(compiled)?;
        load.push(cpu_s() - middle);
        compile.push(middle - start);
        let event = clips_facts::read("(ev (kind k7) (code c57) (score 0.75))").ok_or("no fact")?;
        let fired = loaded.evaluate(&loaded.facts(&event)?)?.outcome.fired;
        if fired != [(57, 1)] {
            return Err(format!("what was compiled and loaded fires {fired:?}"));
        }
    }
    let (compile, load) = (min_and_median(compile), min_and_median(load));
    let line = |name: &str, (min, median): (f64, f64), bar_s: f64| {
        let text = format!("{} / {}, bar {}", milliseconds(min), milliseconds(median), milliseconds(bar_s));
        Line::new(name, text, Some(median <= bar_s), json!({"min_s": min, "median_s": median}))
    };
    Ok(vec![
        line("10,000 rules: compile", compile, COMPILE_S_MAX),
        line("10,000 rules: load", load, LOAD_COMPILED_S_MAX),
    ])
}

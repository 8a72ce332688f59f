//! `cargo xtask bench swap`: what swapping rule sets under load costs the requests that run meanwhile.
//!
//! Exit code 1 if the 99th percentile with swaps is above one and a half times that without.
#![expect(clippy::unwrap_used, reason = "what is shared with the tests may fail as they do")]

use std::io::Write as _;
use std::process::ExitCode;

#[path = "../end_to_end/client.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod client;
#[path = "../end_to_end/fixtures.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixtures;
#[expect(dead_code, reason = "shared by the benchmarks, none of which uses all of it")]
mod harness;
#[path = "../end_to_end/lab.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod lab;
#[path = "../end_to_end/swap.rs"]
mod swap;

use harness::{Times, duration, keep, rounds};

const P99_RATIO_MAX: f64 = 1.5;

fn main() -> ExitCode {
    let swaps = rounds(1000);
    let latencies = swap::measure(swaps);
    let mut text = format!(
        "{swaps} swaps under load, in {} windows and as many without\n{:<15} {:>9} {:>11} {:>11} {:>11} {:>11}\n",
        swap::WINDOWS,
        "",
        "requests",
        "median",
        "p10",
        "p90",
        "p99"
    );
    for (name, times) in [("with swaps", &latencies.with_swaps), ("without", &latencies.without)] {
        let times = Times::new(times.iter().map(|&us| us as f64 * 1e3).collect());
        let shown = [0.5, 0.1, 0.9, 0.99].map(|quantile| duration(times.quantile(quantile)));
        let [median, p10, p90, p99] = shown;
        text.push_str(&format!("{name:<15} {:>9} {median:>11} {p10:>11} {p90:>11} {p99:>11}\n", times.len()));
    }
    let ratio = latencies.p99_ratio();
    let is_met = ratio <= P99_RATIO_MAX;
    let said = if is_met { "met" } else { "MISSED" };
    text.push_str(&format!("p99 with swaps is {ratio:.2}x of that without   bar {P99_RATIO_MAX}x: {said}\n"));
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if let Err(error) = keep(&latencies.as_json(swaps)) {
        let _ = writeln!(out, "{error}");
        return ExitCode::from(3);
    }
    if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! What is fuzzed: each target takes any bytes, and panics where the library breaks a promise. Makes no inputs.

use rules_plugin::engine::Budget;
use rules_plugin::model::RuleSet;

mod cel;
mod compiled;
mod expression;
mod loader;
mod runs;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Longer inputs are not made.
    pub bytes_max: usize,
    /// Inputs made from those of the loader: `None` where one is of no use.
    pub from_source: fn(&[u8]) -> Option<Vec<u8>>,
}

pub const TARGETS: [Target; 3] = [
    Target { name: "loader", run: loader::run, bytes_max: 8 << 10, from_source: |_| None },
    Target { name: "cel", run: cel::run, bytes_max: 2 << 10, from_source: |_| None },
    Target { name: "compiled", run: compiled::run, bytes_max: 16 << 10, from_source: compiled::payload_of },
];

pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What a fuzzed run may use: enough to get everywhere, little enough for thousands of runs a second.
fn budget(rules: &RuleSet) -> Budget {
    let limits = &rules.limits;
    Budget {
        work_max: limits.work_max.min(100_000),
        firings_max: limits.firings_max.min(200),
        firings_per_rule_max: limits.firings_per_rule_max.min(100),
        facts_max: limits.facts_max.min(2_000),
        depth_max: limits.depth_max.min(100),
        bytes_max: limits.bytes_max.unwrap_or(u64::MAX).clamp(1 << 20, 32 << 20),
    }
}

fn in_time() -> bool {
    false
}

//! `phases`, `decisions`, `limits` and `trace`.

use super::reader::{Entries, Reader};
use super::{Combine, Decisions, Limits, Name, Trace, TraceLevel};
use crate::canonical::INT_MAX;
use crate::document::Node;

const LIMIT_KEYS: [&str; 8] = [
    "max_work",
    "max_firings",
    "max_firings_per_rule",
    "max_facts",
    "max_depth",
    "max_bytes",
    "on_limit",
    "limit_decision",
];

const PHASES_MAX: usize = 256;
const TRACE_CAPACITY_MAX: i64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            work_max: 50_000_000,
            firings_max: 100_000,
            firings_per_rule_max: 100_000,
            facts_max: 1_000_000,
            depth_max: 10_000,
            bytes_max: None,
            decide: None,
            set: Vec::new(),
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self { level: TraceLevel::Off, capacity: 1000 }
    }
}

pub(super) fn read_phases(reader: &mut Reader, node: &Node) -> Option<Vec<Name>> {
    let items = reader.filled_list(node, "`phases`")?;
    reader.bounded(items.len(), PHASES_MAX, ("phases", node.span))?;
    let phases = reader.each(items, |reader, item| reader.plain_name(item, "a phase"))?;
    reader.refuse_repeated(&phases, "the phase");
    Some(phases)
}

pub(super) fn read_decisions(reader: &mut Reader, node: &Node) -> Option<Decisions> {
    let entries = reader.entries(node, "`decisions`", &["combine", "order", "default"])?;
    let ways = [
        ("all", Combine::All),
        ("first", Combine::First),
        ("most-severe", Combine::MostSevere),
        ("unique", Combine::Unique),
    ];
    let combine = match entries.get("combine") {
        Some(node) => reader.word(node, "`combine`", &ways),
        None => Some(Combine::All),
    };
    let order = match entries.get("order") {
        Some(node) => read_order(reader, node),
        None if combine == Some(Combine::MostSevere) => {
            let hint = "list the decisions, the most severe first";
            reader.error_hint("missing-key", "`most-severe` needs an `order`", entries.span, hint);
            None
        }
        None => Some(Vec::new()),
    };
    let default = match entries.get("default") {
        Some(node) => read_outcome(reader, node, "a default").map(Some),
        None => Some(None),
    };
    Some(Decisions { combine: combine?, order: order?, default: default? })
}

fn read_order(reader: &mut Reader, node: &Node) -> Option<Vec<String>> {
    let items = reader.filled_list(node, "`order`")?;
    let order = reader.each(items, |reader, item| reader.plain_name(item, "a decision"))?;
    reader.refuse_repeated(&order, "the decision");
    Some(order.into_iter().map(|name| name.text).collect())
}

/// `{decision, code}`.
fn read_outcome(reader: &mut Reader, node: &Node, what: &'static str) -> Option<(String, String)> {
    let entries = reader.entries(node, what, &["decision", "code"])?;
    let decision = reader.required(entries, "decision").and_then(|node| reader.plain_name(node, "a decision"));
    let code = reader.required(entries, "code").and_then(|node| reader.plain_name(node, "a code"));
    Some((decision?.text, code?.text))
}

pub(super) fn read_limits(reader: &mut Reader, node: &Node) -> Option<Limits> {
    let entries = reader.entries(node, "`limits`", &LIMIT_KEYS)?;
    let mut limits = Limits::default();
    let before = reader.findings.len();
    for (key, node) in entries.entries.iter().filter(|(key, _)| key.name.starts_with("max_")) {
        let Some(value) = reader.int(node, &format!("`{}`", key.name), 1, INT_MAX) else { continue };
        let value = value.unsigned_abs();
        match key.name.as_str() {
            "max_work" => limits.work_max = value,
            "max_firings" => limits.firings_max = value,
            "max_firings_per_rule" => limits.firings_per_rule_max = value,
            "max_facts" => limits.facts_max = value,
            "max_depth" => limits.depth_max = value,
            "max_bytes" => limits.bytes_max = Some(value),
            _ => continue,
        }
        limits.set.push(key.name.clone());
    }
    // A rule may fire as often as all together, unless the file says less.
    if entries.get("max_firings_per_rule").is_none() {
        limits.firings_per_rule_max = limits.firings_max;
    }
    limits.decide = read_on_limit(reader, entries)?;
    (reader.findings.len() == before).then_some(limits)
}

fn read_on_limit(reader: &mut Reader, entries: Entries<'_>) -> Option<Option<(String, String)>> {
    let decides = match entries.get("on_limit") {
        Some(node) => reader.word(node, "`on_limit`", &[("error", false), ("decide", true)])?,
        None => false,
    };
    let decision = match entries.get("limit_decision") {
        Some(node) => Some((node, read_outcome(reader, node, "a limit decision")?)),
        None => None,
    };
    match decision {
        Some((node, _)) if !decides => {
            let hint = "write on_limit: decide";
            reader.error_hint("unused-limit-decision", "`limit_decision` is never given", node.span, hint);
            None
        }
        None if decides => {
            let hint = "add limit_decision: {decision: .., code: ..}";
            reader.error_hint("missing-key", "`on_limit: decide` needs a `limit_decision`", entries.span, hint);
            None
        }
        decision => Some(decision.map(|(_, outcome)| outcome)),
    }
}

pub(super) fn read_trace(reader: &mut Reader, node: &Node) -> Option<Trace> {
    let entries = reader.entries(node, "`trace`", &["level", "capacity"])?;
    let levels = [("off", TraceLevel::Off), ("decisions", TraceLevel::Decisions), ("full", TraceLevel::Full)];
    let mut trace = Trace::default();
    if let Some(node) = entries.get("level") {
        trace.level = reader.word(node, "`level`", &levels)?;
    }
    if let Some(node) = entries.get("capacity") {
        let capacity = reader.int(node, "`capacity`", 1, TRACE_CAPACITY_MAX)?;
        trace.capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
    }
    Some(trace)
}

//! What is asked of a run of rules and what it gives. Mirrors the contract; nothing here runs anything.

use super::facts::Facts;

/// How a run is to be recorded, and the request's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvaluateOptions {
    /// `None`: the rule set's own.
    pub trace: Option<TraceLevel>,
    /// Write `Outcome::report`.
    pub report: bool,
    /// Values of the parameters that say `request: true`: a JSON object by name.
    pub params: Option<String>,
}

/// How much of a run its report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceLevel {
    Off,
    Decisions,
    Full,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub status: RunStatus,
    /// After combination, one for each subject or more if the rule set says so.
    pub decisions: Vec<RuleDecision>,
    /// Facts of origin `output`. Invariant: every index in it is inside, every column as its field says.
    pub derived: Facts,
    /// How often each rule fired, or how many of its matches hold: place of the rule in the signature, count. No zeros.
    pub fired: Vec<(u32, u64)>,
    pub stats: RunStats,
    /// With `on_limit: decide` the decisions are the rule set's answer to that; else there are none.
    pub limit: Option<LimitReached>,
    /// `rules-report/v1`, JSON text as the plugin wrote it: if asked for, and whenever the status is not `Ok`.
    pub report: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    Ok,
    Limit,
    Error,
}

impl RunStatus {
    /// As in reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limit => "limit",
            Self::Error => "error",
        }
    }
}

/// The result for one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDecision {
    pub decision: String,
    pub code: String,
    pub subject: Option<String>,
    pub message: Option<String>,
    /// JSON text as the plugin wrote it.
    pub data: Option<String>,
    /// The place in the signature of the rule that emitted it; `None` for a default.
    pub rule: Option<u32>,
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    pub firings: u64,
    pub derivations: u64,
    pub facts: u64,
    /// Probes, rows and steps of bytecode.
    pub work: u64,
}

/// The name under which a run ends that was out of time.
pub const TIME_LIMIT: &str = "max_time_ms";

/// The limit that ended a run, and who reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    pub name: String,
    pub value: u64,
    /// Places of rules in the signature.
    pub rules: Vec<u32>,
    /// Ids of facts, as in reports.
    pub facts: Vec<String>,
    /// It is the time, and the request's own was the shorter one, or its client has gone; else the step's was.
    pub is_requests_time: bool,
}

/// One of the tests that a rule set holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TestResult {
    pub name: String,
    pub passed: bool,
    /// What differed; empty if it passed.
    pub message: String,
}

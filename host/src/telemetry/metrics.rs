//! Every metric that inferwit exposes, by name. Labels come from what the operator deployed, never from a client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::infer::{ErrorCode, PluginFailure, RuleTrace, StepOutcome, Trace};

/// What `code` says of a request that was answered.
pub const OK: &str = "ok";
/// What `code` says of a request whose client went away.
pub const CANCELLED: &str = "cancelled";

/// All metrics of a process; each field says what is under which name.
pub struct Metrics {
    registry: Registry,
    /// `inferwit_requests_in_flight`: inference requests between their head and their answer.
    pub in_flight: Gauge,
    /// `inferwit_connections`: open connections on the inference doors.
    pub connections: Gauge,
    /// `inferwit_queue_requests`: requests that wait for a worker thread.
    pub queue_depth: Gauge,
    /// `inferwit_workers_busy`: worker threads at work.
    pub workers_busy: Gauge,
    /// `inferwit_request_duration_seconds{model, version, code}`: from a request's head to its answer.
    request_duration: Family<RequestLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_request_body_bytes{model, version}`.
    request_bytes: Family<ModelLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_response_body_bytes{model, version}`.
    response_bytes: Family<ModelLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_queue_seconds{model, version}`: how long requests waited for a worker thread.
    queue_duration: Family<ModelLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_refused_requests_total{code}`: requests refused before a served model was known.
    refused: Family<CodeLabels, Counter>,
    /// `inferwit_step_duration_seconds{model, version, step, kind, outcome}`: waiting included.
    step_duration: Family<StepLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_step_queue_seconds{model, version, step, kind, outcome}`: the waiting, where there was some.
    step_queue: Family<StepLabels, Histogram, fn() -> Histogram>,
    /// `inferwit_plugin_failures_total{plugin, step, kind}`: kind is trap, deadline, limit or failed.
    plugin_failures: Family<PluginLabels, Counter>,
    /// `inferwit_rule_firings_total{rule_set, rule}`: firings of agenda rules, matches of derive rules at the end of a run.
    rule_firings: Family<RuleLabels, Counter>,
    /// `inferwit_rule_records_lost_total{rule_set}`: runs that were to be recorded and were left out.
    records_lost: Family<RuleSetLabels, Counter>,
}

/// Which served model a metric is about. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabels {
    model: Arc<str>,
    version: Arc<str>,
}

impl ModelLabels {
    pub fn new(model: &str, version: &str) -> Self {
        Self { model: model.into(), version: version.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    model: Arc<str>,
    version: Arc<str>,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    model: Arc<str>,
    version: Arc<str>,
    step: String,
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
    step: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule_set: Arc<str>,
    rule: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleSetLabels {
    rule_set: Arc<str>,
}

/// 10 us to 42 s, each twice and a bit the one before.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(1e-5, 2.0, 23))
}

/// 64 B to 1 GiB.
fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(64.0, 4.0, 13))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("inferwit"),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            queue_depth: Gauge::default(),
            workers_busy: Gauge::default(),
            request_duration: Family::new_with_constructor(durations),
            request_bytes: Family::new_with_constructor(sizes),
            response_bytes: Family::new_with_constructor(sizes),
            queue_duration: Family::new_with_constructor(durations),
            refused: Family::default(),
            step_duration: Family::new_with_constructor(durations),
            step_queue: Family::new_with_constructor(durations),
            plugin_failures: Family::default(),
            rule_firings: Family::default(),
            records_lost: Family::default(),
        };
        metrics.register();
        metrics
    }

    /// The names, and what they mean: the table of the operator's guide. Units are appended to a name (`_seconds`,
    /// `_bytes`), and `_total` to a counter's.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests_in_flight", "Inference requests being answered", self.in_flight.clone());
        registry.register("connections", "Open connections on the inference doors", self.connections.clone());
        registry.register("queue_requests", "Requests that wait for a worker thread", self.queue_depth.clone());
        registry.register("workers_busy", "Worker threads at work", self.workers_busy.clone());
        registry.register(
            "refused_requests",
            "Requests refused before a served model was known, by error code",
            self.refused.clone(),
        );
        registry.register(
            "plugin_failures",
            "Failures of plugins by kind: trap, deadline, limit, failed",
            self.plugin_failures.clone(),
        );
        registry.register(
            "rule_firings",
            "Firings of agenda rules, and matches of derive rules at the end of each run",
            self.rule_firings.clone(),
        );
        registry.register(
            "rule_records_lost",
            "Runs of rule sets that were to be recorded and were left out",
            self.records_lost.clone(),
        );
        registry.register_with_unit(
            "queue",
            "Time that requests waited for a worker thread",
            Unit::Seconds,
            self.queue_duration.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its answer; code is ok, cancelled or the error's",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register_with_unit(
            "step_duration",
            "From a pipeline step's start to its end, waiting included",
            Unit::Seconds,
            self.step_duration.clone(),
        );
        registry.register_with_unit(
            "step_queue",
            "Of a step's duration, waiting for an instance or a session",
            Unit::Seconds,
            self.step_queue.clone(),
        );
        registry.register_with_unit("request_body", "Bodies of requests", Unit::Bytes, self.request_bytes.clone());
        registry.register_with_unit("response_body", "Bodies of answers", Unit::Bytes, self.response_bytes.clone());
    }

    /// All metrics in the Prometheus (OpenMetrics) text format.
    pub fn to_text(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("a String takes all text");
        page
    }

    /// A request to a served model has begun; what is returned says how it ended.
    pub fn begin(self: &Arc<Self>, labels: ModelLabels) -> RequestMeter {
        self.in_flight.inc();
        RequestMeter { metrics: Arc::clone(self), labels, started: Instant::now(), code: CANCELLED }
    }

    /// A request was refused before it was known which model it is for.
    pub fn refused(&self, code: ErrorCode) {
        self.refused.get_or_create(&CodeLabels { code: code.as_str() }).inc();
    }

    pub fn request_body(&self, labels: &ModelLabels, bytes: usize) {
        self.request_bytes.get_or_create(labels).observe(bytes as f64);
    }

    pub fn response_body(&self, labels: &ModelLabels, bytes: usize) {
        self.response_bytes.get_or_create(labels).observe(bytes as f64);
    }

    pub fn queued(&self, labels: &ModelLabels, duration: Duration) {
        self.queue_duration.get_or_create(labels).observe(duration.as_secs_f64());
    }

    /// What a request's steps cost.
    pub fn steps(&self, labels: &ModelLabels, trace: &Trace) {
        for step in &trace.steps {
            let outcome = match step.outcome {
                StepOutcome::Done => "done",
                StepOutcome::Skipped => "skipped",
                StepOutcome::Failed => "failed",
            };
            let labels = StepLabels {
                model: Arc::clone(&labels.model),
                version: Arc::clone(&labels.version),
                step: step.step.clone(),
                kind: step.kind,
                outcome,
            };
            self.step_duration.get_or_create(&labels).observe(step.duration_ns as f64 / 1e9);
            if step.queue_ns > 0 {
                self.step_queue.get_or_create(&labels).observe(step.queue_ns as f64 / 1e9);
            }
            if let Some(rules) = &step.rules {
                self.rules(rules);
            }
        }
    }

    fn rules(&self, trace: &RuleTrace) {
        let rule_set = &trace.rule_set;
        for &(place, count) in &trace.fired {
            let Some(rule) = trace.rule_ids.get(place as usize) else { continue };
            let labels = RuleLabels { rule_set: Arc::clone(rule_set), rule: Arc::clone(rule) };
            self.rule_firings.get_or_create(&labels).inc_by(count);
        }
        if trace.is_record_lost {
            self.records_lost.get_or_create(&RuleSetLabels { rule_set: Arc::clone(rule_set) }).inc();
        }
    }

    pub fn plugin_failed(&self, failure: &PluginFailure) {
        let labels =
            PluginLabels { plugin: failure.plugin.clone(), step: failure.step.clone(), kind: failure.kind.as_str() };
        self.plugin_failures.get_or_create(&labels).inc();
    }
}

/// Measures one request until it is dropped; dropped without an outcome, its client went away.
pub struct RequestMeter {
    metrics: Arc<Metrics>,
    labels: ModelLabels,
    started: Instant,
    code: &'static str,
}

impl RequestMeter {
    pub fn labels(&self) -> &ModelLabels {
        &self.labels
    }

    /// The request was answered; with an error where there is a code.
    pub fn finish(mut self, error: Option<ErrorCode>) {
        self.code = error.map_or(OK, ErrorCode::as_str);
    }
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let labels = RequestLabels {
            model: Arc::clone(&self.labels.model),
            version: Arc::clone(&self.labels.version),
            code: self.code,
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.request_duration.get_or_create(&labels).observe(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::{PluginFailureKind, StepTrace};

    #[test]
    fn every_metric_is_on_the_page() {
        let metrics = Arc::new(Metrics::new());
        let labels = ModelLabels::new("photo-check", "1.0.0");
        drop(metrics.begin(labels.clone()));
        metrics.begin(labels.clone()).finish(None);
        metrics.begin(labels.clone()).finish(Some(ErrorCode::Deadline));
        metrics.refused(ErrorCode::NotFound);
        metrics.request_body(&labels, 100);
        metrics.response_body(&labels, 100);
        metrics.queued(&labels, Duration::from_micros(20));
        let step = StepTrace {
            step: "decode".into(),
            kind: "plugin",
            outcome: StepOutcome::Done,
            start_ns: 0,
            duration_ns: 1_000_000,
            queue_ns: 500,
            batch_size: 1,
            isolation: Some("warm"),
            memory_bytes: None,
            rules: Some(Box::new(RuleTrace {
                rule_set: "loan@1.0.0".into(),
                rule_ids: ["a".into(), "b".into()].into(),
                fired: vec![(1, 3)],
                is_record_lost: true,
            })),
        };
        metrics.steps(&labels, &Trace { total_ns: 1, steps: vec![step] });
        let kind = PluginFailureKind::Trap;
        metrics.plugin_failed(&PluginFailure { plugin: "image".into(), step: "decode".into(), kind });
        let page = metrics.to_text();
        for line in [
            r#"inferwit_request_duration_seconds_count{model="photo-check",version="1.0.0",code="ok"} 1"#,
            r#"inferwit_request_duration_seconds_count{model="photo-check",version="1.0.0",code="cancelled"} 1"#,
            r#"inferwit_request_duration_seconds_count{model="photo-check",version="1.0.0",code="deadline"} 1"#,
            r#"inferwit_refused_requests_total{code="not_found"} 1"#,
            r#"inferwit_request_body_bytes_count{model="photo-check",version="1.0.0"} 1"#,
            r#"inferwit_response_body_bytes_count{model="photo-check",version="1.0.0"} 1"#,
            r#"inferwit_queue_seconds_count{model="photo-check",version="1.0.0"} 1"#,
            r#"inferwit_step_duration_seconds_sum{model="photo-check",version="1.0.0",step="decode",kind="plugin",outcome="done"} 0.001"#,
            r#"inferwit_step_queue_seconds_count{model="photo-check",version="1.0.0",step="decode",kind="plugin",outcome="done"} 1"#,
            r#"inferwit_plugin_failures_total{plugin="image",step="decode",kind="trap"} 1"#,
            r#"inferwit_rule_firings_total{rule_set="loan@1.0.0",rule="b"} 3"#,
            r#"inferwit_rule_records_lost_total{rule_set="loan@1.0.0"} 1"#,
            "inferwit_requests_in_flight 0",
            "inferwit_connections 0",
            "inferwit_queue_requests 0",
            "inferwit_workers_busy 0",
        ] {
            assert!(page.contains(line), "{line} is missing from\n{page}");
        }
    }
}

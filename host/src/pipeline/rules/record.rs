//! Facts and reports of runs as JSON lines, sampled and with fields left out, in the form that `rules run` and `rules diff` read.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::infer::RequestContext;
use crate::plugin::{Facts, Field, Kind, Pool, Template, Values};
use crate::telemetry::lines::LineWriter;

const REDACTED: &str = "[redacted]";
/// Beyond this, a number of JSON does not hold every int.
const WHOLE_NUMBER_MAX: u64 = 1 << 53;

/// Where runs are recorded, and what of them.
#[derive(Clone, Debug)]
pub struct RecordSettings<'a> {
    pub path: &'a Path,
    pub bytes_max: u64,
    /// The share of requests, 0 to 1.
    pub sample: f64,
    /// Fields that are not written, by name or as `template.field`.
    pub redact: &'a [String],
}

/// Writes what it is given in a thread of its own; where that falls behind, runs are left out rather than waited for.
pub struct Recorder {
    writer: LineWriter,
    sample: f64,
    redact: Arc<HashSet<String>>,
}

/// One run to be recorded.
pub(super) struct Run {
    pub(super) time: SystemTime,
    pub(super) pipeline: String,
    pub(super) step: String,
    pub(super) rule_set: Arc<str>,
    pub(super) templates: Arc<[Template]>,
    pub(super) facts: Facts,
    pub(super) params: Option<String>,
    pub(super) report: Option<String>,
}

impl Recorder {
    /// # Errors
    /// If the file cannot be opened or the thread not be started.
    pub fn start(settings: &RecordSettings<'_>) -> io::Result<Self> {
        Ok(Self {
            writer: LineWriter::start(settings.path, settings.bytes_max)?,
            sample: settings.sample,
            redact: Arc::new(settings.redact.iter().cloned().collect()),
        })
    }

    /// Whether this request is in the sample: the same id always is or never is.
    pub(super) fn wants(&self, context: &RequestContext) -> bool {
        if self.sample >= 1.0 {
            return true;
        }
        let own = || context.request_id.to_string();
        let id = context.id.clone().unwrap_or_else(own);
        share_of(&id) < self.sample
    }

    /// Hands a run to the writer; `false` if it is lost.
    pub(super) fn record(&self, run: Run) -> bool {
        let bytes = run.size_bytes();
        let redact = Arc::clone(&self.redact);
        self.writer.send(bytes, Box::new(move || run.line(&redact)))
    }
}

/// A number from 0 to 1 that only depends on the text (FNV-1a, its bits mixed once more).
#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
fn share_of(text: &str) -> f64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

impl Run {
    fn size_bytes(&self) -> usize {
        let report = self.report.as_ref().map_or(0, String::len);
        let column = |values: &Values| match values {
            Values::BooleanLists(lists) => lists.elements.len(),
            Values::IntegerLists(lists) => lists.elements.len() * 8,
            Values::DoubleLists(lists) => lists.elements.len() * 8,
            Values::PooledLists(lists) => lists.elements.len() * 4,
            flat => flat.rows() * 8,
        };
        let columns = self.facts.tables.iter().flat_map(|table| &table.columns);
        report + self.facts.pool.data().len() + columns.map(|it| column(&it.values)).sum::<usize>()
    }

    fn line(&self, redact: &HashSet<String>) -> String {
        let time = OffsetDateTime::from(self.time).format(&Rfc3339).unwrap_or_default();
        let mut facts = Map::new();
        for table in &self.facts.tables {
            let template = &self.templates[table.template as usize];
            let row = |row: usize| -> Value {
                let mut values = Map::new();
                for (field, column) in template.fields.iter().zip(&table.columns) {
                    if u32::try_from(row).is_ok_and(|row| column.missing.binary_search(&row).is_ok()) {
                        continue;
                    }
                    let is_redacted =
                        redact.contains(&field.name) || redact.contains(&format!("{}.{}", template.name, field.name));
                    let value =
                        if is_redacted { REDACTED.into() } else { cell(field, &column.values, row, &self.facts.pool) };
                    values.insert(field.name.clone(), value);
                }
                values.into()
            };
            facts.insert(template.name.clone(), (0..table.rows as usize).map(row).collect());
        }
        let raw = |text: &Option<String>| {
            let text = text.clone().and_then(|text| RawValue::from_string(text).ok());
            text.map_or_else(|| "null".to_owned(), |raw| raw.get().to_owned())
        };
        let report =
            self.report.clone().map(|report| if redact.is_empty() { report } else { without(&report, redact) });
        format!(
            r#"{{"time":{},"pipeline":{},"step":{},"rule_set":{},"facts":{},"params":{},"report":{}}}"#,
            json!(time),
            json!(self.pipeline),
            json!(self.step),
            json!(&*self.rule_set),
            Value::from(facts),
            self.params.as_ref().map_or_else(|| "{}".to_owned(), |params| raw(&Some(params.clone()))),
            raw(&report)
        )
    }
}

/// The report without what could hold the redacted fields: rows of facts by their names, and every text made from facts.
fn without(report: &str, redact: &HashSet<String>) -> String {
    let Ok(mut report) = serde_json::from_str::<Value>(report) else { return "null".to_owned() };
    if let Some(templates) = report["facts"].as_object_mut() {
        for (template, rows) in templates {
            for row in rows.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                for (field, value) in row {
                    if redact.contains(field) || redact.contains(&format!("{template}.{field}")) {
                        *value = REDACTED.into();
                    }
                }
            }
        }
    }
    for list in ["result", "decisions"] {
        for decision in report[list].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            for key in ["subject", "message", "data", "because"] {
                if decision.get(key).is_some_and(|value| !value.is_null()) {
                    decision.insert(key.to_owned(), REDACTED.into());
                }
            }
        }
    }
    for key in ["limit", "error", "trace", "diagnostics"] {
        if !report[key].is_null() {
            report[key] = REDACTED.into();
        }
    }
    report.to_string()
}

fn cell(field: &Field, values: &Values, row: usize, pool: &Pool) -> Value {
    match values {
        Values::Booleans(values) => Value::Bool(values[row] == 1),
        Values::Integers(values) => integer(field.kind, values[row]),
        Values::Doubles(values) => double(values[row]),
        Values::Pooled(places) => text(field.kind, places[row], pool),
        Values::BooleanLists(lists) => list(lists.row(row), |&element| Value::Bool(element == 1)),
        Values::IntegerLists(lists) => list(lists.row(row), |&element| integer(field.kind, element)),
        Values::DoubleLists(lists) => list(lists.row(row), |&element| double(element)),
        Values::PooledLists(lists) => list(lists.row(row), |&place| text(field.kind, place, pool)),
    }
}

fn list<T>(elements: Option<&[T]>, value: impl Fn(&T) -> Value) -> Value {
    elements.unwrap_or_default().iter().map(value).collect()
}

fn integer(kind: Kind, number: i64) -> Value {
    match kind {
        Kind::Timestamp => {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(number)).ok();
            time.and_then(|time| time.format(&Rfc3339).ok()).map_or_else(|| number.to_string().into(), Value::String)
        }
        Kind::Duration => {
            let (sign, size) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
            format!("{sign}{}.{:09}s", size / 1_000_000_000, size % 1_000_000_000).into()
        }
        _ if number.unsigned_abs() > WHOLE_NUMBER_MAX => number.to_string().into(),
        _ => number.into(),
    }
}

fn double(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => number.into(),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

fn text(kind: Kind, place: u32, pool: &Pool) -> Value {
    let bytes = pool.get(place).unwrap_or_default();
    match kind {
        Kind::Blob => STANDARD.encode(bytes).into(),
        _ => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}

#[cfg(test)]
mod tests;

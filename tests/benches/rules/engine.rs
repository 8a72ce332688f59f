//! Our side of the benchmark of rules: rule sets in the engine, inside Wasm, with facts as columns. Measures CPU time of
//! nothing but the call, and knows no workload.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferwit::infer::{InferRequest, RequestContext};
use inferwit::plugin::{
    Column, EngineSettings, EvaluateOptions, Facts, Isolation, Kind, Limits, OpenRules, Outcome, Plugin, PluginEngine,
    PoolBuilder, RuleSetSource, RulesUsage, RunStatus, Table, Template, Values,
};
use rustix::time::{ClockId, clock_gettime};

use super::clips_facts::Row;

/// More than any workload needs: what is measured is not to end by a limit.
const MEMORY_BYTES_MAX: usize = 1 << 30;
/// `max_bytes` is the memory less 8 MiB.
const CONFIG: &str = r#"{"ceilings": {"max_work": 100000000000, "max_firings": 100000000, "max_facts": 100000000,
    "max_bytes": 1065353216}}"#;

pub(crate) struct Engine {
    plugin: Arc<Plugin>,
    context: Arc<RequestContext>,
}

/// A rule set that is ready to be evaluated.
pub(crate) struct Loaded<'a> {
    engine: &'a Engine,
    rules: OpenRules,
}

/// What an evaluation gave and took.
pub(crate) struct Evaluated {
    pub(crate) outcome: Outcome,
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
    /// Linear memory of the instance afterwards, which is the most that it ever had.
    pub(crate) memory_bytes: u64,
}

impl Engine {
    pub(crate) fn start(plugin: &[u8], cache_dir: PathBuf) -> Self {
        let settings = EngineSettings { cache_dir: Some(cache_dir), memory_bytes_max: MEMORY_BYTES_MAX };
        let engine = Arc::new(PluginEngine::new(settings).expect("the engine starts"));
        let plugin = Plugin::compile(&engine, "rules", plugin, 2).expect("the rule engine is valid");
        let (_, context) = InferRequest::new(Vec::new()).split();
        Self { plugin: Arc::new(plugin), context: Arc::new(context) }
    }

    pub(crate) fn load(&self, source: &str) -> Result<Loaded<'_>, String> {
        self.open(RuleSetSource::Text(source.to_owned().into()))
    }

    pub(crate) fn load_compiled(&self, compiled: Vec<u8>) -> Result<Loaded<'_>, String> {
        self.open(RuleSetSource::Compiled(compiled.into()))
    }

    pub(crate) fn compile(&self, source: &str) -> Result<Vec<u8>, String> {
        self.plugin.compile_rules(source.as_bytes(), limits()).map_err(|error| format!("{error:?}"))
    }

    fn open(&self, rule_set: RuleSetSource) -> Result<Loaded<'_>, String> {
        let usage = RulesUsage {
            step: None,
            rule_set,
            config: CONFIG.to_owned(),
            isolation: Isolation::Warm,
            limits: limits(),
        };
        let rules = self.plugin.rules(usage).map_err(|error| format!("{error:?}"))?;
        Ok(Loaded { engine: self, rules })
    }
}

fn limits() -> Limits {
    let mut limits = Limits::with_cores(1);
    limits.memory_bytes = MEMORY_BYTES_MAX;
    limits.deadline = Duration::from_secs(120);
    limits.open_deadline = Duration::from_secs(120);
    limits.tools_deadline = Duration::from_secs(120);
    // What a guest may send in one call: a closure has some hundred thousand facts of two integers.
    limits.sent_bytes = 256 << 20;
    limits
}

impl Loaded<'_> {
    /// Facts as columns. A key field that a row lacks is its number among the rows of its template.
    pub(crate) fn facts(&self, rows: &[Row]) -> Result<Facts, String> {
        let mut pool = PoolBuilder::new();
        let mut tables = Vec::new();
        for (place, template) in (0..).zip(&self.rules.signature().templates) {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.template == template.name).collect();
            if !rows.is_empty() {
                tables.push(Table {
                    template: place,
                    rows: u32::try_from(rows.len()).map_err(|_error| "too many facts")?,
                    columns: columns(template, &rows, &mut pool)?,
                });
            }
        }
        Ok(Facts { tables, pool: pool.finish() })
    }

    pub(crate) fn evaluate(&self, facts: &Facts) -> Result<Evaluated, String> {
        let options = EvaluateOptions::default();
        let (wall, cpu) = (Instant::now(), cpu_s());
        let answer = self.rules.evaluate(facts, &options, &self.engine.context);
        let (cpu_s, wall_s) = (cpu_s() - cpu, wall.elapsed().as_secs_f64());
        let outcome = answer.result.map_err(|error| format!("{error:?}"))?;
        if outcome.status != RunStatus::Ok {
            return Err(format!("the run ended with {:?}: {}", outcome.status, outcome.report.unwrap_or_default()));
        }
        Ok(Evaluated { outcome, cpu_s, wall_s, memory_bytes: answer.memory_bytes })
    }

    pub(crate) fn explain(&self, facts: &Facts, query: &str) -> Result<String, String> {
        self.rules.explain(facts, &EvaluateOptions::default(), query).map_err(|error| format!("{error:?}"))
    }

    /// Firings of agenda rules, or matches of derive rules, over all rules.
    pub(crate) fn fired(&self, outcome: &Outcome) -> u64 {
        outcome.fired.iter().map(|(_, count)| count).sum()
    }

    /// Output facts as sorted lines `template value value ...`, in the form that `rules/README.md` defines.
    pub(crate) fn lines(&self, outcome: &Outcome, slots: &[(&str, &[&str])]) -> Vec<String> {
        let mut lines = Vec::new();
        for table in &outcome.derived.tables {
            let template = &self.rules.signature().templates[table.template as usize];
            let Some((name, slots)) = slots.iter().find(|(name, _)| *name == template.name) else { continue };
            let columns: Vec<&Column> = slots.iter().map(|slot| &table.columns[field_of(template, slot)]).collect();
            for row in 0..table.rows as usize {
                let mut line = (*name).to_owned();
                for column in &columns {
                    line.push(' ');
                    line.push_str(&value(column, row, &outcome.derived));
                }
                lines.push(line);
            }
        }
        lines.sort_unstable();
        lines
    }
}

fn field_of(template: &Template, name: &str) -> usize {
    template.fields.iter().position(|field| field.name == name).expect("the rule set has the answer's fields")
}

fn value(column: &Column, row: usize, facts: &Facts) -> String {
    match &column.values {
        Values::Booleans(values) => (values[row] == 1).to_string(),
        Values::Integers(values) => values[row].to_string(),
        Values::Doubles(values) => format!("{:016x}", values[row].to_bits()),
        Values::Pooled(values) => facts.pool.text(values[row]).expect("texts are UTF-8").to_owned(),
        _ => panic!("no answer holds a list"),
    }
}

fn columns(template: &Template, rows: &[&Row], pool: &mut PoolBuilder) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for field in &template.fields {
        let wrong = |value: &str| format!("`{value}` is no value of `{}.{}`", template.name, field.name);
        let texts = rows.iter().enumerate().map(|(number, row)| match row.value(&field.name) {
            Some(value) => Ok(value.to_owned()),
            None if field.key && field.kind == Kind::Integer => Ok(number.to_string()),
            None => Err(format!("a fact of `{}` lacks `{}`", template.name, field.name)),
        });
        let texts = texts.collect::<Result<Vec<String>, String>>()?;
        let values = match field.kind {
            Kind::Boolean => Values::Booleans(parsed(&texts, |text| text.parse::<bool>().ok().map(u8::from), wrong)?),
            Kind::Integer => Values::Integers(parsed(&texts, |text| text.parse().ok(), wrong)?),
            Kind::Double => Values::Doubles(parsed(&texts, |text| text.parse().ok(), wrong)?),
            Kind::Text | Kind::Symbol => Values::Pooled(parsed(&texts, |text| pool.intern(text.as_bytes()), wrong)?),
            Kind::Blob | Kind::Timestamp | Kind::Duration => return Err(wrong("anything")),
        };
        columns.push(Column::new(values));
    }
    Ok(columns)
}

fn parsed<T>(
    texts: &[String],
    mut parse: impl FnMut(&str) -> Option<T>,
    wrong: impl Fn(&str) -> String,
) -> Result<Vec<T>, String> {
    texts.iter().map(|text| parse(text).ok_or_else(|| wrong(text))).collect()
}

/// CPU time of this process, as CLIPS's side counts it.
pub(crate) fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

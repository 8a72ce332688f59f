//! The component around the library: words of the plugin contract to words of this crate and back. Decides nothing.

use std::cell::RefCell;

use crate::diagnostic::{self, Severity};
use crate::engine::{self, Ended, LimitReached};
use crate::file::{self, TraceLevel};
use crate::load::{Loaded, Options, Refused};
use crate::outcome::{self, OwnedValues};
use crate::schema::{Origin, Scalar};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "inferwit:plugin/rules-tools-plugin",
        pub_export_macro: true,
    });
}

use bindings::exports::inferwit::plugin::manifest::{self, Info};
use bindings::exports::inferwit::plugin::rules as wit;
use bindings::exports::inferwit::plugin::rules_tools as tools;
use bindings::inferwit::plugin::budget::time_is_up;
use bindings::inferwit::plugin::common::{self, Failure, Packed};

struct Component;

#[expect(unsafe_code, unreachable_pub, reason = "what `wit-bindgen` makes of the exports")]
mod exported {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}

impl manifest::Guest for Component {
    fn describe() -> Info {
        Info {
            name: "rules".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            config_schema: r#"{"type":"object","properties":{"params":{"type":"object"},"ceilings":{"type":"object"}},"additionalProperties":false}"#.to_owned(),
            labels: vec![("license".to_owned(), env!("CARGO_PKG_LICENSE").to_owned())],
        }
    }
}

impl wit::Guest for Component {
    type Ruleset = RefCell<Loaded>;
}

impl wit::GuestRuleset for RefCell<Loaded> {
    fn load(source: Vec<u8>, config: String) -> Result<wit::Ruleset, Vec<common::Diagnostic>> {
        let loaded = Loaded::from_source(&source, &config, time_is_up).map_err(diagnostics)?;
        Ok(wit::Ruleset::new(Self::new(loaded)))
    }

    fn load_compiled(compiled: Vec<u8>, config: String) -> Result<wit::Ruleset, Vec<common::Diagnostic>> {
        let loaded = Loaded::from_compiled(&compiled, &config, time_is_up).map_err(diagnostics)?;
        Ok(wit::Ruleset::new(Self::new(loaded)))
    }

    fn signature(&self) -> wit::Signature {
        let loaded = self.borrow();
        let templates = loaded.rules.schema.templates.iter().filter(|template| template.origin != Origin::Table);
        wit::Signature {
            name: loaded.rules.name.clone(),
            version: loaded.rules.version.clone(),
            templates: templates.map(template).collect(),
            rules: loaded.rules.rules.iter().map(|rule| rule.id.clone()).collect(),
        }
    }

    fn warnings(&self) -> Vec<common::Diagnostic> {
        diagnostics(self.borrow().warnings.clone())
    }

    fn evaluate(&self, facts: wit::Facts, options: wit::EvaluateOptions) -> Result<wit::Outcome, Failure> {
        let mut loaded = self.borrow_mut();
        let given = given(&facts);
        let asked = Options { trace: options.trace.map(trace_level), params: options.params.as_deref() };
        let ended = loaded.evaluate(&given, asked).map_err(refusal)?;
        Ok(outcome(&loaded, &ended, options.report))
    }
}

impl tools::Guest for Component {
    fn canonical(source: Vec<u8>) -> Result<Vec<u8>, Vec<common::Diagnostic>> {
        crate::load::canonical_form(&source).map(String::into_bytes).map_err(diagnostics)
    }

    fn compile(source: Vec<u8>) -> Result<Vec<u8>, Vec<common::Diagnostic>> {
        crate::load::compile(&source).map_err(diagnostics)
    }

    fn test(source: Vec<u8>, filter: String) -> Result<Vec<tools::TestResult>, Vec<common::Diagnostic>> {
        let outcomes = crate::load::test(&source, &filter, time_is_up).map_err(diagnostics)?;
        let result = |test: crate::testing::TestOutcome| tools::TestResult {
            name: test.name,
            passed: test.passed,
            message: test.message,
        };
        Ok(outcomes.into_iter().map(result).collect())
    }

    fn plan(ruleset: wit::RulesetBorrow<'_>) -> String {
        ruleset.get::<RefCell<Loaded>>().borrow().plan()
    }

    fn explain(
        ruleset: wit::RulesetBorrow<'_>,
        facts: wit::Facts,
        options: wit::EvaluateOptions,
        query: String,
    ) -> Result<String, Failure> {
        let mut loaded = ruleset.get::<RefCell<Loaded>>().borrow_mut();
        let asked = Options { trace: options.trace.map(trace_level), params: options.params.as_deref() };
        loaded.explain(&given(&facts), asked, &query).map_err(refusal)
    }
}

fn diagnostics(findings: Vec<diagnostic::Diagnostic>) -> Vec<common::Diagnostic> {
    findings.into_iter().map(wit_diagnostic).collect()
}

fn wit_diagnostic(finding: diagnostic::Diagnostic) -> common::Diagnostic {
    common::Diagnostic {
        severity: match finding.severity {
            Severity::Warning => common::Severity::Warning,
            Severity::Error => common::Severity::Error,
        },
        code: finding.code.to_owned(),
        message: finding.message,
        span: finding.span.filter(|span| span.line > 0).map(|span| common::Span {
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            end_column: span.end_column,
        }),
        path: finding.path,
        rule: finding.rule,
        hint: finding.hint,
    }
}

fn refusal(refused: Refused) -> Failure {
    match refused {
        Refused::Params(reason) => Failure::Invalid(reason),
        Refused::Facts(reason) => Failure::Unprocessable(reason),
    }
}

fn trace_level(level: wit::TraceLevel) -> TraceLevel {
    match level {
        wit::TraceLevel::Off => TraceLevel::Off,
        wit::TraceLevel::Decisions => TraceLevel::Decisions,
        wit::TraceLevel::Full => file::TraceLevel::Full,
    }
}

fn template(template: &crate::schema::TemplateSchema) -> wit::Template {
    let field = |(place, field): (usize, &crate::schema::FieldSchema)| wit::Field {
        name: field.name.clone(),
        kind: kind(field.ty.scalar),
        repeated: field.ty.list,
        key: template.key.contains(&(place as u16)),
        optional: field.optional || field.default.is_some(),
        symbols: if field.ty.scalar == Scalar::Enum { field.values.clone() } else { Vec::new() },
        length: field.len,
    };
    wit::Template {
        name: template.name.clone(),
        origin: match template.origin {
            Origin::Input => wit::Origin::Input,
            Origin::Output => wit::Origin::Output,
            Origin::Derived | Origin::Table => wit::Origin::Derived,
        },
        fields: template.fields.iter().enumerate().map(field).collect(),
    }
}

fn kind(scalar: Scalar) -> wit::Kind {
    match scalar {
        Scalar::Bool => wit::Kind::Boolean,
        Scalar::Int => wit::Kind::Integer,
        Scalar::Double => wit::Kind::Double,
        Scalar::String => wit::Kind::Text,
        Scalar::Bytes => wit::Kind::Blob,
        Scalar::Enum => wit::Kind::Symbol,
        Scalar::Timestamp => wit::Kind::Timestamp,
        Scalar::Duration => wit::Kind::Duration,
    }
}

fn given(facts: &wit::Facts) -> engine::Given<'_> {
    engine::Given {
        tables: facts.tables.iter().map(given_table).collect(),
        pool_ends: &facts.pool.ends,
        pool_data: &facts.pool.data,
    }
}

fn given_table(table: &wit::Table) -> engine::GivenTable<'_> {
    let columns = table.columns.iter();
    let columns = columns.map(|column| engine::Column { values: values(&column.values), missing: &column.missing });
    engine::GivenTable { template: table.template, rows: table.rows, columns: columns.collect() }
}

fn values(values: &wit::Values) -> engine::Values<'_> {
    match values {
        wit::Values::Booleans(values) => engine::Values::Booleans(values),
        wit::Values::Integers(values) => engine::Values::Integers(values),
        wit::Values::Doubles(values) => engine::Values::Doubles(values),
        wit::Values::Pooled(values) => engine::Values::Pooled(values),
        wit::Values::BooleanLists((ends, values)) => engine::Values::BooleanLists(ends, values),
        wit::Values::IntegerLists((ends, values)) => engine::Values::IntegerLists(ends, values),
        wit::Values::DoubleLists((ends, values)) => engine::Values::DoubleLists(ends, values),
        wit::Values::PooledLists((ends, values)) => engine::Values::PooledLists(ends, values),
    }
}

fn outcome(loaded: &Loaded, ended: &Ended, wants_report: bool) -> wit::Outcome {
    let engine = &loaded.engine;
    let decision = |decision: engine::Decision| wit::Decision {
        decision: decision.decision,
        code: decision.code,
        subject: decision.subject,
        message: decision.message,
        data: decision.data,
        rule: decision.rule,
    };
    let is_well = matches!(ended, Ended::Well);
    wit::Outcome {
        status: match ended {
            Ended::Well => wit::Status::Ok,
            Ended::Limit(_) => wit::Status::Limit,
            Ended::Error(_) => wit::Status::Error,
        },
        decisions: outcome::decisions_of(engine, ended).into_iter().map(decision).collect(),
        derived: if is_well { facts(outcome::output_facts(engine)) } else { facts(outcome::OutputFacts::default()) },
        fired: engine.fired(),
        stats: wit::Stats {
            firings: engine.stats.firings,
            derivations: engine.stats.derivations,
            facts: engine.fact_count(),
            work: engine.heap.meter.work,
        },
        limit: match ended {
            Ended::Limit(limit) => Some(limit_reached(engine, limit)),
            _ => None,
        },
        report: (wants_report || !is_well).then(|| crate::report::report(engine, ended)),
    }
}

fn limit_reached(engine: &engine::Engine, limit: &LimitReached) -> wit::LimitReached {
    wit::LimitReached {
        name: limit.kind.name().to_owned(),
        value: limit.value,
        rules: limit.rules.clone(),
        facts: limit.facts.iter().map(|&(template, row)| engine.fact_text(template, row)).collect(),
    }
}

fn facts(facts: outcome::OutputFacts) -> wit::Facts {
    let column = |column: outcome::OwnedColumn| wit::Column {
        values: match column.values {
            OwnedValues::Booleans(values) => wit::Values::Booleans(values),
            OwnedValues::Integers(values) => wit::Values::Integers(values),
            OwnedValues::Doubles(values) => wit::Values::Doubles(values),
            OwnedValues::Pooled(values) => wit::Values::Pooled(values),
            OwnedValues::BooleanLists(ends, values) => wit::Values::BooleanLists((ends, values)),
            OwnedValues::IntegerLists(ends, values) => wit::Values::IntegerLists((ends, values)),
            OwnedValues::DoubleLists(ends, values) => wit::Values::DoubleLists((ends, values)),
            OwnedValues::PooledLists(ends, values) => wit::Values::PooledLists((ends, values)),
        },
        missing: column.missing,
    };
    let table = |table: outcome::OutputTable| wit::Table {
        template: table.template,
        rows: table.rows,
        columns: table.columns.into_iter().map(column).collect(),
    };
    wit::Facts {
        tables: facts.tables.into_iter().map(table).collect(),
        pool: Packed { ends: facts.pool_ends, data: facts.pool_data },
    }
}

//! `rules` and `rules-tools`: facts are lent to the guest as they lie, and what it gives is moved into the host's types.

use super::bindings::rules::exports::inferwit::plugin::rules as guest;
use super::bindings::rules::exports::inferwit::plugin::rules_tools;
use crate::plugin::rules::{
    Column, EvaluateOptions, Facts, Field, Kind, LimitReached, Lists, Origin, Outcome, Pool, RuleDecision,
    RulesSignature, RunStats, RunStatus, Table, Template, TestResult, TraceLevel, Values,
};

/// The words of `common` that the bindings of rules use: the shared ones, and `packed` lent and given.
#[expect(unreachable_pub, reason = "the generated bindings re-export them")]
pub mod common {
    use wasmtime::component::{ComponentType, Lower};

    pub use super::super::bindings::inferwit::plugin::common::{
        Diagnostic, Failure, Host, HostWithStore, Packed as PackedResult, add_to_linker,
    };

    #[derive(Clone, Copy, Debug, ComponentType, Lower)]
    #[component(record)]
    pub struct PackedParam<'a> {
        #[component(name = "ends")]
        pub ends: &'a [u32],
        #[component(name = "data")]
        pub data: &'a [u8],
    }
}

/// Calls `body` with the facts as the guest takes them. The columns are not copied: one copy is made, into the guest.
pub(crate) fn lend<R>(facts: &Facts, body: impl FnOnce(guest::FactsParam<'_>) -> R) -> R {
    let columns: Vec<_> = facts.tables.iter().flat_map(|table| &table.columns).map(lent_column).collect();
    let mut rest = columns.as_slice();
    let tables: Vec<_> = facts
        .tables
        .iter()
        .map(|table| {
            let (columns, others) = rest.split_at(table.columns.len());
            rest = others;
            guest::TableParam { template: table.template, rows: table.rows, columns }
        })
        .collect();
    let pool = common::PackedParam { ends: facts.pool.ends(), data: facts.pool.data() };
    body(guest::FactsParam { tables: &tables, pool })
}

fn lent_column(column: &Column) -> guest::ColumnParam<'_> {
    let values = match &column.values {
        Values::Booleans(values) => guest::ValuesParam::Booleans(values),
        Values::Integers(values) => guest::ValuesParam::Integers(values),
        Values::Doubles(values) => guest::ValuesParam::Doubles(values),
        Values::Pooled(values) => guest::ValuesParam::Pooled(values),
        Values::BooleanLists(lists) => guest::ValuesParam::BooleanLists((&lists.ends, &lists.elements)),
        Values::IntegerLists(lists) => guest::ValuesParam::IntegerLists((&lists.ends, &lists.elements)),
        Values::DoubleLists(lists) => guest::ValuesParam::DoubleLists((&lists.ends, &lists.elements)),
        Values::PooledLists(lists) => guest::ValuesParam::PooledLists((&lists.ends, &lists.elements)),
    };
    guest::ColumnParam { values, missing: &column.missing }
}

pub(crate) fn lent_options(options: &EvaluateOptions) -> guest::EvaluateOptions<'_> {
    guest::EvaluateOptions {
        trace: options.trace.map(|level| match level {
            TraceLevel::Off => guest::TraceLevel::Off,
            TraceLevel::Decisions => guest::TraceLevel::Decisions,
            TraceLevel::Full => guest::TraceLevel::Full,
        }),
        report: options.report,
        params: options.params.as_deref(),
    }
}

pub(crate) fn host_signature(signature: guest::Signature) -> RulesSignature {
    RulesSignature {
        name: signature.name,
        version: signature.version,
        templates: signature.templates.into_iter().map(host_template).collect(),
        rules: signature.rules,
    }
}

fn host_template(template: guest::Template) -> Template {
    Template {
        name: template.name,
        origin: match template.origin {
            guest::Origin::Input => Origin::Input,
            guest::Origin::Derived => Origin::Derived,
            guest::Origin::Output => Origin::Output,
        },
        fields: template.fields.into_iter().map(host_field).collect(),
    }
}

fn host_field(field: guest::Field) -> Field {
    Field {
        name: field.name,
        kind: match field.kind {
            guest::Kind::Boolean => Kind::Boolean,
            guest::Kind::Integer => Kind::Integer,
            guest::Kind::Double => Kind::Double,
            guest::Kind::Text => Kind::Text,
            guest::Kind::Blob => Kind::Blob,
            guest::Kind::Symbol => Kind::Symbol,
            guest::Kind::Timestamp => Kind::Timestamp,
            guest::Kind::Duration => Kind::Duration,
        },
        repeated: field.repeated,
        key: field.key,
        optional: field.optional,
        symbols: field.symbols,
        length: field.length,
    }
}

/// The outcome in the host's types, checked: whoever reads it need not look whether an index is inside.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn host_outcome(outcome: guest::Outcome, signature: &RulesSignature) -> Result<Outcome, String> {
    let derived = host_facts(outcome.derived)?;
    derived.check_outputs(signature).map_err(|reason| format!("facts that were derived: {reason}"))?;
    let outcome = Outcome {
        status: match outcome.status {
            guest::Status::Ok => RunStatus::Ok,
            guest::Status::Limit => RunStatus::Limit,
            guest::Status::Error => RunStatus::Error,
        },
        decisions: outcome.decisions.into_iter().map(host_decision).collect(),
        derived,
        fired: outcome.fired,
        stats: RunStats {
            firings: outcome.stats.firings,
            derivations: outcome.stats.derivations,
            facts: outcome.stats.facts,
            work: outcome.stats.work,
        },
        limit: outcome.limit.map(|limit| LimitReached {
            name: limit.name,
            value: limit.value,
            rules: limit.rules,
            facts: limit.facts,
            is_requests_time: false,
        }),
        report: outcome.report,
    };
    let decided = outcome.decisions.iter().filter_map(|decision| decision.rule);
    let fired = outcome.fired.iter().map(|&(rule, _)| rule);
    let limited = outcome.limit.iter().flat_map(|limit| limit.rules.iter().copied());
    match decided.chain(fired).chain(limited).find(|&rule| rule as usize >= signature.rules.len()) {
        Some(rule) => Err(format!("the outcome names rule {rule}, of {}", signature.rules.len())),
        None => Ok(outcome),
    }
}

fn host_decision(decision: guest::Decision) -> RuleDecision {
    let guest::Decision { decision, code, subject, message, data, rule } = decision;
    RuleDecision { decision, code, subject, message, data, rule }
}

fn host_facts(facts: guest::FactsResult) -> Result<Facts, String> {
    let pool = Pool::from_parts(facts.pool.ends, facts.pool.data);
    let pool = pool.ok_or("the ends in the pool are not ascending, or not those of its data")?;
    Ok(Facts { tables: facts.tables.into_iter().map(host_table).collect(), pool })
}

fn host_table(table: guest::TableResult) -> Table {
    let columns = table.columns.into_iter().map(|column| Column {
        values: match column.values {
            guest::ValuesResult::Booleans(values) => Values::Booleans(values),
            guest::ValuesResult::Integers(values) => Values::Integers(values),
            guest::ValuesResult::Doubles(values) => Values::Doubles(values),
            guest::ValuesResult::Pooled(values) => Values::Pooled(values),
            guest::ValuesResult::BooleanLists((ends, elements)) => Values::BooleanLists(Lists { ends, elements }),
            guest::ValuesResult::IntegerLists((ends, elements)) => Values::IntegerLists(Lists { ends, elements }),
            guest::ValuesResult::DoubleLists((ends, elements)) => Values::DoubleLists(Lists { ends, elements }),
            guest::ValuesResult::PooledLists((ends, elements)) => Values::PooledLists(Lists { ends, elements }),
        },
        missing: column.missing,
    });
    Table { template: table.template, rows: table.rows, columns: columns.collect() }
}

pub(crate) fn host_test_result(result: rules_tools::TestResult) -> TestResult {
    let rules_tools::TestResult { name, passed, message } = result;
    TestResult { name, passed, message }
}

//! A rule engine without rules: gives its facts back, counts its evaluations, and misbehaves on request.
//!
//! The request's `params` say how, as a JSON string; else facts of `thing` come back as facts of `echo`, and
//! `stats.work` is how many evaluations this guest has seen.

use std::cell::Cell;

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/v0.1",
        world: "inferwit:plugin/rules-tools-plugin",
        pub_export_macro: true,
    });
}

use bindings::exports::inferwit::plugin::manifest;
use bindings::exports::inferwit::plugin::rules::{
    Decision, EvaluateOptions, Facts, Field, Guest, GuestRuleset, Kind, LimitReached, Origin, Outcome, Ruleset,
    RulesetBorrow, Signature, Stats, Status, Table, Template,
};
use bindings::exports::inferwit::plugin::rules_tools::{Guest as GuestTools, TestResult};
use bindings::inferwit::plugin::budget;
use bindings::inferwit::plugin::common::{Diagnostic, Failure, Packed, Severity};

const COMPILED: &[u8] = b"compiled:";
/// Less than this is touched between two looks at the time.
const BLOCK_BYTES: usize = 1 << 20;

struct Engine;

/// What a rule set is here.
struct Loaded {
    config: String,
    evaluations: Cell<u64>,
}

impl Guest for Engine {
    type Ruleset = Loaded;
}

impl GuestRuleset for Loaded {
    fn load(source: Vec<u8>, config: String) -> Result<Ruleset, Vec<Diagnostic>> {
        check(&source)?;
        if source == b"trap" {
            std::process::abort();
        }
        Ok(Ruleset::new(Self { config, evaluations: Cell::new(0) }))
    }

    fn load_compiled(compiled: Vec<u8>, config: String) -> Result<Ruleset, Vec<Diagnostic>> {
        match compiled.strip_prefix(COMPILED) {
            Some(source) => Self::load(source.to_vec(), config),
            None => Err(vec![diagnostic(Severity::Error, "not-compiled", None)]),
        }
    }

    fn signature(&self) -> Signature {
        let template = |name: &str, origin| Template { name: name.to_owned(), origin, fields: fields() };
        Signature {
            name: "guest".to_owned(),
            version: "1.2.3".to_owned(),
            templates: vec![template("thing", Origin::Input), template("echo", Origin::Output)],
            rules: vec!["only".to_owned()],
        }
    }

    fn warnings(&self) -> Vec<Diagnostic> {
        vec![diagnostic(Severity::Warning, "no-rules", Some("only"))]
    }

    fn evaluate(&self, facts: Facts, options: EvaluateOptions) -> Result<Outcome, Failure> {
        self.evaluations.set(self.evaluations.get() + 1);
        let mut outcome = echo(facts, self.evaluations.get());
        match options.params.as_deref().map(|params| params.trim_matches('"')) {
            None => {}
            Some("trap") => std::process::abort(),
            Some("spin") => loop {
                std::hint::black_box(());
            },
            Some("wait") => wait(&mut outcome),
            Some("grow") => keep(100 << 20),
            Some("memory") => loop {
                keep(BLOCK_BYTES);
            },
            Some("fail") => return Err(Failure::Unprocessable("facts are refused".to_owned())),
            Some("unknown_rule") => outcome.fired = vec![(1, 1)],
            Some("bad_pool") => outcome.derived.pool.ends = vec![2, 1],
            Some("input_template") => outcome.derived.tables.iter_mut().for_each(|table| table.template = 0),
            Some(other) => return Err(Failure::Invalid(other.to_owned())),
        }
        if options.report {
            outcome.report = Some("{}".to_owned());
        }
        Ok(outcome)
    }
}

impl GuestTools for Engine {
    fn canonical(source: Vec<u8>) -> Result<Vec<u8>, Vec<Diagnostic>> {
        check(&source).map(|()| source.trim_ascii().to_vec())
    }

    fn compile(source: Vec<u8>) -> Result<Vec<u8>, Vec<Diagnostic>> {
        check(&source).map(|()| [COMPILED, &source].concat())
    }

    fn test(source: Vec<u8>, filter: String) -> Result<Vec<TestResult>, Vec<Diagnostic>> {
        check(&source)?;
        let result = |name: &str, message: &str| TestResult {
            name: name.to_owned(),
            passed: message.is_empty(),
            message: message.to_owned(),
        };
        let results = vec![result("first", ""), result("second", "it differs")];
        Ok(results.into_iter().filter(|result| result.name.contains(&filter)).collect())
    }

    fn plan(ruleset: RulesetBorrow<'_>) -> String {
        ruleset.get::<Loaded>().config.clone()
    }

    fn explain(
        _ruleset: RulesetBorrow<'_>,
        facts: Facts,
        _options: EvaluateOptions,
        query: String,
    ) -> Result<String, Failure> {
        let rows: u32 = facts.tables.iter().map(|table| table.rows).sum();
        if query.is_empty() { Err(Failure::Invalid("no query".to_owned())) } else { Ok(format!("{query} of {rows}")) }
    }
}

impl manifest::Guest for Engine {
    fn describe() -> manifest::Info {
        manifest::Info {
            name: "rules".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            config_schema: "{}".to_owned(),
            labels: Vec::new(),
        }
    }
}

fn fields() -> Vec<Field> {
    let kinds = [Kind::Boolean, Kind::Integer, Kind::Double, Kind::Text];
    let names = ["flag", "count", "score", "name", "flags", "counts", "scores", "names"];
    let field = |(place, name): (usize, &str)| Field {
        name: name.to_owned(),
        kind: kinds[place % 4],
        repeated: place >= 4,
        key: false,
        optional: place < 4,
        symbols: Vec::new(),
        length: None,
    };
    names.into_iter().enumerate().map(field).collect()
}

fn check(source: &[u8]) -> Result<(), Vec<Diagnostic>> {
    if source == b"bad" {
        return Err(vec![
            diagnostic(Severity::Error, "first", None),
            diagnostic(Severity::Warning, "second", Some("only")),
        ]);
    }
    Ok(())
}

fn diagnostic(severity: Severity, code: &str, rule: Option<&str>) -> Diagnostic {
    Diagnostic {
        severity,
        code: code.to_owned(),
        message: format!("it is {code}"),
        span: None,
        path: None,
        rule: rule.map(str::to_owned),
        hint: None,
    }
}

fn echo(facts: Facts, evaluations: u64) -> Outcome {
    let rows: u32 = facts.tables.iter().map(|table| table.rows).sum();
    let tables = facts.tables.into_iter().map(|table| Table { template: 1, ..table }).collect();
    Outcome {
        status: Status::Ok,
        decisions: vec![Decision {
            decision: "accept".to_owned(),
            code: "echoed".to_owned(),
            subject: None,
            message: None,
            data: None,
            rule: Some(0),
        }],
        derived: Facts { tables, pool: Packed { ends: facts.pool.ends, data: facts.pool.data } },
        fired: vec![(0, u64::from(rows))],
        stats: Stats { firings: 0, derivations: 0, facts: u64::from(rows), work: evaluations },
        limit: None,
        report: None,
    }
}

/// Ends by itself as an engine does, with a report.
fn wait(outcome: &mut Outcome) {
    while !budget::time_is_up() {
        std::hint::black_box(());
    }
    outcome.status = Status::Limit;
    outcome.limit = Some(LimitReached { name: "max_time_ms".to_owned(), value: 0, rules: vec![0], facts: Vec::new() });
    outcome.report = Some("{}".to_owned());
}

/// Memory that is never given back.
fn keep(bytes: usize) {
    std::mem::forget(std::hint::black_box(vec![1_u8; bytes]));
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, unreachable_pub, reason = "what `wit-bindgen` makes of the exports")]
mod export {
    super::bindings::export!(Engine with_types_in super::bindings);
    use super::Engine;
}

/// Natively there is no host: the engine is only seen to be one.
#[cfg(not(target_family = "wasm"))]
const _: fn() = || {
    fn is_engine<E: Guest + GuestTools + manifest::Guest>() {}
    is_engine::<Engine>();
};

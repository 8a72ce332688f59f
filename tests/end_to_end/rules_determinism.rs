//! The rule engine as a component gives the bytes that the library gives natively, in whatever order facts and keys arrive.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use inferwit::infer::{InferRequest, RequestContext};
use inferwit::plugin::{
    Column, EngineSettings, EvaluateOptions, Facts, Isolation, Limits, Lists, OpenRules, Plugin, PluginEngine, Pool,
    RuleSetSource, RulesUsage, Table, TraceLevel, Values,
};
use rules_plugin::outcome::{OutputFacts, OwnedColumn, OwnedValues};

use crate::fixtures;

#[path = "../../plugins/rules/tests/determinism/cases.rs"]
mod cases;
#[path = "../../plugins/rules/tests/determinism/columns.rs"]
mod columns;
#[path = "../../plugins/rules/tests/reference/expressions.rs"]
mod expressions;
#[path = "../../plugins/rules/tests/reference/generator.rs"]
mod generator;
#[path = "../../plugins/rules/tests/determinism/native.rs"]
mod native;
#[path = "../../plugins/rules/tests/reference/program.rs"]
#[expect(dead_code, reason = "steps, and smaller programs, are for the comparison with the reference")]
mod program;
#[path = "../../plugins/rules/tests/reference/random.rs"]
mod random;
#[path = "../../plugins/rules/tests/determinism/shuffled.rs"]
mod shuffled;

use cases::Case;
use shuffled::{Orders, shuffled_facts, shuffled_source};

/// Random rule sets that are tried; the library alone tries more.
const RANDOM: u64 = 60;

/// The component, and requests to it.
struct Wasm {
    plugin: Arc<Plugin>,
    context: Arc<RequestContext>,
}

impl Wasm {
    fn new() -> Self {
        let settings = EngineSettings { cache_dir: None, memory_bytes_max: 512 << 20 };
        let engine = Arc::new(PluginEngine::new(settings).unwrap());
        let bytes = fs::read(fixtures::plugin("rules")).unwrap();
        Self {
            plugin: Arc::new(Plugin::compile(&engine, "rules@1.0.0", &bytes, 2).unwrap()),
            context: Arc::new(InferRequest::new(Vec::new()).split().1),
        }
    }

    fn open(&self, rule_set: RuleSetSource) -> OpenRules {
        let limits = Limits { deadline: Duration::from_secs(20), memory_bytes: 512 << 20, ..Limits::with_cores(2) };
        let usage = RulesUsage { step: None, rule_set, config: String::new(), isolation: Isolation::Warm, limits };
        self.plugin.rules(usage).unwrap()
    }

    fn text(&self, source: &str) -> OpenRules {
        self.open(RuleSetSource::Text(source.to_owned().into()))
    }

    fn compiled(&self, source: &str) -> OpenRules {
        let limits = Limits::with_cores(2);
        self.open(RuleSetSource::Compiled(self.plugin.compile_rules(source.as_bytes(), limits).unwrap().into()))
    }

    fn reported(&self, rules: &OpenRules, facts: &OutputFacts) -> String {
        rules.evaluate(&sent(facts), &options(), &self.context).result.unwrap().report.unwrap()
    }

    /// All forms of a rule set, and all orders, give what the library gives.
    fn check(&self, case: &Case, orders: &mut Orders) {
        let mut library = native::load(&case.source);
        let (text, compiled) = (self.text(&case.source), self.compiled(&case.source));
        let other = self.text(&shuffled_source(&case.source, orders));
        for node in &case.given {
            let facts = native::facts(node, &library);
            let shuffled = native::facts(&shuffled_facts(node, orders), &library);
            let (report, ended) = native::reported(&mut library, &facts);
            assert_eq!(self.reported(&text, &facts), report, "{}", case.source);
            assert_eq!(self.reported(&text, &shuffled), report, "{}", case.source);
            assert_eq!(self.reported(&compiled, &shuffled), report, "{}", case.source);
            assert_eq!(self.reported(&other, &shuffled), report, "{}", case.source);
            for query in native::queries(&library, &ended) {
                let expected = native::explained(&mut library, &facts, &query).ok();
                let found = text.explain(&sent(&shuffled), &options(), &query).ok();
                assert_eq!(found, expected, "`{query}` of {}", case.source);
            }
        }
    }
}

fn options() -> EvaluateOptions {
    EvaluateOptions { report: true, trace: Some(TraceLevel::Full), ..EvaluateOptions::default() }
}

fn sent(facts: &OutputFacts) -> Facts {
    let table = |table: &rules_plugin::outcome::OutputTable| Table {
        template: table.template,
        rows: table.rows,
        columns: table.columns.iter().map(column).collect(),
    };
    Facts {
        tables: facts.tables.iter().map(table).collect(),
        pool: Pool::from_parts(facts.pool_ends.clone(), facts.pool_data.clone()).unwrap(),
    }
}

fn column(column: &OwnedColumn) -> Column {
    let values = match column.values.clone() {
        OwnedValues::Booleans(values) => Values::Booleans(values),
        OwnedValues::Integers(values) => Values::Integers(values),
        OwnedValues::Doubles(values) => Values::Doubles(values),
        OwnedValues::Pooled(values) => Values::Pooled(values),
        OwnedValues::BooleanLists(ends, elements) => Values::BooleanLists(Lists { ends, elements }),
        OwnedValues::IntegerLists(ends, elements) => Values::IntegerLists(Lists { ends, elements }),
        OwnedValues::DoubleLists(ends, elements) => Values::DoubleLists(Lists { ends, elements }),
        OwnedValues::PooledLists(ends, elements) => Values::PooledLists(Lists { ends, elements }),
    };
    Column { values, missing: column.missing.clone() }
}

#[test]
fn the_component_reports_what_the_library_reports() {
    let wasm = Wasm::new();
    for case in cases::written() {
        (0..3).for_each(|seed| wasm.check(&case, &mut Orders(seed)));
    }
}

#[test]
fn the_component_reports_what_the_library_reports_of_random_rule_sets() {
    let wasm = Wasm::new();
    let cases = (0..RANDOM).filter_map(|seed| Some((seed, cases::random(seed)?)));
    cases.for_each(|(seed, case)| wasm.check(&case, &mut Orders(seed)));
}

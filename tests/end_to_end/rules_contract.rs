//! The host's side of the `rules` interface, with a guest that has no rules: facts, outcomes, limits, warm instances, tools.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferwit::infer::{InferRequest, RequestContext};
use inferwit::plugin::{
    Answer, Column, EngineSettings, EvaluateOptions, Facts, Failure, Isolation, Limit, Limits, Lists, OpenRules,
    Outcome, Plugin, PluginEngine, PluginError, PoolBuilder, RuleSetSource, RulesUsage, RunStatus, TIME_LIMIT, Table,
    Values,
};

use crate::fixtures;

const MIB: usize = 1 << 20;

fn plugin(name: &str) -> Arc<Plugin> {
    let settings = EngineSettings { cache_dir: None, memory_bytes_max: 512 * MIB };
    let engine = Arc::new(PluginEngine::new(settings).unwrap());
    let bytes = fs::read(fixtures::plugin(name)).unwrap();
    Arc::new(Plugin::compile(&engine, &format!("{name}@1.0.0"), &bytes, 2).unwrap())
}

/// More time than any test needs that is not about time: the machine may be busy.
fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), memory_bytes: 256 * MIB, ..Limits::with_cores(2) }
}

fn usage(source: &'static str, limits: Limits) -> RulesUsage {
    RulesUsage {
        step: Some("decide".to_owned()),
        rule_set: RuleSetSource::Text(source.into()),
        config: "{}".to_owned(),
        isolation: Isolation::Warm,
        limits,
    }
}

fn open(limits: Limits) -> OpenRules {
    plugin("rules-guest").rules(usage("rules", limits)).unwrap()
}

fn context() -> Arc<RequestContext> {
    Arc::new(InferRequest::new(Vec::new()).split().1)
}

/// Rows with a value and a list of every kind.
fn facts(rows: u32) -> Facts {
    let mut pool = PoolBuilder::new();
    let names: Vec<u32> = (0..rows).map(|row| pool.intern(format!("n{}", row % 7).as_bytes()).unwrap()).collect();
    let ends: Vec<u32> = (1..=rows).collect();
    let (flags, counts): (Vec<u8>, Vec<i64>) = (0..rows).map(|row| (u8::from(row % 2 == 0), i64::from(row))).unzip();
    let scores: Vec<f64> = counts.iter().map(|&count| count as f64 / 8.0).collect();
    let columns = vec![
        Column { values: Values::Booleans(flags.clone()), missing: vec![0] },
        Column::new(Values::Integers(counts.clone())),
        Column::new(Values::Doubles(scores.clone())),
        Column::new(Values::Pooled(names.clone())),
        Column::new(Values::BooleanLists(Lists { ends: ends.clone(), elements: flags })),
        Column::new(Values::IntegerLists(Lists { ends: ends.clone(), elements: counts })),
        Column::new(Values::DoubleLists(Lists { ends: ends.clone(), elements: scores })),
        Column::new(Values::PooledLists(Lists { ends, elements: names })),
    ];
    Facts { tables: vec![Table { template: 0, rows, columns }], pool: pool.finish() }
}

fn evaluate(rules: &OpenRules, act: Option<&str>, context: &Arc<RequestContext>) -> Answer<Outcome> {
    let options = EvaluateOptions { params: act.map(|act| format!("\"{act}\"")), ..EvaluateOptions::default() };
    rules.evaluate(&facts(3), &options, context)
}

/// How many evaluations the guest that answers has seen, this one included.
fn evaluations(rules: &OpenRules) -> u64 {
    evaluate(rules, None, &context()).result.unwrap().stats.work
}

#[test]
fn facts_of_every_kind_cross_and_come_back() {
    let rules = open(limits());
    for rows in [0, 1, 100] {
        let mut sent = facts(rows);
        if rows == 0 {
            sent.tables[0].columns[0].missing.clear();
        }
        let options = EvaluateOptions { report: true, ..EvaluateOptions::default() };
        let outcome = rules.evaluate(&sent, &options, &context()).result.unwrap();
        sent.tables[0].template = 1;
        assert_eq!(outcome.derived, sent);
        assert_eq!((outcome.status, outcome.fired.as_slice()), (RunStatus::Ok, [(0, u64::from(rows))].as_slice()));
        assert_eq!((outcome.decisions[0].code.as_str(), outcome.report.as_deref()), ("echoed", Some("{}")));
    }
}

#[test]
fn a_loaded_rule_set_says_what_it_is() {
    let rules = open(limits());
    let signature = rules.signature();
    assert_eq!((signature.name.as_str(), signature.version.as_str()), ("guest", "1.2.3"));
    let (place, echo) = signature.template("echo").unwrap();
    assert_eq!((place, echo.fields.len(), echo.fields[4].repeated), (1, 8, true));
    assert_eq!(rules.warnings()[0].code, "no-rules");
}

#[test]
fn all_that_is_wrong_with_a_rule_set_is_told() {
    let guest = plugin("rules-guest");
    let refusals = [
        guest.rules(usage("bad", limits())).err(),
        guest.canonical_rules(b"bad", limits()).err(),
        guest.compile_rules(b"bad", limits()).err(),
        guest.test_rules(b"bad", "", limits()).err(),
    ];
    for refusal in refusals {
        let Some(PluginError::RuleSet { diagnostics, .. }) = refusal else { panic!("{refusal:?}") };
        let codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
        assert_eq!(codes, ["first", "second"]);
    }
}

#[test]
fn a_compiled_rule_set_is_loaded_again() {
    let guest = plugin("rules-guest");
    let compiled = guest.compile_rules(b"rules", limits()).unwrap();
    let load = |compiled: Vec<u8>| {
        guest.rules(RulesUsage { rule_set: RuleSetSource::Compiled(compiled.into()), ..usage("", limits()) })
    };
    assert!(load(compiled).is_ok());
    assert!(matches!(load(b"rules".to_vec()), Err(PluginError::RuleSet { .. })));
}

#[test]
fn an_instance_serves_again_unless_it_failed() {
    let rules = open(limits());
    assert_eq!([evaluations(&rules), evaluations(&rules)], [1, 2]);
    let refused = evaluate(&rules, Some("fail"), &context()).result.unwrap_err();
    assert!(matches!(refused, PluginError::Failure { failure: Failure::Unprocessable(_), .. }), "{refused}");
    assert_eq!(evaluations(&rules), 4, "an answer of the plugin's own does not end the instance");
    let trapped = evaluate(&rules, Some("trap"), &context()).result.unwrap_err();
    assert!(trapped.to_string().contains("in step `decide` trapped in `evaluate`"), "{trapped}");
    assert_eq!(evaluations(&rules), 1, "a trap ends the instance");
}

#[test]
fn outcomes_that_name_what_is_not_there_are_refused_and_end_the_instance() {
    let rules = open(limits());
    for (act, part) in [
        ("unknown_rule", "names rule 1, of 1"),
        ("bad_pool", "not ascending"),
        ("input_template", "no output template"),
    ] {
        let refused = evaluate(&rules, Some(act), &context()).result.unwrap_err();
        assert!(matches!(refused, PluginError::Contract { .. }) && refused.to_string().contains(part), "{refused}");
        assert_eq!(evaluations(&rules), 1, "{act}");
    }
}

#[test]
fn a_run_without_end_is_ended() {
    let rules = open(Limits { deadline: Duration::from_millis(50), ..limits() });
    let ended = evaluate(&rules, Some("spin"), &context()).result.unwrap_err();
    assert!(matches!(ended, PluginError::Limit { limit: Limit::Deadline, .. }), "{ended}");
    let mut request = InferRequest::new(Vec::new());
    request.deadline = inferwit::infer::Deadline::after(Duration::from_millis(20));
    let ended = evaluate(&rules, Some("spin"), &Arc::new(request.split().1)).result.unwrap_err();
    assert!(matches!(ended, PluginError::Deadline { .. }), "{ended}");
}

#[test]
fn an_engine_that_asks_for_its_time_ends_by_itself_and_keeps_its_report() {
    let deadline = Duration::from_millis(200);
    let rules = open(Limits { deadline, ..limits() });
    let begun = Instant::now();
    let outcome = evaluate(&rules, Some("wait"), &context()).result.unwrap();
    assert!(begun.elapsed() >= deadline - Duration::from_millis(5), "{:?}", begun.elapsed());
    let limit = outcome.limit.unwrap();
    assert_eq!((outcome.status, limit.name.as_str(), limit.is_requests_time), (RunStatus::Limit, TIME_LIMIT, false));
    let mut request = InferRequest::new(Vec::new());
    request.deadline = inferwit::infer::Deadline::after(Duration::from_millis(100));
    let outcome = evaluate(&rules, Some("wait"), &Arc::new(request.split().1)).result.unwrap();
    assert!(outcome.limit.unwrap().is_requests_time);
    assert_eq!(evaluations(&rules), 3, "it has ended by itself, so it serves on");
}

#[test]
fn time_is_up_when_the_client_has_gone() {
    let rules = open(limits());
    let context = context();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| evaluate(&rules, Some("wait"), &context));
        context.deadline.cancel();
        match waiting.join().unwrap().result {
            Ok(outcome) => assert!(outcome.limit.unwrap().is_requests_time),
            Err(error) => assert!(matches!(error, PluginError::Deadline { .. }), "{error}"),
        }
    });
}

#[test]
fn memory_grows_to_the_cap_of_rules_and_no_further() {
    let small = open(Limits { memory_bytes: 64 * MIB, ..limits() });
    let refused = evaluate(&small, Some("grow"), &context()).result.unwrap_err();
    assert!(matches!(refused, PluginError::Limit { limit: Limit::Memory, .. }), "{refused}");
    let large = open(limits());
    let grown = evaluate(&large, Some("grow"), &context());
    assert!(grown.result.is_ok() && grown.memory_bytes > 100 * MIB as u64, "{}", grown.memory_bytes);
    let refused = evaluate(&large, Some("memory"), &context()).result.unwrap_err();
    assert!(matches!(refused, PluginError::Limit { limit: Limit::Memory, .. }), "{refused}");
    assert_eq!(evaluations(&large), 1);
}

#[test]
fn tools_answer_about_rule_sets() {
    let guest = plugin("rules-guest");
    assert!(guest.has_rules_tools());
    assert_eq!(guest.canonical_rules(b" rules\n", limits()).unwrap(), b"rules");
    let results = guest.test_rules(b"rules", "sec", limits()).unwrap();
    assert_eq!((results.len(), results[0].passed, results[0].message.as_str()), (1, false, "it differs"));
    let rules = guest.rules(usage("rules", limits())).unwrap();
    assert_eq!(rules.plan().unwrap(), "{}");
    let explain = |query| rules.explain(&facts(3), &EvaluateOptions::default(), query);
    assert_eq!(explain("thing(count=1)").unwrap(), "thing(count=1) of 3");
    let refused = explain("").unwrap_err();
    assert!(matches!(refused, PluginError::Failure { failure: Failure::Invalid(_), .. }), "{refused}");
}

#[test]
fn a_plugin_without_rules_says_so() {
    let echo = plugin("echo-guest");
    let refused = echo.rules(usage("rules", limits())).err().unwrap();
    assert!(matches!(refused, PluginError::Unsupported { .. }) && refused.to_string().contains("exports no `rules`"));
    let refused = echo.canonical_rules(b"rules", limits()).unwrap_err();
    assert!(matches!(refused, PluginError::Unsupported { .. }), "{refused}");
}

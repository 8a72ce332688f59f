//! One engine, looked at from all sides after a run. Loads nothing.

use std::rc::Rc;

use rules_plugin::engine::{Decision, Ended, Engine};
use rules_plugin::explain::{Source, explain};
use rules_plugin::file::TraceLevel;
use rules_plugin::model::RuleSet;
use rules_plugin::outcome::{output_facts, result_of};
use rules_plugin::report::report;
use rules_plugin::schema::Constant;

/// Facts and decisions that are asked about.
const QUERIES_MAX: usize = 3;
const TRACED_MAX: u32 = 64;

pub(super) fn engine(rules: &Rc<RuleSet>) -> Engine {
    let params: Vec<Constant> = rules.params.iter().map(|param| param.default.clone()).collect();
    let mut engine = Engine::new(Rc::clone(rules), &params, super::budget(rules), super::in_time);
    engine.trace(TraceLevel::Full, TRACED_MAX, true);
    engine
}

/// Everything that a run can be asked for, as text.
pub(super) fn told(engine: &mut Engine, ended: &Ended, source: Option<Source<'_>>) -> String {
    let mut text = report(engine, ended);
    if matches!(ended, Ended::Well) {
        text.push_str(&format!("{:?}", output_facts(engine)));
    }
    for (query, is_there) in queries(engine, ended, source.is_some()) {
        match explain(engine, ended, source, &query) {
            Ok(answer) => {
                assert!(!is_there || answer.contains("\"holds\":true"), "`{query}` is there, but: {answer}");
                text.push_str(&answer);
            }
            // What is told in a report can be asked about, as far as the limits go.
            Err(error) => {
                assert!(error.message.contains("reached the limit") || !is_there, "`{query}`: {error}");
                text.push_str(&error.to_string());
            }
        }
    }
    text
}

/// Queries, and whether what they ask for is there.
fn queries(engine: &Engine, ended: &Ended, is_text: bool) -> Vec<(String, bool)> {
    let mut queries = Vec::new();
    // What was never text may have names that no query can say.
    let well = matches!(ended, Ended::Well) && is_text;
    for (place, template) in engine.rules.schema.templates.iter().enumerate() {
        let rows = engine.facts_of(place).into_iter().take(QUERIES_MAX);
        queries.extend(rows.map(|row| (engine.fact_text(place as u16, row), well)));
        queries.push((template.name.clone(), false));
        if let Some(field) = template.fields.first() {
            queries.push((format!("{}({}=1)", template.name, field.name), false));
        }
    }
    let decided = result_of(engine, ended);
    let code = |decision: &Decision| decision.code.replace('\\', "\\\\").replace('\'', "\\'");
    for &place in decided.result.iter().take(QUERIES_MAX) {
        queries.push((format!("decision(code='{}')", code(&decided.all[place])), well));
    }
    queries.push(("decision(code=none, subject='x')".to_owned(), false));
    queries
}

//! One run in the library: the bytes of its report and of its explanations. Compares nothing.

use rules_plugin::document::Node;
use rules_plugin::engine::Ended;
use rules_plugin::file::TraceLevel;
use rules_plugin::load::{Loaded, Options};
use rules_plugin::outcome::{OutputFacts, result_of};
use rules_plugin::report::report;
use rules_plugin::rows::read_facts;

use super::columns::{columns, given};

/// So many facts of a template, and decisions, are asked about.
const QUERIES_MAX: usize = 2;

pub(crate) const OPTIONS: Options<'static> = Options { trace: Some(TraceLevel::Full), params: None };

pub(crate) fn load(source: &str) -> Loaded {
    Loaded::from_source(source.as_bytes(), "", || false).unwrap_or_else(|found| panic!("{source}\n{found:#?}"))
}

pub(crate) fn facts(node: &Node, loaded: &Loaded) -> OutputFacts {
    let rows = read_facts(node, &loaded.rules.schema).unwrap_or_else(|found| panic!("{found:#?}"));
    columns(&rows, &loaded.rules.schema)
}

/// The report, with all events.
pub(crate) fn reported(loaded: &mut Loaded, facts: &OutputFacts) -> (String, Ended) {
    let ended = loaded.evaluate(&given(facts), OPTIONS).unwrap_or_else(|refused| panic!("{refused:?}"));
    (report(&loaded.engine, &ended), ended)
}

/// What can be asked about the run that has just ended: facts and decisions that are there, and some that are not.
pub(crate) fn queries(loaded: &Loaded, ended: &Ended) -> Vec<String> {
    let mut queries = Vec::new();
    for (place, template) in loaded.rules.schema.templates.iter().enumerate() {
        let rows = loaded.engine.facts_of(place).into_iter().rev().take(QUERIES_MAX);
        queries.extend(rows.map(|row| loaded.engine.fact_text(place as u16, row)));
        queries.extend(template.fields.first().map(|field| format!("{}({}=77)", template.name, field.name)));
    }
    let decided = result_of(&loaded.engine, ended);
    queries.extend(
        decided.result.iter().take(QUERIES_MAX).map(|&place| format!("decision(code={})", decided.all[place].code)),
    );
    queries.push("decision(code=NEVER)".to_owned());
    queries
}

/// The answer, or why there is none.
pub(crate) fn explained(loaded: &mut Loaded, facts: &OutputFacts, query: &str) -> Result<String, String> {
    loaded.explain(&given(facts), OPTIONS, query).map_err(|refused| format!("{refused:?}"))
}

//! Why something holds after a run, and why not: the `explain` and `why-not` shapes of `rules-report/v1`.
//!
//! Works on an engine whose run was recorded (`Engine::trace` with `keeps_firings`); proofs are made on demand.

use std::collections::HashSet;
use std::fmt;

use crate::engine::{Decision, Ended, Engine, Halt};
use crate::file::RuleFile;
use crate::outcome::result_of;
use crate::report::{FactIds, Writer};
use crate::schema::Origin;

mod proof;
mod query;
#[cfg(test)]
mod tests;
mod tree;
mod why_not;

use proof::{Fact, Proofs, Reason};
use query::{DecisionQuery, FactQuery, Query};
use tree::Tree;

/// The file of the rule set that is explained, for its texts and places.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub file: &'a RuleFile,
    /// How places name it.
    pub name: &'a str,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainError {
    pub message: String,
    pub hint: String,
}

impl ExplainError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for ExplainError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.message, self.hint)
    }
}

impl std::error::Error for ExplainError {}

impl From<Halt> for ExplainError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Limit(kind) => Self::new(
                format!("explaining this reached the limit `{}`", kind.name()),
                "ask for something that rests on less, or raise the limit",
            ),
            Halt::Error(error) => Self::new(error.message.clone(), "the run ended before its end"),
        }
    }
}

/// What a query asks for, where it holds.
enum Found {
    Fact(Fact),
    Decision(Box<Decision>),
}

/// Answers a query as JSON text.
///
/// # Errors
/// If the query cannot be read, or the answer takes more work than a run may.
pub fn explain(
    engine: &mut Engine,
    ended: &Ended,
    source: Option<Source<'_>>,
    query: &str,
) -> Result<String, ExplainError> {
    let asked = query::parse(query, &engine.rules.schema)?;
    let found = find(engine, ended, &asked);
    engine.with_fresh_work(|engine| match found {
        Some(found) => Ok(written(query, &proven(engine, &found)?, engine)),
        None => why_not::why_not(engine, ended, source, (query, &asked)),
    })
}

/// The ids of the rules behind what holds: breadth first from the conclusion, each once.
///
/// # Errors
/// If the query cannot be read, or nothing that it asks for holds.
pub fn why(engine: &mut Engine, ended: &Ended, query: &str) -> Result<Vec<String>, ExplainError> {
    let asked = query::parse(query, &engine.rules.schema)?;
    let Some(found) = find(engine, ended, &asked) else {
        return Err(ExplainError::new(format!("`{query}` does not hold"), "ask why not"));
    };
    let tree = engine.with_fresh_work(|engine| proven(engine, &found))?;
    Ok(tree.rules().into_iter().map(|rule| engine.rules.rules[rule as usize].id.clone()).collect())
}

fn find(engine: &Engine, ended: &Ended, query: &Query) -> Option<Found> {
    match query {
        Query::Fact(query) => find_fact(engine, query).map(|row| Found::Fact((query.template, row))),
        Query::Decision(query) => {
            let decided = result_of(engine, ended);
            let found =
                decided.result.iter().map(|&place| &decided.all[place]).find(|decision| query.asks_for(decision));
            found.map(|decision| Found::Decision(Box::new(decision.clone())))
        }
    }
}

/// The first fact in canonical order that has what the query names.
fn find_fact(engine: &Engine, query: &FactQuery) -> Option<u32> {
    let place = query.template as usize;
    let mut ids = FactIds::new(engine);
    let rows = engine.facts_of(place).into_iter();
    rows.filter(|&row| query.version.is_none_or(|version| ids.version(engine, query.template, row) == version))
        .find(|&row| query.asks_for(&engine.constants(place, row)))
}

/// The proof with the fewest firings.
fn proven(engine: &mut Engine, found: &Found) -> Result<Tree, ExplainError> {
    let mut proofs = Proofs::default();
    let (target, templates) = match found {
        Found::Fact(fact) => (proofs.node(*fact), vec![fact.0]),
        Found::Decision(decision) => match engine.firing(decision.firing) {
            Some(acted) => {
                let reason = Reason::Firing(decision.firing as usize - 1);
                let node = proofs.recorded(engine, None, acted, (reason, false));
                (node, engine.rules.rules[acted.rule as usize].looks_at().collect())
            }
            // A default rests on nothing.
            None => return Ok(Tree::lone(decision)),
        },
    };
    let wanted = relevant(engine, &templates);
    for rule in 0..engine.rules.rules.len() as u32 {
        let is_wanted = |template: u16| wanted[template as usize];
        let description = &engine.rules.rules[rule as usize];
        if description.is_derive && description.targets().any(is_wanted) {
            let mut found = Vec::new();
            engine.each_derivation(rule, |derivation| found.push(derivation))?;
            found.iter().for_each(|derivation| proofs.derivation(engine, derivation, is_wanted));
        }
    }
    let stated = engine.stated_facts();
    for &(fact, firing) in stated.iter().filter(|((template, _), _)| wanted[*template as usize]) {
        proofs.recorded(engine, Some(fact), engine.firing_at(firing), (Reason::Firing(firing), false));
    }
    for (fact, acted) in engine.born_facts().into_iter().filter(|((template, _), _)| wanted[*template as usize]) {
        // What is there now rests on what is there now, where that will do.
        let is_late = engine.tables[fact.0 as usize].is_alive(fact.1);
        proofs.recorded(engine, Some(fact), acted, (Reason::Birth(fact), is_late));
    }
    let stated: HashSet<Fact> = stated.into_iter().map(|(fact, _)| fact).collect();
    proofs.solve(engine, target, |fact| is_given(engine, fact) && !stated.contains(&fact));
    Tree::grow(engine, &proofs, target, found)
}

fn is_given(engine: &Engine, (template, _): Fact) -> bool {
    matches!(engine.rules.schema.templates[template as usize].origin, Origin::Input | Origin::Table)
}

/// Templates that facts of some templates may rest on.
fn relevant(engine: &Engine, templates: &[u16]) -> Vec<bool> {
    let mut wanted = vec![false; engine.rules.schema.templates.len()];
    templates.iter().for_each(|&template| wanted[template as usize] = true);
    loop {
        let before = wanted.iter().filter(|&&is_wanted| is_wanted).count();
        for rule in &engine.rules.rules {
            if rule.targets().any(|target| wanted[target as usize]) {
                rule.looks_at().for_each(|template| wanted[template as usize] = true);
            }
        }
        if wanted.iter().filter(|&&is_wanted| is_wanted).count() == before {
            return wanted;
        }
    }
}

fn written(query: &str, tree: &Tree, engine: &Engine) -> String {
    let mut out = Writer::default();
    out.open('{');
    out.text("query", Some(query));
    out.raw("holds", "true");
    tree.write(engine, &mut out);
    out.close('}');
    out.finish()
}

impl FactQuery {
    /// A fact has the values that the query names.
    fn asks_for(&self, row: &crate::rows::Row) -> bool {
        crate::testing::agrees(&self.row, row)
    }
}

impl DecisionQuery {
    fn asks_for(&self, decision: &Decision) -> bool {
        let is =
            |asked: &Option<String>, found: Option<&str>| asked.as_deref().is_none_or(|asked| found == Some(asked));
        is(&self.decision, Some(&decision.decision))
            && is(&self.code, Some(&decision.code))
            && is(&self.subject, decision.subject.as_deref())
            && is(&self.message, decision.message.as_deref())
    }
}

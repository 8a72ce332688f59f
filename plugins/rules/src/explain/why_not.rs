//! Why something does not hold: the rules that could give it, and the condition at which each of them fails.

use super::query::{DecisionQuery, FactQuery, Query};
use super::{ExplainError, Source};
use crate::engine::{Decision, Ended, Engine, Failure, Reach, Wanted};
use crate::file::{Condition, ConditionKind, Expression, Pattern, Source as Text};
use crate::model::{Action, CellSource, Rule, RuleSet, heap_cell};
use crate::outcome::result_of;
use crate::report::{FactIds, Writer};
use crate::schema::Constant;

/// So many rules are named.
const CANDIDATES_MAX: usize = 3;

/// A rule that could give what is asked for.
struct Candidate {
    rule: u32,
    passed: u16,
    of: u16,
    failure: Failure,
    /// All conditions hold.
    is_whole: bool,
}

pub(super) fn why_not(
    engine: &mut Engine,
    ended: &Ended,
    source: Option<Source<'_>>,
    (text, query): (&str, &Query),
) -> Result<String, ExplainError> {
    let rules = std::rc::Rc::clone(&engine.rules);
    let mut candidates: Vec<Candidate> = Vec::new();
    for (place, rule) in rules.rules.iter().enumerate() {
        let mut best: Option<Candidate> = None;
        for action in &rule.actions {
            let Some(wanted) = wanted(engine, rule, action, query) else { continue };
            let Some(found) = candidate(engine, place as u32, &wanted, query)? else { continue };
            if best.as_ref().is_none_or(|known| found.passed > known.passed) {
                best = Some(found);
            }
        }
        candidates.extend(best);
    }
    if let Query::Decision(query) = query {
        lost(engine, ended, query, &mut candidates);
    }
    // Stable: equally near ones stay in the order of the file.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.passed));
    candidates.truncate(CANDIDATES_MAX);
    Ok(written(engine, source, text, &candidates))
}

/// What a match has to give so that an action gives what is asked for; none if it never does.
fn wanted<'r>(engine: &mut Engine, rule: &'r Rule, action: &'r Action, query: &'r Query) -> Option<Vec<Wanted<'r>>> {
    match (query, action) {
        (Query::Fact(query), Action::Derive { template, cells } | Action::Assert { template, cells })
            if *template == query.template =>
        {
            let sources = cells.iter().enumerate().map(|(field, source)| (field as u16, source));
            wanted_cells(engine, query, sources)
        }
        (Query::Fact(query), Action::Modify { slot, cells })
            if rule.bodies[0].slots[*slot as usize] == query.template =>
        {
            let mut wanted = wanted_cells(engine, query, cells.iter().map(|(field, source)| (*field, source)))?;
            let types = &engine.rules.schema.templates[query.template as usize].fields;
            let others =
                query.row.iter().enumerate().filter(|&(field, _)| cells.iter().all(|&(set, _)| set as usize != field));
            for (field, value) in others.filter_map(|(field, value)| Some((field, value.as_ref()?))) {
                let cell = heap_cell(value, types[field].ty, &mut engine.heap);
                wanted.push(Wanted::Cell { slot: *slot, field: field as u16, cell });
            }
            Some(wanted)
        }
        (Query::Decision(query), Action::Emit(emit)) => {
            let is =
                |asked: &Option<String>, text| asked.as_deref().is_none_or(|asked| asked == engine.heap.text(text));
            if !is(&query.decision, emit.decision) || !is(&query.code, emit.code) {
                return None;
            }
            match (&query.subject, &emit.subject) {
                (None, _) => Some(Vec::new()),
                (Some(_), None) => None,
                (Some(text), Some(program)) => Some(vec![Wanted::Subject { program, text }]),
            }
        }
        _ => None,
    }
}

fn wanted_cells<'r>(
    engine: &mut Engine,
    query: &FactQuery,
    sources: impl Iterator<Item = (u16, &'r CellSource)>,
) -> Option<Vec<Wanted<'r>>> {
    let rules = std::rc::Rc::clone(&engine.rules);
    let mut wanted = Vec::new();
    for (field, source) in sources {
        let Some(value) = &query.row[field as usize] else { continue };
        let ty = rules.schema.templates[query.template as usize].fields[field as usize].ty;
        let cell = heap_cell(value, ty, &mut engine.heap);
        match source {
            CellSource::Cell(at) => wanted.push(Wanted::Cell { slot: at.slot, field: at.field, cell }),
            CellSource::Constant(known) if *known == cell => {}
            CellSource::Default(known) if known == value => {}
            CellSource::Program(program) => wanted.push(Wanted::Field { program, ty, cell }),
            _ => return None,
        }
    }
    Some(wanted)
}

fn candidate(
    engine: &mut Engine,
    rule: u32,
    wanted: &[Wanted<'_>],
    query: &Query,
) -> Result<Option<Candidate>, ExplainError> {
    let rules = std::rc::Rc::clone(&engine.rules);
    let of = conditions(&rules.rules[rule as usize]);
    let Some(reach) = engine.probe(rule, wanted)? else { return Ok(None) };
    let was_given = match query {
        Query::Decision(query) => engine.has_withdrawn(rule, |decision, code, subject| {
            let is =
                |asked: &Option<String>, found: Option<&str>| asked.as_deref().is_none_or(|asked| found == Some(asked));
            is(&query.decision, Some(decision)) && is(&query.code, Some(code)) && is(&query.subject, subject)
        }),
        Query::Fact(_) => false,
    };
    Ok(Some(match reach {
        Reach::Failed(failure) => {
            let reason = if was_given { "withdrawn" } else { failure.reason };
            Candidate { rule, passed: failure.when, of, failure: Failure { reason, ..failure }, is_whole: false }
        }
        Reach::Whole { has_fired, bindings } => {
            let reason = if has_fired { "refracted" } else { "not_reached" };
            let failure = Failure { when: of, reason, bindings, values: Vec::new(), blocker: None };
            Candidate { rule, passed: of, of, failure, is_whole: true }
        }
    }))
}

/// How many conditions a rule has.
fn conditions(rule: &Rule) -> u16 {
    let places = rule.bodies.iter().flat_map(|body| {
        let positions = body.positions.iter().map(|position| position.when);
        positions.chain(body.steps.iter().map(|step| step.when))
    });
    places.max().map_or(0, |last| last + 1)
}

/// Decisions that were given and lost against others for their subject.
fn lost(engine: &Engine, ended: &Ended, query: &DecisionQuery, candidates: &mut [Candidate]) {
    let decided = result_of(engine, ended);
    let lost = |decision: &&Decision| query.asks_for(decision);
    for rule in decided.all.iter().filter(lost).filter_map(|decision| decision.rule) {
        if let Some(candidate) = candidates.iter_mut().find(|candidate| candidate.rule == rule) {
            candidate.passed = candidate.of;
            candidate.is_whole = true;
            candidate.failure.reason = "combined_away";
            candidate.failure.blocker = None;
        }
    }
}

fn written(engine: &Engine, source: Option<Source<'_>>, query: &str, candidates: &[Candidate]) -> String {
    let mut ids = FactIds::new(engine);
    let mut out = Writer::default();
    out.open('{');
    out.text("query", Some(query));
    out.raw("holds", "false");
    out.key("candidates");
    out.open('[');
    for candidate in candidates {
        write_candidate(engine, source, candidate, &mut ids, &mut out);
    }
    out.close(']');
    out.close('}');
    out.finish()
}

fn write_candidate(
    engine: &Engine,
    source: Option<Source<'_>>,
    candidate: &Candidate,
    ids: &mut FactIds,
    out: &mut Writer,
) {
    let rules: &RuleSet = &engine.rules;
    let Failure { when, reason, bindings, values, blocker } = &candidate.failure;
    out.open('{');
    out.text("rule", Some(&rules.rules[candidate.rule as usize].id));
    out.number("passed", u64::from(candidate.passed));
    out.number("of", u64::from(candidate.of));
    out.key("failed");
    out.open('{');
    match candidate.is_whole {
        true => out.raw("condition", "null"),
        false => out.number("condition", u64::from(*when) + 1),
    }
    let written = source.filter(|_| !candidate.is_whole).and_then(|source| {
        let condition = source.file.rules.get(candidate.rule as usize)?.when.get(*when as usize)?;
        let span = condition.span;
        Some((text_of(condition), format!("{}:{}:{}", source.name, span.line, span.column)))
    });
    out.text("text", written.as_ref().map(|(text, _)| text.as_str()));
    out.text("at", written.as_ref().map(|(_, at)| at.as_str()));
    out.key("bindings");
    out.open('{');
    for (name, template, row) in bindings {
        out.text(name, Some(&ids.id(engine, *template, *row)));
    }
    out.close('}');
    out.key("values");
    out.open('{');
    for (name, json) in values {
        out.raw(name, json);
    }
    out.close('}');
    out.text("reason", Some(reason));
    out.text("blocker", blocker.map(|(template, row)| ids.id(engine, template, row)).as_deref());
    out.close('}');
    out.close('}');
}

/// A condition on one line, as the file has it.
fn text_of(condition: &Condition) -> String {
    let pattern = |pattern: &Pattern| {
        let filter =
            pattern.filter.as_ref().map_or_else(String::new, |filter| format!(", where: {}", expression(filter)));
        format!("match: {}, as: {}{filter}", pattern.template.text, pattern.variable.text)
    };
    match &condition.kind {
        ConditionKind::Match { pattern: inner, .. } => pattern(inner),
        ConditionKind::Not(inner) => format!("not: {{{}}}", pattern(inner)),
        ConditionKind::Exists(inner) => format!("exists: {{{}}}", pattern(inner)),
        ConditionKind::Forall { pattern: inner, satisfies } => {
            format!("forall: {{{}}}, satisfies: {}", pattern(inner), expression(satisfies))
        }
        ConditionKind::Accumulate { pattern: inner, .. } => format!("accumulate: {{{}}}", pattern(inner)),
        ConditionKind::If(inner) => format!("if: {}", expression(inner)),
        ConditionKind::Let(bindings) => {
            let bindings: Vec<String> =
                bindings.iter().map(|(name, inner)| format!("{}: {}", name.text, expression(inner))).collect();
            format!("let: {{{}}}", bindings.join(", "))
        }
        ConditionKind::Any(branches) => {
            let branches: Vec<String> = branches
                .iter()
                .map(|branch| branch.iter().map(text_of).collect::<Vec<_>>().join(", "))
                .map(|branch| format!("[{branch}]"))
                .collect();
            format!("any: [{}]", branches.join(", "))
        }
    }
}

fn expression(expression: &Expression) -> String {
    match &expression.source {
        Text::Cel(text) => text.clone(),
        Text::Bool(value) => value.to_string(),
        Text::Int(value) => value.to_string(),
        Text::Double(value) => {
            let mut text = String::new();
            let ty = crate::schema::FieldType { scalar: crate::schema::Scalar::Double, list: false };
            crate::rows::write_constant(&mut text, &Constant::Double(*value), ty);
            text
        }
    }
}

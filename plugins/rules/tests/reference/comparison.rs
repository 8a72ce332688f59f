//! Runs a program in both ways and looks for what differs: facts, decisions, result, firings, counts.

use std::rc::Rc;

use rules_plugin::engine::{Budget, Ended, Engine, IntakeError};
use rules_plugin::file::{RuleFile, TraceLevel, parse};
use rules_plugin::model::resolve;

use super::deciding::Shown;
use super::interpreter::{End, Firing, Interpreter, Values, values_of};
use super::program::Program;

#[derive(Clone, Debug)]
pub(crate) enum Compared {
    Equal,
    /// Both ended in the same way, with an error, a limit or a step that is refused.
    Early,
    Different(String),
    /// The program is no rule set.
    Invalid(String),
}

/// What can be seen after a run.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    facts: Vec<Vec<Values>>,
    decisions: Vec<Shown>,
    result: Vec<usize>,
    fired: Vec<usize>,
    firings: Vec<Firing>,
}

pub(crate) fn compare(program: &Program) -> Compared {
    let file = match parse(program.yaml().as_bytes()) {
        Ok(file) => file,
        Err(findings) => return Compared::Invalid(format!("{findings:?}")),
    };
    let mut engine = match engine(&file) {
        Ok(engine) => engine,
        // Such a rule is refused, where the words of the format would allow it.
        Err(findings) if findings.contains("derives several templates at once") => return Compared::Early,
        Err(findings) => return Compared::Invalid(findings),
    };
    let mut reference = Interpreter::new(&file);
    let given = program.given();
    let ends = (end(Ok(engine.begin_with_rows(&given))), reference.begin(&given));
    if let Some(compared) = judged("the first run".to_owned(), ends, &engine, &reference) {
        return compared;
    }
    for (place, step) in program.steps.iter().enumerate() {
        let changes = Program::changes(step);
        let ends = (end(engine.step(&changes)), reference.step(&changes));
        if let Some(compared) = judged(format!("step {place}"), ends, &engine, &reference) {
            return compared;
        }
    }
    Compared::Equal
}

fn engine(file: &RuleFile) -> Result<Engine, String> {
    let rules = resolve(file).map_err(|findings| format!("{findings:?}"))?;
    let limits = &rules.limits;
    let budget = Budget {
        work_max: limits.work_max,
        firings_max: limits.firings_max,
        firings_per_rule_max: limits.firings_per_rule_max,
        facts_max: limits.facts_max,
        depth_max: limits.depth_max,
        bytes_max: 1 << 30,
    };
    let params: Vec<_> = rules.params.iter().map(|param| param.default.clone()).collect();
    let mut engine = Engine::new(Rc::new(rules), &params, budget, || false);
    engine.trace(TraceLevel::Off, 0, true);
    Ok(engine)
}

fn end(ended: Result<Ended, IntakeError>) -> End {
    match ended {
        Ok(Ended::Well) => End::Well,
        Ok(Ended::Limit(_)) => End::Limit,
        Ok(Ended::Error(_)) => End::Error,
        Err(_) => End::Refused,
    }
}

/// Nothing if both went well and look the same, so that the next run can be compared.
fn judged(run: String, ends: (End, End), engine: &Engine, reference: &Interpreter<'_>) -> Option<Compared> {
    match ends {
        (End::Well, End::Well) => {
            difference(engine, reference).map(|difference| Compared::Different(format!("after {run}, {difference}")))
        }
        (left, right) if left == right => Some(Compared::Early),
        (left, right) => Some(Compared::Different(format!("{run}: the engine ends {left:?}, the reference {right:?}"))),
    }
}

fn difference(engine: &Engine, reference: &Interpreter<'_>) -> Option<String> {
    let (left, right) = (of_engine(engine), of_reference(reference));
    let part = if left.firings != right.firings {
        ("firings", format!("{:?}", left.firings), format!("{:?}", right.firings))
    } else if left.facts != right.facts {
        ("facts", format!("{:?}", left.facts), format!("{:?}", right.facts))
    } else if left.decisions != right.decisions {
        ("decisions", format!("{:#?}", left.decisions), format!("{:#?}", right.decisions))
    } else if left != right {
        let shown = |seen: &Seen| format!("{:?}, {:?}", seen.result, seen.fired);
        ("result or counts", shown(&left), shown(&right))
    } else {
        return None;
    };
    Some(format!("{}:\nengine    {}\nreference {}", part.0, part.1, part.2))
}

fn of_engine(engine: &Engine) -> Seen {
    let templates = 0..engine.rules.schema.templates.len();
    let facts = templates
        .map(|template| {
            let rows = engine.facts_of(template);
            rows.into_iter().map(|row| values_of(&engine.constants(template, row))).collect()
        })
        .collect();
    let decided = engine.decided().unwrap_or_default();
    let decisions = decided.all.into_iter().map(|decision| Shown {
        decision: decision.decision,
        code: decision.code,
        subject: decision.subject,
        message: decision.message,
        data: decision.data,
        rule: decision.rule.map(|rule| rule as usize),
        firing: decision.firing as usize,
    });
    let mut fired = vec![0; engine.rules.rules.len()];
    for (rule, count) in engine.fired() {
        fired[rule as usize] = count as usize;
    }
    let firings = engine.firings().map(|(rule, rows)| firing(engine, rule, &rows)).collect();
    Seen { facts, decisions: decisions.collect(), result: decided.result, fired, firings }
}

fn firing(engine: &Engine, rule: u32, rows: &[(u16, u32)]) -> Firing {
    let positions = &engine.rules.rules[rule as usize].bodies[0].positions;
    let facts = rows.iter().zip(positions).map(|(&(template, row), position)| {
        let values = values_of(&engine.constants(template as usize, row));
        let key = &engine.rules.schema.templates[template as usize].key;
        let fields = position.distinct.as_ref().unwrap_or(key);
        fields.iter().map(|&field| values[field as usize].clone()).collect()
    });
    Firing { rule: rule as usize, facts: facts.collect() }
}

fn of_reference(reference: &Interpreter<'_>) -> Seen {
    let templates = reference.schema().templates.len();
    let (decisions, result) = reference.decided().unwrap_or_default();
    Seen {
        facts: (0..templates).map(|template| reference.facts_of(template)).collect(),
        decisions,
        result,
        fired: (0..reference.file.rules.len()).map(|rule| reference.count_of(rule)).collect(),
        firings: reference.firings.clone(),
    }
}

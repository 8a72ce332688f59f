//! How far the conditions of a rule can be met, in the order of `when`, for something that it does not give. Changes no fact.

use super::search::{Bindings, Bound};
use super::{Engine, Halt};
use crate::cel::{EvalError, Program};
use crate::model::{Body, Conjunct, ConjunctKind, Operand, RuleSet, StepKind};
use crate::schema::FieldType;
use crate::store::{NONE, encode};
use crate::value::Value;

/// What a match has to give.
pub(crate) enum Wanted<'r> {
    /// A cell of a matched fact.
    Cell { slot: u16, field: u16, cell: u64 },
    /// The value of a field that an action computes.
    Field { program: &'r Program, ty: FieldType, cell: u64 },
    /// The subject of a decision.
    Subject { program: &'r Program, text: &'r str },
}

/// The first condition that fails on the way that leads furthest.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Place in `when`; so many conditions have passed.
    pub(crate) when: u16,
    pub(crate) reason: &'static str,
    pub(crate) bindings: Vec<(String, u16, u32)>,
    /// Names and JSON texts of what the condition reads.
    pub(crate) values: Vec<(String, String)>,
    pub(crate) blocker: Option<(u16, u32)>,
}

/// How far a rule came.
#[derive(Debug)]
pub(crate) enum Reach {
    Failed(Failure),
    /// All conditions hold.
    Whole {
        has_fired: bool,
        bindings: Vec<(String, u16, u32)>,
    },
}

#[derive(Clone, Copy)]
enum Part {
    Position(u16),
    Step(u16),
}

struct Probe<'r> {
    rules: &'r RuleSet,
    rule: u32,
    body_place: u16,
    body: &'r Body,
    parts: Vec<(u16, Part)>,
    /// What is wanted, each with the part after which it can be told.
    wanted: Vec<(&'r Wanted<'r>, usize)>,
    /// Canonical rows of each position.
    rows: Vec<Vec<u32>>,
    furthest: Option<(usize, Failure)>,
}

impl Engine {
    /// How far a rule's conditions can be met.
    pub(crate) fn probe(&mut self, rule: u32, wanted: &[Wanted<'_>]) -> Result<Option<Reach>, Halt> {
        let rules = std::rc::Rc::clone(&self.rules);
        let mut best: Option<Failure> = None;
        for (place, body) in rules.rules[rule as usize].bodies.iter().enumerate() {
            let search = self.begin(rule, place as u16, crate::plan::Pin::Nothing, None);
            self.spare.push(search);
            let mut probe = Probe::new(self, &rules, (rule, place as u16, body), wanted);
            let mut bindings = self.empty_bindings(&rules, rule, place as u16);
            if probe.dive(self, 0, &mut bindings)? {
                let mut words = Vec::new();
                self.activation(&rules.rules[rule as usize], &bindings, place as u16, &mut words);
                let has_fired = self.memory.find(rule, &words).is_some();
                return Ok(Some(Reach::Whole { has_fired, bindings: self.bound(rule, place as u16, &bindings) }));
            }
            if let Some((_, failure)) = probe.furthest
                && best.as_ref().is_none_or(|known| failure.when > known.when)
            {
                best = Some(failure);
            }
        }
        Ok(best.map(Reach::Failed))
    }

    fn empty_bindings(&self, rules: &RuleSet, rule: u32, body: u16) -> Bindings {
        let description = &rules.rules[rule as usize];
        let mut bindings = Bindings::default();
        bindings.rows.resize(description.bodies[body as usize].slots.len(), NONE);
        bindings.values.extend_from_slice(&self.params);
        bindings.values.resize(description.values.max(self.params.len() as u16) as usize, Value::Null);
        bindings
    }

    /// A decision of the rule that was given and withdrawn, for which `is_wanted` holds: decision, code, subject.
    pub(crate) fn has_withdrawn(&self, rule: u32, is_wanted: impl Fn(&str, &str, Option<&str>) -> bool) -> bool {
        self.withdrawn_decisions(rule).any(|(decision, code, subject)| is_wanted(decision, code, subject))
    }
}

impl<'r> Probe<'r> {
    fn new(
        engine: &Engine,
        rules: &'r RuleSet,
        (rule, body_place, body): (u32, u16, &'r Body),
        wanted: &'r [Wanted<'r>],
    ) -> Self {
        let positions = body.positions.iter().enumerate();
        let mut parts: Vec<(u16, Part)> =
            positions.map(|(at, position)| (position.when, Part::Position(at as u16))).collect();
        parts.extend(body.steps.iter().enumerate().map(|(at, step)| (step.when, Part::Step(at as u16))));
        // Stable: within one condition, what it matches comes first.
        parts.sort_by_key(|&(when, _)| when);
        let rows = body.positions.iter().map(|position| engine.facts_of(position.template as usize)).collect();
        let params = engine.params.len();
        let told_after = |wanted: &Wanted<'_>| {
            let (facts, values) = wanted.reads(params);
            let (mut bound, mut given) = (0_u64, 0_u64);
            let place = parts.iter().position(|&(_, part)| {
                match part {
                    Part::Position(at) => bound |= 1 << body.positions[at as usize].slot,
                    Part::Step(at) => given |= body.steps[at as usize].gives,
                }
                facts & !bound == 0 && values & !given == 0
            });
            place.unwrap_or(parts.len().saturating_sub(1))
        };
        let wanted = wanted.iter().map(|wanted| (wanted, told_after(wanted))).collect();
        Self { rules, rule, body_place, body, parts, wanted, rows, furthest: None }
    }

    /// Meets the conditions from `at` on; `true` if all of them hold.
    fn dive(&mut self, engine: &mut Engine, at: usize, bindings: &mut Bindings) -> Result<bool, Halt> {
        let Some(&(_, part)) = self.parts.get(at) else { return Ok(true) };
        match part {
            Part::Position(place) => self.dive_position(engine, at, place, bindings),
            Part::Step(place) => self.dive_step(engine, at, place, bindings),
        }
    }

    fn dive_position(
        &mut self,
        engine: &mut Engine,
        at: usize,
        place: u16,
        bindings: &mut Bindings,
    ) -> Result<bool, Halt> {
        let body = self.body;
        let slot = body.positions[place as usize].slot;
        let before = self.bound(bindings) | 1 << slot;
        let conjuncts = body.conjuncts.iter().filter(|conjunct| conjunct.slot == slot);
        // A stored rule set may name a fact before it is bound.
        let conjuncts: Vec<&Conjunct> =
            conjuncts.filter(|conjunct| conjunct.facts & self.positions() & !before == 0).collect();
        let (mut is_met, mut has_erred) = (false, false);
        for step in 0..self.rows[place as usize].len() {
            let row = self.rows[place as usize][step];
            bindings.rows[slot as usize] = row;
            engine.heap.meter.spend(1)?;
            let notes = engine.notes.all.iter().map(|note| note.count).sum::<u64>();
            let holds = engine
                .with_maker(self.rule, self.body_place, |maker| maker.conjuncts(conjuncts.iter().copied(), bindings))?;
            has_erred |= engine.notes.all.iter().map(|note| note.count).sum::<u64>() != notes;
            if !holds || !self.gives_wanted(engine, at, bindings) {
                continue;
            }
            is_met = true;
            if self.dive(engine, at + 1, bindings)? {
                return Ok(true);
            }
        }
        bindings.rows[slot as usize] = NONE;
        if !is_met {
            let reads = reads_of(&conjuncts);
            let verdict = (if has_erred { "error" } else { "no_fact" }, None);
            self.fail(engine, at, (verdict, reads, slot), bindings);
        }
        Ok(false)
    }

    fn dive_step(&mut self, engine: &mut Engine, at: usize, place: u16, bindings: &mut Bindings) -> Result<bool, Halt> {
        let step = &self.body.steps[place as usize];
        let is_bound = step.facts & self.positions() & !self.bound(bindings) == 0;
        let result = match is_bound {
            true => engine.with_maker(self.rule, self.body_place, |maker| maker.step(place, bindings)),
            false => Ok(true),
        };
        let own = step.kind.pattern().map_or(u16::MAX, |pattern| pattern.slot);
        let failed = match result {
            Ok(true) if self.gives_wanted(engine, at, bindings) => return self.dive(engine, at + 1, bindings),
            Ok(true) => ("false", None),
            Err(EvalError::Stopped(stop)) => return Err(stop.into()),
            Err(_) => ("error", None),
            Ok(false) => match &step.kind {
                StepKind::If(_) | StepKind::Let { .. } => ("false", None),
                StepKind::Exists(_) | StepKind::Accumulate { .. } => ("no_fact", None),
                StepKind::Not(pattern) | StepKind::Forall { pattern, .. } => {
                    ("blocked_by", Some((pattern.template, bindings.rows[pattern.slot as usize])))
                }
            },
        };
        self.fail(engine, at, (failed, reads_of_step(&step.kind), own), bindings);
        Ok(false)
    }

    /// Slots of positions.
    fn positions(&self) -> u64 {
        self.body.positions.iter().fold(0, |mask, position| mask | 1 << position.slot)
    }

    /// Those of them that have a row.
    fn bound(&self, bindings: &Bindings) -> u64 {
        let positions = self.body.positions.iter().filter(|position| bindings.rows[position.slot as usize] != NONE);
        positions.fold(0, |mask, position| mask | 1 << position.slot)
    }

    /// What can be told of the wanted after a part is as wanted.
    fn gives_wanted(&self, engine: &mut Engine, at: usize, bindings: &Bindings) -> bool {
        let wanted = self.wanted.iter().filter(|&&(_, told_after)| told_after == at);
        wanted.into_iter().all(|(wanted, _)| match wanted {
            Wanted::Cell { slot, field, cell } => {
                let table = &engine.tables[self.body.slots[*slot as usize] as usize];
                let row = bindings.rows[*slot as usize];
                !table.is_missing(row, *field) && table.cell(row, *field) == *cell
            }
            Wanted::Field { program, ty, cell } => match self.value(engine, program, bindings) {
                Some(Value::List(list)) if ty.list => {
                    let elements = engine.heap.list(list).to_vec();
                    u64::from(engine.heap.intern_list(&elements).0) == *cell
                }
                Some(value) => !ty.list && encode(value, ty.scalar) == Some(*cell),
                None => false,
            },
            Wanted::Subject { program, text } => self.value(engine, program, bindings).is_some_and(|value| {
                let mut found = String::new();
                crate::cel::write_text(value, &engine.heap, &mut found);
                found == *text
            }),
        })
    }

    fn value(&self, engine: &mut Engine, program: &Program, bindings: &Bindings) -> Option<Value> {
        let world = super::search::World { rules: self.rules, tables: &engine.tables, types: &engine.types };
        let frame = Bound { world, slots: &self.body.slots, rows: &bindings.rows, values: &bindings.values };
        program.eval(&frame, &mut engine.heap).ok()
    }

    fn fail(
        &mut self,
        engine: &Engine,
        at: usize,
        ((reason, blocker), reads, own): (Verdict, Reads, u16),
        bindings: &Bindings,
    ) {
        if self.furthest.as_ref().is_some_and(|&(known, _)| known >= at) {
            return;
        }
        let mut values = Vec::new();
        for (slot, field) in reads.0.into_iter().filter(|&(slot, _)| slot != own) {
            values.extend(self.field_value(engine, slot, field, bindings));
        }
        for slot in reads.1 {
            values.extend(self.named_value(engine, slot, bindings));
        }
        let mut bound = engine.bound(self.rule, self.body_place, bindings);
        // Rows of later conditions may be left from another way.
        let when = self.parts[at].0;
        let positions = &self.body.positions;
        bound.retain(|(name, ..)| positions.iter().any(|position| position.variable == *name && position.when < when));
        self.furthest = Some((at, Failure { when, reason, bindings: bound, values, blocker }));
    }

    fn field_value(&self, engine: &Engine, slot: u16, field: u16, bindings: &Bindings) -> Option<(String, String)> {
        let position = self.body.positions.iter().find(|position| position.slot == slot)?;
        let row = bindings.rows[slot as usize];
        let schema = &self.rules.schema.templates[position.template as usize].fields[field as usize];
        let table = &engine.tables[position.template as usize];
        let mut json = String::new();
        match row != NONE && !table.is_missing(row, field) {
            true => crate::json::write_cell(table.cell(row, field), schema.ty, &engine.heap, &mut json),
            false => json.push_str("null"),
        }
        Some((format!("{}.{}", position.variable, schema.name), json))
    }

    fn named_value(&self, engine: &Engine, slot: u16, bindings: &Bindings) -> Option<(String, String)> {
        let rule = &self.rules.rules[self.rule as usize];
        let name = match self.rules.params.get(slot as usize) {
            Some(param) => format!("params.{}", param.name),
            None => {
                let place = rule.identity.iter().position(|&known| known == slot)?;
                rule.names.get(rule.exported as usize + place)?.clone()
            }
        };
        let mut json = String::new();
        crate::json::write_value(bindings.values[slot as usize], &engine.heap, &mut json);
        Some((name, json))
    }
}

/// A reason, and the fact that stands in the way.
type Verdict = (&'static str, Option<(u16, u32)>);

/// Fields of facts, and value slots.
type Reads = (Vec<(u16, u16)>, Vec<u16>);

fn add_operand(operand: Operand, reads: &mut Reads) {
    match operand {
        Operand::Cell(cell) => reads.0.push((cell.slot, cell.field)),
        Operand::Value(slot) => reads.1.push(slot),
        Operand::Constant(_) => {}
    }
}

fn add_program(program: &Program, reads: &mut Reads) {
    let read = program.reads();
    reads.0.extend(read.fields);
    reads.1.extend(read.slots);
}

fn sorted(mut reads: Reads) -> Reads {
    reads.0.sort_unstable();
    reads.0.dedup();
    reads.1.sort_unstable();
    reads.1.dedup();
    reads
}

fn reads_of(conjuncts: &[&Conjunct]) -> Reads {
    let mut reads = Reads::default();
    for conjunct in conjuncts {
        match &conjunct.kind {
            ConjunctKind::Compare { left, right, .. } => {
                add_operand(*left, &mut reads);
                add_operand(*right, &mut reads);
            }
            ConjunctKind::EqualsProgram { program, .. } | ConjunctKind::Program(program) => {
                add_program(program, &mut reads);
            }
        }
    }
    sorted(reads)
}

fn reads_of_step(kind: &StepKind) -> Reads {
    let mut reads = Reads::default();
    match kind {
        StepKind::If(program) | StepKind::Let { program, .. } => add_program(program, &mut reads),
        StepKind::Forall { satisfies, .. } => add_program(satisfies, &mut reads),
        StepKind::Accumulate { folds, .. } => folds.iter().for_each(|fold| add_program(&fold.of, &mut reads)),
        StepKind::Not(_) | StepKind::Exists(_) => {}
    }
    if let Some(pattern) = kind.pattern() {
        pattern.keys.iter().for_each(|&(_, operand)| add_operand(operand, &mut reads));
        let (fields, slots) = reads_of(&pattern.tests.iter().collect::<Vec<_>>());
        reads.0.extend(fields);
        reads.1.extend(slots);
    }
    sorted(reads)
}

impl Wanted<'_> {
    /// Fact slots and values of the rule's own that it depends on.
    fn reads(&self, params: usize) -> (u64, u64) {
        let (fields, slots) = match self {
            Self::Cell { slot, .. } => return (1 << slot, 0),
            Self::Field { program, .. } | Self::Subject { program, .. } => {
                let read = program.reads();
                (read.fields, read.slots)
            }
        };
        let facts = fields.iter().fold(0, |mask, &(slot, _)| mask | 1 << slot);
        let own = slots.iter().filter_map(|&slot| (slot as usize).checked_sub(params));
        (facts, own.fold(0, |mask, place| mask | 1 << place))
    }
}

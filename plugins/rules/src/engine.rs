//! One run of a rule set over facts: fixpoint of the derive rules, then the agenda, firing by firing, as `rules/v1` says.
//!
//! An `Engine` is made for a loaded rule set and used for many runs; between them it forgets everything but its plans.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::cel::EvalError;
use crate::heap::{Heap, Meter, Stop};
use crate::model::{Listener, ListenerKind, Rule, RuleSet, heap_cell};
use crate::plan::{Pin, Plans};
use crate::schema::{Constant, FieldType};
use crate::store::{NONE, Table, decode, hash_start, hash_word};
use crate::value::Value;

mod act;
mod acted;
mod agenda;
mod check;
mod decide;
mod derivations;
mod derive;
mod emit;
mod inner;
mod intake;
mod keep;
mod kinds;
mod memory;
mod notes;
mod places;
mod probe;
mod rebuild;
mod run;
mod search;
mod trace;
mod truth;

pub(crate) use acted::Acted;
pub use decide::{Decided, Decision};
pub(crate) use derivations::Derivation;
pub use derive::Conflict;
pub use intake::{Column, Given, GivenTable, IntakeError, Values};
pub use notes::Note;
pub(crate) use probe::{Failure, Reach, Wanted};
pub(crate) use run::quoted;
pub use run::{Change, Ended, LimitReached};
pub use search::value_cell;
pub use trace::{Event, EventKind};

use act::Effects;
use agenda::RuleState;
use decide::Decisions;
use derive::{StratumState, Supports};
use kinds::{BodyNumbers, RuleKind};
use memory::Memory;
use notes::Notes;
use places::Places;
use search::{Maker, Search, Target, World};
use trace::Recorder;

/// What a run may use; the rule set's limits under the host's ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub work_max: u64,
    pub firings_max: u64,
    pub firings_per_rule_max: u64,
    pub facts_max: u64,
    pub depth_max: u64,
    pub bytes_max: u64,
}

/// Why a run ends before its end.
#[derive(Clone, Debug)]
pub enum Halt {
    Limit(LimitKind),
    Error(Box<RunError>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    Work,
    Firings,
    FiringsPerRule,
    Facts,
    Depth,
    Bytes,
    Time,
}

impl LimitKind {
    /// Its key in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "max_work",
            Self::Firings => "max_firings",
            Self::FiringsPerRule => "max_firings_per_rule",
            Self::Facts => "max_facts",
            Self::Depth => "max_depth",
            Self::Bytes => "max_bytes",
            Self::Time => "max_time_ms",
        }
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Limit(match stop {
            Stop::Work => LimitKind::Work,
            Stop::Bytes => LimitKind::Bytes,
            Stop::Time => LimitKind::Time,
        })
    }
}

/// What ended a run as an error.
#[derive(Clone, Debug)]
pub struct RunError {
    /// Short, stable, kebab-case.
    pub code: &'static str,
    pub rule: Option<u32>,
    /// Template and row of each matched fact, by variable.
    pub bindings: Vec<(String, u16, u32)>,
    pub message: String,
}

/// Counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub firings: u64,
    pub derivations: u64,
}

pub struct Engine {
    pub rules: Rc<RuleSet>,
    types: Vec<Vec<FieldType>>,
    pub tables: Vec<Table>,
    /// Where strata are evaluated anew.
    scratch: Vec<Table>,
    pub heap: Heap,
    plans: Plans,
    step_indexes: Vec<Option<Rc<[u16]>>>,
    /// The first body's id of each rule.
    body_base: Vec<u32>,
    /// Values of the parameters.
    pub params: Vec<Value>,
    param_constants: Vec<Constant>,
    budget: Budget,
    base_texts: usize,
    /// For each template, whether facts of it may change once the agenda runs.
    changeable: Vec<bool>,
    /// The same where no step changes facts.
    changeable_by_rules: Vec<bool>,
    stratum_of: Vec<u32>,
    kinds: Vec<RuleKind>,
    /// Positions of each body.
    position_counts: Vec<u32>,
    /// Bodies with closed conditions.
    has_patterns: Vec<bool>,
    /// The place of a derive rule in its stratum.
    place_in_stratum: Vec<u32>,

    // What follows belongs to one run.
    alpha_counts: Vec<u32>,
    /// For each body, positions for which no fact is there.
    zeros: Vec<u32>,
    memory: Memory,
    rule_states: Vec<RuleState>,
    /// Rules whose state is not as at the beginning.
    woken: Vec<u32>,
    strata: Vec<StratumState>,
    /// Agenda places whose rules may have something to fire.
    waiting: Places,
    suspects: Vec<u32>,
    supports: Supports,
    decisions: Decisions,
    pub notes: Notes,
    pub stats: Stats,
    facts: u64,
    is_initial: bool,
    #[expect(clippy::vec_box, reason = "a search moves between here and heads as what it is there: a pointer")]
    spare: Vec<Box<Search>>,
    words: Vec<u32>,
    cells: Vec<u64>,
    buffer: String,
    effects: Effects,
    /// Rules that fired last, and the facts that they changed, for reports of limits.
    recent: VecDeque<(u32, u16, u32)>,
    /// The rule being evaluated.
    current: u32,
    next_stamp: u32,
    /// Counts new stamps of facts that were there before.
    restamped: u64,
    recorder: Recorder,
}

impl Engine {
    pub fn new(rules: Rc<RuleSet>, params: &[Constant], budget: Budget, time_is_up: fn() -> bool) -> Self {
        let meter = Meter::new(budget.work_max, time_is_up);
        let bytes_max = usize::try_from(budget.bytes_max).unwrap_or(usize::MAX);
        let heap = Heap::new(rules.texts.clone(), meter, bytes_max);
        let templates = &rules.schema.templates;
        let types: Vec<Vec<FieldType>> =
            templates.iter().map(|template| template.fields.iter().map(|field| field.ty).collect()).collect();
        let tables =
            || (0..templates.len()).map(|place| Table::new(&templates[place], rules.is_mixed(place))).collect();
        let (tables, scratch) = (tables(), tables());
        let BodyNumbers { body_base, position_counts, has_patterns } = BodyNumbers::of(&rules);
        let (stratum_of, place_in_stratum) = kinds::places_in_strata(&rules);
        let bodies = position_counts.len();
        let base_texts = heap.texts.len();
        let mut engine = Self {
            plans: Plans::new(&rules, bodies),
            step_indexes: vec![None; bodies],
            rule_states: rules.rules.iter().map(|_| RuleState::default()).collect(),
            woken: Vec::new(),
            strata: rules.strata.iter().map(|_| StratumState::default()).collect(),
            alpha_counts: vec![0; rules.alphas.len()],
            waiting: Places::new(rules.agenda.len()),
            zeros: vec![0; bodies],
            changeable: Vec::new(),
            changeable_by_rules: Vec::new(),
            types,
            tables,
            scratch,
            heap,
            body_base,
            params: Vec::new(),
            param_constants: params.to_vec(),
            budget,
            base_texts,
            stratum_of,
            kinds: rules.rules.iter().map(|rule| RuleKind::of(rule, &rules)).collect(),
            position_counts,
            has_patterns,
            place_in_stratum,
            memory: Memory::default(),
            suspects: Vec::new(),
            supports: Supports::default(),
            decisions: Decisions::default(),
            notes: Notes::default(),
            stats: Stats::default(),
            facts: 0,
            is_initial: true,
            spare: Vec::new(),
            words: Vec::new(),
            cells: Vec::new(),
            buffer: String::new(),
            effects: Effects::default(),
            recent: VecDeque::new(),
            current: NONE,
            next_stamp: 1,
            restamped: 0,
            recorder: Recorder::default(),
            rules,
        };
        for place in 0..engine.rules.agenda.len() {
            engine.rule_states[engine.rules.agenda[place] as usize].place = place as u32;
        }
        engine.changeable_by_rules = engine.changing(false);
        engine.reset();
        engine
    }

    /// Forgets the run before.
    fn reset(&mut self) {
        if self.bytes() > self.budget.bytes_max / 2 {
            self.give_back();
        }
        self.tables.iter_mut().for_each(Table::clear);
        self.heap.texts.truncate(self.base_texts);
        self.heap.clear();
        let meter = &mut self.heap.meter;
        meter.reset(self.budget.work_max);
        self.alpha_counts.fill(0);
        self.zeros.copy_from_slice(&self.position_counts);
        self.memory.clear(self.tables.len());
        for rule in self.woken.drain(..) {
            self.rule_states[rule as usize].clear(&mut self.spare);
        }
        self.strata.iter_mut().for_each(StratumState::clear);
        self.waiting.clear();
        self.suspects.clear();
        self.supports.clear(self.tables.len());
        self.decisions.clear();
        self.notes.all.clear();
        self.stats = Stats::default();
        self.facts = 0;
        self.is_initial = true;
        self.recent.clear();
        self.next_stamp = 1;
        self.restamped = 0;
        self.recorder.clear();
        self.changeable.clone_from(&self.changeable_by_rules);
        self.fill_params();
        self.fill_tables();
    }

    /// Gives the memory of the runs before back: a run that reached its limit must not leave the next one without any.
    fn give_back(&mut self) {
        let rules = &self.rules;
        let templates = rules.schema.templates.iter().enumerate();
        self.tables = templates.map(|(place, template)| Table::new(template, rules.is_mixed(place))).collect();
        let bytes_max = usize::try_from(self.budget.bytes_max).unwrap_or(usize::MAX);
        self.heap = Heap::new(rules.texts.clone(), self.heap.meter.clone(), bytes_max);
        self.memory = Memory::default();
        self.decisions = Decisions::default();
    }

    /// Values of the parameters from the next run on.
    pub fn set_params(&mut self, params: &[Constant]) {
        self.param_constants.clear();
        self.param_constants.extend_from_slice(params);
    }

    /// Values of the parameters in force.
    pub fn param_constants(&self) -> &[Constant] {
        &self.param_constants
    }

    fn fill_params(&mut self) {
        self.params.clear();
        for (value, param) in self.param_constants.iter().zip(&self.rules.params) {
            self.params.push(decode(heap_cell(value, param.ty, &mut self.heap), param.ty));
        }
    }

    /// Facts that steps may change too are watched.
    pub fn expect_steps(&mut self) {
        self.changeable = self.changing(true);
    }

    fn changing(&self, by_steps: bool) -> Vec<bool> {
        let mut changing = vec![by_steps; self.tables.len()];
        for rule in self.rules.rules.iter().filter(|rule| !rule.is_derive) {
            for template in rule.written() {
                changing[template as usize] = true;
            }
        }
        for stratum in self.rules.strata.iter().filter(|stratum| stratum.is_dynamic) {
            stratum.heads.iter().for_each(|&head| changing[head as usize] = true);
        }
        changing
    }

    fn fill_tables(&mut self) {
        let rules = Rc::clone(&self.rules);
        for (template, rows) in rules.table_rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let mut given = Vec::with_capacity(rows.len());
            for row in rows {
                let types = &self.types[template];
                let cells: Vec<u64> =
                    row.iter().zip(types).map(|(value, &ty)| heap_cell(value, ty, &mut self.heap)).collect();
                given.push(cells);
            }
            for cells in given {
                self.append(template as u16, &cells);
            }
        }
    }

    /// Puts a new row into a table and its indexes.
    fn append(&mut self, template: u16, cells: &[u64]) -> u32 {
        let hash = self.tables[template as usize].key_hash(cells);
        self.append_hashed(template, hash, cells)
    }

    /// The same where the key's hash is known.
    fn append_hashed(&mut self, template: u16, hash: u64, cells: &[u64]) -> u32 {
        let table = &mut self.tables[template as usize];
        let row = table.append_hashed(hash, cells);
        table.enter_indexes(row, &self.plans.catalog[template as usize]);
        self.facts += 1;
        row
    }

    fn kill(&mut self, template: u16, row: u32) {
        self.tables[template as usize].kill(row);
        self.facts -= 1;
    }

    fn check_facts(&self) -> Result<(), Halt> {
        if self.facts > self.budget.facts_max { Err(Halt::Limit(LimitKind::Facts)) } else { Ok(()) }
    }

    /// Facts that are there now.
    pub fn fact_count(&self) -> u64 {
        self.facts
    }

    /// Memory of the run in bytes, as far as it grows with facts.
    pub fn bytes(&self) -> u64 {
        let tables = self.tables.iter().map(Table::bytes).sum::<usize>();
        let strata = self.strata.iter().map(derive::StratumState::bytes).sum::<usize>();
        (tables + self.heap.bytes() + self.memory.bytes() + self.decisions.bytes() + strata) as u64
    }

    fn check_bytes(&mut self) -> Result<(), Halt> {
        if self.bytes() > self.budget.bytes_max { Err(Halt::Limit(LimitKind::Bytes)) } else { Ok(()) }
    }

    fn body_id(&self, rule: u32, body: u16) -> u32 {
        self.body_base[rule as usize] + u32::from(body)
    }

    /// A search of a body; indexes that it needs are made.
    fn begin(&mut self, rule: u32, body: u16, pin: Pin, row: Option<(u16, u32)>) -> Box<Search> {
        let id = self.body_id(rule, body);
        let rules = Rc::clone(&self.rules);
        let variant = self.plans.variant(&rules, rule, body, id, pin);
        if self.step_indexes[id as usize].is_none() {
            self.step_indexes[id as usize] = Some(self.plans.step_indexes(&rules, rule, body, id));
        }
        for level in &variant.levels {
            if let crate::plan::Access::Probe { index, .. } = &level.access {
                self.ensure_index(level.template, *index);
            }
        }
        if self.has_patterns[id as usize] {
            self.ensure_step_indexes(&rules.rules[rule as usize], body, id);
        }
        match self.spare.pop() {
            Some(mut search) => {
                search.restart(variant, rule, body, row);
                search
            }
            None => Box::new(Search::new(variant, rule, body, row)),
        }
    }

    fn ensure_index(&mut self, template: u16, index: u16) {
        let columns = &self.plans.catalog[template as usize][index as usize];
        self.tables[template as usize].ensure_index(index as usize, columns);
    }

    fn ensure_step_indexes(&mut self, rule: &Rule, body: u16, id: u32) {
        let Some(indexes) = self.step_indexes[id as usize].clone() else { return };
        for (step, &index) in rule.bodies[body as usize].steps.iter().zip(indexes.iter()) {
            if let Some(pattern) = step.kind.pattern() {
                self.ensure_index(pattern.template, index);
            }
        }
    }

    /// Goes on to the next match of a search.
    fn advance(&mut self, search: &mut Search) -> Result<bool, Halt> {
        self.current = search.rule;
        let id = self.body_id(search.rule, search.body) as usize;
        let rule = &self.rules.rules[search.rule as usize];
        let target = Target {
            rule_place: search.rule,
            rule,
            body: &rule.bodies[search.body as usize],
            step_indexes: self.step_indexes[id].as_deref().unwrap_or_default(),
        };
        let world = World { rules: &self.rules, tables: &self.tables, types: &self.types };
        Ok(search.advance(world, &target, &self.params, &mut self.heap, &mut self.notes)?)
    }

    /// Runs `body` with what evaluates expressions of a rule.
    fn with_maker<T>(&mut self, rule: u32, body: u16, work: impl FnOnce(&mut Maker<'_>) -> T) -> T {
        let id = self.body_id(rule, body) as usize;
        let description = &self.rules.rules[rule as usize];
        let target = Target {
            rule_place: rule,
            rule: description,
            body: &description.bodies[body as usize],
            step_indexes: self.step_indexes[id].as_deref().unwrap_or_default(),
        };
        let world = World { rules: &self.rules, tables: &self.tables, types: &self.types };
        let mut maker =
            Maker { world, target: &target, heap: &mut self.heap, notes: &mut self.notes, pin: None, fixed: &[] };
        work(&mut maker)
    }

    /// A fact was added after the initial fixpoint: leads it to the rules that wait for it.
    fn added(&mut self, template: u16, row: u32) {
        self.changed(template, row, true);
    }

    fn removed(&mut self, template: u16, row: u32) {
        self.changed(template, row, false);
        let mut suspects = std::mem::take(&mut self.suspects);
        self.memory.of_row(template, row, &mut suspects);
        self.suspects = suspects;
    }

    fn changed(&mut self, template: u16, row: u32, is_added: bool) {
        let rules = Rc::clone(&self.rules);
        let mut found = [0_u32; 16];
        let mut more = Vec::new();
        let mut count = 0;
        rules.alphas.of_row(template as usize, self.tables[template as usize].row(row), |alpha| {
            match found.get_mut(count) {
                Some(place) => *place = alpha,
                None => more.push(alpha),
            }
            count += 1;
        });
        let found = found[..count.min(16)].iter().chain(&more);
        for &alpha in found.clone() {
            self.count(&rules, alpha, is_added);
        }
        for &alpha in found {
            for &listener in rules.alphas.listeners(alpha) {
                // Most listeners wait for another fact, too: seen here, they cost next to nothing.
                if self.kinds[listener.rule as usize].is_plain
                    && matches!(listener.kind, ListenerKind::Position(_))
                    && (!is_added || self.zeros[self.body_id(listener.rule, listener.body) as usize] > 0)
                {
                    continue;
                }
                self.notify(&rules, listener, template, row, is_added);
            }
        }
    }

    /// Keeps count of an alpha's facts, and for each body of the positions that have none.
    fn count(&mut self, rules: &RuleSet, alpha: u32, is_added: bool) {
        let count = &mut self.alpha_counts[alpha as usize];
        let (was, is) = if is_added { (*count, *count + 1) } else { (*count, *count - 1) };
        *count = is;
        if was != 0 && is != 0 {
            return;
        }
        for listener in rules.alphas.listeners(alpha) {
            if let ListenerKind::Position(_) = listener.kind {
                let zeros = &mut self.zeros[self.body_base[listener.rule as usize] as usize + listener.body as usize];
                if is_added { *zeros -= 1 } else { *zeros += 1 }
            }
        }
    }

    fn notify(&mut self, rules: &RuleSet, listener: Listener, template: u16, row: u32, is_added: bool) {
        let rule = &rules.rules[listener.rule as usize];
        if rule.is_derive && !self.is_kept(listener.rule) {
            self.note_stratum_change(rules, listener, is_added);
            return;
        }
        let is_loose = self.kinds[listener.rule as usize].is_loose;
        match listener.kind {
            ListenerKind::Position(place) => {
                if is_added && self.zeros[self.body_id(listener.rule, listener.body) as usize] == 0 {
                    self.wake(listener.rule, listener.body, Pin::Position(place), Some((template, row)));
                } else if !is_added && is_loose {
                    self.suspect_rule(listener.rule);
                }
                if is_loose && is_added {
                    self.rule_states[listener.rule as usize].version += 1;
                }
            }
            ListenerKind::Step(place) => self.notify_step(rule, listener, place, (template, row), is_added),
        }
    }

    fn notify_step(&mut self, rule: &Rule, listener: Listener, place: u16, row: (u16, u32), is_added: bool) {
        use crate::model::StepKind;
        let step = &rule.bodies[listener.body as usize].steps[place as usize];
        let (may_end, may_begin) = match &step.kind {
            StepKind::Not(_) | StepKind::Forall { .. } => (is_added, !is_added),
            StepKind::Exists(_) => (!is_added, is_added),
            _ => (true, true),
        };
        if may_end {
            self.rule_states[listener.rule as usize].version += 1;
            if self.kinds[listener.rule as usize].is_loose {
                self.suspect_rule(listener.rule);
            } else if let Some(pattern) = step.kind.pattern() {
                let table = &self.tables[row.0 as usize];
                let cells = pattern.keys.iter().map(|&(field, _)| table.cell(row.1, field));
                let key = step_key(listener.rule, place, cells);
                let mut suspects = std::mem::take(&mut self.suspects);
                self.memory.of_key(key, &mut suspects);
                self.suspects = suspects;
            }
        }
        if may_begin && self.zeros[self.body_id(listener.rule, listener.body) as usize] == 0 {
            self.wake(listener.rule, listener.body, Pin::Step(place), Some(row));
        }
    }

    fn suspect_rule(&mut self, rule: u32) {
        let mut suspects = std::mem::take(&mut self.suspects);
        self.memory.of_key(rule_key(rule), &mut suspects);
        self.suspects = suspects;
    }

    /// A search has to be made.
    fn wake(&mut self, rule: u32, body: u16, pin: Pin, row: Option<(u16, u32)>) {
        let state = &mut self.rule_states[rule as usize];
        if !state.is_woken {
            state.is_woken = true;
            self.woken.push(rule);
        }
        state.fresh.push((body, pin, row));
        match self.stratum_of[rule as usize] {
            NONE => {
                let place = state.place as usize;
                self.waiting.insert(place);
            }
            stratum => self.strata[stratum as usize].is_touched = true,
        }
    }

    /// Matches of the derive rule are kept as entries.
    fn is_kept(&self, rule: u32) -> bool {
        let stratum = self.stratum_of[rule as usize];
        stratum != NONE && {
            let stratum = &self.rules.strata[stratum as usize];
            stratum.keeps_matches()
        }
    }
}

/// What leads from a changed fact to entries of a rule whose step looks at it.
fn step_key(rule: u32, step: u16, cells: impl Iterator<Item = u64>) -> u64 {
    let start = hash_word(hash_word(hash_start(), u64::from(rule) << 16 | u64::from(step)), 1);
    cells.fold(start, hash_word)
}

/// What leads to all entries of a rule.
fn rule_key(rule: u32) -> u64 {
    hash_word(hash_word(hash_start(), u64::from(rule)), 2)
}

impl From<EvalError> for Halt {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Stopped(stop) => stop.into(),
            error => Self::Error(Box::new(RunError {
                code: "evaluation",
                rule: None,
                bindings: Vec::new(),
                message: error.message().to_owned(),
            })),
        }
    }
}

impl LimitKind {
    /// A rule set may decide where this limit is reached: the host's time is no part of what a run means.
    pub fn may_decide(self) -> bool {
        self != Self::Time
    }
}

#[cfg(test)]
mod tests;

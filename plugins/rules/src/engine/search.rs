//! The search for matches of one body: a nested walk over its levels that can stop at every match and go on later.

use std::rc::Rc;

use super::inner;
use super::notes::Notes;
use crate::cel::{EvalError, Frame, Program};
use crate::file::FoldKind;
use crate::heap::{Heap, Stop};
use crate::model::{Body, CellKind, Comparison, Conjunct, ConjunctKind, Operand, Rule, RuleSet, StepKind};
use crate::order::Order;
use crate::plan::{Access, Key, Level, Variant};
use crate::schema::FieldType;
use crate::store::{NONE, Table, decode, double_cell, encode, hash_start, hash_word};
use crate::value::Value;

/// What a search looks at and does not change.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) tables: &'a [Table],
    /// The types of each template's fields.
    pub(super) types: &'a [Vec<FieldType>],
}

/// A body and what belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) rule_place: u32,
    pub(super) rule: &'a Rule,
    pub(super) body: &'a Body,
    /// The index of each step's pattern.
    pub(super) step_indexes: &'a [u16],
}

/// Facts and values bound so far, as expressions see them.
pub(super) struct Bound<'a> {
    pub(super) world: World<'a>,
    pub(super) slots: &'a [u16],
    pub(super) rows: &'a [u32],
    pub(super) values: &'a [Value],
}

impl Frame for Bound<'_> {
    #[inline]
    fn value(&self, slot: u16) -> Value {
        self.values[slot as usize]
    }

    #[inline]
    fn field(&self, slot: u16, field: u16) -> Option<Value> {
        let template = self.slots[slot as usize] as usize;
        let (table, row) = (&self.world.tables[template], self.rows[slot as usize]);
        if table.has_mask() && table.is_missing(row, field) {
            return None;
        }
        Some(decode(table.cell(row, field), self.world.types[template][field as usize]))
    }
}

/// Why a condition could not be evaluated.
#[derive(Clone, Debug)]
pub(super) struct Erring {
    pub(super) when: u16,
    pub(super) error: EvalError,
}

/// Rows and values of a search.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    /// By fact slot.
    pub(super) rows: Vec<u32>,
    /// Parameters, then the rule's own.
    pub(super) values: Vec<Value>,
    /// The first `if`, `let`, `satisfies` or `of` that failed on the way here.
    pub(super) erring: Option<Box<Erring>>,
    erring_values: u64,
    erring_depth: u32,
}

impl Bindings {
    /// These values, as bits behind the parameters, are not known.
    fn have_erred(&mut self, values: u64, params: usize) {
        self.erring_values |= values;
        let mut left = values;
        while left != 0 {
            self.values[params + left.trailing_zeros() as usize] = Value::Null;
            left &= left - 1;
        }
    }
}

#[derive(Debug, Default)]
struct LevelState {
    /// The row to look at next, or `NONE`.
    next: u32,
    /// The living row before it in the chain.
    before: u32,
    hash: u64,
    keys: Vec<u64>,
    /// The index as it was, and the row that was found last: chains go from new rows to old ones.
    generation: u32,
    last: u32,
    /// Candidates in canonical order, the last one first; instead of the chain.
    sorted: Vec<u32>,
}

/// A search that can be continued.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) variant: Rc<Variant>,
    pub(super) rule: u32,
    pub(super) body: u16,
    /// The template and row that it began with.
    pub(super) pin: Option<(u16, u32)>,
    pub(super) bindings: Bindings,
    states: Vec<LevelState>,
    depth: usize,
    phase: Phase,
    /// There is room for what it binds.
    is_prepared: bool,
    /// For each position, rows from here on are not seen.
    pub(super) ends: Vec<u32>,
    /// The rows of an activation, where it begins with one.
    pub(super) fixed: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// The levels above are bound, this one is to be entered.
    Enter,
    /// The next row of this level is to be found.
    Advance,
    Over,
}

impl Search {
    pub(super) fn new(variant: Rc<Variant>, rule: u32, body: u16, pin: Option<(u16, u32)>) -> Self {
        Self {
            variant,
            rule,
            body,
            pin,
            bindings: Bindings::default(),
            states: Vec::new(),
            depth: 0,
            phase: Phase::New,
            is_prepared: false,
            ends: Vec::new(),
            fixed: Vec::new(),
        }
    }

    /// One that stands at the same match and does not go on from there.
    pub(super) fn standing(&self) -> Self {
        let mut standing = Self::new(Rc::clone(&self.variant), self.rule, self.body, self.pin);
        standing.bindings = self.bindings.clone();
        standing.phase = Phase::Over;
        standing
    }

    /// Begins anew with another row, all else as it was.
    pub(super) fn again(&mut self, pin: (u16, u32)) {
        self.pin = Some(pin);
        self.depth = 0;
        // What levels bind is bound before it is read.
        self.phase = if self.is_prepared && self.variant.first.is_empty() { Phase::Enter } else { Phase::New };
        self.bindings.erring = None;
        self.bindings.erring_values = 0;
    }

    /// Begins anew with another row, or another rule, in the same memory.
    pub(super) fn restart(&mut self, variant: Rc<Variant>, rule: u32, body: u16, pin: Option<(u16, u32)>) {
        self.variant = variant;
        self.rule = rule;
        self.body = body;
        self.pin = pin;
        self.phase = Phase::New;
        self.is_prepared = false;
        self.depth = 0;
        self.ends.clear();
        self.fixed.clear();
    }

    fn prepare(&mut self, target: &Target<'_>, params: &[Value]) {
        let bindings = &mut self.bindings;
        bindings.rows.clear();
        bindings.rows.resize(target.body.slots.len(), NONE);
        bindings.values.clear();
        bindings.values.extend_from_slice(params);
        bindings.values.resize(target.rule.values.max(params.len() as u16) as usize, Value::Null);
        bindings.erring = None;
        bindings.erring_values = 0;
        self.is_prepared = true;
        while self.states.len() < self.variant.levels.len() {
            self.states.push(LevelState::default());
        }
    }

    /// Goes on to the next match; `false` when there is none any more.
    pub(super) fn advance(
        &mut self,
        world: World<'_>,
        target: &Target<'_>,
        params: &[Value],
        heap: &mut Heap,
        notes: &mut Notes,
    ) -> Result<bool, Stop> {
        if self.phase == Phase::New {
            self.prepare(target, params);
        }
        let Self { variant, bindings, states, depth, phase, ends, fixed, pin, .. } = self;
        let (variant, ends) = (&**variant, ends.as_slice());
        let mut maker = Maker { world, target, heap, notes, pin: *pin, fixed };
        match *phase {
            Phase::Over => return Ok(false),
            Phase::New => {
                *phase = Phase::Over;
                if !maker.steps(&variant.first, bindings, 0)? {
                    return Ok(false);
                }
                if variant.levels.is_empty() {
                    return Ok(true);
                }
                *phase = Phase::Enter;
            }
            Phase::Advance => {
                // Facts may have gone since the search stopped: what was bound below them is over.
                let is_gone = |level: &Level| {
                    let row = bindings.rows[level.slot as usize];
                    !world.tables[level.template as usize].is_alive(row)
                };
                if let Some(gone) = variant.levels[..*depth].iter().position(is_gone) {
                    *depth = gone;
                }
            }
            Phase::Enter => {}
        }
        let last = variant.levels.len() - 1;
        loop {
            let (level, state) = (&variant.levels[*depth], &mut states[*depth]);
            if *phase == Phase::Enter {
                maker.enter(level, state, bindings, ends)?;
                *phase = Phase::Advance;
            }
            if maker.next(level, state, bindings, ends, *depth)? {
                if *depth == last {
                    return Ok(true);
                }
                *depth += 1;
                *phase = Phase::Enter;
            } else if *depth == 0 {
                *phase = Phase::Over;
                return Ok(false);
            } else {
                *depth -= 1;
            }
        }
    }
}

/// Makes levels, tests and steps.
pub(super) struct Maker<'a> {
    pub(super) world: World<'a>,
    pub(super) target: &'a Target<'a>,
    pub(super) heap: &'a mut Heap,
    pub(super) notes: &'a mut Notes,
    pub(super) pin: Option<(u16, u32)>,
    pub(super) fixed: &'a [u32],
}

impl Maker<'_> {
    fn enter(
        &mut self,
        level: &Level,
        state: &mut LevelState,
        bindings: &mut Bindings,
        ends: &[u32],
    ) -> Result<(), Stop> {
        let table = &self.world.tables[level.template as usize];
        state.before = NONE;
        match &level.access {
            Access::Pinned => state.next = self.pin.map_or(NONE, |(_, row)| row),
            Access::Fixed(place) => state.next = self.fixed.get(*place as usize).copied().unwrap_or(NONE),
            Access::Scan => state.next = if table.is_empty() { NONE } else { 0 },
            Access::Probe { index, keys } => {
                state.keys.clear();
                state.hash = hash_start();
                for &(_, key) in keys {
                    let Some(cell) = self.key(key, bindings)? else {
                        state.next = NONE;
                        state.sorted.clear();
                        return Ok(());
                    };
                    state.keys.push(cell);
                    state.hash = hash_word(state.hash, cell);
                }
                self.heap.meter.spend(1)?;
                let chain = table.index_at(*index as usize);
                state.generation = chain.generation();
                state.last = NONE;
                state.next = chain.first(state.hash);
            }
        }
        if level.is_sorted {
            self.sort(level, state, bindings, ends)?;
        }
        Ok(())
    }

    fn key(&mut self, key: Key, bindings: &Bindings) -> Result<Option<u64>, Stop> {
        Ok(match key {
            Key::Operand(operand) => Some(self.operand(operand, bindings)),
            Key::Pin(field) => self.pin.map(|(template, row)| self.world.tables[template as usize].cell(row, field)),
            Key::Conjunct(place) => {
                let conjunct = &self.target.body.conjuncts[place as usize];
                let ConjunctKind::EqualsProgram { program, ty, .. } = &conjunct.kind else { return Ok(None) };
                match self.eval(program, bindings) {
                    Ok(value) => encode(value, ty.scalar),
                    Err(EvalError::Stopped(stop)) => return Err(stop),
                    Err(error) => {
                        self.note(conjunct, error);
                        None
                    }
                }
            }
        })
    }

    #[inline(always)]
    fn operand(&self, operand: Operand, bindings: &Bindings) -> u64 {
        match operand {
            Operand::Cell(cell) => {
                let template = self.target.body.slots[cell.slot as usize] as usize;
                self.world.tables[template].cell(bindings.rows[cell.slot as usize], cell.field)
            }
            Operand::Value(slot) => value_cell(bindings.values[slot as usize]),
            Operand::Constant(cell) => cell,
        }
    }

    pub(super) fn eval(&mut self, program: &Program, bindings: &Bindings) -> Result<Value, EvalError> {
        let frame =
            Bound { world: self.world, slots: &self.target.body.slots, rows: &bindings.rows, values: &bindings.values };
        program.eval(&frame, self.heap)
    }

    fn eval_bool(&mut self, program: &Program, bindings: &Bindings) -> Result<bool, EvalError> {
        let frame =
            Bound { world: self.world, slots: &self.target.body.slots, rows: &bindings.rows, values: &bindings.values };
        let mark = self.heap.mark();
        let result = program.eval_bool(&frame, self.heap);
        self.heap.release(mark);
        result
    }

    fn note(&mut self, conjunct: &Conjunct, error: EvalError) {
        self.notes.where_erred(self.target.rule_place, self.target.body, conjunct.slot, error);
    }

    /// Takes all candidates of a level and puts them in canonical order; for `distinct`, those for which tests hold.
    fn sort(
        &mut self,
        level: &Level,
        state: &mut LevelState,
        bindings: &mut Bindings,
        ends: &[u32],
    ) -> Result<(), Stop> {
        let mut rows = std::mem::take(&mut state.sorted);
        rows.clear();
        let distinct = self.target.body.positions[level.position as usize].distinct.as_ref();
        while let Some(row) = self.candidate(level, state, ends)? {
            bindings.rows[level.slot as usize] = row;
            if distinct.is_none() || self.tests(&level.tests, bindings)? {
                rows.push(row);
            }
        }
        let table = &self.world.tables[level.template as usize];
        let schema = &self.world.rules.schema.templates[level.template as usize];
        let types = &self.world.types[level.template as usize];
        let fields = distinct.unwrap_or(&schema.key);
        self.heap.meter.spend(rows.len() as u64)?;
        Order { fields, types }.sort(table.view(), self.heap, &mut rows);
        rows.reverse();
        state.sorted = rows;
        state.last = NONE;
        Ok(())
    }

    /// The next row of a chain or a scan that is alive, before the end, and has the keys.
    #[inline(always)]
    fn candidate(&mut self, level: &Level, state: &mut LevelState, ends: &[u32]) -> Result<Option<u32>, Stop> {
        let table = &self.world.tables[level.template as usize];
        let end = ends.get(level.position as usize).copied().unwrap_or(u32::MAX);
        match &level.access {
            Access::Pinned | Access::Fixed(_) => {
                let row = std::mem::replace(&mut state.next, NONE);
                Ok((row != NONE && table.is_alive(row)).then_some(row))
            }
            Access::Scan => {
                let end = end.min(table.len());
                while state.next < end {
                    let row = state.next;
                    state.next += 1;
                    self.heap.meter.spend(1)?;
                    if table.is_alive(row) {
                        return Ok(Some(row));
                    }
                }
                Ok(None)
            }
            Access::Probe { index, keys } => {
                let chain = table.index_at(*index as usize);
                if state.generation != chain.generation() {
                    // The index was filled anew since: on from the last row, by the new chain.
                    state.generation = chain.generation();
                    state.before = NONE;
                    state.next = chain.first(state.hash);
                    while state.next != NONE && state.next >= state.last {
                        state.next = chain.next(state.next);
                    }
                }
                while state.next != NONE {
                    let row = state.next;
                    state.next = chain.next(row);
                    if !table.is_alive(row) {
                        self.heap.meter.pass()?;
                        let is_behind = match state.before {
                            NONE => chain.first(state.hash) == row,
                            before => chain.next(before) == row,
                        };
                        if is_behind {
                            chain.unlink(state.hash, state.before, row);
                        }
                        continue;
                    }
                    state.before = row;
                    let has_keys =
                        keys.iter().zip(&state.keys).all(|(&(field, _), &cell)| table.cell(row, field) == cell);
                    if !has_keys {
                        self.heap.meter.pass()?;
                        continue;
                    }
                    self.heap.meter.spend(1)?;
                    if row < end {
                        state.last = row;
                        return Ok(Some(row));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The next living row of what was put in order. Where one is enough for `distinct`, one for each combination:
    /// another one only where that has died since.
    fn next_sorted(&self, level: &Level, state: &mut LevelState) -> Option<u32> {
        let table = &self.world.tables[level.template as usize];
        let distinct = self.target.body.positions[level.position as usize].distinct.as_ref();
        let distinct = distinct.filter(|_| level.is_distinct);
        let is_another = |row: u32, last: u32| {
            distinct.is_none_or(|fields| {
                last == NONE
                    || !table.is_alive(last)
                    || fields.iter().any(|&field| table.distinct_cell(row, field) != table.distinct_cell(last, field))
            })
        };
        while let Some(row) = state.sorted.pop() {
            if table.is_alive(row) && is_another(row, state.last) {
                state.last = row;
                return Some(row);
            }
        }
        None
    }

    /// Binds the next row of a level for which tests and steps hold.
    fn next(
        &mut self,
        level: &Level,
        state: &mut LevelState,
        bindings: &mut Bindings,
        ends: &[u32],
        depth: usize,
    ) -> Result<bool, Stop> {
        // What was put in order for `distinct` has been tested.
        let is_tested = level.is_sorted && self.target.body.positions[level.position as usize].distinct.is_some();
        loop {
            if bindings.erring.is_some() && bindings.erring_depth as usize > depth {
                bindings.erring = None;
                bindings.erring_values = 0;
            }
            let row = match level.is_sorted {
                true => self.next_sorted(level, state),
                false => self.candidate(level, state, ends)?,
            };
            let Some(row) = row else { return Ok(false) };
            bindings.rows[level.slot as usize] = row;
            if !is_tested && !level.tests.is_empty() && !self.tests(&level.tests, bindings)? {
                continue;
            }
            if !level.steps.is_empty() && !self.steps(&level.steps, bindings, depth + 1)? {
                continue;
            }
            if !level.late_tests.is_empty() && !self.tests(&level.late_tests, bindings)? {
                continue;
            }
            return Ok(true);
        }
    }

    /// Whether all conjuncts hold. One that errs, where none is false, is no match and is noted.
    pub(super) fn tests(&mut self, tests: &[u16], bindings: &Bindings) -> Result<bool, Stop> {
        let body = self.target.body;
        self.conjuncts(tests.iter().map(|&test| &body.conjuncts[test as usize]), bindings)
    }

    pub(super) fn conjuncts<'c>(
        &mut self,
        conjuncts: impl Iterator<Item = &'c Conjunct>,
        bindings: &Bindings,
    ) -> Result<bool, Stop> {
        let mut failed: Option<(&Conjunct, EvalError)> = None;
        for conjunct in conjuncts {
            if bindings.erring_values & conjunct.values != 0 {
                continue;
            }
            if let ConjunctKind::Compare { left, comparison, right, kind } = &conjunct.kind {
                if holds(self.operand(*left, bindings), *comparison, self.operand(*right, bindings), *kind) {
                    continue;
                }
                return Ok(false);
            }
            match self.conjunct(conjunct, bindings) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(EvalError::Stopped(stop)) => return Err(stop),
                Err(error) => failed = failed.or(Some((conjunct, error))),
            }
        }
        match failed {
            None => Ok(true),
            Some((conjunct, error)) => {
                self.note(conjunct, error);
                Ok(false)
            }
        }
    }

    fn conjunct(&mut self, conjunct: &Conjunct, bindings: &Bindings) -> Result<bool, EvalError> {
        match &conjunct.kind {
            ConjunctKind::Compare { left, comparison, right, kind } => {
                let (left, right) = (self.operand(*left, bindings), self.operand(*right, bindings));
                Ok(holds(left, *comparison, right, *kind))
            }
            ConjunctKind::EqualsProgram { cell, program, ty } => {
                let value = self.eval(program, bindings)?;
                Ok(encode(value, ty.scalar) == Some(self.operand(Operand::Cell(*cell), bindings)))
            }
            ConjunctKind::Program(program) => self.eval_bool(program, bindings),
        }
    }

    /// Makes steps in order; `false` if one of them does not hold. What errs is remembered and taken to hold.
    pub(super) fn steps(&mut self, steps: &[u16], bindings: &mut Bindings, depth: usize) -> Result<bool, Stop> {
        for &place in steps {
            let step = &self.target.body.steps[place as usize];
            if bindings.erring_values & step.values != 0 {
                bindings.have_erred(step.gives, self.world.rules.params.len());
                continue;
            }
            match self.step(place, bindings) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(EvalError::Stopped(stop)) => return Err(stop),
                Err(error) => {
                    if bindings.erring.is_none() {
                        bindings.erring = Some(Box::new(Erring { when: step.when, error }));
                        bindings.erring_depth = depth as u32;
                    }
                    bindings.have_erred(step.gives, self.world.rules.params.len());
                }
            }
        }
        Ok(true)
    }

    pub(super) fn step(&mut self, place: u16, bindings: &mut Bindings) -> Result<bool, EvalError> {
        let step = &self.target.body.steps[place as usize];
        let index = self.target.step_indexes[place as usize];
        match &step.kind {
            StepKind::If(program) => self.eval_bool(program, bindings),
            StepKind::Let { slot, program } => {
                bindings.values[*slot as usize] = self.eval(program, bindings)?;
                Ok(true)
            }
            StepKind::Not(pattern) => Ok(!self.has_inner(pattern, index, bindings)?),
            StepKind::Exists(pattern) => Ok(self.has_inner(pattern, index, bindings)?),
            StepKind::Forall { pattern, satisfies } => {
                // A fact for which it is false decides, whatever errs for others.
                let mut failed = None;
                let mut walk = self.inner(pattern, index, bindings);
                while let Some(row) = self.next_inner(&mut walk, bindings)? {
                    bindings.rows[pattern.slot as usize] = row;
                    match self.eval_bool(satisfies, bindings) {
                        Ok(true) => {}
                        Ok(false) => return Ok(false),
                        Err(EvalError::Stopped(stop)) => return Err(EvalError::Stopped(stop)),
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
                failed.map_or(Ok(true), Err)
            }
            StepKind::Accumulate { pattern, count, folds } => {
                let mut accumulation = inner::Accumulation::new(folds);
                let is_ordered = folds.iter().any(|fold| fold.kind == FoldKind::Collect);
                let mut rows = Vec::new();
                let mut walk = self.inner(pattern, index, bindings);
                while let Some(row) = self.next_inner(&mut walk, bindings)? {
                    match is_ordered {
                        true => rows.push(row),
                        false => self.fold(row, pattern.slot, folds, &mut accumulation, bindings)?,
                    }
                }
                if is_ordered {
                    self.sort_canonically(&mut rows, pattern.template);
                    for row in rows {
                        self.fold(row, pattern.slot, folds, &mut accumulation, bindings)?;
                    }
                }
                accumulation.finish(*count, folds, bindings, self.heap)
            }
        }
    }

    fn fold(
        &mut self,
        row: u32,
        slot: u16,
        folds: &[crate::model::Fold],
        accumulation: &mut inner::Accumulation,
        bindings: &mut Bindings,
    ) -> Result<(), EvalError> {
        bindings.rows[slot as usize] = row;
        accumulation.count += 1;
        for (place, fold) in folds.iter().enumerate() {
            let value = self.eval(&fold.of, bindings)?;
            accumulation.add(place, fold, value, self.heap)?;
        }
        Ok(())
    }

    pub(super) fn sort_canonically(&self, rows: &mut [u32], template: u16) {
        let table = &self.world.tables[template as usize];
        let key = &self.world.rules.schema.templates[template as usize].key;
        let types = &self.world.types[template as usize];
        Order { fields: key, types }.sort(table.view(), self.heap, rows);
    }
}

impl Maker<'_> {
    pub(super) fn operand_cell(&self, operand: Operand, bindings: &Bindings) -> u64 {
        self.operand(operand, bindings)
    }
}

#[inline]
pub(super) fn holds(left: u64, comparison: Comparison, right: u64, kind: CellKind) -> bool {
    match kind {
        CellKind::Bits => match comparison {
            Comparison::Equal => left == right,
            _ => left != right,
        },
        CellKind::Int => compared(&(left as i64), comparison, &(right as i64)),
        CellKind::Double => compared(&f64::from_bits(left), comparison, &f64::from_bits(right)),
    }
}

#[inline]
fn compared<T: PartialOrd>(left: &T, comparison: Comparison, right: &T) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

/// A scalar value as a cell.
pub fn value_cell(value: Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(value),
        Value::Int(value) => value as u64,
        Value::Uint(value) => value,
        Value::Double(value) => double_cell(value),
        Value::String(text) | Value::Bytes(text) | Value::Type(text) => u64::from(text.0),
        Value::Timestamp { .. } => encode(value, crate::schema::Scalar::Timestamp).unwrap_or(i64::MAX as u64),
        Value::Duration { .. } => encode(value, crate::schema::Scalar::Duration).unwrap_or(i64::MAX as u64),
        Value::List(list) => u64::from(list.0),
        Value::Map(map) => u64::from(map.0),
        Value::Some(place) => u64::from(place),
        Value::Null | Value::None => 0,
    }
}

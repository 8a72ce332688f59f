//! The actions of one firing: all expressions are evaluated on the state in which the rule fired, then all is applied.

use std::ops::Range;

use super::agenda::Flow;
use super::decide::Emitted;
use super::search::{Bindings, Bound, Erring, World};
use super::{Engine, Halt, RunError};
use crate::cel::{EvalError, Program};
use crate::model::{Action, CellSource, RuleSet, heap_cell};
use crate::schema::FieldType;
use crate::store::{NONE, encode};
use crate::value::Value;

/// What an action does, evaluated. Ranges are places in `Effects`.
enum Effect {
    Assert { template: u16, cells: Range<usize> },
    Modify { template: u16, row: u32, changed: Range<usize> },
    Retract { template: u16, row: u32 },
    Emit(Emitted),
}

/// What the actions of a firing do. Kept from one firing to the next so that none allocates.
#[derive(Default)]
pub(super) struct Effects {
    all: Vec<Effect>,
    cells: Vec<u64>,
    /// Fields with their new cells.
    changed: Vec<(u16, u64)>,
    batch: Batch,
}

/// What a batch did to tables.
#[derive(Default)]
pub(super) struct Batch {
    /// Template, row, whether it was added.
    changes: Vec<(u16, u32, bool)>,
    retracted: Vec<(u16, u32)>,
}

impl Engine {
    pub(super) fn act(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        entry: u32,
    ) -> Result<Flow, Halt> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.all.clear();
        effects.cells.clear();
        effects.changed.clear();
        effects.batch.changes.clear();
        effects.batch.retracted.clear();
        let flow = self.evaluate_actions(rules, rule, body, bindings, &mut effects);
        let flow = flow.and_then(|flow| {
            self.apply(rules, (rule, body, bindings), entry, &mut effects)?;
            Ok(flow)
        });
        self.effects = effects;
        flow
    }

    fn evaluate_actions(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        effects: &mut Effects,
    ) -> Result<Flow, Halt> {
        let description = &rules.rules[rule as usize];
        let slots = &description.bodies[body as usize].slots;
        let mut flow = Flow::On;
        for action in &description.actions {
            match action {
                Action::Derive { template, cells: sources } | Action::Assert { template, cells: sources } => {
                    let begin = effects.cells.len();
                    self.make_cells(rules, rule, body, bindings, *template, sources, &mut effects.cells)?;
                    effects.all.push(Effect::Assert { template: *template, cells: begin..effects.cells.len() });
                }
                Action::Modify { slot, cells } => {
                    let (template, row) = (slots[*slot as usize], bindings.rows[*slot as usize]);
                    let begin = effects.changed.len();
                    for (field, source) in cells {
                        let cell = self.make_cell(rules, rule, body, bindings, (template, *field), source)?;
                        effects.changed.push((*field, cell));
                    }
                    effects.all.push(Effect::Modify { template, row, changed: begin..effects.changed.len() });
                }
                Action::Retract { slot } => {
                    let (template, row) = (slots[*slot as usize], bindings.rows[*slot as usize]);
                    effects.all.push(Effect::Retract { template, row });
                }
                Action::Emit(emit) => {
                    effects.all.push(Effect::Emit(self.emitted(rules, rule, body, bindings, emit)?));
                }
                Action::Stop { all: true } => flow = Flow::End,
                Action::Stop { all: false } if flow == Flow::On => flow = Flow::NextPhase,
                Action::Stop { .. } => {}
            }
        }
        Ok(flow)
    }

    fn apply(
        &mut self,
        rules: &RuleSet,
        from: (u32, u16, &Bindings),
        entry: u32,
        effects: &mut Effects,
    ) -> Result<(), Halt> {
        let Effects { all, cells, changed, batch } = effects;
        for (place, effect) in all.iter().enumerate() {
            match effect {
                Effect::Assert { template, cells: range } => self.state(*template, &cells[range.clone()], batch),
                Effect::Modify { template, row, changed: range } => {
                    self.modify(rules, from, (*template, *row), &changed[range.clone()], batch)?;
                }
                Effect::Retract { template, row } => self.retract(rules, from, *template, *row, batch)?,
                Effect::Emit(emitted) => {
                    self.decide(rules, (from.0, from.1, place as u32), entry, from.2, *emitted);
                }
            }
        }
        self.check_facts()?;
        self.publish(batch);
        Ok(())
    }

    /// States a fact; one of the same key is replaced.
    pub(super) fn state(&mut self, template: u16, cells: &[u64], batch: &mut Batch) {
        if let Some(row) = self.tables[template as usize].stated_with_key(cells) {
            if self.tables[template as usize].row(row) == cells {
                return;
            }
            self.unstate(template, row, batch);
        }
        if let Some(row) = self.tables[template as usize].equal_to(cells) {
            // Rules derive it already, or did until now.
            if self.recorder.watches_facts() {
                self.recorder.stated((template, row), None);
            }
            self.stamp(template, row);
            self.restamped += 1;
            self.head_changed(template);
            return;
        }
        let row = self.append(template, cells);
        self.stamp(template, row);
        batch.changes.push((template, row, true));
        if self.rules.derived[template as usize] {
            // Some of them may be on their way out.
            self.note_conflicts(template, row, self.current, usize::MAX);
            self.head_changed(template);
        }
    }

    fn stamp(&mut self, template: u16, row: u32) {
        if let Some(stamps) = &mut self.tables[template as usize].stamps {
            stamps[row as usize] = self.next_stamp;
            self.next_stamp += 1;
        }
    }

    /// Takes the statement of a fact away; it stays where rules derive it.
    fn unstate(&mut self, template: u16, row: u32, batch: &mut Batch) {
        if self.rules.derived[template as usize] {
            self.head_changed(template);
            let is_counted =
                self.rules.strata.iter().any(|stratum| stratum.heads.contains(&template) && stratum.keeps_matches());
            // Without counts, the evaluation of its stratum decides.
            if !is_counted || self.supports.is_supported(template, row) {
                if let Some(stamps) = &mut self.tables[template as usize].stamps {
                    stamps[row as usize] = 0;
                    self.restamped += 1;
                }
                return;
            }
        }
        self.kill(template, row);
        batch.changes.push((template, row, false));
    }

    fn modify(
        &mut self,
        rules: &RuleSet,
        from: (u32, u16, &Bindings),
        (template, row): (u16, u32),
        cells: &[(u16, u64)],
        batch: &mut Batch,
    ) -> Result<(), Halt> {
        if batch.retracted.contains(&(template, row)) {
            return Err(self.action_error(
                rules,
                from,
                "modify-after-retract",
                "a fact is modified after it was retracted",
            ));
        }
        let Some(row) = self.present(template, row) else {
            return Err(self.action_error(
                rules,
                from,
                "modify-after-retract",
                "a fact is modified after it was retracted",
            ));
        };
        if !self.is_stated(template, row) {
            return Err(self.action_error(rules, from, "derived-fact", "a fact that only rules derive is modified"));
        }
        let mut changed = std::mem::take(&mut self.cells);
        changed.clear();
        changed.extend_from_slice(self.tables[template as usize].row(row));
        for &(field, cell) in cells {
            changed[field as usize] = cell;
            if self.tables[template as usize].has_mask() {
                let mask = changed.len() - 1;
                changed[mask] &= !(1 << field);
            }
        }
        if self.tables[template as usize].row(row) != changed {
            self.unstate(template, row, batch);
            self.state(template, &changed, batch);
        }
        self.cells = changed;
        Ok(())
    }

    /// The version of a fact that is there now: an action of the same firing may have replaced it.
    fn present(&self, template: u16, row: u32) -> Option<u32> {
        let table = &self.tables[template as usize];
        table.stated_with_key(table.row(row)).or_else(|| table.with_key(table.row(row)))
    }

    fn retract(
        &mut self,
        rules: &RuleSet,
        from: (u32, u16, &Bindings),
        template: u16,
        row: u32,
        batch: &mut Batch,
    ) -> Result<(), Halt> {
        if batch.retracted.contains(&(template, row)) {
            return Ok(());
        }
        batch.retracted.push((template, row));
        let Some(row) = self.present(template, row) else { return Ok(()) };
        if !self.is_stated(template, row) {
            return Err(self.action_error(rules, from, "derived-fact", "a fact that only rules derive is retracted"));
        }
        self.unstate(template, row, batch);
        Ok(())
    }

    /// Retracts a fact from outside, between two runs.
    pub(super) fn withdraw(&mut self, template: u16, row: u32, batch: &mut Batch) {
        if self.tables[template as usize].is_alive(row) && self.is_stated(template, row) {
            self.unstate(template, row, batch);
        }
    }

    /// Leads what a batch changed, in sum, to those that wait for it.
    pub(super) fn publish(&mut self, batch: &Batch) {
        if self.recorder.watches_facts() {
            self.record_changes(batch);
        }
        let changes = &batch.changes;
        for &(template, row, is_added) in changes {
            let is_passing =
                changes.iter().any(|&(other, same, added)| other == template && same == row && added != is_added);
            if is_passing {
                continue;
            }
            self.recent_change(template, row);
            if is_added { self.added(template, row) } else { self.removed(template, row) }
        }
    }

    /// The changes of a batch as statements, replacements and retractions.
    fn record_changes(&mut self, batch: &Batch) {
        let is_net =
            |&&(template, row, is_added): &&(u16, u32, bool)| !batch.changes.contains(&(template, row, !is_added));
        let net: Vec<(u16, u32, bool)> = batch.changes.iter().filter(is_net).copied().collect();
        let has_key = |engine: &Self, template: u16, left: u32, right: u32| {
            let table = &engine.tables[template as usize];
            let key = &engine.rules.schema.templates[template as usize].key;
            key.iter().all(|&field| table.cell(left, field) == table.cell(right, field))
        };
        for &(template, row, is_added) in &net {
            let other = net.iter().find(|&&(other, version, added)| {
                other == template && added != is_added && has_key(self, template, version, row)
            });
            match (is_added, other) {
                (true, other) => self.recorder.stated((template, row), other.map(|&(_, before, _)| before)),
                (false, None) if self.rules.derived[template as usize] => self.recorder.underived((template, row)),
                (false, None) => self.recorder.retracted((template, row)),
                (false, Some(_)) => {}
            }
        }
    }

    pub(super) fn condition_error(
        &self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        Erring { when, error }: &Erring,
    ) -> Halt {
        Halt::Error(Box::new(RunError {
            code: "evaluation",
            rule: Some(rule),
            bindings: self.named(rules, rule, body, bindings),
            message: format!("condition {} of `{}`: {}", when + 1, rules.rules[rule as usize].id, error.message()),
        }))
    }

    /// Template and row of each bound fact, by variable.
    pub(super) fn named(&self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> Vec<(String, u16, u32)> {
        let positions = &rules.rules[rule as usize].bodies[body as usize].positions;
        let bound = positions
            .iter()
            .map(|position| (position.variable.clone(), position.template, bindings.rows[position.slot as usize]));
        bound.filter(|&(_, _, row)| row != NONE).collect()
    }

    fn action_error(
        &self,
        rules: &RuleSet,
        (rule, body, bindings): (u32, u16, &Bindings),
        code: &'static str,
        message: &str,
    ) -> Halt {
        Halt::Error(Box::new(RunError {
            code,
            rule: Some(rule),
            bindings: self.named(rules, rule, body, bindings),
            message: format!("an action of `{}`: {message}", rules.rules[rule as usize].id),
        }))
    }

    pub(super) fn make_cells(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        template: u16,
        sources: &[CellSource],
        cells: &mut Vec<u64>,
    ) -> Result<(), Halt> {
        let mut mask = 0;
        for (field, source) in sources.iter().enumerate() {
            let cell = match source {
                CellSource::Cell(at) => {
                    let from = rules.rules[rule as usize].bodies[body as usize].slots[at.slot as usize];
                    self.tables[from as usize].cell(bindings.rows[at.slot as usize], at.field)
                }
                CellSource::Missing => {
                    mask |= 1 << field;
                    0
                }
                source => self.make_cell(rules, rule, body, bindings, (template, field as u16), source)?,
            };
            cells.push(cell);
        }
        if self.tables[template as usize].has_mask() {
            cells.push(mask);
        }
        Ok(())
    }

    fn make_cell(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        (template, field): (u16, u16),
        source: &CellSource,
    ) -> Result<u64, Halt> {
        match source {
            CellSource::Constant(cell) => Ok(*cell),
            CellSource::Default(constant) => {
                let ty = self.types[template as usize][field as usize];
                Ok(heap_cell(constant, ty, &mut self.heap))
            }
            CellSource::Missing => Ok(0),
            CellSource::Cell(at) => {
                let from = rules.rules[rule as usize].bodies[body as usize].slots[at.slot as usize];
                Ok(self.tables[from as usize].cell(bindings.rows[at.slot as usize], at.field))
            }
            CellSource::Program(program) => {
                let value = self.value_of(rules, rule, body, bindings, program)?;
                let schema = &rules.schema.templates[template as usize];
                let known = &schema.fields[field as usize];
                self.checked_cell(value, known).map_err(|reason| {
                    let message = format!("field `{}` of `{}`: {reason}", known.name, schema.name);
                    self.action_error(rules, (rule, body, bindings), "value-out-of-range", &message)
                })
            }
        }
    }

    /// Evaluates an expression of an action.
    pub(super) fn value_of(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        program: &Program,
    ) -> Result<Value, Halt> {
        let world = World { rules, tables: &self.tables, types: &self.types };
        let slots = &rules.rules[rule as usize].bodies[body as usize].slots;
        let frame = Bound { world, slots, rows: &bindings.rows, values: &bindings.values };
        program.eval(&frame, &mut self.heap).map_err(|error| match error {
            EvalError::Stopped(stop) => stop.into(),
            error => self.action_error(rules, (rule, body, bindings), "evaluation", error.message()),
        })
    }

    /// A value as a cell of a field, if the field allows it.
    pub(super) fn checked_cell(&mut self, value: Value, field: &crate::schema::FieldSchema) -> Result<u64, String> {
        let scalar = FieldType { list: false, ..field.ty };
        match value {
            Value::List(list) if field.ty.list => {
                let values = self.heap.list(list).to_vec();
                if field.len.is_some_and(|len| len as usize != values.len()) {
                    return Err(format!("{} elements instead of {}", values.len(), field.len.unwrap_or_default()));
                }
                for &value in &values {
                    let cell = encode(value, scalar.scalar).ok_or("an element is not of the field's type")?;
                    super::check::cell(cell, field, &self.heap)?;
                }
                Ok(u64::from(self.heap.intern_list(&values).0))
            }
            value if !field.ty.list => {
                let cell = encode(value, scalar.scalar).ok_or("the value is not of the field's type")?;
                super::check::cell(cell, field, &self.heap)?;
                Ok(cell)
            }
            _ => Err("the value is not of the field's type".to_owned()),
        }
    }
}

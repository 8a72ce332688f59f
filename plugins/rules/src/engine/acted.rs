//! A match as it was when its rule acted on it: what it bound, what its closed conditions looked at, what it computed.
//!
//! Looking costs the run nothing: neither its work nor its notes change.

use super::search::Bindings;
use super::{Engine, Halt};
use crate::model::{Operand, Pattern, StepKind};
use crate::store::NONE;

/// What a rule acted on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acted {
    pub(crate) rule: u32,
    pub(crate) body: u16,
    /// By position of the body.
    pub(crate) rows: Vec<u32>,
    /// Its closed conditions, in their order.
    pub(crate) closed: Vec<Closed>,
    /// Names and JSON texts of what it computed.
    pub(crate) values: Vec<(String, String)>,
}

/// What a closed condition looked at.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) step: u16,
    /// The pattern with what its keys were, in the syntax of a query.
    pub(crate) text: String,
    /// The facts in canonical order: all of them for `accumulate`, those that may do for `exists`, none for others.
    pub(crate) rows: Vec<u32>,
}

/// So many facts that fulfil an `exists` are looked at.
const WITNESSES_MAX: usize = 256;

impl Engine {
    /// All that a match rests on.
    pub(super) fn acted(&mut self, rule: u32, body: u16, bindings: &Bindings) -> Result<Acted, Halt> {
        let looked = self.looked_at(rule, body, bindings)?;
        let rules = std::rc::Rc::clone(&self.rules);
        let description = &rules.rules[rule as usize];
        let steps = &description.bodies[body as usize].steps;
        let mut closed = Vec::new();
        for (step, rows) in looked {
            let Some(pattern) = steps[step as usize].kind.pattern() else { continue };
            closed.push(Closed { step, text: self.pattern_text(rule, body, pattern, bindings), rows });
        }
        let names = description.names.iter().skip(description.exported as usize);
        let values = names.zip(&description.identity).map(|(name, &slot)| {
            let mut json = String::new();
            crate::json::push_value(bindings.values[slot as usize], &self.heap, &mut json)?;
            Ok((name.clone(), json))
        });
        let positions = &description.bodies[body as usize].positions;
        Ok(Acted {
            rule,
            body,
            rows: positions.iter().map(|position| bindings.rows[position.slot as usize]).collect(),
            closed,
            values: values.collect::<Result<_, Halt>>()?,
        })
    }

    /// For each closed condition, the facts that it rests on, in canonical order.
    pub(super) fn looked_at(
        &mut self,
        rule: u32,
        body: u16,
        bindings: &Bindings,
    ) -> Result<Vec<(u16, Vec<u32>)>, Halt> {
        let rules = std::rc::Rc::clone(&self.rules);
        let steps = &rules.rules[rule as usize].bodies[body as usize].steps;
        if steps.iter().all(|step| step.kind.pattern().is_none()) {
            return Ok(Vec::new());
        }
        let id = self.body_id(rule, body);
        self.ensure_step_indexes(&rules.rules[rule as usize], body, id);
        self.aside(|engine| {
            let mut bindings = bindings.clone();
            let mut looked = Vec::new();
            for (place, step) in steps.iter().enumerate() {
                let Some(pattern) = step.kind.pattern() else { continue };
                let mut rows = Vec::new();
                if matches!(step.kind, StepKind::Exists(_) | StepKind::Accumulate { .. }) {
                    rows = engine.rows_of((rule, body), place, pattern, &mut bindings)?;
                }
                if matches!(step.kind, StepKind::Exists(_)) {
                    // Facts that cost nothing are as good as one another.
                    let is_free = !engine.is_written(pattern.template);
                    rows.truncate(if is_free { 1 } else { WITNESSES_MAX });
                }
                looked.push((place as u16, rows));
            }
            Ok(looked)
        })
    }

    /// The facts that a pattern matches, in canonical order.
    fn rows_of(
        &mut self,
        (rule, body): (u32, u16),
        place: usize,
        pattern: &Pattern,
        bindings: &mut Bindings,
    ) -> Result<Vec<u32>, Halt> {
        let id = self.body_id(rule, body) as usize;
        let index = self.step_indexes[id].as_deref().map_or(0, |indexes| indexes[place]);
        self.with_maker(rule, body, |maker| {
            let mut rows = Vec::new();
            let mut walk = maker.inner(pattern, index, bindings);
            while let Some(row) = maker.next_inner(&mut walk, bindings)? {
                rows.push(row);
            }
            maker.sort_canonically(&mut rows, pattern.template);
            Ok(rows)
        })
    }

    /// Does something that the run does not pay for.
    pub(super) fn aside<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let meter = self.heap.meter.clone();
        let notes = std::mem::take(&mut self.notes.all);
        self.heap.meter.reset(u64::MAX);
        let result = work(self);
        self.heap.meter = meter;
        self.notes.all = notes;
        result
    }

    /// Rules derive or state facts of the template.
    pub(crate) fn is_written(&self, template: u16) -> bool {
        self.rules.rules.iter().any(|rule| rule.targets().any(|target| target == template))
    }

    /// What a match bound, by variable.
    pub(super) fn bound(&self, rule: u32, body: u16, bindings: &Bindings) -> super::trace::Bound {
        let positions = &self.rules.rules[rule as usize].bodies[body as usize].positions;
        let bound = positions
            .iter()
            .map(|position| (position.variable.clone(), position.template, bindings.rows[position.slot as usize]));
        bound.filter(|&(_, _, row)| row != NONE).collect()
    }

    /// A pattern as a query: its template and what its keys are.
    pub(super) fn pattern_text(&self, rule: u32, body: u16, pattern: &Pattern, bindings: &Bindings) -> String {
        let schema = &self.rules.schema.templates[pattern.template as usize];
        let types = &self.types[pattern.template as usize];
        let slots = &self.rules.rules[rule as usize].bodies[body as usize].slots;
        let mut text = format!("{}(", schema.name);
        for (place, &(field, operand)) in pattern.keys.iter().enumerate() {
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(&schema.fields[field as usize].name);
            text.push('=');
            let cell = match operand {
                Operand::Cell(cell) => {
                    let template = slots[cell.slot as usize] as usize;
                    self.tables[template].cell(bindings.rows[cell.slot as usize], cell.field)
                }
                Operand::Value(slot) => super::search::value_cell(bindings.values[slot as usize]),
                Operand::Constant(cell) => cell,
            };
            self.write_key(cell, types[field as usize], &mut text);
        }
        text.push(')');
        text
    }
}

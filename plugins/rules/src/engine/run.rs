//! A run from outside: facts in, then the end that it came to. Later runs go on from there with changed facts.

use super::act::Batch;
use super::{Engine, Given, Halt, IntakeError, LimitKind, RunError};
use crate::file::{Combine, TraceLevel};
use crate::order::Order;
use crate::rows::Row;
use crate::store::NONE;

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Ended {
    Well,
    Limit(LimitReached),
    Error(Box<RunError>),
}

/// A limit that ended a run, and who reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    pub kind: LimitKind,
    pub value: u64,
    pub rules: Vec<u32>,
    /// Template and row.
    pub facts: Vec<(u16, u32)>,
}

/// A change of facts between two runs.
#[derive(Clone, Debug)]
pub enum Change {
    /// Complete rows.
    Assert(usize, Vec<Row>),
    /// Rows that name at least the key.
    Retract(usize, Vec<Row>),
    Modify(usize, Vec<Row>),
}

/// So many firings are remembered to name those that go in circles.
const RECENT_MAX: usize = 64;
/// So many facts are named.
const CULPRITS_MAX: usize = 8;

impl Engine {
    /// Forgets what was, takes the facts in and runs.
    ///
    /// # Errors
    /// If the facts are refused.
    pub fn evaluate(&mut self, given: &Given<'_>) -> Result<Ended, IntakeError> {
        self.reset();
        self.take(given)?;
        Ok(self.run())
    }

    /// As `evaluate`, for facts as typed rows; more runs may follow.
    pub fn begin_with_rows(&mut self, facts: &[(usize, Vec<Row>)]) -> Ended {
        self.reset();
        self.expect_steps();
        let mut batch = Batch::default();
        let mut order: Vec<&(usize, Vec<Row>)> = facts.iter().collect();
        order.sort_by_key(|(template, _)| *template);
        for (template, rows) in order {
            self.assert_rows(*template, rows, &mut batch);
        }
        self.run()
    }

    /// What is recorded of the runs to come.
    pub fn trace(&mut self, level: TraceLevel, capacity: u32, keeps_firings: bool) {
        self.recorder.level = level;
        self.recorder.capacity = capacity as usize;
        self.recorder.keeps_firings = keeps_firings;
    }

    /// What was recorded: the level, how many events had no room, and those that had.
    pub fn traced(&self) -> (TraceLevel, u64, impl Iterator<Item = &super::Event>) {
        (self.recorder.level, self.recorder.dropped, self.recorder.events.iter())
    }

    /// Changes facts and runs again.
    ///
    /// # Errors
    /// If a row is not there, or its key is not complete.
    pub fn step(&mut self, changes: &[Change]) -> Result<Ended, IntakeError> {
        self.recorder.leave_firing();
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Assert(template, rows) => self.assert_rows(*template, rows, &mut batch),
                Change::Retract(template, rows) => {
                    for row in rows {
                        let found = self.named_row(*template, row)?;
                        self.withdraw(*template as u16, found, &mut batch);
                    }
                }
                Change::Modify(template, rows) => {
                    let mut changed = Vec::with_capacity(rows.len());
                    for row in rows {
                        changed.push(self.merged_row(*template, row)?);
                    }
                    self.assert_rows(*template, &changed, &mut batch);
                }
            }
        }
        self.publish(&batch);
        Ok(self.run())
    }

    /// The living fact that a row names by its key.
    fn named_row(&mut self, template: usize, row: &Row) -> Result<u32, IntakeError> {
        let rules = std::rc::Rc::clone(&self.rules);
        let schema = &rules.schema.templates[template];
        if let Some(&field) = schema.key.iter().find(|&&field| row[field as usize].is_none()) {
            let name = &schema.fields[field as usize].name;
            return Err(IntakeError(format!("a row of `{}` does not name its key field `{name}`", schema.name)));
        }
        let cells = self.row_cells(template, row);
        self.tables[template]
            .with_key(&cells)
            .ok_or_else(|| IntakeError(format!("there is no such fact of `{}` to change", schema.name)))
    }

    /// The living fact of a row's key with the fields that the row names.
    fn merged_row(&mut self, template: usize, row: &Row) -> Result<Row, IntakeError> {
        let found = self.named_row(template, row)?;
        let mut merged = self.constants(template, found);
        for (value, new) in merged.iter_mut().zip(row) {
            if new.is_some() {
                value.clone_from(new);
            }
        }
        Ok(merged)
    }

    /// A fact as typed values.
    pub fn constants(&self, template: usize, row: u32) -> Row {
        let table = &self.tables[template];
        let types = &self.types[template];
        let of = |(field, &ty): (usize, &crate::schema::FieldType)| {
            let field = field as u16;
            (!table.is_missing(row, field)).then(|| self.constant(table.cell(row, field), ty))
        };
        types.iter().enumerate().map(of).collect()
    }

    fn constant(&self, cell: u64, ty: crate::schema::FieldType) -> crate::schema::Constant {
        use crate::schema::{Constant, FieldType, Scalar};
        use crate::value::{List, Text};
        if ty.list {
            let element = FieldType { list: false, ..ty };
            let values = self.heap.list(List(cell as u32));
            let cells = values.iter().map(|&value| super::search::value_cell(value));
            return Constant::List(cells.map(|cell| self.constant(cell, element)).collect());
        }
        match ty.scalar {
            Scalar::Bool => Constant::Bool(cell != 0),
            Scalar::Int | Scalar::Timestamp | Scalar::Duration => Constant::Int(cell as i64),
            Scalar::Double => Constant::Double(f64::from_bits(cell)),
            Scalar::String | Scalar::Enum => Constant::Text(self.heap.text(Text(cell as u32)).to_owned()),
            Scalar::Bytes => Constant::Bytes(self.heap.texts.get(Text(cell as u32)).to_vec()),
        }
    }

    fn run(&mut self) -> Ended {
        let halt = match self.check_facts().and_then(|()| self.run_agenda()).and_then(|()| self.check_bytes()) {
            Ok(()) => return self.end_well(),
            Err(halt) => halt,
        };
        match halt {
            Halt::Limit(kind) => Ended::Limit(self.limit_reached(kind)),
            Halt::Error(error) => Ended::Error(error),
        }
    }

    /// Decisions that contradict each other are an error of the run.
    fn end_well(&self) -> Ended {
        if self.rules.decisions.combine != Combine::Unique {
            return Ended::Well;
        }
        match self.result() {
            Ok(_) => Ended::Well,
            Err(message) => {
                Ended::Error(Box::new(RunError { code: "not-unique", rule: None, bindings: Vec::new(), message }))
            }
        }
    }

    pub(super) fn recent_change(&mut self, template: u16, row: u32) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((self.current, template, row));
    }

    fn limit_reached(&self, kind: LimitKind) -> LimitReached {
        let value = match kind {
            LimitKind::Work => self.budget.work_max,
            LimitKind::Firings => self.budget.firings_max,
            LimitKind::FiringsPerRule => self.budget.firings_per_rule_max,
            LimitKind::Facts => self.budget.facts_max,
            LimitKind::Depth => self.budget.depth_max,
            LimitKind::Bytes => self.budget.bytes_max,
            LimitKind::Time => 0,
        };
        let mut rules: Vec<u32> = if self.current == NONE { Vec::new() } else { vec![self.current] };
        let goes_in_circles = matches!(kind, LimitKind::Firings | LimitKind::FiringsPerRule);
        if goes_in_circles || rules.is_empty() {
            rules.extend(self.recent.iter().map(|&(rule, ..)| rule).filter(|&rule| rule != NONE));
        }
        rules.sort_unstable();
        rules.dedup();
        let mut facts: Vec<(u16, u32)> = match kind {
            LimitKind::Facts | LimitKind::Depth | LimitKind::Bytes | LimitKind::Work | LimitKind::Time => {
                self.newest_of(&rules)
            }
            _ => Vec::new(),
        };
        let changed = self.recent.iter().rev().map(|&(_, template, row)| (template, row));
        facts.extend(changed.take(CULPRITS_MAX.saturating_sub(facts.len())));
        LimitReached { kind, value, rules, facts }
    }

    /// The facts that the rules wrote last.
    fn newest_of(&self, rules: &[u32]) -> Vec<(u16, u32)> {
        let mut facts = Vec::new();
        for &rule in rules {
            for template in self.rules.rules[rule as usize].targets() {
                let table = &self.tables[template as usize];
                let rows = (0..table.len()).rev().take(3);
                facts.extend(rows.map(|row| (template, row)));
            }
        }
        facts.truncate(CULPRITS_MAX);
        facts
    }

    /// How often each rule fired, or how many of its matches hold: rule, count; no zeros.
    pub fn fired(&self) -> Vec<(u32, u64)> {
        let derive_rules = self.rules.strata.iter().flat_map(|stratum| &stratum.rules);
        let derived = derive_rules.map(|&rule| (rule, self.matches_of(rule)));
        let agenda_rules = self.woken.iter().filter(|&&rule| !self.rules.rules[rule as usize].is_derive);
        let fired = agenda_rules.map(|&rule| (rule, self.firings_of(rule)));
        let mut all: Vec<(u32, u64)> = derived.chain(fired).filter(|&(_, count)| count > 0).collect();
        all.sort_unstable();
        all
    }

    /// Living facts of a template in canonical order.
    pub fn facts_of(&self, template: usize) -> Vec<u32> {
        let table = &self.tables[template];
        let mut rows: Vec<u32> = table.living().collect();
        let (key, types) = (&self.rules.schema.templates[template].key, &self.types[template]);
        Order { fields: key, types }.sort(table.view(), &self.heap, &mut rows);
        rows
    }

    /// `template(key=value, ...)`, as queries and reports write it, without the number of its version.
    pub fn fact_text(&self, template: u16, row: u32) -> String {
        let schema = &self.rules.schema.templates[template as usize];
        let table = &self.tables[template as usize];
        let mut text = schema.name.clone();
        text.push('(');
        for (place, &field) in schema.key.iter().enumerate() {
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(&schema.fields[field as usize].name);
            text.push('=');
            self.write_key(table.cell(row, field), self.types[template as usize][field as usize], &mut text);
        }
        text.push(')');
        text
    }

    pub(super) fn write_key(&self, cell: u64, ty: crate::schema::FieldType, text: &mut String) {
        use crate::schema::Scalar;
        let mut json = String::new();
        match (ty.scalar, ty.list) {
            (Scalar::String | Scalar::Bytes, false) => {
                let content = match ty.scalar {
                    Scalar::Bytes => {
                        crate::json::write_cell(cell, ty, &self.heap, &mut json);
                        json.trim_matches('"').to_owned()
                    }
                    _ => self.heap.text(crate::value::Text(cell as u32)).to_owned(),
                };
                text.push_str(&quoted(&content));
            }
            (Scalar::Enum, false) => text.push_str(self.heap.text(crate::value::Text(cell as u32))),
            (Scalar::Timestamp | Scalar::Duration, false) => {
                crate::json::write_cell(cell, ty, &self.heap, &mut json);
                text.push_str(&json.replace('"', "'"));
            }
            _ => crate::json::write_cell(cell, ty, &self.heap, text),
        }
    }
}

/// A text in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

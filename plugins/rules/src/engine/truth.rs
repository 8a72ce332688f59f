//! Truth maintenance: what a match rests on, and whether it still holds.

use std::rc::Rc;

use super::search::{Bindings, Erring, Search};
use super::{Engine, Halt, rule_key, step_key};
use crate::model::{Rule, RuleSet};
use crate::plan::Pin;
use crate::store::NONE;
use crate::value::Value;

/// How an activation holds that several matches may give.
pub(super) enum Matched {
    No,
    /// Every one of its matches errs; the first one, with its body.
    Erring(u16, Box<Bindings>),
    /// The search that stands at one that does not err.
    Yes(Box<Search>),
}

/// Whether a match holds.
pub(super) enum Holding {
    No,
    Yes,
    /// As far as that can be said.
    Erring(Box<Erring>),
}

enum Followed {
    Same,
    Moved,
    Gone,
}

impl Engine {
    /// Enters a match, and watches all that could end it.
    pub(super) fn remember(&mut self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> u32 {
        let description = &rules.rules[rule as usize];
        let mut words = std::mem::take(&mut self.words);
        self.activation(description, bindings, body, &mut words);
        let entry = self.memory.insert(rule, body, &words);
        self.words = words;
        self.watch(rules, entry, bindings);
        entry
    }

    fn watch(&mut self, rules: &RuleSet, entry: u32, bindings: &Bindings) {
        let (rule, body) = (self.memory.entries[entry as usize].rule, self.memory.entries[entry as usize].body);
        let description = &rules.rules[rule as usize];
        let body = &description.bodies[body as usize];
        for position in &body.positions[..description.exported as usize] {
            if position.distinct.is_none() && self.changeable[position.template as usize] {
                self.memory.watch_row(position.template, bindings.rows[position.slot as usize], entry);
            }
        }
        if self.kinds[rule as usize].is_loose {
            self.memory.watch_key(rule_key(rule), entry);
            return;
        }
        for (place, step) in body.steps.iter().enumerate() {
            let Some(pattern) = step.kind.pattern().filter(|pattern| self.changeable[pattern.template as usize]) else {
                continue;
            };
            let cells = pattern.keys.iter().map(|&(_, operand)| self.cell_of(body, operand, bindings));
            let key = step_key(rule, place as u16, cells);
            self.memory.watch_key(key, entry);
        }
    }

    fn cell_of(&self, body: &crate::model::Body, operand: crate::model::Operand, bindings: &Bindings) -> u64 {
        use crate::model::Operand;
        match operand {
            Operand::Cell(cell) => {
                let template = body.slots[cell.slot as usize] as usize;
                self.tables[template].cell(bindings.rows[cell.slot as usize], cell.field)
            }
            Operand::Value(slot) => super::search::value_cell(bindings.values[slot as usize]),
            Operand::Constant(cell) => cell,
        }
    }

    /// Looks whether an entry still holds; if not, what it gave is withdrawn.
    pub(super) fn review(&mut self, entry: u32) -> Result<(), Halt> {
        let known = &mut self.memory.entries[entry as usize];
        known.is_suspect = false;
        if !known.is_alive {
            return Ok(());
        }
        let rules = Rc::clone(&self.rules);
        let rule = known.rule;
        let mut words = self.memory.words(entry).to_vec();
        let is_moved = match self.follow(&rules, rule, &mut words) {
            Followed::Gone => {
                self.forget(entry);
                return Ok(());
            }
            Followed::Moved => true,
            Followed::Same => false,
        };
        match self.holds(&rules, rule, &words)? {
            Holding::No => {
                self.forget(entry);
                return Ok(());
            }
            // Something that is new may hold without an error: at the end of the stratum it is looked at again.
            Holding::Erring(_) if rules.rules[rule as usize].is_derive => self.put_aside(rule, &words),
            Holding::Yes | Holding::Erring(_) => {}
        }
        if is_moved { self.move_entry(&rules, entry, &words) } else { Ok(()) }
    }

    /// Replaces rows that died by the versions of their facts that live, where the rule reads no difference.
    fn follow(&self, rules: &RuleSet, rule: u32, words: &mut [u32]) -> Followed {
        let description = &rules.rules[rule as usize];
        let mut followed = Followed::Same;
        for (place, position) in description.bodies[0].positions[..description.exported as usize].iter().enumerate() {
            let (table, row) = (&self.tables[position.template as usize], words[place]);
            if position.distinct.is_some() || table.is_alive(row) {
                continue;
            }
            let Some(new) = table.with_key(table.row(row)) else { return Followed::Gone };
            let (old_cells, new_cells) = (table.row(row), table.row(new));
            let words_each = description.reads.len() / description.exported as usize;
            let reads = &description.reads[place * words_each..];
            let differs = |field: usize| {
                old_cells[field] != new_cells[field]
                    || table.is_missing(row, field as u16) != table.is_missing(new, field as u16)
            };
            let fields = rules.schema.templates[position.template as usize].fields.len();
            if (0..fields).any(|field| reads[field / 64] >> (field % 64) & 1 != 0 && differs(field)) {
                return Followed::Gone;
            }
            words[place] = new;
            followed = Followed::Moved;
        }
        followed
    }

    fn move_entry(&mut self, rules: &RuleSet, entry: u32, words: &[u32]) -> Result<(), Halt> {
        let known = self.memory.entries[entry as usize];
        if self.memory.find(known.rule, words).is_some() {
            // The new version's match was found already; it stands for both.
            self.forget(entry);
            return Ok(());
        }
        self.memory.replace(entry, words);
        let new = self.memory.newest();
        let bindings = self.bindings_of(rules, known.rule, known.body, words)?;
        self.watch(rules, new, &bindings);
        Ok(())
    }

    /// The rows of positions as bindings in which nothing is computed yet.
    pub(super) fn bound_to(&self, rule: &Rule, body: u16, rows: &[u32]) -> Bindings {
        let body = &rule.bodies[body as usize];
        let mut bindings = Bindings::default();
        bindings.rows.resize(body.slots.len(), NONE);
        for (position, &row) in body.positions.iter().zip(rows) {
            bindings.rows[position.slot as usize] = row;
        }
        bindings.values.extend_from_slice(&self.params);
        bindings.values.resize(rule.values.max(self.params.len() as u16) as usize, Value::Null);
        bindings
    }

    /// Bindings of an entry's rows; values are computed where its keys need them.
    fn bindings_of(&mut self, rules: &RuleSet, rule: u32, body: u16, words: &[u32]) -> Result<Bindings, Halt> {
        let mut bindings = self.bound_to(&rules.rules[rule as usize], body, words);
        if !self.kinds[rule as usize].is_loose {
            let steps = self.step_order(rules, rule, body);
            self.with_maker(rule, body, |maker| maker.steps(&steps, &mut bindings, 0))?;
        }
        Ok(bindings)
    }

    /// All steps of a body in an order in which each finds what it needs.
    pub(super) fn step_order(&mut self, rules: &RuleSet, rule: u32, body: u16) -> Vec<u16> {
        let id = self.body_id(rule, body);
        let variant = self.plans.variant(rules, rule, body, id, Pin::Nothing);
        variant.first.iter().chain(variant.levels.iter().flat_map(|level| &level.steps)).copied().collect()
    }

    /// Whether a match of a rule, all of whose rows live, holds now.
    pub(super) fn holds(&mut self, rules: &RuleSet, rule: u32, words: &[u32]) -> Result<Holding, Halt> {
        let description = &rules.rules[rule as usize];
        if self.kinds[rule as usize].is_loose {
            return Ok(match self.matched(rules, rule, words)? {
                Matched::No => Holding::No,
                Matched::Yes(search) => {
                    self.spare.push(search);
                    Holding::Yes
                }
                Matched::Erring(_, mut bindings) => bindings.erring.take().map_or(Holding::Yes, Holding::Erring),
            });
        }
        if description.bodies[0].steps.is_empty() {
            return Ok(Holding::Yes);
        }
        let mut bindings = self.bound_to(description, 0, words);
        let steps = self.step_order(rules, rule, 0);
        let id = self.body_id(rule, 0);
        self.ensure_step_indexes(description, 0, id);
        if !self.with_maker(rule, 0, |maker| maker.steps(&steps, &mut bindings, 0))? {
            return Ok(Holding::No);
        }
        let mut now = Vec::with_capacity(words.len());
        self.activation(description, &bindings, 0, &mut now);
        Ok(match bindings.erring {
            _ if now != words => Holding::No,
            None => Holding::Yes,
            Some(erring) => Holding::Erring(erring),
        })
    }

    /// How an activation of a rule that leaves something open holds: some match of some body has to look the same.
    pub(super) fn matched(&mut self, rules: &RuleSet, rule: u32, words: &[u32]) -> Result<Matched, Halt> {
        let mut erring = None;
        let mut now = Vec::with_capacity(words.len());
        for body in 0..rules.rules[rule as usize].bodies.len() as u16 {
            let mut search = self.begin(rule, body, Pin::Entry, None);
            search.fixed.clear();
            search.fixed.extend_from_slice(words);
            while self.advance(&mut search)? {
                self.activation(&rules.rules[rule as usize], &search.bindings, body, &mut now);
                if now != words {
                    continue;
                }
                if search.bindings.erring.is_none() {
                    return Ok(Matched::Yes(search));
                }
                if erring.is_none() {
                    erring = Some((body, Box::new(search.bindings.clone())));
                }
            }
            self.spare.push(search);
        }
        Ok(erring.map_or(Matched::No, |(body, bindings)| Matched::Erring(body, bindings)))
    }
}

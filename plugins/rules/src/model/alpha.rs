//! Which rules wait for a fact: constant equalities of a pattern, found by one hash whatever the number of rules.

use std::ops::Range;

use super::{CellKind, Comparison, Conjunct, ConjunctKind, Operand, Rule};
use crate::store::{hash_start, hash_word};

/// The facts of a template whose constant columns hold certain values, and who waits for them.
#[derive(Clone, Debug)]
struct Alpha {
    values: Range<u32>,
    listeners: Range<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub rule: u32,
    pub body: u16,
    pub kind: ListenerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    Position(u16),
    Step(u16),
}

/// Alphas of a template that look at the same columns.
#[derive(Debug, Default)]
pub struct AlphaGroup {
    /// Ascending.
    pub columns: Vec<u16>,
    pub alphas: Vec<u32>,
    /// Open addressing by the hash of the values: an alpha plus one, or 0.
    slots: Vec<u32>,
}

#[derive(Debug, Default)]
pub struct Alphas {
    all: Vec<Alpha>,
    values: Vec<u64>,
    listeners: Vec<Listener>,
    /// By template.
    pub groups: Vec<Vec<AlphaGroup>>,
}

fn hash_of(values: impl Iterator<Item = u64>) -> usize {
    let hash = values.fold(hash_start(), hash_word);
    (hash ^ hash >> 32) as usize
}

impl Alphas {
    /// Enters every pattern with its constants, so that facts find the rules that wait for them.
    pub(super) fn of_rules(rules: &mut [Rule], templates: usize) -> Self {
        let mut alphas = Self { groups: (0..templates).map(|_| Vec::new()).collect(), ..Self::default() };
        let mut waiting: Vec<(u32, Listener)> = Vec::with_capacity(rules.len());
        let mut constants = Vec::new();
        for (place, rule) in rules.iter_mut().enumerate() {
            for (body_place, body) in rule.bodies.iter_mut().enumerate() {
                let listener = |kind| Listener { rule: place as u32, body: body_place as u16, kind };
                for (at, position) in body.positions.iter_mut().enumerate() {
                    constants_of(&body.conjuncts, position.slot, &mut constants);
                    position.alpha = alphas.intern(position.template, &constants);
                    waiting.push((position.alpha, listener(ListenerKind::Position(at as u16))));
                }
                for (at, step) in body.steps.iter_mut().enumerate() {
                    let Some(pattern) = step.kind.pattern_mut() else { continue };
                    constants.clear();
                    constants.extend(pattern.keys.iter().filter_map(|&(field, operand)| match operand {
                        Operand::Constant(cell) => Some((field, cell)),
                        _ => None,
                    }));
                    pattern.alpha = alphas.intern(pattern.template, &constants);
                    waiting.push((pattern.alpha, listener(ListenerKind::Step(at as u16))));
                }
            }
        }
        alphas.listen(&waiting);
        alphas
    }

    /// Puts the listeners of each alpha together, in the order in which they came.
    fn listen(&mut self, waiting: &[(u32, Listener)]) {
        for &(alpha, _) in waiting {
            self.all[alpha as usize].listeners.end += 1;
        }
        let mut begin = 0;
        for alpha in &mut self.all {
            let count = alpha.listeners.end;
            alpha.listeners = begin..begin;
            begin += count;
        }
        let nobody = Listener { rule: 0, body: 0, kind: ListenerKind::Step(0) };
        self.listeners = vec![nobody; waiting.len()];
        for &(alpha, listener) in waiting {
            let end = &mut self.all[alpha as usize].listeners.end;
            self.listeners[*end as usize] = listener;
            *end += 1;
        }
    }

    /// The alpha of these constants (ascending by column), made if need be.
    fn intern(&mut self, template: u16, constants: &[(u16, u64)]) -> u32 {
        let groups = &mut self.groups[template as usize];
        let has_columns = |group: &AlphaGroup| {
            group.columns.len() == constants.len()
                && group.columns.iter().zip(constants).all(|(column, constant)| *column == constant.0)
        };
        let place = groups.iter().position(has_columns).unwrap_or_else(|| {
            let columns = constants.iter().map(|&(column, _)| column).collect();
            groups.push(AlphaGroup { columns, ..AlphaGroup::default() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        if group.slots.len() < 2 * (group.alphas.len() + 1) {
            group.grow(&self.all, &self.values);
        }
        let mask = group.slots.len() - 1;
        let mut slot = hash_of(constants.iter().map(|&(_, value)| value)) & mask;
        while let Some(alpha) = group.slots[slot].checked_sub(1) {
            let values = values_of(&self.all, &self.values, alpha);
            if values.iter().zip(constants).all(|(value, constant)| *value == constant.1) {
                return alpha;
            }
            slot = (slot + 1) & mask;
        }
        let alpha = self.all.len() as u32;
        group.slots[slot] = alpha + 1;
        group.alphas.push(alpha);
        let begin = self.values.len() as u32;
        self.values.extend(constants.iter().map(|&(_, value)| value));
        self.all.push(Alpha { values: begin..self.values.len() as u32, listeners: 0..0 });
        alpha
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn listeners(&self, alpha: u32) -> &[Listener] {
        let Range { start, end } = self.all[alpha as usize].listeners;
        &self.listeners[start as usize..end as usize]
    }

    /// Calls `found` for every alpha that a row of a template belongs to.
    #[inline]
    pub fn of_row(&self, template: usize, cells: &[u64], mut found: impl FnMut(u32)) {
        for group in &self.groups[template] {
            if let Some(alpha) = self.in_group(group, cells) {
                found(alpha);
            }
        }
    }

    /// The alpha of a group that a row belongs to.
    #[inline]
    pub fn in_group(&self, group: &AlphaGroup, cells: &[u64]) -> Option<u32> {
        if group.columns.is_empty() {
            return group.alphas.first().copied();
        }
        let mask = group.slots.len() - 1;
        let mut slot = hash_of(group.columns.iter().map(|&column| cells[column as usize])) & mask;
        while let Some(alpha) = group.slots[slot].checked_sub(1) {
            let values = values_of(&self.all, &self.values, alpha);
            if group.columns.iter().zip(values).all(|(&column, &value)| cells[column as usize] == value) {
                return Some(alpha);
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

fn values_of<'v>(all: &[Alpha], values: &'v [u64], alpha: u32) -> &'v [u64] {
    let Range { start, end } = all[alpha as usize].values;
    &values[start as usize..end as usize]
}

impl AlphaGroup {
    fn grow(&mut self, all: &[Alpha], values: &[u64]) {
        let size = (4 * (self.alphas.len() + 1)).next_power_of_two().max(4);
        self.slots.clear();
        self.slots.resize(size, 0);
        for &alpha in &self.alphas {
            let mut slot = hash_of(values_of(all, values, alpha).iter().copied()) & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = alpha + 1;
        }
    }
}

/// Constant equalities of a slot that compare bits or integers, ascending by column, one for each.
fn constants_of(conjuncts: &[Conjunct], slot: u16, constants: &mut Vec<(u16, u64)>) {
    constants.clear();
    let own = conjuncts.iter().filter(|conjunct| conjunct.slot == slot);
    constants.extend(own.filter_map(|conjunct| constant_key(conjunct, slot)));
    constants.sort_unstable();
    constants.dedup_by_key(|constant| constant.0);
}

fn constant_key(conjunct: &Conjunct, slot: u16) -> Option<(u16, u64)> {
    match conjunct.kind {
        ConjunctKind::Compare { left, comparison: Comparison::Equal, right, kind } if kind != CellKind::Double => {
            match (left, right) {
                (Operand::Cell(cell), Operand::Constant(value)) | (Operand::Constant(value), Operand::Cell(cell))
                    if cell.slot == slot =>
                {
                    Some((cell.field, value))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

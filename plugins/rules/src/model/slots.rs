//! Which slot each name of a rule gets, and the combinations of branches that `any` stands for.

use super::Body;
use super::scope::Scope;
use crate::cel::Type;
use crate::file::{self, Condition, ConditionKind, Name};

/// So many combinations may the branches of `any` in one rule have.
pub(super) const BODIES_MAX: usize = 64;
/// So many fact slots, and so many values of its own, may a rule have.
pub(super) const SLOTS_MAX: usize = 64;

/// One combination of branches: conditions with their place in `when`.
pub(super) type Flat<'a> = Vec<(&'a Condition, u16)>;

/// What is being put together of one body.
pub(super) struct Building<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) body: Body,
    pub(super) next_value: u16,
    pub(super) next_fact: u16,
    /// Slots of matches that are not part of the activation.
    pub(super) locals: Vec<u16>,
}

impl Building<'_> {
    pub(super) fn new_slot(&mut self) -> u16 {
        self.body.slots.push(0);
        self.next_fact += 1;
        self.next_fact - 1
    }

    pub(super) fn new_value(&mut self) -> u16 {
        self.next_value += 1;
        self.next_value - 1
    }
}

/// Slots that all bodies of a rule share.
#[derive(Default)]
pub(super) struct Numbering {
    pub(super) params: usize,
    /// Names that every body binds.
    pub(super) shared: Vec<String>,
    /// Shared facts by slot: name, template, fields of `distinct`.
    pub(super) facts: Vec<(String, u16, Option<Vec<u16>>)>,
    /// Shared values by slot behind the parameters.
    pub(super) values: Vec<(String, Type)>,
    pub(super) identity: Vec<u16>,
    pub(super) values_max: u16,
    pub(super) shared_fact_count: Option<u16>,
}

impl Numbering {
    pub(super) fn is_shared(&self, name: &str) -> bool {
        self.shared.iter().any(|known| known == name)
    }

    pub(super) fn next_value(&self) -> u16 {
        // Shared values first, as many as there may be, so that local ones never meet them.
        (self.params + self.shared.len()) as u16
    }

    /// How many slots the shared facts take: the names that some `match` binds.
    pub(super) fn shared_facts(&mut self, rule: &file::Rule) -> u16 {
        if let Some(count) = self.shared_fact_count {
            return count;
        }
        let mut names = Vec::new();
        matched_names(&rule.when, &mut names);
        let count = self.shared.iter().filter(|name| names.contains(name)).count() as u16;
        self.shared_fact_count = Some(count);
        count
    }

    pub(super) fn shared_slot(&mut self, name: &str, template: u16, only: Option<&Vec<u16>>) -> Option<u16> {
        if let Some(slot) = self.facts.iter().position(|(known, ..)| known == name) {
            let (_, known_template, known_only) = &self.facts[slot];
            return (*known_template == template && known_only.as_ref() == only).then_some(slot as u16);
        }
        self.facts.push((name.to_owned(), template, only.cloned()));
        Some(self.facts.len() as u16 - 1)
    }

    pub(super) fn shared_value(&mut self, name: &str, ty: &Type, is_identity: bool) -> Option<u16> {
        if let Some(place) = self.values.iter().position(|(known, _)| known == name) {
            return (self.values[place].1 == *ty).then_some((self.params + place) as u16);
        }
        self.values.push((name.to_owned(), ty.clone()));
        let slot = (self.params + self.values.len() - 1) as u16;
        if is_identity {
            self.identity.push(slot);
        }
        Some(slot)
    }

    pub(super) fn name_of(&self, slot: u16) -> String {
        self.values[slot as usize - self.params].0.clone()
    }
}

/// More facts or values than a mask of slots has bits. Every shared name has a value slot kept for it.
pub(super) fn is_too_large(conditions: &Flat<'_>, shared: &[String]) -> bool {
    let (mut facts, mut values) = (0, shared.len());
    let is_local = |name: &&Name| !shared.contains(&name.text);
    for (condition, _) in conditions {
        match &condition.kind {
            ConditionKind::If(_) | ConditionKind::Any(_) => {}
            ConditionKind::Let(bindings) => values += bindings.iter().map(|(name, _)| name).filter(is_local).count(),
            ConditionKind::Accumulate { count, folds, .. } => {
                facts += 1;
                values += count.iter().chain(folds.iter().map(|fold| &fold.name)).filter(is_local).count();
            }
            _ => facts += 1,
        }
    }
    facts > SLOTS_MAX || values > SLOTS_MAX
}

/// Names that every combination of branches binds.
pub(super) fn exported_names(conditions: &[Condition]) -> Vec<String> {
    let mut names = Vec::new();
    for condition in conditions {
        match &condition.kind {
            ConditionKind::Match { pattern, .. } => names.push(pattern.variable.text.clone()),
            ConditionKind::Accumulate { count, folds, .. } => {
                names.extend(count.iter().map(|name| name.text.clone()));
                names.extend(folds.iter().map(|fold| fold.name.text.clone()));
            }
            ConditionKind::Let(bindings) => names.extend(bindings.iter().map(|(name, _)| name.text.clone())),
            ConditionKind::Any(branches) => {
                let mut branches = branches.iter().map(|branch| exported_names(branch));
                let mut common = branches.next().unwrap_or_default();
                for branch in branches {
                    common.retain(|name| branch.contains(name));
                }
                names.extend(common);
            }
            _ => {}
        }
    }
    names
}

pub(super) fn matched_names(conditions: &[Condition], names: &mut Vec<String>) {
    for condition in conditions {
        match &condition.kind {
            ConditionKind::Match { pattern, .. } => names.push(pattern.variable.text.clone()),
            ConditionKind::Any(branches) => branches.iter().for_each(|branch| matched_names(branch, names)),
            _ => {}
        }
    }
}

/// The ways in which a condition can hold, each a list of conditions without `any`.
pub(super) fn choices(condition: &Condition, when: u16) -> Vec<Flat<'_>> {
    let ConditionKind::Any(branches) = &condition.kind else { return vec![vec![(condition, when)]] };
    let mut all = Vec::new();
    for branch in branches {
        let mut combinations: Vec<Flat<'_>> = vec![Vec::new()];
        for inner in branch {
            let inner_choices = choices(inner, when);
            combinations = combinations
                .iter()
                .flat_map(|head| inner_choices.iter().map(|tail| head.iter().chain(tail).copied().collect()))
                .take(BODIES_MAX + 1)
                .collect();
        }
        all.extend(combinations);
        if all.len() > BODIES_MAX {
            break;
        }
    }
    all
}

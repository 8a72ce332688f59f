//! What follows from a rule by itself: how its activations are told apart, which templates it reads and writes.

use super::{Action, Body, Position, Rule, RuleSet, StepKind};

impl Rule {
    /// Facts that it matches may get a stamp, or lose it: facts with stamps and without lie in one table.
    pub(crate) fn is_mixed(&self, rules: &RuleSet) -> bool {
        let exported = &self.bodies[0].positions[..self.exported as usize];
        let is_mixed = |position: &Position| position.distinct.is_none() && rules.is_mixed(position.template as usize);
        exported.iter().any(is_mixed)
    }

    /// A search does not find its matches in the order in which they fire, and is made to its end: the facts that it
    /// matches are mixed, or facts that are not part of an activation give it values.
    pub(crate) fn is_unordered(&self, rules: &RuleSet) -> bool {
        let gives_values = |body: &Body| body.positions.len() > self.exported as usize;
        self.is_mixed(rules) || !self.identity.is_empty() && self.bodies.iter().any(gives_values)
    }

    /// Its activations do not name all that they depend on: several bodies, `distinct`, facts that only have to exist.
    pub(crate) fn is_loose(&self) -> bool {
        self.bodies.len() > 1
            || self.bodies[0].positions.len() > self.exported as usize
            || self.bodies[0].positions.iter().any(|position| position.distinct.is_some())
    }

    /// Templates that its actions write, `derive` aside.
    pub(crate) fn written(&self) -> impl Iterator<Item = u16> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Assert { template, .. } => Some(*template),
            Action::Modify { slot, .. } | Action::Retract { slot } => Some(self.bodies[0].slots[*slot as usize]),
            _ => None,
        })
    }

    /// Templates that it looks for facts of: in `match`, `exists` and `accumulate`.
    pub(crate) fn looks_at(&self) -> impl Iterator<Item = u16> + '_ {
        self.bodies.iter().flat_map(|body| {
            let inner = body.steps.iter().filter_map(|step| match &step.kind {
                StepKind::Exists(pattern) | StepKind::Accumulate { pattern, .. } => Some(pattern.template),
                _ => None,
            });
            body.positions.iter().map(|position| position.template).chain(inner)
        })
    }

    /// Templates that its actions derive facts of.
    pub(crate) fn heads(&self) -> impl Iterator<Item = u16> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Derive { template, .. } => Some(*template),
            _ => None,
        })
    }

    /// Templates that its actions write, `derive` included.
    pub(crate) fn targets(&self) -> impl Iterator<Item = u16> + '_ {
        self.heads().chain(self.written())
    }
}

//! What is asked of a rule again and again: how its activations are told apart, which templates it reads and writes.

use crate::model::{Action, Body, Position, Rule, RuleSet, StepKind};
use crate::store::NONE;

/// What is asked of a rule most often.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleKind {
    /// Its activations do not name all that they depend on.
    pub(super) is_loose: bool,
    /// An agenda rule whose activations do.
    pub(super) is_plain: bool,
    /// Its activations are told apart and put in order by the rows of its positions alone.
    pub(super) is_by_rows: bool,
    /// See `Rule::is_unordered`.
    pub(super) is_unordered: bool,
    /// See `Rule::is_mixed`.
    pub(super) is_mixed: bool,
}

impl RuleKind {
    pub(super) fn of(rule: &Rule, rules: &RuleSet) -> Self {
        let is_loose = rule.is_loose();
        let exported = &rule.bodies[0].positions[..rule.exported as usize];
        Self {
            is_loose,
            is_unordered: rule.is_unordered(rules),
            is_mixed: rule.is_mixed(rules),
            is_plain: !rule.is_derive && !is_loose,
            is_by_rows: !is_loose
                && rule.identity.is_empty()
                && exported.iter().all(|position| rules.is_stamped(position.template)),
        }
    }
}

/// What is asked of bodies, which are counted over all rules.
pub(super) struct BodyNumbers {
    /// The first body of each rule.
    pub(super) body_base: Vec<u32>,
    /// Positions of each body.
    pub(super) position_counts: Vec<u32>,
    /// Bodies with closed conditions.
    pub(super) has_patterns: Vec<bool>,
}

impl BodyNumbers {
    pub(super) fn of(rules: &RuleSet) -> Self {
        let bodies = || rules.rules.iter().flat_map(|rule| &rule.bodies);
        let next = |begin: &mut u32, rule: &Rule| Some(std::mem::replace(begin, *begin + rule.bodies.len() as u32));
        Self {
            body_base: rules.rules.iter().scan(0, next).collect(),
            position_counts: bodies().map(|body| body.positions.len() as u32).collect(),
            has_patterns: bodies().map(|body| body.steps.iter().any(|step| step.kind.pattern().is_some())).collect(),
        }
    }
}

/// For each rule its stratum and its place there, or `NONE`.
pub(super) fn places_in_strata(rules: &RuleSet) -> (Vec<u32>, Vec<u32>) {
    let (mut strata, mut places) = (vec![NONE; rules.rules.len()], vec![NONE; rules.rules.len()]);
    for (stratum, rules) in rules.strata.iter().map(|stratum| &stratum.rules).enumerate() {
        for (place, &rule) in rules.iter().enumerate() {
            strata[rule as usize] = stratum as u32;
            places[rule as usize] = place as u32;
        }
    }
    (strata, places)
}

impl Rule {
    /// Facts that it matches may get a stamp, or lose it: facts with stamps and without lie in one table.
    fn is_mixed(&self, rules: &RuleSet) -> bool {
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

    /// Templates that its actions write, `derive` included.
    pub(crate) fn targets(&self) -> impl Iterator<Item = u16> + '_ {
        let derived = self.actions.iter().filter_map(|action| match action {
            Action::Derive { template, .. } => Some(*template),
            _ => None,
        });
        derived.chain(self.written())
    }
}

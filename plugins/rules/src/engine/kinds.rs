//! What is asked of rules and bodies again and again, worked out once.

use crate::model::{Rule, RuleSet};
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

//! What follows from the rules of a rule set: who waits for which facts, in which order rules are asked and evaluated.
//!
//! Worked out when a rule set is made or read, never stored, so that no part of it can contradict another.

use std::cmp::Reverse;

use super::{Alphas, Bound, Rule, RuleSet, strata};

impl RuleSet {
    /// Fills in what follows from the rules.
    pub(crate) fn arrange(&mut self) {
        let templates = self.schema.templates.len();
        let rules = &mut self.rules;
        let bodies = rules.iter_mut().flat_map(|rule| &mut rule.bodies);
        for pattern in bodies.flat_map(|body| &mut body.steps).filter_map(|step| step.kind.pattern_mut()) {
            pattern.bound = Bound::of(pattern);
        }
        self.alphas = Alphas::of_rules(rules, templates);
        self.strata = strata::strata(templates, rules, &written(templates, rules));
        self.derived = vec![false; templates];
        let derive_rules = rules.iter().filter(|rule| rule.is_derive);
        derive_rules.flat_map(Rule::heads).for_each(|head| self.derived[head as usize] = true);
        self.agenda = (0..rules.len() as u32).filter(|&rule| !rules[rule as usize].is_derive).collect();
        self.agenda.sort_by_key(|&place| (rules[place as usize].phase, Reverse(rules[place as usize].salience), place));
        let agenda = &self.agenda;
        let end = |phase| agenda.partition_point(|&rule| rules[rule as usize].phase <= phase) as u32;
        self.phase_ends = (0..self.phases.len().max(1) as u32).map(end).collect();
    }
}

/// Templates that agenda rules write.
fn written(templates: usize, rules: &[Rule]) -> Vec<bool> {
    let mut written = vec![false; templates];
    rules.iter().flat_map(Rule::written).for_each(|template| written[template as usize] = true);
    written
}

//! Derive rules that depend on themselves: what may, made so that it can be evaluated; what may not, refused.

use std::collections::{HashMap, HashSet};

use super::{
    Body, CellKind, Comparison, Conjunct, ConjunctKind, Operand, Pattern, Position, Rule, Step, StepKind, strata,
};
use crate::diagnostic::Diagnostic;
use crate::file::{self, RuleFile};

/// `exists` over what its own stratum derives is monotone: it becomes a match that is not part of the activation.
pub(super) fn open_recursive_exists(rules: &mut [Rule], components: &[Vec<u16>]) {
    let mut component_of = HashMap::new();
    for (place, component) in components.iter().enumerate() {
        component.iter().for_each(|&template| _ = component_of.insert(template, place));
    }
    for rule in rules.iter_mut().filter(|rule| rule.is_derive) {
        let heads: Vec<_> = rule.heads().map(|head| component_of.get(&head).copied()).collect();
        for body in &mut rule.bodies {
            let steps = std::mem::take(&mut body.steps);
            for step in steps {
                match step.kind {
                    StepKind::Exists(pattern) if heads.contains(&component_of.get(&pattern.template).copied()) => {
                        open(body, pattern, step.when);
                    }
                    kind => body.steps.push(Step { kind, ..step }),
                }
            }
        }
    }
}

pub(super) fn open(body: &mut Body, pattern: Pattern, when: u16) {
    let Pattern { template, slot, variable, keys, tests, .. } = pattern;
    for (field, operand) in keys {
        let left = Operand::Cell(super::CellAt { slot, field });
        let kind = ConjunctKind::Compare { left, comparison: Comparison::Equal, right: operand, kind: CellKind::Bits };
        // Parameters were told apart from other values when the key was made: a key of a value waits for all of them.
        let mut facts = 1 << slot;
        let mut values = 0;
        match operand {
            Operand::Cell(cell) => facts |= 1 << cell.slot,
            Operand::Value(_) => values = body.steps.iter().fold(0, |mask, step| mask | step.gives),
            Operand::Constant(_) => {}
        }
        body.conjuncts.push(Conjunct { facts, values, kind, slot });
    }
    body.conjuncts.extend(tests.into_iter().map(|test| Conjunct { facts: test.facts | 1 << slot, ..test }));
    body.positions.push(Position { template, slot, distinct: None, when, variable, alpha: 0 });
}

/// An error for each cycle of derive rules that goes through a condition which needs its template complete.
pub(super) fn refuse_closed_cycles(
    file: &RuleFile,
    edges: &[strata::Edge],
    components: &[Vec<u16>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let places = strata::places(file.schema.templates.len(), components);
    let is_inside = |edge: &strata::Edge| places[edge.from as usize] == places[edge.to as usize];
    if !edges.iter().any(|edge| edge.is_closed && is_inside(edge)) {
        return;
    }
    for component in components {
        let inside = |edge: &&strata::Edge| component.contains(&edge.from) && component.contains(&edge.to);
        let Some(closed) = edges.iter().filter(inside).find(|edge| edge.is_closed) else { continue };
        let name = |template: u16| file.schema.templates[template as usize].name.as_str();
        let mut rules: Vec<&str> =
            edges.iter().filter(inside).map(|edge| file.rules[edge.rule as usize].id.text.as_str()).collect();
        rules.dedup();
        let mut seen = HashSet::new();
        rules.retain(|rule| seen.insert(*rule));
        let rule = &file.rules[closed.rule as usize];
        let message = format!(
            "`{}` depends on itself through `not`, `forall`, `accumulate` or `distinct`: {} ({})",
            name(closed.to),
            component.iter().map(|&template| name(template)).collect::<Vec<_>>().join(" -> "),
            rules.join(", ")
        );
        diagnostics.push(
            Diagnostic::error("cycle", message, rule.id.span)
                .in_rule(&rule.id.text)
                .with_hint("make one rule of the cycle an agenda rule (`assert`), or derive another template"),
        );
    }
}

/// An error for each rule with several heads of which one has to be complete before another can be.
pub(super) fn refuse_linked_heads(
    file: &RuleFile,
    edges: &[strata::Edge],
    components: &[Vec<u16>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for component in components {
        let is_inside = |edge: &strata::Edge| component.contains(&edge.from) && component.contains(&edge.to);
        let Some(closed) = edges.iter().find(|edge| edge.is_closed && is_inside(edge)) else { continue };
        let heads = |rule: &&file::Rule| rule.is_derive() && rule.then.len() > 1;
        let linking = edges.iter().filter(|edge| is_inside(edge)).map(|edge| &file.rules[edge.rule as usize]);
        let rule = linking.into_iter().find(heads).unwrap_or(&file.rules[closed.rule as usize]);
        let message = format!(
            "`{}` derives several templates at once, and one has to be complete before another can be",
            rule.id.text
        );
        diagnostics.push(
            Diagnostic::error("cycle", message, rule.id.span)
                .in_rule(&rule.id.text)
                .with_hint("give each `derive` a rule of its own"),
        );
    }
}

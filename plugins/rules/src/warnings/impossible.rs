//! Rules that cannot fire: conditions that exclude each other, and facts that nothing gives or writes.

use super::ranges::{Allowed, Ranges};
use super::terms::Comparison;
use super::view::{GivenKind, Part, Role, View};
use crate::cel::syntax::Literal;
use crate::diagnostic::{Diagnostic, Span};
use crate::file::FoldKind;
use crate::schema::{Constant, Origin, Scalar};

/// Why an alternative of a rule cannot hold.
enum Reason {
    Contradiction { text: String, span: Span },
    NoFacts { template: usize, span: Span },
}

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let base = known_ranges(view);
    let mut contradictions = Vec::with_capacity(view.views.len());
    for rule in &view.views {
        let alternatives = rule.alternatives();
        contradictions.push(alternatives.iter().map(|parts| contradiction(parts, view, &base)).collect::<Vec<_>>());
    }
    let filled = filled_templates(view, &contradictions);
    for (rule, contradictions) in view.views.iter().zip(contradictions) {
        let alternatives = rule.alternatives();
        let reasons = alternatives.iter().zip(contradictions).map(|(parts, contradiction)| {
            contradiction.or_else(|| {
                let part = needed(parts).find(|part| filled.get(part.template) == Some(&false))?;
                Some(Reason::NoFacts { template: part.template, span: part.pattern?.template.span })
            })
        });
        let Some(reasons) = reasons.collect::<Option<Vec<_>>>() else { continue };
        for reason in reasons {
            found.push(diagnostic(view, reason).in_rule(&rule.rule.id.text));
        }
    }
}

fn diagnostic(view: &View<'_>, reason: Reason) -> Diagnostic {
    match reason {
        Reason::Contradiction { text, span } => {
            let message = format!("the rule cannot fire: `{text}` is never true here");
            let hint = "it contradicts the other conditions, or what the template allows";
            Diagnostic::warning("cannot-fire", message, span).with_hint(hint)
        }
        Reason::NoFacts { template, span } => {
            let message = format!("the rule cannot fire: there is never a `{}`", view.template_name(template));
            let hint = match view.file.schema.templates[template].origin {
                Origin::Table => "give the table rows",
                _ => "no rule that can fire writes it: derive or assert it, or make it `origin: input`",
            };
            Diagnostic::warning("cannot-fire", message, span).with_hint(hint)
        }
    }
}

/// What parameters allow.
fn known_ranges(view: &View<'_>) -> Ranges {
    let mut ranges = Ranges::default();
    for param in &view.file.params {
        let values: Option<Vec<Literal>> = param.values.iter().map(literal).collect();
        let allowed = Allowed {
            domain: values.filter(|values| !values.is_empty()),
            tests: bounds(param.min.as_ref(), param.max.as_ref()),
        };
        ranges.know(format!("params.{}", param.name), &allowed);
    }
    ranges
}

fn bounds(min: Option<&Constant>, max: Option<&Constant>) -> Vec<(Comparison, Literal)> {
    let min = min.and_then(literal).map(|min| (Comparison::GreaterOrEqual, min));
    let max = max.and_then(literal).map(|max| (Comparison::LessOrEqual, max));
    min.into_iter().chain(max).collect()
}

fn literal(constant: &Constant) -> Option<Literal> {
    Some(match constant {
        Constant::Bool(value) => Literal::Bool(*value),
        Constant::Int(value) => Literal::Int(*value),
        Constant::Double(value) => Literal::Double(*value),
        Constant::Text(value) => Literal::String(value.clone()),
        Constant::Bytes(value) => Literal::Bytes(value.clone()),
        Constant::List(_) => return None,
    })
}

/// What the template says of the fields of a pattern's variable.
fn know_pattern(part: &Part<'_>, view: &View<'_>, ranges: &mut Ranges) {
    let (Some(pattern), Some(template)) = (part.pattern, view.file.schema.templates.get(part.template)) else { return };
    for field in template.fields.iter().filter(|field| !field.ty.list) {
        let domain = match field.ty.scalar {
            Scalar::Enum => Some(field.values.iter().cloned().map(Literal::String).collect()),
            Scalar::Bool => Some(vec![Literal::Bool(false), Literal::Bool(true)]),
            _ => None,
        };
        let is_number = matches!(field.ty.scalar, Scalar::Int | Scalar::Double);
        let tests = if is_number && !field.nan { bounds(field.min.as_ref(), field.max.as_ref()) } else { Vec::new() };
        if domain.is_some() || !tests.is_empty() {
            ranges.know(format!("{}.{}", pattern.variable.text, field.name), &Allowed { domain, tests });
        }
    }
}

/// The first condition that contradicts those before it.
fn contradiction(parts: &[&Part<'_>], view: &View<'_>, base: &Ranges) -> Option<Reason> {
    let mut ranges = base.clone();
    for part in parts.iter().filter(|part| matches!(part.role, Role::Match | Role::Test | Role::Accumulate)) {
        if part.role == Role::Match {
            know_pattern(part, view, &mut ranges);
        }
        for count in part.gives.iter().filter(|given| given.kind == GivenKind::Count) {
            let allowed = Allowed { domain: None, tests: vec![(Comparison::GreaterOrEqual, Literal::Int(0))] };
            ranges.know(count.name.text.clone(), &allowed);
        }
        if part.role == Role::Accumulate {
            continue;
        }
        if let Some(reason) = first_contradiction(part, view, &mut ranges) {
            return Some(reason);
        }
    }
    parts.iter().filter(|part| part.role != Role::Match && is_needed(part)).find_map(|part| {
        let mut ranges = ranges.clone();
        know_pattern(part, view, &mut ranges);
        first_contradiction(part, view, &mut ranges)
    })
}

fn first_contradiction(part: &Part<'_>, view: &View<'_>, ranges: &mut Ranges) -> Option<Reason> {
    part.conjuncts.iter().find_map(|conjunct| {
        ranges.add(&conjunct.expr, view);
        ranges.is_empty().then(|| Reason::Contradiction { text: conjunct.text.clone(), span: conjunct.span })
    })
}

/// Without a fact of its template the condition cannot hold.
fn is_needed(part: &Part<'_>) -> bool {
    let needs_some = |kind| matches!(kind, GivenKind::Fold(FoldKind::Min | FoldKind::Max | FoldKind::Avg));
    match part.role {
        Role::Match | Role::Exists => true,
        Role::Accumulate => part.gives.iter().any(|given| needs_some(given.kind)),
        Role::Not | Role::Forall | Role::Test => false,
    }
}

fn needed<'p, 'a>(parts: &'p [&'p Part<'a>]) -> impl Iterator<Item = &'p Part<'a>> {
    parts.iter().copied().filter(|part| is_needed(part))
}

/// Templates of which there can be a fact: given, tables with rows, or written by a rule that can fire.
fn filled_templates(view: &View<'_>, contradictions: &[Vec<Option<Reason>>]) -> Vec<bool> {
    let templates = &view.file.schema.templates;
    let mut filled: Vec<bool> = templates
        .iter()
        .enumerate()
        .map(|(place, template)| match template.origin {
            Origin::Input => true,
            Origin::Table => !view.rules.table_rows[place].is_empty(),
            Origin::Derived | Origin::Output => false,
        })
        .collect();
    let mut waiting: Vec<usize> = (0..view.views.len()).filter(|&rule| !view.views[rule].writes.is_empty()).collect();
    loop {
        let before = waiting.len();
        waiting.retain(|&rule| {
            let mut alternatives = view.views[rule].alternatives().into_iter().zip(&contradictions[rule]);
            let can_fire = alternatives.any(|(parts, contradiction)| {
                contradiction.is_none() && needed(&parts).all(|part| filled.get(part.template) == Some(&true))
            });
            if can_fire {
                view.views[rule].writes.iter().for_each(|write| filled[write.template] = true);
            }
            !can_fire
        });
        if waiting.len() == before {
            return filled;
        }
    }
}

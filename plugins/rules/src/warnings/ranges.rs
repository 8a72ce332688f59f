//! What comparisons leave of the values that a field may have. Says "nothing" only where it is certain.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::terms::{self, Comparison};
use super::view::View;
use crate::cel::syntax::{Expr, ExprKind, Literal};

/// What is known of one field, parameter or value.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    /// It is one of these.
    pub(super) domain: Option<Vec<Literal>>,
    pub(super) tests: Vec<(Comparison, Literal)>,
}

impl Allowed {
    fn passes(&self, value: &Literal) -> bool {
        self.tests
            .iter()
            .all(|(comparison, bound)| terms::order(value, bound).is_none_or(|order| comparison.holds(order)))
    }

    fn restrict(&mut self, values: Vec<Literal>) {
        match &mut self.domain {
            Some(known) => known.retain(|value| values.contains(value)),
            None => self.domain = Some(values),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.tests.extend(other.tests.iter().cloned());
        if let Some(domain) = &other.domain {
            self.restrict(domain.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        if let Some(domain) = &self.domain {
            return !domain.iter().any(|value| self.passes(value));
        }
        let equal = self.tests.iter().find(|(comparison, _)| *comparison == Comparison::Equal);
        if let Some((_, value)) = equal {
            return !self.passes(value);
        }
        let (Some((low, is_low_open)), Some((high, is_high_open))) = (self.bound(true), self.bound(false)) else {
            return false;
        };
        match terms::order(&low, &high) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => is_low_open || is_high_open || !self.passes(&low),
            _ => false,
        }
    }

    /// The tightest bound, and whether it is not allowed itself; open bounds of integers become closed ones.
    fn bound(&self, is_low: bool) -> Option<(Literal, bool)> {
        let mut tightest: Option<(Literal, bool)> = None;
        for (comparison, value) in &self.tests {
            let comparison = if is_low { *comparison } else { comparison.flipped() };
            let is_open = match comparison {
                Comparison::Greater => true,
                Comparison::GreaterOrEqual => false,
                _ => continue,
            };
            let bound = match (value, is_open) {
                (Literal::Int(value), true) => {
                    let next = if is_low { value.checked_add(1) } else { value.checked_sub(1) };
                    next.map_or((Literal::Int(*value), true), |next| (Literal::Int(next), false))
                }
                (value, is_open) => (value.clone(), is_open),
            };
            let is_tighter = tightest.as_ref().is_none_or(|(known, _)| {
                let wanted = if is_low { Ordering::Greater } else { Ordering::Less };
                match terms::order(&bound.0, known) {
                    Some(Ordering::Equal) => bound.1,
                    Some(order) => order == wanted,
                    None => false,
                }
            });
            if is_tighter {
                tightest = Some(bound);
            }
        }
        tightest
    }
}

const LESS: u8 = 1;
const EQUAL: u8 = 2;
const GREATER: u8 = 4;
/// One of them is NaN.
const UNORDERED: u8 = 8;

/// What a list of conditions leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    terms: HashMap<String, Allowed>,
    /// How two terms may stand to each other; names in ascending order.
    pairs: HashMap<(String, String), u8>,
    is_false: bool,
}

impl Ranges {
    /// What the template or the parameter says of a term.
    pub(super) fn know(&mut self, term: String, allowed: &Allowed) {
        self.terms.entry(term).or_default().merge(allowed);
    }

    /// Adds a condition that must hold.
    pub(super) fn add(&mut self, expr: &Expr, view: &View<'_>) {
        if let Some(value) = view.constant(expr) {
            self.is_false |= value == Literal::Bool(false);
        } else if let Some((left, comparison, right)) = terms::comparison(expr) {
            self.compare(left, comparison, right, view);
        } else if let Some((left, right)) = terms::membership(expr) {
            self.member(left, right, view);
        } else if let Some(inner) = terms::negation(expr) {
            match terms::comparison(inner) {
                Some((left, Comparison::Equal, right)) => self.compare(left, Comparison::NotEqual, right, view),
                Some((left, Comparison::NotEqual, right)) => self.compare(left, Comparison::Equal, right, view),
                _ => self.truth(inner, false, view),
            }
        } else {
            self.truth(expr, true, view);
        }
    }

    fn truth(&mut self, expr: &Expr, value: bool, view: &View<'_>) {
        if let Some(term) = term(expr, view) {
            self.terms.entry(term).or_default().tests.push((Comparison::Equal, Literal::Bool(value)));
        } else if let Some(known) = view.constant(expr) {
            self.is_false |= known == Literal::Bool(!value);
        }
    }

    fn compare(&mut self, left: &Expr, comparison: Comparison, right: &Expr, view: &View<'_>) {
        match (view.constant(left), view.constant(right)) {
            (Some(left), Some(right)) => {
                self.is_false |= terms::order(&left, &right).is_some_and(|order| !comparison.holds(order));
            }
            (None, Some(value)) => self.bound(left, comparison, value, view),
            (Some(value), None) => self.bound(right, comparison.flipped(), value, view),
            (None, None) => {
                if let (Some(left), Some(right)) = (term(left, view), term(right, view)) {
                    self.relate(left, comparison, right);
                }
            }
        }
    }

    fn bound(&mut self, expr: &Expr, comparison: Comparison, value: Literal, view: &View<'_>) {
        if let Some(term) = term(expr, view) {
            self.terms.entry(term).or_default().tests.push((comparison, value));
        }
    }

    fn member(&mut self, left: &Expr, right: &Expr, view: &View<'_>) {
        let (Some(term), ExprKind::List(elements)) = (term(left, view), &right.kind) else { return };
        let values = elements.iter().map(|(element, _)| view.constant(element)).collect::<Option<Vec<_>>>();
        if let Some(values) = values {
            self.terms.entry(term).or_default().restrict(values);
        }
    }

    fn relate(&mut self, left: String, comparison: Comparison, right: String) {
        let (left, comparison, right) =
            if left <= right { (left, comparison, right) } else { (right, comparison.flipped(), left) };
        let mask = match comparison {
            Comparison::Equal => EQUAL,
            Comparison::NotEqual => LESS | GREATER | UNORDERED,
            Comparison::Less => LESS,
            Comparison::LessOrEqual => LESS | EQUAL,
            Comparison::Greater => GREATER,
            Comparison::GreaterOrEqual => GREATER | EQUAL,
        };
        let start = if left == right { EQUAL | UNORDERED } else { LESS | EQUAL | GREATER | UNORDERED };
        *self.pairs.entry((left, right)).or_insert(start) &= mask;
    }

    pub(super) fn is_empty(&self) -> bool {
        let none = Allowed::default();
        self.is_false
            || self.terms.values().any(Allowed::is_empty)
            || self.pairs.iter().any(|((left, right), &mask)| {
                if mask != EQUAL {
                    return mask == 0;
                }
                let mut both = self.terms.get(left).unwrap_or(&none).clone();
                both.merge(self.terms.get(right).unwrap_or(&none));
                both.is_empty()
            })
    }
}

/// A field of a variable, a parameter or a value, by its name.
fn term(expr: &Expr, view: &View<'_>) -> Option<String> {
    match &expr.kind {
        ExprKind::Ident(name) if !view.symbols.contains(name.as_str()) => Some(name.clone()),
        ExprKind::Select { operand, field, test: false } => match &operand.kind {
            ExprKind::Ident(name) => Some(format!("{name}.{field}")),
            _ => None,
        },
        _ => None,
    }
}

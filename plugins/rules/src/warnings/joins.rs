//! Joins that no index answers: equality of doubles, and matches that nothing ties to the others.

use std::collections::{BTreeSet, HashMap};

use super::terms::{self, Comparison};
use super::view::{GivenKind, Part, Role, View};
use crate::cel::syntax::{Expr, ExprKind, Literal};
use crate::diagnostic::Diagnostic;
use crate::file::FoldKind;
use crate::schema::{FieldType, Scalar};

const DOUBLE: FieldType = FieldType { scalar: Scalar::Double, list: false };

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    for rule in &view.views {
        for parts in rule.alternatives() {
            let scope = Scope::new(&parts);
            check_doubles(view, &parts, &scope, &rule.rule.id.text, found);
            check_keys(view, &parts, &scope, &rule.rule.id.text, found);
        }
    }
}

/// What the names of an alternative stand for.
struct Scope<'v> {
    /// The matched facts that a name depends on.
    sources: HashMap<&'v str, BTreeSet<usize>>,
    templates: HashMap<&'v str, usize>,
    values: HashMap<&'v str, (GivenKind, Option<&'v Expr>)>,
}

impl<'v> Scope<'v> {
    /// Names of matches stand for their place among `parts`.
    fn new(parts: &[&'v Part<'_>]) -> Self {
        let mut scope = Self { sources: HashMap::new(), templates: HashMap::new(), values: HashMap::new() };
        for (place, part) in parts.iter().enumerate() {
            if let Some(pattern) = part.pattern {
                let name = pattern.variable.text.as_str();
                scope.templates.insert(name, part.template);
                if part.role == Role::Match {
                    scope.sources.insert(name, BTreeSet::from([place]));
                }
            }
            for given in &part.gives {
                let mut sources = BTreeSet::new();
                let own = part.conjuncts.iter().map(|conjunct| &conjunct.expr);
                own.chain(&given.of).for_each(|expr| sources.extend(scope.sources(expr)));
                scope.sources.insert(&given.name.text, sources);
                scope.values.insert(&given.name.text, (given.kind, given.of.as_ref()));
            }
        }
        scope
    }

    fn sources(&self, expr: &Expr) -> BTreeSet<usize> {
        let mut sources = BTreeSet::new();
        terms::each_name(expr, &mut |name| sources.extend(self.sources.get(name).into_iter().flatten()));
        sources
    }

    fn is_double(&self, expr: &Expr, view: &View<'_>) -> bool {
        let again = |expr: &Expr| self.is_double(expr, view);
        match &expr.kind {
            ExprKind::Literal(literal) => matches!(literal, Literal::Double(_)),
            ExprKind::Ident(name) => match self.values.get(name.as_str()) {
                Some((GivenKind::Fold(FoldKind::Avg), _)) => true,
                Some((GivenKind::Fold(FoldKind::Collect) | GivenKind::Count, _)) | None => false,
                Some((_, of)) => of.is_some_and(again),
            },
            ExprKind::Select { operand, field, test: false } => {
                let ExprKind::Ident(name) = &operand.kind else { return false };
                let template =
                    self.templates.get(name.as_str()).and_then(|&place| view.file.schema.templates.get(place));
                template.and_then(|known| Some(known.fields[known.field(field)?].ty == DOUBLE)).unwrap_or(false)
            }
            ExprKind::Call { target: None, function, args } => match function.as_str() {
                "double" => true,
                "_+_" | "_-_" | "_*_" | "_/_" | "-_" => args.iter().any(again),
                "_?_:_" => args.iter().skip(1).any(again),
                _ => false,
            },
            _ => false,
        }
    }
}

fn check_doubles(view: &View<'_>, parts: &[&Part<'_>], scope: &Scope<'_>, rule: &str, found: &mut Vec<Diagnostic>) {
    for (place, part) in parts.iter().enumerate() {
        for conjunct in &part.conjuncts {
            let Some((left, Comparison::Equal, right)) = terms::comparison(&conjunct.expr) else { continue };
            // The variable of an inner pattern is a source of its own.
            let inner = part.pattern.filter(|_| part.role != Role::Match).map(|pattern| pattern.variable.text.as_str());
            let sources = |expr: &Expr| {
                let mut sources = scope.sources(expr);
                if inner.is_some_and(|inner| terms::reads_name(expr, inner)) {
                    sources.insert(place);
                }
                sources
            };
            let (left_sources, right_sources) = (sources(left), sources(right));
            let is_join = !left_sources.is_empty() && !right_sources.is_empty() && left_sources != right_sources;
            if is_join && (scope.is_double(left, view) || scope.is_double(right, view)) {
                let message = format!("`{}` joins on equal doubles", conjunct.text);
                let hint = "compare with `num.approx(a, b, tolerance)`, or join on an int or a string";
                found.push(Diagnostic::warning("double-join", message, conjunct.span).in_rule(rule).with_hint(hint));
            }
        }
    }
}

fn check_keys(view: &View<'_>, parts: &[&Part<'_>], scope: &Scope<'_>, rule: &str, found: &mut Vec<Diagnostic>) {
    let matches: Vec<usize> = (0..parts.len()).filter(|&place| parts[place].role == Role::Match).collect();
    if matches.len() < 2 {
        return;
    }
    let mut group: Vec<usize> = (0..parts.len()).collect();
    let conjuncts =
        parts.iter().filter(|part| matches!(part.role, Role::Match | Role::Test)).flat_map(|part| &part.conjuncts);
    for conjunct in conjuncts {
        let ties = match (terms::comparison(&conjunct.expr), terms::membership(&conjunct.expr)) {
            (Some((left, Comparison::Equal, right)), _) | (_, Some((left, right))) => Some((left, right)),
            _ => None,
        };
        let Some((left, right)) = ties else { continue };
        let (left, right) = (scope.sources(left), scope.sources(right));
        if left.is_empty() || right.is_empty() {
            continue;
        }
        let tied: Vec<usize> = left.union(&right).map(|&place| group[place]).collect();
        group.iter_mut().filter(|known| tied.contains(known)).for_each(|known| *known = tied[0]);
    }
    let mut seen: Vec<usize> = Vec::new();
    for &place in matches.iter().filter(|&&place| !is_single(view, parts[place])) {
        let is_first = seen.is_empty();
        if seen.contains(&group[place]) {
            continue;
        }
        seen.push(group[place]);
        let Some(pattern) = parts[place].pattern.filter(|_| !is_first) else { continue };
        let (variable, template) = (&pattern.variable.text, &pattern.template.text);
        let message = format!("no key joins `{variable}`: every `{template}` meets every match before it");
        let hint = "tie a field to one of an earlier match with `==`, in `where`";
        found.push(
            Diagnostic::warning("join-without-key", message, pattern.template.span).in_rule(rule).with_hint(hint),
        );
    }
}

/// At most one fact matches: its template has one, or the whole key is fixed.
fn is_single(view: &View<'_>, part: &Part<'_>) -> bool {
    let (Some(pattern), Some(template)) = (part.pattern, view.file.schema.templates.get(part.template)) else {
        return false;
    };
    template.keyed
        && template.key.iter().all(|&field| {
            let field = &template.fields[usize::from(field)].name;
            part.conjuncts.iter().any(|conjunct| {
                let Some((left, Comparison::Equal, right)) = terms::comparison(&conjunct.expr) else { return false };
                let is_fixed =
                    |own: &Expr, other: &Expr| is_field(own, &pattern.variable.text, field) && is_outside(view, other);
                is_fixed(left, right) || is_fixed(right, left)
            })
        })
}

fn is_field(expr: &Expr, variable: &str, wanted: &str) -> bool {
    match &expr.kind {
        ExprKind::Select { operand, field, test: false } => {
            field == wanted && matches!(&operand.kind, ExprKind::Ident(name) if name == variable)
        }
        _ => false,
    }
}

/// A constant or a parameter.
fn is_outside(view: &View<'_>, expr: &Expr) -> bool {
    view.constant(expr).is_some() || expr.qualified_name().is_some_and(|name| name.starts_with("params."))
}

//! Rules that may not terminate: their own action enables them again, with ever new values, and makes none of their
//! conditions false. Where it cannot be seen whether a condition becomes false, nothing is said.

use std::collections::{HashMap, HashSet};

use super::terms::{self, Comparison};
use super::view::{GivenKind, Part, Role, RuleView, View, Write, WriteKind};
use crate::cel::syntax::{Expr, ExprKind, Literal};
use crate::diagnostic::Diagnostic;
use crate::model::strata_heads;

/// A template, and whether it gains facts or loses them.
type Change = (usize, bool);

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let flow = Flow::new(view);
    for (place, rule) in view.views.iter().enumerate() {
        let endless = match view.is_derive(place) {
            true => growing_derivation(view, place, rule),
            false => self_enabling(view, &flow, rule),
        };
        if let Some((write, message, hint)) = endless {
            found.push(
                Diagnostic::warning("may-not-terminate", message, write.name.span)
                    .in_rule(&rule.rule.id.text)
                    .with_hint(hint),
            );
        }
    }
}

type Endless<'v, 'a> = Option<(&'v Write<'a>, String, &'static str)>;

/// What derive rules make of changes.
struct Flow {
    /// By template read: what is derived from it, and how its gain changes that (gain, loss or both).
    edges: HashMap<usize, Vec<(usize, bool, bool)>>,
}

impl Flow {
    fn new(view: &View<'_>) -> Self {
        let mut edges: HashMap<usize, Vec<_>> = HashMap::new();
        for rule in view.views.iter().enumerate().filter(|(place, _)| view.is_derive(*place)).map(|(_, rule)| rule) {
            for part in rule.parts() {
                let (gains, loses) = match part.role {
                    Role::Match | Role::Exists => (true, false),
                    Role::Not | Role::Forall => (false, true),
                    Role::Accumulate => (true, true),
                    Role::Test => continue,
                };
                let heads = rule.writes.iter().map(|write| (write.template, gains, loses));
                edges.entry(part.template).or_default().extend(heads);
            }
        }
        for heads in edges.values_mut() {
            heads.sort_unstable();
            heads.dedup();
        }
        Self { edges }
    }

    fn effects(&self, changes: impl IntoIterator<Item = Change>) -> HashSet<Change> {
        let mut effects = HashSet::new();
        let mut waiting: Vec<Change> = changes.into_iter().collect();
        while let Some((template, is_gain)) = waiting.pop() {
            if !effects.insert((template, is_gain)) {
                continue;
            }
            for &(head, gains, loses) in self.edges.get(&template).into_iter().flatten() {
                if gains {
                    waiting.push((head, is_gain));
                }
                if loses {
                    waiting.push((head, !is_gain));
                }
            }
        }
        effects
    }
}

/// One alternative of an agenda rule.
struct Case<'c, 'v, 'a> {
    view: &'c View<'a>,
    flow: &'c Flow,
    rule: &'v RuleView<'a>,
    parts: Vec<&'v Part<'a>>,
    /// Values of `let`, expanded.
    lets: HashMap<&'v str, Expr>,
}

fn lets<'v>(parts: &[&'v Part<'_>]) -> HashMap<&'v str, Expr> {
    let mut lets = HashMap::new();
    for given in parts.iter().flat_map(|part| &part.gives).filter(|given| given.kind == GivenKind::Let) {
        if let Some(of) = &given.of {
            let value = terms::expand(of, &lets);
            lets.insert(given.name.text.as_str(), value);
        }
    }
    lets
}

fn self_enabling<'v, 'a>(view: &View<'a>, flow: &Flow, rule: &'v RuleView<'a>) -> Endless<'v, 'a> {
    for parts in rule.alternatives() {
        let case = Case { view, flow, rule, lets: lets(&parts), parts };
        let write = rule.writes.iter().find(|write| case.repeats(write));
        if let Some(write) = write.filter(|_| !case.is_spent()) {
            let (verb, template) = (
                if write.kind == WriteKind::Modify { "changes" } else { "writes" },
                view.template_name(write.template),
            );
            let message = format!("the rule may not terminate: it {verb} `{template}`, which makes it match again");
            let hint = "let the action make one of the rule's conditions false";
            return Some((write, message, hint));
        }
    }
    None
}

impl<'v, 'a> Case<'_, 'v, 'a> {
    /// Ever new values of this write lead to ever new activations.
    fn repeats(&self, write: &Write<'a>) -> bool {
        match self.modified(write) {
            Some(variable) => self.repeats_modify(write, variable),
            None => self.repeats_assert(write),
        }
    }

    /// The variable of the fact that a write gives another version: that of a `modify`, or of an `assert` with its key.
    fn modified(&self, write: &Write<'a>) -> Option<&'v str> {
        let schema = &self.view.file.schema.templates[write.template];
        let is_copied = |variable: &str| {
            schema.keyed
                && schema.key.iter().all(|&field| {
                    let value = write.fields.iter().find(|(known, _)| *known == usize::from(field));
                    value.is_some_and(|(_, value)| is_field(value, variable, &schema.fields[usize::from(field)].name))
                })
        };
        let mut matches = self.matches().filter(|(_, part)| part.template == write.template);
        match write.kind {
            WriteKind::Modify => matches.find(|(name, _)| *name == write.name.text).map(|(name, _)| name),
            _ => matches.find(|(name, _)| is_copied(name)).map(|(name, _)| name),
        }
    }

    fn matches(&self) -> impl Iterator<Item = (&'v str, &'v Part<'a>)> + '_ {
        self.parts
            .iter()
            .filter(|part| part.role == Role::Match)
            .filter_map(|part| Some((part.pattern?.variable.text.as_str(), *part)))
    }

    fn repeats_modify(&self, write: &Write<'a>, variable: &str) -> bool {
        let schema = &self.view.file.schema.templates[write.template];
        let changed: Vec<&str> = write.fields.iter().map(|(field, _)| schema.fields[*field].name.as_str()).collect();
        let effects = self.flow.effects([(write.template, true), (write.template, false)]);
        let is_new = |value: &Expr| {
            let value = terms::expand(value, &self.lets);
            let mut is_new = false;
            terms::each_read(&value, &mut |name, field| {
                is_new |= if name == variable { changed.contains(&field) } else { self.is_open(name, &effects) };
            });
            is_new
        };
        write.fields.iter().any(|(field, value)| {
            let name = &schema.fields[*field].name;
            let is_copy = is_field(value, variable, name);
            !is_copy && self.reads(write.template, name) && is_new(value)
        })
    }

    /// The name stands for a value that the action may change, or for one of several facts.
    fn is_open(&self, name: &str, effects: &HashSet<Change>) -> bool {
        let touches = |template: usize| effects.contains(&(template, true)) || effects.contains(&(template, false));
        for part in &self.parts {
            if part.gives.iter().any(|given| given.name.text == name) {
                return part.role == Role::Accumulate && touches(part.template);
            }
            let Some(pattern) = part.pattern.filter(|pattern| pattern.variable.text == name) else { continue };
            if part.role == Role::Match {
                let schema = &self.view.file.schema.templates[part.template];
                let is_tied = |&field: &u16| {
                    let field = &schema.fields[usize::from(field)].name;
                    part.conjuncts.iter().any(|conjunct| match terms::comparison(&conjunct.expr) {
                        Some((left, Comparison::Equal, right)) => {
                            is_field(left, &pattern.variable.text, field)
                                || is_field(right, &pattern.variable.text, field)
                        }
                        _ => false,
                    })
                };
                return touches(part.template) || !(schema.keyed && schema.key.iter().all(is_tied));
            }
        }
        false
    }

    /// The rule reads a field of a template, itself or through what is derived from it.
    fn reads(&self, template: usize, field: &str) -> bool {
        let reads_it = |rule: &RuleView<'_>, part: &Part<'_>| {
            part.template == template
                && part.pattern.is_some_and(|pattern| rule_reads(rule, part, &pattern.variable.text, field))
        };
        if self.parts.iter().any(|part| reads_it(self.rule, part)) {
            return true;
        }
        let effects = self.flow.effects([(template, true), (template, false)]);
        let is_matched = self.parts.iter().any(|part| {
            part.pattern.is_some()
                && part.template != template
                && effects.iter().any(|&(known, _)| known == part.template)
        });
        is_matched
            && self
                .view
                .views
                .iter()
                .enumerate()
                .filter(|(place, _)| self.view.is_derive(*place))
                .any(|(_, rule)| rule.parts().iter().any(|part| reads_it(rule, part)))
    }

    fn repeats_assert(&self, write: &Write<'a>) -> bool {
        let schema = &self.view.file.schema.templates[write.template];
        let effects = self.flow.effects([(write.template, true)]);
        let grows = |field: usize, value: &Expr| {
            let value = terms::expand(value, &self.lets);
            let mut is_fed = false;
            terms::each_name(&value, &mut |name| is_fed |= self.is_fed(name, &effects));
            let is_seen =
                schema.key.contains(&(field as u16)) || self.reads(write.template, &schema.fields[field].name);
            is_fed && is_seen && terms::grows(&value)
        };
        if !write.fields.iter().any(|(field, value)| grows(*field, value)) {
            return false;
        }
        self.parts.iter().any(|part| {
            let is_hit = |is_gain: bool| effects.contains(&(part.template, is_gain));
            match part.role {
                Role::Match | Role::Exists => {
                    let variable = part.pattern.map_or("", |pattern| &pattern.variable.text);
                    let is_refused = part.template == write.template
                        && part.conjuncts.iter().any(|conjunct| self.kills(&conjunct.expr, variable, write, false));
                    is_hit(true) && !is_refused
                }
                Role::Accumulate => is_hit(true) || is_hit(false),
                Role::Not | Role::Forall => is_hit(false),
                Role::Test => false,
            }
        })
    }

    /// The name's value comes from facts that the action may add.
    fn is_fed(&self, name: &str, effects: &HashSet<Change>) -> bool {
        self.parts.iter().any(|part| {
            let is_it = part.pattern.is_some_and(|pattern| pattern.variable.text == name)
                || part.gives.iter().any(|given| given.name.text == name);
            is_it && effects.iter().any(|&(template, _)| template == part.template)
        })
    }

    /// Some action makes one of the rule's conditions false.
    fn is_spent(&self) -> bool {
        let retracted = self.matches().filter(|(name, _)| self.rule.retracts.iter().any(|known| known.text == *name));
        for (_, part) in retracted {
            // A new fact may take the place of the retracted one.
            let is_replaced = self.rule.writes.iter().any(|write| {
                write.template == part.template && write.kind == WriteKind::Assert && self.repeats_assert(write)
            });
            if !is_replaced {
                return true;
            }
        }
        self.rule.writes.iter().any(|write| match (self.modified(write), write.kind) {
            (Some(variable), _) => self.spends_modify(write, variable) || self.spends_assert(write),
            (None, WriteKind::Assert) => self.spends_assert(write),
            (None, _) => false,
        })
    }

    fn spends_modify(&self, write: &Write<'a>, variable: &str) -> bool {
        let own = self.parts.iter().filter(|part| matches!(part.role, Role::Match | Role::Test));
        let mut own = own.flat_map(|part| &part.conjuncts);
        if own.any(|conjunct| self.kills(&terms::expand(&conjunct.expr, &self.lets), variable, write, true)) {
            return true;
        }
        // The same in the rules that derive what this one matches.
        let effects = self.flow.effects([(write.template, false)]);
        self.parts.iter().filter(|part| part.role == Role::Match && part.template != write.template).any(|part| {
            effects.contains(&(part.template, false))
                && self.view.views.iter().enumerate().filter(|(place, _)| self.view.is_derive(*place)).any(
                    |(_, rule)| {
                        rule.parts().iter().filter(|inner| inner.template == write.template).any(|inner| {
                            let variable = inner.pattern.map_or("", |pattern| &pattern.variable.text);
                            inner.conjuncts.iter().any(|conjunct| self.kills(&conjunct.expr, variable, write, true))
                        })
                    },
                )
        })
    }

    fn spends_assert(&self, write: &Write<'a>) -> bool {
        if write.kind != WriteKind::Assert {
            return false;
        }
        let effects = self.flow.effects([(write.template, true)]);
        self.parts.iter().any(|part| match part.role {
            Role::Not if part.template == write.template => {
                let variable = part.pattern.map_or("", |pattern| &pattern.variable.text);
                !part.conjuncts.iter().any(|conjunct| {
                    self.kills(&conjunct.expr, variable, write, false) || self.misses(&conjunct.expr, variable, write)
                })
            }
            Role::Not => effects.contains(&(part.template, true)),
            Role::Match => part.template != write.template && effects.contains(&(part.template, false)),
            _ => false,
        })
    }

    /// An equality that the written value cannot be seen to meet, since it is computed from the other side.
    fn misses(&self, condition: &Expr, variable: &str, write: &Write<'a>) -> bool {
        let Some((left, Comparison::Equal, right)) = terms::comparison(condition) else { return false };
        [(left, right), (right, left)].iter().any(|(own, other)| {
            self.new_value(own, variable, write).is_some_and(|value| {
                let value = terms::expand(value, &self.lets);
                terms::grows(&value) && !terms::same(&value, &terms::expand(other, &self.lets))
            })
        })
    }

    /// What the write gives the field that an expression names.
    fn new_value<'w>(&self, expr: &Expr, variable: &str, write: &'w Write<'a>) -> Option<&'w Expr> {
        let schema = &self.view.file.schema.templates[write.template];
        let mut fields = write.fields.iter();
        fields.find(|(field, _)| is_field(expr, variable, &schema.fields[*field].name)).map(|(_, value)| value)
    }

    /// A condition on a fact becomes false, or comes nearer to it, with what is written to the fact.
    fn kills(&self, condition: &Expr, variable: &str, write: &Write<'a>, is_same_fact: bool) -> bool {
        if let Some((left, comparison, right)) = terms::comparison(condition) {
            return self.kills_side(left, comparison, right, (variable, write, is_same_fact))
                || self.kills_side(right, comparison.flipped(), left, (variable, write, is_same_fact));
        }
        if let Some((left, right)) = terms::membership(condition) {
            let value = self.new_value(left, variable, write).and_then(|value| self.view.constant(value));
            let ExprKind::List(elements) = &right.kind else { return false };
            return value.is_some_and(|value| {
                elements.iter().all(|(element, _)| self.view.constant(element).is_some_and(|known| known != value))
            });
        }
        let (own, wanted) = terms::negation(condition).map_or((condition, true), |inner| (inner, false));
        let value = self.new_value(own, variable, write);
        value.and_then(|value| self.view.constant(value)) == Some(Literal::Bool(!wanted))
    }

    fn kills_side(
        &self,
        own: &Expr,
        comparison: Comparison,
        other: &Expr,
        (variable, write, is_same_fact): (&str, &Write<'a>, bool),
    ) -> bool {
        let Some(value) = self.new_value(own, variable, write) else { return false };
        if self.new_value(other, variable, write).is_some() {
            return false;
        }
        let value = terms::expand(value, &self.lets);
        if let (Some(value), Some(other)) = (self.view.constant(&value), self.view.constant(other)) {
            return terms::order(&value, &other).is_some_and(|order| !comparison.holds(order));
        }
        if terms::same(&value, other) {
            return matches!(comparison, Comparison::NotEqual | Comparison::Less | Comparison::Greater);
        }
        match comparison {
            // Either the value stays, and nothing is changed, or the condition becomes false.
            Comparison::Equal => is_same_fact,
            Comparison::Less | Comparison::LessOrEqual => self.moves(&value, write, own, true),
            Comparison::Greater | Comparison::GreaterOrEqual => self.moves(&value, write, own, false),
            Comparison::NotEqual => false,
        }
    }

    /// The value is the field's old one moved up (or down).
    fn moves(&self, value: &Expr, write: &Write<'a>, own: &Expr, is_up: bool) -> bool {
        let ExprKind::Call { target: None, function, args } = &value.kind else { return false };
        let ExprKind::Select { field, .. } = &own.kind else { return false };
        let is_old = |expr: &Expr| {
            self.matches().any(|(name, part)| part.template == write.template && is_field(expr, name, field))
        };
        let (old, step) = match args.as_slice() {
            [old, step] if is_old(old) => (function.as_str(), step),
            [step, old] if is_old(old) && matches!(function.as_str(), "_+_" | "_*_") => (function.as_str(), step),
            _ => return false,
        };
        let is_negative = |step: &Expr| match terms::literal(step) {
            Some(Literal::Int(step)) => step < 0,
            Some(Literal::Double(step)) => step < 0.0,
            _ => false,
        };
        let is_nothing = matches!(terms::literal(step), Some(Literal::Int(0)));
        match old {
            "_+_" => !is_nothing && is_up != is_negative(step),
            "_-_" => !is_nothing && is_up == is_negative(step),
            "_*_" => is_up,
            "_/_" => !is_up,
            _ => false,
        }
    }
}

fn is_field(expr: &Expr, variable: &str, wanted: &str) -> bool {
    match &expr.kind {
        ExprKind::Select { operand, field, test: false } => {
            field == wanted && matches!(&operand.kind, ExprKind::Ident(name) if name == variable)
        }
        _ => false,
    }
}

/// A rule reads a field of the variable that a condition binds; for inner patterns, inside that condition.
fn rule_reads(rule: &RuleView<'_>, part: &Part<'_>, variable: &str, field: &str) -> bool {
    let reads = |expr: &Expr| terms::reads_field(expr, variable, field);
    let part_reads = |part: &Part<'_>| {
        part.conjuncts.iter().any(|conjunct| reads(&conjunct.expr))
            || part.satisfies.iter().any(reads)
            || part.gives.iter().filter_map(|given| given.of.as_ref()).any(reads)
    };
    if part.role != Role::Match {
        return part_reads(part);
    }
    rule.parts().into_iter().any(part_reads)
        || rule.writes.iter().flat_map(|write| &write.fields).any(|(_, value)| reads(value))
        || rule.emitted.iter().any(reads)
}

/// A derive rule whose own conclusions feed it with ever new keys.
fn growing_derivation<'v, 'a>(view: &View<'a>, place: usize, rule: &'v RuleView<'a>) -> Endless<'v, 'a> {
    let heads = strata_heads(view.rules, place).filter(|_| !rule.writes.is_empty())?;
    for parts in rule.alternatives() {
        let lets = lets(&parts);
        let fed: Vec<&str> = parts
            .iter()
            .filter(|part| heads.contains(&(part.template as u16)))
            .filter_map(|part| Some(part.pattern?.variable.text.as_str()))
            .collect();
        for write in &rule.writes {
            let schema = &view.file.schema.templates[write.template];
            let keys = write.fields.iter().filter(|(field, _)| schema.key.contains(&(*field as u16)));
            let growing = keys.map(|(field, value)| (field, terms::expand(value, &lets))).find(|(_, value)| {
                terms::grows(value)
                    && fed.iter().any(|name| terms::reads_name(value, name))
                    && !is_bounded(value, &parts, &lets)
            });
            if let Some((&field, _)) = growing {
                let (template, field) = (&schema.name, &schema.fields[field].name);
                let message =
                    format!("the rule may not terminate: each `{template}` leads to another with a new `{field}`");
                let hint = "bound the value in `where` or `if`, such as `x.depth < 10`";
                return Some((write, message, hint));
            }
        }
    }
    None
}

/// Some comparison holds what a growing value grows from, or the value itself, below or above something.
fn is_bounded(value: &Expr, parts: &[&Part<'_>], lets: &HashMap<&str, Expr>) -> bool {
    let mut sources = Vec::new();
    terms::each_read(value, &mut |name, field| sources.push((name, field)));
    let conjuncts =
        parts.iter().filter(|part| matches!(part.role, Role::Match | Role::Test)).flat_map(|part| &part.conjuncts);
    conjuncts.filter_map(|conjunct| terms::comparison(&conjunct.expr)).any(|(left, comparison, right)| {
        let (left, right) = (terms::expand(left, lets), terms::expand(right, lets));
        let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        let reads = |expr: &Expr| {
            sources.iter().any(|(name, field)| !field.is_empty() && terms::reads_field(expr, name, field))
        };
        is_order && (reads(&left) || reads(&right))
    })
}

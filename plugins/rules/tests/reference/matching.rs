//! All matches of a rule, by trying every fact for every condition. No indexes, no order but that of `when`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rules_plugin::cel::syntax::Expr;
use rules_plugin::file::{
    ActionKind, Condition, ConditionKind, DataValue, Emit, Expression, FieldValue, Fold, FoldKind, Name, Pattern, Rule,
};
use rules_plugin::schema::Schema;

use super::expression::{Bound, Env, Globals, Known, Parsed, conjuncts, each_field};
use super::value::Value;

/// A part of what tells activations of a rule apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Key, and the fields that the rule reads.
    Fact(Vec<Option<Value>>, Vec<Option<Value>>),
    Distinct(Vec<Option<Value>>),
    Value(Option<Value>),
}

pub(crate) type Activation = Vec<Part>;

#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) env: Env,
    /// A condition had no value.
    pub(crate) is_erring: bool,
    /// By position, 0 where there is none.
    pub(crate) stamps: Vec<u64>,
    /// What ties are broken by.
    pub(crate) canonical: Vec<Vec<Option<Value>>>,
}

/// What a rule exports from its conditions, in the order of `when`.
pub(crate) struct Shape {
    pub(crate) positions: Vec<Position>,
    values: Vec<String>,
}

pub(crate) struct Position {
    pub(crate) variable: String,
    pub(crate) distinct: Option<Vec<usize>>,
    reads: Vec<usize>,
}

impl Shape {
    pub(crate) fn of(rule: &Rule, schema: &Schema, parsed: &RefCell<Parsed>) -> Self {
        let exported = exported(&rule.when);
        let mut shape = Self { positions: Vec::new(), values: Vec::new() };
        shape.gather(&rule.when, &exported, schema);
        let mut read = Vec::new();
        let mut expressions = Vec::new();
        rule.when.iter().for_each(|condition| of_condition(condition, &mut expressions));
        rule.then.iter().for_each(|action| of_action(&action.kind, &mut expressions, parsed, &mut read));
        for expression in expressions {
            each_field(&parsed.borrow_mut().of(expression), &mut |name, field| {
                read.push((name.to_owned(), field.to_owned()))
            });
        }
        for position in &mut shape.positions {
            let template = template_of(&rule.when, &position.variable, schema);
            let names = read.iter().filter(|(name, _)| *name == position.variable);
            let fields = names.filter_map(|(_, field)| schema.templates[template].field(field));
            position.reads = fields.collect();
            position.reads.sort_unstable();
            position.reads.dedup();
        }
        shape
    }

    /// Follows the first branch of each `any`, since all of them bind what is exported.
    fn gather(&mut self, conditions: &[Condition], exported: &[String], schema: &Schema) {
        for condition in conditions {
            match &condition.kind {
                ConditionKind::Match { pattern, distinct } if exported.contains(&pattern.variable.text) => {
                    let template = schema.template(&pattern.template.text).expect("the rule set was resolved");
                    let field = |name: &Name| schema.templates[template].field(&name.text).expect("it was resolved");
                    self.positions.push(Position {
                        variable: pattern.variable.text.clone(),
                        distinct: distinct.as_ref().map(|names| names.iter().map(field).collect()),
                        reads: Vec::new(),
                    });
                }
                ConditionKind::Any(branches) => self.gather(&branches[0], exported, schema),
                _ => {
                    let mut names = values_of(condition);
                    names.retain(|name| exported.contains(name));
                    self.values.extend(names);
                }
            }
        }
    }

    fn activation(&self, env: &Env) -> Activation {
        let positions = self.positions.iter().map(|position| {
            let fact = fact_of(env, &position.variable);
            match &position.distinct {
                Some(fields) => Part::Distinct(fields.iter().map(|&field| fact.values[field].clone()).collect()),
                None => {
                    let read = position.reads.iter().map(|&field| fact.values[field].clone());
                    Part::Fact(fact.key.clone(), read.collect())
                }
            }
        });
        positions.chain(self.values.iter().map(|name| Part::Value(value_of(env, name)))).collect()
    }

    fn order(&self, env: &Env) -> (Vec<u64>, Vec<Vec<Option<Value>>>) {
        let mut stamps = Vec::new();
        let mut canonical = Vec::new();
        for position in &self.positions {
            let fact = fact_of(env, &position.variable);
            match &position.distinct {
                Some(fields) => canonical.push(fields.iter().map(|&field| fact.values[field].clone()).collect()),
                None => {
                    stamps.push(fact.stamp);
                    canonical.push(fact.key.clone());
                }
            }
        }
        canonical.extend(self.values.iter().map(|name| vec![value_of(env, name)]));
        (stamps, canonical)
    }
}

pub(crate) fn fact_of<'e>(env: &'e Env, name: &str) -> &'e Rc<Known> {
    match env.find(name) {
        Some(Bound::Fact(fact)) => fact,
        other => unreachable!("`{name}` is {other:?}"),
    }
}

fn value_of(env: &Env, name: &str) -> Option<Value> {
    match env.find(name) {
        Some(Bound::Value(value)) => value.clone(),
        other => unreachable!("`{name}` is {other:?}"),
    }
}

/// Values that a condition binds.
fn values_of(condition: &Condition) -> Vec<String> {
    match &condition.kind {
        ConditionKind::Let(bindings) => bindings.iter().map(|(name, _)| name.text.clone()).collect(),
        ConditionKind::Accumulate { count, folds, .. } => {
            count.iter().chain(folds.iter().map(|fold| &fold.name)).map(|name| name.text.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// Names that are bound whichever branches hold.
fn exported(conditions: &[Condition]) -> Vec<String> {
    let mut names = Vec::new();
    for condition in conditions {
        match &condition.kind {
            ConditionKind::Match { pattern, .. } => names.push(pattern.variable.text.clone()),
            ConditionKind::Any(branches) => {
                let mut of_branches = branches.iter().map(|branch| exported(branch));
                let mut common = of_branches.next().unwrap_or_default();
                of_branches.for_each(|names| common.retain(|name| names.contains(name)));
                names.extend(common);
            }
            _ => names.extend(values_of(condition)),
        }
    }
    names
}

fn template_of(conditions: &[Condition], variable: &str, schema: &Schema) -> usize {
    find_template(conditions, variable).and_then(|name| schema.template(name)).expect("the rule set was resolved")
}

fn find_template<'c>(conditions: &'c [Condition], variable: &str) -> Option<&'c str> {
    conditions.iter().find_map(|condition| match &condition.kind {
        ConditionKind::Match { pattern, .. } if pattern.variable.text == variable => {
            Some(pattern.template.text.as_str())
        }
        ConditionKind::Any(branches) => branches.iter().find_map(|branch| find_template(branch, variable)),
        _ => None,
    })
}

fn of_condition<'c>(condition: &'c Condition, expressions: &mut Vec<&'c Expression>) {
    match &condition.kind {
        ConditionKind::Match { pattern, .. } | ConditionKind::Not(pattern) | ConditionKind::Exists(pattern) => {
            expressions.extend(&pattern.filter);
        }
        ConditionKind::Forall { pattern, satisfies } => expressions.extend(pattern.filter.iter().chain([satisfies])),
        ConditionKind::Accumulate { pattern, folds, .. } => {
            expressions.extend(pattern.filter.iter().chain(folds.iter().map(|fold| &fold.of)));
        }
        ConditionKind::Any(branches) => {
            branches.iter().flatten().for_each(|condition| of_condition(condition, expressions));
        }
        ConditionKind::If(expression) => expressions.push(expression),
        ConditionKind::Let(bindings) => expressions.extend(bindings.iter().map(|(_, expression)| expression)),
    }
}

/// What an action reads; the fields that it sets are not among them.
fn of_action<'a>(
    action: &'a ActionKind,
    expressions: &mut Vec<&'a Expression>,
    parsed: &RefCell<Parsed>,
    read: &mut Vec<(String, String)>,
) {
    match action {
        ActionKind::Derive { fields, .. } | ActionKind::Assert { fields, .. } | ActionKind::Modify { fields, .. } => {
            for (_, value) in fields {
                match value {
                    FieldValue::One(expression) => expressions.push(expression),
                    FieldValue::List(elements, _) => expressions.extend(elements),
                }
            }
        }
        ActionKind::Emit(Emit { subject, message, data, .. }) => {
            expressions.extend(subject);
            data.iter().for_each(|data| of_data(data, expressions));
            for piece in message.iter().flat_map(|message| pieces(&message.text)) {
                if let Piece::Hole(text) = piece {
                    let mut note = |name: &str, field: &str| read.push((name.to_owned(), field.to_owned()));
                    each_field(&parsed.borrow_mut().text(text), &mut note);
                }
            }
        }
        ActionKind::Retract { .. } | ActionKind::Stop { .. } => {}
    }
}

fn of_data<'a>(data: &'a DataValue, expressions: &mut Vec<&'a Expression>) {
    match data {
        DataValue::Null => {}
        DataValue::One(expression) => expressions.push(expression),
        DataValue::List(items) => items.iter().for_each(|item| of_data(item, expressions)),
        DataValue::Map(entries) => entries.iter().for_each(|(_, item)| of_data(item, expressions)),
    }
}

pub(crate) enum Piece<'t> {
    Text(&'t str),
    Hole(&'t str),
}

/// Random messages have no brace but around holes.
pub(crate) fn pieces(message: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some((text, behind)) = rest.split_once('{') {
        let (hole, behind) = behind.split_once('}').expect("the rule set was resolved");
        found.extend([Piece::Text(text), Piece::Hole(hole)]);
        rest = behind;
    }
    found.push(Piece::Text(rest));
    found
}

/// A state in which rules are matched.
#[derive(Clone, Copy)]
pub(crate) struct Matcher<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) globals: &'a Globals,
    pub(crate) parsed: &'a RefCell<Parsed>,
    /// Facts of each template in canonical order.
    pub(crate) facts: &'a [Vec<Rc<Known>>],
}

impl Matcher<'_> {
    /// All activations of a rule; of matches that look the same, the first that does not err, or the first.
    pub(crate) fn matches(&self, rule: &Rule, shape: &Shape) -> BTreeMap<Activation, Match> {
        let mut found = BTreeMap::new();
        let conditions: Vec<&Condition> = rule.when.iter().collect();
        self.walk(&conditions, &mut Env::default(), false, &mut |env, is_erring| {
            let (stamps, canonical) = shape.order(env);
            let made = Match { env: env.clone(), is_erring, stamps, canonical };
            let known = found.entry(shape.activation(env)).or_insert_with(|| made.clone());
            if known.is_erring && !made.is_erring {
                *known = made;
            }
        });
        found
    }

    fn walk(&self, conditions: &[&Condition], env: &mut Env, is_erring: bool, found: &mut dyn FnMut(&Env, bool)) {
        let Some((condition, rest)) = conditions.split_first() else { return found(env, is_erring) };
        let bound = env.names.len();
        match &condition.kind {
            ConditionKind::Match { pattern, .. } => {
                for fact in self.candidates(pattern, env) {
                    env.push(&pattern.variable.text, Bound::Fact(fact));
                    self.walk(rest, env, is_erring, found);
                    env.names.truncate(bound);
                }
            }
            ConditionKind::Any(branches) => {
                for branch in branches {
                    let conditions: Vec<&Condition> = branch.iter().chain(rest.iter().copied()).collect();
                    self.walk(&conditions, env, is_erring, found);
                    env.names.truncate(bound);
                }
            }
            kind => {
                if let Some(erred) = self.closed(kind, env) {
                    self.walk(rest, env, is_erring || erred, found);
                }
                env.names.truncate(bound);
            }
        }
    }

    /// Whether a condition that matches no fact of its own holds, and then whether it does because it erred.
    fn closed(&self, kind: &ConditionKind, env: &mut Env) -> Option<bool> {
        match kind {
            ConditionKind::If(expression) => {
                let expr = self.parsed.borrow_mut().of(expression);
                if env.is_blocked(&expr) {
                    return Some(false);
                }
                match self.globals.holds(&expr, env) {
                    Ok(holds) => holds.then_some(false),
                    Err(_) => Some(true),
                }
            }
            ConditionKind::Let(bindings) => {
                let mut has_erred = false;
                for (name, expression) in bindings {
                    let expr = self.parsed.borrow_mut().of(expression);
                    let value = self.globals.eval(&expr, env).ok();
                    has_erred |= value.is_none();
                    env.push(&name.text, Bound::Value(value));
                }
                Some(has_erred)
            }
            ConditionKind::Not(pattern) if self.is_blocked(pattern, &[], env) => Some(false),
            ConditionKind::Exists(pattern) if self.is_blocked(pattern, &[], env) => Some(false),
            ConditionKind::Not(pattern) => self.candidates(pattern, env).is_empty().then_some(false),
            ConditionKind::Exists(pattern) => (!self.candidates(pattern, env).is_empty()).then_some(false),
            ConditionKind::Forall { pattern, satisfies } => self.forall(pattern, satisfies, env),
            ConditionKind::Accumulate { pattern, count, folds } => self.accumulate(pattern, count.as_ref(), folds, env),
            ConditionKind::Match { .. } | ConditionKind::Any(_) => unreachable!("these are walked"),
        }
    }

    fn is_blocked(&self, pattern: &Pattern, more: &[&Expression], env: &Env) -> bool {
        let expressions = pattern.filter.iter().chain(more.iter().copied());
        expressions.into_iter().any(|expression| env.is_blocked(&self.parsed.borrow_mut().of(expression)))
    }

    fn forall(&self, pattern: &Pattern, satisfies: &Expression, env: &mut Env) -> Option<bool> {
        if self.is_blocked(pattern, &[satisfies], env) {
            return Some(false);
        }
        let satisfies = self.parsed.borrow_mut().of(satisfies);
        let mut has_erred = false;
        for fact in self.candidates(pattern, env) {
            match self.of_fact(pattern, fact, env, |env| self.globals.holds(&satisfies, env)) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => has_erred = true,
            }
        }
        Some(has_erred)
    }

    /// Evaluates something with a pattern's variable bound.
    fn of_fact<T>(&self, pattern: &Pattern, fact: Rc<Known>, env: &mut Env, work: impl FnOnce(&Env) -> T) -> T {
        env.push(&pattern.variable.text, Bound::Fact(fact));
        let result = work(env);
        env.names.pop();
        result
    }

    fn accumulate(&self, pattern: &Pattern, count: Option<&Name>, folds: &[Fold], env: &mut Env) -> Option<bool> {
        let expressions: Vec<&Expression> = folds.iter().map(|fold| &fold.of).collect();
        let is_blocked = self.is_blocked(pattern, &expressions, env);
        let facts = if is_blocked { Vec::new() } else { self.candidates(pattern, env) };
        let mut given = Vec::new();
        let mut has_erred = false;
        if let Some(name) = count {
            given.push((&name.text, Some(Value::Int(facts.len() as i64))));
        }
        for fold in folds {
            let of: Rc<Expr> = self.parsed.borrow_mut().of(&fold.of);
            let values: Result<Vec<Value>, _> = facts
                .iter()
                .map(|fact| self.of_fact(pattern, Rc::clone(fact), env, |env| self.globals.eval(&of, env)))
                .collect();
            let value = match values {
                Ok(values) if values.is_empty() && !is_blocked => Some(of_nothing(fold.kind, &of, pattern, self)?),
                Ok(values) => folded(fold.kind, values),
                Err(_) => None,
            };
            has_erred |= value.is_none();
            given.push((&fold.name.text, value));
        }
        for (name, value) in given {
            let is_lost = is_blocked || has_erred;
            env.push(name, Bound::Value(if is_lost { None } else { value }));
        }
        Some(has_erred && !is_blocked)
    }

    fn candidates(&self, pattern: &Pattern, env: &mut Env) -> Vec<Rc<Known>> {
        let template = self.schema.template(&pattern.template.text).expect("the rule set was resolved");
        let facts = self.facts[template].iter();
        let Some(filter) = &pattern.filter else { return facts.cloned().collect() };
        let filter = self.parsed.borrow_mut().of(filter);
        facts
            .filter(|fact| self.of_fact(pattern, Rc::clone(fact), env, |env| self.passes(&filter, env)))
            .cloned()
            .collect()
    }

    /// What has no value is no match; what needs a value that erred is left open.
    fn passes(&self, filter: &Expr, env: &Env) -> bool {
        if !env.is_blocked(filter) {
            return self.globals.holds(filter, env) == Ok(true);
        }
        let mut parts = Vec::new();
        conjuncts(filter, &mut parts);
        parts.retain(|part| !env.is_blocked(part));
        parts.iter().all(|part| self.globals.holds(part, env) == Ok(true))
    }
}

/// `None`: there is no match.
fn of_nothing(kind: FoldKind, of: &Expr, pattern: &Pattern, matcher: &Matcher<'_>) -> Option<Value> {
    match kind {
        FoldKind::Sum => Some(if is_double(of, pattern, matcher) { Value::Double(0.0) } else { Value::Int(0) }),
        FoldKind::Collect => Some(Value::List([].into())),
        FoldKind::Min | FoldKind::Max | FoldKind::Avg => None,
    }
}

/// The type of an empty sum: random programs add up fields and what is made of them, with the pattern's own inside.
fn is_double(of: &Expr, pattern: &Pattern, matcher: &Matcher<'_>) -> bool {
    use rules_plugin::schema::Scalar;
    let mut found = false;
    let template = matcher.schema.template(&pattern.template.text).expect("the rule set was resolved");
    each_field(of, &mut |name, field| {
        let fields = &matcher.schema.templates[template].fields;
        let own = fields.iter().find(|known| name == pattern.variable.text && known.name == field);
        found |= own.is_some_and(|field| field.ty.scalar == Scalar::Double);
    });
    found
}

fn folded(kind: FoldKind, values: Vec<Value>) -> Option<Value> {
    let count = values.len();
    match kind {
        FoldKind::Collect => Some(Value::List(values.into())),
        FoldKind::Min => values.into_iter().min(),
        FoldKind::Max => values.into_iter().max(),
        FoldKind::Sum | FoldKind::Avg => match values.first() {
            Some(Value::Double(_)) => {
                let sum = sum_of_doubles(&values);
                Some(Value::Double(if kind == FoldKind::Avg { sum / count as f64 } else { sum }))
            }
            _ => {
                let sum: i128 =
                    values.iter().map(|value| if let Value::Int(value) = value { i128::from(*value) } else { 0 }).sum();
                match kind {
                    FoldKind::Avg => Some(Value::Double(sum as f64 / count as f64)),
                    _ => i64::try_from(sum).ok().map(Value::Int),
                }
            }
        },
    }
}

/// In the message of a panic: the reference cannot say what is right.
pub(crate) const BEYOND_REFERENCE: &str = "beyond the reference";

/// Exact, rounded once: as multiples of the last place of the one that is least.
fn sum_of_doubles(values: &[Value]) -> f64 {
    let double = |value: &Value| if let Value::Double(value) = value { *value } else { 0.0 };
    let place = |value: f64| (value.to_bits() >> 52 & 0x7ff).max(1) as i32 - 1075;
    let others = values.iter().map(double).filter(|&value| value != 0.0);
    let unit = 2_f64.powi(others.map(place).min().unwrap_or(0));
    let exact: i128 = values
        .iter()
        .map(|value| {
            let scaled = double(value) / unit;
            assert!(
                scaled.fract() == 0.0 && scaled.abs() < 1e37,
                "{BEYOND_REFERENCE}: {value:?} as a multiple of {unit}"
            );
            scaled as i128
        })
        .sum();
    exact as f64 * unit
}

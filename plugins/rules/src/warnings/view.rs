//! A rule set as the lints look at it: expressions parsed, conditions of every alternative in one list, places kept.

use std::collections::HashSet;

use crate::cel;
use crate::cel::syntax::{Expr, ExprKind, Literal, Range};
use crate::diagnostic::Span;
use crate::file::{
    self, ActionKind, Condition, ConditionKind, DataValue, Expression, FieldValue, FoldKind, Name, RuleFile, Source,
};
use crate::model::{RuleSet, hole_end, span_of};
use crate::schema::{Constant, Scalar, Schema};

use super::terms;

/// More alternatives than a rule can have.
const ALTERNATIVES_MAX: usize = 64;

pub(super) struct View<'a> {
    pub(super) file: &'a RuleFile,
    pub(super) rules: &'a RuleSet,
    pub(super) views: Vec<RuleView<'a>>,
    /// Values of enums, which stand for themselves.
    pub(super) symbols: HashSet<&'a str>,
}

pub(super) struct RuleView<'a> {
    pub(super) rule: &'a file::Rule,
    conditions: Vec<Node<'a>>,
    pub(super) writes: Vec<Write<'a>>,
    pub(super) retracts: Vec<&'a Name>,
    /// Everything in emits that is an expression.
    pub(super) emitted: Vec<Expr>,
}

enum Node<'a> {
    Part(Box<Part<'a>>),
    Any(Vec<Vec<Node<'a>>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Match,
    Not,
    Exists,
    Forall,
    Accumulate,
    /// `if` and `let`.
    Test,
}

/// One condition without `any`.
pub(super) struct Part<'a> {
    pub(super) role: Role,
    pub(super) pattern: Option<&'a file::Pattern>,
    pub(super) template: usize,
    /// Top-level parts of the `where` or of the `if`.
    pub(super) conjuncts: Vec<Conjunct>,
    pub(super) satisfies: Option<Expr>,
    pub(super) gives: Vec<Given<'a>>,
}

pub(super) struct Conjunct {
    pub(super) expr: Expr,
    pub(super) span: Span,
    pub(super) text: String,
}

/// A value that a condition binds.
pub(super) struct Given<'a> {
    pub(super) name: &'a Name,
    pub(super) kind: GivenKind,
    pub(super) of: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenKind {
    Let,
    Count,
    Fold(FoldKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Derive,
    Assert,
    Modify,
}

/// A `derive`, an `assert` or a `modify`.
pub(super) struct Write<'a> {
    pub(super) kind: WriteKind,
    /// The template, or the variable.
    pub(super) name: &'a Name,
    pub(super) template: usize,
    pub(super) fields: Vec<(usize, Expr)>,
}

impl<'a> View<'a> {
    pub(super) fn new(file: &'a RuleFile, rules: &'a RuleSet) -> Self {
        let views = file.rules.iter().map(|rule| RuleView::new(rule, &file.schema)).collect();
        let fields = file.schema.templates.iter().flat_map(|template| &template.fields);
        let mut symbols: HashSet<&str> = fields.flat_map(|field| &field.values).map(String::as_str).collect();
        for param in file.params.iter().filter(|param| param.ty.scalar == Scalar::Enum) {
            symbols.extend(param.values.iter().filter_map(|value| match value {
                Constant::Text(text) => Some(text.as_str()),
                _ => None,
            }));
        }
        Self { file, rules, views, symbols }
    }

    pub(super) fn is_derive(&self, rule: usize) -> bool {
        self.rules.rules[rule].is_derive
    }

    pub(super) fn template_name(&self, template: usize) -> &'a str {
        &self.file.schema.templates[template].name
    }

    /// The value of an expression that is a literal or the symbol of an enum.
    pub(super) fn constant(&self, expr: &Expr) -> Option<Literal> {
        match &expr.kind {
            ExprKind::Ident(name) if self.symbols.contains(name.as_str()) => Some(Literal::String(name.clone())),
            _ => terms::literal(expr),
        }
    }
}

impl<'a> RuleView<'a> {
    fn new(rule: &'a file::Rule, schema: &Schema) -> Self {
        let conditions = rule.when.iter().map(|condition| node(condition, schema)).collect();
        let mut view = Self { rule, conditions, writes: Vec::new(), retracts: Vec::new(), emitted: Vec::new() };
        let matched: Vec<(&str, usize)> = view.parts().into_iter().filter_map(matched_template).collect();
        for action in &rule.then {
            match &action.kind {
                ActionKind::Derive { template, fields } | ActionKind::Assert { template, fields } => {
                    let is_derive = matches!(action.kind, ActionKind::Derive { .. });
                    let kind = if is_derive { WriteKind::Derive } else { WriteKind::Assert };
                    view.writes.extend(write(kind, template, fields, schema.template(&template.text), schema));
                }
                ActionKind::Modify { variable, fields } => {
                    let place = matched.iter().find(|(name, _)| *name == variable.text).map(|&(_, place)| place);
                    view.writes.extend(write(WriteKind::Modify, variable, fields, place, schema));
                }
                ActionKind::Retract { variable } => view.retracts.push(variable),
                ActionKind::Emit(emit) => emitted(emit, &mut view.emitted),
                ActionKind::Stop { .. } => {}
            }
        }
        view
    }

    /// Every condition once.
    pub(super) fn parts(&self) -> Vec<&Part<'a>> {
        let mut parts = Vec::new();
        collect(&self.conditions, &mut parts);
        parts
    }

    /// The ways in which the rule can match, each a list of conditions without `any`.
    pub(super) fn alternatives(&self) -> Vec<Vec<&Part<'a>>> {
        combine(&self.conditions)
    }
}

fn matched_template<'a>(part: &Part<'a>) -> Option<(&'a str, usize)> {
    let pattern = part.pattern.filter(|_| part.role == Role::Match)?;
    Some((&pattern.variable.text, part.template))
}

fn collect<'v, 'a>(nodes: &'v [Node<'a>], parts: &mut Vec<&'v Part<'a>>) {
    for node in nodes {
        match node {
            Node::Part(part) => parts.push(part),
            Node::Any(branches) => branches.iter().for_each(|branch| collect(branch, parts)),
        }
    }
}

fn combine<'v, 'a>(nodes: &'v [Node<'a>]) -> Vec<Vec<&'v Part<'a>>> {
    let mut combinations: Vec<Vec<&Part<'a>>> = vec![Vec::new()];
    for node in nodes {
        let choices = match node {
            Node::Part(part) => vec![vec![&**part]],
            Node::Any(branches) => branches.iter().flat_map(|branch| combine(branch)).collect(),
        };
        let joined =
            combinations.iter().flat_map(|head| choices.iter().map(|tail| head.iter().chain(tail).copied().collect()));
        combinations = joined.take(ALTERNATIVES_MAX).collect();
    }
    combinations
}

fn node<'a>(condition: &'a Condition, schema: &Schema) -> Node<'a> {
    let part = match &condition.kind {
        ConditionKind::Any(branches) => {
            let branch = |branch: &'a Vec<Condition>| branch.iter().map(|condition| node(condition, schema)).collect();
            return Node::Any(branches.iter().map(branch).collect());
        }
        ConditionKind::Match { pattern, .. } => patterned(Role::Match, pattern, schema),
        ConditionKind::Not(pattern) => patterned(Role::Not, pattern, schema),
        ConditionKind::Exists(pattern) => patterned(Role::Exists, pattern, schema),
        ConditionKind::Forall { pattern, satisfies } => {
            Part { satisfies: parse(satisfies), ..patterned(Role::Forall, pattern, schema) }
        }
        ConditionKind::Accumulate { pattern, count, folds } => {
            let count = count.iter().map(|name| Given { name, kind: GivenKind::Count, of: None });
            let folds = folds.iter().map(|fold| {
                let kind = GivenKind::Fold(fold.kind);
                Given { name: &fold.name, kind, of: parse(&fold.of) }
            });
            Part { gives: count.chain(folds).collect(), ..patterned(Role::Accumulate, pattern, schema) }
        }
        ConditionKind::If(expression) => test(conjuncts(expression), Vec::new()),
        ConditionKind::Let(bindings) => {
            let given = |(name, of): &'a (Name, Expression)| Given { name, kind: GivenKind::Let, of: parse(of) };
            test(Vec::new(), bindings.iter().map(given).collect())
        }
    };
    Node::Part(Box::new(part))
}

fn patterned<'a>(role: Role, pattern: &'a file::Pattern, schema: &Schema) -> Part<'a> {
    Part {
        role,
        pattern: Some(pattern),
        template: schema.template(&pattern.template.text).unwrap_or(usize::MAX),
        conjuncts: pattern.filter.as_ref().map(conjuncts).unwrap_or_default(),
        satisfies: None,
        gives: Vec::new(),
    }
}

fn test(conjuncts: Vec<Conjunct>, gives: Vec<Given<'_>>) -> Part<'_> {
    Part { role: Role::Test, pattern: None, template: usize::MAX, conjuncts, satisfies: None, gives }
}

fn parse(expression: &Expression) -> Option<Expr> {
    let literal = |literal| Some(Expr::new(ExprKind::Literal(literal), Range::default()));
    match &expression.source {
        Source::Bool(value) => literal(Literal::Bool(*value)),
        Source::Int(value) => literal(Literal::Int(*value)),
        Source::Double(value) => literal(Literal::Double(*value)),
        Source::Cel(text) => cel::parse(text).ok(),
    }
}

fn conjuncts(expression: &Expression) -> Vec<Conjunct> {
    let Some(expr) = parse(expression) else { return Vec::new() };
    let mut parts = Vec::new();
    terms::split(&expr, &mut parts);
    let conjunct = |part: &Expr| match &expression.source {
        Source::Cel(text) => {
            let range = part.range.begin as usize..part.range.end as usize;
            let text = text.get(range).unwrap_or(text).to_owned();
            Conjunct { expr: part.clone(), span: span_of(expression, part.range), text }
        }
        Source::Bool(value) => Conjunct { expr: part.clone(), span: expression.span, text: value.to_string() },
        _ => Conjunct { expr: part.clone(), span: expression.span, text: String::new() },
    };
    parts.into_iter().map(conjunct).collect()
}

fn write<'a>(
    kind: WriteKind,
    name: &'a Name,
    fields: &'a [(Name, FieldValue)],
    template: Option<usize>,
    schema: &Schema,
) -> Option<Write<'a>> {
    let template = template?;
    let known = schema.templates.get(template)?;
    let fields =
        fields.iter().filter_map(|(name, value)| Some((known.field(&name.text)?, field_value(value)?))).collect();
    Some(Write { kind, name, template, fields })
}

fn field_value(value: &FieldValue) -> Option<Expr> {
    match value {
        FieldValue::One(expression) => parse(expression),
        FieldValue::List(items, _) => {
            let elements = items.iter().map(|item| Some((parse(item)?, false))).collect::<Option<_>>()?;
            Some(Expr::new(ExprKind::List(elements), Range::default()))
        }
    }
}

fn emitted(emit: &file::Emit, found: &mut Vec<Expr>) {
    found.extend(emit.subject.as_ref().and_then(parse));
    if let Some(data) = &emit.data {
        data_expressions(data, found);
    }
    let Some(message) = &emit.message else { return };
    let mut rest = message.text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        let behind = &rest[at + 1..];
        rest = behind;
        if let Some(doubled) = behind.strip_prefix(brace) {
            rest = doubled;
        } else if let Some(end) = hole_end(behind) {
            found.extend(cel::parse(&behind[..end]).ok());
            rest = &behind[end + 1..];
        }
    }
}

fn data_expressions(data: &DataValue, found: &mut Vec<Expr>) {
    match data {
        DataValue::Null => {}
        DataValue::One(expression) => found.extend(parse(expression)),
        DataValue::List(items) => items.iter().for_each(|item| data_expressions(item, found)),
        DataValue::Map(entries) => entries.iter().for_each(|(_, item)| data_expressions(item, found)),
    }
}

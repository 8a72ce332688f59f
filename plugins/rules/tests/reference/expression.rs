//! Evaluates the part of CEL that random programs use, by walking the tree. Independent of the compiler and its runtime.

use std::collections::HashMap;
use std::rc::Rc;

use rules_plugin::cel::parse;
use rules_plugin::cel::syntax::{Expr, ExprKind, Literal};
use rules_plugin::file::{Expression, Source};

use super::value::Value;

/// An expression that has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erred;

pub(crate) type Evaluated = Result<Value, Erred>;

/// A fact as conditions see it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) template: usize,
    pub(crate) values: Vec<Option<Value>>,
    pub(crate) key: Vec<Option<Value>>,
    /// 0 where it has none.
    pub(crate) stamp: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Bound {
    Fact(Rc<Known>),
    /// None: its `let` or aggregate erred.
    Value(Option<Value>),
}

/// What every expression of a rule set may use.
pub(crate) struct Globals {
    /// Fields of each template, by name.
    pub(crate) fields: Vec<HashMap<String, usize>>,
    pub(crate) params: HashMap<String, Value>,
}

/// Names bound so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    pub(crate) names: Vec<(String, Bound)>,
}

impl Env {
    pub(crate) fn find(&self, name: &str) -> Option<&Bound> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, bound)| bound)
    }

    pub(crate) fn push(&mut self, name: &str, bound: Bound) {
        self.names.push((name.to_owned(), bound));
    }

    fn has_erring(&self) -> bool {
        self.names.iter().any(|(_, bound)| matches!(bound, Bound::Value(None)))
    }

    /// Whether an expression needs a value that is missing because its condition erred.
    pub(crate) fn is_blocked(&self, expr: &Expr) -> bool {
        self.has_erring() && self.mentions_erring(expr)
    }

    fn mentions_erring(&self, expr: &Expr) -> bool {
        if let ExprKind::Ident(name) = &expr.kind {
            return matches!(self.find(name), Some(Bound::Value(None)));
        }
        let mut found = false;
        expr.each_child(&mut |child| found |= self.mentions_erring(child));
        found
    }
}

/// Expressions by their text, each parsed once.
#[derive(Default)]
pub(crate) struct Parsed(HashMap<String, Rc<Expr>>);

impl Parsed {
    pub(crate) fn of(&mut self, expression: &Expression) -> Rc<Expr> {
        match &expression.source {
            Source::Cel(text) => self.text(text),
            Source::Bool(value) => self.text(&value.to_string()),
            Source::Int(value) => self.text(&value.to_string()),
            Source::Double(value) => self.text(&format!("{value:?}")),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> Rc<Expr> {
        if let Some(known) = self.0.get(text) {
            return Rc::clone(known);
        }
        let parsed = Rc::new(parse(text).expect("the rule set was resolved"));
        self.0.insert(text.to_owned(), Rc::clone(&parsed));
        parsed
    }
}

impl Globals {
    pub(crate) fn eval(&self, expr: &Expr, env: &Env) -> Evaluated {
        match &expr.kind {
            ExprKind::Literal(literal) => Ok(match literal {
                Literal::Bool(value) => Value::Bool(*value),
                Literal::Int(value) => Value::Int(*value),
                Literal::Double(value) => Value::Double(*value),
                Literal::String(value) => Value::Text(value.as_str().into()),
                other => unreachable!("no program has {other:?}"),
            }),
            ExprKind::Ident(name) => match env.find(name) {
                Some(Bound::Value(value)) => value.clone().ok_or(Erred),
                Some(Bound::Fact(_)) => unreachable!("a fact is no value"),
                None => Ok(Value::Text(name.as_str().into())),
            },
            ExprKind::Select { operand, field, test } => self.select(operand, field, *test, env),
            ExprKind::List(elements) => {
                let values: Result<Rc<[Value]>, Erred> =
                    elements.iter().map(|(element, _)| self.eval(element, env)).collect();
                values.map(Value::List)
            }
            ExprKind::Call { target: None, function, args } => self.call(function, args, env),
            other => unreachable!("no program has {other:?}"),
        }
    }

    pub(crate) fn holds(&self, expr: &Expr, env: &Env) -> Result<bool, Erred> {
        self.eval(expr, env).map(|value| matches!(value, Value::Bool(true)))
    }

    fn select(&self, operand: &Expr, field: &str, is_test: bool, env: &Env) -> Evaluated {
        let ExprKind::Ident(name) = &operand.kind else { unreachable!("fields are of variables") };
        match env.find(name) {
            Some(Bound::Fact(fact)) => {
                let value = &fact.values[self.fields[fact.template][field]];
                if is_test { Ok(Value::Bool(value.is_some())) } else { value.clone().ok_or(Erred) }
            }
            _ => Ok(self.params[field].clone()),
        }
    }

    fn call(&self, function: &str, args: &[Expr], env: &Env) -> Evaluated {
        match function {
            "_&&_" => self.logic(args, env, false),
            "_||_" => self.logic(args, env, true),
            "_?_:_" => match self.eval(&args[0], env)? {
                Value::Bool(true) => self.eval(&args[1], env),
                _ => self.eval(&args[2], env),
            },
            _ => {
                let values: Result<Vec<Value>, Erred> = args.iter().map(|arg| self.eval(arg, env)).collect();
                apply(function, &values?)
            }
        }
    }

    /// `&&` and `||`: one side that decides is enough, whatever the others are.
    fn logic(&self, args: &[Expr], env: &Env, decides: bool) -> Evaluated {
        let values: Vec<Evaluated> = args.iter().map(|arg| self.eval(arg, env)).collect();
        if values.contains(&Ok(Value::Bool(decides))) {
            return Ok(Value::Bool(decides));
        }
        if values.contains(&Err(Erred)) { Err(Erred) } else { Ok(Value::Bool(!decides)) }
    }
}

fn apply(function: &str, values: &[Value]) -> Evaluated {
    use Value::{Bool, Double, Int, List, Text};
    Ok(match (function, values) {
        ("!_", [Bool(value)]) => Bool(!value),
        ("-_", [Int(value)]) => Int(value.checked_neg().ok_or(Erred)?),
        ("-_", [Double(value)]) => Double(-value),
        ("_==_", [left, right]) => Bool(equal(left, right)),
        ("_!=_", [left, right]) => Bool(!equal(left, right)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [left, right]) => Bool(ordered(function, left, right)),
        ("_+_", [Int(left), Int(right)]) => Int(left.checked_add(*right).ok_or(Erred)?),
        ("_-_", [Int(left), Int(right)]) => Int(left.checked_sub(*right).ok_or(Erred)?),
        ("_*_", [Int(left), Int(right)]) => Int(left.checked_mul(*right).ok_or(Erred)?),
        ("_/_", [Int(left), Int(right)]) => Int(left.checked_div(*right).ok_or(Erred)?),
        ("_%_", [Int(left), Int(right)]) => Int(left.checked_rem(*right).ok_or(Erred)?),
        ("_+_", [Double(left), Double(right)]) => Double(left + right),
        ("_-_", [Double(left), Double(right)]) => Double(left - right),
        ("_*_", [Double(left), Double(right)]) => Double(left * right),
        ("_/_", [Double(left), Double(right)]) => Double(left / right),
        ("_+_", [Text(left), Text(right)]) => Text(format!("{left}{right}").into()),
        ("_+_", [List(left), List(right)]) => List(left.iter().chain(right.iter()).cloned().collect()),
        ("@in", [value, List(list)]) => Bool(list.iter().any(|element| equal(element, value))),
        ("_[_]", [List(list), Int(place)]) => {
            usize::try_from(*place).ok().and_then(|place| list.get(place)).cloned().ok_or(Erred)?
        }
        ("size", [List(list)]) => Int(list.len() as i64),
        ("size", [Text(text)]) => Int(text.chars().count() as i64),
        ("string", [value]) => Text(value.text().into()),
        ("double", [Int(value)]) => Double(*value as f64),
        _ => unreachable!("no program has {function} of {values:?}"),
    })
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| equal(left, right))
        }
        _ => left == right,
    }
}

fn ordered(function: &str, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        _ => Some(left.cmp(right)),
    };
    order.is_some_and(|order| match function {
        "_<_" => order.is_lt(),
        "_<=_" => order.is_le(),
        "_>_" => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// The variables and fields that an expression names.
pub(crate) fn each_field(expr: &Expr, visit: &mut dyn FnMut(&str, &str)) {
    if let ExprKind::Select { operand, field, .. } = &expr.kind
        && let ExprKind::Ident(name) = &operand.kind
    {
        visit(name, field);
    }
    expr.each_child(&mut |child| each_field(child, visit));
}

/// The parts of an `&&`.
pub(crate) fn conjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match &expr.kind {
        ExprKind::Call { target: None, function, args } if function == "_&&_" => {
            args.iter().for_each(|part| conjuncts(part, parts));
        }
        _ => parts.push(expr),
    }
}

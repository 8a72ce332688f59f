//! Questions about parsed expressions: what they read, whether two are the same. Knows no types and no rule.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::cel::syntax::{Expr, ExprKind, Literal};

pub(super) use crate::model::{Comparison, comparison, split};

/// The free names of an expression, `false` where the macro of the expression binds them.
pub(super) fn each_name<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e str)) {
    walk(expr, &mut Vec::new(), &mut |expr| {
        if let ExprKind::Ident(name) = &expr.kind {
            visit(name.trim_start_matches('.'));
        }
    });
}

/// The fields of free names that an expression reads: `name.field`; names alone with an empty field.
pub(super) fn each_read<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e str, &'e str)) {
    walk(expr, &mut Vec::new(), &mut |expr| match &expr.kind {
        ExprKind::Ident(name) => visit(name.trim_start_matches('.'), ""),
        ExprKind::Select { operand, field, .. } => {
            if let ExprKind::Ident(name) = &operand.kind {
                visit(name.trim_start_matches('.'), field);
            }
        }
        _ => {}
    });
}

pub(super) fn reads_field(expr: &Expr, variable: &str, field: &str) -> bool {
    let mut found = false;
    each_read(expr, &mut |name, known| found |= name == variable && known == field);
    found
}

pub(super) fn reads_name(expr: &Expr, variable: &str) -> bool {
    let mut found = false;
    each_name(expr, &mut |name| found |= name == variable);
    found
}

fn walk<'e>(expr: &'e Expr, bound: &mut Vec<&'e str>, visit: &mut dyn FnMut(&'e Expr)) {
    match &expr.kind {
        ExprKind::Ident(name) => {
            if !bound.contains(&name.as_str()) {
                visit(expr);
            }
        }
        ExprKind::Select { operand, .. } => {
            let is_bound = matches!(&operand.kind, ExprKind::Ident(name) if bound.contains(&name.as_str()));
            if !is_bound {
                visit(expr);
            }
            walk(operand, bound, visit);
        }
        ExprKind::Comprehension(comprehension) => {
            walk(&comprehension.range, bound, visit);
            let before = bound.len();
            bound.push(&comprehension.variable);
            bound.extend(comprehension.second.as_deref());
            comprehension.filter.iter().for_each(|filter| walk(filter, bound, visit));
            walk(&comprehension.body, bound, visit);
            bound.truncate(before);
        }
        ExprKind::Bind(bind) => {
            walk(&bind.value, bound, visit);
            bound.push(&bind.variable);
            walk(&bind.body, bound, visit);
            bound.pop();
        }
        _ => {
            visit(expr);
            expr.each_child(&mut |child| walk(child, bound, visit));
        }
    }
}

/// The value of a literal, signs included.
pub(super) fn literal(expr: &Expr) -> Option<Literal> {
    match &expr.kind {
        ExprKind::Literal(Literal::Null) => None,
        ExprKind::Literal(literal) => Some(literal.clone()),
        ExprKind::Call { target: None, function, args } if function == "-_" => match literal(args.first()?)? {
            Literal::Int(value) => value.checked_neg().map(Literal::Int),
            Literal::Double(value) => Some(Literal::Double(-value)),
            _ => None,
        },
        _ => None,
    }
}

/// Equal trees, wherever they stand; never those with macros.
pub(super) fn same(left: &Expr, right: &Expr) -> bool {
    match (&left.kind, &right.kind) {
        (ExprKind::Literal(left), ExprKind::Literal(right)) => left == right,
        (ExprKind::Ident(left), ExprKind::Ident(right)) => left == right,
        (
            ExprKind::Select { operand: left, field: left_field, test: left_test },
            ExprKind::Select { operand: right, field: right_field, test: right_test },
        ) => left_field == right_field && left_test == right_test && same(left, right),
        (
            ExprKind::Call { target: left_target, function: left_function, args: left_args },
            ExprKind::Call { target: right_target, function: right_function, args: right_args },
        ) => {
            let same_target = match (left_target, right_target) {
                (Some(left), Some(right)) => same(left, right),
                (None, None) => true,
                _ => false,
            };
            let same_args = left_args.iter().zip(right_args).all(|(left, right)| same(left, right));
            same_target && left_function == right_function && left_args.len() == right_args.len() && same_args
        }
        _ => false,
    }
}

/// The expression with values of `let` in place of their names.
pub(super) fn expand(expr: &Expr, lets: &HashMap<&str, Expr>) -> Expr {
    let again = |expr: &Expr| expand(expr, lets);
    let kind = match &expr.kind {
        ExprKind::Ident(name) => match lets.get(name.as_str()) {
            Some(value) => return value.clone(),
            None => return expr.clone(),
        },
        ExprKind::Select { operand, field, test } => {
            ExprKind::Select { operand: Box::new(again(operand)), field: field.clone(), test: *test }
        }
        ExprKind::Call { target, function, args } => ExprKind::Call {
            target: target.as_ref().map(|target| Box::new(again(target))),
            function: function.clone(),
            args: args.iter().map(again).collect(),
        },
        _ => return expr.clone(),
    };
    Expr::new(kind, expr.range)
}

/// `left in right`.
pub(super) fn membership(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match &expr.kind {
        ExprKind::Call { target: None, function, args } if function == "@in" => Some((args.first()?, args.get(1)?)),
        _ => None,
    }
}

/// `!inner`.
pub(super) fn negation(expr: &Expr) -> Option<&Expr> {
    match &expr.kind {
        ExprKind::Call { target: None, function, args } if function == "!_" => args.first(),
        _ => None,
    }
}

/// The order of two literals of one kind; numbers compare by value.
pub(super) fn order(left: &Literal, right: &Literal) -> Option<Ordering> {
    match (left, right) {
        (Literal::Bool(left), Literal::Bool(right)) => Some(left.cmp(right)),
        (Literal::Int(left), Literal::Int(right)) => Some(left.cmp(right)),
        (Literal::Uint(left), Literal::Uint(right)) => Some(left.cmp(right)),
        (Literal::Double(left), Literal::Double(right)) => left.partial_cmp(right),
        (Literal::Int(left), Literal::Double(right)) => (*left as f64).partial_cmp(right),
        (Literal::Double(left), Literal::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Literal::String(left), Literal::String(right)) => Some(left.cmp(right)),
        (Literal::Bytes(left), Literal::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether evaluating again and again can give ever new values: anything but copies, constants and conversions.
pub(super) fn grows(expr: &Expr) -> bool {
    const CONVERSIONS: [&str; 7] = ["string", "int", "double", "bytes", "timestamp", "duration", "uint"];
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => false,
        ExprKind::Select { operand, .. } => grows(operand),
        ExprKind::Call { target: None, function, args } => {
            let is_bounded = literal(expr).is_some()
                || CONVERSIONS.contains(&function.as_str())
                || matches!(function.as_str(), "_?_:_" | "_[_]" | "_%_")
                || is_truth(function);
            !is_bounded || !is_truth(function) && args.iter().any(grows)
        }
        ExprKind::List(elements) => elements.iter().any(|(element, _)| grows(element)),
        _ => true,
    }
}

fn is_truth(function: &str) -> bool {
    matches!(function, "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "!_" | "_&&_" | "_||_" | "@in")
}

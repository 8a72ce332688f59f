//! Which calls are macros, and what they become. Knows shapes of arguments, not types.

use super::SyntaxError;
use super::syntax::{Bind, BindKind, Comprehension, Expr, ExprKind, Gather, Range};

type Expanded = Result<ExprKind, SyntaxError>;

/// `function(args)`.
pub(super) fn expand_global(function: &str, mut args: Vec<Expr>, range: Range) -> Expanded {
    if function.trim_start_matches('.') != "has" || args.len() != 1 {
        return Ok(ExprKind::Call { target: None, function: function.to_owned(), args });
    }
    match args.pop().map(|arg| arg.kind) {
        Some(ExprKind::Select { operand, field, .. }) => Ok(ExprKind::Select { operand, field, test: true }),
        _ => Err(SyntaxError { message: "`has` takes a field: `has(value.field)`".into(), range }),
    }
}

/// `target.function(args)`.
pub(super) fn expand_member(target: Expr, function: &str, args: Vec<Expr>, range: Range) -> Expanded {
    let is_cel = matches!(&target.kind, ExprKind::Ident(name) if name == "cel");
    match (function, args.len()) {
        ("bind", 3) if is_cel => bind(args, range),
        ("optMap", 2) => optional(target, args, BindKind::OptMap, range),
        ("optFlatMap", 2) => optional(target, args, BindKind::OptFlatMap, range),
        _ => match shape(function, args.len()) {
            Some(shape) => comprehension(target, shape, args, range),
            None => {
                let target = Some(Box::new(target));
                Ok(ExprKind::Call { target, function: function.to_owned(), args })
            }
        },
    }
}

struct Shape {
    gather: Gather,
    variables: usize,
    filtered: bool,
    /// `filter`: the element itself is what is gathered.
    itself: bool,
}

fn shape(function: &str, args: usize) -> Option<Shape> {
    let (gather, variables, filtered, itself) = match (function, args) {
        ("all", 2 | 3) => (Gather::All, args - 1, false, false),
        ("exists", 2 | 3) => (Gather::Exists, args - 1, false, false),
        ("exists_one" | "existsOne", 2 | 3) => (Gather::ExistsOne, args - 1, false, false),
        ("map", 2 | 3) => (Gather::List, 1, args == 3, false),
        ("filter", 2) => (Gather::List, 1, true, true),
        ("transformList", 3 | 4) => (Gather::List, 2, args == 4, false),
        ("transformMap", 3 | 4) => (Gather::Map, 2, args == 4, false),
        ("transformMapEntry", 3 | 4) => (Gather::MapEntries, 2, args == 4, false),
        _ => return None,
    };
    Some(Shape { gather, variables, filtered, itself })
}

fn comprehension(range_expr: Expr, shape: Shape, args: Vec<Expr>, range: Range) -> Expanded {
    let mut args = args.into_iter();
    let mut variable = || args.next().map_or(Err(missing(range)), |arg| name(&arg));
    let first = variable()?;
    let second = if shape.variables == 2 { Some(variable()?) } else { None };
    if second.as_ref() == Some(&first) {
        return Err(SyntaxError { message: format!("`{first}` is the name of two variables"), range });
    }
    let filter = if shape.filtered { args.next() } else { None };
    let body = if shape.itself {
        Expr::new(ExprKind::Ident(first.clone()), range)
    } else {
        args.next().ok_or(missing(range))?
    };
    let gather = shape.gather;
    let made = Comprehension { gather, range: range_expr, variable: first, second, filter, body };
    Ok(ExprKind::Comprehension(Box::new(made)))
}

fn bind(args: Vec<Expr>, range: Range) -> Expanded {
    let mut args = args.into_iter();
    let (Some(variable), Some(value), Some(body)) = (args.next(), args.next(), args.next()) else {
        return Err(missing(range));
    };
    let bind = Bind { variable: name(&variable)?, value, body, kind: BindKind::Plain };
    Ok(ExprKind::Bind(Box::new(bind)))
}

fn optional(value: Expr, args: Vec<Expr>, kind: BindKind, range: Range) -> Expanded {
    let mut args = args.into_iter();
    let (Some(variable), Some(body)) = (args.next(), args.next()) else { return Err(missing(range)) };
    Ok(ExprKind::Bind(Box::new(Bind { variable: name(&variable)?, value, body, kind })))
}

fn name(expr: &Expr) -> Result<String, SyntaxError> {
    match &expr.kind {
        ExprKind::Ident(name) if !name.starts_with('.') => Ok(name.clone()),
        _ => Err(SyntaxError { message: "a macro's variable is a plain name".into(), range: expr.range }),
    }
}

fn missing(range: Range) -> SyntaxError {
    SyntaxError { message: "the macro lacks arguments".into(), range }
}

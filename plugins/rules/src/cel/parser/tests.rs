//! Precedence, literals, bounds, and where errors point to.

use super::parse;
use crate::cel::syntax::{Expr, ExprKind, Literal};

/// The tree with every operator in prefix form.
fn tree(expr: &Expr) -> String {
    let all = |exprs: &[Expr]| exprs.iter().map(tree).collect::<Vec<_>>().join(" ");
    match &expr.kind {
        ExprKind::Literal(Literal::Int(int)) => int.to_string(),
        ExprKind::Literal(literal) => format!("{literal:?}"),
        ExprKind::Ident(name) => name.clone(),
        ExprKind::Select { operand, field, test } => {
            format!("({}.{field}{})", tree(operand), if *test { "?" } else { "" })
        }
        ExprKind::Call { target: None, function, args } => format!("({function} {})", all(args)),
        ExprKind::Call { target: Some(target), function, args } => {
            format!("({}.{function} {})", tree(target), all(args))
        }
        ExprKind::List(elements) => {
            format!("[{}]", elements.iter().map(|(e, _)| tree(e)).collect::<Vec<_>>().join(" "))
        }
        ExprKind::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value, _)| format!("{}: {}", tree(key), tree(value))).collect();
            format!("{{{}}}", entries.join(" "))
        }
        ExprKind::Comprehension(it) => {
            format!("({:?} {} {} {})", it.gather, tree(&it.range), it.variable, tree(&it.body))
        }
        ExprKind::Bind(bind) => format!("(bind {} {} {})", bind.variable, tree(&bind.value), tree(&bind.body)),
    }
}

fn check(text: &str, expected: &str) {
    match parse(text) {
        Ok(expr) => assert_eq!(tree(&expr), expected, "{text}"),
        Err(error) => {
            assert_eq!(format!("{}..{} {}", error.range.begin, error.range.end, error.message), expected, "{text}")
        }
    }
}

#[test]
fn operators_bind_as_the_table_says() {
    check("1 + 2 * 3 - 4", "(_-_ (_+_ 1 (_*_ 2 3)) 4)");
    check("a || b && c == d + 1", "(_||_ a (_&&_ b (_==_ c (_+_ d 1))))");
    check("a ? b : c ? d : e", "(_?_:_ a b (_?_:_ c d e))");
    check("!a.b[0] in c", "(@in (!_ (_[_] (a.b) 0)) c)");
    check("1 < 2 == true", "(_==_ (_<_ 1 2) Bool(true))");
}

#[test]
fn a_minus_before_a_number_belongs_to_it() {
    check("-9223372036854775808", "-9223372036854775808");
    check("9223372036854775808", "0..19 an integer too large for int");
    check("--1", "(-_ -1)");
    check("a - 1", "(_-_ a 1)");
    check("-a", "(-_ a)");
}

#[test]
fn members_chain() {
    check("a.b(c).d[e].?f", "(_?._ (_[_] ((a.b c).d) e) String(\"f\"))");
    check("a.`b-c`.package()", "((a.b-c).package )");
    check(".a.b", "(.a.b)");
}

#[test]
fn macros_are_expanded() {
    check("has(a.b)", "(a.b?)");
    check("xs.map(x, x > 1, x * 2)", "(List xs x (_*_ x 2))");
    check("xs.filter(x, x > 1)", "(List xs x x)");
    check("cel.bind(x, 1, x + x)", "(bind x 1 (_+_ x x))");
    check("has(a)", "0..6 `has` takes a field: `has(value.field)`");
    check("xs.all(1, true)", "7..8 a macro's variable is a plain name");
    check("xs.all(x, x, true)", "0..18 `x` is the name of two variables");
}

#[test]
fn errors_point_to_their_place() {
    check("a +", "3..3 expected an expression");
    check("a b", "2..3 expected the end, or an operator, found `b`");
    check("f(1, ", "5..5 expected an expression");
    check("'ab", "0..3 a string without an end");
    check(r"'a\qb'", r"2..3 no such escape: `\q`");
    check("'a\nb'", "0..5 a line break in a string; use `\\n`, or three quotes");
    check("if", "0..2 `if` is a reserved word");
    check("1x", "0..2 a number runs into a name");
    check("a # b", "2..3 `#` is not part of the language");
    check("M{f: 1}", "1..2 messages are not part of the language here");
}

#[test]
fn deep_nesting_is_an_error_and_long_chains_are_not() {
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    assert!(parse(&nested(100)).is_ok());
    for count in [200, 10_000] {
        check(&nested(count), "128..129 the expression nests more than 128 levels");
    }
    assert!(parse(&"[".repeat(30_000)).is_err());
    assert!(parse(&"!".repeat(30_000)).is_err());
    assert!(parse(&format!("a{}", ".b".repeat(30_000))).is_err());
    assert!(parse(&format!("1{}", " + 1".repeat(10_000))).is_err());
    assert!(parse(&format!("a{}", " && a".repeat(10_000))).is_ok());
    assert!(parse(&format!("[1{}]", ", 1".repeat(10_000))).is_ok());
    assert!(parse(&" ".repeat(70_000)).is_err());
    assert!(parse(&format!("a{}", " == a".repeat(100))).is_ok());
    assert!(parse(&format!("{}1", "a ? b : ".repeat(100))).is_ok());
}

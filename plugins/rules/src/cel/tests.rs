//! What the tests of all rooms share, and expressions made at random: nothing panics, and both modes agree.

use proptest::prelude::*;

use super::*;
use crate::heap::{Heap, Meter};
use crate::value::Value;

/// Two facts, `a` and `b`, a few values, and enum symbols.
pub(super) struct Facts {
    pub(super) heap: Heap,
    fields: [Option<Value>; 6],
    values: [Value; 3],
}

const FIELDS: [&str; 6] = ["score", "count", "name", "color", "box", "seen"];
const VALUES: [&str; 3] = ["x", "params.limit", "flag"];

impl Facts {
    pub(super) fn new() -> Self {
        let mut heap = Heap::new(Default::default(), Meter::new(100_000, || false), 1 << 24);
        let numbers = [0.0, 0.0, 2.0, 2.0].map(Value::Double);
        let fields = [
            Some(Value::Double(0.5)),
            Some(Value::Int(3)),
            Some(Value::String(heap.texts.intern(b"person"))),
            Some(Value::String(heap.texts.intern(b"red"))),
            Some(Value::List(heap.new_list(&numbers))),
            None,
        ];
        let values = [Value::Int(7), Value::Double(0.25), Value::Bool(true)];
        Self { heap, fields, values }
    }
}

fn field_type(field: usize) -> Type {
    match field {
        0 => Type::Double,
        1 => Type::Int,
        2 => Type::String,
        3 => Type::Enum,
        4 => Type::list(Type::Double),
        _ => Type::Timestamp,
    }
}

/// The scope and frame of `Facts`, apart from its heap.
pub(super) struct Row([Option<Value>; 6], [Value; 3]);

impl Scope for Row {
    fn variable(&self, name: &str) -> Option<Variable> {
        match name {
            "a" => Some(Variable::Fact { slot: 0, template: 0 }),
            "b" => Some(Variable::Fact { slot: 1, template: 0 }),
            "red" => Some(Variable::Constant { value: syntax::Literal::String("red".into()), ty: Type::Enum }),
            _ => {
                let slot = VALUES.iter().position(|value| *value == name)?;
                let ty = [Type::Int, Type::Double, Type::Bool][slot].clone();
                Some(Variable::Value { slot: slot as u16, ty })
            }
        }
    }

    fn field(&self, _: u32, field: &str) -> Option<FieldInfo> {
        let place = FIELDS.iter().position(|name| *name == field)?;
        Some(FieldInfo { place: place as u16, ty: field_type(place), optional: place == 5 })
    }
}

impl Frame for Row {
    fn value(&self, slot: u16) -> Value {
        self.1[usize::from(slot)]
    }

    fn field(&self, _: u16, field: u16) -> Option<Value> {
        self.0[usize::from(field)]
    }
}

impl Facts {
    pub(super) fn row(&self) -> Row {
        Row(self.fields, self.values)
    }
}

/// What an expression gives: its value as text, or what is wrong with it.
pub(super) fn outcome(text: &str) -> String {
    let mut facts = Facts::new();
    let row = facts.row();
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(error) => return format!("syntax: {}", error.message),
    };
    let program = match compile(&expr, &row, &mut facts.heap.texts) {
        Ok(program) => program,
        Err(errors) => return format!("check: {}", errors[0].message),
    };
    match program.eval(&row, &mut facts.heap) {
        Ok(value) => {
            let mut out = String::new();
            write_text(value, &facts.heap, &mut out);
            out
        }
        Err(error) => format!("error: {error}"),
    }
}

pub(super) fn check(text: &str, expected: &str) {
    assert_eq!(outcome(text), expected, "{text}");
}

/// In dynamic mode, without variables.
pub(super) fn check_dynamic(text: &str, expected: &str) {
    let mut heap = Heap::default();
    let program = compile_dynamic(&parse(text).unwrap(), &|_| None, &mut heap.texts).unwrap();
    let mut out = String::new();
    match program.eval(&Facts::new().row(), &mut heap) {
        Ok(value) => write_text(value, &heap, &mut out),
        Err(error) => out = format!("error: {error}"),
    }
    assert_eq!(out, expected, "{text}");
}

/// Words that make an expression now and then.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "1",
        "2u",
        "0.5",
        "'a'",
        "b'x'",
        "true",
        "null",
        "x",
        "a.score",
        "b.count",
        "a.name",
        "a.seen",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "?",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "in",
        ".size()",
        ".all(i, ",
        ".map(i, ",
        ".filter(i, ",
        "i",
        "has(a.seen)",
        "a.?seen",
        "optional.of(",
        ".orValue(",
        "string(",
        "int(",
        "duration('1h')",
        "math.greatest(",
        ".split('')",
        ".format([",
        "[0]",
        "[?0]",
        "type(",
        ".matches('a*')",
        "cel.bind(i, ",
        ".exists(i, ",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 1..14).prop_map(|words| words.join(" "))
}

/// Expressions that always parse.
fn expression() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "1",
        "0",
        "-3",
        "2u",
        "0.5",
        "'a'",
        "'bb'",
        "true",
        "false",
        "null",
        "[1, 2]",
        "{'k': 1}",
        "b'z'",
        "duration('90s')",
        "timestamp(5)",
        "optional.of(1)",
        "optional.none()",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let operators = vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", "&&", "||", "in"];
        prop_oneof![
            (inner.clone(), proptest::sample::select(operators), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}].map(i, {b} == i)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}].exists(i, i && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("cel.bind(v, {a}, [v, {b}, v])")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("size({a})")),
            inner.clone().prop_map(|a| format!("{{'a': {a}}}.a")),
            inner.prop_map(|a| format!("dyn({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_value_or_an_error(text in soup()) {
        outcome(&text);
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(text in "\\PC{0,40}") {
        outcome(&text);
    }

    #[test]
    fn checked_and_dynamic_mode_agree(text in expression()) {
        let checked = outcome(&text);
        if !checked.starts_with("check: ") {
            let mut heap = Heap::default();
            let program = compile_dynamic(&parse(&text).unwrap(), &|_| None, &mut heap.texts).unwrap();
            let found = program.eval(&Facts::new().row(), &mut heap);
            prop_assert_eq!(found.is_err(), checked.starts_with("error: "), "{}: {:?}, {}", text, found, checked);
            if let Ok(value) = found {
                let mut out = String::new();
                write_text(value, &heap, &mut out);
                prop_assert_eq!(out, checked);
            }
        }
    }
}

//! Any text as an expression, and any bytes as the choices that make one: it is refused, or both modes agree on it.
//!
//! An input that begins with a control character is choices, any other is text.

use rules_plugin::cel::{self, EvalError, FieldInfo, Frame, Program, Scope, Type, Variable, write_text};
use rules_plugin::heap::{Heap, Meter, Texts};
use rules_plugin::value::Value;

use super::expression;

const WORK_MAX: u64 = 20_000;
const HEAP_BYTES_MAX: usize = 16 << 20;

pub(super) fn run(input: &[u8]) {
    match input.split_first() {
        Some((0..=8, choices)) => evaluate(&expression::written(choices)),
        _ => {
            if let Ok(text) = std::str::from_utf8(input) {
                evaluate(text);
            }
        }
    }
}

fn evaluate(text: &str) {
    let expr = match cel::parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.range.begin <= error.range.end, "{error:?}");
            return;
        }
    };
    let names = |name: &str| VARIABLES.iter().position(|(known, _)| *known == name).map(|place| place as u16);
    let (dynamic, _) = outcome(text, |texts| cel::compile_dynamic(&expr, &names, texts).ok());
    let (checked, ty) = outcome(text, |texts| match cel::compile(&expr, &Variables, texts) {
        Ok(program) => Some(program),
        Err(errors) => {
            assert!(!errors.is_empty());
            errors.iter().for_each(|error| assert!(error.range.end as usize <= text.len(), "{error:?} in `{text}`"));
            None
        }
    });
    // Fields of facts are for the checked mode only.
    if let (Some(dynamic), Some(checked), false) = (dynamic, checked, text.contains("f.") || text.contains("f?")) {
        assert_eq!(dynamic, checked, "the modes differ on `{text}`, of type {ty:?}");
    }
}

/// What comes of an expression: its value as text or that it fails; nothing where it is refused or reaches a limit.
fn outcome(text: &str, compile: impl FnOnce(&mut Texts) -> Option<Program>) -> (Option<String>, Option<Type>) {
    let mut heap = Heap::new(Texts::default(), Meter::new(WORK_MAX, super::in_time), HEAP_BYTES_MAX);
    let Some(program) = compile(&mut heap.texts) else { return (None, None) };
    check_stored(&program, &heap.texts, text);
    let frame = Values::new(&mut heap);
    let ty = program.ty().clone();
    let shown = match program.eval(&frame, &mut heap) {
        Ok(value) => {
            let mut message = String::new();
            write_text(value, &heap, &mut message);
            assert!(is_of(value, &ty, &heap), "`{text}` is {}, not of type {ty}", shown(value, &heap));
            Some(shown(value, &heap))
        }
        Err(EvalError::Failed(failure)) => {
            let range = program.range_of(failure);
            assert!(range.begin <= range.end && range.end as usize <= text.len(), "{range:?} in `{text}`");
            Some("failed".to_owned())
        }
        Err(EvalError::Stopped(_)) => None,
    };
    (shown, Some(ty))
}

/// A program comes back from where it was stored as it was.
fn check_stored(program: &Program, texts: &Texts, text: &str) {
    let mut bytes = Vec::new();
    program.encode(&mut bytes);
    let mut rest = bytes.as_slice();
    let read = Program::decode(&mut rest, texts).unwrap_or_else(|error| panic!("{error:?} of `{text}`"));
    assert!(rest.is_empty());
    let mut again = Vec::new();
    read.encode(&mut again);
    assert!(again == bytes, "a stored program changes as it is read");
    assert_eq!(read.reads(), program.reads());
}

fn shown(value: Value, heap: &Heap) -> String {
    let all = |values: &[Value]| values.iter().map(|&value| shown(value, heap)).collect::<Vec<_>>();
    match value {
        Value::String(text) => format!("{:?}", heap.text(text)),
        Value::Bytes(text) => format!("b{:?}", heap.texts.get(text)),
        Value::Type(text) => format!("type {}", heap.text(text)),
        Value::List(list) => format!("[{}]", all(heap.list(list)).join(", ")),
        Value::Map(map) => {
            let mut entries: Vec<String> = heap.map(map).chunks(2).map(|entry| all(entry).join(": ")).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Some(place) => format!("some {}", shown(heap.some(place), heap)),
        other => format!("{other:?}"),
    }
}

/// A value is what its static type says.
fn is_of(value: Value, ty: &Type, heap: &Heap) -> bool {
    match (value, ty) {
        (_, Type::Dyn | Type::Open(_)) => true,
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Type::Number) => true,
        (Value::Null, Type::Null | Type::Timestamp | Type::Duration) => true,
        (Value::Bool(_), Type::Bool) | (Value::Int(_), Type::Int) | (Value::Uint(_), Type::Uint) => true,
        (Value::Double(_), Type::Double) | (Value::String(_), Type::String | Type::Enum) => true,
        (Value::Bytes(_), Type::Bytes) | (Value::Type(_), Type::Type) => true,
        (Value::Timestamp { .. }, Type::Timestamp) | (Value::Duration { .. }, Type::Duration) => true,
        (Value::None, Type::Optional(_)) => true,
        (Value::Some(place), Type::Optional(inner)) => is_of(heap.some(place), inner, heap),
        (Value::List(list), Type::List(element)) => heap.list(list).iter().all(|&value| is_of(value, element, heap)),
        (Value::Map(map), Type::Map(key, value)) => {
            heap.map(map).chunks(2).all(|entry| is_of(entry[0], key, heap) && is_of(entry[1], value, heap))
        }
        _ => false,
    }
}

type Named = (&'static str, fn() -> Type);

/// Names, with what makes their types; slots are their places. `f` is a fact.
const VARIABLES: [Named; 10] = [
    ("i", || Type::Int),
    ("u", || Type::Uint),
    ("d", || Type::Double),
    ("s", || Type::String),
    ("b", || Type::Bytes),
    ("t", || Type::Bool),
    ("at", || Type::Timestamp),
    ("span", || Type::Duration),
    ("l", || Type::list(Type::Int)),
    ("x", || Type::Dyn),
];
const FACT_SLOT: u16 = VARIABLES.len() as u16;
/// Fields of the fact, which is of template 0; the last may be missing.
const FIELDS: [Named; 5] = [
    ("n", || Type::Int),
    ("size", || Type::Double),
    ("kind", || Type::String),
    ("tags", || Type::list(Type::String)),
    ("rest", || Type::Int),
];

struct Variables;

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Variable> {
        if name == "f" {
            return Some(Variable::Fact { slot: FACT_SLOT, template: 0 });
        }
        let slot = VARIABLES.iter().position(|(known, _)| *known == name)?;
        Some(Variable::Value { slot: slot as u16, ty: VARIABLES[slot].1() })
    }

    fn field(&self, _: u32, field: &str) -> Option<FieldInfo> {
        let place = FIELDS.iter().position(|(known, _)| *known == field)?;
        Some(FieldInfo { place: place as u16, ty: FIELDS[place].1(), optional: place + 1 == FIELDS.len() })
    }
}

struct Values {
    variables: Vec<Value>,
    fields: Vec<Value>,
}

impl Values {
    fn new(heap: &mut Heap) -> Self {
        let text = heap.texts.intern("aß c".as_bytes());
        let list = heap.new_list(&[Value::Int(1), Value::Int(-2), Value::Int(3)]);
        let tags = heap.new_list(&[Value::String(text), Value::String(text)]);
        Self {
            variables: vec![
                Value::Int(-7),
                Value::Uint(7),
                Value::Double(2.5),
                Value::String(text),
                Value::Bytes(text),
                Value::Bool(true),
                Value::Timestamp { seconds: 1_700_000_000, nanos: 5 },
                Value::Duration { seconds: 90, nanos: 1 },
                Value::List(list),
                Value::Int(4),
            ],
            fields: vec![Value::Int(3), Value::Double(0.5), Value::String(text), Value::List(tags)],
        }
    }
}

impl Frame for Values {
    fn value(&self, slot: u16) -> Value {
        self.variables[usize::from(slot)]
    }

    fn field(&self, _: u16, field: u16) -> Option<Value> {
        self.fields.get(usize::from(field)).copied()
    }
}

//! The official CEL conformance cases, in dynamic mode and, where a case is one for the checker, in checked mode too.

#![expect(clippy::unwrap_used, reason = "a case that cannot be read is a failed test")]

use std::collections::BTreeMap;

use rules_plugin::cel::{self, FieldInfo, Frame, Program, Scope, Type, Variable};
use rules_plugin::heap::{Heap, Texts};
use rules_plugin::value::Value;
use serde_json::{Value as Json, json};

/// Protobuf-free cases of `tests/simple/testdata`, one JSON object a line.
const CASES: &str = include_str!("../../../tests/fixtures/cel/cel-spec-simple.jsonl");

/// Extension libraries that are not part of the language here.
const OTHER_EXTENSIONS: [&str; 2] = ["block_ext", "network_ext"];

/// Extension libraries that are: fewer of their cases must pass.
const EXTENSIONS: [&str; 4] = ["string_ext", "math_ext", "encoders_ext", "bindings_ext"];

struct Bindings(BTreeMap<String, (u16, Value, Type)>);

impl Bindings {
    fn new(bindings: &Json, heap: &mut Heap) -> Self {
        let entries = bindings.as_object().unwrap().iter().zip(0..);
        Self(entries.map(|((name, json), slot)| (name.clone(), bind(slot, json, heap))).collect())
    }
}

fn bind(slot: u16, json: &Json, heap: &mut Heap) -> (u16, Value, Type) {
    let (kind, content) = json.as_object().unwrap().iter().next().unwrap();
    let (value, ty) = match kind.as_str() {
        "null" => (Value::Null, Type::Null),
        "bool" => (Value::Bool(content.as_bool().unwrap()), Type::Bool),
        "int" => (Value::Int(content.as_i64().unwrap()), Type::Int),
        "uint" => (Value::Uint(content.as_u64().unwrap()), Type::Uint),
        "double" => (Value::Double(content.as_f64().unwrap()), Type::Double),
        "string" => (Value::String(heap.texts.intern(content.as_str().unwrap().as_bytes())), Type::String),
        other => panic!("a binding of type `{other}`"),
    };
    (slot, value, ty)
}

impl Frame for Bindings {
    fn value(&self, slot: u16) -> Value {
        self.0.values().find(|(place, ..)| *place == slot).unwrap().1
    }

    fn field(&self, _: u16, _: u16) -> Option<Value> {
        None
    }
}

impl Scope for Bindings {
    fn variable(&self, name: &str) -> Option<Variable> {
        let (slot, _, ty) = self.0.get(name)?;
        Some(Variable::Value { slot: *slot, ty: ty.clone() })
    }

    fn field(&self, _: u32, _: &str) -> Option<FieldInfo> {
        None
    }
}

/// A value as the cases write it.
fn shown(value: Value, heap: &Heap) -> Json {
    let list = |values: &[Value]| values.iter().map(|&value| shown(value, heap)).collect::<Vec<_>>();
    match value {
        Value::Null => json!({"null": null}),
        Value::Bool(bool) => json!({"bool": bool}),
        Value::Int(int) => json!({"int": int}),
        Value::Uint(uint) => json!({"uint": uint}),
        // By the reader that read the cases, which rounds in its own way.
        Value::Double(double) if double.is_finite() => {
            json!({"double": serde_json::from_str::<Json>(&format!("{double:?}")).unwrap()})
        }
        Value::Double(double) => json!({"double": double.to_string()}),
        Value::String(text) => json!({"string": heap.text(text)}),
        Value::Bytes(bytes) => {
            let hex: String = heap.texts.get(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"bytes": hex})
        }
        Value::List(values) => json!({"list": list(heap.list(values))}),
        Value::Map(map) => json!({"map": heap.map(map).chunks(2).map(list).collect::<Vec<_>>()}),
        other => json!({"other": format!("{other:?}")}),
    }
}

/// Entries of maps come in any order.
fn agrees(found: &Json, wanted: &Json) -> bool {
    match (&found["map"], &wanted["map"]) {
        (Json::Array(found), Json::Array(wanted)) => {
            let has =
                |entry: &Json| found.iter().any(|other| agrees(&other[0], &entry[0]) && agrees(&other[1], &entry[1]));
            found.len() == wanted.len() && wanted.iter().all(has)
        }
        _ => match (&found["list"], &wanted["list"]) {
            (Json::Array(found), Json::Array(wanted)) => {
                found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| agrees(found, wanted))
            }
            _ => match (found["double"].as_f64(), wanted["double"].as_f64()) {
                (Some(found), Some(wanted)) => found.to_bits() == wanted.to_bits(),
                _ => found == wanted,
            },
        },
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Dynamic,
    Checked,
}

/// Why a case fails, or whether it was checked.
fn run(case: &Json, mode: Mode) -> Result<bool, String> {
    let mut heap = Heap::default();
    let bindings = Bindings::new(&case["bindings"], &mut heap);
    let found = evaluate(case["expr"].as_str().unwrap(), &bindings, &mut heap, mode)?;
    let Some(found) = found else { return Ok(false) };
    match (found, case.get("value")) {
        (Ok(found), Some(wanted)) if agrees(&shown(found, &heap), wanted) => Ok(true),
        (Ok(found), wanted) => {
            Err(format!("gives {}, not {}", shown(found, &heap), wanted.unwrap_or(&json!("an error"))))
        }
        (Err(_), None) => Ok(true),
        (Err(error), Some(wanted)) => Err(format!("fails with `{error}`, should give {wanted}")),
    }
}

/// `None`: the checker refuses it.
fn evaluate(
    text: &str,
    bindings: &Bindings,
    heap: &mut Heap,
    mode: Mode,
) -> Result<Option<Result<Value, String>>, String> {
    let expr = match cel::parse(text) {
        Ok(expr) => expr,
        Err(error) => return Ok(Some(Err(error.message))),
    };
    let names = |name: &str| bindings.0.get(name).map(|(slot, ..)| *slot);
    let program = match mode {
        Mode::Dynamic => cel::compile_dynamic(&expr, &names, &mut heap.texts),
        Mode::Checked => cel::compile(&expr, bindings, &mut heap.texts),
    };
    let program = match program {
        Ok(program) => stored(&program, &heap.texts),
        Err(errors) if mode == Mode::Dynamic => return Err(format!("does not compile: {}", errors[0].message)),
        Err(_) => return Ok(None),
    };
    Ok(Some(program.eval(bindings, heap).map_err(|error| error.to_string())))
}

/// A program as it comes back from where it was stored.
fn stored(program: &Program, texts: &Texts) -> Program {
    let mut bytes = Vec::new();
    program.encode(&mut bytes);
    Program::decode(&mut bytes.as_slice(), texts).unwrap()
}

#[derive(Default)]
struct Tally {
    total: u32,
    passed: u32,
    checked: u32,
}

fn tally(cases: &[Json]) -> (BTreeMap<String, Tally>, Vec<String>) {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases {
        let word = |key: &str| case[key].as_str().unwrap().to_owned();
        let tally = tallies.entry(word("file")).or_default();
        tally.total += 1;
        let is_for_checker = case.get("disable_check").is_none_or(|disabled| disabled == false);
        let result =
            run(case, Mode::Dynamic).and_then(|_| if is_for_checker { run(case, Mode::Checked) } else { Ok(false) });
        match result {
            Ok(checked) => {
                tally.passed += 1;
                tally.checked += u32::from(checked);
            }
            Err(reason) => failures.push(format!("{}/{}/{}: {reason}", word("file"), word("section"), word("name"))),
        }
    }
    (tallies, failures)
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is what one runs this test for")]
fn official_cases_pass() {
    let cases: Vec<Json> = CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (tallies, failures) = tally(&cases);
    println!("{:>14} {:>9} {:>8}", "file", "passed", "checked");
    for (file, tally) in &tallies {
        println!("{file:>14} {:>4}/{:<4} {:>8}", tally.passed, tally.total, tally.checked);
    }
    failures.iter().for_each(|failure| println!("{failure}"));
    let sum = |is_counted: &dyn Fn(&str) -> bool| {
        let counted = tallies.iter().filter(|(file, _)| is_counted(file)).map(|(_, tally)| tally);
        counted.fold((0, 0), |(passed, total), tally| (passed + tally.passed, total + tally.total))
    };
    let (passed, total) = sum(&|file| !EXTENSIONS.contains(&file) && !OTHER_EXTENSIONS.contains(&file));
    println!("core: {passed}/{total}");
    assert_eq!(total, 899);
    assert!(100 * passed >= 99 * total, "core: {passed} of {total}");
    for extension in EXTENSIONS {
        let (passed, total) = sum(&|file| file == extension);
        assert!(100 * passed >= 95 * total, "{extension}: {passed} of {total}");
    }
}

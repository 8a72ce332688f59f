//! Stored programs: the same again, and nothing else is believed.

use proptest::prelude::*;

use super::Program;
use crate::cel::tests::Facts;
use crate::cel::{compile, parse, write_text};
use crate::value::Value;

const TEXTS: [&str; 8] = [
    "a.score > 0.5 && a.name.matches('^p') || a.color in ['red', 'blue']",
    "[1, 2, 3].map(i, i * a.count).filter(i, i > x)",
    "{'a': a.score, 'b': duration('90s').getSeconds() > 1 ? 1.0 : 2.0}",
    "a.?seen.optMap(t, t.getFullYear('Europe/Vienna')).orValue(1 / (x - 7))",
    "[1, 0].exists(i, 4 / i > 3) && 1 / 0 == 1 || flag",
    "'%s %d'.format([a.name, x])",
    "[-1, [[[1].size()].size()].size()][0] == x",
    "null",
];

fn shown(program: &Program, facts: &mut Facts) -> String {
    let row = facts.row();
    match program.eval(&row, &mut facts.heap) {
        Ok(value) => {
            let mut out = String::new();
            write_text(value, &facts.heap, &mut out);
            out
        }
        Err(error) => error.to_string(),
    }
}

fn encoded(text: &str, facts: &mut Facts) -> Vec<u8> {
    let row = facts.row();
    let program = compile(&parse(text).unwrap(), &row, &mut facts.heap.texts).unwrap();
    let mut bytes = Vec::new();
    program.encode(&mut bytes);
    bytes
}

#[test]
fn a_stored_program_is_the_same() {
    for text in TEXTS {
        let mut facts = Facts::new();
        let row = facts.row();
        let program = compile(&parse(text).unwrap(), &row, &mut facts.heap.texts).unwrap();
        let bytes = encoded(text, &mut facts);
        let mut rest = [&bytes[..], b"rest"].concat();
        let mut rest = rest.as_mut_slice() as &[u8];
        let decoded = Program::decode(&mut rest, &facts.heap.texts).unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(decoded.ty(), program.ty());
        assert_eq!(decoded.reads(), program.reads());
        assert_eq!(shown(&decoded, &mut facts), shown(&program, &mut facts), "{text}");
    }
}

#[test]
fn a_part_of_a_program_is_none() {
    for text in TEXTS {
        let mut facts = Facts::new();
        let bytes = encoded(text, &mut facts);
        for len in 0..bytes.len() {
            assert!(Program::decode(&mut &bytes[..len], &facts.heap.texts).is_err());
        }
    }
}

#[test]
fn texts_must_be_there() {
    let mut facts = Facts::new();
    let bytes = encoded("a.name == 'somebody else'", &mut facts);
    assert!(Program::decode(&mut bytes.as_slice(), &Facts::new().heap.texts).is_err());
}

proptest! {
    #[test]
    fn a_changed_program_is_refused_or_ends(
        text in proptest::sample::select(TEXTS.to_vec()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut facts = Facts::new();
        let mut bytes = encoded(text, &mut facts);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(program) = Program::decode(&mut bytes.as_slice(), &facts.heap.texts) {
            let safe = Frameless(facts.row());
            let _ = program.eval(&safe, &mut facts.heap);
            let _ = program.reads();
        }
    }
}

/// Slots and fields are the engine's to check.
struct Frameless(crate::cel::tests::Row);

impl crate::cel::Frame for Frameless {
    fn value(&self, slot: u16) -> Value {
        self.0.value(slot % 3)
    }

    fn field(&self, slot: u16, field: u16) -> Option<Value> {
        self.0.field(slot, field % 6)
    }
}

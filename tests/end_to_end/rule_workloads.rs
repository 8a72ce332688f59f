//! The parts of the benchmark of rules that measure nothing: reading facts of CLIPS, checking seatings, making rule sets.

#[path = "../benches/rules"]
mod rules {
    pub(crate) mod clips_facts;
    pub(crate) mod generated;
    pub(crate) mod seating;
}

use rules::clips_facts::{Row, read};
use rules::{generated, seating};

#[test]
fn facts_of_clips_are_read_each_once() {
    let check = |text: &str, expected: &[&str]| {
        let rows = read(text).unwrap();
        let shown: Vec<String> = rows.iter().map(shown).collect();
        assert_eq!(shown, expected, "{text}");
    };
    check("", &[]);
    check("(stage (value duplicate))", &["stage value=duplicate"]);
    check("(line (p1 0) (p2 20000))\n(line (p1 4) (p2 0))\n", &["line p1=0 p2=20000", "line p1=4 p2=0"]);
    check("(edge (a 1) (b 2)) (edge (a 2) (b 1)) (edge (a 1) (b 2))", &["edge a=1 b=2", "edge a=2 b=1"]);
    check("(none)", &["none"]);
}

#[test]
fn what_is_no_fact_is_refused() {
    for text in ["line", "(line", "(line (p1 0)", "(line (p1))", "(line (p1 0 1))", "(line) )", "()"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn a_seating_is_right_or_says_what_is_wrong() {
    let guests = "(guest (name a) (sex m) (hobby x)) (guest (name b) (sex f) (hobby x)) (guest (name b) (sex f) (hobby y)) \
                  (guest (name c) (sex m) (hobby y)) (guest (name d) (sex f) (hobby z)) (last_seat (seat 3))";
    let without_d = guests.replace("(guest (name d) (sex f) (hobby z))", "");
    let check = |given: &str, steps: &[&str], expected: Result<(), &str>| {
        let lines: Vec<String> = steps.iter().map(|step| format!("seating {step}")).collect();
        assert_eq!(seating::check(&read(given).unwrap(), &lines), expected.map_err(str::to_owned), "{steps:?}");
    };
    let (first, second) = ("1 a a 1 1 0", "1 a b 2 2 1");
    check(&without_d, &[first, second, "2 b c 3 3 2"], Ok(()));
    // Steps that lead nowhere do not count.
    check(&without_d, &[first, second, "1 a c 2 9 1", "2 b c 3 3 2"], Ok(()));
    check(&without_d, &[first, second], Err("nobody sits on the last seat"));
    check(&without_d, &[first, second, "2 b a 3 3 2"], Err("3 seats hold 2 of 3 guests"));
    check(guests, &[first, second, "2 b c 3 3 2"], Err("3 seats hold 3 of 4 guests"));
    check(&without_d, &[first, "1 a c 2 2 1", "2 c b 3 3 2"], Err("a and c are of one sex"));
    check(&without_d, &["1 b b 1 1 0", "1 b c 2 2 1", "2 c a 3 3 2"], Err("c and a are of one sex"));
    check(&without_d, &[first, "2 b c 3 3 1"], Err("seat 3 follows seat 1"));
    check(&without_d, &["2 b c 3 3 2"], Err("there is no step 2"));
    let apart = without_d.replace("(hobby y))", "(hobby w))").replacen("(hobby w)", "(hobby y)", 1);
    check(&apart, &[first, second, "2 b c 3 3 2"], Err("b and c share no hobby"));
}

#[test]
fn constant_rules_are_as_many_as_asked_for() {
    let text = generated::constant_rules(120);
    assert_eq!(text.matches("\n  - id: ").count(), 120);
    assert!(text.contains("e.kind == 'k19' && e.code == 'c119'"));
}

#[test]
fn the_grown_loan_has_200_rules_and_100_facts() {
    let text = generated::grown_loan();
    assert_eq!(text.matches("\n  - id: ").count(), 200);
    let rows = generated::loan_facts(7);
    assert_eq!(rows.len(), 100);
    assert_eq!(rows, generated::loan_facts(7));
    assert_ne!(rows, generated::loan_facts(8));
}

fn shown(row: &Row) -> String {
    let values = row.values.iter().map(|(field, value)| format!(" {field}={value}"));
    [row.template.clone()].into_iter().chain(values).collect()
}

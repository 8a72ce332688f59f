//! Where the syntax of RE2 and that of the crate differ, and bounds.

use super::Matcher;

fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let matcher = Matcher::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    yes.iter().for_each(|text| assert!(matcher.is_match(text), "`{pattern}` matches `{text}`"));
    no.iter().for_each(|text| assert!(!matcher.is_match(text), "`{pattern}` does not match `{text}`"));
}

#[test]
fn classes_by_letter_are_ascii() {
    check(r"^\d+$", &["12"], &["١٢", "a"]);
    check(r"^\w+$", &["a_1"], &["é", "-"]);
    check(r"^\D$", &["é", "١"], &["1"]);
    check(r"^[\w-]+$", &["a-b"], &["a b"]);
    check(r"^[^\s]+$", &["ab"], &["a b"]);
    check(r"^[\D]$", &["x", "é"], &["1"]);
    check(r"\bcat\b", &["a cat", "écat"], &["cats"]);
}

#[test]
fn sets_know_no_operators() {
    check(r"^[a&&b]+$", &["a&b"], &["c"]);
    check(r"^[+--]+$", &["+", ",", "-"], &["a"]);
    check(r"^[[]$", &["["], &["a"]);
    check(r"^[]a]$", &["]", "a"], &["b"]);
    check(r"^[^]a]$", &["b"], &["]", "a"]);
    check(r"^[[:alpha:]]+$", &["ab"], &["a1"]);
    check(r"^[a~~b]+$", &["a~b"], &["c"]);
}

#[test]
fn quoting_and_escapes() {
    check(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]);
    check(r"\Qa.b", &["a.b"], &["axb"]);
    check(r"^a\<b$", &["a<b"], &["ab"]);
    check(r"(?i)STRASSE", &["strasse"], &["x"]);
    check(r"^\p{Greek}$", &["π"], &["p"]);
    check(r"(?P<year>\d{4})", &["in 2024"], &["24"]);
}

#[test]
fn what_is_too_large_is_refused() {
    for pattern in ["(", "a**b(", "(?:a{1000}){1000}", r"(\p{L}{100}){100}", r"(?=a)", r"(a)\1"] {
        assert!(Matcher::new(pattern).is_err(), "{pattern}");
    }
    assert!(Matcher::new(&"(".repeat(1000)).is_err());
    assert!(Matcher::new(&"a".repeat(10_000)).is_err());
}

#[test]
fn catastrophes_elsewhere_are_none_here() {
    let text = "a".repeat(100_000);
    check("^(a+)+$", &[&text], &[]);
    check("^(a|aa)+b$", &[], &[&text]);
    let costly = Matcher::new("(a{0,300}b?){3}c").unwrap();
    assert!(costly.cost(100).is_some());
    assert!(costly.cost(100_000_000).is_none());
}

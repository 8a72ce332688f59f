//! Equality, order, arithmetic, membership.

use crate::cel::tests::{check, check_dynamic};

#[test]
fn numbers_of_different_types_are_on_one_line() {
    check_dynamic("1 == 1u && 1u == 1.0 && 1 == 1.0", "true");
    check_dynamic("1 < 1.5 && 2u > 1.5 && -1 < 0u", "true");
    check_dynamic("1 == '1'", "false");
    check_dynamic("1 < '1'", "error: no such overload");
    check_dynamic("18446744073709551615u > -1", "true");
}

#[test]
fn nan_is_unequal_to_itself() {
    check("cel.bind(n, 0.0 / 0.0, [n == n, n != n, n < n, n >= n])", "[false, true, false, false]");
    check("[0.0 / 0.0] == [0.0 / 0.0]", "false");
}

#[test]
fn contents_are_compared() {
    check("[1, 2] == [1, 2] && [1] != [1, 2]", "true");
    check("{'a': [1], 'b': []} == {'b': [], 'a': [1]}", "true");
    check("{1: 'a'} == {1: 'b'}", "false");
    check_dynamic("{1: 2} == {1u: 2.0}", "true");
    check("optional.of([1]) == optional.of([1])", "true");
    check("dyn(null) == 1", "false");
}

#[test]
fn integers_do_not_wrap() {
    check("9223372036854775807 + 1", "error: overflow");
    check("-9223372036854775808 - 1", "error: overflow");
    check("-(-9223372036854775808)", "error: overflow");
    check("-9223372036854775808 / -1", "error: overflow");
    check("-9223372036854775808 % -1", "error: overflow");
    check("1u - 2u", "error: overflow");
    check("1 / 0", "error: division by zero");
    check("1 % 0", "error: division by zero");
    check("-7 / 2 * 10 + -7 % 2", "-31");
    check("1.0 / 0.0", "Infinity");
}

#[test]
fn maps_find_their_keys() {
    check("{'a': 1}.a + {'a': 1}['a']", "2");
    check("{'a': 1}.b", "error: no such key");
    check("{'a': 1}[?'b'].orValue(3)", "3");
    check("{2: 'b', 1: 'a', 3: 'c'}[2]", "b");
    check_dynamic("{2: 'b'}[2.0] + {2u: 'c'}[2]", "bc");
    check_dynamic("{2: 'b'}[2.5]", "error: no such key");
    check("{1: 1, 1: 2}", "error: the same key twice");
    check_dynamic("{1: 1, 1u: 2}", "error: the same key twice");
    check_dynamic("{1.0: 1}", "error: a value that cannot be a key");
    check("'a' in {'a': 1} && !('b' in {'a': 1})", "true");
}

#[test]
fn lists_have_bounds() {
    check("[1, 2][1]", "2");
    check("[1, 2][2]", "error: index out of range");
    check("[1, 2][-1]", "error: index out of range");
    check("[1, 2][?5].hasValue()", "false");
    check("3 in [1, 2] || 2 in [1, 2]", "true");
    check("a.count in [1, 2, 3] && a.score in a.box", "false");
    check("[1] + [2, 3]", "[1, 2, 3]");
}

#[test]
fn selection_goes_through_optionals() {
    check("optional.of({'a': {'b': 1}}).a.b.value()", "1");
    check("{'a': {'b': 1}}.?a.?b.value() + {'a': {'b': 1}}.?a.b.value()", "2");
    check("{'a': {'b': 1}}.?c.b.hasValue()", "false");
    check("has({'a': {'b': 1}}.?a.b)", "true");
    check_dynamic("{'a': 1}.?a.b", "error: no such overload");
    check("[?optional.of(1), ?optional.none()]", "[1]");
    check("{?'a': optional.none(), 'b': 1}", "{b: 1}");
}

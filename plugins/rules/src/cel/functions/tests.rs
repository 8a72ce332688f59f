//! Functions beyond what the official cases ask.

use super::{LIBRARIES, read_signature};
use crate::cel::tests::{check, check_dynamic};

#[test]
fn every_signature_can_be_read() {
    for text in LIBRARIES.iter().copied().flatten().flat_map(|function| function.signatures) {
        assert!(read_signature(text, 0).is_some(), "{text}");
    }
}

#[test]
fn conversions_have_ranges() {
    check("int(9.99) + int('-5') + int(3u)", "7");
    check("int(9223372036854775808.0)", "error: overflow");
    check("int('1.5')", "error: a value that cannot be converted");
    check("uint(-1)", "error: overflow");
    check("uint(0.0 / 0.0)", "error: overflow");
    check("uint(-0.5)", "error: overflow");
    check("double('1e3') + double('-Infinity')", "-Infinity");
    check("string(b'\\xff')", "error: bytes that are not UTF-8");
    check("bytes('é').size()", "2");
    check("bool('yes')", "error: a value that cannot be converted");
}

#[test]
fn doubles_are_written_shortest() {
    for (double, text) in [
        ("0.1 + 0.2", "0.30000000000000004"),
        ("1.0", "1"),
        ("-0.0", "-0"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.5e-7", "1.5e-7"),
        ("0.000001", "0.000001"),
    ] {
        check(&format!("string({double})"), text);
    }
}

#[test]
fn times_are_rfc_3339() {
    check("timestamp('2024-02-29T12:30:00.5+02:00')", "2024-02-29T10:30:00.5Z");
    for text in [
        "2023-02-29T00:00:00Z",
        "2024-02-29",
        "2024-02-29T24:00:00Z",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00:00.Z",
        "2024-13-01T00:00:00Z",
        "é24-01-01T00:00:00Z",
    ] {
        check(&format!("timestamp('{text}')"), "error: a time that is out of range or not RFC 3339");
    }
    check("timestamp(253402300800)", "error: a time that is out of range or not RFC 3339");
    check("int(timestamp('1969-12-31T23:59:59Z'))", "-1");
}

#[test]
fn durations_are_sums_of_units() {
    check("duration('1h2m3.5s')", "3723.5s");
    check("duration('-1.5ms')", "-0.0015s");
    check("duration('0')", "0s");
    check("duration('.5h') + duration('1us')", "1800.000001s");
    for text in ["", "1", "1x", "h", "1.2.3s", "- 1s", "300000000h"] {
        check(&format!("duration('{text}')"), "error: a duration that is out of range or not one");
    }
    check("timestamp('2024-03-01T00:00:00Z') - timestamp('2024-02-01T00:00:00Z')", "2505600s");
}

#[test]
fn zones_are_named_or_fixed() {
    let time = "timestamp('2024-07-01T22:30:00Z')";
    check(&format!("{time}.getHours('Europe/Vienna')"), "0");
    check(&format!("{time}.getDate('Europe/Vienna')"), "2");
    check(&format!("{time}.getMinutes('-03:45')"), "45");
    check(&format!("{time}.getDayOfYear()"), "182");
    check(&format!("{time}.getDayOfWeek('Asia/Tokyo')"), "2");
    check(&format!("{time}.getHours('Nowhere/Land')"), "error: no such time zone");
    check(&format!("{time}.getHours('+25:00')"), "error: no such time zone");
    check("timestamp('0001-01-01T00:00:00Z').getFullYear('America/New_York')", "0");
}

#[test]
fn positions_count_code_points() {
    check("'aéb'.indexOf('b')", "2");
    check("'aéb'.substring(1, 2)", "é");
    check("'aéb'.charAt(3) == '' && 'aéb'.reverse() == 'béa'", "true");
    check("'abab'.lastIndexOf('ab', 1)", "0");
    check("'abc'.substring(2, 1)", "error: index out of range");
    check("'aéb'.split('')", "[a, é, b]");
    check("'a,b,c'.split(',', 2)", "[a, b,c]");
    check("'abc'.split('', 2)", "[a, bc]");
}

#[test]
fn formats_take_their_arguments() {
    check("'%s|%d|%.2f|%e|%x'.format(['a', 1, 2.345, 1234.5, 255])", "a|1|2.35|1.234500e+03|ff");
    check("'%s'.format([])", "error: a format that does not fit its arguments");
    check("'%.3d'.format([1])", "error: a format that does not fit its arguments");
    check("'%'.format([1])", "error: a format that does not fit its arguments");
    check("'%.99999999999f'.format([1.0])", "error: a format that does not fit its arguments");
    check("'%s'.format([[1, {'b': 2, 'a': b'x'}]])", "[1, {a: x, b: 2}]");
    check("'%s'.format([b'a\\xff\\xffb'])", "a\u{fffd}b");
}

#[test]
fn base64_is_strict_but_for_padding() {
    check("base64.encode(b'hi')", "aGk=");
    check("string(base64.decode('aGk'))", "hi");
    check("base64.decode('a?')", "error: a value that cannot be converted");
}

#[test]
fn math_has_ranges() {
    check("math.abs(-9223372036854775808)", "error: overflow");
    check("math.bitShiftLeft(1, 64) + math.bitShiftRight(-1, 63)", "1");
    check("math.bitShiftLeft(1, -1)", "error: an argument out of its range");
    check("math.least([3, 1, 2]) + math.greatest(4)", "5");
    check("math.greatest('a')", "check: `math.greatest` does not take (string)");
    check_dynamic("math.greatest([])", "error: an argument out of its range");
    check("math.round(-2.5) + math.sqrt(16)", "1");
}

#[test]
fn boxes_overlap() {
    check("geo.iou([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 2.0])", "0.3333333333333333");
    check("geo.iou_xyxy([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 2.0])", "0.5");
    check("geo.iou(a.box, b.box)", "1");
    check("geo.iou(a.box, [0.0, 0.0, 0.0, 0.0]) + geo.iou([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])", "0");
    check("geo.iou(a.box, [1.0])", "error: an argument out of its range");
    check("num.approx(1000.0, 1000.5, 0.001) && !num.approx(1.0, 1.1, 0.01)", "true");
    check("num.atan2(1.0, 1.0) * 4.0 == num.pi", "true");
}

#[test]
fn lists_have_ends() {
    check("[1, 2].first().value() + [1, 2].last().value()", "3");
    check("[1].filter(i, i > 1).first().hasValue()", "false");
}

#[test]
fn types_are_values() {
    check("type(1) == int && type(type(1)) == type", "true");
    check("type(duration('1s'))", "google.protobuf.Duration");
    check("type(optional.none()) == optional_type && type(null) == null_type", "true");
}

//! Timestamps (RFC 3339) and durations (as CEL writes them) from text to nanoseconds. Knows no clock.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// More digits of a second are finer than nanoseconds.
const DIGITS_MAX: usize = 9;
/// Units of durations. Longer names stand before those that they end with.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Nanoseconds since 1970-01-01T00:00:00Z; `None` if the text is no timestamp, or 64 bits do not hold it.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let second = text.get(17..19)?;
    let digits = text.get(19..)?.strip_prefix('.').map_or(0, |rest| digits_of(rest).len());
    // A leap second has no place among nanoseconds since 1970.
    if text.as_bytes().get(10) != Some(&b'T') || second == "60" || digits > DIGITS_MAX || text.contains('z') {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// Nanoseconds of a duration such as `1h30m`, `-2.5s` or `0`; `None` if the text is none, or 64 bits do not hold it.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole = digits_of(rest);
        rest = &rest[whole.len()..];
        let fraction = rest.strip_prefix('.').map_or("", digits_of);
        rest = if rest.starts_with('.') { &rest[1 + fraction.len()..] } else { rest };
        let (unit, nanoseconds) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(part(whole, fraction, nanoseconds)?)?;
    }
    i64::try_from(sign * total).ok()
}

fn digits_of(text: &str) -> &str {
    &text[..text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len())]
}

/// `whole.fraction` of a unit; what is finer than a nanosecond is cut off.
fn part(whole: &str, fraction: &str, nanoseconds: i128) -> Option<i128> {
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    // An hour has less than 10^13 nanoseconds: digits beyond these change none.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    number(whole)?.checked_mul(nanoseconds)?.checked_add(number(fraction)? * nanoseconds / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_nanoseconds_since_1970() {
        let check = |text, expected| assert_eq!(timestamp(text), expected, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("2026-01-31T12:00:00.250+01:30", Some(1_769_855_400_250_000_000));
        check("1969-12-31T23:59:59.999999999Z", Some(-1));
        check("2262-04-11T23:47:16.854775807Z", Some(i64::MAX));
        check("2262-04-11T23:47:16.854775808Z", None);
        for wrong in ["2026-01-31", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", "1900-02-29T00:00:00Z"] {
            check(wrong, None);
        }
        for wrong in ["2026-01-31T12:00:60Z", "2026-01-31T12:00:00.1234567890Z", "", "2026-01-31T12:00:00\u{e9}Z"] {
            check(wrong, None);
        }
    }

    #[test]
    fn durations_are_numbers_with_units() {
        let check = |text, expected| assert_eq!(duration(text), expected, "{text}");
        check("0", Some(0));
        check("1h30m", Some(5_400_000_000_000));
        check("-1.5s", Some(-1_500_000_000));
        check("1us2ns", Some(1_002));
        check("1\u{b5}s", Some(1_000));
        check("+.5m", Some(30_000_000_000));
        check("0.1234567890123456789012s", Some(123_456_789));
        check("-9223372036.854775808s", Some(i64::MIN));
        check("9223372036.854775808s", None);
        for wrong in ["", "-", "10", "1h30", ".s", "1.2.3s", "1d", "h", "99999999999999999999999999999999999999999h"] {
            check(wrong, None);
        }
    }
}

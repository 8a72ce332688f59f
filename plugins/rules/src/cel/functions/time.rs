//! Timestamps and durations: RFC 3339, arithmetic, and their parts in named time zones. No clock.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Function, Outcome, failed, function, no_overload};
use crate::cel::eval::{Fault, Reason};
use crate::heap::Heap;
use crate::value::Value;

/// A part of a timestamp, with and without a time zone.
macro_rules! part {
    ($without:literal, $with:literal, $part:expr) => {
        function(&[$without, $with], |args, heap| part(args, heap, $part))
    };
}

/// A part of a timestamp, or all of a duration.
macro_rules! part_or_total {
    ($without:literal, $with:literal, $of_duration:literal, $part:expr, $total:expr) => {
        function(&[$without, $with, $of_duration], |args, heap| match *args {
            [Value::Duration { seconds, nanos }] => Ok(Value::Int($total(seconds, nanos))),
            _ => part(args, heap, $part),
        })
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    part!("timestamp.getFullYear() int", "timestamp.getFullYear(string) int", |local| local.date().0),
    part!("timestamp.getMonth() int", "timestamp.getMonth(string) int", |local| local.date().1 - 1),
    part!("timestamp.getDate() int", "timestamp.getDate(string) int", |local| local.date().2),
    part!("timestamp.getDayOfMonth() int", "timestamp.getDayOfMonth(string) int", |local| local.date().2 - 1),
    part!("timestamp.getDayOfWeek() int", "timestamp.getDayOfWeek(string) int", |local| (local.day() + 4)
        .rem_euclid(7)),
    part!("timestamp.getDayOfYear() int", "timestamp.getDayOfYear(string) int", |local| {
        local.day() - days(local.date().0, 1, 1)
    }),
    part_or_total!(
        "timestamp.getHours() int",
        "timestamp.getHours(string) int",
        "duration.getHours() int",
        |local| seconds_of_day(local.seconds).0,
        |seconds, _| seconds / 3600
    ),
    part_or_total!(
        "timestamp.getMinutes() int",
        "timestamp.getMinutes(string) int",
        "duration.getMinutes() int",
        |local| seconds_of_day(local.seconds).1,
        |seconds, _| seconds / 60
    ),
    part_or_total!(
        "timestamp.getSeconds() int",
        "timestamp.getSeconds(string) int",
        "duration.getSeconds() int",
        |local| seconds_of_day(local.seconds).2,
        |seconds, _| seconds
    ),
    part_or_total!(
        "timestamp.getMilliseconds() int",
        "timestamp.getMilliseconds(string) int",
        "duration.getMilliseconds() int",
        |local| i64::from(local.nanos / 1_000_000),
        |_, nanos: i32| i64::from(nanos / 1_000_000)
    ),
];

/// A timestamp as a clock in some place shows it.
struct Local {
    /// Since 1970-01-01T00:00:00 there.
    seconds: i64,
    nanos: u32,
}

impl Local {
    fn day(&self) -> i64 {
        self.seconds.div_euclid(86_400)
    }

    /// Year, month and day, from 1.
    fn date(&self) -> (i64, i64, i64) {
        civil(self.day())
    }
}

fn part(args: &[Value], heap: &Heap, part: fn(Local) -> i64) -> Outcome {
    let (seconds, nanos, offset) = match *args {
        [Value::Timestamp { seconds, nanos }] => (seconds, nanos, 0),
        [Value::Timestamp { seconds, nanos }, Value::String(zone)] => {
            let offset = offset(heap.text(zone), seconds).ok_or(Fault::Failed(Reason::BadTimeZone))?;
            (seconds, nanos, offset)
        }
        _ => return no_overload(),
    };
    Ok(Value::Int(part(Local { seconds: seconds.saturating_add(offset), nanos })))
}

/// How far a zone's clocks are ahead of UTC, in seconds.
fn offset(zone: &str, seconds: i64) -> Option<i64> {
    if zone == "UTC" || zone == "Z" {
        return Some(0);
    }
    if let Some(offset) = fixed_offset(zone) {
        return Some(offset);
    }
    let instant = jiff::Timestamp::from_second(seconds).ok()?;
    Some(i64::from(named_zone(zone)?.to_offset(instant).seconds()))
}

fn named_zone(zone: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(zone).ok()
}

/// `+11:00`, `-09:30` or `02:00`.
fn fixed_offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => (1, zone),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &str, len: usize) -> Option<i64> {
    let is_number = digits.len() == len && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Year, month and day of a day since 1970-01-01, by the Gregorian calendar.
pub(in crate::cel) fn civil(day: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last one.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

/// The day since 1970-01-01 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Hour, minute and second.
pub(in crate::cel) fn seconds_of_day(seconds: i64) -> (i64, i64, i64) {
    let second = seconds.rem_euclid(86_400);
    (second / 3600, second / 60 % 60, second % 60)
}

const SECOND: i128 = 1_000_000_000;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

fn timestamp(nanos: i128) -> Outcome {
    let seconds = nanos.div_euclid(SECOND);
    if !(i128::from(SECONDS_MIN)..=i128::from(SECONDS_MAX)).contains(&seconds) {
        return failed(Reason::BadTime);
    }
    Ok(Value::Timestamp { seconds: seconds as i64, nanos: nanos.rem_euclid(SECOND) as u32 })
}

/// A duration has 64 bits of nanoseconds.
fn duration(nanos: i128, reason: Reason) -> Outcome {
    if i64::try_from(nanos).is_err() {
        return failed(reason);
    }
    Ok(Value::Duration { seconds: (nanos / SECOND) as i64, nanos: (nanos % SECOND) as i32 })
}

fn nanos(value: Value) -> Option<i128> {
    match value {
        Value::Timestamp { seconds, nanos } => Some(i128::from(seconds) * SECOND + i128::from(nanos)),
        Value::Duration { seconds, nanos } => Some(i128::from(seconds) * SECOND + i128::from(nanos)),
        _ => None,
    }
}

/// `a + b` of times.
pub(in crate::cel) fn add_times(a: Value, b: Value) -> Outcome {
    let (Some(first), Some(second)) = (nanos(a), nanos(b)) else { return no_overload() };
    match (a, b) {
        (Value::Timestamp { .. }, Value::Timestamp { .. }) => no_overload(),
        (Value::Duration { .. }, Value::Duration { .. }) => duration(first + second, Reason::Overflow),
        _ => timestamp(first + second),
    }
}

/// `a - b` of times.
pub(in crate::cel) fn subtract_times(a: Value, b: Value) -> Outcome {
    let (Some(first), Some(second)) = (nanos(a), nanos(b)) else { return no_overload() };
    match (a, b) {
        (Value::Duration { .. }, Value::Timestamp { .. }) => no_overload(),
        (Value::Timestamp { .. }, Value::Duration { .. }) => timestamp(first - second),
        _ => duration(first - second, Reason::Overflow),
    }
}

pub(super) fn to_timestamp(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Timestamp { .. } => Ok(value),
        Value::Int(seconds) => timestamp(i128::from(seconds) * SECOND),
        Value::String(text) => match read_timestamp(heap.text(text)) {
            Some(nanos) => timestamp(nanos),
            None => failed(Reason::BadTime),
        },
        _ => no_overload(),
    }
}

/// RFC 3339, as nanoseconds.
fn read_timestamp(text: &str) -> Option<i128> {
    if !text.is_ascii() {
        return None;
    }
    let (date, time) = (text.get(..10)?, text.get(10..)?.strip_prefix(['T', 't'])?);
    let (year, month, day) = (number(&date[..4], 4)?, number(&date[5..7], 2)?, number(&date[8..], 2)?);
    let (clock, rest) = (time.get(..8)?, time.get(8..)?);
    let (hour, minute, second) = (number(&clock[..2], 2)?, number(&clock[3..5], 2)?, number(&clock[6..], 2)?);
    let signs = [date.as_bytes()[4], date.as_bytes()[7], clock.as_bytes()[2], clock.as_bytes()[5]];
    let day_number = days(year, month, day);
    if signs != *b"--::" || !(1..=12).contains(&month) || civil(day_number) != (year, month, day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let len = rest.bytes().take_while(u8::is_ascii_digit).count();
            (read_fraction(&rest[..len])?, &rest[len..])
        }
        None => (0, rest),
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ if zone.starts_with(['+', '-']) => fixed_offset(zone)?,
        _ => return None,
    };
    let seconds = day_number * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(i128::from(seconds) * SECOND + fraction)
}

/// Digits behind a point, as nanoseconds; more than nine are refused.
fn read_fraction(digits: &str) -> Option<i128> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let number: i128 = digits.parse().ok()?;
    Some(number * 10_i128.pow(9 - digits.len() as u32))
}

pub(super) fn to_duration(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Duration { .. } => Ok(value),
        Value::String(text) => match read_duration(heap.text(text)) {
            Some(nanos) => duration(nanos, Reason::BadDuration),
            None => failed(Reason::BadDuration),
        },
        _ => no_overload(),
    }
}

/// `-1h2m3.5s`, as nanoseconds.
fn read_duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i128;
    while !rest.is_empty() || total == 0 {
        let len = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit_and_rest) = rest.split_at(len);
        let unit_len = unit_and_rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_rest.len());
        let (unit, behind) = unit_and_rest.split_at(unit_len);
        total += read_amount(number, unit_nanos(unit)?)?;
        rest = behind;
        if total > i128::from(i64::MAX) {
            return None;
        }
        if rest.is_empty() {
            break;
        }
    }
    Some(sign * total)
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3600 * SECOND,
        "m" => 60 * SECOND,
        "s" => SECOND,
        "ms" => 1_000_000,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1000,
        "ns" => 1,
        _ => return None,
    })
}

/// A decimal number of units; what is less than a nanosecond is cut off.
fn read_amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 20 || fraction.contains('.') {
        return None;
    }
    let mut nanos = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? * unit };
    let mut scale = unit;
    for digit in fraction.bytes().take(18) {
        // Units are at most 3.6e12 nanoseconds, so that tenths of a nanosecond need not be kept.
        nanos += i128::from(digit - b'0') * scale / 10;
        scale /= 10;
    }
    Some(nanos)
}

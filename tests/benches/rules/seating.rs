//! Checks a seating of Miss Manners, whoever found it: many are right. Runs no rules.

use std::collections::{BTreeMap, BTreeSet};

use super::clips_facts::Row;

/// One step of a seating: `name` sits at `seat`, after the step `previous`.
struct Step<'a> {
    name: &'a str,
    seat: u64,
    previous: u64,
}

/// Whether everybody sits, once, beside others of the other sex with whom a hobby is shared. `lines` are the `seating`
/// facts that were reached, as `seating seat1 name1 name2 seat2 id pid`.
pub(crate) fn check(given: &[Row], lines: &[String]) -> Result<(), String> {
    let last_seat = given.iter().find(|row| row.template == "last_seat").and_then(|row| row.value("seat"));
    let last_seat: u64 = last_seat.and_then(|seat| seat.parse().ok()).ok_or("no last seat is given")?;
    let row = in_order(&steps(lines)?, last_seat)?;
    let mut guests: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
    for guest in given.iter().filter(|row| row.template == "guest") {
        let [name, sex, hobby] = ["name", "sex", "hobby"].map(|field| guest.value(field).unwrap_or_default());
        guests.entry(name).or_insert((sex, BTreeSet::new())).1.insert(hobby);
    }
    let seated: BTreeSet<&str> = row.iter().copied().collect();
    if seated.len() != row.len() || !seated.iter().eq(guests.keys()) {
        return Err(format!("{} seats hold {} of {} guests", row.len(), seated.len(), guests.len()));
    }
    for pair in row.windows(2) {
        let ((sex, hobbies), (other_sex, other_hobbies)) = (&guests[pair[0]], &guests[pair[1]]);
        if sex == other_sex {
            return Err(format!("{} and {} are of one sex", pair[0], pair[1]));
        }
        if hobbies.is_disjoint(other_hobbies) {
            return Err(format!("{} and {} share no hobby", pair[0], pair[1]));
        }
    }
    Ok(())
}

fn steps(lines: &[String]) -> Result<BTreeMap<u64, Step<'_>>, String> {
    lines.iter().map(|line| step(line).ok_or_else(|| format!("`{line}` is no seating"))).collect()
}

fn step(line: &str) -> Option<(u64, Step<'_>)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["seating", _, _, name, seat, id, previous] = words[..] else { return None };
    Some((id.parse().ok()?, Step { name, seat: seat.parse().ok()?, previous: previous.parse().ok()? }))
}

/// The names from the first seat to the last, along the steps that lead to it.
fn in_order<'a>(steps: &BTreeMap<u64, Step<'a>>, last_seat: u64) -> Result<Vec<&'a str>, String> {
    let mut step = steps.values().find(|step| step.seat == last_seat).ok_or("nobody sits on the last seat")?;
    let mut names = vec![step.name];
    while step.previous != 0 {
        let previous = steps.get(&step.previous).ok_or_else(|| format!("there is no step {}", step.previous))?;
        if previous.seat + 1 != step.seat {
            return Err(format!("seat {} follows seat {}", step.seat, previous.seat));
        }
        names.push(previous.name);
        step = previous;
    }
    names.reverse();
    Ok(names)
}

//! The order of steps: who waits for whom, cycles, a sequence that respects both. Knows steps only as numbers.

use std::collections::BTreeSet;

/// For each step, those that must have ended before.
pub(super) type Before = Vec<BTreeSet<usize>>;

/// The steps in an order in which none comes before one that it waits for; that of the file where it can be kept.
///
/// # Errors
/// A cycle, each step waiting for the one before it in the list and the first for the last.
pub(super) fn sequence(before: &Before) -> Result<Vec<usize>, Vec<usize>> {
    let mut sequence = Vec::with_capacity(before.len());
    let mut done = vec![false; before.len()];
    while sequence.len() < before.len() {
        let ready = (0..before.len()).find(|&step| !done[step] && before[step].iter().all(|&other| done[other]));
        let Some(step) = ready else { return Err(cycle(before, &done)) };
        done[step] = true;
        sequence.push(step);
    }
    Ok(sequence)
}

/// Follows steps that are never ready, each to one that it waits for, until one comes again.
fn cycle(before: &Before, done: &[bool]) -> Vec<usize> {
    let stuck = |step: &usize| !done[*step];
    let mut path: Vec<usize> = Vec::new();
    let mut step = (0..before.len()).find(stuck).expect("a step is not done");
    loop {
        if let Some(start) = path.iter().position(|&seen| seen == step) {
            let mut cycle = path.split_off(start);
            cycle.reverse();
            // Begin with the step that stands first in the file.
            let first = cycle.iter().enumerate().min_by_key(|(_, step)| **step).map_or(0, |(index, _)| index);
            cycle.rotate_left(first);
            return cycle;
        }
        path.push(step);
        step = *before[step].iter().find(|step| stuck(step)).expect("a step that is never ready waits for another");
    }
}

/// For each step, all that have surely ended when it starts. Steps must be numbered in sequence.
pub(super) fn ancestors(before: &Before) -> Before {
    let mut ancestors: Before = Vec::with_capacity(before.len());
    for direct in before {
        let mut all = direct.clone();
        for &step in direct {
            all.extend(&ancestors[step]);
        }
        ancestors.push(all);
    }
    ancestors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before<const N: usize>(edges: [&[usize]; N]) -> Before {
        edges.iter().map(|edges| edges.iter().copied().collect()).collect()
    }

    #[test]
    fn the_order_of_the_file_is_kept_where_it_can_be() {
        assert_eq!(sequence(&before([&[], &[], &[0, 1]])), Ok(vec![0, 1, 2]));
        assert_eq!(sequence(&before([&[2], &[], &[1]])), Ok(vec![1, 2, 0]));
    }

    #[test]
    fn a_cycle_is_named_from_its_first_step_on() {
        assert_eq!(sequence(&before([&[], &[3, 0], &[1], &[2]])), Err(vec![1, 2, 3]));
        assert_eq!(sequence(&before([&[0]])), Err(vec![0]));
        // A step behind a cycle is not a part of it.
        assert_eq!(sequence(&before([&[2], &[2], &[1]])), Err(vec![1, 2]));
    }

    #[test]
    fn ancestors_are_followed_through() {
        assert_eq!(ancestors(&before([&[], &[0], &[1], &[]]))[2], BTreeSet::from([0, 1]));
    }
}

//! Changes of inputs: any input may be changed, within its bound, and the same seed gives the same.

use super::Mutator;
use crate::random::Random;

fn changed(seed: u64, input: &[u8], other: &[u8]) -> Vec<u8> {
    let words = [b"match".to_vec(), b"{as: ".to_vec()];
    let mut mutator = Mutator { random: Random::new(seed), words: &words, bytes_max: 100 };
    let mut input = input.to_vec();
    mutator.change(&mut input, other);
    input
}

#[test]
fn inputs_of_any_size_can_be_changed() {
    let long = b"a: 1\nb: [2, 3]\n".repeat(20);
    for input in [&b""[..], b"\n", b"7", b"\n\n", b"a: 1\nb", &long] {
        for other in [&b""[..], b"\n", b"a: 2\n", &long] {
            for seed in 0..2_000 {
                assert!(changed(seed, input, other).len() <= 100);
            }
        }
    }
}

#[test]
fn a_seed_gives_one_change() {
    for seed in 0..100 {
        assert_eq!(changed(seed, b"a: 1\nb: 2\n", b"c: 3\n"), changed(seed, b"a: 1\nb: 2\n", b"c: 3\n"));
    }
}

#[test]
fn most_changes_change_something() {
    let unchanged = (0..1_000).filter(|&seed| changed(seed, b"a: 1\nb: 2\n", b"c: 3\n") == b"a: 1\nb: 2\n").count();
    assert!(unchanged < 100, "{unchanged}");
}

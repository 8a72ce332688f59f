//! What a pool keeps.

use super::Pool;

#[test]
fn an_input_with_a_new_feature_is_kept() {
    let mut pool = Pool::default();
    assert!(pool.offer(b"long", &[1, 2]));
    assert!(!pool.offer(b"later", &[1, 2]));
    assert!(pool.offer(b"other", &[2, 3]));
    assert_eq!(pool.best(), [&b"long"[..], b"other"]);
    assert_eq!(pool.features(), 3);
}

#[test]
fn a_smaller_input_takes_the_place_of_a_larger_one() {
    let mut pool = Pool::default();
    pool.offer(b"long", &[1, 2]);
    assert!(!pool.offer(b"s", &[1, 2]));
    assert_eq!(pool.best(), [&b"s"[..]]);
}

#[test]
fn the_best_has_most_for_itself() {
    let mut pool = Pool::default();
    pool.offer(b"one", &[1]);
    pool.offer(b"several", &[2, 3, 4, 5]);
    assert_eq!(pool.best(), [&b"several"[..], b"one"]);
}

//! Values as text: what holds one thing twice is written twice, as long as there is memory for it.

use super::*;
use crate::cel::push_text;
use crate::heap::{Meter, Texts};

const BYTES_MAX: usize = 1 << 20;

/// A list of two lists, each of which is the same one again, so deep; empty in the end.
fn nested(depth: usize) -> (Value, Heap) {
    let mut heap = Heap::new(Texts::default(), Meter::default(), BYTES_MAX);
    let mut list = heap.new_list(&[]);
    for _ in 0..depth {
        list = heap.new_list(&[Value::List(list), Value::List(list)]);
    }
    (Value::List(list), heap)
}

#[test]
fn shared_parts_are_written_where_they_stand() {
    let (value, heap) = nested(2);
    let (mut json, mut text) = (String::new(), String::new());
    assert_eq!(push_value(value, &heap, &mut json), Ok(()));
    assert_eq!(push_text(value, &heap, &mut text), Ok(()));
    assert_eq!((json.as_str(), text.as_str()), ("[[[],[]],[[],[]]]", "[[[], []], [[], []]]"));
}

#[test]
fn what_would_be_longer_than_memory_reaches_the_limit() {
    let (value, heap) = nested(40);
    let (mut json, mut text) = (String::new(), String::new());
    assert_eq!(push_value(value, &heap, &mut json), Err(Stop::Bytes));
    assert_eq!(push_text(value, &heap, &mut text), Err(Stop::Bytes));
    assert!(json.capacity() <= 2 * BYTES_MAX && text.capacity() <= 2 * BYTES_MAX);
    let mut json = "1,".to_owned();
    write_value(value, &heap, &mut json);
    assert_eq!(json, "1,null");
}

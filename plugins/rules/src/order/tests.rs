//! Sorting agrees with comparing, whatever the fields hold.

use proptest::prelude::*;

use super::{Order, Rows};
use crate::heap::Heap;
use crate::schema::{FieldType, Scalar};
use crate::store::double_cell;

const TEXTS: [&str; 9] =
    ["", "a", "a\0", "abcdefg", "abcdefgh", "abcdefgh\0", "abcdefghi", "b", "\u{ff}\u{ff}\u{ff}\u{ff}"];
const DOUBLES: [f64; 9] = [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, -1e-300];
const INTS: [i64; 6] = [i64::MIN, -1, 0, 1, 2, i64::MAX];

/// Columns: int, double, string, bool, int of a narrow range.
fn types() -> Vec<FieldType> {
    let scalars = [Scalar::Int, Scalar::Double, Scalar::String, Scalar::Bool, Scalar::Int];
    scalars.map(|scalar| FieldType { scalar, list: false }).to_vec()
}

#[test]
fn many_rows_are_sorted_as_few() {
    let heap = Heap::default();
    let cells: Vec<u64> =
        (0..10_000_u64).flat_map(|row| [row * 7919 % 1000, (row * 104_729 % 300).wrapping_sub(150)]).collect();
    let view = Rows { cells: &cells, stride: 2, mask: None };
    let types = [FieldType { scalar: Scalar::Int, list: false }; 2];
    for fields in [&[0_u16, 1][..], &[1], &[]] {
        let order = Order { fields, types: &types };
        let mut compared: Vec<u32> = (0..10_000).collect();
        compared.sort_by(|&left, &right| order.compare(view, &heap, left, right));
        for mut numbers in [(0..10_000).collect::<Vec<u32>>(), (0..10_000).rev().collect()] {
            order.sort(view, &heap, &mut numbers);
            assert_eq!(numbers, compared, "by {fields:?}");
        }
    }
}

proptest! {
    #[test]
    fn rows_are_sorted_as_they_compare(
        rows in prop::collection::vec((0..6_usize, 0..9_usize, 0..9_usize, 0..2_u64, -3..3_i64, 0..32_u64), 0..40),
        fields in prop::collection::vec(0..5_u16, 0..4),
    ) {
        let mut heap = Heap::default();
        let mut cells = Vec::new();
        for &(int, double, text, bool, narrow, mask) in &rows {
            let text = heap.texts.intern(TEXTS[text].as_bytes());
            let mask = if mask < 16 { 0 } else { mask };
            cells.extend([INTS[int] as u64, double_cell(DOUBLES[double]), u64::from(text.0), bool, narrow as u64, mask]);
        }
        let view = Rows { cells: &cells, stride: 6, mask: Some(5) };
        let types = types();
        let order = Order { fields: &fields, types: &types };
        let mut sorted: Vec<u32> = (0..rows.len() as u32).rev().collect();
        order.sort(view, &heap, &mut sorted);
        let mut compared: Vec<u32> = (0..rows.len() as u32).collect();
        compared.sort_by(|&left, &right| order.compare(view, &heap, left, right));
        prop_assert_eq!(sorted, compared);
    }
}

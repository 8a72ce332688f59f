//! The furthest fact in a field, for conditions that ask for one inequality.

use super::{NONE, Table};
use crate::order::rank;
use crate::schema::{FieldType, Scalar};

/// The living row with the most or the least in a field, brought up to date when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extreme {
    field: u16,
    is_most: bool,
    /// Rows that were looked at.
    seen: u32,
    row: u32,
}

impl Table {
    /// The living row with the most (or the least) in a field of numbers, NaN aside; and how many rows were looked at.
    pub fn extreme(&self, field: u16, ty: FieldType, is_most: bool) -> (u32, u32) {
        let mut extremes = self.extremes.borrow_mut();
        let place = extremes.iter().position(|known| (known.field, known.is_most) == (field, is_most));
        let place = place.unwrap_or_else(|| {
            extremes.push(Extreme { field, is_most, seen: 0, row: NONE });
            extremes.len() - 1
        });
        let known = &mut extremes[place];
        if known.row != NONE && !self.is_alive(known.row) {
            (known.seen, known.row) = (0, NONE);
        }
        let is_number = |cell: u64| ty.scalar != Scalar::Double || !f64::from_bits(cell).is_nan();
        let looked_at = self.rows - known.seen;
        for row in known.seen..self.rows {
            let cell = self.cell(row, field);
            if !self.is_alive(row) || !is_number(cell) {
                continue;
            }
            let is_further = known.row == NONE || {
                let (new, old) = (rank(cell, ty), rank(self.cell(known.row, field), ty));
                if is_most { new > old } else { new < old }
            };
            if is_further {
                known.row = row;
            }
        }
        known.seen = self.rows;
        (known.row, looked_at)
    }
}

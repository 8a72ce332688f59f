//! What a field allows, of values that came into being in a run or from outside.

use crate::heap::Heap;
use crate::schema::{Constant, FieldSchema, Scalar};
use crate::value::Text;

/// Whether a scalar (or an element of a list) may stand in a field.
pub(super) fn cell(cell: u64, field: &FieldSchema, heap: &Heap) -> Result<(), String> {
    match field.ty.scalar {
        Scalar::Double => {
            let value = f64::from_bits(cell);
            if value.is_nan() {
                return if field.nan { Ok(()) } else { Err("NaN is not allowed".to_owned()) };
            }
            if matches!(field.min, Some(Constant::Double(min)) if value < min)
                || matches!(field.max, Some(Constant::Double(max)) if value > max)
            {
                return Err(format!("{value} is outside of what the template allows"));
            }
        }
        Scalar::Int | Scalar::Timestamp | Scalar::Duration => {
            let value = cell as i64;
            if matches!(field.min, Some(Constant::Int(min)) if value < min)
                || matches!(field.max, Some(Constant::Int(max)) if value > max)
            {
                return Err(format!("{value} is outside of what the template allows"));
            }
        }
        Scalar::Enum => {
            let text = heap.text(Text(cell as u32));
            if !field.values.iter().any(|known| known == text) {
                let shown: String = text.chars().take(64).collect();
                return Err(format!("`{shown}` is none of {}", field.values.join(", ")));
            }
        }
        Scalar::Bool | Scalar::String | Scalar::Bytes => {}
    }
    Ok(())
}

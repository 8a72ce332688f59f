//! Whether a constant may stand in a field.

use crate::schema::{Constant, FieldSchema, Scalar};

/// Whether a constant may stand in a field.
///
/// # Errors
/// Why not.
pub(super) fn check_constant(constant: &Constant, field: &FieldSchema) -> Result<(), String> {
    match constant {
        Constant::List(elements) => {
            if field.len.is_some_and(|len| len as usize != elements.len()) {
                return Err(format!("{} elements instead of {}", elements.len(), field.len.unwrap_or_default()));
            }
            elements.iter().try_for_each(|element| check_constant(element, field))
        }
        Constant::Double(value) if value.is_nan() => match field.nan {
            true => Ok(()),
            false => Err("NaN is not allowed".to_owned()),
        },
        Constant::Text(text) if field.ty.scalar == Scalar::Enum && !field.values.contains(text) => {
            Err(format!("`{text}` is none of {}", field.values.join(", ")))
        }
        _ => {
            let below = field.min.as_ref().is_some_and(|min| is_less(constant, min));
            let above = field.max.as_ref().is_some_and(|max| is_less(max, constant));
            if below || above { Err("outside of what the template allows".to_owned()) } else { Ok(()) }
        }
    }
}

pub(super) fn is_less(left: &Constant, right: &Constant) -> bool {
    match (left, right) {
        (Constant::Int(left), Constant::Int(right)) => left < right,
        (Constant::Double(left), Constant::Double(right)) => left < right,
        _ => false,
    }
}

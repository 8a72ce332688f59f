//! Whether a step's `when` holds. Equality only: there are no expressions in the host.

use serde_json::Value;

use super::super::values;
use super::Condition;
use crate::infer::Parameters;
use crate::tensor::{Datatype, Tensor};

impl Condition {
    /// Whether the step runs. An absent parameter or tensor equals nothing.
    pub fn holds(&self, parameters: &Parameters, slots: &[Option<Tensor>]) -> bool {
        match self {
            Self::Parameter { name, equals } => parameters.get(name) == Some(equals),
            Self::Tensor { slot, equals } => {
                slots.get(*slot).and_then(Option::as_ref).is_some_and(|tensor| element_equals(tensor, equals))
            }
        }
    }
}

fn element_equals(tensor: &Tensor, value: &Value) -> bool {
    if tensor.count() != 1 {
        return false;
    }
    match tensor.datatype() {
        Datatype::Bytes => value.as_str().is_some_and(|text| tensor.element(0) == Some(text.as_bytes())),
        // As text is compared with text, -0.0 equals 0.0 and a number outside of the datatype equals nothing.
        datatype => values::tensor(datatype, &[], value).is_ok_and(|other| {
            other.bytes() == tensor.bytes()
                || (is_float(datatype) && values::numbers(&other) == values::numbers(tensor))
        }),
    }
}

fn is_float(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

/// Whether an element of this datatype can equal the value at all.
pub(super) fn is_comparable(datatype: Datatype, value: &Value) -> bool {
    match datatype {
        Datatype::Bytes => value.is_string(),
        datatype => values::tensor(datatype, &[], value).is_ok(),
    }
}

//! Whether one tensor's datatype and shape can be another's, as far as they are known. Knows no step.

use crate::tensor::{Tensor, TensorSpec};

/// Why a tensor like `given` can never be what `asked` wants; `None` where it can, or where too little is known.
pub(super) fn conflict(given: &TensorSpec, asked: &TensorSpec) -> Option<String> {
    if let (Some(given), Some(asked)) = (given.datatype, asked.datatype)
        && given != asked
    {
        return Some(format!("is {given}, must be {asked}"));
    }
    let (Some(given_shape), Some(asked_shape)) = (&given.shape, &asked.shape) else { return None };
    if given_shape.len() != asked_shape.len() {
        return Some(format!(
            "has {} dimensions {given_shape:?}, must have {} {asked_shape:?}",
            given_shape.len(),
            asked_shape.len()
        ));
    }
    let differs = |(&given, &asked): (&i64, &i64)| given >= 0 && asked >= 0 && given != asked;
    if given_shape.iter().zip(asked_shape).any(differs) {
        return Some(format!("has shape {given_shape:?}, must be {asked_shape:?}"));
    }
    for (axis, (&dimension, &multiple)) in given_shape.iter().zip(&asked.multiple_of).enumerate() {
        if multiple > 1 && u64::try_from(dimension).is_ok_and(|dimension| dimension % multiple != 0) {
            return Some(format!("has dimension {axis} of {dimension}, must be a multiple of {multiple}"));
        }
    }
    None
}

/// What `declared` leaves open, as `reader` asks for it.
pub(super) fn refine(declared: &mut TensorSpec, reader: &TensorSpec) {
    declared.datatype = declared.datatype.or(reader.datatype);
    let Some(asked) = &reader.shape else { return };
    match &mut declared.shape {
        None => declared.shape = Some(asked.clone()),
        Some(shape) if shape.len() == asked.len() => {
            for (dimension, &asked) in shape.iter_mut().zip(asked) {
                if *dimension < 0 {
                    *dimension = asked;
                }
            }
        }
        Some(_) => return,
    }
    if declared.multiple_of.len() < reader.multiple_of.len() {
        declared.multiple_of.resize(reader.multiple_of.len(), 1);
    }
    for (mine, &asked) in declared.multiple_of.iter_mut().zip(&reader.multiple_of) {
        *mine = least_common_multiple((*mine).max(1), asked.max(1));
    }
}

/// What is true of both the step's own output and of the tensor that stands in for it.
pub(super) fn loosen(spec: &mut TensorSpec, default: &Tensor) {
    if let Some(shape) = &mut spec.shape {
        for (dimension, &other) in shape.iter_mut().zip(default.shape()) {
            if u64::try_from(*dimension) != Ok(other) {
                *dimension = -1;
            }
        }
    }
}

/// Why `default` cannot stand in for an output like `spec`. Its dimensions may differ, such as none for some.
pub(super) fn default_conflict(spec: &TensorSpec, default: &Tensor) -> Option<String> {
    if let Some(datatype) = spec.datatype
        && datatype != default.datatype()
    {
        return Some(format!("is {}, the step gives {datatype}", default.datatype()));
    }
    let rank = spec.shape.as_ref()?.len();
    (rank != default.shape().len()).then(|| format!("has {} dimensions, the step gives {rank}", default.shape().len()))
}

fn least_common_multiple(one: u64, other: u64) -> u64 {
    let (mut a, mut b) = (one, other);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (one / a).saturating_mul(other)
}

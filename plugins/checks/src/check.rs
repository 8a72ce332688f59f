//! One check of one tensor. Bytes are read only where the host's summary can't tell, and in windows.

use inferwit_plugin::{Datatype, Element, Failure, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// So many elements are read at once.
const WINDOW: u64 = 1 << 16;

/// What is expected of a tensor.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// No element is infinite or not a number.
    Finite(Nothing),
    /// Every element lies between `min` and `max`, both included.
    Range(Range),
    /// The dimensions; -1 is any.
    Shape(#[schemars(length(max = 16))] Vec<i64>),
    /// The number of rows, the first dimension, lies between `min` and `max`, both included.
    Count(Count),
    /// Every row is a box of left, top, right and bottom that lies inside the picture.
    Inside(Inside),
}

/// No options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    /// The tensor that holds width and height of the picture.
    pub size: String,
    /// So many pixels outside are forgiven.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub tolerance: f64,
}

/// How a tensor is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    /// Follows the tensor's name.
    pub(crate) message: String,
    /// The first element or row, where one is to blame.
    pub(crate) index: Option<u64>,
    pub(crate) count: u64,
}

impl Expectation {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Finite(_) => "finite",
            Self::Range(_) => "range",
            Self::Shape(_) => "shape",
            Self::Count(_) => "count",
            Self::Inside(_) => "inside",
        }
    }

    /// What can be wrong with it before any tensor is seen.
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        let fits = match self {
            Self::Finite(_) => true,
            Self::Range(Range { min, max }) => {
                (min.is_some() || max.is_some()) && min.zip(*max).is_none_or(|(min, max)| min <= max)
            }
            Self::Count(Count { min, max }) => {
                (min.is_some() || max.is_some()) && min.zip(*max).is_none_or(|(min, max)| min <= max)
            }
            Self::Shape(shape) => shape.len() <= 16 && shape.iter().all(|&dimension| dimension >= -1),
            Self::Inside(inside) => inside.tolerance.is_finite() && inside.tolerance >= 0.0,
        };
        match self {
            _ if fits => Ok(()),
            Self::Shape(_) => Err("more than 16 dimensions, or one below -1"),
            Self::Inside(_) => Err("`tolerance` is negative or no finite number"),
            _ => Err("neither `min` nor `max`, or `min` is above `max`"),
        }
    }

    /// The second tensor that it needs.
    pub(crate) fn other_tensor(&self) -> Option<&str> {
        match self {
            Self::Inside(inside) => Some(&inside.size),
            _ => None,
        }
    }

    /// Looks at a tensor.
    pub(crate) fn look(&self, tensor: &Tensor, other: Option<&Tensor>) -> Result<Option<Offence>, Failure> {
        match self {
            Self::Finite(_) => finite(tensor),
            Self::Range(range) => range.look(tensor),
            Self::Shape(expected) => Ok(shape(tensor, expected)),
            Self::Count(count) => Ok(count.look(tensor)),
            Self::Inside(inside) => match other {
                Some(size) => inside.look(tensor, size),
                None => Err(Failure::internal("the picture's size was not looked up")),
            },
        }
    }
}

fn finite(tensor: &Tensor) -> Result<Option<Offence>, Failure> {
    if !matches!(tensor.datatype(), Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64) {
        return Ok(None);
    }
    let summary = tensor.summarize()?;
    let count = summary.nan_count + summary.infinite_count;
    if count == 0 {
        return Ok(None);
    }
    let index = first(tensor, |value| !value.is_finite())?;
    Ok(Some(Offence { message: format!("has {count} elements that are no finite numbers"), index, count }))
}

impl Range {
    fn look(self, tensor: &Tensor) -> Result<Option<Offence>, Failure> {
        let (min, max) = (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY));
        let summary = tensor.summarize()?;
        let all_finite = summary.nan_count + summary.infinite_count == 0;
        if summary.count == 0 || (all_finite && min <= summary.min && summary.max <= max) {
            return Ok(None);
        }
        let outside = |value: f64| !(min <= value && value <= max);
        let mut index = None;
        let mut count = 0;
        each(tensor, |place, value| {
            if outside(value) {
                index.get_or_insert(place);
                count += 1;
            }
            true
        })?;
        let message = format!("has {count} elements outside of {min} to {max}");
        Ok((count > 0).then_some(Offence { message, index, count }))
    }
}

fn shape(tensor: &Tensor, expected: &[i64]) -> Option<Offence> {
    let shape = tensor.shape();
    let fits = shape.len() == expected.len()
        && shape
            .iter()
            .zip(expected)
            .all(|(&got, &expected)| u64::try_from(expected).is_ok_and(|e| e == got) || expected < 0);
    let message = format!("has shape {shape:?} and should have {expected:?}");
    (!fits).then_some(Offence { message, index: None, count: 1 })
}

impl Count {
    fn look(self, tensor: &Tensor) -> Option<Offence> {
        let rows = tensor.shape().first().copied().unwrap_or(1);
        let (min, max) = (self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX));
        if rows < min {
            return Some(Offence { message: format!("has {rows} rows, fewer than {min}"), index: None, count: rows });
        }
        (rows > max).then(|| Offence { message: format!("has {rows} rows, more than {max}"), index: None, count: rows })
    }
}

impl Inside {
    fn look(&self, tensor: &Tensor, size: &Tensor) -> Result<Option<Offence>, Failure> {
        let shape = tensor.shape();
        let &[_, 4] = shape.as_slice() else {
            let message = format!("has shape {shape:?} and should hold boxes, [-1, 4]");
            return Ok(Some(Offence { message, index: None, count: 1 }));
        };
        let mut sides = Vec::new();
        each(size, |_, side| {
            sides.push(side);
            sides.len() < 3
        })?;
        let &[width, height] = sides.as_slice() else {
            return Err(Failure::invalid(format!("input `{}` must hold width and height", self.size)));
        };
        let (mut index, mut count) = (None, 0);
        let mut corners = [0.0; 4];
        each(tensor, |place, value| {
            let corner = usize::try_from(place % 4).expect("less than 4");
            corners[corner] = value;
            if corner == 3 && !self.holds(corners, width, height) {
                index.get_or_insert(place / 4);
                count += 1;
            }
            true
        })?;
        let message = format!("has {count} boxes that are not inside the picture of {width} x {height}");
        Ok((count > 0).then_some(Offence { message, index, count }))
    }

    fn holds(&self, [left, top, right, bottom]: [f64; 4], width: f64, height: f64) -> bool {
        let low = -self.tolerance;
        let inside = low <= left && low <= top && right <= width + self.tolerance && bottom <= height + self.tolerance;
        inside && left <= right && top <= bottom
    }
}

/// The place of the first element of which this is true.
fn first(tensor: &Tensor, is: impl Fn(f64) -> bool) -> Result<Option<u64>, Failure> {
    let mut found = None;
    each(tensor, |place, value| {
        if is(value) {
            found = Some(place);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// Shows each element with its place, until `see` says that it has seen enough.
fn each(tensor: &Tensor, see: impl FnMut(u64, f64) -> bool) -> Result<(), Failure> {
    match tensor.datatype() {
        Datatype::Fp32 => each_of::<f32>(tensor, f64::from, see),
        Datatype::Fp64 => each_of::<f64>(tensor, |value| value, see),
        Datatype::Bool | Datatype::Bytes => {
            Err(Failure::invalid(format!("{} elements are no numbers", tensor.datatype().name())))
        }
        // Rarer ones are converted by the host.
        _ => each_of::<f64>(&tensor.cast(Datatype::Fp64)?, |value| value, see),
    }
}

fn each_of<T: Element>(
    tensor: &Tensor,
    number: impl Fn(T) -> f64,
    mut see: impl FnMut(u64, f64) -> bool,
) -> Result<(), Failure> {
    for window in tensor.windows::<T>(WINDOW) {
        let (start, values) = window?;
        for (place, &value) in (start..).zip(values.iter()) {
            if !see(place, number(value)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

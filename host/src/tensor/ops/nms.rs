//! `nms`: of boxes that overlap, the best one.

use super::super::{Datatype, Tensor};
use super::{Limits, OpError, cast, tensor_of};

/// How four numbers say a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxFormat {
    /// Two opposite corners, in any order: `y1, x1, y2, x2` or `x1, y1, x2, y2`.
    Corners,
    /// `x, y, width, height`, from the middle.
    CenterSize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NmsOptions {
    pub format: BoxFormat,
    /// Boxes that share more than this part of what they cover together are one; 0 to 1.
    pub iou_threshold: f32,
    /// Only boxes with a better score are looked at; -infinity for all of them.
    pub score_threshold: f32,
    /// The most boxes of a class in a batch; 0: none, as in ONNX.
    pub max_per_class: u32,
}

/// As ONNX NonMaxSuppression: boxes `[batch, n, 4]`, scores `[batch, classes, n]`; gives int64 `[kept, 3]`: batch, class,
/// box, best first within a class, equal scores in the order of their boxes. Other numbers are cast to fp32 first.
///
/// Both thresholds are exclusive. A score of NaN is never kept; a box without an area overlaps nothing.
///
/// # Errors
/// `DatatypeMismatch` for `BYTES` and `BOOL`; `ShapeMismatch`; `InvalidArgument` for thresholds; `OutOfTime`.
pub fn nms(boxes: &Tensor, scores: &Tensor, options: &NmsOptions, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    for tensor in [boxes, scores] {
        if matches!(tensor.datatype(), Datatype::Bytes | Datatype::Bool) {
            return Err(OpError::DatatypeMismatch(tensor.datatype()));
        }
    }
    let (&[batches, count, 4], &[score_batches, classes, score_count]) = (boxes.shape(), scores.shape()) else {
        return Err(shapes_differ(boxes, scores));
    };
    if batches != score_batches || count != score_count {
        return Err(shapes_differ(boxes, scores));
    }
    if !(0.0..=1.0).contains(&options.iou_threshold) {
        return Err(OpError::InvalidArgument(format!("an overlap of {}", options.iou_threshold)));
    }
    if options.score_threshold.is_nan() {
        return Err(OpError::InvalidArgument("a score threshold that is no number".to_owned()));
    }
    if scores.count() == 0 || options.max_per_class == 0 {
        return Ok(tensor_of::<i64>(Datatype::Int64, &[0, 3], Vec::new()));
    }
    // Invariant: the candidates of one class (8 bytes each) and what is kept of them (20 bytes each).
    let count = count as usize;
    let wide = |tensor: &Tensor| if tensor.datatype() == Datatype::Fp32 { 0 } else { 4 * tensor.count() as u64 };
    let scratch = 28 * count as u64 + wide(boxes) + wide(scores);
    limits.claim_bytes(scratch)?;
    let (boxes, scores) = (cast(boxes, Datatype::Fp32, limits)?, cast(scores, Datatype::Fp32, limits)?);
    let (corners, _) = boxes.as_slice::<f32>().expect("cast to fp32").as_chunks::<4>();
    let scores = scores.as_slice::<f32>().expect("cast to fp32");
    let mut result: Vec<i64> = Vec::new();
    let mut class_of_boxes = Class::default();
    for (row, scores) in scores.chunks_exact(count).enumerate() {
        let (batch, class) = (row / classes as usize, row % classes as usize);
        class_of_boxes.select(&corners[batch * count..(batch + 1) * count], scores, options, limits)?;
        // Growing doubles, and copies.
        let entries = result.len() + 3 * class_of_boxes.kept.len();
        limits.claim_bytes(scratch.saturating_add(24 * entries as u64))?;
        for &index in &class_of_boxes.kept {
            result.extend([batch as i64, class as i64, i64::from(index)]);
        }
    }
    let kept = (result.len() / 3) as u64;
    Ok(tensor_of(Datatype::Int64, &[kept, 3], result))
}

fn shapes_differ(boxes: &Tensor, scores: &Tensor) -> OpError {
    OpError::ShapeMismatch(format!(
        "boxes {:?} and scores {:?}, must be [batch, n, 4] and [batch, classes, n]",
        boxes.shape(),
        scores.shape()
    ))
}

/// The selection within one class; its memory is used again for the next.
#[derive(Default)]
struct Class {
    candidates: Vec<(f32, u32)>,
    kept: Vec<u32>,
    kept_corners: Vec<Corners>,
}

impl Class {
    fn select(
        &mut self,
        boxes: &[[f32; 4]],
        scores: &[f32],
        options: &NmsOptions,
        limits: &Limits<'_>,
    ) -> Result<(), OpError> {
        self.candidates.clear();
        self.kept.clear();
        self.kept_corners.clear();
        let above = scores.iter().zip(0_u32..).filter(|&(&score, _)| score > options.score_threshold);
        self.candidates.extend(above.map(|(&score, index)| (score, index)));
        self.candidates.sort_unstable_by(|one, other| {
            // No NaN is above the threshold. Adding 0 makes -0 the same as 0.
            (other.0 + 0.0).total_cmp(&(one.0 + 0.0)).then(one.1.cmp(&other.1))
        });
        for (looked_at, &(_, index)) in self.candidates.iter().enumerate() {
            if self.kept.len() == options.max_per_class as usize {
                break;
            }
            if looked_at % 64 == 0 {
                limits.check_time()?;
            }
            let corners = Corners::of(boxes[index as usize], options.format);
            if !corners.overlap_any(&self.kept_corners, options.iou_threshold) {
                self.kept.push(index);
                self.kept_corners.push(corners);
            }
        }
        Ok(())
    }
}

/// A box by its least and greatest corner.
#[derive(Clone, Copy)]
struct Corners {
    least: [f32; 2],
    greatest: [f32; 2],
}

impl Corners {
    fn of([a, b, c, d]: [f32; 4], format: BoxFormat) -> Self {
        match format {
            BoxFormat::Corners => Self { least: [a.min(c), b.min(d)], greatest: [a.max(c), b.max(d)] },
            BoxFormat::CenterSize => {
                let (width, height) = (c / 2.0, d / 2.0);
                Self { least: [a - width, b - height], greatest: [a + width, b + height] }
            }
        }
    }

    fn area(self) -> f32 {
        (self.greatest[0] - self.least[0]) * (self.greatest[1] - self.least[1])
    }

    fn overlap_any(self, kept: &[Self], threshold: f32) -> bool {
        // Eight at a time without a branch between them.
        kept.chunks(8).any(|kept| kept.iter().fold(false, |any, &other| any | self.overlaps(other, threshold)))
    }

    fn overlaps(self, other: Self, threshold: f32) -> bool {
        let width = self.greatest[0].min(other.greatest[0]) - self.least[0].max(other.least[0]);
        let height = self.greatest[1].min(other.greatest[1]) - self.least[1].max(other.least[1]);
        let (area, other_area) = (self.area(), other.area());
        let shared = width * height;
        let together = area + other_area - shared;
        let has_area = (width > 0.0) & (height > 0.0) & (area > 0.0) & (other_area > 0.0) & (together > 0.0);
        has_area & (shared / together > threshold)
    }
}

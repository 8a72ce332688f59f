//! Non-maximum suppression: of detections that overlap, the best one stays. Greedy, in the order of their scores.

use crate::Detection;

/// Drops each candidate that overlaps a better one, which itself stays, by `overlap` of their union or more.
///
/// Candidates come best first, and what stays keeps this order.
pub(crate) fn suppress(candidates: Vec<Detection>, overlap: f32) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in candidates {
        if !kept.iter().any(|better| shared(&better.corners, &candidate.corners) >= overlap) {
            kept.push(candidate);
        }
    }
    kept
}

/// The intersection of two boxes as a share of their union; 0 for boxes without area.
fn shared(left: &[f32; 4], right: &[f32; 4]) -> f32 {
    let area = |corners: &[f32; 4]| (corners[2] - corners[0]) * (corners[3] - corners[1]);
    let width = left[2].min(right[2]) - left[0].max(right[0]);
    let height = left[3].min(right[3]) - left[1].max(right[1]);
    let intersection = width.max(0.0) * height.max(0.0);
    let union = area(left) + area(right) - intersection;
    if union > 0.0 { intersection / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(corners: [f32; 4], score: f32) -> Detection {
        Detection { corners, score, landmarks: [0.0; 10] }
    }

    #[test]
    fn the_better_one_of_two_that_overlap_stays() {
        let best = detection([0.0, 0.0, 10.0, 10.0], 0.9);
        let beside = detection([20.0, 0.0, 30.0, 10.0], 0.7);
        let near = detection([1.0, 1.0, 11.0, 11.0], 0.8);
        assert_eq!(suppress(vec![best.clone(), near, beside.clone()], 0.3), [best, beside]);
    }

    #[test]
    fn what_overlaps_only_a_dropped_one_stays() {
        let boxes = [[0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0], [8.0, 0.0, 18.0, 10.0]];
        let candidates: Vec<_> = boxes.into_iter().map(|corners| detection(corners, 0.5)).collect();
        let kept = suppress(candidates.clone(), 0.3);
        assert_eq!(kept, [candidates[0].clone(), candidates[2].clone()]);
    }

    #[test]
    fn overlap_is_a_share_of_the_union() {
        assert_eq!(shared(&[0.0, 0.0, 2.0, 1.0], &[1.0, 0.0, 3.0, 1.0]), 1.0 / 3.0);
        assert_eq!(shared(&[0.0, 0.0, 1.0, 1.0], &[5.0, 5.0, 6.0, 6.0]), 0.0);
        assert_eq!(shared(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0, 1.0, 1.0]), 0.0);
    }
}

//! The outputs of CenterFace: four maps with one cell for each 4 x 4 pixels. What overlaps is `suppress`'s matter.

use inferwit_plugin::{Failure, Inputs, Tensor};

use crate::{Bounds, Detection};

/// Pixels of a cell, in both directions.
const STRIDE: f32 = 4.0;

/// The best cells above the threshold, best first; equal ones in the order of their cells.
pub(crate) fn decode(
    inputs: &mut Inputs,
    threshold: f32,
    count_max: usize,
    bounds: &Bounds,
) -> Result<Vec<Detection>, Failure> {
    let heat = inputs.take("heat")?;
    let shape = heat.shape();
    let &[1, 1, height, width] = shape.as_slice() else {
        return Err(Failure::invalid(format!("input `heat` is {shape:?} and must be [1, 1, height, width]")));
    };
    let cells = height * width;
    let mut peaks: Vec<(u64, f32)> =
        (0..).zip(heat.values::<f32>()?.iter().copied()).filter(|&(_, score)| score > threshold).collect();
    peaks.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    peaks.truncate(count_max);
    let (Some(first), Some(last)) = (peaks.iter().map(|peak| peak.0).min(), peaks.iter().map(|peak| peak.0).max())
    else {
        return Ok(Vec::new());
    };
    let span = Span { first, count: last - first + 1, cells, shape: [height, width] };
    let maps = Maps {
        scale: span.read::<2>(&inputs.take("scale")?, "scale")?,
        offset: span.read::<2>(&inputs.take("offset")?, "offset")?,
        landmarks: span.read::<10>(&inputs.take("landmarks")?, "landmarks")?,
    };
    let detections = peaks.into_iter().map(|(cell, score)| {
        let place = usize::try_from(cell - first).expect("the span lies in memory");
        maps.detection(place, [cell % width, cell / width], score, bounds)
    });
    Ok(detections.collect())
}

/// The cells from the first peak to the last: all that is read of a map.
struct Span {
    first: u64,
    count: u64,
    cells: u64,
    shape: [u64; 2],
}

impl Span {
    fn read<const CHANNELS: usize>(&self, map: &Tensor, name: &str) -> Result<[Vec<f32>; CHANNELS], Failure> {
        let expected = [1, CHANNELS as u64, self.shape[0], self.shape[1]];
        let shape = map.shape();
        if shape != expected {
            return Err(Failure::invalid(format!("input `{name}` is {shape:?} and must be {expected:?}")));
        }
        let mut channels = [const { Vec::new() }; CHANNELS];
        for (channel, values) in (0..).zip(&mut channels) {
            *values = map.window::<f32>(channel * self.cells + self.first, self.count)?.to_vec();
        }
        Ok(channels)
    }
}

/// The three maps beside the heat, over the span. Of each pair of channels the first is vertical.
struct Maps {
    scale: [Vec<f32>; 2],
    offset: [Vec<f32>; 2],
    landmarks: [Vec<f32>; 10],
}

impl Maps {
    #[expect(clippy::cast_precision_loss, reason = "no map has more than 2^24 cells in a row")]
    fn detection(&self, place: usize, cell: [u64; 2], score: f32, bounds: &Bounds) -> Detection {
        let [column, row] = cell.map(|index| index as f32);
        let width = self.scale[1][place].exp() * STRIDE;
        let height = self.scale[0][place].exp() * STRIDE;
        let left = (column + self.offset[1][place] + 0.5) * STRIDE - width / 2.0;
        let top = (row + self.offset[0][place] + 0.5) * STRIDE - height / 2.0;
        let x = |x: f32| x / bounds.ratio[0];
        let y = |y: f32| y / bounds.ratio[1];
        let clip_x = |value: f32| x(value).clamp(0.0, bounds.size[0]);
        let clip_y = |value: f32| y(value).clamp(0.0, bounds.size[1]);
        let mut landmarks = [0.0; 10];
        for (point, channels) in landmarks.chunks_exact_mut(2).zip(self.landmarks.chunks_exact(2)) {
            point[0] = x(left + channels[1][place] * width);
            point[1] = y(top + channels[0][place] * height);
        }
        Detection { corners: [clip_x(left), clip_y(top), clip_x(left + width), clip_y(top + height)], score, landmarks }
    }
}

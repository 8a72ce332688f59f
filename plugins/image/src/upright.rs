//! Turns a picture upright while it is handed to the host. Without a turn it is handed over as it is.

use image::metadata::Orientation;
use inferwit_plugin::{Datatype, Tensor, TensorError};

use crate::decode::Picture;

/// So many bytes are turned before they are written, to need no second picture in memory.
const BLOCK_BYTES: usize = 1 << 18;

/// The upright pixels as a tensor of shape [1, height, width, channels].
pub(crate) fn upright(picture: Picture) -> Result<Tensor, TensorError> {
    let (width, height) = picture.upright_size();
    let shape = [1, u64::from(height), u64::from(width), u64::from(picture.channels)];
    if picture.orientation == Orientation::NoTransforms {
        return Tensor::from_bytes(Datatype::Uint8, &shape, &picture.pixels);
    }
    let tensor = Tensor::zeros(Datatype::Uint8, &shape)?;
    let walk = Walk::of(&picture);
    let row_bytes = width as usize * usize::from(picture.channels);
    let block_rows = u32::try_from((BLOCK_BYTES / row_bytes).max(1)).unwrap_or(height);
    let mut block = Vec::with_capacity(block_rows.min(height) as usize * row_bytes);
    for first in (0..height).step_by(block_rows as usize) {
        block.clear();
        for row in first..height.min(first.saturating_add(block_rows)) {
            match picture.channels {
                1 => walk.copy_row::<1>(&picture.pixels, row, width, &mut block),
                _ => walk.copy_row::<3>(&picture.pixels, row, width, &mut block),
            }
        }
        tensor.write(u64::from(first) * row_bytes as u64, &block)?;
    }
    Ok(tensor)
}

/// The stored pixel of an upright one at (x, y) is `start + x * right + y * down`.
struct Walk {
    start: i64,
    right: i64,
    down: i64,
}

impl Walk {
    fn of(picture: &Picture) -> Self {
        let (width, height) = (i64::from(picture.width), i64::from(picture.height));
        let last = width * height - 1;
        let (start, right, down) = match picture.orientation {
            Orientation::NoTransforms => (0, 1, width),
            Orientation::FlipHorizontal => (width - 1, -1, width),
            Orientation::Rotate180 => (last, -1, -width),
            Orientation::FlipVertical => (last - (width - 1), 1, -width),
            Orientation::Rotate90FlipH => (0, width, 1),
            Orientation::Rotate90 => (last - (width - 1), -width, 1),
            Orientation::Rotate270FlipH => (last, -width, -1),
            Orientation::Rotate270 => (width - 1, width, -1),
        };
        Self { start, right, down }
    }

    fn copy_row<const CHANNELS: usize>(&self, pixels: &[u8], row: u32, width: u32, block: &mut Vec<u8>) {
        let mut place = self.start + i64::from(row) * self.down;
        for _ in 0..width {
            let byte = usize::try_from(place).expect("a walk stays inside the picture") * CHANNELS;
            block.extend_from_slice(&pixels[byte..byte + CHANNELS]);
            place += self.right;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exif: u8, shape: [u64; 2], expected: &[u8]) {
        let orientation = Orientation::from_exif(exif).unwrap();
        let picture = Picture { width: 3, height: 2, channels: 1, pixels: vec![1, 2, 3, 4, 5, 6], orientation };
        let tensor = upright(picture).unwrap();
        assert_eq!(tensor.shape(), [1, shape[0], shape[1], 1], "orientation {exif}");
        assert_eq!(tensor.read_vec::<u8>().unwrap(), expected, "orientation {exif}");
    }

    #[test]
    fn all_eight_orientations_come_upright() {
        check(1, [2, 3], &[1, 2, 3, 4, 5, 6]);
        check(2, [2, 3], &[3, 2, 1, 6, 5, 4]);
        check(3, [2, 3], &[6, 5, 4, 3, 2, 1]);
        check(4, [2, 3], &[4, 5, 6, 1, 2, 3]);
        check(5, [3, 2], &[1, 4, 2, 5, 3, 6]);
        check(6, [3, 2], &[4, 1, 5, 2, 6, 3]);
        check(7, [3, 2], &[6, 3, 5, 2, 4, 1]);
        check(8, [3, 2], &[3, 6, 2, 5, 1, 4]);
    }
}

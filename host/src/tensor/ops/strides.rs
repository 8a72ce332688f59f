//! How a moved tensor's elements lie in the memory of the one they come from. No elements are read here.

/// Dimensions of a result, outermost first, each with the distance in the source between two neighbours along it.
///
/// Dimensions of one entry are left out and dimensions that lie as one in both are merged, so that with an element at all
/// there are at most 62.
#[derive(Debug)]
pub(super) struct Strided {
    pub(super) dimensions: Vec<(usize, usize)>,
}

impl Strided {
    pub(super) fn new(dimensions: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (size, stride) in dimensions.filter(|&(size, _)| size != 1) {
            match merged.last_mut() {
                Some(last) if last.1 == size * stride => *last = (last.0 * size, stride),
                _ => merged.push((size, stride)),
            }
        }
        Self { dimensions: merged }
    }

    /// Calls `with` with where each innermost block of the last `block_rank` dimensions begins in the source.
    pub(super) fn each_block(&self, block_rank: usize, mut with: impl FnMut(usize)) {
        let outer = &self.dimensions[..self.dimensions.len().saturating_sub(block_rank)];
        let mut position = vec![0_usize; outer.len()];
        let mut offset = 0;
        loop {
            with(offset);
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                let (size, stride) = outer[axis];
                position[axis] += 1;
                offset += stride;
                if position[axis] < size {
                    break;
                }
                offset -= size * stride;
                position[axis] = 0;
            }
        }
    }
}

/// The distance between two neighbours along each dimension of a dense tensor that has elements.
pub(super) fn dense(shape: &[u64]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as usize;
    }
    strides
}

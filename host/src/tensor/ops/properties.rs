//! No input makes a kernel panic, and results keep what tensors promise.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits<'static> = Limits { bytes: 1 << 20, is_over: &|| false };

fn datatype() -> impl Strategy<Value = Datatype> {
    prop::sample::select(&Datatype::ALL)
}

/// Small, sometimes empty, sometimes absurd.
fn dimension() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..5_u64, 4 => 5..40_u64, 1 => prop::sample::select(vec![1 << 33, u64::MAX, u64::MAX / 2])]
}

fn shape() -> impl Strategy<Value = Vec<u64>> {
    vec(0..6_u64, 0..5)
}

fn tensor_of_shape(datatype: Datatype, shape: &[u64], seed: &[u8]) -> Tensor {
    let count = element_count(shape).unwrap();
    let byte = |index: usize| seed[index % seed.len()].wrapping_add((index / seed.len()) as u8);
    if datatype == Datatype::Bytes {
        let elements: Vec<Vec<u8>> = (0..count).map(|index| vec![byte(index); usize::from(byte(index) % 4)]).collect();
        return Tensor::from_elements(shape, &elements).unwrap();
    }
    let limit = if datatype == Datatype::Bool { 2 } else { 255 };
    let bytes: Vec<u8> = (0..count * datatype.width().unwrap()).map(|index| byte(index) % limit).collect();
    Tensor::from_bytes(datatype, shape, &bytes).unwrap()
}

prop_compose! {
    fn tensor()(datatype in datatype(), shape in shape(), seed in vec(any::<u8>(), 1..40)) -> Tensor {
        tensor_of_shape(datatype, &shape, &seed)
    }
}

fn is_sound(result: Result<Tensor, OpError>) {
    if let Ok(tensor) = result {
        Tensor::from_bytes(tensor.datatype(), tensor.shape(), tensor.bytes()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn moving_never_panics(
        input in tensor(), other in tensor(), axis in -6..6, first in vec(dimension(), 0..5), second in vec(dimension(), 0..5),
        value in any::<f64>(), permutation in vec(0..5_u32, 0..5),
    ) {
        is_sound(crop(&input, &first, &second, &LIMITS));
        is_sound(pad(&input, &first, &second, if input.datatype() == Datatype::Bytes { 0.0 } else { value }, &LIMITS));
        is_sound(transpose(&input, &permutation, &LIMITS));
        is_sound(concat(&[&input, &other, &input], axis, &LIMITS));
        is_sound(concat(&[&input, &input], axis, &LIMITS));
        is_sound(gather(&input, &other, axis, &LIMITS));
    }

    #[test]
    fn computing_never_panics(
        input in tensor(), to in datatype(), axis in -6..6, k in 0..7_u32, scale in vec(any::<f32>(), 0..5),
        bias in vec(any::<f32>(), 0..5), bytes in prop_oneof![Just(0_u64), Just(100), Just(1 << 20)],
    ) {
        let limits = Limits::bytes(bytes);
        is_sound(cast(&input, to, &limits));
        is_sound(affine(&input, &AffineOptions { scale: &scale, bias: &bias, axis, to }, &limits));
        is_sound(softmax(&input, axis, &limits));
        is_sound(sigmoid(&input, &limits));
        is_sound(argmax(&input, axis, &limits));
        if let Ok((values, indices)) = top_k(&input, k, axis, &limits) {
            prop_assert_eq!(values.shape(), indices.shape());
            is_sound(Ok(values));
        }
        let _ = summarize(&input);
    }

    #[test]
    fn resizing_never_panics(
        datatype in datatype(), shape in vec(0..9_u64, 3..5), seed in vec(any::<u8>(), 1..40),
        width in prop_oneof![9 => 0..30_u32, 1 => any::<u32>()], height in prop_oneof![9 => 0..30_u32, 1 => any::<u32>()],
        layout in prop::sample::select(vec![Layout::Nchw, Layout::Nhwc, Layout::Chw, Layout::Hwc]),
        filter in prop::sample::select(vec![Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Area, Filter::Lanczos3]),
        antialias in any::<bool>(),
    ) {
        let input = tensor_of_shape(datatype, &shape, &seed);
        is_sound(resize(&input, &ResizeOptions { width, height, layout, filter, antialias }, &LIMITS));
    }

    #[test]
    fn nms_never_panics_and_keeps_what_it_was_given(
        batches in 0..3_u64, classes in 0..3_u64, count in 0..20_u64, datatype in datatype(), seed in vec(any::<u8>(), 1..40),
        iou_threshold in prop_oneof![0.0..1.0_f32, any::<f32>()], score_threshold in any::<f32>(), max_per_class in 0..9_u32,
        centre in any::<bool>(),
    ) {
        let boxes = tensor_of_shape(datatype, &[batches, count, 4], &seed);
        let scores = tensor_of_shape(datatype, &[batches, classes, count], &seed);
        let format = if centre { BoxFormat::CenterSize } else { BoxFormat::Corners };
        let options = NmsOptions { format, iou_threshold, score_threshold, max_per_class };
        if let Ok(kept) = nms(&boxes, &scores, &options, &LIMITS) {
            for row in kept.as_slice::<i64>().unwrap().chunks(3) {
                prop_assert!(row[0] < batches as i64 && row[1] < classes as i64 && row[2] < count as i64);
            }
        }
    }

    #[test]
    fn transposing_back_gives_the_tensor_again(
        datatype in datatype(), shape in vec(1..8_u64, 4), seed in vec(any::<u8>(), 1..40),
        permutation in Just(vec![0_u32, 1, 2, 3]).prop_shuffle(),
    ) {
        let input = tensor_of_shape(datatype, &shape, &seed);
        let mut back = [0_u32; 4];
        for (index, &axis) in permutation.iter().enumerate() {
            back[axis as usize] = index as u32;
        }
        let there = transpose(&input, &permutation, &LIMITS).unwrap();
        prop_assert_eq!(transpose(&there, &back, &LIMITS).unwrap(), input);
    }

    #[test]
    fn cropping_what_was_padded_gives_the_tensor_again(
        input in tensor(), before in vec(0..4_u64, 5), after in vec(0..4_u64, 5),
    ) {
        let rank = input.shape().len();
        let padded = pad(&input, &before[..rank], &after[..rank], 0.0, &LIMITS).unwrap();
        prop_assert_eq!(crop(&padded, &before[..rank], input.shape(), &LIMITS).unwrap(), input);
    }
}

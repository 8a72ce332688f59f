//! Kernels against NumPy, ONNX and Pillow (`tests/fixtures/make_tensor_ops.py`), and what those do not define.

use base64::Engine as _;
use serde_json::Value;

use super::super::Element;
use super::*;

const ALL: Limits<'static> = Limits { bytes: 1 << 30, is_over: &|| false };

fn f32s(shape: &[u64], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

fn values<T: Element>(tensor: &Tensor) -> Vec<T> {
    tensor.as_slice::<T>().unwrap().to_vec()
}

fn read_tensor(value: &Value) -> Tensor {
    let datatype = value[0].as_str().unwrap().parse().unwrap();
    let shape = numbers(&value[1]);
    let data = base64::engine::general_purpose::STANDARD.decode(value[2].as_str().unwrap()).unwrap();
    Tensor::from_bytes(datatype, &shape, &data).unwrap()
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn run(op: &str, inputs: &[Tensor], options: &Value) -> Vec<Tensor> {
    let axis = || options["axis"].as_i64().unwrap() as i32;
    let to = || options["to"].as_str().unwrap().parse().unwrap();
    let input = &inputs[0];
    let result = match op {
        "cast" => cast(input, to(), &ALL),
        "affine" => {
            let (scale, bias) = (floats(&options["scale"]), floats(&options["bias"]));
            affine(input, &AffineOptions { scale: &scale, bias: &bias, axis: axis(), to: to() }, &ALL)
        }
        "crop" => crop(input, &numbers(&options["start"]), &numbers(&options["size"]), &ALL),
        "pad" => {
            let value = options["value"].as_f64().unwrap();
            pad(input, &numbers(&options["before"]), &numbers(&options["after"]), value, &ALL)
        }
        "transpose" => {
            let permutation: Vec<u32> = numbers(&options["permutation"]).iter().map(|&axis| axis as u32).collect();
            transpose(input, &permutation, &ALL)
        }
        "concat" => concat(&inputs.iter().collect::<Vec<_>>(), axis(), &ALL),
        "gather" => gather(input, &inputs[1], axis(), &ALL),
        "softmax" => softmax(input, axis(), &ALL),
        "sigmoid" => sigmoid(input, &ALL),
        "argmax" => argmax(input, axis(), &ALL),
        "top_k" => {
            let (values, indices) = top_k(input, options["k"].as_u64().unwrap() as u32, axis(), &ALL).unwrap();
            return vec![values, indices];
        }
        "nms" => nms(input, &inputs[1], &nms_options(options), &ALL),
        "summarize" => {
            let Summary { count, nan_count, infinite_count, min, max, sum, mean } = summarize(input).unwrap();
            let counts = [count as f64, nan_count as f64, infinite_count as f64];
            Ok(Tensor::from_vec(&[7], [&counts[..], &[min, max, sum, mean]].concat()).unwrap())
        }
        "resize" => resize(input, &resize_options(options), &ALL),
        other => panic!("no kernel `{other}`"),
    };
    vec![result.unwrap()]
}

fn nms_options(options: &Value) -> NmsOptions {
    let format = if options["format"] == "corners" { BoxFormat::Corners } else { BoxFormat::CenterSize };
    let number = |name: &str| options[name].as_f64().unwrap() as f32;
    let max_per_class = options["most"].as_u64().unwrap() as u32;
    NmsOptions { format, iou_threshold: number("iou"), score_threshold: number("score"), max_per_class }
}

fn resize_options(options: &Value) -> ResizeOptions {
    let layout = match options["layout"].as_str().unwrap() {
        "nchw" => Layout::Nchw,
        "nhwc" => Layout::Nhwc,
        "chw" => Layout::Chw,
        _ => Layout::Hwc,
    };
    let filter = match options["filter"].as_str().unwrap() {
        "nearest" => Filter::Nearest,
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "area" => Filter::Area,
        _ => Filter::Lanczos3,
    };
    let side = |name: &str| options[name].as_u64().unwrap() as u32;
    let antialias = options["antialias"].as_bool().unwrap();
    ResizeOptions { width: side("width"), height: side("height"), layout, filter, antialias }
}

/// The largest difference, counted from 1 upwards relative to what is expected.
fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    let wide = |tensor: &Tensor| values::<f64>(&cast(tensor, Datatype::Fp64, &ALL).unwrap());
    let each = wide(got).into_iter().zip(wide(expected)).map(|(got, expected)| {
        if got == expected || (got.is_nan() && expected.is_nan()) {
            0.0
        } else {
            let difference = (got - expected).abs() / if expected.abs() > 1.0 { expected.abs() } else { 1.0 };
            if difference.is_nan() { f64::INFINITY } else { difference }
        }
    });
    each.fold(0.0, f64::max)
}

#[test]
fn kernels_give_what_numpy_onnx_and_pillow_give() {
    let text = include_str!("../../../../tests/fixtures/tensor_ops.json");
    let fixture: Value = serde_json::from_str(text).unwrap();
    let tensors: Vec<Tensor> = fixture["tensors"].as_array().unwrap().iter().map(read_tensor).collect();
    let pick = |list: &Value| -> Vec<Tensor> { numbers(list).iter().map(|&at| tensors[at as usize].clone()).collect() };
    let mut failures = Vec::new();
    let cases = fixture["cases"].as_array().unwrap();
    for case in cases {
        let (op, options, inputs) = (case["op"].as_str().unwrap(), &case["options"], pick(&case["inputs"]));
        let tolerance = case["tolerance"].as_f64().unwrap();
        for (got, expected) in run(op, &inputs, options).iter().zip(&pick(&case["results"])) {
            assert_eq!((got.datatype(), got.shape()), (expected.datatype(), expected.shape()), "{op} {options}");
            let fits = if got.datatype() == Datatype::Bytes {
                got == expected
            } else if got.datatype().width() == Some(1) || tolerance >= 1.0 {
                let wide = |tensor: &Tensor| values::<i64>(&cast(tensor, Datatype::Int64, &ALL).unwrap());
                wide(got).iter().zip(wide(expected)).all(|(got, expected)| got.abs_diff(expected) <= tolerance as u64)
            } else if tolerance == 0.0 && !matches!(op, "cast" | "affine") {
                got.bytes() == expected.bytes()
            } else {
                difference(got, expected) <= tolerance && (tolerance > 0.0 || same_numbers(got, expected))
            };
            if !fits {
                failures.push(format!("{op} {inputs:?} {options}: {}", difference_text(got, expected)));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The same bytes, but for the payload of NaN.
fn same_numbers(got: &Tensor, expected: &Tensor) -> bool {
    let width = got.datatype().width().unwrap();
    let wide = values::<f64>(&cast(expected, Datatype::Fp64, &ALL).unwrap());
    let pairs = got.bytes().chunks(width).zip(expected.bytes().chunks(width));
    pairs.zip(wide).all(|((got, expected), wide)| got == expected || wide.is_nan())
}

fn difference_text(got: &Tensor, expected: &Tensor) -> String {
    if got.datatype() == Datatype::Bytes {
        return "other elements".to_owned();
    }
    let wide = |tensor: &Tensor| values::<f64>(&cast(tensor, Datatype::Fp64, &ALL).unwrap());
    let pairs: Vec<_> = wide(got).into_iter().zip(wide(expected)).enumerate().collect();
    let differing =
        pairs.into_iter().filter(|(_, (got, expected))| got != expected && !(got.is_nan() && expected.is_nan()));
    format!("{:e}, (index, (got, expected)): {:?}", difference(got, expected), differing.take(4).collect::<Vec<_>>())
}

#[test]
fn a_result_like_its_input_shares_its_memory() {
    let input = f32s(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let none = Limits::bytes(0);
    let options = ResizeOptions { width: 3, height: 2, layout: Layout::Chw, filter: Filter::Bicubic, antialias: true };
    for result in [
        cast(&input, Datatype::Fp32, &none),
        crop(&input, &[0, 0, 0], &[1, 2, 3], &none),
        pad(&input, &[0, 0, 0], &[0, 0, 0], 9.0, &none),
        transpose(&input, &[1, 0, 2], &none),
        concat(&[&input], 0, &none),
        resize(&input, &options, &none),
    ] {
        assert_eq!(result.unwrap().bytes().as_ptr(), input.bytes().as_ptr());
    }
}

#[test]
fn an_axis_counts_from_the_end_or_is_refused() {
    let input = f32s(&[2, 3], &[1.0, 3.0, 2.0, 6.0, 5.0, 4.0]);
    assert_eq!(values::<i64>(&argmax(&input, -1, &ALL).unwrap()), [1, 0]);
    assert_eq!(values::<i64>(&argmax(&input, -2, &ALL).unwrap()), [1, 1, 1]);
    for axis in [2, -3, i32::MIN, i32::MAX] {
        assert!(matches!(argmax(&input, axis, &ALL), Err(OpError::InvalidArgument(_))));
        assert!(matches!(softmax(&input, axis, &ALL), Err(OpError::InvalidArgument(_))));
        assert!(matches!(top_k(&input, 1, axis, &ALL), Err(OpError::InvalidArgument(_))));
        assert!(matches!(concat(&[&input], axis, &ALL), Err(OpError::InvalidArgument(_))));
        assert!(matches!(gather(&input, &input, axis, &ALL), Err(OpError::InvalidArgument(_))));
    }
}

#[test]
fn rank_0_has_no_axis_but_everything_else() {
    let scalar = f32s(&[], &[2.5]);
    assert!(matches!(softmax(&scalar, 0, &ALL), Err(OpError::InvalidArgument(_))));
    assert_eq!(values::<i8>(&cast(&scalar, Datatype::Int8, &ALL).unwrap()), [2]);
    let doubled = AffineOptions { scale: &[2.0], bias: &[1.0], axis: 0, to: Datatype::Fp32 };
    assert_eq!(affine(&scalar, &doubled, &ALL).unwrap(), f32s(&[], &[6.0]));
    assert_eq!(crop(&scalar, &[], &[], &ALL).unwrap(), scalar);
    assert_eq!(pad(&scalar, &[], &[], 1.0, &ALL).unwrap(), scalar);
    assert_eq!(transpose(&scalar, &[], &ALL).unwrap(), scalar);
    assert_eq!(summarize(&scalar).unwrap().sum, 2.5);
    let index = Tensor::from_slice(&[], &[-1_i64]).unwrap();
    assert_eq!(gather(&f32s(&[2], &[1.0, 2.0]), &index, 0, &ALL).unwrap(), f32s(&[], &[2.0]));
}

#[test]
fn empty_tensors_give_empty_results_at_once() {
    // Walking such a shape row by row would take for ever.
    let input = Tensor::zeros(Datatype::Fp32, &[1 << 40, 0]).unwrap();
    let none = Limits::bytes(0);
    assert_eq!(softmax(&input, 1, &none).unwrap().shape(), [1 << 40, 0]);
    assert_eq!(softmax(&input, 0, &none).unwrap().shape(), [1 << 40, 0]);
    assert_eq!(transpose(&input, &[1, 0], &none).unwrap().shape(), [0, 1 << 40]);
    assert_eq!(concat(&[&input, &input], 0, &none).unwrap().shape(), [1 << 41, 0]);
    assert_eq!(top_k(&input, 0, 1, &none).unwrap().1.shape(), [1 << 40, 0]);
    assert_eq!(argmax(&input, 0, &none).unwrap().shape(), [0]);
    assert!(matches!(argmax(&input, 1, &none), Err(OpError::ShapeMismatch(_))));
    let boxes = Tensor::zeros(Datatype::Fp32, &[1 << 40, 0, 4]).unwrap();
    let scores = Tensor::zeros(Datatype::Fp32, &[1 << 40, 3, 0]).unwrap();
    let options = NmsOptions { format: BoxFormat::Corners, iou_threshold: 0.5, score_threshold: 0.0, max_per_class: 9 };
    assert_eq!(nms(&boxes, &scores, &options, &none).unwrap().shape(), [0, 3]);
    let picture = Tensor::zeros(Datatype::Uint8, &[1 << 40, 0, 4, 4]).unwrap();
    let options = ResizeOptions { width: 9, height: 9, layout: Layout::Nchw, filter: Filter::Area, antialias: true };
    assert_eq!(resize(&picture, &options, &Limits::bytes(1 << 20)).unwrap().shape(), [1 << 40, 0, 9, 9]);
    let flat = Tensor::zeros(Datatype::Uint8, &[1, 1, 0, 4]).unwrap();
    assert!(matches!(resize(&flat, &options, &ALL), Err(OpError::ShapeMismatch(_))));
    let summary = summarize(&input).unwrap();
    assert!(summary.count == 0 && summary.sum == 0.0 && summary.min.is_nan() && summary.mean.is_nan());
    let padded = pad(&Tensor::zeros(Datatype::Fp32, &[0]).unwrap(), &[1], &[1], 7.0, &ALL).unwrap();
    assert_eq!(padded, f32s(&[2], &[7.0, 7.0]));
}

#[test]
fn what_is_not_allowed_is_refused_before_it_is_allocated() {
    let input = f32s(&[4], &[1.0; 4]);
    let exhausted = |needed_bytes, allowed_bytes| OpError::Exhausted { needed_bytes, allowed_bytes };
    assert_eq!(cast(&input, Datatype::Fp64, &Limits::bytes(31)).unwrap_err(), exhausted(32, 31));
    assert!(cast(&input, Datatype::Fp64, &Limits::bytes(32)).is_ok());
    assert_eq!(pad(&input, &[1 << 60], &[0], 0.0, &ALL).unwrap_err(), exhausted((4 << 60) + 16, 1 << 30));
    assert_eq!(pad(&input, &[u64::MAX], &[0], 0.0, &ALL).unwrap_err(), exhausted(u64::MAX, 1 << 30));
    let options = ResizeOptions {
        width: u32::MAX,
        height: u32::MAX,
        layout: Layout::Chw,
        filter: Filter::Lanczos3,
        antialias: true,
    };
    let picture = input.reshape(&[1, 2, 2]).unwrap();
    assert!(matches!(resize(&picture, &options, &ALL), Err(OpError::Exhausted { .. })));
    let many = Tensor::zeros(Datatype::Int64, &[1 << 20]).unwrap();
    assert!(matches!(gather(&input, &many, 0, &Limits::bytes(1 << 20)), Err(OpError::Exhausted { .. })));
    let long = Tensor::from_elements(&[1], &["x".repeat(1000)]).unwrap();
    let thrice = Tensor::from_slice(&[3], &[0_u8, 0, 0]).unwrap();
    assert!(gather(&long, &thrice, 0, &Limits::bytes(3000)).is_err());
    assert!(gather(&long, &thrice, 0, &Limits::bytes(3300)).is_ok());
}

#[test]
fn a_picture_between_two_passes_stays_small() {
    // The usual order would need 10^10 pixels between a row and a column.
    let row = Tensor::zeros(Datatype::Uint8, &[1, 100_000, 1]).unwrap();
    let options =
        ResizeOptions { width: 1, height: 100_000, layout: Layout::Hwc, filter: Filter::Bilinear, antialias: true };
    assert_eq!(resize(&row, &options, &Limits::bytes(64 << 20)).unwrap().shape(), [100_000, 1, 1]);
    let column = Tensor::zeros(Datatype::Fp32, &[100_000, 1, 1]).unwrap();
    let options = ResizeOptions { width: 100_000, height: 1, ..options };
    assert_eq!(resize(&column, &options, &Limits::bytes(64 << 20)).unwrap().shape(), [1, 100_000, 1]);
}

#[test]
fn a_picture_that_shrinks_much_keeps_its_brightness() {
    let row = Tensor::from_vec(&[1, 300_000, 1], vec![100_u8; 300_000]).unwrap();
    for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Area, Filter::Lanczos3] {
        let options = ResizeOptions { width: 2, height: 1, layout: Layout::Hwc, filter, antialias: true };
        assert_eq!(values::<u8>(&resize(&row, &options, &ALL).unwrap()), [100, 100], "{filter:?}");
    }
}

#[test]
fn work_stops_when_time_is_over() {
    let over = Limits { is_over: &|| true, ..ALL };
    let picture = Tensor::zeros(Datatype::Uint8, &[4, 4, 1]).unwrap();
    let options = ResizeOptions { width: 2, height: 2, layout: Layout::Hwc, filter: Filter::Area, antialias: true };
    assert_eq!(resize(&picture, &options, &over).unwrap_err(), OpError::OutOfTime);
    let boxes = f32s(&[1, 1, 4], &[0.0, 0.0, 1.0, 1.0]);
    let options = NmsOptions { format: BoxFormat::Corners, iou_threshold: 0.5, score_threshold: 0.0, max_per_class: 9 };
    assert_eq!(nms(&boxes, &f32s(&[1, 1, 1], &[1.0]), &options, &over).unwrap_err(), OpError::OutOfTime);
}

#[test]
fn nan_is_the_worst_and_equal_ones_keep_their_order() {
    let nan = f32::NAN;
    let input = f32s(&[6], &[nan, -0.0, 0.0, f32::NEG_INFINITY, nan, -0.0]);
    assert_eq!(values::<i64>(&argmax(&input, 0, &ALL).unwrap()), [1]);
    assert_eq!(values::<i64>(&top_k(&input, 6, 0, &ALL).unwrap().1), [1, 2, 5, 3, 0, 4]);
    assert_eq!(values::<i64>(&argmax(&f32s(&[2], &[nan, nan]), 0, &ALL).unwrap()), [0]);
    let columns = f32s(&[3, 2], &[nan, 1.0, 2.0, nan, 2.0, 1.0]);
    assert_eq!(values::<i64>(&argmax(&columns, 0, &ALL).unwrap()), [1, 0]);
    let half = cast(&input, Datatype::Bf16, &ALL).unwrap();
    assert_eq!(values::<i64>(&top_k(&half, 3, 0, &ALL).unwrap().1), [1, 2, 5]);
    assert!(matches!(top_k(&input, 7, 0, &ALL), Err(OpError::InvalidArgument(_))));
}

#[test]
fn softmax_of_nothing_finite_is_nan_as_in_onnx() {
    let low = f32::NEG_INFINITY;
    assert!(values::<f32>(&softmax(&f32s(&[2], &[low, low]), 0, &ALL).unwrap()).iter().all(|value| value.is_nan()));
    assert_eq!(values::<f32>(&softmax(&f32s(&[2], &[low, 3.0]), 0, &ALL).unwrap()), [0.0, 1.0]);
    let with_nan = softmax(&f32s(&[2, 2], &[f32::NAN, 1.0, 1.0, 1.0]), 0, &ALL).unwrap();
    assert!(values::<f32>(&with_nan)[0].is_nan() && values::<f32>(&with_nan)[1] == 0.5);
    let bytes = Tensor::from_slice(&[1], &[1_u8]).unwrap();
    assert_eq!(softmax(&bytes, 0, &ALL).unwrap_err(), OpError::DatatypeMismatch(Datatype::Uint8));
}

#[test]
fn what_reaches_outside_is_out_of_bounds() {
    let input = f32s(&[4], &[1.0; 4]);
    assert!(matches!(crop(&input, &[2], &[3], &ALL), Err(OpError::OutOfBounds(_))));
    assert!(matches!(crop(&input, &[u64::MAX], &[2], &ALL), Err(OpError::OutOfBounds(_))));
    assert!(matches!(crop(&input, &[0, 0], &[1, 1], &ALL), Err(OpError::ShapeMismatch(_))));
    for index in [4, -5, i64::MIN, i64::MAX] {
        let index = Tensor::from_slice(&[1], &[index]).unwrap();
        assert!(matches!(gather(&input, &index, 0, &ALL), Err(OpError::OutOfBounds(_))));
    }
    assert_eq!(gather(&input, &input, 0, &ALL).unwrap_err(), OpError::DatatypeMismatch(Datatype::Fp32));
}

#[test]
fn an_index_of_any_integer_type_is_understood() {
    let input = Tensor::from_elements(&[3], &["a", "b", "c"]).unwrap();
    let indices = Tensor::from_slice(&[2], &[1_i64, 2]).unwrap();
    for datatype in Datatype::ALL.into_iter().filter(|datatype| datatype.name().contains("INT")) {
        let indices = cast(&indices, datatype, &ALL).unwrap();
        assert_eq!(gather(&input, &indices, 0, &ALL).unwrap().texts().collect::<Vec<_>>(), ["b", "c"]);
    }
    let beyond = Tensor::from_slice(&[1], &[u64::MAX]).unwrap();
    assert!(matches!(gather(&input, &beyond, 0, &ALL), Err(OpError::OutOfBounds(_))));
}

#[test]
fn bytes_are_put_together_around_empty_ones() {
    let none = Tensor::from_elements::<&str>(&[0], &[]).unwrap();
    let (one, two) = (Tensor::from_elements(&[1], &["a"]).unwrap(), Tensor::from_elements(&[2], &["", "c"]).unwrap());
    let joined = concat(&[&none, &one, &none, &none, &two, &none], 0, &ALL).unwrap();
    assert_eq!(joined.texts().collect::<Vec<_>>(), ["a", "", "c"]);
}

#[test]
fn operands_must_fit_each_other() {
    let (one, two) = (f32s(&[1, 2], &[1.0, 2.0]), f32s(&[2], &[1.0, 2.0]));
    assert!(matches!(concat(&[], 0, &ALL), Err(OpError::InvalidArgument(_))));
    assert!(matches!(concat(&[&one, &two], 0, &ALL), Err(OpError::ShapeMismatch(_))));
    let other = cast(&one, Datatype::Int8, &ALL).unwrap();
    assert_eq!(concat(&[&one, &other], 0, &ALL).unwrap_err(), OpError::DatatypeMismatch(Datatype::Int8));
    for permutation in [&[0, 0][..], &[0], &[0, 2], &[0, 1, 2]] {
        assert!(matches!(transpose(&one, permutation, &ALL), Err(OpError::InvalidArgument(_))));
    }
    let three = AffineOptions { scale: &[1.0; 3], bias: &[0.0], axis: 0, to: Datatype::Fp32 };
    assert!(matches!(affine(&two, &three, &ALL), Err(OpError::ShapeMismatch(_))));
    let none = AffineOptions { scale: &[], ..three };
    assert!(matches!(affine(&two, &none, &ALL), Err(OpError::InvalidArgument(_))));
}

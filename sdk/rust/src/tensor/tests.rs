//! Typed views over the in-memory tensor.

use super::*;

#[test]
fn elements_come_back_as_they_went_in() {
    let tensor = Tensor::from_slice(&[2, 3], &[1_i64, -2, 3, -4, 5, -6]).unwrap();
    assert_eq!(tensor.shape(), [2, 3]);
    assert_eq!(tensor.datatype(), Datatype::Int64);
    assert_eq!(tensor.byte_length(), 48);
    assert_eq!(tensor.read_vec::<i64>().unwrap(), [1, -2, 3, -4, 5, -6]);
    assert_eq!(Tensor::from_vec(vec![f16::ONE]).unwrap().read_vec::<f16>().unwrap(), [f16::ONE]);
    assert_eq!(Tensor::from_bools(&[2], &[true, false]).unwrap().read_bools().unwrap(), [true, false]);
}

#[test]
fn another_datatype_is_refused() {
    let tensor = Tensor::from_slice(&[1], &[1.0_f32]).unwrap();
    assert_eq!(tensor.read_vec::<f64>().unwrap_err(), TensorError::DatatypeMismatch(Datatype::Fp32));
    assert_eq!(tensor.write_window(0, &[1_u32]).unwrap_err(), TensorError::DatatypeMismatch(Datatype::Fp32));
}

#[test]
fn windows_cover_a_tensor_once() {
    let tensor = Tensor::from_vec((0..10_u16).collect()).unwrap();
    let windows: Vec<_> = tensor.windows::<u16>(4).map(|window| window.unwrap()).collect();
    let starts: Vec<_> = windows.iter().map(|(first, _)| *first).collect();
    let values: Vec<u16> = windows.iter().flat_map(|(_, values)| values.to_vec()).collect();
    assert_eq!(starts, [0, 4, 8]);
    assert_eq!(values, (0..10).collect::<Vec<u16>>());
}

#[test]
fn a_window_outside_is_refused() {
    let tensor = Tensor::from_vec(vec![1_u8, 2]).unwrap();
    assert_eq!(tensor.window::<u8>(1, 2).unwrap_err(), TensorError::OutOfBounds);
    assert_eq!(tensor.window::<u8>(u64::MAX, 2).unwrap_err(), TensorError::OutOfBounds);
    assert_eq!(tensor.write_window(2, &[1_u8]).unwrap_err(), TensorError::OutOfBounds);
}

#[test]
fn a_write_is_seen_only_through_its_handle() {
    let tensor = Tensor::from_vec(vec![1_u32, 2, 3]).unwrap();
    let shared = tensor.share();
    shared.write_window(1, &[9_u32]).unwrap();
    assert_eq!(tensor.read_vec::<u32>().unwrap(), [1, 2, 3]);
    assert_eq!(shared.read_vec::<u32>().unwrap(), [1, 9, 3]);
}

#[test]
fn byte_strings_come_back_as_they_went_in() {
    let tensor = Tensor::from_byte_strings(&[3], &[b"one".as_slice(), b"", b"three"]).unwrap();
    let elements = tensor.read_elements().unwrap();
    assert_eq!(elements.iter().collect::<Vec<_>>(), [b"one".as_slice(), b"", b"three"]);
    assert_eq!(tensor.element(2).unwrap(), b"three");
    assert_eq!(tensor.byte_length(), 3 * 4 + 8);
    assert_eq!(tensor.element(3).unwrap_err(), TensorError::OutOfBounds);
}

#[test]
fn a_shape_must_suit_the_bytes() {
    assert!(matches!(Tensor::from_slice(&[3], &[1_u8]), Err(TensorError::ShapeMismatch(_))));
    assert!(matches!(Tensor::from_vec(vec![1_u8, 2]).unwrap().reshape(&[3]), Err(TensorError::ShapeMismatch(_))));
}

#[test]
fn values_at_an_odd_address_are_copied() {
    let values = Values::<f64>::new([1.5_f64, 2.5].iter().flat_map(|value| value.to_le_bytes()).collect());
    assert_eq!(*values, [1.5, 2.5]);
}

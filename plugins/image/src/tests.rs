//! Whole pictures through the processor, and everything that it refuses.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use inferwit_plugin::Values;

use super::*;

/// Made with Pillow: 20 x 12, red grows to the right by 12 and green downwards by 20, quality 90.
const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/progressive.jpg");
const CMYK: &[u8] = include_bytes!("../fixtures/cmyk.jpg");

fn run(config: &str, bytes: &[u8]) -> Result<Outputs, Failure> {
    let processor = ImageProcessor::open_json(config).unwrap();
    let image = Tensor::from_byte_strings(&[1], &[bytes]).unwrap();
    processor.process(Inputs::new().with("image", image), &Request::default())
}

fn floats(outputs: &Outputs) -> Values<f32> {
    outputs.get("tensor").unwrap().values().unwrap()
}

fn shape(outputs: &Outputs) -> Vec<u64> {
    outputs.get("tensor").unwrap().shape()
}

/// The text of a refusal, which must be the client's business.
fn refusal(config: &str, bytes: &[u8]) -> String {
    match run(config, bytes).unwrap_err() {
        Failure::Unprocessable(text) => text,
        other => panic!("{other:?}"),
    }
}

fn png(width: u32, height: u32, colour: ::png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

fn gradient_png(width: u32, height: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width * height * 3).map(|place| u8::try_from(place % 251).unwrap()).collect();
    png(width, height, ::png::ColorType::Rgb, &pixels)
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let pixels: Vec<u8> =
        (0..width * height).flat_map(|place| [(place % width * 12) as u8, (place / width * 20) as u8, 128]).collect();
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// The same JPEG with an EXIF block that says how it lies.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn pixels_of_a_png_are_exactly_its_bytes() {
    let outputs = run("{}", &png(2, 1, ::png::ColorType::Rgb, &[1, 2, 3, 253, 254, 255])).unwrap();
    assert_eq!(shape(&outputs), [1, 3, 1, 2]);
    assert_eq!(*floats(&outputs), [1.0, 253.0, 2.0, 254.0, 3.0, 255.0]);
    assert_eq!(outputs.get("size").unwrap().read_vec::<u32>().unwrap(), [2, 1]);
    assert_eq!(outputs.get("ratio").unwrap().read_vec::<f32>().unwrap(), [1.0, 1.0]);
}

#[test]
fn bytes_can_be_asked_for() {
    let bytes = png(2, 1, ::png::ColorType::Rgba, &[1, 2, 3, 0, 253, 254, 255, 9]);
    let outputs = run(r#"{"layout": "nhwc", "datatype": "UINT8", "colour": "bgr"}"#, &bytes).unwrap();
    assert_eq!(shape(&outputs), [1, 1, 2, 3]);
    assert_eq!(outputs.get("tensor").unwrap().read_vec::<u8>().unwrap(), [3, 2, 1, 255, 254, 253]);
}

#[test]
fn values_are_scaled_for_each_channel() {
    let config = r#"{"scale": 0.5, "mean": [0, 1, 2], "std": [1, 2, 4]}"#;
    let outputs = run(config, &png(1, 1, ::png::ColorType::Rgb, &[10, 20, 30])).unwrap();
    assert_eq!(*floats(&outputs), [5.0, 4.5, 3.25]);
}

#[test]
fn padding_is_added_right_and_below() {
    let config = r#"{"multiple_of": 2, "fill": 9, "colour": "grey"}"#;
    let outputs = run(config, &png(3, 1, ::png::ColorType::Grayscale, &[1, 2, 3])).unwrap();
    assert_eq!(shape(&outputs), [1, 1, 2, 4]);
    assert_eq!(*floats(&outputs), [1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0, 9.0]);
    assert_eq!(outputs.get("size").unwrap().read_vec::<u32>().unwrap(), [3, 1]);
}

#[test]
fn all_kinds_of_jpeg_are_decoded() {
    for (kind, bytes) in [("baseline", jpeg(20, 12)), ("progressive", PROGRESSIVE.to_vec()), ("cmyk", CMYK.to_vec())] {
        let outputs = run(r#"{"layout": "nhwc"}"#, &bytes).unwrap();
        assert_eq!(shape(&outputs), [1, 12, 20, 3], "{kind}");
        let values = floats(&outputs);
        let pixel = &values[(6 * 20 + 10) * 3..][..3];
        let near = pixel.iter().zip([120.0, 120.0, 128.0]).all(|(value, expected)| (value - expected).abs() < 24.0);
        assert!(near, "{kind}: {pixel:?}");
    }
}

#[test]
fn a_grey_jpeg_becomes_three_channels_or_one() {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).write_image(&[100; 64], 8, 8, ExtendedColorType::L8).unwrap();
    let outputs = run("{}", &bytes).unwrap();
    assert_eq!((shape(&outputs), floats(&outputs)[191]), (vec![1, 3, 8, 8], 100.0));
    let outputs = run(r#"{"colour": "grey"}"#, &bytes).unwrap();
    assert_eq!((shape(&outputs), floats(&outputs)[63]), (vec![1, 1, 8, 8], 100.0));
    assert_eq!(shape(&run(r#"{"colour": "grey"}"#, &jpeg(20, 12)).unwrap()), [1, 1, 12, 20]);
}

#[test]
fn a_picture_that_lies_on_its_side_comes_upright() {
    let upright = run(r#"{"layout": "nhwc"}"#, &jpeg(20, 12)).unwrap();
    let turned = run(r#"{"layout": "nhwc"}"#, &with_orientation(&jpeg(20, 12), 6)).unwrap();
    assert_eq!(shape(&turned), [1, 20, 12, 3]);
    assert_eq!(turned.get("size").unwrap().read_vec::<u32>().unwrap(), [12, 20]);
    // Turned clockwise, the stored lower left corner is the upper left one.
    assert_eq!(floats(&turned)[..3], floats(&upright)[11 * 20 * 3..][..3]);
}

#[test]
fn every_truncation_is_refused_and_none_panics() {
    for whole in [jpeg(20, 12), PROGRESSIVE.to_vec(), gradient_png(20, 12)] {
        let end = if whole.starts_with(b"\x89PNG") { whole.len() - 16 } else { whole.len() };
        for length in 0..end {
            refusal("{}", &whole[..length]);
        }
    }
}

#[test]
fn damage_never_panics() {
    for whole in [jpeg(20, 12), PROGRESSIVE.to_vec(), CMYK.to_vec(), gradient_png(20, 12)] {
        for place in 0..whole.len() {
            for value in [0x00, 0x7f, 0xff, whole[place] ^ 0x10] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                match run(r#"{"max_pixels": 1000000}"#, &damaged) {
                    Ok(_) | Err(Failure::Unprocessable(_)) => {}
                    Err(other) => panic!("byte {place} = {value}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    assert_eq!(refusal("{}", b"hello"), "not a JPEG or PNG picture");
    assert_eq!(refusal("{}", b""), "not a JPEG or PNG picture");
    assert_eq!(refusal("{}", &[0xff, 0xd8, 0xff]), "not a readable JPEG picture");
}

#[test]
fn a_picture_that_is_too_small_is_refused() {
    let text = refusal(r#"{"min_side": 2}"#, &png(1, 1, ::png::ColorType::Rgb, &[1, 2, 3]));
    assert_eq!(text, "the picture is 1 x 1, and its smaller side must have 2 pixels or more");
    run(r#"{"min_side": 2}"#, &gradient_png(2, 2)).unwrap();
}

#[test]
fn a_claim_of_many_pixels_is_refused_from_the_header() {
    let mut bomb = jpeg(8, 8);
    let frame = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
    assert_eq!(refusal("{}", &bomb), "the picture is 30000 x 30000, more than 16777216 pixels");

    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 30_000, 30_000);
    encoder.set_color(::png::ColorType::Rgb);
    drop(encoder.write_header().unwrap());
    assert_eq!(refusal("{}", &bytes), "the picture is 30000 x 30000, more than 16777216 pixels");
}

#[test]
fn a_picture_that_takes_much_memory_is_refused() {
    let mut large = jpeg(8, 8);
    let frame = large.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    large[frame + 1] = 0xc2;
    large[frame + 5..frame + 9].copy_from_slice(&[0x0b, 0xb8, 0x0f, 0xa0]);
    assert_eq!(refusal("{}", &large), "decoding the picture takes 105 MiB, more than 56 MiB");
    assert_eq!(
        refusal(r#"{"decode_mib": 1}"#, &gradient_png(8, 8)),
        "decoding the picture takes 3 MiB, more than 1 MiB"
    );
}

#[test]
fn two_pictures_are_the_clients_fault() {
    let processor = ImageProcessor::open_json("{}").unwrap();
    let images = Tensor::from_byte_strings(&[2], &["a", "b"]).unwrap();
    let failure = processor.process(Inputs::new().with("image", images), &Request::default()).unwrap_err();
    assert!(matches!(failure, Failure::Invalid(_)), "{failure:?}");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let check = |config: &str, path: &str| {
        let diagnostics = ImageProcessor::open_json(config).unwrap_err();
        assert_eq!(diagnostics[0].path.as_deref(), Some(path), "{config}: {diagnostics:?}");
    };
    check(r#"{"multiple_of": 0}"#, "/multiple_of");
    check(r#"{"mean": [1, 2]}"#, "/mean");
    check(r#"{"std": [0]}"#, "/std");
    check(r#"{"datatype": "UINT8", "scale": 2}"#, "/datatype");
    check(r#"{"resize": {"fit": {"width": 0, "height": 3}}}"#, "/resize");
    check(r#"{"resize": {"fit": {"width": 3, "height": 3, "depth": 3}}}"#, "/resize/fit/depth");
    check(r#"{"layout": "hwcn"}"#, "/layout");
    check(r#"{"side": 1}"#, "/side");
}

#[test]
fn the_signature_follows_the_configuration() {
    let shape_of =
        |config: &str| ImageProcessor::open_json(config).unwrap().signature().outputs.remove(0).shape.unwrap();
    assert_eq!(shape_of("{}"), [1, 3, -1, -1]);
    assert_eq!(shape_of(r#"{"layout": "nhwc", "colour": "grey"}"#), [1, -1, -1, 1]);
    assert_eq!(shape_of(r#"{"resize": {"exact": {"width": 30, "height": 64}}, "multiple_of": 32}"#), [1, 3, 64, 32]);
}

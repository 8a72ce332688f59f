//! The known answers of CenterFace, through every way in, and for pictures that were mirrored, turned and padded.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use inferwit::app::Target;
use inferwit::infer::{InferRequest, Parameter};
use inferwit::server::Served;
use inferwit::tensor::Tensor;
use serde_json::{Value, json};

use crate::fixtures::{fixture, root};
use crate::lab::{PHOTO_CHECK, photo_check};

const ASTRONAUT: [f64; 4] = [181.5, 58.2, 269.9, 177.8];
const ASTRONAUT_SCORE: f64 = 0.929;
const CAMERA: [f64; 4] = [202.0, 119.0, 258.0, 197.0];
const CAMERA_SCORE: f64 = 0.826;
/// In pixels.
const BOX_TOLERANCE: f64 = 2.0;
const SCORE_TOLERANCE: f64 = 0.01;

#[test]
fn known_faces_are_found_over_rest() {
    check_photo(&read("astronaut.png"), Some((ASTRONAUT, ASTRONAUT_SCORE)));
    check_photo(&read("camera.png"), Some((CAMERA, CAMERA_SCORE)));
}

#[test]
fn nothing_is_found_where_no_face_is() {
    for name in ["coffee.png", "chelsea.png", "rocket.jpg"] {
        check_photo(&read(name), None);
    }
}

#[test]
fn a_photo_as_the_whole_body_has_the_same_answer() {
    let reply = photo_check().1.client().post_raw("photo-check", &read("astronaut.png")).expect(200);
    check_numbers("boxes", &reply.numbers("boxes"), &ASTRONAUT, BOX_TOLERANCE);
    check_numbers("scores", &reply.numbers("scores"), &[ASTRONAUT_SCORE], SCORE_TOLERANCE);
    assert_eq!(reply.numbers("size"), [512.0, 512.0]);
}

#[test]
fn one_shot_gives_the_same_answer_as_the_door() {
    let (lab, door) = photo_check();
    let assembly = lab.gather(&Target::PipelineFile(root().join(PHOTO_CHECK))).unwrap();
    let generation = lab.app.load(&assembly).unwrap();
    let photo = read("camera.png");
    let tensor = Tensor::from_elements(&[1], &[photo.as_slice()]).unwrap();
    let (answer, trace) = generation.infer(InferRequest::new(vec![("photo".to_owned(), tensor)]));
    let answer = answer.unwrap();
    let floats = |name: &str| -> Vec<f64> {
        let (_, tensor) = answer.outputs.iter().find(|(output, _)| output == name).unwrap();
        tensor.bytes().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into()).collect()
    };
    check_numbers("boxes", &floats("boxes"), &CAMERA, BOX_TOLERANCE);
    check_numbers("scores", &floats("scores"), &[CAMERA_SCORE], SCORE_TOLERANCE);
    let steps: Vec<&str> = trace.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["decode", "faces", "boxes", "sane", "policy"]);

    let reply = door.client().post_raw("photo-check", &photo).expect(200);
    assert_eq!(reply.numbers("boxes"), floats("boxes"));
    assert_eq!(answer.parameters["inferwit_bundle"], Parameter::String(bundle(&reply.json())));
}

#[test]
fn boxes_are_mirrored_with_the_picture() {
    let mirrored = imageops::flip_horizontal(&astronaut());
    let [left, top, right, bottom] = ASTRONAUT;
    check_photo(&png(&mirrored), Some(([512.0 - right, top, 512.0 - left, bottom], ASTRONAUT_SCORE)));
}

/// Each orientation's picture is stored so that its tag makes it the upright one again.
#[test]
fn boxes_are_those_of_the_upright_picture_for_every_exif_orientation() {
    let upright = astronaut();
    let stored: [(u8, RgbImage); 8] = [
        (1, upright.clone()),
        (2, imageops::flip_horizontal(&upright)),
        (3, imageops::rotate180(&upright)),
        (4, imageops::flip_vertical(&upright)),
        (5, imageops::flip_horizontal(&imageops::rotate90(&upright))),
        (6, imageops::rotate270(&upright)),
        (7, imageops::flip_horizontal(&imageops::rotate270(&upright))),
        (8, imageops::rotate90(&upright)),
    ];
    for (orientation, picture) in stored {
        check_photo(&jpeg(&picture, orientation), Some((ASTRONAUT, ASTRONAUT_SCORE)));
    }
}

#[test]
fn width_and_height_change_places_with_the_orientation() {
    let wide = canvas(300, 200, (0, 0));
    let reply = photo_check().1.client().post_raw("photo-check", &jpeg(&wide, 6)).expect(200);
    assert_eq!(reply.numbers("size"), [200.0, 300.0]);
}

#[test]
fn boxes_move_with_a_picture_on_a_larger_canvas() {
    // The model sees the same picture again only where it moves by whole cells of its coarsest grid.
    let (right, down) = (64, 32);
    let padded = canvas(627, 571, (right, down));
    let moved = [
        ASTRONAUT[0] + f64::from(right),
        ASTRONAUT[1] + f64::from(down),
        ASTRONAUT[2] + f64::from(right),
        ASTRONAUT[3] + f64::from(down),
    ];
    let reply = check_photo(&png(&padded), Some((moved, ASTRONAUT_SCORE)));
    assert_eq!(numbers_in(&reply, "size"), [627.0, 571.0]);
}

#[test]
fn an_answer_says_which_bundle_gave_it_and_where_its_time_went() {
    let client = photo_check().1.client();
    let photo = read("coffee.png");
    let plain = client.post_bytes("photo-check", ("photo", &photo), &json!({})).expect(200).json();
    assert!(plain["parameters"].get("inferwit_trace").is_none(), "nobody asked for a trace");
    let asked = json!({"parameters": {"trace": true}, "id": "mine"});
    let traced = client.post_bytes("photo-check", ("photo", &photo), &asked).expect(200).json();
    assert_eq!((bundle(&traced), &traced["id"]), (bundle(&plain), &json!("mine")));
    assert_eq!((&traced["model_name"], &traced["model_version"]), (&json!("photo-check"), &json!("1.0.0")));

    let findings: Value = serde_json::from_str(traced["parameters"]["inferwit_findings"].as_str().unwrap()).unwrap();
    assert_eq!((findings[0]["code"].as_str(), findings[0]["severity"].as_str()), (Some("no_face"), Some("info")));
    assert_eq!(findings[0]["step"], "sane");

    let trace: Value = serde_json::from_str(traced["parameters"]["inferwit_trace"].as_str().unwrap()).unwrap();
    let steps = trace.as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["decode", "faces", "boxes", "sane", "policy"]);
    let end = |step: &Value| step["start_ns"].as_u64().unwrap() + step["duration_ns"].as_u64().unwrap();
    let follow = steps.windows(2).all(|pair| end(&pair[0]) <= pair[1]["start_ns"].as_u64().unwrap());
    assert!(follow, "one step after the other: {trace}");
    assert!(steps[0]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{trace}");
}

#[test]
fn only_what_is_asked_for_is_sent() {
    let client = photo_check().1.client();
    let asked = json!({"outputs": [{"name": "scores"}], "parameters": {"min_score": 0.95}});
    let answer = client.post_bytes("photo-check", ("photo", &read("astronaut.png")), &asked).expect(200).json();
    assert_eq!(answer["outputs"], json!([{"name": "scores", "datatype": "FP32", "shape": [0], "data": []}]));
}

/// Sends a photo and compares the one face, or that there is none. Gives the answer.
fn check_photo(photo: &[u8], expected: Option<([f64; 4], f64)>) -> Value {
    let reply = photo_check().1.client().post_bytes("photo-check", ("photo", photo), &json!({})).expect(200);
    let (corners, scores) = match expected {
        Some((corners, score)) => (corners.to_vec(), vec![score]),
        None => (Vec::new(), Vec::new()),
    };
    check_numbers("boxes", &reply.numbers("boxes"), &corners, BOX_TOLERANCE);
    check_numbers("scores", &reply.numbers("scores"), &scores, SCORE_TOLERANCE);
    assert!(bundle(&reply.json()).starts_with("sha256:"));
    reply.json()
}

#[track_caller]
fn check_numbers(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    let is_near =
        got.len() == expected.len() && got.iter().zip(expected).all(|(one, other)| (one - other).abs() <= tolerance);
    assert!(is_near, "{what}: {got:?}, expected {expected:?} within {tolerance}");
}

fn numbers_in(answer: &Value, output: &str) -> Vec<f64> {
    let outputs = answer["outputs"].as_array().unwrap();
    let output = outputs.iter().find(|tensor| tensor["name"] == output).unwrap();
    output["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn bundle(answer: &Value) -> String {
    answer["parameters"]["inferwit_bundle"].as_str().unwrap().to_owned()
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

fn astronaut() -> RgbImage {
    image::load_from_memory(&read("astronaut.png")).unwrap().to_rgb8()
}

/// The astronaut's picture, as much of it as there is room for, on a black canvas.
fn canvas(width: u32, height: u32, (right, down): (u32, u32)) -> RgbImage {
    let mut canvas = RgbImage::new(width, height);
    imageops::replace(&mut canvas, &astronaut(), right.into(), down.into());
    canvas
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// A JPEG whose EXIF data has this orientation.
fn jpeg(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    DynamicImage::from(picture.clone()).write_with_encoder(encoder).unwrap();
    // A big-endian TIFF with one directory of one entry: tag 0x0112, type SHORT, one value.
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let segment = [&[0xff, 0xe1], &length[..], &exif].concat();
    bytes.splice(2..2, segment);
    bytes
}

//! Bad input is refused with a clear 4xx, and whoever asks next does not notice.

use serde_json::{Value, json};

use crate::client::{Client, Reply, infer_path};
use crate::fixtures::fixture;
use crate::lab::photo_check;

const MODEL: &str = "photo-check";

#[test]
fn a_photo_that_is_none_is_refused() {
    let jpeg = std::fs::read(fixture("rocket.jpg")).unwrap();
    let png = std::fs::read(fixture("astronaut.png")).unwrap();
    check_photo(b"not a picture", "unprocessable");
    check_photo(b"", "unprocessable");
    check_photo(&jpeg[..jpeg.len() / 2], "unprocessable");
    check_photo(&jpeg[..20], "unprocessable");
    check_photo(&png[..png.len() / 2], "unprocessable");
    check_photo(&png[..8], "unprocessable");
    check_photo(&damaged(&png), "unprocessable");
}

#[test]
fn a_photo_of_an_unfit_size_is_refused() {
    check_photo(&tiny_png(), "unprocessable");
    let bomb = check_photo(&png_header(30_000, 30_000), "unprocessable");
    assert!(bomb.contains("30000"), "the message says which size: {bomb}");
}

#[test]
fn a_request_that_does_not_fit_the_pipeline_is_refused() {
    let input = |name: &str, datatype: &str, shape: Value, data: Value| json!({"name": name, "datatype": datatype, "shape": shape, "data": data});
    let photo = input("photo", "BYTES", json!([1]), json!(["x"]));
    check_json(&json!({"inputs": [input("photo", "FP32", json!([1]), json!([1.0]))]}), "must be BYTES");
    check_json(&json!({"inputs": [input("photo", "FLOAT", json!([1]), json!([1.0]))]}), "FLOAT");
    check_json(&json!({"inputs": [input("photo", "BYTES", json!([2]), json!(["x", "y"]))]}), "photo");
    check_json(&json!({"inputs": [input("photo", "BYTES", json!([1]), json!(["x", "y"]))]}), "photo");
    check_json(&json!({"inputs": [input("picture", "BYTES", json!([1]), json!(["x"]))]}), "unknown input `picture`");
    check_json(&json!({"inputs": []}), "input `photo` is missing");
    check_json(&json!({"inputs": [photo, photo]}), "given twice");
    check_json(&json!({}), "inputs");
    check_json(&json!([]), "not a valid request");
    check_json(&json!({"inputs": [photo], "outputs": [{"name": "faces"}]}), "unknown output `faces`");
    check_json(&json!({"inputs": [photo], "parameters": {"colour": 1}}), "colour");
    check_json(&json!({"inputs": [photo], "parameters": {"min_score": 2.0}}), "min_score");
    check_json(&json!({"inputs": [photo], "parameters": {"min_score": "high"}}), "min_score");
    check_json(&json!({"inputs": [photo], "parameters": {"min_score": [0.5]}}), "string, a number or a boolean");
    check_json(&json!({"inputs": [photo], "parameters": {"timeout": -1}}), "timeout");
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let post = |headers: &'static [(&'static str, &'static str)], body: &'static [u8]| {
        move |client: Client| client.post(&infer_path(MODEL), headers, body)
    };
    check("400 invalid_input", post(&[], br#"{"inputs": ["#));
    check("400 invalid_input", post(&[], b""));
    check("400 invalid_input", post(&[], b"\xff\xfe"));
    check("400 invalid_input", post(&[("inference-header-content-length", "9")], b"{}"));
    check("400 invalid_input", post(&[("inference-header-content-length", "-1")], b"{}"));
    let short = br#"{"inputs":[{"name":"photo","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":99}}]}"#;
    check("400 invalid_input", post(&[("inference-header-content-length", "97")], short));
    check("415 media_type", post(&[("content-encoding", "gzip")], b"{}"));
    check("413 too_large", |client| client.post_declaring(&infer_path(MODEL), 1 << 40));
}

#[test]
fn what_is_not_served_is_not_found() {
    let raw =
        |path: &'static str| move |client: Client| client.post(path, &[("inference-header-content-length", "0")], b"x");
    check("404 not_found", raw("/v2/models/photo-chek/infer"));
    check("404 not_found", raw("/v2/models/photo-check/versions/9/infer"));
    check("404 not_found", raw("/v2/models/photo-check/versions/1.0.1/infer"));
    check("400 invalid_input", raw("/v2/models/photo-check/versions/latest/infer"));
    check("404 not_found", raw("/v2/models/photo-check/inferno"));
    check("405 method", |client| client.get("/v2/models/photo-check/infer"));
    check("404 not_found", |client| client.get("/v2/models/photo-chek"));
}

fn check_photo(photo: &[u8], code: &str) -> String {
    let reply = check(&format!("422 {code}"), |client| client.post_bytes(MODEL, ("photo", photo), &json!({})));
    reply.json()["error"].as_str().unwrap().to_owned()
}

fn check_json(body: &Value, message: &str) {
    let reply = check("400 invalid_input", |client| client.post_json(MODEL, body));
    assert!(reply.text().contains(message), "{body}: {}", reply.text());
}

/// Sends a bad request between two good ones, whose answers must be the same to the byte.
#[track_caller]
fn check(expected: &str, bad: impl FnOnce(Client) -> Reply) -> Reply {
    let client = photo_check().1.client();
    let good = std::fs::read(fixture("coffee.png")).unwrap();
    let before = client.post_raw(MODEL, &good).expect(200);
    let reply = bad(client);
    assert_eq!(format!("{} {}", reply.status, reply.code()), expected, "{}", reply.text());
    let after = client.post_raw(MODEL, &good).expect(200);
    assert!(before.body == after.body, "the next answer is another: {} and {}", before.text(), after.text());
    reply
}

/// A PNG of one pixel, valid.
fn tiny_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    image::RgbImage::new(1, 1).write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    bytes
}

/// A PNG that says how large it is, and ends.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let checksum = crc(&header).to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &header, &checksum, b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}

/// The checksum of a PNG's chunks.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// The same picture with one bit of its pixels' data flipped.
fn damaged(png: &[u8]) -> Vec<u8> {
    let mut bytes = png.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

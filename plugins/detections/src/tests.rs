//! Maps of a real picture, as the model gave them, and small ones that were made up.

use inferwit_plugin::Parameter;

use super::*;

const ASTRONAUT: &str = include_str!("../fixtures/astronaut.txt");

/// Maps of so many rows and columns, zero but for some cells: row, column, and the 15 values of their channels.
fn maps(size: [u64; 2], cells: &[(usize, usize, Vec<f32>)]) -> Inputs {
    let [rows, columns] = size;
    let mut inputs = Inputs::new();
    let mut first = 0;
    for (name, channels) in [("heat", 1), ("scale", 2), ("offset", 2), ("landmarks", 10)] {
        let plane = usize::try_from(rows * columns).unwrap();
        let mut values = vec![0.0_f32; channels * plane];
        for (row, column, cell) in cells {
            let place = row * usize::try_from(columns).unwrap() + column;
            for channel in 0..channels {
                values[channel * plane + place] = cell[first + channel];
            }
        }
        first += channels;
        inputs = inputs.with(name, Tensor::from_slice(&[1, channels as u64, rows, columns], &values).unwrap());
    }
    inputs
}

fn astronaut() -> Inputs {
    let cell = |line: &str| {
        let numbers: Vec<f32> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        (numbers[0] as usize, numbers[1] as usize, numbers[2..].to_vec())
    };
    maps([128, 128], &ASTRONAUT.lines().skip(1).map(cell).collect::<Vec<_>>())
}

/// A face of 4 x 4 pixels around the middle of a cell.
fn small_face(row: usize, column: usize, score: f32) -> (usize, usize, Vec<f32>) {
    let mut cell = vec![0.0; 15];
    cell[0] = score;
    (row, column, cell)
}

fn run(config: &str, inputs: Inputs, request: &Request) -> Result<Outputs, Failure> {
    Detections::open_json(config).unwrap().process(inputs, request)
}

fn values(outputs: &Outputs, name: &str) -> Vec<f32> {
    outputs.get(name).unwrap().read_vec().unwrap()
}

#[test]
fn the_astronaut_has_one_face() {
    let outputs = run("{}", astronaut(), &Request::default()).unwrap();
    assert_eq!(outputs.get("boxes").unwrap().shape(), [1, 4]);
    for (value, expected) in values(&outputs, "boxes").iter().zip([181.5, 58.2, 269.9, 177.8]) {
        assert!((value - expected).abs() < 0.1, "{value} is not {expected}");
    }
    assert!((values(&outputs, "scores")[0] - 0.9291).abs() < 1e-4);
    let landmarks = values(&outputs, "landmarks");
    assert_eq!(outputs.get("landmarks").unwrap().shape(), [1, 5, 2]);
    // The eyes lie above the nose, and that above the mouth; left comes before right.
    assert!(landmarks[1] < landmarks[5] && landmarks[5] < landmarks[7]);
    assert!(landmarks[0] < landmarks[4] && landmarks[4] < landmarks[2]);
}

#[test]
fn nothing_found_is_no_rows() {
    let outputs = run("{}", maps([4, 4], &[]), &Request::default()).unwrap();
    assert_eq!(outputs.get("boxes").unwrap().shape(), [0, 4]);
    assert_eq!(outputs.get("scores").unwrap().shape(), [0]);
    assert_eq!(outputs.get("landmarks").unwrap().shape(), [0, 5, 2]);
}

#[test]
fn detections_come_best_first() {
    let cells = [small_face(0, 0, 0.6), small_face(3, 3, 0.9), small_face(0, 3, 0.7)];
    let outputs = run("{}", maps([4, 4], &cells), &Request::default()).unwrap();
    assert_eq!(values(&outputs, "scores"), [0.9, 0.7, 0.6]);
    assert_eq!(values(&outputs, "boxes")[..4], [12.0, 12.0, 16.0, 16.0]);
}

#[test]
fn the_threshold_itself_is_not_enough() {
    let outputs = run("{}", maps([1, 1], &[small_face(0, 0, 0.5)]), &Request::default()).unwrap();
    assert!(values(&outputs, "scores").is_empty());
}

#[test]
fn a_request_moves_the_threshold_within_bounds() {
    let config = r#"{"threshold_min": 0.2}"#;
    let cells = [small_face(0, 0, 0.4), small_face(0, 3, 0.8)];
    let check = |min_score: f64, count: usize| {
        let request = Request::default().with_parameter("min_score", Parameter::Fp64(min_score));
        let outputs = run(config, maps([1, 4], &cells), &request).unwrap();
        assert_eq!(values(&outputs, "scores").len(), count, "{min_score}");
    };
    check(0.3, 2);
    check(0.5, 1);
    check(0.9, 0);
    for value in [Parameter::Fp64(0.1), Parameter::Fp64(f64::NAN), Parameter::Text("0.3".to_owned())] {
        let request = Request::default().with_parameter("min_score", value);
        assert!(matches!(run(config, maps([1, 4], &cells), &request), Err(Failure::Invalid(_))));
    }
}

#[test]
fn boxes_are_clipped_to_the_picture_and_brought_to_its_size() {
    let mut cell = small_face(0, 0, 0.9);
    cell.2[1..3].fill(2.0_f32.ln());
    let inputs = maps([1, 1], &[cell])
        .with("size", Tensor::from_vec(vec![4_u32, 2]).unwrap())
        .with("ratio", Tensor::from_vec(vec![0.5_f32, 1.0]).unwrap());
    let outputs = run("{}", inputs, &Request::default()).unwrap();
    // In the tensor: from -2 to 6 in both directions.
    assert_eq!(values(&outputs, "boxes"), [0.0, 0.0, 4.0, 2.0]);
    assert_eq!(values(&outputs, "landmarks")[..2], [-4.0, -2.0]);
}

#[test]
fn only_the_best_candidates_are_looked_at() {
    let cells = [small_face(0, 0, 0.6), small_face(0, 2, 0.9), small_face(0, 4, 0.7)];
    let outputs = run(r#"{"candidates_max": 2}"#, maps([1, 5], &cells), &Request::default()).unwrap();
    assert_eq!(values(&outputs, "scores"), [0.9, 0.7]);
}

#[test]
fn maps_that_do_not_suit_each_other_are_refused() {
    let mut inputs = maps([2, 2], &[small_face(0, 0, 0.9)]);
    inputs.take("offset").unwrap();
    let inputs = inputs.with("offset", Tensor::zeros(Datatype::Fp32, &[1, 2, 2, 3]).unwrap());
    assert!(matches!(run("{}", inputs, &Request::default()), Err(Failure::Invalid(_))));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let check = |config: &str, path: &str| {
        let diagnostics = Detections::open_json(config).unwrap_err();
        assert_eq!(diagnostics[0].path.as_deref(), Some(path), "{config}");
    };
    check(r#"{"threshold": 2}"#, "/threshold");
    check(r#"{"threshold": 0.1, "threshold_min": 0.2}"#, "/threshold");
    check(r#"{"candidates_max": 0}"#, "/candidates_max");
    check(r#"{"decoder": "yolo"}"#, "/decoder");
}

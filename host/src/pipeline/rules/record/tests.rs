//! Lines of recorded runs: their form, what is left out, and which requests are in the sample.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::infer::InferRequest;
use crate::plugin::{Column, Lists, Origin, PoolBuilder, Table};

fn run() -> Run {
    let field = |name: &str, kind, repeated| Field {
        name: name.to_owned(),
        kind,
        repeated,
        key: false,
        optional: true,
        symbols: Vec::new(),
        length: None,
    };
    let fields = vec![
        field("id", Kind::Integer, false),
        field("score", Kind::Double, true),
        field("name", Kind::Text, false),
        field("at", Kind::Timestamp, false),
        field("took", Kind::Duration, false),
        field("raw", Kind::Blob, false),
    ];
    let mut pool = PoolBuilder::new();
    let (name, raw) = (pool.intern(b"anna").unwrap(), pool.intern(b"\xff").unwrap());
    let columns = vec![
        Column::new(Values::Integers(vec![1, i64::MAX])),
        Column::new(Values::DoubleLists(Lists { ends: vec![2, 2], elements: vec![0.5, f64::NAN] })),
        Column { values: Values::Pooled(vec![name, 0]), missing: vec![1] },
        Column::new(Values::Integers(vec![0, 1_500_000_000])),
        Column::new(Values::Integers(vec![-1_500_000_000, 0])),
        Column::new(Values::Pooled(vec![raw, raw])),
    ];
    let template = Template { name: "face".to_owned(), origin: Origin::Input, fields };
    Run {
        time: UNIX_EPOCH + Duration::from_secs(1),
        pipeline: "p".to_owned(),
        step: "policy".to_owned(),
        rule_set: "photo-policy@1.0.0".into(),
        templates: [template].into(),
        facts: Facts { tables: vec![Table { template: 0, rows: 2, columns }], pool: pool.finish() },
        params: Some(r#"{"cut":0.5}"#.to_owned()),
        report: Some(
            r#"{"status":"ok","result":[{"subject":"anna","code":"OK"}],"facts":{"kept":[{"name":"anna","n":1}]}}"#
                .to_owned(),
        ),
    }
}

fn line(redact: &[&str]) -> Value {
    let redact = redact.iter().map(|&name| name.to_owned()).collect();
    serde_json::from_str(&run().line(&redact)).unwrap()
}

#[test]
fn a_line_holds_facts_as_they_are_given_to_rules_run() {
    let line = line(&[]);
    assert_eq!(line["time"], "1970-01-01T00:00:01Z");
    assert_eq!((&line["pipeline"], &line["rule_set"]), (&json!("p"), &json!("photo-policy@1.0.0")));
    assert_eq!(line["params"], json!({"cut": 0.5}));
    assert_eq!(line["report"]["status"], "ok");
    let first = json!({
        "id": 1, "score": [0.5, "NaN"], "name": "anna", "at": "1970-01-01T00:00:00Z", "took": "-1.500000000s",
        "raw": "/w==",
    });
    let second = json!({
        "id": "9223372036854775807", "score": [], "at": "1970-01-01T00:00:01.5Z", "took": "0.000000000s", "raw": "/w==",
    });
    assert_eq!(line["facts"], json!({"face": [first, second]}));
}

#[test]
fn a_redacted_value_stands_nowhere_in_a_line() {
    let line = line(&["name", "face.raw"]);
    assert_eq!(line["facts"]["face"][0]["name"], REDACTED);
    assert_eq!(line["facts"]["face"][1].get("name"), None);
    assert_eq!(line["facts"]["face"][1]["raw"], REDACTED);
    assert_eq!(line["report"]["facts"]["kept"][0], json!({"name": REDACTED, "n": 1}));
    assert_eq!(line["report"]["result"][0]["code"], "OK");
    assert!(!line.to_string().contains("anna"), "{line}");
}

#[test]
fn the_sample_is_a_share_of_the_ids_and_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.jsonl");
    let recorder = |sample| {
        let settings = RecordSettings { path: &path, bytes_max: 1 << 20, sample, redact: &[] };
        Recorder::start(&settings).unwrap()
    };
    let wanted = |sample: f64| -> Vec<usize> {
        let recorder = recorder(sample);
        let wants = |number: &usize| {
            let request = InferRequest { id: Some(format!("r{number}")), ..InferRequest::new(Vec::new()) };
            recorder.wants(&request.split().1)
        };
        (0..1000).filter(wants).collect()
    };
    assert_eq!((wanted(0.0).len(), wanted(1.0).len()), (0, 1000));
    let tenth = wanted(0.1);
    assert!((60..140).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(tenth, wanted(0.1));
    let half = wanted(0.5);
    assert!(tenth.iter().all(|number| half.contains(number)));
}

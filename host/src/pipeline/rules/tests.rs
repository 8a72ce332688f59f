//! Facts from tensors and parameters, as a rule set's signature asks for them, and tensors from what came of them.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::infer::InferRequest;
use crate::plugin::{
    Column, Field, Kind, Lists, Origin, Pool, RuleDecision, RulesSignature, RunStats, RunStatus, Table, Values,
};
use crate::tensor::{Datatype, Tensor};

fn field(name: &str, kind: Kind) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        repeated: false,
        key: false,
        optional: false,
        symbols: Vec::new(),
        length: None,
    }
}

fn list(name: &str, kind: Kind, length: Option<u32>) -> Field {
    Field { repeated: true, length, ..field(name, kind) }
}

fn key(name: &str, kind: Kind) -> Field {
    Field { key: true, ..field(name, kind) }
}

fn optional(field: Field) -> Field {
    Field { optional: true, ..field }
}

fn template(name: &str, origin: Origin, fields: Vec<Field>) -> Template {
    Template { name: name.to_owned(), origin, fields }
}

/// Faces in a picture, with what a rule set makes of them.
fn photos() -> RulesSignature {
    let face = vec![
        key("id", Kind::Integer),
        field("score", Kind::Double),
        list("box", Kind::Double, Some(4)),
        optional(field("label", Kind::Text)),
    ];
    let output = vec![key("id", Kind::Integer), field("side", Kind::Double), field("name", Kind::Text)];
    let request = vec![
        field("id", Kind::Text),
        field("now", Kind::Timestamp),
        field("model", Kind::Text),
        optional(field("strict", Kind::Boolean)),
        optional(field("limit", Kind::Double)),
    ];
    RulesSignature {
        name: "photo-policy".to_owned(),
        version: "1.0.0".to_owned(),
        templates: vec![
            template("face", Origin::Input, face),
            template(
                "picture",
                Origin::Input,
                vec![list("size", Kind::Integer, Some(2)), optional(field("light", Kind::Double))],
            ),
            template("large", Origin::Derived, vec![key("id", Kind::Integer)]),
            template("kept", Origin::Output, output),
            template("request", Origin::Input, request),
        ],
        rules: vec!["one-face".to_owned()],
    }
}

type Written<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

fn written(facts: Written<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let fields =
        |fields: &[(&str, &str)]| fields.iter().map(|&(field, source)| (field.to_owned(), source.to_owned())).collect();
    facts.iter().map(|&(template, mapped)| (template.to_owned(), fields(mapped))).collect()
}

fn mapped(facts: Written<'_>) -> Mapping {
    mapping::map(&photos(), &written(facts)).unwrap()
}

const FACE: (&str, &[(&str, &str)]) = ("face", &[("id", "$row"), ("score", "scores"), ("box", "boxes")]);

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}; {}", problem.path, problem.message, problem.hint)).collect()
}

fn check_refused(facts: Written<'_>, expected: &[&str]) {
    assert_eq!(told(&mapping::map(&photos(), &written(facts)).unwrap_err()), expected);
}

#[test]
fn a_mapping_names_templates_and_fields_that_are_there() {
    check_refused(
        &[("faces", &[("id", "$row")])],
        &["/facts/faces: the rule set has no template `faces`; did you mean `face`?"],
    );
    check_refused(
        &[("large", &[])],
        &["/facts/large: `large` is no input of the rule set: its rules make it; known are `face`, `picture`"],
    );
    check_refused(
        &[("request", &[("id", "x")])],
        &[
            "/facts/request: `request` is filled by the host; remove it; its fields come from the request and from its parameters of the same names",
        ],
    );
    check_refused(
        &[("picture", &[("size", "s"), ("lihgt", "x")])],
        &["/facts/picture/lihgt: template `picture` has no field `lihgt`; did you mean `light`?"],
    );
}

#[test]
fn what_a_fact_must_have_is_filled_by_something() {
    check_refused(
        &[("face", &[("id", "$row"), ("box", "boxes")])],
        &[
            "/facts/face: template `face` needs field `score`, which nothing fills; map a tensor to it: `score: ..`, or give it a default or `optional: true` in the rule set",
        ],
    );
    check_refused(
        &[("picture", &[("size", "$row")])],
        &["/facts/picture/size: `picture` has one fact at most, so no row numbers; map a tensor to it"],
    );
    check_refused(
        &[("face", &[("id", "$row"), ("score", "$row"), ("box", "boxes")])],
        &[
            "/facts/face/score: field `score` of `face` is double, `$row` is an int; declare it as int, or map a tensor to it",
        ],
    );
}

#[test]
fn tensors_that_can_never_fit_are_found_before_they_come() {
    let mapping = mapped(&[FACE, ("picture", &[("size", "size")])]);
    let check = |name: &str, datatype: Option<Datatype>, shape: Option<&[i64]>, expected: &[&str]| {
        let shape = shape.map(<[i64]>::to_vec);
        let given = TensorSpec { name: name.to_owned(), datatype, shape, multiple_of: Vec::new(), optional: false };
        assert_eq!(told(&mapping.misfits(name, &given)), expected);
    };
    check("scores", None, None, &[]);
    check("scores", Some(Datatype::Fp16), Some(&[-1]), &[]);
    check("scores", Some(Datatype::Fp32), Some(&[-1, 1]), &[]);
    check("boxes", Some(Datatype::Fp64), Some(&[-1, 4]), &[]);
    check("size", Some(Datatype::Int64), Some(&[2]), &[]);
    check("size", Some(Datatype::Int32), Some(&[1, 2]), &[]);
    check(
        "scores",
        Some(Datatype::Bytes),
        None,
        &[
            "/facts/face/score: tensor `scores` is BYTES, which cannot serve as field `score` of `face`; the field is double, which takes FP64, FP32, FP16, BF16, INT64, INT32, INT16, INT8, UINT64, UINT32, UINT16, UINT8",
        ],
    );
    check(
        "scores",
        Some(Datatype::Fp32),
        Some(&[-1, 2]),
        &[
            "/facts/face/score: tensor `scores` has shape [-1, 2], which cannot serve as field `score` of `face`; it must have [n], one element a fact",
        ],
    );
    check(
        "boxes",
        Some(Datatype::Fp32),
        Some(&[-1, 5]),
        &[
            "/facts/face/box: tensor `boxes` has shape [-1, 5], which cannot serve as field `box` of `face`; each list of the field has 4 elements",
        ],
    );
    check(
        "size",
        Some(Datatype::Fp32),
        Some(&[2, 2]),
        &[
            "/facts/picture/size: tensor `size` is FP32, which cannot serve as field `size` of `picture`; the field is list<int>, which takes INT64, INT32, INT16, INT8, UINT64, UINT32, UINT16, UINT8",
        ],
    );
}

fn named(tensors: &[(&str, Tensor)]) -> Named {
    tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect()
}

fn faces(count: u64) -> Vec<(&'static str, Tensor)> {
    let scores: Vec<f32> = (0..count).map(|index| index as f32 / 4.0).collect();
    let boxes: Vec<f64> = (0..count * 4).map(|index| index as f64).collect();
    vec![
        ("scores", Tensor::from_vec(&[count], scores).unwrap()),
        ("boxes", Tensor::from_vec(&[count, 4], boxes).unwrap()),
        ("size", Tensor::from_slice(&[2], &[640_i32, 480]).unwrap()),
    ]
}

fn tables(inputs: &[(&str, Tensor)]) -> Result<Vec<Table>, String> {
    let mapping = mapped(&[FACE, ("picture", &[("size", "size")])]);
    mapping.tables(&named(inputs), &mut PoolBuilder::new())
}

#[test]
fn each_row_is_a_fact_and_each_row_of_a_matrix_a_list() {
    let tables = tables(&faces(2)).unwrap();
    let missing = Column { values: Values::Pooled(vec![0, 0]), missing: vec![0, 1] };
    let columns = vec![
        Column::new(Values::Integers(vec![0, 1])),
        Column::new(Values::Doubles(vec![0.0, 0.25])),
        Column::new(Values::DoubleLists(Lists { ends: vec![4, 8], elements: (0..8).map(f64::from).collect() })),
        missing,
    ];
    assert_eq!(tables[0], Table { template: 0, rows: 2, columns });
    let columns = vec![
        Column::new(Values::IntegerLists(Lists { ends: vec![2], elements: vec![640, 480] })),
        Column { values: Values::Doubles(vec![0.0]), missing: vec![0] },
    ];
    assert_eq!(tables[1], Table { template: 1, rows: 1, columns });
}

#[test]
fn no_rows_are_no_facts() {
    let tables = tables(&faces(0)).unwrap();
    assert_eq!(tables[0].rows, 0);
    assert_eq!(tables[0].columns[2], Column::new(Values::DoubleLists(Lists::default())));
}

#[test]
fn tensors_of_one_template_have_as_many_rows() {
    let mut inputs = faces(2);
    inputs[1].1 = faces(3)[1].1.clone();
    let error = tables(&inputs).unwrap_err();
    assert_eq!(error, "tensor `scores` has 2 rows, tensor `boxes` has 3: both fill `face`");
}

#[test]
fn numbers_that_a_field_cannot_hold_are_refused() {
    let check = |kind: Kind, tensor: &Tensor, expected: Result<Values, &str>| {
        let column = columns::column(&field("f", kind), tensor, 1, &mut PoolBuilder::new());
        assert_eq!(column.map(|column| column.values), expected.map_err(str::to_owned));
    };
    let one = |number: u64| Tensor::from_slice(&[1], &[number]).unwrap();
    check(Kind::Integer, &one(7), Ok(Values::Integers(vec![7])));
    check(Kind::Integer, &one(u64::MAX), Err("has a number that no int holds, which cannot serve"));
    check(Kind::Double, &one(1 << 53), Ok(Values::Doubles(vec![9_007_199_254_740_992.0])));
    check(
        Kind::Double,
        &one((1 << 53) + 1),
        Err("has a whole number that no double holds exactly, which cannot serve"),
    );
    check(Kind::Boolean, &Tensor::from_bytes(Datatype::Bool, &[1], &[1]).unwrap(), Ok(Values::Booleans(vec![1])));
    check(Kind::Text, &Tensor::from_elements(&[1], &["a"]).unwrap(), Ok(Values::Pooled(vec![0])));
}

fn declared(parameters: &[(&str, &str)]) -> BTreeMap<String, ParameterSpec> {
    let spec = |kind: &str| serde_json::from_value(json!({"type": kind})).unwrap();
    parameters.iter().map(|&(name, kind)| (name.to_owned(), spec(kind))).collect()
}

#[test]
fn the_host_fills_what_it_knows_of_a_request() {
    let map = RequestMap::new(&photos(), &declared(&[("strict", "bool"), ("limit", "int")])).unwrap().unwrap();
    let mut request = InferRequest::new(Vec::new());
    request.id = Some("r1".to_owned());
    request.parameters.insert("limit".to_owned(), Parameter::Int64(3));
    let context = request.split().1;
    let mut pool = PoolBuilder::new();
    let table = map.table("photo-check", &context, 5, &mut pool).unwrap();
    let pool = pool.finish();
    assert_eq!((pool.text(0), pool.text(1)), (Some("r1"), Some("photo-check")));
    let columns = vec![
        Column::new(Values::Pooled(vec![0])),
        Column::new(Values::Integers(vec![5])),
        Column::new(Values::Pooled(vec![1])),
        Column { values: Values::Booleans(vec![0]), missing: vec![0] },
        Column::new(Values::Doubles(vec![3.0])),
    ];
    assert_eq!(table, Table { template: 4, rows: 1, columns });
}

#[test]
fn a_field_that_a_request_may_leave_out_must_be_optional_and_of_its_parameters_type() {
    let check = |fields: Vec<Field>, parameters: &[(&str, &str)], expected: &[&str]| {
        let templates = vec![template("request", Origin::Input, fields)];
        let signature = RulesSignature { templates, ..photos() };
        let problems = RequestMap::new(&signature, &declared(parameters)).err().unwrap_or_default();
        assert_eq!(told(&problems), expected);
    };
    check(vec![optional(field("x", Kind::Text))], &[("x", "string")], &[]);
    check(vec![optional(field("x", Kind::Text))], &[], &[]);
    check(
        vec![field("x", Kind::Text)],
        &[("x", "string")],
        &[
            ": field `x` of `request` comes from a request parameter, which may be left out; give it a default or `optional: true` in the rule set",
        ],
    );
    check(
        vec![optional(field("x", Kind::Integer))],
        &[("x", "double")],
        &[
            ": field `x` of `request` is int, parameter `x` is double; declare both alike, or give one of them another name",
        ],
    );
    check(
        vec![field("now", Kind::Integer)],
        &[],
        &[
            ": field `now` of `request` is int, the host fills it with a timestamp; declare it as timestamp in the rule set",
        ],
    );
    // One with a key is a template like any other.
    check(vec![key("x", Kind::Text)], &[], &[]);
}

fn outcome() -> Outcome {
    let decision = RuleDecision {
        decision: "accept".to_owned(),
        code: "OK".to_owned(),
        subject: None,
        message: Some("fine".to_owned()),
        data: Some(r#"{"n":1}"#.to_owned()),
        rule: Some(0),
    };
    let mut pool = PoolBuilder::new();
    let place = pool.intern(b"anna").unwrap();
    let columns = vec![
        Column::new(Values::Integers(vec![4])),
        Column::new(Values::Doubles(vec![0.5])),
        Column::new(Values::Pooled(vec![place])),
    ];
    let derived = Facts { tables: vec![Table { template: 3, rows: 1, columns }], pool: pool.finish() };
    Outcome {
        status: RunStatus::Ok,
        decisions: vec![decision],
        derived,
        fired: Vec::new(),
        stats: RunStats::default(),
        limit: None,
        report: Some("{}".to_owned()),
    }
}

#[test]
fn decisions_and_output_facts_are_tensors() {
    let outputs = Outputs::new(&photos(), &json!({})).unwrap();
    let specs = outputs.specs();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["decision", "code", "subject", "report", "kept.id", "kept.side", "kept.name"]);

    let tensors = outputs.tensors(&outcome(), |_| true).unwrap();
    let found = |name: &str| tensors.iter().find(|(other, _)| other == name).unwrap().1.clone();
    for spec in &specs {
        spec.check(&found(&spec.name)).unwrap();
    }
    assert_eq!(found("decision"), Tensor::from_elements(&[1], &["accept"]).unwrap());
    assert_eq!(found("subject"), Tensor::from_elements(&[1], &[""]).unwrap());
    assert_eq!(found("kept.id"), Tensor::from_slice(&[1], &[4_i64]).unwrap());
    assert_eq!(found("kept.name"), Tensor::from_elements(&[1], &["anna"]).unwrap());

    let none =
        outputs.tensors(&Outcome { derived: Facts::default(), ..outcome() }, |name| name == "kept.side").unwrap();
    assert_eq!(none, [("kept.side".to_owned(), Tensor::zeros(Datatype::Fp64, &[0]).unwrap())]);
}

#[test]
fn output_fields_without_a_shape_or_with_holes_are_refused() {
    let signature = RulesSignature {
        templates: vec![template(
            "kept",
            Origin::Output,
            vec![optional(field("a", Kind::Double)), optional(field("b", Kind::Double)), list("c", Kind::Text, None)],
        )],
        ..photos()
    };
    let parsed = json!({"facts": {"kept": {"fields": {"a": {"default": 0}, "b": {"optional": true}}}}});
    let problems = Outputs::new(&signature, &parsed).err().unwrap();
    assert_eq!(
        told(&problems),
        [
            ": output `kept.b` of the rule set is optional, and a tensor has no holes; give the field a default in the rule set",
            ": output `kept.c` of the rule set is list<string>, whose length a tensor must know; give the field a `len` in the rule set"
        ]
    );
}

#[test]
fn a_parameter_is_the_requests_if_the_rule_set_and_the_pipeline_say_so() {
    let parsed = json!({"params": {
        "open": {"type": "double", "default": 1, "request": true}, "closed": {"type": "double", "default": 1},
        "other": {"type": "int", "default": 1, "request": true},
    }});
    let names = |parameters: &[(&str, &str)]| request_params(&parsed, &declared(parameters));
    assert_eq!(names(&[("open", "int"), ("closed", "double")]).unwrap(), ["open"]);
    let problems = names(&[("other", "string")]).unwrap_err();
    assert_eq!(
        told(&problems),
        [
            ": parameter `other` of the pipeline is string, that of the rule set int; declare both alike, or give one of them another name"
        ]
    );
}

#[test]
fn a_pool_of_facts_is_shared_by_all_tables() {
    let mut pool = PoolBuilder::new();
    let tensor = Tensor::from_elements(&[3], &["a", "b", "a"]).unwrap();
    let column = columns::column(&field("f", Kind::Symbol), &tensor, 3, &mut pool).unwrap();
    assert_eq!(column.values, Values::Pooled(vec![0, 1, 0]));
    assert_eq!(pool.finish(), Pool::from_parts(vec![1, 2], b"ab".to_vec()).unwrap());
}

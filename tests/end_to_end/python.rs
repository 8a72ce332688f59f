//! The plugin contract holds for a plugin in Python as it does for one in Rust.

use inferwit::app::Target;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::lab::{Door, Lab};

const PIPELINE: &str = "schema: pipeline/v1
name: scaled
version: 1.0.0
inputs: {tensor: {datatype: FP32, shape: [-1]}}
outputs: [scaled]
parameters:
  own: {type: bool, default: false}
  refuse: {type: string, default: ''}
  raise: {type: string, default: ''}
steps:
  - name: affine
    plugin: python-affine
    config: {scale: 2.5, bias: -1}
    isolation: ISOLATION
    outputs: {tensor: scaled}
";

#[test]
fn a_python_plugin_answers_through_the_same_runtime() {
    for isolation in ["fresh", "warm"] {
        let (_lab, door) = serve(isolation);
        let expected = json!([1.5, 4.0, -3.5]);
        assert_eq!(scaled(&ask(door.client(), &json!({}))), expected, "by the host's kernel, {isolation}");
        assert_eq!(scaled(&ask(door.client(), &json!({"own": true}))), expected, "by Python itself, {isolation}");
    }
}

#[test]
fn an_exception_costs_its_own_request() {
    for isolation in ["fresh", "warm"] {
        let (_lab, door) = serve(isolation);
        let good = ask(door.client(), &json!({})).expect(200);
        let raised = ask(door.client(), &json!({"raise": "a secret"})).expect(500);
        assert_eq!(raised.code(), "plugin_failed");
        assert!(!raised.text().contains("secret"), "{}", raised.text());
        assert_eq!(ask(door.client(), &json!({})).body, good.body, "{isolation}");
        let refused = ask(door.client(), &json!({"refuse": "not like this"})).expect(422);
        assert_eq!((refused.code().as_str(), &refused.json()["error"]), ("unprocessable", &json!("not like this")));
        assert_eq!(ask(door.client(), &json!({})).body, good.body, "{isolation}");
    }
}

#[test]
fn a_python_plugin_imports_nothing_but_the_contract() {
    let report = Lab::new().app.inspect_plugin(&crate::fixtures::plugin("python")).unwrap();
    assert_eq!((report.name.as_str(), report.version.as_str()), ("python-affine", "1.0.0"));
    assert_eq!(report.interfaces, ["manifest", "processor"]);
    assert!(report.imports.iter().all(|import| import.starts_with("inferwit:plugin/")), "{:?}", report.imports);
}

#[test]
fn what_python_refuses_in_a_configuration_is_reported_at_its_place() {
    let lab = Lab::new();
    lab.add_plugins(&["python"]);
    let file = lab.file("p.yaml", PIPELINE.replace("ISOLATION", "warm").replace("bias: -1", "bias: low"));
    let error = lab.app.load(&lab.gather(&Target::PipelineFile(file)).unwrap()).err().unwrap();
    assert!(error.to_string().contains("p.yaml:13:"), "{error}");
}

fn serve(isolation: &str) -> (Lab, Door) {
    let lab = Lab::new();
    lab.add_plugins(&["python"]);
    let door = lab.serve_texts(&[&PIPELINE.replace("ISOLATION", isolation)]);
    (lab, door)
}

fn ask(client: Client, parameters: &Value) -> Reply {
    let tensor = json!({"name": "tensor", "datatype": "FP32", "shape": [3], "data": [1, 2, -1]});
    client.post_json("scaled", &json!({"inputs": [tensor], "parameters": parameters}))
}

fn scaled(reply: &Reply) -> Value {
    reply.clone().expect(200).json()["outputs"][0]["data"].clone()
}

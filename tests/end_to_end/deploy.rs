//! From registering to serving: what is deployed is followed, what is refused changes nothing, what is damaged is found.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inferwit::app::{AppError, NewModelFile, Target};
use inferwit::registry::{Added, Deployed, RegistryError};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::fixtures::{plugin, root};
use crate::lab::{ENVIRONMENT, Lab};

/// Far longer than anything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_deployment_is_followed_without_a_failed_request() {
    let lab = echo_lab();
    let first = lab.deploy(&pipeline(&lab, "1.0.0", "")).unwrap().bundle.to_string();
    let (door, _follower) = lab.follow();
    let client = door.client();
    assert_eq!(bundle(&ask(client)), first);

    let is_over = AtomicBool::new(false);
    let second = thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        seen.push(bundle(&ask(client).expect(200)));
                    }
                    seen
                })
            })
            .collect();
        let second = lab.deploy(&pipeline(&lab, "1.0.1", "config: {mode: read_all}")).unwrap().bundle.to_string();
        let until = Instant::now() + PATIENCE;
        while bundle(&ask(client)) != second && Instant::now() < until {
            thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
        for asker in askers {
            let mut seen = asker.join().unwrap();
            assert!(!seen.is_empty());
            seen.dedup();
            let expected: [&[&str]; 3] = [&[&first], &[&second], &[&first, &second]];
            assert!(expected.iter().any(|bundles| seen == **bundles), "each asker sees one swap: {seen:?}");
        }
        second
    });
    let answer = ask(client).expect(200);
    assert_eq!((bundle(&answer), &answer.json()["model_version"]), (second, &json!("1.0.1")));
}

#[test]
fn a_deployment_whose_test_fails_is_recorded_and_changes_nothing() {
    let lab = echo_lab();
    let good = lab.deploy(&pipeline(&lab, "1.0.0", "")).unwrap();
    let (door, _follower) = lab.follow();
    let failing = pipeline(&lab, "1.0.1", "\ntests: [{name: wrong, inputs: {x: [1]}, expect: {y: [2]}}]");
    let error = lab.deploy(&failing).unwrap_err();
    assert!(matches!(&error, AppError::Tests { results, .. } if results.len() == 1), "{error:?}");
    assert_eq!(error.to_string(), "1 of 1 tests of `p@1.0.1` failed");
    assert!(error.hint().unwrap().contains("pipeline test"));

    let registry = lab.app.registry().unwrap();
    let environment = ENVIRONMENT.parse().unwrap();
    let rows = registry.deployments(Some(&environment), 10).unwrap();
    let statuses: Vec<&str> = rows.iter().map(|row| row.status.as_str()).collect();
    assert_eq!(statuses, ["refused", "active"]);
    assert!(rows[0].refusal.as_ref().unwrap().contains("1 of 1 tests"), "{rows:?}");
    assert_eq!(registry.active(&environment).unwrap()[0].bundle.digest(), good.bundle);
    assert_eq!(bundle(&ask(door.client())), good.bundle.to_string());
}

#[test]
fn a_registered_pipeline_is_deployed_with_its_tests() {
    let lab = Lab::for_photos();
    let file = root().join("config/pipelines/photo-check.yaml");
    assert!(matches!(lab.app.add_pipeline(&file, None).unwrap(), Added::New(_)));
    // The registry has its own copy of what the tests read.
    fs::remove_file(lab.home().join("fixtures")).unwrap();
    let deployment = lab.deploy(&Target::parse("photo-check@^1").unwrap()).unwrap();
    assert!(deployment.tests.len() >= 5 && deployment.tests.iter().all(|test| test.passed), "{:?}", deployment.tests);
    let kinds: Vec<String> = deployment.artifacts.iter().map(|pin| format!("{} {}", pin.kind, pin.name)).collect();
    let plugins = ["plugin checks", "plugin detections", "plugin image", "plugin rules"];
    assert_eq!(kinds[0], "model centerface");
    assert_eq!(kinds[1..5], plugins);
    assert_eq!(kinds[5..], ["rules photo-policy"]);
    let (door, _follower) = lab.follow();
    let metadata = door.client().get("/v2/models/photo-check").expect(200).json();
    assert_eq!((&metadata["platform"], &metadata["versions"]), (&json!("inferwit_pipeline"), &json!(["1.0.0"])));
}

#[test]
fn what_is_not_there_cannot_be_deployed() {
    let lab = echo_lab();
    let error = lab.deploy(&Target::parse("nothing@^1").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "nothing is registered as `nothing@^1`: no pipeline, no model and no plugin");
    assert!(error.hint().unwrap().contains("pipeline list"));
    let error = lab.deploy(&Target::parse("echo@^7").unwrap()).unwrap_err();
    assert!(error.hint().unwrap().starts_with("there are "), "{:?}", error.hint());
}

#[test]
fn several_may_register_the_same_at_once() {
    let lab = Lab::new();
    let apps = [lab.second_app(), lab.second_app(), lab.second_app(), lab.second_app()];
    let added: Vec<Added> = thread::scope(|scope| {
        let adding = apps.each_ref().map(|app| {
            scope.spawn(|| {
                app.add_plugin(&plugin("hostile-guest")).unwrap();
                app.add_plugin(&plugin("echo-guest")).unwrap()
            })
        });
        adding.map(|thread| thread.join().unwrap()).into()
    });
    let new = added.iter().filter(|added| matches!(added, Added::New(_))).count();
    assert_eq!(new, 1, "one of them registered it, the others found it");
    assert!(added.iter().all(|other| other.artifact() == added[0].artifact()));
    lab.deploy(&pipeline(&lab, "1.0.0", "")).unwrap();
}

#[test]
fn the_same_again_changes_nothing_and_other_bytes_need_another_version() {
    let lab = echo_lab();
    assert!(matches!(lab.app.add_plugin(&plugin("echo-guest")).unwrap(), Added::AlreadyThere(_)));
    let first = pipeline(&lab, "1.0.0", "");
    assert!(matches!(lab.deploy(&first).unwrap().outcome, Some(Deployed::Activated { superseded: None, .. })));
    assert!(matches!(lab.deploy(&first).unwrap().outcome, Some(Deployed::AlreadyActive { .. })));

    let model = |file: &str| NewModelFile {
        file: root().join("tests/fixtures/models").join(file),
        name: Some("m".parse().unwrap()),
        ..NewModelFile::default()
    };
    assert!(matches!(lab.app.add_model(&model("relu.onnx")).unwrap(), Added::New(_)));
    assert!(matches!(lab.app.add_model(&model("relu.onnx")).unwrap(), Added::AlreadyThere(_)));
    let error = lab.app.add_model(&model("add.onnx")).unwrap_err();
    assert!(matches!(error, AppError::Registry(RegistryError::VersionTaken { .. })), "{error:?}");
    assert!(error.hint().unwrap().contains("new version"));
}

#[test]
fn a_model_is_served_by_itself_from_the_registry_and_from_a_file() {
    let lab = Lab::new();
    let relu = root().join("tests/fixtures/models/relu.onnx");
    lab.app.add_model(&NewModelFile { file: relu, ..NewModelFile::default() }).unwrap();
    let add = lab.file("add.onnx", fs::read(root().join("tests/fixtures/models/add.onnx")).unwrap());
    let door = lab.serve(&[Target::parse("relu").unwrap(), Target::ModelFile(add)]);
    let metadata = door.client().get("/v2/models/relu").expect(200).json();
    assert_eq!((&metadata["name"], &metadata["platform"]), (&json!("relu"), &json!("onnx_onnxv1")));

    let ask = |model: &str, input: &str, shape: Value, data: Value| {
        let tensor = json!({"name": input, "datatype": "FP32", "shape": shape, "data": data});
        door.client().post_json(model, &json!({"inputs": [tensor]}))
    };
    let answer = ask("relu", "x", json!([3]), json!([-1, 0, 2])).expect(200).json();
    assert_eq!(answer["outputs"][0]["data"], json!([0.0, 0.0, 2.0]));
    let answer = ask("add", "a", json!([1, 2]), json!([1, 2])).expect(200).json();
    assert_eq!(
        (&answer["outputs"][0]["data"], &answer["outputs"][1]["data"]),
        (&json!([2.0, 3.0]), &json!([3.0, 4.0]))
    );
    assert_eq!(ask("add", "a", json!([1, 3]), json!([1, 2, 3])).expect(400).code(), "invalid_input");
}

#[test]
fn a_damaged_artifact_is_found_before_it_serves() {
    let lab = Lab::new();
    let added = lab.app.add_plugin(&plugin("echo-guest")).unwrap();
    let target = pipeline(&lab, "1.0.0", "");
    let path = added.artifact().path.clone();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();

    let error = lab.deploy(&target).unwrap_err();
    assert!(matches!(error, AppError::Registry(RegistryError::Damaged { .. })), "{error:?}");
    assert!(error.hint().unwrap().contains("register the same file again"));
    lab.app.add_plugin(&plugin("echo-guest")).unwrap();
    lab.deploy(&target).unwrap();
}

fn echo_lab() -> Lab {
    let lab = Lab::new();
    lab.add_plugins(&["echo-guest"]);
    lab
}

/// A pipeline file that gives back `x` as `y`; `more` follows its step.
fn pipeline(lab: &Lab, version: &str, more: &str) -> Target {
    let text = format!(
        "schema: pipeline/v1
name: p
version: {version}
inputs: {{x: {{datatype: FP32, shape: [-1]}}}}
outputs: [y]
steps:
  - name: pass
    plugin: echo
    inputs: {{tensor: x}}
    outputs: {{tensor: y}}
    {more}
"
    );
    Target::PipelineFile(lab.file(&format!("p-{version}.yaml"), text))
}

fn ask(client: Client) -> Reply {
    let tensor = json!({"name": "x", "datatype": "FP32", "shape": [1], "data": [1]});
    client.post_json("p", &json!({"inputs": [tensor]}))
}

fn bundle(reply: &Reply) -> String {
    reply.json()["parameters"]["inferwit_bundle"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
}

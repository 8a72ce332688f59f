//! The registry as its callers see it, with one and with two registries open on one file.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::datetime;

use super::bundle::tests::parts;
use super::format::tests::model;
use super::*;
use crate::name::{Digest, Kind, Label, Name, Reference, Version};

fn clock() -> OffsetDateTime {
    datetime!(2026-01-02 03:04:05.6 +01:00)
}

/// A folder with a registry, and a folder for files to register.
struct Scene {
    folder: TempDir,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&paths(&folder), clock).unwrap();
        Self { folder, registry }
    }

    /// Another registry on the same file, as another process has.
    fn other(&self) -> Registry {
        Registry::open_existing(&paths(&self.folder), clock).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn paths(folder: &TempDir) -> RegistryPaths {
    let data_dir = folder.path().join("data");
    RegistryPaths { database: data_dir.join("inferwit.db"), data_dir }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn environment(text: &str) -> Label {
    text.parse().unwrap()
}

fn new_model<'a>(model: &str, version: &str, file: &'a Path) -> NewModel<'a> {
    NewModel {
        name: name(model),
        version: version.parse().unwrap(),
        file,
        backend: "auto",
        signature: json!({"inputs": []}),
        options: json!({"instances": 2}),
        metadata: json!({"producer": "test"}),
    }
}

fn add_plugin(registry: &Registry, plugin: &str, version: &str, bytes: &[u8]) -> Result<Added, RegistryError> {
    let record = PluginRecord {
        contract: "0.1.0".to_owned(),
        interfaces: vec!["processor".to_owned()],
        imports: vec!["log".to_owned()],
        config_schema: json!({"type": "object"}),
        manifest: json!({"name": plugin}),
    };
    registry.add_plugin(&NewPlugin { name: name(plugin), version: version.parse().unwrap(), bytes, record })
}

fn pin(artifact: &Artifact) -> Pin {
    let Artifact { kind, name, version, digest, .. } = artifact.clone();
    Pin { kind, name, version, sha256: digest }
}

fn bundle(pipeline: &str, version: &str, artifacts: &[&Artifact]) -> Bundle {
    Bundle::seal(parts(pipeline, version, artifacts.iter().map(|artifact| pin(artifact)).collect())).unwrap()
}

fn deploy(registry: &Registry, bundle: &Bundle, environment: &Label) -> Result<Deployed, RegistryError> {
    registry.deploy(&Order { bundle, environment, actor: "ada", reason: Some("because") })
}

#[test]
fn a_reference_finds_the_version_it_means() {
    let Scene { registry, .. } = &Scene::new();
    for version in ["1.2.0", "1.10.0", "2.0.0", "0.9.0"] {
        add_plugin(registry, "image", version, version.as_bytes()).unwrap();
    }
    add_plugin(registry, "other", "7.0.0", b"7").unwrap();
    let found = |text: &str| {
        let artifact = registry.resolve(Kind::Plugin, &reference(text));
        artifact.map(|artifact| artifact.version.to_string()).map_err(|error| error.hint().unwrap())
    };
    assert_eq!(found("image").unwrap(), "2.0.0");
    assert_eq!(found("image@^1").unwrap(), "1.10.0");
    assert_eq!(found("image@1.2").unwrap(), "1.10.0");
    assert_eq!(found("image@=1.2.0").unwrap(), "1.2.0");
    assert_eq!(found("image@0.9.0").unwrap(), "0.9.0");
    assert_eq!(found(&format!("image@{}", Digest::of(b"1.2.0"))).unwrap(), "1.2.0");
    assert_eq!(found("image@^3").unwrap_err(), "there are 0.9.0, 1.2.0, 1.10.0, 2.0.0");
    assert_eq!(found("imag").unwrap_err(), "`inferwit plugin list` shows what there is");
    assert!(found(&format!("other@{}", Digest::of(b"1.2.0"))).is_err());
    assert!(registry.resolve(Kind::Model, &reference("image")).is_err());
    assert!(registry.resolve(Kind::Rules, &reference("image")).is_err());

    let archived = registry.archive(Kind::Plugin, &name("image"), &Version::new(2, 0, 0)).unwrap();
    assert_eq!(archived.archived_at.as_deref(), Some("2026-01-02T02:04:05.600Z"));
    assert_eq!(found("image").unwrap(), "1.10.0");
    assert_eq!(found("image@2.0.0").unwrap(), "2.0.0");
    assert!(found("image@^2").is_err());
    let listed: Vec<String> = registry.list(Kind::Plugin).unwrap().iter().map(Artifact::label).collect();
    assert_eq!(listed, ["image@0.9.0", "image@1.2.0", "image@1.10.0", "image@2.0.0", "other@7.0.0"]);
}

#[test]
fn a_version_never_changes() {
    let scene = Scene::new();
    let registry = &scene.registry;
    let file = scene.write("m.onnx", &model(&[]));
    let first = registry.add_model(&new_model("m", "1.0.0", &file)).unwrap();
    let again = registry.add_model(&new_model("m", "1.0.0", &file)).unwrap();
    assert!(matches!(&first, Added::New(_)));
    assert_eq!(again, Added::AlreadyThere(first.artifact().clone()));

    let other_options = NewModel { options: json!({"instances": 3}), ..new_model("m", "1.0.0", &file) };
    let error = registry.add_model(&other_options).unwrap_err();
    assert_eq!(error.to_string(), "model m@1.0.0 is registered already, with other options");
    fs::write(&file, [model(&[]), vec![0x08, 1]].concat()).unwrap();
    let error = registry.add_model(&new_model("m", "1.0.0", &file)).unwrap_err();
    assert_eq!(error.to_string(), "model m@1.0.0 is registered already, with other bytes");
    assert!(error.hint().unwrap().contains("new version"));
    registry.add_model(&new_model("m", "1.0.1", &file)).unwrap();
    assert_eq!(registry.list(Kind::Model).unwrap().len(), 2);
    registry.verify(first.artifact()).unwrap();
}

#[test]
fn external_data_is_kept_beside_its_model() {
    let scene = Scene::new();
    let registry = &scene.registry;
    fs::create_dir(scene.folder.path().join("weights")).unwrap();
    let weights = scene.write("weights/w.bin", b"weights");
    let file = scene.write("anything.onnx", &model(&["weights/w.bin"]));
    let added = registry.add_model(&new_model("m", "1.0.0", &file)).unwrap();
    let artifact = added.artifact();
    let found = inspect_model(&artifact.path).unwrap();
    assert_eq!(found.external, ["weights/w.bin"]);
    assert_eq!(fs::read(artifact.path.with_file_name("weights").join("w.bin")).unwrap(), b"weights");
    let list = format!(
        "model.onnx\0{}\nweights/w.bin\0{}\n",
        Digest::of(&fs::read(&file).unwrap()).hex(),
        Digest::of(b"weights").hex()
    );
    assert_eq!(artifact.digest, Digest::of(list.as_bytes()));
    assert_eq!(artifact.files.iter().map(|file| &file.path).collect::<Vec<_>>(), ["model.onnx", "weights/w.bin"]);

    fs::write(&weights, b"weightz").unwrap();
    assert!(matches!(registry.add_model(&new_model("m", "1.0.0", &file)), Err(RegistryError::VersionTaken { .. })));
    // A file that holds the list of another artifact has its digest, and is not taken for it.
    let error = add_plugin(registry, "forged", "1.0.0", list.as_bytes()).unwrap_err();
    assert!(matches!(error, RegistryError::OtherFiles { .. }));
    registry.verify(artifact).unwrap();

    scene.write("model.onnx", b"x");
    let file = scene.write("self.onnx", &model(&["model.onnx"]));
    assert!(
        registry.add_model(&new_model("n", "1.0.0", &file)).unwrap_err().to_string().contains("kept for the model")
    );
}

#[test]
fn a_damaged_artifact_is_not_read_and_is_healed_by_registering_it_again() {
    let Scene { registry, .. } = &Scene::new();
    let added = add_plugin(registry, "image", "1.0.0", b"component").unwrap();
    let artifact = added.artifact();
    assert_eq!(registry.read(artifact).unwrap(), b"component");
    fs::remove_file(&artifact.path).unwrap();
    fs::write(&artifact.path, b"Component").unwrap();
    assert!(matches!(registry.read(artifact), Err(RegistryError::Damaged { .. })));
    assert!(matches!(registry.verify(artifact), Err(RegistryError::Damaged { .. })));
    assert!(matches!(add_plugin(registry, "image", "1.0.0", b"component").unwrap(), Added::AlreadyThere(_)));
    registry.verify(artifact).unwrap();
}

#[test]
fn what_was_registered_is_shown_whole() {
    let scene = Scene::new();
    let file = scene.write("m.onnx", &model(&[]));
    scene.registry.add_model(&new_model("m", "1.0.0", &file)).unwrap();
    let text = "schema: pipeline/v1\nname: p\n";
    let pipeline =
        NewPipeline { name: name("p"), version: Version::new(1, 0, 0), text, parsed: json!({"name": "p"}), files: &[] };
    scene.registry.add_pipeline(&pipeline).unwrap();
    let found = scene.other().resolve(Kind::Pipeline, &reference("p")).unwrap();
    assert_eq!(scene.registry.read(&found).unwrap(), text.as_bytes());
    let shown = serde_json::to_value(scene.other().resolve(Kind::Model, &reference("m")).unwrap()).unwrap();
    assert_eq!((&shown["format"], &shown["options"]), (&json!("onnx"), &json!({"instances": 2})));
    assert_eq!((&shown["kind"], &shown["created_at"]), (&json!("model"), &json!("2026-01-02T02:04:05.600Z")));
    let Value::String(sha256) = &shown["files"][0]["sha256"] else { panic!("a string") };
    assert_eq!(sha256.len(), 64);
}

#[test]
fn two_that_register_at_once_get_both_or_one_the_other() {
    let scene = Scene::new();
    let (first, second) = (&scene.registry, &scene.other());
    std::thread::scope(|scope| {
        for registry in [first, second] {
            scope.spawn(move || {
                for number in 0..10 {
                    let own = if std::ptr::eq(registry, first) { "a" } else { "b" };
                    add_plugin(registry, own, &format!("1.{number}.0"), format!("{own}{number}").as_bytes()).unwrap();
                    add_plugin(registry, "shared", &format!("1.{number}.0"), &[7; 5000]).unwrap();
                }
            });
        }
    });
    assert_eq!(first.list(Kind::Plugin).unwrap(), second.list(Kind::Plugin).unwrap());
    assert_eq!(first.list(Kind::Plugin).unwrap().len(), 30);
    let bytes = [b"x".as_slice(), b"y"];
    let taken = std::thread::scope(|scope| {
        let threads: Vec<_> = [first, second]
            .into_iter()
            .zip(bytes)
            .map(|(registry, bytes)| scope.spawn(|| add_plugin(registry, "contested", "1.0.0", bytes)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_err).count()
    });
    assert_eq!(taken, 1);
}

#[test]
fn a_deployment_supersedes_the_one_before_it() {
    let scene = Scene::new();
    let registry = &scene.registry;
    let plugin = add_plugin(registry, "image", "1.0.0", b"1").unwrap().artifact().clone();
    let (dev, production) = (environment("dev"), environment("production"));
    let first = bundle("photo", "1.0.0", &[&plugin]);
    let second = bundle("photo", "1.1.0", &[&plugin]);
    assert_eq!(deploy(registry, &first, &dev).unwrap(), Deployed::Activated { id: 1, superseded: None });
    assert_eq!(deploy(registry, &first, &dev).unwrap(), Deployed::AlreadyActive { id: 1 });
    assert_eq!(deploy(registry, &first, &production).unwrap(), Deployed::Activated { id: 2, superseded: None });
    let superseded = Some(first.digest());
    assert_eq!(deploy(registry, &second, &dev).unwrap(), Deployed::Activated { id: 3, superseded });
    deploy(registry, &bundle("another", "1.0.0", &[]), &dev).unwrap();

    let active = scene.other().active(&dev).unwrap();
    let names: Vec<&str> = active.iter().map(|active| active.bundle.pipeline_name().as_str()).collect();
    assert_eq!(names, ["another", "photo"]);
    assert_eq!((&active[1].bundle, active[1].id, active[1].actor.as_str()), (&second, 3, "ada"));
    assert_eq!(registry.active(&production).unwrap()[0].bundle, first);
    assert_eq!(registry.active(&environment("staging")).unwrap(), []);
    let statuses: Vec<String> =
        registry.deployments(Some(&dev), 10).unwrap().into_iter().map(|deployment| deployment.status).collect();
    assert_eq!(statuses, ["active", "active", "superseded"]);
    assert_eq!(registry.deployments(None, 2).unwrap().len(), 2);
}

#[test]
fn a_refusal_is_recorded_and_changes_nothing_else() {
    let Scene { registry, .. } = &Scene::new();
    let dev = environment("dev");
    let (good, bad) = (bundle("photo", "1.0.0", &[]), bundle("photo", "2.0.0", &[]));
    deploy(registry, &good, &dev).unwrap();
    let order = Order { bundle: &bad, environment: &dev, actor: "bob", reason: None };
    registry.record_refusal(&order, "test `one face` failed").unwrap();
    assert_eq!(registry.active(&dev).unwrap()[0].bundle, good);
    let latest = registry.deployments(Some(&dev), 1).unwrap().remove(0);
    assert_eq!((latest.status.as_str(), latest.actor.as_str()), ("refused", "bob"));
    assert_eq!(latest.refusal.as_deref(), Some("test `one face` failed"));
}

#[test]
fn a_bundle_that_pins_what_is_not_registered_is_refused() {
    let Scene { registry, .. } = &Scene::new();
    let plugin = add_plugin(registry, "image", "1.0.0", b"1").unwrap().artifact().clone();
    let dev = environment("dev");
    let good = bundle("photo", "1.0.0", &[&plugin]);
    deploy(registry, &good, &dev).unwrap();
    let other_bytes = Artifact { digest: Digest::of(b"2"), ..plugin.clone() };
    let other_kind = Artifact { kind: Kind::Rules, ..plugin };
    for wrong in [other_bytes, other_kind] {
        let error = deploy(registry, &bundle("photo", "2.0.0", &[&wrong]), &dev).unwrap_err();
        assert!(matches!(error, RegistryError::Bundle { .. }), "{error}");
    }
    assert_eq!(registry.active(&dev).unwrap()[0].bundle, good);
    assert_eq!(registry.deployments(None, 10).unwrap().len(), 1);
}

#[test]
fn a_label_means_what_is_active_there() {
    let Scene { registry, .. } = &Scene::new();
    let add = |version: &str| add_plugin(registry, "image", version, version.as_bytes()).unwrap().artifact().clone();
    let (old, new) = (add("1.0.0"), add("2.0.0"));
    let production = environment("production");
    let found = |text: &str| registry.resolve(Kind::Plugin, &reference(text));
    assert!(matches!(found("image@production"), Err(RegistryError::NotActive { .. })));
    deploy(registry, &bundle("photo", "1.0.0", &[&old]), &production).unwrap();
    assert_eq!(found("image@production").unwrap(), old);
    deploy(registry, &bundle("video", "1.0.0", &[&new]), &production).unwrap();
    let error = found("image@production").unwrap_err().to_string();
    assert!(error.ends_with("in more than one version: 1.0.0, 2.0.0"), "{error}");
    deploy(registry, &bundle("photo", "1.1.0", &[&new]), &production).unwrap();
    assert_eq!(found("image@production").unwrap(), new);

    let version = Version::new(1, 1, 0);
    let pipeline = NewPipeline { name: name("photo"), version, text: "x", parsed: json!({}), files: &[] };
    registry.add_pipeline(&pipeline).unwrap();
    let found = registry.resolve(Kind::Pipeline, &reference("photo@production")).unwrap();
    assert_eq!(found.label(), "photo@1.1.0");
}

#[test]
fn other_programs_may_ask_which_models_run_where() {
    let scene = Scene::new();
    let registry = &scene.registry;
    let mut models = Vec::new();
    for (model_name, extra) in [("faces", 1), ("eyes", 2)] {
        let file = scene.write("m.onnx", &[model(&[]), vec![0x08, extra]].concat());
        models.push(registry.add_model(&new_model(model_name, "1.0.0", &file)).unwrap().artifact().clone());
    }
    let models: Vec<&Artifact> = models.iter().collect();
    deploy(registry, &bundle("photo", "1.0.0", &models), &environment("dev")).unwrap();
    deploy(registry, &bundle("none", "1.0.0", &[]), &environment("dev")).unwrap();
    let client = Connection::open(registry.database()).unwrap();
    let sql =
        "SELECT coalesce(m.name, '-') || ' ' || d.status FROM deployments d LEFT JOIN models m ON m.id = d.model_id
               WHERE d.environment = 'dev' ORDER BY 1";
    let mut statement = client.prepare(sql).unwrap();
    let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows, ["- active", "eyes active", "faces active"]);
    let path: String = client.query_row("SELECT path FROM models WHERE name = 'faces'", [], |row| row.get(0)).unwrap();
    assert!(scene.folder.path().join("data").join(path).is_file());
}

#[test]
fn a_change_is_seen_by_all_and_no_change_by_none() {
    let scene = Scene::new();
    let (first, second) = (&scene.registry, scene.other());
    let before = (first.change_token().unwrap(), second.change_token().unwrap());
    first.list(Kind::Model).unwrap();
    assert_eq!((first.change_token().unwrap(), second.change_token().unwrap()), before);
    deploy(first, &bundle("photo", "1.0.0", &[]), &environment("dev")).unwrap();
    let after = (first.change_token().unwrap(), second.change_token().unwrap());
    assert!(after.0 != before.0 && after.1 != before.1);
    assert_eq!((first.change_token().unwrap(), second.change_token().unwrap()), after);
}

#[test]
fn a_full_disk_leaves_the_old_state() {
    let scene = Scene::new();
    add_plugin(&scene.registry, "image", "1.0.0", b"1").unwrap();
    let pages: i64 = scene.registry.lock().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    scene.registry.lock().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let text = "x".repeat(100_000);
    let version = Version::new(1, 0, 0);
    let pipeline = NewPipeline { name: name("p"), version, text: "t", parsed: json!({"text": text}), files: &[] };
    let error = scene.registry.add_pipeline(&pipeline).unwrap_err();
    assert!(matches!(error, RegistryError::DiskFull { .. }), "{error:?}");
    assert_eq!(scene.other().list(Kind::Pipeline).unwrap(), []);
    assert_eq!(scene.other().list(Kind::Plugin).unwrap().len(), 1);
    assert!(matches!(scene.other().add_pipeline(&pipeline).unwrap(), Added::New(_)));
}

#[test]
fn a_writer_that_goes_away_halfway_leaves_the_old_state() {
    let scene = Scene::new();
    let good = bundle("photo", "1.0.0", &[]);
    deploy(&scene.registry, &good, &environment("dev")).unwrap();
    let dying = Connection::open(scene.registry.database()).unwrap();
    dying.execute_batch("BEGIN IMMEDIATE; UPDATE deployments SET status = 'superseded'").unwrap();
    assert_eq!(scene.registry.active(&environment("dev")).unwrap()[0].bundle, good);
    drop(dying);
    assert_eq!(scene.registry.active(&environment("dev")).unwrap()[0].bundle, good);
    deploy(&scene.registry, &bundle("photo", "2.0.0", &[]), &environment("dev")).unwrap();
}

#[test]
fn the_same_rules_written_differently_change_nothing_and_other_rules_are_refused() {
    let scene = Scene::new();
    let add = |source: &str, identity: &str| {
        let record = RulesRecord { identity: Digest::of(identity.as_bytes()), parsed: json!({"rules": []}) };
        let new = NewRules { name: name("loan"), version: Version::new(1, 0, 0), source: source.as_bytes(), record };
        scene.registry.add_rules(&new)
    };
    let first = add("rules: []", "a").unwrap();
    assert!(matches!(&first, Added::New(artifact) if artifact.digest == Digest::of(b"rules: []")));
    let again = add("rules: [] # the same", "a").unwrap();
    assert_eq!(again, Added::AlreadyThere(first.artifact().clone()));
    let error = add("rules: [1]", "b").unwrap_err();
    assert_eq!(error.to_string(), "rules loan@1.0.0 is registered already, with other rules");
    assert!(error.hint().is_some());

    let found = scene.other().resolve(Kind::Rules, &reference("loan@^1")).unwrap();
    assert_eq!(&found, first.artifact());
    assert_eq!(scene.registry.read(&found).unwrap(), b"rules: []");
    let archived = scene.registry.archive(Kind::Rules, &found.name, &found.version).unwrap();
    assert!(archived.archived_at.is_some());
}

#[test]
fn a_bundle_pins_rule_sets_that_are_registered() {
    let scene = Scene::new();
    let record = RulesRecord { identity: Digest::of(b"a"), parsed: json!({}) };
    let new = NewRules { name: name("loan"), version: Version::new(1, 0, 0), source: b"r", record };
    let added = scene.registry.add_rules(&new).unwrap();
    deploy(&scene.registry, &bundle("p", "1.0.0", &[added.artifact()]), &environment("dev")).unwrap();
    let active = scene.registry.resolve(Kind::Rules, &reference("loan@dev")).unwrap();
    assert_eq!(&active, added.artifact());
    let unknown = Artifact { digest: Digest::of(b"other"), ..added.artifact().clone() };
    assert!(deploy(&scene.registry, &bundle("p", "1.0.1", &[&unknown]), &environment("dev")).is_err());
}

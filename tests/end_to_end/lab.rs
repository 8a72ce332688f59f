//! A data folder of its own with an `App` upon it, and what is put in and served there. Asks nothing; tests do.
//!
//! Compiled plugins and optimised models are shared by all tests through the target folder: they are named by what they were made from.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use inferwit::app::{App, Assembly, DeployPlan, Deployment, Generation, NewModelFile, Serving, Surroundings, Target};
use inferwit::app::{AppError, Follower};
use inferwit::config::{Machine, Override, Settings};
use inferwit::server::{Running, Server, ServerLimits, ServerSettings};
use inferwit::telemetry::Metrics;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::fixtures;

/// The environment that tests deploy to.
pub(crate) const ENVIRONMENT: &str = "dev";
pub(crate) const PHOTO_CHECK: &str = "config/pipelines/photo-check.yaml";
const PHOTO_POLICY: &str = "config/rules/photo-policy.rules.yaml";

const CORES: usize = 4;

/// A data folder and an application upon it.
pub(crate) struct Lab {
    pub(crate) app: Arc<App>,
    home: TempDir,
}

impl Lab {
    /// With the configuration's defaults, but for a deadline of plugins that a busy machine keeps.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(changes: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["compiled", "optimized"] {
            let shared = fixtures::target().join("tests").join(folder);
            fs::create_dir_all(&shared).unwrap();
            symlink(&shared, home.path().join(folder)).unwrap();
        }
        symlink(fixtures::data().join("fixtures"), home.path().join("fixtures")).unwrap();
        let app = app_at(home.path(), changes);
        Self { app, home }
    }

    /// With everything that `photo-check` needs registered, and traces allowed.
    pub(crate) fn for_photos() -> Self {
        let lab = Self::with(&[("monitoring.trace_requests", "true")]);
        lab.add_centerface();
        lab.add_plugins(&["image", "detections", "checks", "rules"]);
        lab.app.add_rules(&fs::read(fixtures::root().join(PHOTO_POLICY)).unwrap()).unwrap();
        lab
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Another process's view of the same data folder.
    pub(crate) fn second_app(&self) -> Arc<App> {
        app_at(self.home.path(), &[])
    }

    pub(crate) fn add_centerface(&self) {
        let options = Some(fixtures::root().join("config/models/centerface.model.yaml"));
        let new = NewModelFile { file: fixtures::fixture("centerface.onnx"), options, ..NewModelFile::default() };
        self.app.add_model(&new).unwrap();
    }

    pub(crate) fn add_plugins(&self, names: &[&str]) {
        for name in names {
            self.app.add_plugin(&fixtures::plugin(name)).unwrap();
        }
    }

    /// Writes a file into the data folder.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn gather(&self, target: &Target) -> Result<Assembly, AppError> {
        self.app.gather(target, None)
    }

    /// Loads a pipeline from its text.
    pub(crate) fn load(&self, pipeline: &str) -> Result<Generation, AppError> {
        let file = self.file("pipeline.yaml", pipeline);
        self.app.load(&self.gather(&Target::PipelineFile(file))?)
    }

    pub(crate) fn deploy(&self, target: &Target) -> Result<Deployment, AppError> {
        let environment = ENVIRONMENT.parse().unwrap();
        let plan = DeployPlan { target, environment: &environment, actor: "test", reason: None, dry_run: false };
        self.app.deploy(&plan)
    }

    /// Serves pipelines from their texts.
    pub(crate) fn serve_texts(&self, pipelines: &[&str]) -> Door {
        let write = |(index, text): (usize, &&str)| Target::PipelineFile(self.file(&format!("{index}.yaml"), text));
        self.serve(&pipelines.iter().enumerate().map(write).collect::<Vec<_>>())
    }

    /// Serves what is named, on a free port of the loopback.
    pub(crate) fn serve(&self, targets: &[Target]) -> Door {
        Door::open(self, Serving::of_targets(&self.app, targets).unwrap())
    }

    /// Serves what is active in the environment, and follows it.
    pub(crate) fn follow(&self) -> (Door, Follower) {
        let serving = Serving::of_targets(&self.app, &[]).unwrap();
        let follower = Follower::start(&self.app, &serving, &ENVIRONMENT.parse().unwrap()).unwrap();
        (Door::open(self, serving), follower)
    }
}

fn app_at(home: &Path, changes: &[(&str, &str)]) -> Arc<App> {
    let library = fixtures::data().join("lib").display().to_string();
    let fixed = [
        ("inference.onnx.library", library.as_str()),
        ("plugins.deadline_ms", "5000"),
        ("inference.timeout_ms", "20000"),
    ];
    let overrides: Vec<Override> =
        fixed.iter().chain(changes).map(|(key, value)| Override::flag("a test", key, value)).collect();
    let machine = Machine { cores: CORES, data_dir: home.to_owned() };
    let config = Settings::load(None, &overrides).unwrap().resolve(&machine).unwrap();
    App::new(config, Surroundings::default())
}

/// A running server, stopped when it is dropped.
pub(crate) struct Door {
    pub(crate) metrics: Arc<Metrics>,
    running: Option<Running>,
    runtime: Runtime,
}

impl Door {
    fn open(lab: &Lab, serving: Arc<Serving>) -> Self {
        serving.set_ready();
        let limits = &lab.app.config().server.limits;
        let settings = ServerSettings {
            http: ([127, 0, 0, 1], 0).into(),
            metrics: None,
            workers: CORES,
            queue_requests: 64,
            drain: std::time::Duration::from_secs(5),
            limits: ServerLimits {
                body_bytes: limits.body_bytes,
                bodies_bytes: limits.body_bytes * 4,
                header_bytes: limits.header_bytes,
                connections: limits.connections,
                request_timeout: limits.request_timeout,
                header_timeout: limits.request_timeout,
                idle_timeout: limits.idle_timeout,
            },
        };
        let metrics = Arc::new(Metrics::new());
        let runtime = Runtime::new().unwrap();
        let running = runtime.block_on(Server::start(settings, serving, Arc::clone(&metrics))).unwrap();
        Self { metrics, running: Some(running), runtime }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.running.as_ref().unwrap().http())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

/// `photo-check` behind a door, shared by the tests of one process that only ask it.
pub(crate) fn photo_check() -> &'static (Lab, Door) {
    static SHARED: OnceLock<(Lab, Door)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let lab = Lab::for_photos();
        let door = lab.serve(&[Target::PipelineFile(fixtures::root().join(PHOTO_CHECK))]);
        (lab, door)
    })
}

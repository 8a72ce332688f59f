//! How inferwit runs: `Settings` are the layers of file, environment and flags, `Config` is what they come to.
//!
//! It reads the files it is given and nothing else: the environment comes in as data, and nothing here opens a socket or a folder.

mod fault;
mod model_file;
mod raw;
mod settings;
mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use fault::{ConfigError, Fault, Origin};
pub use model_file::{ModelBackend, ModelFile, ModelTensor, Tolerance, WarmUp};
pub use raw::{AutoCount, GraphOptimization, LogFormat, LogLevel};
pub use settings::{Explained, Override, Settings, VARIABLE_PREFIX, schema};

use crate::name::Label;
use raw::{BackendChoice, Raw};

/// Every key with its default, as `config default` prints it.
pub const DEFAULT_TEXT: &str = include_str!("../../config/inference.yaml");

const MIB: u64 = 1 << 20;

/// The configuration, resolved: sockets are sockets, `auto` is a number, every value is within its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub data_dir: PathBuf,
    pub environment: Label,
    pub model_registry: ModelRegistry,
    pub server: Server,
    pub inference: Inference,
    pub plugins: Plugins,
    pub rules: Rules,
    pub monitoring: Monitoring,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRegistry {
    /// The SQLite file.
    pub path: PathBuf,
    pub cache_ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub http: SocketAddr,
    pub limits: ServerLimits,
    pub queue_requests: usize,
    pub drain: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    pub body_bytes: usize,
    pub header_bytes: usize,
    pub connections: usize,
    pub streams_per_connection: usize,
    pub request_timeout: Duration,
    pub idle_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    pub default_backend: DefaultBackend,
    /// For a pipeline without its own.
    pub timeout: Duration,
    pub onnx: Onnx,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultBackend {
    /// `onnxruntime` until measuring backends is built.
    Auto,
    Onnxruntime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onnx {
    pub library: Option<PathBuf>,
    /// In order of preference; never empty, none twice.
    pub providers: Vec<String>,
    pub graph_optimization_level: GraphOptimization,
    pub intra_op_threads: usize,
}

/// Ceilings of what plugins may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    pub deadline: Duration,
    pub open: Duration,
    pub tools: Duration,
    pub memory_bytes: usize,
    pub handles: usize,
    pub sent_bytes: usize,
    pub tensor_bytes: usize,
    pub concurrency: usize,
    pub warm_instances: usize,
}

/// Ceilings of what rule sets may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub max_firings: u64,
    pub max_work: u64,
    pub max_facts: u64,
    pub max_depth: u64,
    /// Linear memory of one instance of a rule engine, in the place of that of plugins.
    pub memory_bytes: usize,
    pub record: RulesRecord,
}

/// What is kept of the runs of rule sets.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesRecord {
    /// `None`: nothing.
    pub path: Option<PathBuf>,
    /// The share of requests, 0 to 1.
    pub sample: f64,
    pub bytes_max: u64,
    /// Fields that are not written, by name or as `template.field`.
    pub redact: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    pub metrics: SocketAddr,
    pub log_level: LogLevel,
    pub log_format: LogFormat,
    /// Whether clients may ask for a trace of their request.
    pub trace_requests: bool,
}

/// What the configuration is resolved against.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What `auto` counts.
    pub cores: usize,
    /// The user's data folder, where `data_dir` is null.
    pub data_dir: PathBuf,
}

impl Settings {
    /// Checks what several keys say together, and makes of them what the server runs by.
    ///
    /// A relative path belongs to the folder of the file that it is written in, else to the working folder.
    ///
    /// # Errors
    /// All faults that were found.
    pub fn resolve(&self, machine: &Machine) -> Result<Config, ConfigError> {
        let Raw { server, inference, .. } = &self.raw;
        let faults: Vec<Fault> =
            [self.check_timeout(), self.check_backend(), self.check_providers()].into_iter().flatten().collect();
        if !faults.is_empty() {
            return Err(ConfigError::Invalid(faults));
        }
        let data_dir = self.path("data_dir", self.raw.data_dir.as_deref()).unwrap_or_else(|| machine.data_dir.clone());
        let registry_path = self.path("model_registry.path", self.raw.model_registry.path.as_deref());
        Ok(Config {
            environment: self.raw.environment.clone(),
            model_registry: ModelRegistry {
                path: registry_path.unwrap_or_else(|| data_dir.join("inferwit.db")),
                cache_ttl: Duration::from_secs(self.raw.model_registry.cache_ttl),
            },
            server: resolve_server(server),
            inference: Inference {
                default_backend: match inference.default_backend {
                    BackendChoice::Onnxruntime => DefaultBackend::Onnxruntime,
                    _ => DefaultBackend::Auto,
                },
                timeout: Duration::from_millis(inference.timeout_ms),
                onnx: Onnx {
                    library: self.path("inference.onnx.library", inference.onnx.library.as_deref()),
                    providers: inference.onnx.providers.clone(),
                    graph_optimization_level: inference.onnx.graph_optimization_level,
                    intra_op_threads: count(inference.onnx.intra_op_threads),
                },
            },
            plugins: resolve_plugins(&self.raw.plugins, machine.cores),
            rules: self.resolve_rules(),
            monitoring: Monitoring {
                metrics: self.raw.monitoring.metrics_port.address(),
                log_level: self.raw.monitoring.log_level,
                log_format: self.raw.monitoring.log_format,
                trace_requests: self.raw.monitoring.trace_requests,
            },
            data_dir,
        })
    }

    fn resolve_rules(&self) -> Rules {
        let rules = &self.raw.rules;
        Rules {
            max_firings: rules.max_firings,
            max_work: rules.max_work,
            max_facts: rules.max_facts,
            max_depth: rules.max_depth,
            memory_bytes: count(rules.memory_mib * MIB),
            record: RulesRecord {
                path: self.path("rules.record.path", rules.record.path.as_deref()),
                sample: rules.record.sample,
                bytes_max: rules.record.max_mib * MIB,
                redact: rules.record.redact.clone(),
            },
        }
    }

    fn path(&self, key: &str, text: Option<&str>) -> Option<PathBuf> {
        let path = Path::new(text?);
        match self.origin(key) {
            Origin::File { path: file, .. } => Some(file.parent().unwrap_or(Path::new("")).join(path)),
            Origin::Default | Origin::Variable(_) | Origin::Flag(_) => Some(path.to_owned()),
        }
    }

    fn fault(&self, key: &str, message: String, hint: &str) -> Fault {
        Fault { origin: self.origin(key), message, hint: Some(hint.to_owned()) }
    }

    fn check_timeout(&self) -> Option<Fault> {
        let (key, limit_key) = ("inference.timeout_ms", "server.limits.request_timeout_ms");
        let (timeout_ms, limit_ms) = (self.raw.inference.timeout_ms, self.raw.server.limits.request_timeout_ms);
        if timeout_ms <= limit_ms {
            return None;
        }
        // The fault belongs to the key that somebody has written.
        let written = if self.origin(key) == Origin::Default { limit_key } else { key };
        let message = format!("`{key}` is {timeout_ms}, must be at most `{limit_key}`, which is {limit_ms}");
        Some(self.fault(written, message, "lower the one or raise the other"))
    }

    fn check_backend(&self) -> Option<Fault> {
        let name = match self.raw.inference.default_backend {
            BackendChoice::Auto | BackendChoice::Onnxruntime => return None,
            BackendChoice::Openvino => "openvino",
            BackendChoice::Tract => "tract",
            BackendChoice::Tensorrt => "tensorrt",
        };
        let message = format!("backend `{name}` is not built yet in this version");
        Some(self.fault("inference.default_backend", message, "use `onnxruntime`, or `auto`"))
    }

    fn check_providers(&self) -> Option<Fault> {
        let providers = &self.raw.inference.onnx.providers;
        let twice = providers.iter().enumerate().find(|(index, provider)| providers[..*index].contains(provider))?.1;
        let message = format!("`inference.onnx.providers` lists `{twice}` twice");
        Some(self.fault("inference.onnx.providers", message, "list each provider once, in order of preference"))
    }
}

fn resolve_server(server: &raw::Server) -> Server {
    let limits = &server.limits;
    Server {
        http: server.http.0,
        limits: ServerLimits {
            body_bytes: count(limits.body_mib * MIB),
            header_bytes: count(limits.header_bytes),
            connections: count(limits.connections),
            streams_per_connection: count(limits.streams_per_connection),
            request_timeout: Duration::from_millis(limits.request_timeout_ms),
            idle_timeout: Duration::from_millis(limits.idle_timeout_ms),
        },
        queue_requests: count(server.queue_requests),
        drain: Duration::from_millis(server.drain_ms),
    }
}

fn resolve_plugins(plugins: &raw::Plugins, cores: usize) -> Plugins {
    Plugins {
        deadline: Duration::from_millis(plugins.deadline_ms),
        open: Duration::from_millis(plugins.open_ms),
        tools: Duration::from_millis(plugins.tools_ms),
        memory_bytes: count(plugins.memory_mib * MIB),
        handles: count(plugins.handles),
        sent_bytes: count(plugins.sent_mib * MIB),
        tensor_bytes: count(plugins.tensor_mib * MIB),
        concurrency: plugins.concurrency.resolve(cores),
        warm_instances: plugins.warm_instances.resolve(cores),
    }
}

/// Invariant: the ranges keep every count and size far below what a 64-bit machine can address.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

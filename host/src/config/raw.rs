//! The configuration as it is written: every key, its type, its range and its default. Resolves nothing.
//!
//! The ranges stand in the schema attributes; the same schema is printed by `config schema` and enforced when a file is read.

mod values;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Label;

pub use values::AutoCount;
pub(super) use values::{Address, MetricsPort};

/// Declares one section: its keys with types, attributes and defaults.
macro_rules! section {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$inner])* pub(super) $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

/// Declares a choice of words.
macro_rules! choice {
    ($visibility:vis $name:ident { $($variant:ident),* $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        $visibility enum $name { $($variant),* }
    };
}

choice!(pub(super) RegistryType { Sqlite });
choice!(pub(super) RepositoryControl { Off, Load, Upload });
choice!(pub(super) BackendChoice { Auto, Onnxruntime, Openvino, Tract, Tensorrt });
choice!(pub GraphOptimization { None, Basic, Extended, All });
choice!(pub LogLevel { Error, Warn, Info, Debug, Trace });
choice!(pub LogFormat { Auto, Text, Json });

section!(
    /// The configuration of inferwit.
    Raw {
        /// Artifacts, compiled plugins, optimised models, libraries. Null: the user's data folder.
        data_dir: Option<String> = None,
        /// Which environment `serve` follows.
        environment: Label = "dev".parse().expect("`dev` is a label"),
        model_registry: ModelRegistry = ModelRegistry::default(),
        server: Server = Server::default(),
        inference: Inference = Inference::default(),
        /// Ceilings of what plugins may use; a pipeline's step may lower them, never raise.
        plugins: Plugins = Plugins::default(),
        /// Ceilings of what rule sets may ask, and what is kept of their runs.
        rules: Rules = Rules::default(),
        /// Not built yet.
        cache: Cache = Cache::default(),
        monitoring: Monitoring = Monitoring::default(),
    }
);

section!(ModelRegistry {
    r#type: RegistryType = RegistryType::Sqlite,
    /// Null: `inferwit.db` in `data_dir`.
    path: Option<String> = None,
    /// Seconds that metadata may be remembered; deployments are seen in less than one.
    #[schemars(range(min = 0, max = 86_400))]
    cache_ttl: u64 = 300,
});

section!(Server {
    http: Address = Address::loopback(8000),
    /// Not built yet.
    grpc: Address = Address::loopback(8001),
    /// A socket path, as a third door. Not built yet.
    unix: Option<String> = None,
    /// Mutations; a key is required off loopback. Not built yet.
    management: Address = Address::loopback(8003),
    /// API keys of the doors. Not built yet.
    keys_file: Option<String> = None,
    /// Not built yet.
    management_keys_file: Option<String> = None,
    /// The OIP repository calls on the inference door. Not built yet.
    repository_control: RepositoryControl = RepositoryControl::Off,
    limits: ServerLimits = ServerLimits::default(),
    /// Requests that may wait for a worker; more are answered 503.
    #[schemars(range(min = 1, max = 1_000_000))]
    queue_requests: u64 = 1024,
    /// How long a stopping server finishes what it has begun.
    #[schemars(range(min = 0, max = 600_000))]
    drain_ms: u64 = 10_000,
    /// Not built yet.
    tls: Tls = Tls::default(),
});

section!(ServerLimits {
    #[schemars(range(min = 1, max = 4096))]
    body_mib: u64 = 64,
    #[schemars(range(min = 1024, max = 1_048_576))]
    header_bytes: u64 = 16_384,
    #[schemars(range(min = 1, max = 1_000_000))]
    connections: u64 = 4096,
    #[schemars(range(min = 1, max = 100_000))]
    streams_per_connection: u64 = 256,
    #[schemars(range(min = 1, max = 3_600_000))]
    request_timeout_ms: u64 = 30_000,
    #[schemars(range(min = 100, max = 3_600_000))]
    idle_timeout_ms: u64 = 60_000,
});

section!(Tls {
    certificate: Option<String> = None,
    key: Option<String> = None,
});

section!(Inference {
    /// `auto` is `onnxruntime` until measuring backends is built.
    default_backend: BackendChoice = BackendChoice::Auto,
    /// Not built yet.
    #[schemars(range(min = 1, max = 65_536))]
    max_batch_size: u64 = 32,
    /// For a pipeline without its own; never above `server.limits.request_timeout_ms`.
    #[schemars(range(min = 1, max = 3_600_000))]
    timeout_ms: u64 = 1000,
    /// Not built yet.
    tensorrt: Tensorrt = Tensorrt::default(),
    onnx: Onnx = Onnx::default(),
});

section!(Tensorrt {
    #[schemars(range(min = 1_048_576))]
    workspace_size: u64 = 1_073_741_824,
    fp16_mode: bool = true,
    int8_mode: bool = false,
});

section!(Onnx {
    /// The shared library of ONNX Runtime. Null: environment, beside the executable, `data_dir`.
    library: Option<String> = None,
    /// In order of preference. Those that are not offered are named at start; the CPU is used only if it is listed.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^[A-Za-z]+ExecutionProvider$")))]
    providers: Vec<String> =
        ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"].map(str::to_owned).to_vec(),
    graph_optimization_level: GraphOptimization = GraphOptimization::All,
    #[schemars(range(min = 1, max = 1024))]
    intra_op_threads: u64 = 1,
});

section!(Plugins {
    #[schemars(range(min = 1, max = 3_600_000))]
    deadline_ms: u64 = 100,
    /// Open and load.
    #[schemars(range(min = 1, max = 3_600_000))]
    open_ms: u64 = 10_000,
    /// Describe and rules-tools.
    #[schemars(range(min = 1, max = 3_600_000))]
    tools_ms: u64 = 60_000,
    #[schemars(range(min = 1, max = 4096))]
    memory_mib: u64 = 64,
    #[schemars(range(min = 16, max = 1_000_000))]
    handles: u64 = 4096,
    #[schemars(range(min = 1, max = 65_536))]
    sent_mib: u64 = 64,
    #[schemars(range(min = 1, max = 65_536))]
    tensor_mib: u64 = 256,
    /// Calls of one plugin at a time; `auto`: as many as cores.
    concurrency: AutoCount = AutoCount::Auto,
    /// Instances of one plugin that are kept for the next call; `auto`: as many as cores.
    warm_instances: AutoCount = AutoCount::Auto,
});

section!(Rules {
    #[schemars(range(min = 1))]
    max_firings: u64 = 1_000_000,
    #[schemars(range(min = 1))]
    max_work: u64 = 1_000_000_000,
    #[schemars(range(min = 1))]
    max_facts: u64 = 2_000_000,
    #[schemars(range(min = 1))]
    max_depth: u64 = 100_000,
    /// Linear memory of one instance of a rule engine, 8 MiB of it for the engine itself.
    #[schemars(range(min = 16, max = 4096))]
    memory_mib: u64 = 512,
    /// Facts and reports of runs, as JSON lines that `rules run` and `rules diff` read.
    record: Record = Record::default(),
});

section!(Record {
    /// The file. Null: nothing is recorded.
    path: Option<String> = None,
    /// The share of requests that is recorded.
    #[schemars(range(min = 0.0, max = 1.0))]
    sample: f64 = 1.0,
    /// The file and its predecessor, `PATH.1`, together.
    #[schemars(range(min = 1, max = 1_048_576))]
    max_mib: u64 = 256,
    /// Fields that are written as `[redacted]`, by name or as `template.field`.
    redact: Vec<String> = Vec::new(),
});

section!(Cache {
    #[schemars(range(min = 0, max = 1_048_576))]
    responses_mib: u64 = 0,
});

section!(Monitoring {
    /// A port on loopback, or host:port.
    metrics_port: MetricsPort = MetricsPort::Port(9090),
    log_level: LogLevel = LogLevel::Info,
    /// `auto`: text on a terminal, else json.
    log_format: LogFormat = LogFormat::Auto,
    /// Whether clients may ask for a trace of their request.
    trace_requests: bool = false,
    /// Not built yet.
    #[schemars(range(min = 0.0, max = 1.0))]
    trace_sample: f64 = 0.0,
    /// Not built yet.
    otlp_endpoint: Option<String> = None,
});

/// The keys and sections that are accepted at their defaults only.
pub(super) const NOT_BUILT: &[&str] = &[
    "server.grpc",
    "server.unix",
    "server.management",
    "server.keys_file",
    "server.management_keys_file",
    "server.repository_control",
    "server.tls",
    "inference.max_batch_size",
    "inference.tensorrt",
    "cache",
    "monitoring.trace_sample",
    "monitoring.otlp_endpoint",
];

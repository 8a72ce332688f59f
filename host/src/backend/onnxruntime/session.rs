//! Builds ONNX Runtime sessions with our settings. Reads no files and knows no signatures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider as _, ExecutionProviderDispatch, TensorRT};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::TensorRtOptions;
use super::protobuf::{write_bytes, write_varint};
use crate::backend::select::Provider;
use crate::backend::{ModelOptions, Optimization};

/// What all sessions of the backend have in common.
pub(super) struct Settings<'a> {
    pub(super) environment: &'a Environment,
    pub(super) providers: &'a [Provider],
    pub(super) tensorrt: &'a TensorRtOptions,
}

/// What the sessions of one model have in common.
pub(super) struct Plan<'a> {
    pub(super) options: &'a ModelOptions,
    /// Where data outside of the model is, if there is any.
    pub(super) external_data: Option<&'a Path>,
    /// A memory plan is kept for each shape that was seen, so it is off where shapes vary.
    pub(super) fixed_shapes: bool,
}

impl Settings<'_> {
    /// A session for the model with these bytes; its optimised form is written to `optimized` if given.
    ///
    /// A panic in the bindings is an error too: what bytes of a model make of them is not known in all cases.
    pub(super) fn session(&self, model: &[u8], plan: &Plan<'_>, optimized: Option<&Path>) -> Result<Session, String> {
        match catch_unwind(AssertUnwindSafe(|| self.build(model, plan, optimized))) {
            Ok(built) => built.map_err(|error| error.to_string()),
            Err(_) => Err("the bindings of ONNX Runtime gave up on the model".to_owned()),
        }
    }

    fn build(&self, model: &[u8], plan: &Plan<'_>, optimized: Option<&Path>) -> ort::Result<Session> {
        let options = plan.options;
        let mut builder = Session::builder(self.environment)?
            .with_log_level(LogLevel::Error)?
            .with_optimization_level(level(options.optimization))?
            .with_intra_threads(options.intra_op_threads.max(1))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(plan.fixed_shapes)?;
        let accelerators: Vec<_> =
            self.providers.iter().filter_map(|&provider| dispatch(provider, self.tensorrt)).collect();
        builder = builder.with_execution_providers(accelerators)?;
        if !self.providers.contains(&Provider::Cpu) {
            builder = builder.with_disable_cpu_fallback()?;
        }
        if let Some(folder) = plan.external_data {
            let folder = folder.to_str().ok_or_else(|| ort::Error::new("the model's folder is not UTF-8"))?;
            builder = builder.with_config_entry("session.model_external_initializers_file_folder_path", folder)?;
        }
        if let Some(path) = optimized {
            builder = builder.with_optimized_model_path(path)?;
        }
        builder.commit_from_memory(model)
    }
}

fn level(optimization: Optimization) -> GraphOptimizationLevel {
    match optimization {
        Optimization::None => GraphOptimizationLevel::Disable,
        Optimization::Basic => GraphOptimizationLevel::Level1,
        Optimization::Extended => GraphOptimizationLevel::Level2,
        Optimization::All => GraphOptimizationLevel::All,
    }
}

/// `None` for the CPU, which every session has unless its fallback is switched off.
fn dispatch(provider: Provider, tensorrt: &TensorRtOptions) -> Option<ExecutionProviderDispatch> {
    let dispatch = match provider {
        Provider::Cpu => return None,
        Provider::Cuda => CUDA::default().build(),
        Provider::TensorRt => {
            let mut options = TensorRT::default().with_fp16(tensorrt.fp16).with_int8(tensorrt.int8);
            if let Some(bytes) = tensorrt.workspace_bytes {
                options = options.with_max_workspace_size(bytes);
            }
            if let Some(folder) = &tensorrt.engine_cache {
                options = options.with_engine_cache(true).with_engine_cache_path(folder.display());
            }
            options.build()
        }
    };
    Some(dispatch.error_on_failure())
}

/// Whether the library has the provider and a session can be made with it: what is missing is often a driver or another
/// library, which shows only then.
pub(super) fn try_provider(
    environment: &Environment,
    provider: Provider,
    tensorrt: &TensorRtOptions,
) -> Result<(), String> {
    let built_in = match provider {
        Provider::Cpu => return Ok(()),
        Provider::Cuda => CUDA::is_available(),
        Provider::TensorRt => TensorRT::is_available(),
    };
    if !built_in.unwrap_or(false) {
        return Err("not in this build of the library".to_owned());
    }
    let attempt = || -> ort::Result<Session> {
        let builder: SessionBuilder = Session::builder(environment)?.with_log_level(LogLevel::Fatal)?;
        builder.with_execution_providers(dispatch(provider, tensorrt).as_slice())?.commit_from_memory(&smallest_model())
    };
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(built) => built.map(drop).map_err(|error| first_line(&error.to_string())),
        Err(_) => Err("the bindings of ONNX Runtime gave up on it".to_owned()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// `y = x + x` for one FP32 number: every provider can run it.
fn smallest_model() -> Vec<u8> {
    let value_info = |name: &str| {
        let (mut dimension, mut shape, mut tensor) = (Vec::new(), Vec::new(), Vec::new());
        write_varint(&mut dimension, 1, 1);
        write_bytes(&mut shape, 1, &dimension);
        write_varint(&mut tensor, 1, 1);
        write_bytes(&mut tensor, 2, &shape);
        let (mut kind, mut value_info) = (Vec::new(), Vec::new());
        write_bytes(&mut kind, 1, &tensor);
        write_bytes(&mut value_info, 1, name.as_bytes());
        write_bytes(&mut value_info, 2, &kind);
        value_info
    };
    let (mut node, mut graph, mut opset, mut model) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (field, text) in [(1, "x"), (1, "x"), (2, "y"), (4, "Add")] {
        write_bytes(&mut node, field, text.as_bytes());
    }
    write_bytes(&mut graph, 1, &node);
    write_bytes(&mut graph, 2, b"smallest");
    write_bytes(&mut graph, 11, &value_info("x"));
    write_bytes(&mut graph, 12, &value_info("y"));
    write_varint(&mut opset, 2, 13);
    write_varint(&mut model, 1, 7);
    write_bytes(&mut model, 7, &graph);
    write_bytes(&mut model, 8, &opset);
    model
}

//! From a model's file to its sessions: reads and checks it, applies overrides, keeps the optimised form. Runs nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ort::session::Session;
use ort::value::{Outlet, ValueType};

use super::convert;
use super::onnx_file::{self, Declared, Kind, OnnxFile};
use super::session::{Plan, Settings};
use crate::backend::select::Provider;
use crate::backend::{BackendError, ModelSource, TensorOverride};
use crate::tensor::{Signature, TensorSpec};

/// What a protocol buffer can hold; larger models keep their weights in files of their own.
const FILE_BYTES_MAX: u64 = i32::MAX as u64;

/// A model with all of its sessions.
pub(super) struct Loaded {
    pub(super) sessions: Vec<Session>,
    pub(super) signature: Signature,
    pub(super) metadata: BTreeMap<String, String>,
}

pub(super) fn load(source: &ModelSource, settings: &Settings<'_>) -> Result<Loaded, BackendError> {
    loaded(source, settings).map_err(|reason| BackendError::load(&source.label, &source.path, reason))
}

fn loaded(source: &ModelSource, settings: &Settings<'_>) -> Result<Loaded, String> {
    let options = &source.options;
    let bytes = read(&source.path)?;
    let file = OnnxFile::parse(&bytes).map_err(|error| error.to_string())?;
    check_kinds("input", &file.inputs)?;
    check_kinds("output", &file.outputs)?;
    check_overrides("input", &options.inputs, &file.inputs)?;
    check_overrides("output", &options.outputs, &file.outputs)?;
    let folder = source.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_external(&file, folder)?;

    let rewritten = file.rewritten(&bytes, &options.inputs, &options.outputs).map_err(|error| error.to_string())?;
    let model = rewritten.unwrap_or(bytes);
    let plan = Plan {
        options,
        external_data: (!file.external.is_empty()).then_some(folder),
        fixed_shapes: file.inputs.iter().all(|declared| has_fixed_shape(declared, &options.inputs)),
    };
    let sessions = sessions(&model, source, settings, &plan)?;
    let first = sessions.first().ok_or("a model needs one instance at least")?;
    let signature = Signature {
        inputs: specs("input", first.inputs(), &options.inputs)?,
        outputs: specs("output", first.outputs(), &options.outputs)?,
    };
    Ok(Loaded { sessions, signature, metadata: file.metadata })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it has {length} bytes; beyond {FILE_BYTES_MAX}, weights must be in files of their own"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// ONNX Runtime's bindings cannot describe all types, so what cannot be served is refused before they see it.
fn check_kinds(side: &str, declared: &[Declared]) -> Result<(), String> {
    for Declared { name, kind } in declared {
        match kind {
            Kind::Other(what) => {
                return Err(format!(
                    "{side} `{name}` is {what}, and only tensors can be served; a scikit-learn classifier gives tensors \
                     if it is converted with `options={{'zipmap': False}}`"
                ));
            }
            Kind::Tensor { element, .. } if *element != 0 && onnx_file::datatype(*element).is_none() => {
                return Err(format!(
                    "{side} `{name}` has ONNX element type {element}, which the protocol does not have"
                ));
            }
            Kind::Tensor { .. } | Kind::Unknown => {}
        }
    }
    Ok(())
}

fn check_overrides(
    side: &str,
    overrides: &BTreeMap<String, TensorOverride>,
    declared: &[Declared],
) -> Result<(), String> {
    for (name, wanted) in overrides {
        let Some(declared) = declared.iter().find(|declared| declared.name == *name) else {
            let names: Vec<String> = declared.iter().map(|declared| format!("`{}`", declared.name)).collect();
            return Err(format!("its options name {side} `{name}`; it has {}", names.join(", ")));
        };
        if wanted.shape.iter().flatten().any(|&dimension| dimension < -1) {
            return Err(format!("its options give {side} `{name}` a dimension below -1"));
        }
        let shape = match &declared.kind {
            Kind::Tensor { shape, .. } => wanted.shape.as_ref().or(shape.as_ref()),
            _ => wanted.shape.as_ref(),
        };
        let rank = shape.map_or(wanted.multiple_of.len(), Vec::len);
        if !wanted.multiple_of.is_empty() && wanted.multiple_of.len() != rank {
            let given = wanted.multiple_of.len();
            return Err(format!("its options give {given} multiples for {side} `{name}`, which has {rank} dimensions"));
        }
    }
    Ok(())
}

/// Weights in files of their own must be beside the model: what a model's bytes say must not reach other files.
fn check_external(file: &OnnxFile, folder: &Path) -> Result<(), String> {
    for location in &file.external {
        let path = Path::new(location);
        let stays = !location.is_empty()
            && !location.contains('\\')
            && path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !stays {
            return Err(format!("its weights are in `{}`, outside of its folder", location.escape_debug()));
        }
        if !folder.join(path).is_file() {
            return Err(format!("its weights are in `{}`, which is not beside it", location.escape_debug()));
        }
    }
    Ok(())
}

fn has_fixed_shape(declared: &Declared, overrides: &BTreeMap<String, TensorOverride>) -> bool {
    let wanted = overrides.get(&declared.name).and_then(|wanted| wanted.shape.as_ref());
    let shape = match (&declared.kind, wanted) {
        (_, Some(wanted)) => Some(wanted),
        (Kind::Tensor { shape, .. }, None) => shape.as_ref(),
        _ => None,
    };
    shape.is_some_and(|shape| shape.iter().all(|&dimension| dimension >= 0))
}

/// All instances, from the optimised form where there is one; else it is made for the next time.
fn sessions(
    model: &[u8],
    source: &ModelSource,
    settings: &Settings<'_>,
    plan: &Plan<'_>,
) -> Result<Vec<Session>, String> {
    let count = plan.options.instances.max(1);
    // TensorRT's parts of a graph cannot be written down.
    let cache = plan.options.optimized_cache.as_deref().filter(|_| !settings.providers.contains(&Provider::TensorRt));
    let Some(cache) = cache else { return repeat(count, || settings.session(model, plan, None)) };
    if cache.exists() {
        let cached = read(cache).and_then(|cached| repeat(count, || settings.session(&cached, plan, None)));
        match cached.and_then(|sessions| same_model(sessions, model)) {
            Ok(sessions) => return Ok(sessions),
            Err(error) => {
                tracing::warn!(model = source.label, path = %cache.display(), error, "replace an unusable optimised model");
            }
        }
    }
    let temporary = temporary_beside(cache);
    let first = match settings.session(model, plan, Some(&temporary)) {
        Ok(session) => {
            if let Err(error) = put_in_place(&temporary, cache) {
                tracing::warn!(model = source.label, path = %cache.display(), %error, "keep no optimised model");
            }
            session
        }
        // The model's fault, or that of the folder? Without the folder it shows.
        Err(error) => {
            let session = settings.session(model, plan, None)?;
            tracing::warn!(model = source.label, path = %cache.display(), error, "keep no optimised model");
            session
        }
    };
    // Gone already where it was put in place.
    let _ = fs::remove_file(&temporary);
    let mut sessions = vec![first];
    if count > 1 {
        let rest = read(cache).and_then(|cached| repeat(count - 1, || settings.session(&cached, plan, None)));
        sessions.extend(rest.or_else(|_| repeat(count - 1, || settings.session(model, plan, None)))?);
    }
    Ok(sessions)
}

fn repeat(count: usize, mut session: impl FnMut() -> Result<Session, String>) -> Result<Vec<Session>, String> {
    (0..count).map(|_| session()).collect()
}

/// Guards against a file of another model under this model's key, as far as declarations can tell them apart.
fn same_model(sessions: Vec<Session>, model: &[u8]) -> Result<Vec<Session>, String> {
    let file = OnnxFile::parse(model).map_err(|error| error.to_string())?;
    let is_same = |session: &Session| {
        matches(session.inputs(), &file.inputs, true) && matches(session.outputs(), &file.outputs, false)
    };
    match sessions.iter().all(is_same) {
        true => Ok(sessions),
        false => Err("it has other inputs or outputs".to_owned()),
    }
}

/// Shapes of outputs are inferred again, and better, with each optimisation: only those of inputs are compared.
fn matches(outlets: &[Outlet], declared: &[Declared], with_shapes: bool) -> bool {
    outlets.len() == declared.len()
        && outlets.iter().zip(declared).all(|(outlet, declared)| {
            let same_type = match (outlet.dtype(), &declared.kind) {
                (ValueType::Tensor { ty, shape, .. }, Kind::Tensor { element, shape: expected }) => {
                    let same_element = convert::datatype(*ty).map(onnx_file::element) == Some(*element);
                    let same_shape = expected.as_ref().is_none_or(|expected| **shape == **expected);
                    same_element && (same_shape || !with_shapes)
                }
                _ => true,
            };
            outlet.name() == declared.name && same_type
        })
}

fn temporary_beside(cache: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut name = cache.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    cache.with_file_name(name)
}

/// The file is whole on the disk before it has its name.
fn put_in_place(temporary: &Path, cache: &Path) -> std::io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, cache)
}

fn specs(
    side: &str,
    outlets: &[Outlet],
    overrides: &BTreeMap<String, TensorOverride>,
) -> Result<Vec<TensorSpec>, String> {
    outlets
        .iter()
        .map(|outlet| {
            let name = outlet.name();
            let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
                return Err(format!("{side} `{name}` is {}, and only tensors can be served", outlet.dtype()));
            };
            let datatype = convert::datatype(*ty)
                .ok_or_else(|| format!("{side} `{name}` has elements of {ty}, which the protocol does not have"))?;
            let mut spec = TensorSpec::new(name, datatype, shape);
            if let Some(wanted) = overrides.get(name) {
                spec.shape = wanted.shape.clone().or(spec.shape);
                spec.multiple_of = wanted.multiple_of.clone();
            }
            Ok(spec)
        })
        .collect()
}

//! The host's side of the contract with plugins: which versions are offered, and the state behind one instance.

use std::borrow::Cow;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::error::PluginError;
use super::grants::{GrantedModel, Grants, wasi_context};
use super::limits::{Charge, Limit, LimitReached, Limits, MemoryLimiter, TensorAllowance};
use super::log::GuestLog;
use crate::infer::{Deadline, RequestContext};
use crate::tensor::Tensor;

pub(crate) mod v0_1;

/// The package of the contract.
pub(crate) const PACKAGE: &str = "inferwit:plugin";

/// The versions of the contract that this host offers.
pub const OFFERED_VERSIONS: [&str; 1] = ["0.1.0"];

/// Entries of WASI's own (streams, pollables) that an instance may hold beside tensors and sessions.
const WASI_HANDLES_MAX: usize = 256;

/// A tensor that a guest holds. `charge` counts the memory that the guest made the host allocate; inputs carry none.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HeldTensor {
    pub(crate) tensor: Tensor,
    pub(crate) charge: Option<Arc<Charge>>,
}

/// The request that a guest may look at: its data lies in the state, this is only the handle.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HeldRequest;

/// A granted model that a guest has opened.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HeldSession(pub(crate) Arc<dyn GrantedModel>);

/// What one instance can reach in the host.
pub(crate) struct GuestState {
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    pub(crate) memory: MemoryLimiter,
    pub(crate) tensors: TensorAllowance,
    /// Tensors and sessions that the guest holds now.
    pub(crate) handles: u32,
    handles_max: u32,
    pub(crate) grants: Arc<Grants>,
    pub(crate) log: GuestLog,
    /// Sleeps that the guest has begun. It may keep the wait itself, so an instance that sleeps serves no second request.
    pub(crate) sleeps: u32,
    /// The request being answered; `None` outside of `process` and `check`.
    pub(crate) request: Option<Arc<RequestContext>>,
    /// When the call must have ended.
    pub(crate) deadline: Deadline,
    /// How long the call had when it began, in nanoseconds.
    pub(crate) allowed_ns: u64,
}

impl GuestState {
    pub(crate) fn new(limits: &Limits, grants: &Arc<Grants>, log: &GuestLog) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize + WASI_HANDLES_MAX);
        Self {
            table,
            wasi: wasi_context(grants, log),
            memory: MemoryLimiter::new(limits.memory_bytes),
            tensors: TensorAllowance::new(limits.tensor_bytes),
            handles: 0,
            handles_max: limits.handles,
            grants: Arc::clone(grants),
            log: log.clone(),
            sleeps: 0,
            request: None,
            deadline: Deadline::never(),
            allowed_ns: 0,
        }
    }

    /// Gives the guest a handle, or `None` where it has as many as it may.
    pub(crate) fn hold<T: Send + 'static>(&mut self, entry: T) -> wasmtime::Result<Option<Resource<T>>> {
        if self.handles == self.handles_max {
            return Ok(None);
        }
        self.handles += 1;
        Ok(Some(self.table.push(entry)?))
    }

    /// Like `hold`, where the contract has no word for a refusal: ends the guest.
    pub(crate) fn hold_or_trap<T: Send + 'static>(&mut self, entry: T) -> wasmtime::Result<Resource<T>> {
        self.hold(entry)?.ok_or_else(|| wasmtime::Error::new(LimitReached(Limit::Handles)))
    }

    /// Takes a handle back.
    pub(crate) fn release<T: 'static>(&mut self, handle: Resource<T>) -> wasmtime::Result<T> {
        let entry = self.table.delete(handle)?;
        self.handles -= 1;
        Ok(entry)
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What a component imports and exports, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

pub(crate) fn surface(component: &Component, engine: &Engine) -> Surface {
    let component_type = component.component_type();
    Surface {
        imports: component_type.imports(engine).map(|(name, _)| name.to_owned()).collect(),
        exports: component_type
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
            .map(|(name, _)| name.to_owned())
            .collect(),
    }
}

/// The version of the contract that a component was built for.
///
/// # Errors
/// If it uses none, several, or one that this host does not offer.
pub(crate) fn contract_version(surface: &Surface) -> Result<&'static str, PluginError> {
    let mut versions: Vec<&str> = surface
        .exports
        .iter()
        .chain(&surface.imports)
        .filter_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@'))
        .map(|(_, version)| version)
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let offered = OFFERED_VERSIONS.join(", ");
    match versions[..] {
        [version] => {
            OFFERED_VERSIONS.into_iter().find(|&known| known == version).ok_or_else(|| PluginError::Unsupported {
                reason: format!("the plugin needs {PACKAGE}@{version}, this host offers {offered}"),
                hint: "build it against an offered version of the contract, or update the host".to_owned(),
            })
        }
        [] => Err(PluginError::Unsupported {
            reason: format!("the component exports no interface of {PACKAGE}"),
            hint: "export `processor`, `validator` or `rules`; `inferwit plugin new` starts a plugin".to_owned(),
        }),
        _ => Err(PluginError::Unsupported {
            reason: format!("the component mixes versions of {PACKAGE}: {}", versions.join(", ")),
            hint: format!("build all of it against one of {offered}"),
        }),
    }
}

/// Everything that plugins may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    super::sleep::bound_sleeps(&mut linker)?;
    v0_1::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A component as it is; a core module with an embedded component type as the component that it describes.
///
/// # Errors
/// If the bytes are neither, or are precompiled machine code, which is never accepted from outside.
pub(crate) fn to_component(wasm: &[u8]) -> Result<Cow<'_, [u8]>, PluginError> {
    if Engine::detect_precompiled(wasm).is_some() {
        return Err(PluginError::Unsupported {
            reason: "the file is precompiled machine code, which is never accepted from outside".to_owned(),
            hint: "give the WebAssembly component that it was compiled from".to_owned(),
        });
    }
    if wasmparser::Parser::is_component(wasm) {
        return Ok(Cow::Borrowed(wasm));
    }
    if !wasmparser::Parser::is_core_wasm(wasm) {
        return Err(PluginError::Unsupported {
            reason: "the file is not WebAssembly".to_owned(),
            hint: "give the .wasm file of a plugin, built for wasm32-wasip2".to_owned(),
        });
    }
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(wasm);
    let component = encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| PluginError::Unsupported {
        reason: format!("the core module cannot be made into a component: {error:#}"),
        hint: "build it for wasm32-wasip2, or with an embedded component type and no WASI 0.1 imports".to_owned(),
    })?;
    Ok(Cow::Owned(component))
}

//! One guest: its store, and the calls into it. Whatever goes wrong ends it; nothing here decides which guest serves which request.

use std::borrow::BorrowMut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Resource, ResourceAny};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::abi::v0_1::{self, bindings};
use super::abi::{GuestState, HeldRequest, HeldTensor};
use super::error::{Diagnostic, Failure, PluginError, PluginLabel, Stage};
use super::limits::{Limit, LimitReached};
use super::log::escaped;
use super::serving::Guest;
use super::{Finding, Interface, Mount, Plugin, PluginInfo, Sandbox};
use crate::infer::{Deadline, RequestContext};
use crate::tensor::{Signature, Tensor, TensorSpec};

/// A guest that has opened its configuration.
pub(crate) struct Instance {
    store: Store<GuestState>,
    opened: Opened,
    /// Lent to the guest in every call; its data lies in the state.
    request: u32,
}

enum Opened {
    Processor(bindings::processor::ProcessorPlugin, ResourceAny),
    Validator(bindings::validator::ValidatorPlugin, ResourceAny),
}

/// What a guest was lent that it may not keep.
type Named<T> = Vec<(String, T)>;

impl Instance {
    /// Makes a guest and opens it with its configuration.
    pub(crate) fn open(plugin: &Plugin, mount: &Mount, request_deadline: &Deadline) -> Result<Self, PluginError> {
        let Mount { sandbox, usage } = mount;
        let label = &sandbox.label;
        let mut call = Call { store: plugin.store(sandbox), label, request_deadline };
        let budget = sandbox.limits.open_deadline;
        let opened = match usage.interface {
            Interface::Processor => {
                let pre = plugin.processor.as_ref().ok_or_else(|| plugin.lacks("processor"))?;
                let guest = call.run(Stage::Instantiate, budget, |store| pre.instantiate(store))?;
                let open = guest.inferwit_plugin_processor().processor();
                let handle = call.run(Stage::Open, budget, |store| open.call_open(store, &usage.config))?;
                Opened::Processor(guest, handle.map_err(|diagnostics| refused(label, diagnostics))?)
            }
            Interface::Validator => {
                let pre = plugin.validator.as_ref().ok_or_else(|| plugin.lacks("validator"))?;
                let guest = call.run(Stage::Instantiate, budget, |store| pre.instantiate(store))?;
                let open = guest.inferwit_plugin_validator().validator();
                let handle = call.run(Stage::Open, budget, |store| open.call_open(store, &usage.config))?;
                Opened::Validator(guest, handle.map_err(|diagnostics| refused(label, diagnostics))?)
            }
        };
        let mut store = call.store;
        let request = store
            .data_mut()
            .table
            .push(HeldRequest)
            .map_err(|error| PluginError::Contract { label: label.clone(), reason: error.to_string() })?;
        Ok(Self { store, opened, request: request.rep() })
    }

    /// What the guest takes and gives under its configuration.
    pub(crate) fn signature(&mut self, mount: &Mount) -> Result<Signature, PluginError> {
        let never = Deadline::never();
        let budget = mount.sandbox.limits.open_deadline;
        let (store, opened) = (&mut self.store, &self.opened);
        let mut call = Call { store, label: &mount.sandbox.label, request_deadline: &never };
        let host_specs = |specs: Vec<_>| specs.into_iter().map(v0_1::host_spec).collect::<Vec<TensorSpec>>();
        match opened {
            Opened::Processor(guest, handle) => {
                let exports = guest.inferwit_plugin_processor().processor();
                let signature = call.run(Stage::Open, budget, |store| exports.call_signature(store, *handle))?;
                Ok(Signature { inputs: host_specs(signature.inputs), outputs: host_specs(signature.outputs) })
            }
            Opened::Validator(guest, handle) => {
                let exports = guest.inferwit_plugin_validator().validator();
                let inputs = call.run(Stage::Open, budget, |store| exports.call_inputs(store, *handle))?;
                Ok(Signature { inputs: host_specs(inputs), outputs: Vec::new() })
            }
        }
    }

    /// Gives the inputs to the guest and takes its results. After any error but `Failure` the guest must not be used again.
    pub(crate) fn process(
        &mut self,
        mount: &Mount,
        inputs: Named<Tensor>,
        context: &Arc<RequestContext>,
    ) -> Result<Named<Tensor>, PluginError> {
        let Sandbox { label, limits, .. } = &mount.sandbox;
        let Opened::Processor(guest, handle) = &self.opened else { unreachable!("opened as a processor") };
        let exports = guest.inferwit_plugin_processor().processor();
        let inputs = hold_inputs(self.store.data_mut(), inputs, label)?;
        self.store.data_mut().request = Some(Arc::clone(context));
        let mut call = Call { store: &mut self.store, label, request_deadline: &context.deadline };
        let request = Resource::<HeldRequest>::new_borrow(self.request);
        let results =
            call.run(Stage::Process, limits.deadline, |store| exports.call_process(store, *handle, &inputs, request));
        self.store.data_mut().request = None;
        let results = results?.map_err(|failure| failed(label, Stage::Process, failure))?;
        let state = self.store.data_mut();
        let mut outputs = Vec::with_capacity(results.len());
        for (name, handle) in results {
            let held = state.release::<HeldTensor>(handle).map_err(|error| PluginError::Contract {
                label: label.clone(),
                reason: format!("output `{}`: {error}", escaped(&name)),
            })?;
            outputs.push((name, held.tensor));
        }
        Ok(outputs)
    }

    /// Shows the tensors to the guest and takes its findings. After any error but `Failure` it must not be used again.
    pub(crate) fn check(
        &mut self,
        mount: &Mount,
        tensors: Named<Tensor>,
        context: &Arc<RequestContext>,
    ) -> Result<Vec<Finding>, PluginError> {
        let Sandbox { label, limits, .. } = &mount.sandbox;
        let Opened::Validator(guest, handle) = &self.opened else { unreachable!("opened as a validator") };
        let exports = guest.inferwit_plugin_validator().validator();
        let tensors = hold_inputs(self.store.data_mut(), tensors, label)?;
        self.store.data_mut().request = Some(Arc::clone(context));
        let mut call = Call { store: &mut self.store, label, request_deadline: &context.deadline };
        let request = Resource::<HeldRequest>::new_borrow(self.request);
        let findings =
            call.run(Stage::Check, limits.deadline, |store| exports.call_check(store, *handle, &tensors, request));
        self.store.data_mut().request = None;
        let findings = findings?.map_err(|failure| failed(label, Stage::Check, failure))?;
        Ok(findings.into_iter().map(v0_1::host_finding).collect())
    }
}

impl Guest for Instance {
    fn store(&self) -> &Store<GuestState> {
        &self.store
    }
}

/// Reads what a plugin says of itself, in a guest of its own.
pub(crate) fn describe(plugin: &Plugin, sandbox: &Sandbox) -> Result<PluginInfo, PluginError> {
    let label = &sandbox.label;
    let never = Deadline::never();
    let mut call = Call { store: plugin.store(sandbox), label, request_deadline: &never };
    let budget = sandbox.limits.tools_deadline;
    let instance = call.run(Stage::Instantiate, budget, |store| plugin.pre.instantiate(store))?;
    let manifest = bindings::processor::exports::inferwit::plugin::manifest::GuestIndices::new(&plugin.pre)
        .and_then(|indices| indices.load(&mut call.store, &instance))
        .map_err(|error| breach(label, &error))?;
    let info = call.run(Stage::Describe, budget, |store| manifest.call_describe(store))?;
    Ok(PluginInfo {
        name: info.name,
        version: info.version,
        description: escaped(&info.description),
        config_schema: info.config_schema,
        labels: info.labels,
    })
}

fn hold_inputs(
    state: &mut GuestState,
    inputs: Named<Tensor>,
    label: &PluginLabel,
) -> Result<Named<Resource<HeldTensor>>, PluginError> {
    inputs
        .into_iter()
        .map(|(name, tensor)| match state.hold(HeldTensor { tensor, charge: None }) {
            Ok(Some(handle)) => Ok((name, handle)),
            Ok(None) | Err(_) => {
                Err(PluginError::Limit { label: label.clone(), stage: Stage::Process, limit: Limit::Handles })
            }
        })
        .collect()
}

fn refused(label: &PluginLabel, diagnostics: Vec<bindings::inferwit::plugin::common::Diagnostic>) -> PluginError {
    let diagnostics: Vec<Diagnostic> = diagnostics.into_iter().map(v0_1::host_diagnostic).collect();
    PluginError::Configuration { label: label.clone(), diagnostics }
}

/// What a plugin answered instead of a result.
pub(crate) fn failed(
    label: &PluginLabel,
    stage: Stage,
    failure: bindings::inferwit::plugin::common::Failure,
) -> PluginError {
    match v0_1::host_failure(failure).escaped() {
        Failure::DeadlineExceeded => PluginError::Deadline { label: label.clone(), stage },
        failure => PluginError::Failure { label: label.clone(), failure },
    }
}

/// An export that is not as the contract says.
pub(crate) fn breach(label: &PluginLabel, error: &wasmtime::Error) -> PluginError {
    PluginError::Contract { label: label.clone(), reason: format!("{error:#}") }
}

/// A series of calls into one store, each under its own deadline.
pub(crate) struct Call<'a, S> {
    pub(crate) store: S,
    pub(crate) label: &'a PluginLabel,
    /// The request's own, which is told apart from the step's.
    pub(crate) request_deadline: &'a Deadline,
}

impl<S: BorrowMut<Store<GuestState>>> Call<'_, S> {
    /// One call: `body` under the earlier of `budget` and the request's deadline.
    pub(crate) fn run<T>(
        &mut self,
        stage: Stage,
        budget: Duration,
        body: impl FnOnce(&mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        let now = Instant::now();
        let store = self.store.borrow_mut();
        let deadline = self.request_deadline.tightened(now + budget);
        let state = store.data_mut();
        state.allowed_ns = deadline.remaining(now).map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        state.deadline = deadline;
        // Not renewed by itself: each call begins with a tick of its own.
        store.set_epoch_deadline(1);
        body(store).map_err(|error| self.classify(stage, &error))
    }

    fn classify(&self, stage: Stage, error: &wasmtime::Error) -> PluginError {
        let label = self.label.clone();
        if let Some(&LimitReached(limit)) = error.downcast_ref::<LimitReached>() {
            return PluginError::Limit { label, stage, limit };
        }
        if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
            return PluginError::Overloaded { label, reason: "all instances are in use".to_owned() };
        }
        let root = error.root_cause().to_string();
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return PluginError::Trap { label, stage, reason: format!("it exited with status {}", exit.0) };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) if self.request_deadline.is_over(Instant::now()) => {
                PluginError::Deadline { label, stage }
            }
            Some(Trap::Interrupt) => PluginError::Limit { label, stage, limit: Limit::Deadline },
            Some(Trap::StackOverflow) => PluginError::Limit { label, stage, limit: Limit::Stack },
            // wasmtime keeps the type of this error to itself.
            _ if root.contains("fuel allocated for hostcalls") => {
                PluginError::Limit { label, stage, limit: Limit::SentBytes }
            }
            _ => PluginError::Trap { label, stage, reason: escaped(&root) },
        }
    }
}

/// Ends the guest at the first tick after its deadline, or after its client has gone.
pub(crate) fn watch_deadline(store: &mut Store<GuestState>) {
    store.epoch_deadline_callback(|store| {
        let is_over = store.data().deadline.is_over(Instant::now());
        Ok(if is_over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
    });
}

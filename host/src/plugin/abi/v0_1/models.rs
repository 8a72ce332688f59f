//! `models`: sessions on the models that were granted. A call waits for its answer no longer than the request may take.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::bindings::inferwit::plugin::models::{self, RunError};
use super::bindings::inferwit::plugin::tensors as guest;
use super::{GuestState, HeldSession, HeldTensor, guest_spec};
use crate::plugin::grants::GrantedModelError;
use crate::tensor::Tensor;

impl models::Host for GuestState {}

impl models::HostSession for GuestState {
    fn open(&mut self, name: String) -> wasmtime::Result<Result<Resource<HeldSession>, RunError>> {
        let Some(model) = self.grants.models.get(&name).map(Arc::clone) else { return Ok(Err(RunError::NotFound)) };
        let session = self.hold(HeldSession(model))?;
        Ok(session.ok_or_else(|| RunError::Exhausted("no handle is left".to_owned())))
    }

    fn inputs(&mut self, session: Resource<HeldSession>) -> wasmtime::Result<Vec<guest::TensorSpec>> {
        Ok(self.table.get(&session)?.0.signature().inputs.iter().map(guest_spec).collect())
    }

    fn outputs(&mut self, session: Resource<HeldSession>) -> wasmtime::Result<Vec<guest::TensorSpec>> {
        Ok(self.table.get(&session)?.0.signature().outputs.iter().map(guest_spec).collect())
    }

    fn run(
        &mut self,
        session: Resource<HeldSession>,
        inputs: Vec<(String, Resource<HeldTensor>)>,
        wanted: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Resource<HeldTensor>)>, RunError>> {
        let model = Arc::clone(&self.table.get(&session)?.0);
        let mut tensors: Vec<(&str, &Tensor)> = Vec::with_capacity(inputs.len());
        for (name, handle) in &inputs {
            tensors.push((name, &self.table.get(handle)?.tensor));
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let outputs = match model.run(&tensors, &wanted, &self.deadline) {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Err(run_error(error))),
        };
        let mut results = Vec::with_capacity(outputs.len());
        for (name, tensor) in outputs {
            match self.hold_new(tensor)? {
                Ok(handle) => results.push((name, handle)),
                Err(_) => {
                    for (_, handle) in results {
                        self.release::<HeldTensor>(handle)?;
                    }
                    return Ok(Err(RunError::Exhausted(
                        "the outputs exceed the plugin's tensor memory or handles".to_owned(),
                    )));
                }
            }
        }
        Ok(Ok(results))
    }

    fn drop(&mut self, session: Resource<HeldSession>) -> wasmtime::Result<()> {
        self.release(session)?;
        Ok(())
    }
}

fn run_error(error: GrantedModelError) -> RunError {
    match error {
        GrantedModelError::InvalidInput(reason) => RunError::InvalidInput(reason),
        GrantedModelError::DeadlineExceeded => RunError::DeadlineExceeded,
        GrantedModelError::Exhausted(reason) => RunError::Exhausted(reason),
        GrantedModelError::Backend(reason) => RunError::Backend(reason),
    }
}

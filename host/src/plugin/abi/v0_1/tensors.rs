//! `tensors`: handles to host memory. One crossing of bytes is one copy of them, so the hot functions bypass the bindings.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList};

use super::bindings::inferwit::plugin::common::Packed;
use super::bindings::inferwit::plugin::tensors::{self as guest, TensorError as GuestError};
use super::{GuestState, HeldTensor, guest_datatype, host_datatype};
use crate::tensor::{Datatype, Tensor, TensorError, element_count};

impl GuestState {
    /// Gives the guest a tensor that was made for it and counts its memory.
    pub(super) fn hold_new(&mut self, tensor: Tensor) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        let Some(charge) = self.tensors.charge(tensor.memory_bytes()) else {
            return Ok(Err(GuestError::Exhausted));
        };
        let handle = self.hold(HeldTensor { tensor, charge: Some(charge) })?;
        Ok(handle.ok_or(GuestError::Exhausted))
    }

    fn hold_made(
        &mut self,
        made: Result<Tensor, TensorError>,
    ) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        match made {
            Ok(tensor) => self.hold_new(tensor),
            Err(error) => Ok(Err(guest_error(error))),
        }
    }

    /// Whether a tensor of this size may be made.
    fn check_allowance(&self, datatype: Datatype, shape: &[u64]) -> Result<(), GuestError> {
        let count = element_count(shape).map_err(guest_error)? as u64;
        let width = datatype.width().unwrap_or(4) as u64;
        match count.checked_mul(width) {
            Some(bytes) if bytes <= self.tensors.left() => Ok(()),
            _ => Err(GuestError::Exhausted),
        }
    }

    fn held(&self, handle: &Resource<HeldTensor>) -> wasmtime::Result<&Tensor> {
        Ok(&self.table.get(handle)?.tensor)
    }
}

pub(super) fn guest_error(error: TensorError) -> GuestError {
    match error {
        TensorError::WrongDatatype { got, .. } => GuestError::DatatypeMismatch(guest_datatype(got)),
        TensorError::BadBool { .. } => GuestError::InvalidArgument(error.to_string()),
        _ => GuestError::ShapeMismatch(error.to_string()),
    }
}

impl guest::Host for GuestState {}

impl guest::HostTensor for GuestState {
    fn zeros(
        &mut self,
        datatype: guest::Datatype,
        shape: Vec<u64>,
    ) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        let datatype = host_datatype(datatype);
        if datatype == Datatype::Bytes && element_count(&shape) != Ok(0) {
            return Ok(Err(GuestError::DatatypeMismatch(guest::Datatype::Bytes)));
        }
        if let Err(error) = self.check_allowance(datatype, &shape) {
            return Ok(Err(error));
        }
        self.hold_made(Tensor::zeros(datatype, &shape))
    }

    fn from_bytes(
        &mut self,
        datatype: guest::Datatype,
        shape: Vec<u64>,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        self.hold_made(Tensor::from_bytes(host_datatype(datatype), &shape, &data))
    }

    fn from_elements(
        &mut self,
        shape: Vec<u64>,
        elements: Packed,
    ) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        let Some(slices) = unpack(&elements) else {
            let reason = "`ends` must be ascending and end with the length of `data`".to_owned();
            return Ok(Err(GuestError::InvalidArgument(reason)));
        };
        self.hold_made(Tensor::from_elements(&shape, &slices))
    }

    fn datatype(&mut self, handle: Resource<HeldTensor>) -> wasmtime::Result<guest::Datatype> {
        Ok(guest_datatype(self.held(&handle)?.datatype()))
    }

    fn shape(&mut self, handle: Resource<HeldTensor>) -> wasmtime::Result<Vec<u64>> {
        Ok(self.held(&handle)?.shape().to_vec())
    }

    fn byte_length(&mut self, handle: Resource<HeldTensor>) -> wasmtime::Result<u64> {
        Ok(self.held(&handle)?.bytes().len() as u64)
    }

    fn read(
        &mut self,
        handle: Resource<HeldTensor>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        Ok(window(self.held(&handle)?, offset, length).map(|bytes| bytes.to_vec()))
    }

    fn write(
        &mut self,
        handle: Resource<HeldTensor>,
        offset: u64,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let range = match prepare_write(self, &handle, offset, data.len())? {
            Ok(range) => range,
            Err(error) => return Ok(Err(error)),
        };
        write_window(&mut self.table.get_mut(&handle)?.tensor, range, &data);
        Ok(Ok(()))
    }

    fn element(&mut self, handle: Resource<HeldTensor>, index: u64) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        let tensor = self.held(&handle)?;
        if tensor.datatype() != Datatype::Bytes {
            return Ok(Err(GuestError::DatatypeMismatch(guest_datatype(tensor.datatype()))));
        }
        let element = usize::try_from(index).ok().and_then(|index| tensor.element(index));
        Ok(element.map(<[u8]>::to_vec).ok_or(GuestError::OutOfBounds))
    }

    fn elements(
        &mut self,
        handle: Resource<HeldTensor>,
        first: u64,
        count: u32,
    ) -> wasmtime::Result<Result<Packed, GuestError>> {
        let tensor = self.held(&handle)?;
        if tensor.datatype() != Datatype::Bytes {
            return Ok(Err(GuestError::DatatypeMismatch(guest_datatype(tensor.datatype()))));
        }
        let range = usize::try_from(first).ok().and_then(|first| Some(first..first.checked_add(count as usize)?));
        let Some(range) = range.filter(|range| range.end <= tensor.count()) else {
            return Ok(Err(GuestError::OutOfBounds));
        };
        let mut packed = Packed { ends: Vec::with_capacity(range.len()), data: Vec::new() };
        for index in range {
            packed.data.extend_from_slice(tensor.element(index).expect("index is within the tensor"));
            let Ok(end) = u32::try_from(packed.data.len()) else {
                return Ok(Err(GuestError::InvalidArgument("the elements exceed 4 GiB; ask for fewer".to_owned())));
            };
            packed.ends.push(end);
        }
        Ok(Ok(packed))
    }

    fn share(&mut self, handle: Resource<HeldTensor>) -> wasmtime::Result<Resource<HeldTensor>> {
        let held = self.table.get(&handle)?;
        let shared = HeldTensor { tensor: held.tensor.clone(), charge: held.charge.clone() };
        self.hold_or_trap(shared)
    }

    fn reshape(
        &mut self,
        handle: Resource<HeldTensor>,
        shape: Vec<u64>,
    ) -> wasmtime::Result<Result<Resource<HeldTensor>, GuestError>> {
        let held = self.table.get(&handle)?;
        let charge = held.charge.clone();
        match held.tensor.reshape(&shape) {
            Ok(tensor) => Ok(self.hold(HeldTensor { tensor, charge })?.ok_or(GuestError::Exhausted)),
            Err(error) => Ok(Err(guest_error(error))),
        }
    }

    fn drop(&mut self, handle: Resource<HeldTensor>) -> wasmtime::Result<()> {
        self.release(handle)?;
        Ok(())
    }
}

fn unpack(packed: &Packed) -> Option<Vec<&[u8]>> {
    let mut start = 0;
    let mut elements = Vec::with_capacity(packed.ends.len());
    for &end in &packed.ends {
        elements.push(packed.data.get(start..end as usize)?);
        start = end as usize;
    }
    (start == packed.data.len()).then_some(elements)
}

fn window(tensor: &Tensor, offset: u64, length: u32) -> Result<Bytes, GuestError> {
    let start = usize::try_from(offset).map_err(|_| GuestError::OutOfBounds)?;
    let end = start.checked_add(length as usize).ok_or(GuestError::OutOfBounds)?;
    if end > tensor.bytes().len() {
        return Err(GuestError::OutOfBounds);
    }
    Ok(tensor.to_shared().slice(start..end))
}

/// Makes a window of a tensor ready to be written: inside the tensor, and its memory shared with nothing.
fn prepare_write(
    state: &mut GuestState,
    handle: &Resource<HeldTensor>,
    offset: u64,
    length: usize,
) -> wasmtime::Result<Result<Range<usize>, GuestError>> {
    let tensor = state.held(handle)?;
    if tensor.datatype() == Datatype::Bytes {
        return Ok(Err(GuestError::DatatypeMismatch(guest::Datatype::Bytes)));
    }
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(length)?));
    let Some(range) = range.filter(|range| range.end <= tensor.bytes().len()) else {
        return Ok(Err(GuestError::OutOfBounds));
    };
    if !tensor.is_writable_in_place() {
        let Some(charge) = state.tensors.charge(tensor.bytes().len() as u64) else {
            return Ok(Err(GuestError::Exhausted));
        };
        let held = state.table.get_mut(handle)?;
        held.tensor.bytes_mut();
        held.charge = Some(charge);
    }
    Ok(Ok(range))
}

/// Writes a window that is ready.
fn write_window(tensor: &mut Tensor, range: Range<usize>, data: &[u8]) {
    let is_bool = tensor.datatype() == Datatype::Bool;
    let window = &mut tensor.bytes_mut().expect("BYTES was refused when the window was prepared")[range];
    window.copy_from_slice(data);
    if is_bool {
        // Invariant: BOOL holds nothing but 0 and 1.
        window.iter_mut().for_each(|value| *value = u8::from(*value != 0));
    }
}

/// Replaces the functions that move many bytes by ones that copy them once.
pub(super) fn override_hot_functions(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("inferwit:plugin/tensors@0.1.0")?;
    instance.func_wrap(
        "[method]tensor.read",
        |store: StoreContextMut<'_, GuestState>, (handle, offset, length): (Resource<HeldTensor>, u64, u32)| {
            Ok((window(store.data().held(&handle)?, offset, length),))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.write",
        |mut store: StoreContextMut<'_, GuestState>,
         (handle, offset, data): (Resource<HeldTensor>, u64, WasmList<u8>)| {
            write_from_guest(&mut store, &handle, offset, &data).map(|result| (result,))
        },
    )?;
    instance.func_wrap(
        "[static]tensor.from-bytes",
        |mut store: StoreContextMut<'_, GuestState>,
         (datatype, shape, data): (guest::Datatype, Vec<u64>, WasmList<u8>)| {
            let made = Tensor::from_bytes(host_datatype(datatype), &shape, data.as_le_slice(&store));
            store.data_mut().hold_made(made).map(|result| (result,))
        },
    )
}

/// The guest's memory and the tensor lie in the same store, so the tensor is taken out of its table while it is written.
fn write_from_guest(
    store: &mut StoreContextMut<'_, GuestState>,
    handle: &Resource<HeldTensor>,
    offset: u64,
    data: &WasmList<u8>,
) -> wasmtime::Result<Result<(), GuestError>> {
    let length = data.as_le_slice(&*store).len();
    let range = match prepare_write(store.data_mut(), handle, offset, length)? {
        Ok(range) => range,
        Err(error) => return Ok(Err(error)),
    };
    let held = store.data_mut().table.get_mut(handle)?;
    let mut tensor = std::mem::replace(&mut held.tensor, NOTHING.clone());
    write_window(&mut tensor, range, data.as_le_slice(&*store));
    store.data_mut().table.get_mut(handle)?.tensor = tensor;
    Ok(Ok(()))
}

/// Stands in a table while the real tensor is out.
static NOTHING: LazyLock<Tensor> =
    LazyLock::new(|| Tensor::zeros(Datatype::Uint8, &[0]).expect("a tensor of no bytes can be made"));

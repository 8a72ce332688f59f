//! `context`, `log` and `budget`: what a guest may know of its request and its time, and how it speaks to people.

use std::time::{Duration, Instant};

use wasmtime::component::Resource;

use super::bindings::inferwit::plugin::common::Parameter as GuestParameter;
use super::bindings::inferwit::plugin::{budget, common, context, log};
use super::{GuestState, HeldRequest};
use crate::infer::Parameter;
use crate::plugin::log::GuestLog;

impl common::Host for GuestState {}

impl context::Host for GuestState {}

impl context::HostRequest for GuestState {
    fn id(&mut self, _: Resource<HeldRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.request.as_ref().and_then(|request| request.id.clone()))
    }

    fn remaining_ms(&mut self, _: Resource<HeldRequest>) -> wasmtime::Result<Option<u32>> {
        let left = self.deadline.remaining(Instant::now());
        Ok(left.map(|left| u32::try_from(left.as_millis()).unwrap_or(u32::MAX)))
    }

    fn parameter(&mut self, _: Resource<HeldRequest>, name: String) -> wasmtime::Result<Option<GuestParameter>> {
        Ok(self.request.as_ref().and_then(|request| request.parameters.get(&name)).map(guest_parameter))
    }

    fn parameters(&mut self, _: Resource<HeldRequest>) -> wasmtime::Result<Vec<(String, GuestParameter)>> {
        let parameters = self.request.iter().flat_map(|request| &request.parameters);
        Ok(parameters.map(|(name, value)| (name.clone(), guest_parameter(value))).collect())
    }

    fn header(&mut self, _: Resource<HeldRequest>, name: String) -> wasmtime::Result<Vec<String>> {
        let Some(request) = self.request.as_ref().filter(|_| self.grants.headers.contains(&name)) else {
            return Ok(Vec::new());
        };
        let values = request.headers.iter().filter(|(header, _)| *header == name);
        Ok(values.map(|(_, value)| value.clone()).collect())
    }

    fn wanted(&mut self, _: Resource<HeldRequest>) -> wasmtime::Result<Vec<String>> {
        Ok(self.request.as_ref().map(|request| request.wanted.clone()).unwrap_or_default())
    }

    fn drop(&mut self, _: Resource<HeldRequest>) -> wasmtime::Result<()> {
        // Guests only ever borrow it.
        Ok(())
    }
}

fn guest_parameter(parameter: &Parameter) -> GuestParameter {
    match parameter {
        Parameter::Bool(value) => GuestParameter::Boolean(*value),
        Parameter::Int64(value) => GuestParameter::Int64(*value),
        Parameter::Uint64(value) => GuestParameter::Uint64(*value),
        Parameter::Double(value) => GuestParameter::Fp64(*value),
        Parameter::String(value) => GuestParameter::Text(value.clone()),
    }
}

impl log::Host for GuestState {
    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        Ok(GuestLog::is_enabled(tracing_level(level)))
    }

    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let request = self.request.as_ref().map(|request| request.request_id.to_string()).unwrap_or_default();
        self.log.write(tracing_level(level), &request, &message, &fields);
        Ok(())
    }
}

fn tracing_level(level: log::Level) -> tracing::Level {
    match level {
        log::Level::Trace => tracing::Level::TRACE,
        log::Level::Debug => tracing::Level::DEBUG,
        log::Level::Info => tracing::Level::INFO,
        log::Level::Warning => tracing::Level::WARN,
        log::Level::Error => tracing::Level::ERROR,
    }
}

impl budget::Host for GuestState {
    /// True once 80 % of the time, or all but 5 ms of it if that is later, has passed.
    fn time_is_up(&mut self) -> wasmtime::Result<bool> {
        let Some(left) = self.deadline.remaining(Instant::now()) else { return Ok(false) };
        let reserve = Duration::from_nanos(self.allowed_ns / 5).min(Duration::from_millis(5));
        Ok(left <= reserve)
    }
}

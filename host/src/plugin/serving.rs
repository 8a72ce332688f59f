//! Calls of an opened plugin: a place among its calls, a guest that waits or a new one, and whether it is kept afterwards.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::abi::GuestState;
use super::error::{PluginError, Stage};
use super::pool::Idle;
use super::{Isolation, Plugin, Sandbox};
use crate::infer::Deadline;

/// A guest that may serve several calls.
pub(crate) trait Guest {
    fn store(&self) -> &Store<GuestState>;

    /// Linear memory in use.
    fn memory_bytes(&self) -> u64 {
        self.store().data().memory.memory_bytes as u64
    }

    /// Whether it may serve another request: it kept no handle, and has memory left.
    fn is_reusable(&self) -> bool {
        let state = self.store().data();
        state.handles == 0 && state.sleeps == 0 && !state.memory.is_nearly_full()
    }
}

/// What a call gave, and what it took.
#[derive(Debug)]
pub struct Answer<T> {
    pub result: Result<T, PluginError>,
    /// Waiting for a place among the plugin's calls.
    pub queue_ns: u64,
    /// Linear memory of the instance after the call.
    pub memory_bytes: u64,
}

/// The guests of one use of a plugin.
pub(crate) struct Serving<G> {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) isolation: Isolation,
    idle: Idle<G>,
}

impl<G: Guest> Serving<G> {
    /// `first` has been opened already, and serves the first call if it may.
    pub(crate) fn new(plugin: &Arc<Plugin>, isolation: Isolation, warm_instances: usize, first: G) -> Self {
        let serving = Self { plugin: Arc::clone(plugin), isolation, idle: Idle::new(warm_instances) };
        serving.keep(first);
        serving
    }

    /// Runs `body` on a guest that waits, or else on what `open` makes.
    pub(crate) fn call<T>(
        &self,
        sandbox: &Sandbox,
        deadline: &Deadline,
        open: impl FnOnce() -> Result<G, PluginError>,
        body: impl FnOnce(&mut G) -> Result<T, PluginError>,
    ) -> Answer<T> {
        // The clock is looked at only where there was something to wait for: it costs as much as a small call.
        let (place, queue_ns) = match self.plugin.gate.try_enter() {
            Some(place) => (Some(place), 0),
            None => {
                let asked = Instant::now();
                (self.plugin.gate.enter(deadline), nanoseconds_since(asked))
            }
        };
        let Some(_place) = place else {
            let error = PluginError::Deadline { label: sandbox.label.clone(), stage: Stage::Instantiate };
            return Answer { result: Err(error), queue_ns, memory_bytes: 0 };
        };
        let _tick = self.plugin.engine.tick();
        let mut guest = match self.idle.take().map_or_else(open, Ok) {
            Ok(guest) => guest,
            Err(error) => return Answer { result: Err(error), queue_ns, memory_bytes: 0 },
        };
        let result = body(&mut guest);
        let memory_bytes = guest.memory_bytes();
        if matches!(result, Ok(_) | Err(PluginError::Failure { .. })) {
            self.keep(guest);
        }
        Answer { result, queue_ns, memory_bytes }
    }

    fn keep(&self, guest: G) {
        if self.isolation == Isolation::Warm && guest.is_reusable() {
            self.idle.put(guest);
        }
    }
}

fn nanoseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

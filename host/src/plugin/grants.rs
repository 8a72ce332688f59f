//! What the operator gives a plugin beyond its own sandbox: models, headers, clock, randomness. Nothing unless granted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::log::{GuestLog, GuestOutput};
use crate::infer::Deadline;
use crate::tensor::{Signature, Tensor};

/// The capabilities of one use of a plugin.
#[derive(Clone, Default)]
pub struct Grants {
    /// By the names under which the plugin may open them: `name`, and `name@version`.
    pub models: BTreeMap<String, Arc<dyn GrantedModel>>,
    /// The real time; else clocks stand still.
    pub clock: bool,
    /// Real randomness; else the same numbers for each instance.
    pub random: bool,
    /// Lower-case names of the request's headers that it may read.
    pub headers: Vec<String>,
}

impl fmt::Debug for Grants {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Grants")
            .field("models", &self.models.keys().collect::<Vec<_>>())
            .field("clock", &self.clock)
            .field("random", &self.random)
            .field("headers", &self.headers)
            .finish()
    }
}

/// A model as a plugin sees it.
pub trait GrantedModel: Send + Sync {
    fn signature(&self) -> &Signature;

    /// Runs the model, waiting no longer than the deadline. `wanted` empty: all outputs.
    ///
    /// # Errors
    /// As plugins are told.
    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        deadline: &Deadline,
    ) -> Result<Vec<(String, Tensor)>, GrantedModelError>;
}

/// Why a model that a plugin called did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedModelError {
    InvalidInput(String),
    DeadlineExceeded,
    Exhausted(String),
    Backend(String),
}

/// WASI with nothing in it but a log and, if granted, clocks and randomness.
pub(crate) fn wasi_context(grants: &Grants, log: &GuestLog) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(GuestOutput::new(log.clone())).stderr(GuestOutput::new(log.clone()));
    if !grants.clock {
        builder.wall_clock(StoppedClock).monotonic_clock(StoppedClock);
    }
    if !grants.random {
        builder
            .secure_random(Deterministic::new(FIXED_SEED.to_vec()))
            .insecure_random(Deterministic::new(FIXED_SEED.to_vec()))
            .insecure_random_seed(u128::from_be_bytes(FIXED_SEED));
    }
    builder.build()
}

/// The first digits of pi: any fixed bytes would do, these are seen to hide nothing.
const FIXED_SEED: [u8; 16] =
    [0x24, 0x3f, 0x6a, 0x88, 0x85, 0xa3, 0x08, 0xd3, 0x13, 0x19, 0x8a, 0x2e, 0x03, 0x70, 0x73, 0x44];

/// Always 2000-01-01T00:00:00Z.
struct StoppedClock;

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(946_684_800)
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

//! The monotonic clock of guests. Sleeps end with the call's own time: epochs interrupt Wasm, but not a waiting host function.

use std::time::Instant;

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;

use super::abi::GuestState;
use super::engine::TICK;

/// Replaces the monotonic clock of WASI by one whose waits are bounded.
pub(crate) fn bound_sleeps(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)
}

impl GuestState {
    /// What is left of the call, and a little more, so that the interruption comes right after the wait. Nothing while
    /// the guest opens: it could wait for it in a request, which has less time.
    fn longest_sleep_ns(&mut self) -> u64 {
        self.sleeps = self.sleeps.saturating_add(1);
        if self.request.is_none() {
            return 0;
        }
        let left = self.deadline.remaining(Instant::now()).unwrap_or_default() + TICK * 2;
        u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl monotonic_clock::Host for GuestState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.clocks().now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.clocks().resolution()
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let longest = self.longest_sleep_ns();
        let latest = self.clocks().now()?.saturating_add(longest);
        self.clocks().subscribe_instant(when.min(latest))
    }

    fn subscribe_duration(&mut self, duration_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let longest = self.longest_sleep_ns();
        self.clocks().subscribe_duration(duration_ns.min(longest))
    }
}

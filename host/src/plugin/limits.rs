//! What one instance of a plugin may use, and the counting of it. Nothing here knows the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The most entries in one table of a guest.
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// What a call of a plugin may use; each has the operator's ceiling and may be lowered by a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One call of `process` or `check`.
    pub deadline: Duration,
    /// `open`, and loading of rule sets.
    pub open_deadline: Duration,
    /// `describe`, and tools for authors.
    pub tools_deadline: Duration,
    /// Linear memory of one instance.
    pub memory_bytes: usize,
    /// Tensors and sessions that an instance may hold at once.
    pub handles: u32,
    /// What the guest may send to the host in one call of a host function.
    pub sent_bytes: usize,
    /// Tensor memory in the host that an instance may hold at once, beside its inputs.
    pub tensor_bytes: u64,
    /// Calls of one plugin at the same time.
    pub concurrency: usize,
    /// Idle instances kept for a step.
    pub warm_instances: usize,
}

impl Limits {
    /// The defaults of the configuration on a machine with this many cores.
    pub fn with_cores(cores: usize) -> Self {
        Self {
            deadline: Duration::from_millis(100),
            open_deadline: Duration::from_secs(10),
            tools_deadline: Duration::from_secs(60),
            memory_bytes: 64 << 20,
            handles: 4096,
            sent_bytes: 64 << 20,
            tensor_bytes: 256 << 20,
            concurrency: cores,
            warm_instances: cores,
        }
    }
}

/// Which limit a plugin reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    Deadline,
    Memory,
    Table,
    SentBytes,
    Handles,
    Stack,
    /// Calls waiting for one of the plugin's places.
    Concurrency,
}

impl Limit {
    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::SentBytes => "sent_bytes",
            Self::Handles => "handles",
            Self::Stack => "stack",
            Self::Concurrency => "concurrency",
        }
    }
}

/// Ends a guest that reached a limit; carried through wasmtime as an error and recognised when the call returns.
#[derive(Debug, thiserror::Error)]
#[error("limit reached: {}", .0.as_str())]
pub(crate) struct LimitReached(pub(crate) Limit);

/// Refuses growth of linear memory and tables beyond the limit, and remembers how far memory grew.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    memory_bytes_max: usize,
    pub(crate) memory_bytes: usize,
}

impl MemoryLimiter {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        Self { memory_bytes_max, memory_bytes: 0 }
    }

    /// Whether so much is used that the next call might not find enough: memory of a guest never shrinks.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.memory_bytes > self.memory_bytes_max / 4 * 3
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // One limit over all memories of the instance: components may have several.
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > self.memory_bytes_max {
            return Err(wasmtime::Error::new(LimitReached(Limit::Memory)));
        }
        self.memory_bytes = self.memory_bytes - current.min(self.memory_bytes) + desired;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            return Err(wasmtime::Error::new(LimitReached(Limit::Table)));
        }
        Ok(true)
    }
}

/// Tensor memory that one instance has made the host allocate.
#[derive(Debug)]
pub(crate) struct TensorAllowance {
    used_bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

impl TensorAllowance {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { used_bytes: Arc::default(), bytes_max }
    }

    /// What may still be allocated.
    pub(crate) fn left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.used_bytes.load(Ordering::Relaxed))
    }

    /// Counts `bytes` until what is returned is dropped; `None` if there are not as many left.
    pub(crate) fn charge(&self, bytes: u64) -> Option<Arc<Charge>> {
        // One thread at a time uses an instance, so nobody charges between the look and the addition.
        if bytes > self.left() {
            return None;
        }
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Arc::new(Charge { bytes, used_bytes: Arc::clone(&self.used_bytes) }))
    }
}

/// Memory that counts as used while any handle to it lives.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: u64,
    used_bytes: Arc<AtomicU64>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories_of_an_instance() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(limiter.memory_growing(40, 60, None).unwrap());
        assert_eq!(limiter.memory_bytes, 100);
        let error = limiter.memory_growing(60, 61, None).unwrap_err();
        assert_eq!(error.downcast_ref::<LimitReached>().unwrap().0, Limit::Memory);
        assert!(limiter.is_nearly_full());
    }

    #[test]
    fn shared_memory_counts_until_its_last_handle_goes() {
        let allowance = TensorAllowance::new(10);
        let first = allowance.charge(8).unwrap();
        let second = Arc::clone(&first);
        assert!(allowance.charge(3).is_none());
        drop(first);
        assert_eq!(allowance.left(), 2);
        drop(second);
        assert_eq!(allowance.left(), 10);
    }
}

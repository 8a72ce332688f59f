//! A model's instances, of which each serves one run at a time. Knows deadlines; starts no threads.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::infer::Deadline;

/// A cancelled request is noticed within this time, since a cancellation wakes nobody.
const CANCELLATION_POLL: Duration = Duration::from_millis(10);

/// The instances that are free. The one that was used last is lent first: its memory is warm.
pub(super) struct Instances<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
}

struct State<T> {
    free: Vec<T>,
    /// Waking costs a system call even where nobody waits.
    waiting: usize,
}

/// An instance for the time of one run.
pub(super) struct Lease<'a, T> {
    instances: &'a Instances<T>,
    /// Invariant: there until this is dropped.
    instance: Option<T>,
}

impl<T> Instances<T> {
    pub(super) fn new(instances: Vec<T>) -> Self {
        Self { state: Mutex::new(State { free: instances, waiting: 0 }), returned: Condvar::new() }
    }

    /// A free instance, or `None` when the deadline is over before one is returned.
    pub(super) fn take(&self, deadline: &Deadline) -> Option<Lease<'_, T>> {
        let mut state = self.lock();
        loop {
            if let Some(instance) = state.free.pop() {
                return Some(Lease { instances: self, instance: Some(instance) });
            }
            let remaining = deadline.remaining(Instant::now()).unwrap_or(CANCELLATION_POLL);
            if remaining.is_zero() {
                return None;
            }
            let wait = remaining.min(CANCELLATION_POLL);
            state.waiting += 1;
            state = self.returned.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.instance.as_ref().expect("a lease holds its instance until it is dropped")
    }
}

impl<T> DerefMut for Lease<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.instance.as_mut().expect("a lease holds its instance until it is dropped")
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            let mut state = self.instances.lock();
            state.free.push(instance);
            if state.waiting > 0 {
                self.instances.returned.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_used_last_is_lent_first() {
        let instances = Instances::new(vec![1, 2, 3]);
        let never = Deadline::never();
        let first = instances.take(&never).unwrap();
        let second = instances.take(&never).unwrap();
        assert_eq!((*first, *second), (3, 2));
        drop(second);
        drop(first);
        assert_eq!(*instances.take(&never).unwrap(), 3);
    }

    #[test]
    fn nobody_waits_longer_than_the_deadline() {
        let instances = Instances::new(vec![()]);
        let _held = instances.take(&Deadline::never()).unwrap();
        assert!(instances.take(&Deadline::after(Duration::from_millis(1))).is_none());
        let cancelled = Deadline::never();
        cancelled.cancel();
        assert!(instances.take(&cancelled).is_none());
    }

    #[test]
    fn a_returned_instance_goes_to_one_who_waits() {
        let instances = Instances::new(vec![7]);
        let held = instances.take(&Deadline::never()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| *instances.take(&Deadline::never()).unwrap());
            drop(held);
            assert_eq!(waiting.join().unwrap(), 7);
        });
    }
}

//! Places and instances: how many calls of a plugin run at once, and which warm instances wait for the next one.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::infer::Deadline;

/// While a call waits for a place it looks this often whether its client has gone.
const CANCELLATION_CHECK: Duration = Duration::from_millis(50);

/// Lets a bounded number of calls through at once.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One call's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Mutex::new(places.max(1)), freed: Condvar::new() }
    }

    /// Takes a place if there is one now.
    pub(crate) fn try_enter(&self) -> Option<Place<'_>> {
        let mut free = self.lock();
        *free = free.checked_sub(1)?;
        Some(Place(self))
    }

    /// Waits for a place, but no longer than the deadline: then `None`.
    pub(crate) fn enter(&self, deadline: &Deadline) -> Option<Place<'_>> {
        let mut free = self.lock();
        while *free == 0 {
            let wait = deadline.remaining(Instant::now()).unwrap_or(CANCELLATION_CHECK).min(CANCELLATION_CHECK);
            if wait.is_zero() {
                return None;
            }
            free = self.freed.wait_timeout(free, wait).expect("no panic while a place is counted").0;
        }
        *free -= 1;
        Some(Place(self))
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().expect("no panic while a place is counted")
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

/// Instances between two calls. The one used last is taken first, as its memory is most likely still in the cache.
#[derive(Debug)]
pub(crate) struct Idle<T> {
    instances: Mutex<Vec<T>>,
    instances_max: usize,
}

impl<T> Idle<T> {
    pub(crate) fn new(instances_max: usize) -> Self {
        Self { instances: Mutex::new(Vec::with_capacity(instances_max)), instances_max }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.instances.lock().expect("no panic while instances are counted").pop()
    }

    /// Keeps it, or drops it where enough are kept.
    pub(crate) fn put(&self, instance: T) {
        let mut instances = self.instances.lock().expect("no panic while instances are counted");
        if instances.len() < self.instances_max {
            instances.push(instance);
        } else {
            // Dropping may take long, and others wait.
            drop(instances);
            drop(instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_full_gate_lets_nobody_in_until_the_deadline() {
        let gate = Gate::new(1);
        let place = gate.enter(&Deadline::never()).unwrap();
        assert!(gate.enter(&Deadline::after(Duration::from_millis(1))).is_none());
        let cancelled = Deadline::never();
        cancelled.cancel();
        assert!(gate.enter(&cancelled).is_none());
        drop(place);
        assert!(gate.enter(&Deadline::after(Duration::from_millis(1))).is_some());
    }

    #[test]
    fn a_place_given_back_wakes_the_next() {
        let gate = Gate::new(1);
        let place = gate.enter(&Deadline::never()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(&Deadline::after(Duration::from_secs(60))).is_some());
            drop(place);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn no_more_instances_are_kept_than_allowed() {
        let idle = Idle::new(1);
        idle.put(1);
        idle.put(2);
        assert_eq!((idle.take(), idle.take()), (Some(1), None));
    }
}

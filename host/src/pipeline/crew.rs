//! Threads that help a request whose steps run side by side. Help is never waited for, so a busy crew delays nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Something that has work for more than one thread for a while.
pub(super) trait Shareable: Send + Sync {
    /// Does what can be done now, and returns when nothing is left to take.
    fn help(self: Arc<Self>);
}

/// A few threads that lend a hand.
pub struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    called: Condvar,
    calls_max: usize,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Arc<dyn Shareable>>,
    idle: usize,
    is_stopped: bool,
}

/// Guests run on these threads, and so do backends.
const STACK_BYTES: usize = 8 << 20;

impl Crew {
    /// # Errors
    /// If the system gives no more threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), called: Condvar::new(), calls_max: threads.max(1) * 4 });
        let threads = (0..threads)
            .map(|number| {
                let shared = Arc::clone(&shared);
                let builder = thread::Builder::new().name(format!("crew-{number}")).stack_size(STACK_BYTES);
                builder.spawn(move || shared.work())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Calls up to `hands` threads, as far as any are free.
    pub(super) fn call<S: Shareable + 'static>(&self, work: &Arc<S>, hands: usize) {
        let mut state = self.shared.lock();
        let hands = hands.min(self.threads.len()).min(self.shared.calls_max - state.calls.len());
        for _ in 0..hands {
            let work: Arc<dyn Shareable> = Arc::clone(work) as Arc<dyn Shareable>;
            state.calls.push_back(work);
        }
        let wake = hands.min(state.idle);
        drop(state);
        for _ in 0..wake {
            self.shared.called.notify_one();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.called.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of steps are caught where steps run.
            // The last owner may be a thread of the crew itself, which cannot wait for its own end.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.is_stopped {
            match state.calls.pop_front() {
                Some(work) => {
                    drop(state);
                    work.help();
                    state = self.lock();
                }
                None => {
                    state.idle += 1;
                    state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

//! Stops runs whose deadline is over or whose client has gone: one thread for a whole backend. Knows no engine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::infer::Deadline;

/// How often running work is looked at: a cancellation sets a flag and wakes nobody. Deadlines are kept to the instant.
const TICK: Duration = Duration::from_millis(10);

/// What ends a run from outside.
pub(super) trait Stop: Send + Sync {
    fn stop(&self);
}

/// The thread, and what it watches. Dropping it ends the thread.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The place of one instance, which runs one thing at a time. Arming it takes a lock of its own, so that instances
/// do not wait for each other.
pub(super) struct Post {
    running: Mutex<Option<Running>>,
}

struct Running {
    deadline: Deadline,
    stop: Arc<dyn Stop>,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    started: Instant,
    /// When the thread will look next, in nanoseconds since `started`; `u64::MAX` while it looks, or sleeps for good.
    next_look_ns: AtomicU64,
    /// Something was armed since the last look: the thread then looks again after a tick, so that a stream of short
    /// runs does not wake it for each.
    used: AtomicBool,
}

struct State {
    posts: Vec<Weak<Post>>,
    ended: bool,
}

impl Watchdog {
    pub(super) fn start(name: &str) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { posts: Vec::new(), ended: false }),
            wake: Condvar::new(),
            started: Instant::now(),
            next_look_ns: AtomicU64::new(u64::MAX),
            used: AtomicBool::new(false),
        });
        let watching = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || watching.watch())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A place for a new instance; it is forgotten when the instance is dropped.
    pub(super) fn post(&self) -> Arc<Post> {
        let post = Arc::new(Post { running: Mutex::new(None) });
        let mut state = self.shared.lock();
        state.posts.retain(|post| post.strong_count() > 0);
        state.posts.push(Arc::downgrade(&post));
        post
    }

    /// From now until the returned guard is finished or dropped, `stop` is called once when the deadline is over.
    pub(super) fn watch<'a>(
        &self,
        post: &'a Post,
        deadline: &Deadline,
        now: Instant,
        stop: Arc<dyn Stop>,
    ) -> Watch<'a> {
        *lock(&post.running) = Some(Running { deadline: deadline.clone(), stop, stopped: false });
        if !self.shared.used.load(Ordering::SeqCst) {
            self.shared.used.store(true, Ordering::SeqCst);
        }
        let tick = now + TICK;
        let due = deadline.instant().map_or(tick, |at| at.min(tick));
        if self.shared.nanoseconds(due) < self.shared.next_look_ns.load(Ordering::SeqCst) {
            // The thread gives this lock up only while it waits, so it cannot miss the call.
            let _state = self.shared.lock();
            self.shared.wake.notify_one();
        }
        Watch { post }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

/// One run that is watched.
pub(super) struct Watch<'a> {
    post: &'a Post,
}

impl Watch<'_> {
    /// Ends the watch; whether `stop` was called. It will not be called afterwards.
    pub(super) fn finish(self) -> bool {
        lock(&self.post.running).take().is_some_and(|running| running.stopped)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        lock(&self.post.running).take();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn nanoseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    fn watch(&self) {
        let mut state = self.lock();
        while !state.ended {
            // Whoever arms from here on sees that it must call, and gets the lock when this thread waits.
            self.next_look_ns.store(u64::MAX, Ordering::SeqCst);
            let used = self.used.swap(false, Ordering::SeqCst);
            let now = Instant::now();
            let due = look(&state.posts, now);
            state = match due.or_else(|| used.then(|| now + TICK)) {
                Some(at) => {
                    self.next_look_ns.store(self.nanoseconds(at), Ordering::SeqCst);
                    let wait = at.saturating_duration_since(now);
                    self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Stops what is over; when to look again if anything else runs.
fn look(posts: &[Weak<Post>], now: Instant) -> Option<Instant> {
    let mut next = None;
    for post in posts.iter().filter_map(Weak::upgrade) {
        let mut running = lock(&post.running);
        let Some(running) = running.as_mut().filter(|running| !running.stopped) else { continue };
        if running.deadline.is_over(now) {
            running.stopped = true;
            running.stop.stop();
        } else {
            let tick = now + TICK;
            let due = running.deadline.instant().map_or(tick, |at| at.min(tick));
            next = Some(next.map_or(due, |next: Instant| next.min(due)));
        }
    }
    next
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Tell(Mutex<mpsc::Sender<()>>);

    impl Stop for Tell {
        fn stop(&self) {
            lock(&self.0).send(()).unwrap();
        }
    }

    fn tell() -> (Arc<Tell>, mpsc::Receiver<()>) {
        let (sender, receiver) = mpsc::channel();
        (Arc::new(Tell(Mutex::new(sender))), receiver)
    }

    #[test]
    fn a_run_out_of_time_is_stopped_once() {
        let watchdog = Watchdog::start("test").unwrap();
        let post = watchdog.post();
        let (stop, stopped) = tell();
        let deadline = Deadline::after(Duration::from_millis(2));
        let watch = watchdog.watch(&post, &deadline, Instant::now(), stop);
        stopped.recv().unwrap();
        assert!(watch.finish());
        assert!(stopped.recv().is_err(), "its sender was dropped without another call");
    }

    #[test]
    fn a_cancelled_run_is_stopped_though_it_is_never_due() {
        let watchdog = Watchdog::start("test").unwrap();
        let post = watchdog.post();
        for _ in 0..3 {
            let (stop, stopped) = tell();
            let deadline = Deadline::never();
            let watch = watchdog.watch(&post, &deadline, Instant::now(), stop);
            deadline.cancel();
            stopped.recv().unwrap();
            assert!(watch.finish());
        }
    }

    #[test]
    fn a_finished_run_is_not_stopped() {
        let watchdog = Watchdog::start("test").unwrap();
        let (post, other) = (watchdog.post(), watchdog.post());
        let deadline = Deadline::never();
        let (stop, stopped) = tell();
        assert!(!watchdog.watch(&post, &deadline, Instant::now(), stop).finish());
        deadline.cancel();
        let (stop, other_stopped) = tell();
        let _watch = watchdog.watch(&other, &deadline, Instant::now(), stop);
        other_stopped.recv().unwrap();
        assert!(stopped.recv().is_err());
    }
}

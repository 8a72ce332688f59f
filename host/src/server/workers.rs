//! The threads that requests are answered on: a fixed number of them behind one bounded queue. Knows nothing of requests.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

use tokio::sync::oneshot;

use crate::infer::Deadline;
use crate::telemetry::Metrics;

/// A pool of threads. Work handed over is run in order of arrival, or not at all if nobody waits for it any more.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    work_or_close: Condvar,
    one_has_ended: Condvar,
    jobs_max: usize,
    metrics: Arc<Metrics>,
}

struct State {
    jobs: VecDeque<Box<dyn Job>>,
    /// Threads that wait for work: nobody is woken in vain.
    sleeping: usize,
    running: usize,
    is_closed: bool,
}

/// The queue is full, or no longer takes work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// The work panicked; the panic itself is in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WorkPanicked;

/// The result of work in the queue or at a thread. Dropping it cancels the deadline that the work was given.
pub(crate) struct Pending<T> {
    result: oneshot::Receiver<T>,
    deadline: Option<Deadline>,
}

/// A piece of work, whatever its result is.
trait Job: Send {
    fn run(self: Box<Self>);

    /// Nobody waits for the result any more.
    fn is_abandoned(&self) -> bool;
}

struct Task<T, F> {
    work: F,
    sender: oneshot::Sender<T>,
    submitted: Instant,
}

impl<T: Send, F: FnOnce(Duration) -> T + Send> Job for Task<T, F> {
    fn run(self: Box<Self>) {
        if self.is_abandoned() {
            return;
        }
        let Self { work, sender, submitted } = *self;
        // Nothing of the work is seen after a panic: its result is dropped with all that it owned.
        match panic::catch_unwind(AssertUnwindSafe(|| work(submitted.elapsed()))) {
            Ok(result) => drop(sender.send(result)),
            Err(_) => tracing::error!("a request made its worker thread panic; the thread goes on"),
        }
    }

    fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Workers {
    /// Starts `threads` threads; at most `jobs_max` pieces of work wait for them.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(crate) fn start(threads: usize, jobs_max: usize, metrics: Arc<Metrics>) -> io::Result<Self> {
        let state = State { jobs: VecDeque::new(), sleeping: 0, running: 0, is_closed: false };
        let queue = Arc::new(Queue {
            state: Mutex::new(state),
            work_or_close: Condvar::new(),
            one_has_ended: Condvar::new(),
            jobs_max,
            metrics,
        });
        let workers = Self { queue: Arc::clone(&queue), threads: Mutex::default() };
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            queue.lock().running += 1;
            let running = Running(Arc::clone(&queue));
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let _running = running;
                queue.work();
            })?;
            workers.threads().push(thread);
        }
        Ok(workers)
    }

    /// Hands `work` to the next free thread, which tells it how long it waited.
    ///
    /// # Errors
    /// `QueueFull` at once where the queue is full.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Result<Pending<T>, QueueFull> {
        let (sender, result) = oneshot::channel();
        self.queue.push(Box::new(Task { work, sender, submitted: Instant::now() }))?;
        Ok(Pending { result, deadline: Some(deadline.clone()) })
    }

    /// Takes no more work, drops what waits, and waits until all threads have ended, at most `limit`.
    /// Returns how many have not; they end when their work does.
    pub(crate) fn stop(&self, limit: Duration) -> usize {
        self.queue.close();
        let state = self.queue.lock();
        let (state, _timed_out) = self
            .queue
            .one_has_ended
            .wait_timeout_while(state, limit, |state| state.running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let still_running = state.running;
        drop(state);
        if still_running == 0 {
            for thread in self.threads().drain(..) {
                // A worker catches the panics of its work, so a failed join has nothing to say.
                drop(thread.join());
            }
        }
        still_running
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Queue {
    /// Invariant: nothing that can panic runs under this lock, and jobs never do.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Box<dyn Job>) -> Result<(), QueueFull> {
        let mut abandoned = VecDeque::new();
        let mut state = self.lock();
        if state.jobs.len() >= self.jobs_max {
            let (gone, waiting) = mem::take(&mut state.jobs).into_iter().partition(|job| job.is_abandoned());
            (abandoned, state.jobs) = (gone, waiting);
        }
        if state.is_closed || state.jobs.len() >= self.jobs_max {
            return Err(QueueFull);
        }
        state.jobs.push_back(job);
        self.metrics.queue_depth.set(state.jobs.len() as i64);
        let somebody_sleeps = state.sleeping > 0;
        drop(state);
        // Outside of the lock: a job may own much.
        drop(abandoned);
        if somebody_sleeps {
            self.work_or_close.notify_one();
        }
        Ok(())
    }

    /// What a thread does until the queue is closed.
    fn work(&self) {
        while let Some(job) = self.next() {
            self.metrics.workers_busy.inc();
            job.run();
            self.metrics.workers_busy.dec();
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                self.metrics.queue_depth.set(state.jobs.len() as i64);
                return Some(job);
            }
            state.sleeping += 1;
            state = self.work_or_close.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let dropped = mem::take(&mut state.jobs);
        self.metrics.queue_depth.set(0);
        drop(state);
        // Outside of the lock: whoever waits for these is told that they are gone.
        drop(dropped);
        self.work_or_close.notify_all();
    }
}

/// Counts a thread as running, until it is dropped.
struct Running(Arc<Queue>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.one_has_ended.notify_all();
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, WorkPanicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.result).poll(context));
        self.deadline = None;
        Poll::Ready(result.map_err(|_| WorkPanicked))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(deadline) = &self.deadline {
            deadline.cancel();
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.queue.lock();
        write!(formatter, "Workers({} threads, {} jobs wait)", state.running, state.jobs.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn workers(threads: usize, jobs_max: usize) -> Workers {
        Workers::start(threads, jobs_max, Arc::new(Metrics::new())).unwrap()
    }

    /// Keeps one thread busy until the sender is dropped.
    fn occupy(workers: &Workers) -> (mpsc::Sender<()>, Pending<()>) {
        let (started, has_started) = mpsc::channel();
        let (free, wait) = mpsc::channel::<()>();
        let work = move |_queued| {
            started.send(()).unwrap();
            let _freed = wait.recv();
        };
        let pending = workers.submit(&Deadline::never(), work).unwrap();
        has_started.recv().unwrap();
        (free, pending)
    }

    #[tokio::test]
    async fn work_gives_its_result() {
        let workers = workers(2, 4);
        let pending = workers.submit(&Deadline::never(), |_queued| 6 * 7).unwrap();
        assert_eq!(pending.await, Ok(42));
        assert_eq!(workers.stop(LONG), 0);
    }

    #[tokio::test]
    async fn full_queue_refuses_at_once() {
        let workers = workers(1, 1);
        let (busy, _pending) = occupy(&workers);
        let waiting = workers.submit(&Deadline::never(), |_| 1).unwrap();
        assert_eq!(workers.submit(&Deadline::never(), |_| 2).err(), Some(QueueFull));
        drop(busy);
        assert_eq!(waiting.await, Ok(1));
    }

    #[tokio::test]
    async fn abandoned_work_makes_room() {
        let workers = workers(1, 1);
        let (busy, _pending) = occupy(&workers);
        drop(workers.submit(&Deadline::never(), |_| 1).unwrap());
        let waiting = workers.submit(&Deadline::never(), |_| 2).unwrap();
        drop(busy);
        assert_eq!(waiting.await, Ok(2));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_begun() {
        let workers = workers(1, 4);
        let (busy, _pending) = occupy(&workers);
        let (began, has_begun) = mpsc::channel();
        let deadline = Deadline::never();
        drop(workers.submit(&deadline, move |_| began.send(()).unwrap()).unwrap());
        assert!(deadline.is_cancelled());
        drop(busy);
        assert_eq!(workers.submit(&Deadline::never(), |_| 1).unwrap().await, Ok(1));
        assert_eq!(has_begun.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn an_answered_request_is_not_cancelled() {
        let workers = workers(1, 4);
        let deadline = Deadline::never();
        workers.submit(&deadline, |_| ()).unwrap().await.unwrap();
        assert!(!deadline.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_request_only() {
        let workers = workers(1, 4);
        let pending = workers.submit(&Deadline::never(), |_| panic!("a test panics on purpose")).unwrap();
        assert_eq!(pending.await, Err::<(), _>(WorkPanicked));
        assert_eq!(workers.submit(&Deadline::never(), |_| 1).unwrap().await, Ok(1));
    }

    #[tokio::test]
    async fn stop_drops_what_waits_and_names_what_hangs() {
        let workers = workers(1, 4);
        let (busy, _pending) = occupy(&workers);
        let waiting = workers.submit(&Deadline::never(), |_| 1).unwrap();
        assert_eq!(workers.stop(Duration::ZERO), 1);
        assert_eq!(waiting.await, Err(WorkPanicked));
        assert!(workers.submit(&Deadline::never(), |_| 1).is_err());
        drop(busy);
        assert_eq!(workers.stop(LONG), 0);
    }
}

//! The loop: take an input, change it, run it, keep it if it went a new way. Ends the process where a target fails.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inferwit_fuzz::coverage::{self, Feature};
use inferwit_fuzz::folder;
use inferwit_fuzz::mutation::Mutator;
use inferwit_fuzz::pool::Pool;
use inferwit_fuzz::random::Random;
use inferwit_fuzz::targets::Target;

use crate::{Done, Folders};

/// What the host gives Wasm.
const STACK_BYTES: usize = 512 << 10;
/// An input that takes longer hangs.
const INPUT_SECONDS_MAX: u64 = 20;
/// So often it is said how far it is.
const SECONDS_BETWEEN_LINES: u64 = 60;
/// So many children are made of an input before another is taken.
const CHILDREN: usize = 16;
/// What is kept with the code, of one target.
const KEPT_BYTES_MAX: usize = 250 << 10;
const KEPT_MAX: usize = 400;

/// Inputs so far.
static RUNS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn replay(target: &'static Target, file: &Path) -> Done {
    let input = fs::read(file)?;
    on_small_stack(move || {
        (target.run)(&input);
        println!("{}: {} bytes, no failure", target.name, input.len());
        Ok(())
    })
}

pub(crate) fn work(target: &'static Target, folders: &Folders, seconds: u64, seed: u64) -> Done {
    let started = Instant::now();
    thread::spawn(watch);
    let mut worker = Worker::new(target, folders, started)?;
    let found = folders.found.clone();
    let words = folder::words(&fs::read_to_string(&folders.words)?);
    let inputs = inputs_of(target, folders)?;
    on_small_stack(move || {
        for input in &inputs {
            worker.run(input)?;
        }
        let (begun_with, mut kept) = (inputs.len(), 0);
        let mut mutator = Mutator { random: Random::new(seed), words: &words, bytes_max: target.bytes_max };
        while started.elapsed() < Duration::from_secs(seconds) {
            let (parent, other) = worker.pool.pick(&mut mutator.random);
            let (parent, other) = (parent.to_vec(), other.to_vec());
            for _ in 0..CHILDREN {
                let mut child = parent.clone();
                mutator.change(&mut child, &other);
                if worker.run(&child)? {
                    folder::write(&found, &child)?;
                    kept += 1;
                }
            }
            worker.say_now_and_then();
        }
        println!("{}; began with {begun_with} inputs, found {kept} more", worker.line());
        Ok(())
    })
}

/// Keeps inputs that together go all ways that are known, as far as they may be kept.
pub(crate) fn shrink(target: &'static Target, folders: &Folders) -> Done {
    let mut worker = Worker::new(target, folders, Instant::now())?;
    let inputs = inputs_of(target, folders)?;
    let kept = folders.kept.clone();
    on_small_stack(move || {
        for input in &inputs {
            worker.run(input)?;
        }
        for (path, _) in folder::read(&kept)? {
            fs::remove_file(path)?;
        }
        let (mut count, mut bytes) = (0, 0);
        for input in worker.pool.best().into_iter().take(KEPT_MAX) {
            if bytes + input.len() > KEPT_BYTES_MAX {
                continue;
            }
            folder::write(&kept, input)?;
            (count, bytes) = (count + 1, bytes + input.len());
        }
        println!("{}: {count} of {} inputs are kept, {bytes} bytes", target.name, inputs.len());
        Ok(())
    })
}

/// What is kept, what was found, and what other targets' inputs give.
fn inputs_of(target: &Target, folders: &Folders) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = folder::read(&folders.kept)?;
    inputs.extend(folder::read(&folders.found)?);
    let mut inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
    for (_, source) in folder::read(&folders.sources)? {
        inputs.extend((target.from_source)(&source));
    }
    inputs.retain(|input| input.len() <= target.bytes_max);
    Ok(inputs)
}

/// The input that a worker was at.
pub(crate) fn current(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    let Some((length, input)) = bytes.split_first_chunk() else { return Ok(Vec::new()) };
    let length = u64::from_le_bytes(*length) as usize;
    Ok(input[..length.min(input.len())].to_vec())
}

struct Worker {
    target: &'static Target,
    pool: Pool,
    features: Vec<Feature>,
    current: File,
    buffer: Vec<u8>,
    started: Instant,
    said: Instant,
    runs: u64,
    slowest: Duration,
}

impl Worker {
    fn new(target: &'static Target, folders: &Folders, started: Instant) -> io::Result<Self> {
        if let Some(folder) = folders.current.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self {
            target,
            pool: Pool::default(),
            features: Vec::new(),
            current: File::create(&folders.current)?,
            buffer: Vec::new(),
            started,
            said: started,
            runs: 0,
            slowest: Duration::ZERO,
        })
    }

    /// Runs an input; tells whether it went a new way.
    fn run(&mut self, input: &[u8]) -> io::Result<bool> {
        self.buffer.clear();
        self.buffer.extend((input.len() as u64).to_le_bytes());
        self.buffer.extend(input);
        self.current.write_all_at(&self.buffer, 0)?;
        let began = Instant::now();
        coverage::clear();
        (self.target.run)(input);
        coverage::take(&mut self.features);
        self.slowest = self.slowest.max(began.elapsed());
        self.runs += 1;
        RUNS.store(self.runs, Ordering::Relaxed);
        Ok(self.pool.offer(input, &self.features))
    }

    fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        format!(
            "{}: {} runs in {seconds} s, {} features, slowest {} ms",
            self.target.name,
            self.runs,
            self.pool.features(),
            self.slowest.as_millis()
        )
    }

    fn say_now_and_then(&mut self) {
        if self.said.elapsed().as_secs() >= SECONDS_BETWEEN_LINES {
            self.said = Instant::now();
            println!("{}", self.line());
        }
    }
}

/// Ends the process when an input takes too long. Looks are counted, so that a machine that is stopped for a while does no
/// harm.
fn watch() {
    let (mut seen, mut looks) = (0, 0);
    loop {
        thread::sleep(Duration::from_secs(1));
        let runs = RUNS.load(Ordering::Relaxed);
        looks = if runs == seen { looks + 1 } else { 0 };
        seen = runs;
        if looks > INPUT_SECONDS_MAX {
            eprintln!("an input takes longer than {INPUT_SECONDS_MAX} s");
            std::process::abort();
        }
    }
}

/// Where deep recursion shows as it would in the sandbox.
fn on_small_stack(work: impl FnOnce() -> Done + Send + 'static) -> Done {
    let failed = |work: Done| work.map_err(|error| error.to_string());
    let thread = thread::Builder::new().name("fuzz".to_owned()).stack_size(STACK_BYTES);
    match thread.spawn(move || failed(work()))?.join() {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err("the target panicked".into()),
    }
}

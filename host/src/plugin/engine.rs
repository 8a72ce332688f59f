//! The Wasm engine of the process: settings, time ticks, and the cache of compiled plugins. Knows no contract and no call.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::error::PluginError;

/// How often guests look whether their time is up.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// After this long without a guest the ticker sleeps until the next one starts.
const IDLE_TICKS: u32 = 1000;

/// Instances that may be alive at once, over all plugins; each reserves address space, not memory.
const INSTANCES_MAX: u32 = 512;

/// Core modules in one instance: a Rust component has 4, one from componentize-py with native wheels 34.
const CORE_INSTANCES_PER_INSTANCE: u32 = 64;

/// What the engine needs from the configuration.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Where compiled plugins are kept; `None` compiles anew each time.
    ///
    /// Its files are native code: nobody but this host may write there.
    pub cache_dir: Option<PathBuf>,
    /// The most linear memory that any plugin or rule engine may have; each use has its own limit below it.
    pub memory_bytes_max: usize,
}

/// The Wasm engine, shared by all plugins.
pub struct PluginEngine {
    engine: Engine,
    cache_dir: Option<PathBuf>,
    ticker: Ticker,
    is_pooling: bool,
}

impl PluginEngine {
    /// Starts the engine and its ticker.
    ///
    /// # Errors
    /// If the processor or the system lacks what Wasm needs.
    pub fn new(settings: EngineSettings) -> Result<Self, PluginError> {
        let pooled = Engine::new(&config(Some(pool(settings.memory_bytes_max))));
        let (engine, is_pooling) = match pooled {
            Ok(engine) => (engine, true),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "cannot reserve address space for pooled instances (is `ulimit -v` set?): new instances will be slower"
                );
                (Engine::new(&config(None)).map_err(PluginError::engine)?, false)
            }
        };
        let ticker = Ticker::start(engine.clone());
        Ok(Self { engine, cache_dir: settings.cache_dir, ticker, is_pooling })
    }

    /// The engine itself, for benchmarks that compare with it.
    pub fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// Whether instances come from a pool of reserved memory; else each one maps its own.
    pub fn is_pooling(&self) -> bool {
        self.is_pooling
    }

    /// Keeps the time ticking as long as the guard lives.
    pub(crate) fn tick(&self) -> TickGuard<'_> {
        self.ticker.hold()
    }

    /// The machine code of a component, from the cache or compiled now.
    ///
    /// # Errors
    /// If the bytes are no valid component. A broken cache is never an error: the plugin is compiled instead.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Component, PluginError> {
        let Some(cache_dir) = &self.cache_dir else {
            return Component::from_binary(&self.engine, component).map_err(PluginError::compile);
        };
        let path = cache_dir.join(format!("{}.cwasm", self.cache_key(component)));
        match self.load_cached(&path) {
            Ok(Some(compiled)) => return Ok(compiled),
            Ok(None) => {}
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "compiled plugin is unusable and is compiled again");
            }
        }
        let machine_code = self.engine.precompile_component(component).map_err(PluginError::compile)?;
        if let Err(error) = store(&path, &machine_code) {
            tracing::warn!(path = %path.display(), %error, "cannot keep the compiled plugin: it is compiled at each start");
        }
        self.deserialize(&machine_code).map_err(PluginError::compile)
    }

    fn load_cached(&self, path: &Path) -> Result<Option<Component>, String> {
        let expected = match fs::read_to_string(checksum_path(path)) {
            Ok(expected) => expected,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        // In pieces: the code itself is mapped, and never needs to be in the heap.
        let mut hasher = Sha256::new();
        match File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)) {
            Ok(_) if hex(&hasher.finalize()) == expected => {}
            Ok(_) => return Err("its checksum does not match".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        self.deserialize_file(path).map(Some).map_err(|error| format!("{error:#}"))
    }

    #[expect(unsafe_code, reason = "machine code is trusted by definition; wasmtime offers no safe way to load it")]
    fn deserialize(&self, machine_code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: `precompile_component` of this engine made these bytes in this very call of `compile`.
        unsafe { Component::deserialize(&self.engine, machine_code) }
    }

    #[expect(unsafe_code, reason = "machine code is trusted by definition; wasmtime offers no safe way to load it")]
    fn deserialize_file(&self, path: &Path) -> wasmtime::Result<Component> {
        // SAFETY: the file lies in the folder that only this host writes, its checksum was compared just now, and files
        // there are replaced by renaming, never changed in place.
        unsafe { Component::deserialize_file(&self.engine, path) }
    }

    /// Names machine code by what it was made from and by everything that shapes it.
    fn cache_key(&self, component: &[u8]) -> String {
        let mut settings = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut settings);
        format!("{}-{:016x}", hex(&Sha256::digest(component)), settings.finish())
    }
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Guests are synchronous; the structures for asynchronous ones make each call 3-5 times dearer.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .memory_init_cow(true)
        // A Python guest's start image is some 30 MiB, most of it dense.
        .memory_guaranteed_dense_image_size(64 << 20)
        .parallel_compilation(true);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool(memory_bytes_max: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_memories(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * 8)
        .max_core_instances_per_component(CORE_INSTANCES_PER_INSTANCE)
        .total_tables(INSTANCES_MAX * 4)
        .max_tables_per_component(CORE_INSTANCES_PER_INSTANCE)
        .max_memories_per_component(4)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        // Python guests have some 6,000 function references; the default of 20,000 is too few with native wheels.
        .table_elements(100_000)
        .max_memory_size(memory_bytes_max)
        // Halves the cost of a fresh instance, but only where the kernel can tell which pages were written.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn checksum_path(path: &Path) -> PathBuf {
    path.with_extension("cwasm.sha256")
}

/// Writes the checksum last, so that a file without one counts as absent.
fn store(path: &Path, machine_code: &[u8]) -> io::Result<()> {
    let directory = path.parent().expect("a file in the cache has a folder");
    fs::create_dir_all(directory)?;
    let checksum = hex(&Sha256::digest(machine_code));
    for (path, bytes) in [(path, machine_code), (checksum_path(path).as_path(), checksum.as_bytes())] {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Advances the engine's epoch by one for each `TICK` that has passed, as long as any guest runs.
struct Ticker {
    state: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct TickerState {
    guests: AtomicUsize,
    is_stopped: AtomicBool,
    is_parked: AtomicBool,
}

impl Ticker {
    fn start(engine: Engine) -> Self {
        let state = Arc::new(TickerState::default());
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn({
                let state = Arc::clone(&state);
                move || state.run(&engine)
            })
            .expect("a thread can be started when the process starts");
        Self { state, thread: Some(thread) }
    }

    fn hold(&self) -> TickGuard<'_> {
        self.state.guests.fetch_add(1, Ordering::SeqCst);
        if self.state.is_parked.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        TickGuard(&self.state)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
}

impl TickerState {
    fn run(&self, engine: &Engine) {
        let mut next = Instant::now() + TICK;
        let mut idle = 0;
        while !self.is_stopped.load(Ordering::SeqCst) {
            if self.guests.load(Ordering::SeqCst) > 0 {
                idle = 0;
            } else {
                idle += 1;
            }
            if idle > IDLE_TICKS {
                self.park();
                idle = 0;
                next = Instant::now() + TICK;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // From absolute time: a plain sleep of one tick takes one and a half.
            let now = Instant::now();
            while next <= now {
                engine.increment_epoch();
                next += TICK;
            }
        }
    }

    /// Sleeps until a guest starts. `hold` counts itself before it looks at `is_parked`, and this looks at the count
    /// after setting it, so one of the two always sees the other.
    fn park(&self) {
        self.is_parked.store(true, Ordering::SeqCst);
        while self.guests.load(Ordering::SeqCst) == 0 && !self.is_stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.is_parked.store(false, Ordering::SeqCst);
    }
}

/// A running guest, as far as the ticker is concerned.
pub(crate) struct TickGuard<'a>(&'a TickerState);

impl Drop for TickGuard<'_> {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(cache_dir: &Path) -> PluginEngine {
        PluginEngine::new(EngineSettings { cache_dir: Some(cache_dir.to_owned()), memory_bytes_max: 64 << 20 }).unwrap()
    }

    fn cached_files(cache_dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(cache_dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_compiled_plugin_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        engine(folder.path()).compile(COMPONENT).unwrap();
        let files = cached_files(folder.path());
        assert_eq!(files.len(), 2);
        let written = fs::metadata(&files[0]).unwrap().modified().unwrap();
        engine(folder.path()).compile(COMPONENT).unwrap();
        assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), written);
    }

    #[test]
    fn a_flipped_bit_in_machine_code_is_found_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        engine(folder.path()).compile(COMPONENT).unwrap();
        let path = cached_files(folder.path()).remove(0);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(&path, bad).unwrap();
        engine(folder.path()).compile(COMPONENT).unwrap();
        assert_eq!(fs::read(&path).unwrap(), good);
    }

    #[test]
    fn a_cache_that_cannot_be_written_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let not_a_folder = folder.path().join("file");
        fs::write(&not_a_folder, "").unwrap();
        engine(&not_a_folder).compile(COMPONENT).unwrap();
    }
}

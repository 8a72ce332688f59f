//! The generations that doors answer from, and the thread that follows an environment. A swap is one store of a pointer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::App;
use super::error::AppError;
use super::gather::Target;
use super::generation::Generation;
use crate::name::{Label, WireVersion};
use crate::registry::ChangeToken;
use crate::server::{Catalog, FindError, Served};
use crate::telemetry::chain;

/// How often the registry is asked whether anything changed: a deployment is seen well within a second.
const POLL: Duration = Duration::from_millis(250);

/// Generations by name, each name's from the newest version to the oldest.
type Table = BTreeMap<String, Vec<Arc<Generation>>>;

/// What is served now.
pub struct Serving {
    table: ArcSwap<Table>,
    is_ready: AtomicBool,
    /// Served whatever the environment says.
    named: Vec<Arc<Generation>>,
}

impl Serving {
    /// Loads what was named on the command line.
    ///
    /// # Errors
    /// If one of them cannot be loaded, or two have one name and version.
    pub fn of_targets(app: &App, targets: &[Target]) -> Result<Arc<Self>, AppError> {
        let mut named: Vec<Arc<Generation>> = Vec::with_capacity(targets.len());
        for target in targets {
            let assembly = app.gather(target, None)?;
            let generation = app.load(&assembly)?;
            if let Some(other) = named.iter().find(|other| label(other) == label(&generation)) {
                return Err(AppError::ServedTwice {
                    what: label(other),
                    first: other.bundle().to_owned(),
                    second: generation.bundle().to_owned(),
                });
            }
            named.push(Arc::new(generation));
        }
        let table = ArcSwap::from_pointee(table(named.iter().cloned()));
        Ok(Arc::new(Self { table, is_ready: AtomicBool::new(false), named }))
    }

    /// Everything that should be served is.
    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// What is served, by name and then from new to old.
    pub fn list(&self) -> Vec<Arc<Generation>> {
        self.table.load().values().flatten().cloned().collect()
    }

    /// Puts these in the place of what the environment had before. Requests that run keep the generation that they began with.
    fn replace(&self, followed: Vec<Arc<Generation>>) {
        let named = self.named.iter().cloned();
        let other =
            followed.into_iter().filter(|generation| self.named.iter().all(|named| label(named) != label(generation)));
        self.table.store(Arc::new(table(named.chain(other))));
    }
}

impl Catalog for Serving {
    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<dyn Served>, FindError> {
        let table = self.table.load();
        let generations = table.get(name).ok_or(FindError::UnknownModel)?;
        let Some(version) = version else {
            return Ok(Arc::clone(&generations[0]) as Arc<dyn Served>);
        };
        let wanted: WireVersion = version.parse().map_err(|_| FindError::MalformedVersion)?;
        let newest = wanted.newest(generations.iter().map(|generation| generation.version()));
        let found = newest.and_then(|newest| generations.iter().find(|generation| generation.version() == newest));
        found.map(|generation| Arc::clone(generation) as Arc<dyn Served>).ok_or(FindError::UnknownVersion)
    }
}

fn label(generation: &Generation) -> String {
    format!("{}@{}", generation.metadata().name, generation.version())
}

fn table(generations: impl Iterator<Item = Arc<Generation>>) -> Table {
    let mut table = Table::new();
    for generation in generations {
        table.entry(generation.metadata().name.clone()).or_default().push(generation);
    }
    for generations in table.values_mut() {
        generations.sort_by(|first, second| second.version().cmp(first.version()));
        let versions: Vec<String> = generations.iter().map(|generation| generation.version().to_string()).collect();
        if versions.len() > 1 {
            for generation in generations {
                *generation = Arc::new(generation.among(versions.clone()));
            }
        }
    }
    table
}

/// A thread that keeps what is served equal to what is active in an environment.
pub struct Follower {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

/// What of an environment is loaded, by bundle.
struct Followed {
    app: Arc<App>,
    serving: Arc<Serving>,
    environment: Label,
    loaded: BTreeMap<String, Arc<Generation>>,
    /// Bundles that could not be loaded; not tried again until something else is active.
    refused: Vec<String>,
    token: Option<ChangeToken>,
}

impl Follower {
    /// Loads what is active now, and follows from then on.
    ///
    /// # Errors
    /// If something active cannot be loaded now: a start with half of what should be served is no start. Later on, what
    /// cannot be loaded leaves the generation before it in place.
    pub fn start(app: &Arc<App>, serving: &Arc<Serving>, environment: &Label) -> Result<Self, AppError> {
        let mut followed = Followed {
            app: Arc::clone(app),
            serving: Arc::clone(serving),
            environment: environment.clone(),
            loaded: BTreeMap::new(),
            refused: Vec::new(),
            token: None,
        };
        followed.token = Some(app.registry()?.change_token()?);
        if let Some(error) = followed.update()?.into_iter().next() {
            return Err(error);
        }
        let stop = Arc::new(Stop::default());
        let thread = thread::Builder::new().name("follower".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || followed.run(&stop)
        });
        Ok(Self { stop, thread: Some(thread.map_err(AppError::Threads)?) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        *self.stop.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already.
            drop(thread.join());
        }
    }
}

impl Followed {
    fn run(mut self, stop: &Stop) {
        let mut is_stopped = stop.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_stopped {
            is_stopped = stop.stopped.wait_timeout(is_stopped, POLL).unwrap_or_else(PoisonError::into_inner).0;
            if *is_stopped {
                return;
            }
            drop(is_stopped);
            self.look();
            is_stopped = stop.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look(&mut self) {
        let token = match self.app.registry().and_then(|registry| Ok(registry.change_token()?)) {
            Ok(token) => token,
            Err(error) => {
                tracing::warn!(error = chain(&error), "the registry cannot be read; what is loaded serves on");
                return;
            }
        };
        if self.token == Some(token) {
            return;
        }
        match self.update() {
            Ok(refused) => {
                self.token = Some(token);
                for error in refused {
                    tracing::error!(
                        error = chain(&error),
                        "a deployment cannot be loaded; the one before it serves on"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the registry cannot be read; what is loaded serves on")
            }
        }
    }

    /// Loads what is newly active beside what is loaded, then swaps. Gives what could not be loaded.
    fn update(&mut self) -> Result<Vec<AppError>, AppError> {
        let active = self.app.registry()?.active(&self.environment)?;
        let mut next = BTreeMap::new();
        let mut errors = Vec::new();
        for bundle in &active {
            let digest = bundle.bundle.digest().to_string();
            let pipeline = bundle.bundle.pipeline_name().to_string();
            let loaded = match self.loaded.get(&digest) {
                Some(generation) => Ok(Arc::clone(generation)),
                None if self.refused.contains(&digest) => Err(None),
                None => self
                    .app
                    .gather_active(bundle)
                    .and_then(|assembly| self.app.load(&assembly))
                    .map(Arc::new)
                    .map_err(Some),
            };
            match loaded {
                Ok(generation) => {
                    next.insert(digest, generation);
                }
                Err(error) => {
                    if let Some(error) = error {
                        self.refused.push(digest);
                        errors.push(error);
                    }
                    // What this pipeline served before stays.
                    let before = self.loaded.iter().find(|(_, generation)| generation.metadata().name == pipeline);
                    next.extend(before.map(|(digest, generation)| (digest.clone(), Arc::clone(generation))));
                }
            }
        }
        self.refused.retain(|digest| active.iter().any(|bundle| bundle.bundle.digest().to_string() == *digest));
        let is_changed = next.keys().ne(self.loaded.keys());
        if is_changed {
            for (digest, generation) in next.iter().filter(|(digest, _)| !self.loaded.contains_key(*digest)) {
                tracing::info!(pipeline = label(generation), bundle = digest, environment = %self.environment, "serving");
            }
            self.serving.replace(next.values().cloned().collect());
            self.loaded = next;
        }
        Ok(errors)
    }
}

//! A model loaded in ONNX Runtime: lends an instance, runs it on the calling thread, stops it when time is over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};

use super::convert;
use super::load::Loaded;
use crate::backend::check::{check_inputs, check_wanted};
use crate::backend::instances::Instances;
use crate::backend::watchdog::{Post, Stop, Watchdog};
use crate::backend::{BackendError, Model, ModelRun};
use crate::infer::Deadline;
use crate::tensor::{Signature, Tensor};

/// How many different choices of outputs an instance remembers; a pipeline's steps ask for the same ones each time.
const CHOICES_MAX: usize = 8;

pub(super) struct OnnxModel {
    label: String,
    signature: Signature,
    metadata: BTreeMap<String, String>,
    instances: Instances<Instance>,
    watchdog: Arc<Watchdog>,
}

struct Instance {
    session: Session,
    post: Arc<Post>,
    choices: Vec<(Vec<String>, Arc<Choice>)>,
}

/// The options of a run, which are also what stops it.
enum Choice {
    All(RunOptions),
    Some(Selected),
}

struct Selected(RunOptions<HasSelectedOutputs>);

// SAFETY: `ort` leaves `Sync` out because an output that was allocated in advance could be written by two runs. None is
// allocated here, the options are not changed after they were made, and an instance runs one thing at a time; all that
// another thread does is to set ONNX Runtime's terminate flag, which is made for that.
#[expect(unsafe_code, reason = "only the terminate flag is reached from another thread")]
unsafe impl Sync for Selected {}

impl Choice {
    fn new(wanted: &[&str]) -> ort::Result<Self> {
        let options = RunOptions::new()?;
        if wanted.is_empty() {
            return Ok(Self::All(options));
        }
        let selector = wanted.iter().fold(OutputSelector::no_default(), |selector, &name| selector.with(name));
        Ok(Self::Some(Selected(options.with_outputs(selector))))
    }
}

impl Stop for Choice {
    fn stop(&self) {
        let stopped = match self {
            Self::All(options) => options.terminate(),
            Self::Some(Selected(options)) => options.terminate(),
        };
        if let Err(error) = stopped {
            tracing::warn!(%error, "a run that is out of time cannot be stopped");
        }
    }
}

impl OnnxModel {
    pub(super) fn new(label: String, loaded: Loaded, watchdog: Arc<Watchdog>) -> Self {
        let instance = |session| Instance { session, post: watchdog.post(), choices: Vec::new() };
        let instances = Instances::new(loaded.sessions.into_iter().map(instance).collect());
        Self { label, signature: loaded.signature, metadata: loaded.metadata, instances, watchdog }
    }

    fn out_of_time(&self) -> BackendError {
        BackendError::DeadlineExceeded { model: self.label.clone() }
    }

    fn failed(&self, reason: impl ToString) -> BackendError {
        BackendError::Run { model: self.label.clone(), reason: reason.to_string() }
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn run(&self, inputs: &[(&str, &Tensor)], wanted: &[&str], deadline: &Deadline) -> Result<ModelRun, BackendError> {
        check_inputs(&self.label, &self.signature, inputs)?;
        check_wanted(&self.label, &self.signature, wanted)?;
        let asked = Instant::now();
        if deadline.is_over(asked) {
            return Err(self.out_of_time());
        }
        let mut instance = self.instances.take(deadline).ok_or_else(|| self.out_of_time())?;
        let instance = &mut *instance;
        let started = Instant::now();
        let choice = instance.choice(wanted).map_err(|error| self.failed(error))?;
        let values = inputs
            .iter()
            .map(|(name, tensor)| match convert::input(tensor) {
                Ok(value) => Ok((Cow::Borrowed(*name), value)),
                Err(reason) => Err(BackendError::InvalidInput {
                    model: self.label.clone(),
                    reason: format!("input `{name}`: {reason}"),
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;

        let post = Arc::clone(&instance.post);
        let watch = self.watchdog.watch(&post, deadline, started, Arc::clone(&choice) as Arc<dyn Stop>);
        let outputs = instance.run(values, inputs, &choice);
        let stopped = watch.finish();
        if stopped {
            instance.choices.retain(|(_, kept)| !Arc::ptr_eq(kept, &choice));
        }
        match outputs {
            Ok(outputs) => {
                let queue_ns = u64::try_from((started - asked).as_nanos()).unwrap_or(u64::MAX);
                Ok(ModelRun { outputs, queue_ns })
            }
            Err(_) if stopped => Err(self.out_of_time()),
            Err(reason) => Err(self.failed(reason)),
        }
    }
}

impl Instance {
    /// The options for these outputs; those of the last run first.
    fn choice(&mut self, wanted: &[&str]) -> ort::Result<Arc<Choice>> {
        if let Some((_, choice)) = self.choices.iter().find(|(names, _)| names.iter().eq(wanted.iter())) {
            return Ok(Arc::clone(choice));
        }
        let choice = Arc::new(Choice::new(wanted)?);
        if self.choices.len() == CHOICES_MAX {
            self.choices.remove(0);
        }
        let names = wanted.iter().map(|&name| name.to_owned()).collect();
        self.choices.push((names, Arc::clone(&choice)));
        Ok(choice)
    }

    fn run(
        &mut self,
        values: Vec<(Cow<'_, str>, SessionInputValue<'_>)>,
        inputs: &[(&str, &Tensor)],
        choice: &Choice,
    ) -> Result<Vec<(String, Tensor)>, String> {
        let owner = self.session.inner();
        let outputs = match choice {
            Choice::All(options) => self.session.run_with_options(values, options),
            Choice::Some(Selected(options)) => self.session.run_with_options(values, options),
        };
        outputs
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|(name, value)| match convert::output(value, &owner, inputs) {
                Ok(tensor) => Ok((name.to_owned(), tensor)),
                Err(reason) => Err(format!("output `{name}`: {reason}")),
            })
            .collect()
    }
}

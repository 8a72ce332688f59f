//! Why a request through a pipeline failed, and what of that a client is told.

use crate::backend::BackendError;
use crate::infer::{ErrorCode, InferError, PluginFailure, PluginFailureKind};
use crate::plugin::{Failure, Limit, PluginError};
use crate::tensor::TensorError;

use super::plan::RequestError;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("step `{step}`")]
    Model {
        step: String,
        #[source]
        error: BackendError,
        /// Whether all that the model was given came from the client as it was.
        inputs_are_clients: bool,
    },
    /// A plugin's result does not fit its own signature.
    #[error("step `{step}` of plugin `{plugin}` gave {problem}")]
    Output { step: String, plugin: String, problem: String },
    #[error("the answer is not what the pipeline declares")]
    Answer(#[source] TensorError),
    /// Tensors that cannot be the facts of a rule set.
    #[error("step `{step}`: {problem}")]
    Facts { step: String, problem: String },
    /// A run of a rule set that gave no answer.
    #[error("rule set `{rule_set}` in step `{step}` {problem}")]
    RuleSet { step: String, rule_set: String, plugin: String, failure: RuleFailure, problem: String },
    /// A finding of severity error in a step that blocks.
    #[error("rejected by step `{step}`: {summary}")]
    Rejected { step: String, summary: String, findings: String },
    #[error("the request was out of time before step `{step}`")]
    Deadline { step: String },
    #[error("step `{step}` panicked; the panic is in the log")]
    Panic { step: String },
}

/// How a run of a rule set failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFailure {
    /// An expression or a conflict, in a rule.
    Error,
    /// A limit of the rule set or of the operator.
    Limit,
    /// The step's time was over.
    StepTime,
    /// The request's time was over, or its client has gone.
    RequestTime,
}

impl PipelineError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Request(error) => error.code(),
            Self::Plugin(error) => plugin_code(error),
            Self::Model { error, inputs_are_clients, .. } => match error {
                BackendError::InvalidInput { .. } if *inputs_are_clients => ErrorCode::InvalidInput,
                BackendError::DeadlineExceeded { .. } => ErrorCode::Deadline,
                _ => ErrorCode::BackendFailed,
            },
            Self::Output { .. } => ErrorCode::PluginFailed,
            Self::Facts { .. } => ErrorCode::Unprocessable,
            Self::RuleSet { failure, .. } => match failure {
                RuleFailure::Error => ErrorCode::PluginFailed,
                RuleFailure::Limit | RuleFailure::StepTime => ErrorCode::PluginLimit,
                RuleFailure::RequestTime => ErrorCode::Deadline,
            },
            Self::Rejected { .. } => ErrorCode::Rejected,
            Self::Deadline { .. } => ErrorCode::Deadline,
            Self::Answer(_) | Self::Panic { .. } => ErrorCode::Internal,
        }
    }

    /// What a client may read where the fault is its own. Plugins and steps are not its business, what it did wrong is.
    fn client_message(&self) -> String {
        match self {
            Self::Plugin(PluginError::Failure { failure, .. }) => failure.to_string(),
            Self::Plugin(PluginError::Overloaded { .. }) => "too many requests; try again later".to_owned(),
            Self::Plugin(PluginError::Deadline { .. })
            | Self::Deadline { .. }
            | Self::RuleSet { failure: RuleFailure::RequestTime, .. } => "the request was out of time".to_owned(),
            Self::Facts { problem, .. } => problem.clone(),
            Self::Model { error: BackendError::InvalidInput { reason, .. }, .. } => reason.clone(),
            Self::Model { error: BackendError::DeadlineExceeded { .. }, .. } => {
                "the request was out of time".to_owned()
            }
            Self::Rejected { summary, .. } => format!("rejected: {summary}"),
            _ => self.to_string(),
        }
    }

    fn plugin_failure(&self) -> Option<PluginFailure> {
        match self {
            Self::Plugin(error) => {
                let (label, kind) = failure_kind(error)?;
                let step = label.step.clone().unwrap_or_default();
                Some(PluginFailure { plugin: label.plugin.clone(), step, kind })
            }
            Self::RuleSet { step, plugin, failure, .. } => {
                let kind = match failure {
                    RuleFailure::Error => PluginFailureKind::Failed,
                    RuleFailure::Limit => PluginFailureKind::Limit,
                    RuleFailure::StepTime => PluginFailureKind::Deadline,
                    RuleFailure::RequestTime => return None,
                };
                Some(PluginFailure { plugin: plugin.clone(), step: step.clone(), kind })
            }
            Self::Output { step, plugin, .. } => {
                Some(PluginFailure { plugin: plugin.clone(), step: step.clone(), kind: PluginFailureKind::Trap })
            }
            _ => None,
        }
    }
}

fn plugin_code(error: &PluginError) -> ErrorCode {
    match error {
        PluginError::Failure { failure, .. } => match failure {
            Failure::Invalid(_) => ErrorCode::InvalidInput,
            Failure::Unprocessable(_) => ErrorCode::Unprocessable,
            Failure::DeadlineExceeded => ErrorCode::Deadline,
            Failure::Exhausted(_) => ErrorCode::Overloaded,
            Failure::Internal(_) | Failure::Other(_) => ErrorCode::PluginFailed,
        },
        PluginError::Deadline { .. } => ErrorCode::Deadline,
        PluginError::Limit { .. } => ErrorCode::PluginLimit,
        PluginError::Overloaded { .. } => ErrorCode::Overloaded,
        PluginError::Trap { .. }
        | PluginError::Contract { .. }
        | PluginError::Configuration { .. }
        | PluginError::RuleSet { .. } => ErrorCode::PluginFailed,
        PluginError::Engine(_) | PluginError::Compile(_) | PluginError::Unsupported { .. } => ErrorCode::Internal,
    }
}

/// Which failures of plugins are counted, and as what; a plugin that refuses bad input has not failed.
fn failure_kind(error: &PluginError) -> Option<(&crate::plugin::PluginLabel, PluginFailureKind)> {
    match error {
        PluginError::Trap { label, .. } | PluginError::Contract { label, .. } => Some((label, PluginFailureKind::Trap)),
        PluginError::Limit { label, limit: Limit::Deadline, .. } => Some((label, PluginFailureKind::Deadline)),
        PluginError::Limit { label, .. } => Some((label, PluginFailureKind::Limit)),
        PluginError::Failure { label, failure: Failure::Internal(_) | Failure::Other(_) | Failure::Exhausted(_) } => {
            Some((label, PluginFailureKind::Failed))
        }
        _ => None,
    }
}

impl From<PipelineError> for InferError {
    fn from(error: PipelineError) -> Self {
        let mut inner = Self::new(error.code(), error.client_message());
        inner.failure = error.plugin_failure().map(Box::new);
        if let PipelineError::Rejected { findings, .. } = &error {
            inner.findings = Some(findings.clone());
        }
        inner.with_source(error)
    }
}

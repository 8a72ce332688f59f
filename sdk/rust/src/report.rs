//! Short ways to write what the contract's records and variants say: specs, diagnostics, findings, failures.

use crate::{Datatype, Diagnostic, Failure, Finding, RunError, Severity, TensorError, TensorSpec};

impl Datatype {
    /// The name on the wire and in pipeline files: `FP32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The bytes of one element; `None` for `Bytes`, whose elements vary.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl TensorSpec {
    /// A required tensor of this datatype and shape; -1 is a variable dimension.
    pub fn new(name: impl Into<String>, datatype: Datatype, shape: &[i64]) -> Self {
        Self { name: name.into(), datatype: Some(datatype), shape: Some(shape.to_vec()), optional: false }
    }

    /// A required tensor of any datatype and rank.
    pub fn any(name: impl Into<String>) -> Self {
        Self { name: name.into(), datatype: None, shape: None, optional: false }
    }

    /// The same tensor, which may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

impl Diagnostic {
    /// An error with a short, stable, kebab-case code.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            message: message.into(),
            span: None,
            path: None,
            rule: None,
            hint: None,
        }
    }

    /// Where in the configuration, as a JSON pointer: `/resize/width`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Finding {
    /// A finding with a short, stable code.
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, code: code.into(), message: message.into(), subject: None, data: None }
    }

    /// The tensor that it is about.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// More, for programs.
    #[must_use]
    pub fn data(mut self, data: &serde_json::Value) -> Self {
        self.data = Some(data.to_string());
        self
    }
}

impl Failure {
    /// The client's fault: the inputs are not what the signature says (400).
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// The inputs are well-formed, but cannot be processed (422).
    pub fn unprocessable(text: impl Into<String>) -> Self {
        Self::Unprocessable(text.into())
    }

    /// The plugin's own fault (500).
    pub fn internal(text: impl Into<String>) -> Self {
        Self::Internal(text.into())
    }
}

/// A tensor operation fails by the plugin's own fault, or for want of memory. A plugin that knows better says so.
impl From<TensorError> for Failure {
    fn from(error: TensorError) -> Self {
        match error {
            TensorError::Exhausted => Self::Exhausted("tensor memory or handles are spent".to_owned()),
            TensorError::OutOfBounds => Self::Internal("tensor: out of bounds".to_owned()),
            TensorError::ShapeMismatch(text) => Self::Internal(format!("tensor: shape mismatch: {text}")),
            TensorError::DatatypeMismatch(datatype) => Self::Internal(format!("tensor: not for {}", datatype.name())),
            TensorError::InvalidArgument(text) => Self::Internal(format!("tensor: invalid argument: {text}")),
            TensorError::Other(text) => Self::Internal(format!("tensor: {text}")),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NotFound => Self::Internal("model: not granted, or not there".to_owned()),
            RunError::InvalidInput(text) => Self::Internal(format!("model: invalid input: {text}")),
            RunError::Unsupported(text) => Self::Internal(format!("model: unsupported: {text}")),
            RunError::DeadlineExceeded => Self::DeadlineExceeded,
            RunError::Exhausted(text) => Self::Exhausted(text),
            RunError::Backend(text) | RunError::Other(text) => Self::Internal(format!("model: {text}")),
        }
    }
}

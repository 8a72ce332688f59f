//! What is wrong with a rule set, and where. Knows no rule.

/// A place in the text. Lines and columns start at 1, columns count Unicode scalar values, the end is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// One finding of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Short, stable, kebab-case: `unknown-key`.
    pub code: &'static str,
    pub message: String,
    pub span: Option<Span>,
    /// JSON pointer (RFC 6901) of what it is about.
    pub path: Option<String>,
    /// The id of the rule that it is about.
    pub rule: Option<String>,
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Some(span),
            path: None,
            rule: None,
            hint: None,
        }
    }

    pub fn warning(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, span) }
    }

    #[must_use]
    pub fn in_rule(self, rule: &str) -> Self {
        Self { rule: Some(rule.to_owned()), ..self }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// About what does not stand in the file: it has a path, and no lines.
    #[must_use]
    pub fn at_path(self, path: impl Into<String>) -> Self {
        Self { span: None, path: Some(path.into()), ..self }
    }
}

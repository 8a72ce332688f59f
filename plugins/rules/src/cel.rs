//! CEL, the Common Expression Language: text to tree, types, register code, values. Knows expressions, not rules.
//!
//! One runtime, two modes: checked against a `Scope` (rule files), and dynamic, where names are looked up in a map
//! (conformance).

mod bytes;
mod compile;
mod convert;
mod eval;
mod functions;
mod lexer;
mod macros;
mod operators;
mod parser;
mod pattern;
mod program;
pub mod syntax;
mod types;

pub use compile::{CheckError, FieldInfo, Scope, Variable, compile, compile_dynamic};
pub use convert::{push_text, write_text};
pub use eval::{EvalError, Failure, Frame, Reason};
pub use operators::{compare, equal};
pub use parser::{DEPTH_MAX, TEXT_BYTES_MAX, parse};
pub(crate) use pattern::Matcher;
pub use program::{DecodeError, Program, Reads};
pub use types::Type;

use syntax::Range;

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub message: String,
    pub range: Range,
}

#[cfg(test)]
mod tests;

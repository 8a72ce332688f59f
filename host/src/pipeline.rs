//! Pipelines: from the text of a file to an answer. This room never reads files, clocks or the registry itself.

pub mod document;
pub mod golden;
pub mod graph;
mod parameters;
pub mod plan;
pub mod schema;
pub mod spec;
pub mod values;

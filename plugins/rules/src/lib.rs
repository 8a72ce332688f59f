//! `rules/v1`: rule sets as data, checked, planned and run by forward chaining over columns of facts.
//!
//! A pure library and a thin component around it. In reading order, which is the way of a rule set:
//! text (`document`), the file as written (`file`), its meaning (`model`), how it is joined (`plan`), one run (`engine`).

pub mod canonical;
pub mod cel;
pub mod compiled;
#[cfg(target_family = "wasm")]
mod component;
pub mod diagnostic;
pub mod document;
#[expect(clippy::too_many_arguments, reason = "a match is a rule, a body and bindings, beside what it is looked at in")]
pub mod engine;
pub mod exact;
pub mod explain;
pub mod file;
pub mod heap;
pub mod json;
pub mod json_schema;
pub mod load;
pub mod model;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod plan_text;
pub mod report;
pub mod rows;
pub mod schema;
pub mod store;
pub mod testing;
pub mod value;
pub mod warnings;

//! What is suspicious about a rule set that has no errors. Runs nothing and decides nothing: a rule set with warnings works.

use crate::diagnostic::Diagnostic;
use crate::file::RuleFile;
use crate::model::RuleSet;

mod coverage;
mod endless;
mod impossible;
mod joins;
mod ranges;
mod terms;
#[cfg(test)]
mod tests;
mod unused;
mod view;
mod writers;

use view::View;

/// The warnings of a checked rule set, in the order of the file.
pub fn warnings(file: &RuleFile, rules: &RuleSet) -> Vec<Diagnostic> {
    let view = View::new(file, rules);
    let mut found = Vec::new();
    unused::check(&view, &mut found);
    impossible::check(&view, &mut found);
    endless::check(&view, &mut found);
    writers::check(&view, &mut found);
    joins::check(&view, &mut found);
    coverage::check(&view, &mut found);
    found.sort_by(|left, right| (left.span, left.code, &left.message).cmp(&(right.span, right.code, &right.message)));
    found.dedup();
    found
}

//! The compiled form of a rule set: bytes that are read in milliseconds. Makes no rule set of its own and runs none.
//!
//! A head (magic, version of the form, version of this crate, checksum), then the parts of the rule set. The form is for
//! one version of the crate, and for a cache: from a rule set's text it can be made again at any time. What is read is
//! believed no more than any input: counts are bounded by what follows, and all that refers to something is checked.

use crate::diagnostic::Diagnostic;
use crate::heap::{Texts, hash_bytes};
use crate::model::RuleSet;

mod parts;
mod rules;
#[cfg(test)]
mod tests;
mod validate;
mod wire;

use wire::{Reader, Wire};

const MAGIC: [u8; 8] = *b"iwrules\0";
/// Of the form; a change of what is stored, or of its order, raises it.
const FORM: u32 = 1;
const CRATE: &str = env!("CARGO_PKG_VERSION");

/// Why bytes are not a rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompiledError {
    /// They are nothing of this kind.
    NotCompiled,
    /// They were made by another version.
    OtherVersion,
    /// They are not as they were written.
    Damaged,
    /// They are as they were written, but what they say is not a rule set.
    Malformed,
}

impl CompiledError {
    pub fn message(self) -> &'static str {
        match self {
            Self::NotCompiled => "this is no compiled rule set",
            Self::OtherVersion => "the rule set was compiled by another version",
            Self::Damaged => "the compiled rule set is damaged",
            Self::Malformed => "the compiled rule set contradicts itself",
        }
    }
}

/// A rule set and the warnings of its check, as bytes.
pub fn encode(rules: &RuleSet, warnings: &[Diagnostic]) -> Vec<u8> {
    let mut payload = Vec::new();
    rules.texts.write(&mut payload);
    rules.write(&mut payload);
    parts::write_all(warnings, &mut payload);
    let mut out = Vec::with_capacity(payload.len() + 64);
    out.extend(MAGIC);
    out.extend(FORM.to_le_bytes());
    out.extend((CRATE.len() as u32).to_le_bytes());
    out.extend(CRATE.as_bytes());
    out.extend(hash_bytes(&payload).to_le_bytes());
    out.extend(payload);
    out
}

/// Reads what `encode` wrote.
///
/// # Errors
/// If the bytes are not a whole and sound rule set of this version.
pub fn decode(bytes: &[u8]) -> Result<(RuleSet, Vec<Diagnostic>), CompiledError> {
    let payload = payload(bytes)?;
    let mut reader = Reader::new(payload);
    let (mut rules, warnings) = read(&mut reader).map_err(|_| CompiledError::Malformed)?;
    if !reader.is_over() || !validate::is_sound(&rules) {
        return Err(CompiledError::Malformed);
    }
    rules.arrange();
    Ok((rules, warnings))
}

fn read(reader: &mut Reader<'_>) -> wire::Read<(RuleSet, Vec<Diagnostic>)> {
    reader.texts = Texts::read(reader)?;
    Ok((RuleSet::read(reader)?, Vec::read(reader)?))
}

/// What stands behind a head that fits.
fn payload(bytes: &[u8]) -> Result<&[u8], CompiledError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(CompiledError::NotCompiled)?;
    let (form, rest) = rest.split_first_chunk().ok_or(CompiledError::Damaged)?;
    if u32::from_le_bytes(*form) != FORM {
        return Err(CompiledError::OtherVersion);
    }
    let (len, rest) = rest.split_first_chunk().ok_or(CompiledError::Damaged)?;
    let len = u32::from_le_bytes(*len) as usize;
    let (version, rest) = rest.split_at_checked(len).ok_or(CompiledError::Damaged)?;
    if version != CRATE.as_bytes() {
        return Err(CompiledError::OtherVersion);
    }
    let (checksum, payload) = rest.split_first_chunk().ok_or(CompiledError::Damaged)?;
    if u64::from_le_bytes(*checksum) == hash_bytes(payload) { Ok(payload) } else { Err(CompiledError::Damaged) }
}

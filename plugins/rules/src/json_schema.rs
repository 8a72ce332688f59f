//! The JSON Schema of the format, for editors: it completes and checks shapes. The reader of files (`file`) knows more.

#[cfg(test)]
mod tests;

/// Draft 2020-12.
pub const JSON_SCHEMA: &str = include_str!("json_schema.json");

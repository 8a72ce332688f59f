//! Lines for the server's log, which adds plugin, step and request, and cuts, escapes and limits them. Natively they go
//! to standard error.

pub use crate::bindings::manifest::inferwit::plugin::log::Level;

/// Whether a line of this level would be kept.
pub fn enabled(level: Level) -> bool {
    #[cfg(target_family = "wasm")]
    return crate::bindings::manifest::inferwit::plugin::log::enabled(level);
    #[cfg(not(target_family = "wasm"))]
    return level >= Level::Trace;
}

/// Writes a line. Fields are keys with values.
///
/// ```
/// use inferwit_plugin::log::{self, Level};
/// log::write(Level::Info, "decoded", &[("width", "512"), ("height", "512")]);
/// ```
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    #[cfg(target_family = "wasm")]
    crate::bindings::manifest::inferwit::plugin::log::write(level, message, &fields);
    #[cfg(not(target_family = "wasm"))]
    crate::memory::write_log(level, message, &fields);
}

/// Writes a line of a level, formatted as by `format!` only if it would be kept.
///
/// ```
/// inferwit_plugin::log!(Debug, "{} faces", 3);
/// ```
#[macro_export]
macro_rules! log {
    ($level:ident, $($message:tt)+) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, &::std::format!($($message)+), &[]);
        }
    };
}

//! Lines that guests write: cut, escaped and rate-limited before they reach the host's log.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Longer lines are cut.
const LINE_CHARS_MAX: usize = 1000;
/// More fields are left out.
const FIELDS_MAX: usize = 16;
/// Lines in one `RATE_WINDOW` over all instances of one use of a plugin; more are counted and dropped.
const LINES_PER_WINDOW: u32 = 100;
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// The log of one use of a plugin; clones share the rate limit.
#[derive(Clone, Debug)]
pub(crate) struct GuestLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    plugin: String,
    step: String,
    rate: Mutex<Rate>,
}

#[derive(Debug)]
struct Rate {
    window_start: Instant,
    lines: u32,
    dropped: u64,
}

impl GuestLog {
    pub(crate) fn new(plugin: &str, step: &str) -> Self {
        let rate = Rate { window_start: Instant::now(), lines: 0, dropped: 0 };
        Self(Arc::new(Shared { plugin: plugin.to_owned(), step: step.to_owned(), rate: Mutex::new(rate) }))
    }

    pub(crate) fn is_enabled(level: tracing::Level) -> bool {
        level <= tracing::level_filters::LevelFilter::current()
    }

    pub(crate) fn write(&self, level: tracing::Level, request: &str, message: &str, fields: &[(String, String)]) {
        if !Self::is_enabled(level) || !self.admit(Instant::now()) {
            return;
        }
        let mut line = escaped(message);
        for (key, value) in fields.iter().take(FIELDS_MAX) {
            let _ = write!(line, " {}={:?}", escaped(key), escaped(value));
        }
        let Shared { plugin, step, .. } = &*self.0;
        match level {
            tracing::Level::ERROR => tracing::error!(target: "plugin", plugin, step, request, "{line}"),
            tracing::Level::WARN => tracing::warn!(target: "plugin", plugin, step, request, "{line}"),
            tracing::Level::INFO => tracing::info!(target: "plugin", plugin, step, request, "{line}"),
            tracing::Level::DEBUG => tracing::debug!(target: "plugin", plugin, step, request, "{line}"),
            tracing::Level::TRACE => tracing::trace!(target: "plugin", plugin, step, request, "{line}"),
        }
    }

    fn admit(&self, now: Instant) -> bool {
        let mut rate = self.0.rate.lock().expect("no panic while the rate is held");
        if now.duration_since(rate.window_start) >= RATE_WINDOW {
            if rate.dropped > 0 {
                let Shared { plugin, step, .. } = &*self.0;
                tracing::warn!(target: "plugin", plugin, step, dropped = rate.dropped, "plugin wrote too many log lines");
            }
            *rate = Rate { window_start: now, lines: 0, dropped: 0 };
        }
        if rate.lines == LINES_PER_WINDOW {
            rate.dropped += 1;
            return false;
        }
        rate.lines += 1;
        true
    }
}

/// At most `LINE_CHARS_MAX` characters, with control characters as escapes.
pub(crate) fn escaped(text: &str) -> String {
    let mut line = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == LINE_CHARS_MAX {
            line.push_str("...");
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Standard output and error of a guest: each write is a line of level info.
pub(crate) struct GuestOutput(GuestLog);

impl GuestOutput {
    pub(crate) fn new(log: GuestLog) -> Self {
        Self(log)
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    /// Only asked for by WASI 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(GuestOutputStream(self.0.clone()))
    }
}

struct GuestOutputStream(GuestLog);

impl OutputStream for GuestOutputStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // No more than can be kept of one line is looked at.
        let seen = &bytes[..bytes.len().min(LINE_CHARS_MAX * 4)];
        for line in String::from_utf8_lossy(seen).lines().filter(|line| !line.trim().is_empty()) {
            self.0.write(tracing::Level::INFO, "", line, &[]);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutputStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_long_lines_do_not_reach_the_log() {
        assert_eq!(escaped("a\n\x1b[31mb"), "a\\n\\u{1b}[31mb");
        assert_eq!(escaped(&"x".repeat(5000)).len(), LINE_CHARS_MAX + 3);
    }

    #[test]
    fn more_lines_than_the_rate_are_dropped_until_the_next_window() {
        let log = GuestLog::new("p@1.0.0", "s");
        let start = Instant::now();
        let admitted = (0..LINES_PER_WINDOW + 5).filter(|_| log.admit(start)).count();
        assert_eq!(admitted, LINES_PER_WINDOW as usize);
        assert!(log.admit(start + RATE_WINDOW * 2));
    }
}

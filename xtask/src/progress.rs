//! Says what a long step is doing and how long it took: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A step under way. Dropped without `done`, it leaves no claim that it ended well.
pub(crate) struct Step {
    what: String,
    spinner: Option<ProgressBar>,
    begin: Instant,
}

impl Step {
    /// For steps that print nothing themselves.
    pub(crate) fn begin(what: impl Into<String>) -> Self {
        let what = what.into();
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is well-formed");
            let spinner = ProgressBar::new_spinner().with_style(style).with_message(what.clone());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        if spinner.is_none() {
            eprintln!("{what} ...");
        }
        Self { what, spinner, begin: Instant::now() }
    }

    /// For steps whose program shows its own progress on our terminal, as cargo does.
    pub(crate) fn begin_shown(what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("{what} ...");
        Self { what, spinner: None, begin: Instant::now() }
    }

    pub(crate) fn done(self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        eprintln!("{}: {:.1} s", self.what, self.begin.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

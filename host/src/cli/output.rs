//! Standard output: lines, aligned columns and JSON through one writer. Messages and errors do not come here.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// Where data is printed.
pub(super) struct Output<'a> {
    writer: &'a mut dyn Write,
    has_colour: bool,
    is_json: bool,
}

/// Somebody has closed the pipe and wants no more: no error, and nothing left to do.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct Closed;

pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.is::<Closed>()
}

fn told(written: io::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("write to standard output"),
    })
}

impl<'a> Output<'a> {
    pub(super) fn new(writer: &'a mut dyn Write, has_colour: bool) -> Self {
        Self { writer, has_colour, is_json: false }
    }

    pub(super) fn set_json(&mut self, is_json: bool) {
        self.is_json = is_json;
    }

    /// Whether data is wanted for programs.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// One line, or several.
    pub(super) fn text(&mut self, text: impl Display) -> anyhow::Result<()> {
        told(writeln!(self.writer, "{text}"))
    }

    /// A value on one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.text(serde_json::to_string(value)?)
    }

    /// A document that people read too, such as a schema.
    pub(super) fn document(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.text(serde_json::to_string_pretty(value)?)
    }

    /// Rows under a header, each column as wide as its widest cell.
    pub(super) fn table<const N: usize>(&mut self, header: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
        let header = header.map(str::to_owned);
        let lines = aligned(std::iter::once(&header).chain(rows));
        for (index, line) in lines.iter().enumerate() {
            if index == 0 && self.has_colour {
                self.text(format_args!("\u{1b}[1m{line}\u{1b}[0m"))?;
            } else {
                self.text(line)?;
            }
        }
        Ok(())
    }

    /// Names and their values, a line each.
    pub(super) fn pairs(&mut self, pairs: &[(&str, String)]) -> anyhow::Result<()> {
        let rows: Vec<[String; 2]> = pairs.iter().map(|(name, value)| [(*name).to_owned(), value.clone()]).collect();
        self.rows(&rows)
    }

    /// Rows without a header.
    pub(super) fn rows<const N: usize>(&mut self, rows: &[[String; N]]) -> anyhow::Result<()> {
        aligned(rows.iter()).iter().try_for_each(|line| self.text(line))
    }

    /// `good` in green or red, where there is colour.
    pub(super) fn mark(&self, word: &str, is_good: bool) -> String {
        match (self.has_colour, is_good) {
            (false, _) => word.to_owned(),
            (true, true) => format!("\u{1b}[32m{word}\u{1b}[0m"),
            (true, false) => format!("\u{1b}[31m{word}\u{1b}[0m"),
        }
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        told(self.writer.flush())
    }
}

fn aligned<'r, const N: usize>(rows: impl Iterator<Item = &'r [String; N]> + Clone) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.map(line).collect()
}

/// The first digits of a digest, as much as tells bundles apart.
pub(super) fn short(digest: &impl Display) -> String {
    digest.to_string().chars().take("sha256:".len() + 12).collect()
}

/// `1.4 MiB`
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for people anyhow")]
    let scaled = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", scaled(0x400)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", scaled(0x10_0000)),
        _ => format!("{:.1} GiB", scaled(0x4000_0000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_text() {
        let mut written = Vec::new();
        let rows =
            [["größe".to_owned(), "1".to_owned(), String::new()], ["b".to_owned(), "22".to_owned(), "x".to_owned()]];
        Output::new(&mut written, false).table(["NAME", "N", "LAST"], &rows).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "NAME   N   LAST\ngröße  1\nb      22  x\n");
    }

    #[test]
    fn sizes_are_rounded() {
        let check = |bytes, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(7_500_000, "7.2 MiB");
        check(3 << 30, "3.0 GiB");
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_errors() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let write = |kind| Output::new(&mut Broken(kind), false).text("x").unwrap_err();
        assert!(is_closed(&write(io::ErrorKind::BrokenPipe)));
        assert!(!is_closed(&write(io::ErrorKind::StorageFull)));
    }
}

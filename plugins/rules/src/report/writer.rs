//! JSON text put together piece by piece; commas are its only business. Knows no report.

use crate::canonical::write_text;

#[derive(Default)]
pub(crate) struct Writer {
    out: String,
    /// Something stands before at this level, so that a comma is due.
    is_begun: bool,
}

impl Writer {
    pub(crate) fn finish(self) -> String {
        self.out
    }

    fn comma(&mut self) {
        if self.is_begun {
            self.out.push(',');
        }
        self.is_begun = true;
    }

    /// Begins an object or a list.
    pub(crate) fn open(&mut self, bracket: char) {
        self.comma();
        self.out.push(bracket);
        self.is_begun = false;
    }

    pub(crate) fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.is_begun = true;
    }

    /// The name of what comes next.
    pub(crate) fn key(&mut self, name: &str) {
        self.comma();
        write_text(&mut self.out, name);
        self.out.push(':');
        self.is_begun = false;
    }

    /// Where to write one value.
    pub(crate) fn value(&mut self) -> &mut String {
        self.comma();
        &mut self.out
    }

    /// An element that is a text, or null.
    pub(crate) fn item(&mut self, text: Option<&str>) {
        match text {
            Some(text) => write_text(self.value(), text),
            None => self.value().push_str("null"),
        }
    }

    pub(crate) fn text(&mut self, name: &str, text: Option<&str>) {
        self.key(name);
        self.item(text);
    }

    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.key(name);
        self.value().push_str(json);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.raw(name, &value.to_string());
    }
}

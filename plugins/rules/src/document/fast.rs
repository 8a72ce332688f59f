//! The usual layouts of YAML and JSON, read in one pass at many times the speed of the general parser.
//!
//! Invariant: what this reads, the general parser reads to the same tree, places included. Whatever is unusual (anchors,
//! tags, several lines in a scalar, tabs, empty values, ...) or wrong it does not read, so that only one parser decides.

use super::build::repeated;
use super::{DEPTH_MAX, Data, Key, Node, scalar};
use crate::diagnostic::Span;

/// The document, if all of it is usual.
pub(super) fn read(text: &str) -> Option<Node> {
    let unusual = |byte: u8| matches!(byte, b'\t' | b'\r');
    if text.bytes().any(unusual) || text.contains('\u{feff}') {
        return None;
    }
    let ascii = text.is_ascii();
    let mut reader = Fast {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        line_start: 0,
        ascii,
        counted: (0, 1),
        indent: -1,
        depth: 0,
    };
    reader.skip_space()?;
    let root = reader.block_node(-1)?;
    reader.skip_space()?;
    (reader.peek().is_none() && matches!(root.data, Data::Mapping(_) | Data::Sequence(_))).then_some(root)
}

struct Fast<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    /// Where the line begins.
    line_start: usize,
    ascii: bool,
    /// A place in this line and its column.
    counted: (usize, u32),
    /// The indentation of the innermost block around; -1 at the root. Lines of flow collections lie deeper.
    indent: isize,
    depth: usize,
}

/// A scalar as it stands.
struct Word {
    data: Data,
    span: Span,
    text_column: Option<u32>,
    quoted: bool,
}

impl Word {
    fn into_node(self) -> Node {
        Node { data: self.data, span: self.span, text_column: self.text_column }
    }

    /// A key short enough, and no text only by accident.
    fn into_key(self) -> Option<Key> {
        const BYTES_MAX: usize = 512;
        match self.data {
            Data::String(name) if !name.is_empty() && name.len() <= BYTES_MAX => Some(Key { name, span: self.span }),
            _ => None,
        }
    }
}

impl Fast<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn peek_next(&self) -> Option<u8> {
        self.bytes.get(self.at + 1).copied()
    }

    /// Where the token is in its line, from 0. Before it stands nothing but spaces and dashes.
    fn offset(&self) -> isize {
        (self.at - self.line_start) as isize
    }

    fn column(&mut self, at: usize) -> u32 {
        if self.ascii {
            return (at - self.line_start) as u32 + 1;
        }
        let (from, column) = if self.counted.0 <= at { self.counted } else { (self.line_start, 1) };
        self.counted = (at, column + self.text[from..at].chars().count() as u32);
        self.counted.1
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// To the next token, over ends of lines and comments. Markers of documents are unusual.
    fn skip_space(&mut self) -> Option<()> {
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(b'#') if self.at == self.line_start || self.bytes[self.at - 1] == b' ' => self.skip_line(),
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                    self.counted = (self.at, 1);
                }
                Some(b'-' | b'.') if self.at == self.line_start => {
                    let rest = &self.bytes[self.at..];
                    return (!rest.starts_with(b"---") && !rest.starts_with(b"...")).then_some(());
                }
                _ => return Some(()),
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    /// Nothing but space and a comment follows in this line.
    fn ends_line(&mut self) -> bool {
        let from = self.at;
        self.skip_spaces();
        match self.peek() {
            None | Some(b'\n') => true,
            Some(b'#') => self.at > from,
            _ => false,
        }
    }

    fn is_dash(&self) -> bool {
        self.peek() == Some(b'-') && matches!(self.peek_next(), Some(b' ' | b'\n'))
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    /// A node on lines of its own, or behind a dash.
    fn block_node(&mut self, parent: isize) -> Option<Node> {
        let indent = self.offset();
        if self.is_dash() {
            return self.block_sequence(indent, true);
        }
        if matches!(self.peek(), Some(b'{' | b'[')) {
            let node = self.flow_in_block(parent)?;
            return self.ends_line().then_some(node);
        }
        let word = self.word(false)?;
        let end = self.at;
        self.skip_spaces();
        if self.peek() == Some(b':') {
            return self.block_mapping(indent, word.into_key()?);
        }
        self.at = end;
        self.ends_line().then(|| word.into_node())
    }

    /// One that is not indented begins, for the general parser, with its first item.
    fn block_sequence(&mut self, indent: isize, indented: bool) -> Option<Node> {
        self.enter()?;
        let (mut line, mut column) = (self.line, self.column(self.at));
        let mut items = Vec::new();
        while self.peek().is_some() && self.offset() == indent && self.is_dash() {
            self.at += 1;
            self.skip_space()?;
            // On a line of its own it is indented; an empty entry is unusual.
            if self.peek().is_none() || self.offset() <= indent {
                return None;
            }
            items.push(self.block_node(indent)?);
            self.skip_space()?;
            if self.peek().is_some() && self.offset() > indent {
                return None;
            }
        }
        self.depth -= 1;
        if !indented {
            let first = items.first()?.span;
            if first.line != line {
                return None;
            }
            (line, column) = (first.line, first.column);
        }
        let end = items.last()?.span;
        let span = Span { line, column, end_line: end.end_line, end_column: end.end_column };
        Some(Node { data: Data::Sequence(items), span, text_column: None })
    }

    /// Behind the first key, before its colon.
    fn block_mapping(&mut self, indent: isize, first: Key) -> Option<Node> {
        self.enter()?;
        let Span { line, column, .. } = first.span;
        let mut entries = Vec::new();
        let mut key = first;
        loop {
            self.colon()?;
            let value = self.block_value(indent)?;
            entries.push((key, value));
            self.skip_space()?;
            if self.peek().is_none() || self.offset() < indent {
                break;
            }
            if self.offset() > indent || self.is_dash() {
                return None;
            }
            key = self.word(false)?.into_key()?;
            self.skip_spaces();
        }
        self.depth -= 1;
        let end = entries.last()?.1.span;
        let span = Span { line, column, end_line: end.end_line, end_column: end.end_column };
        repeated(&entries).is_empty().then_some(Node { data: Data::Mapping(entries), span, text_column: None })
    }

    /// A colon that ends a key of a block.
    fn colon(&mut self) -> Option<()> {
        let ends_key = self.peek() == Some(b':') && matches!(self.peek_next(), Some(b' ' | b'\n'));
        self.at += 1;
        ends_key.then_some(())
    }

    fn block_value(&mut self, indent: isize) -> Option<Node> {
        if self.ends_line() {
            self.skip_space()?;
            self.peek()?;
            return match self.offset() {
                offset if offset > indent => self.block_node(indent),
                // The dashes of a list may stand right under its key.
                offset if offset == indent && self.is_dash() => self.block_sequence(indent, false),
                _ => None,
            };
        }
        let node = match self.peek()? {
            b'{' | b'[' => self.flow_in_block(indent)?,
            _ => self.word(false)?.into_node(),
        };
        self.ends_line().then_some(node)
    }

    fn flow_in_block(&mut self, indent: isize) -> Option<Node> {
        let outer = std::mem::replace(&mut self.indent, indent);
        let node = self.flow_node();
        self.indent = outer;
        node
    }

    fn flow_node(&mut self) -> Option<Node> {
        match self.peek()? {
            b'{' => self.flow_mapping(),
            b'[' => self.flow_sequence(),
            _ => Some(self.word(true)?.into_node()),
        }
    }

    fn skip_flow_space(&mut self) -> Option<u8> {
        let line = self.line;
        self.skip_space()?;
        if self.line != line && self.offset() <= self.indent {
            return None;
        }
        self.peek()
    }

    fn flow_mapping(&mut self) -> Option<Node> {
        self.enter()?;
        let begin = (self.line, self.column(self.at));
        self.at += 1;
        let mut entries = Vec::new();
        while self.skip_flow_space()? != b'}' {
            let word = self.word(true)?;
            let quoted = word.quoted;
            let key = word.into_key()?;
            self.skip_spaces();
            // Behind a quoted key the value may stand close.
            if self.peek() != Some(b':') || !(quoted || matches!(self.peek_next(), Some(b' ' | b'\n'))) {
                return None;
            }
            self.at += 1;
            self.skip_flow_space()?;
            entries.push((key, self.flow_node()?));
            match self.skip_flow_space()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        let span = self.close(begin);
        repeated(&entries).is_empty().then_some(Node { data: Data::Mapping(entries), span, text_column: None })
    }

    fn flow_sequence(&mut self) -> Option<Node> {
        self.enter()?;
        let begin = (self.line, self.column(self.at));
        self.at += 1;
        let mut items = Vec::new();
        while self.skip_flow_space()? != b']' {
            items.push(self.flow_node()?);
            match self.skip_flow_space()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        let span = self.close(begin);
        Some(Node { data: Data::Sequence(items), span, text_column: None })
    }

    /// Over the closing bracket.
    fn close(&mut self, (line, column): (u32, u32)) -> Span {
        self.depth -= 1;
        self.at += 1;
        Span { line, column, end_line: self.line, end_column: self.column(self.at) }
    }

    /// A scalar on one line.
    fn word(&mut self, flow: bool) -> Option<Word> {
        match self.peek()? {
            b'"' => self.double_quoted(),
            b'\'' => self.single_quoted(),
            _ => self.plain(flow),
        }
    }

    fn spanned(&mut self, begin: usize, data: Data, quote: Option<bool>) -> Word {
        let (line, column) = (self.line, self.column(begin));
        let span = Span { line, column, end_line: line, end_column: self.column(self.at) };
        let stands_as_is = quote.is_none_or(|as_is| as_is) && matches!(data, Data::String(_));
        let text_column = stands_as_is.then_some(column + u32::from(quote.is_some()));
        Word { data, span, text_column, quoted: quote.is_some() }
    }

    fn single_quoted(&mut self) -> Option<Word> {
        let begin = self.at;
        self.at += 1;
        let mut doubled = false;
        loop {
            match self.peek()? {
                b'\n' => return None,
                b'\'' if self.peek_next() == Some(b'\'') => {
                    doubled = true;
                    self.at += 2;
                }
                b'\'' => break,
                _ => self.at += 1,
            }
        }
        let written = &self.text[begin + 1..self.at];
        self.at += 1;
        let text = if doubled { written.replace("''", "'") } else { written.to_owned() };
        Some(self.spanned(begin, Data::String(text), Some(!doubled)))
    }

    fn double_quoted(&mut self) -> Option<Word> {
        let begin = self.at;
        self.at += 1;
        // What is read so far, once there is an escape; and where what follows it begins.
        let mut text: Option<String> = None;
        let mut rest = self.at;
        loop {
            match self.peek()? {
                b'\n' => return None,
                b'"' => break,
                b'\\' => {
                    let escaped = match self.peek_next()? {
                        b'"' => '"',
                        b'\\' => '\\',
                        b'/' => '/',
                        b'n' => '\n',
                        b't' => '\t',
                        b'u' => self.hexadecimal()?,
                        _ => return None,
                    };
                    let text = text.get_or_insert_default();
                    text.push_str(&self.text[rest..self.at]);
                    text.push(escaped);
                    self.at += if self.peek_next() == Some(b'u') { 6 } else { 2 };
                    rest = self.at;
                }
                _ => self.at += 1,
            }
        }
        let last = &self.text[rest..self.at];
        self.at += 1;
        let as_is = text.is_none();
        let text = text.unwrap_or_default() + last;
        Some(self.spanned(begin, Data::String(text), Some(as_is)))
    }

    /// The character of `\u00e9`; halves of a pair are unusual.
    fn hexadecimal(&self) -> Option<char> {
        let digits = self.text.get(self.at + 2..self.at + 6)?;
        let code = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)?;
        u32::from_str_radix(code, 16).ok().and_then(char::from_u32)
    }

    fn plain(&mut self, flow: bool) -> Option<Word> {
        let begin = self.at;
        let begins = match self.peek()? {
            b'-' => matches!(self.peek_next(), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'(' | b'_')),
            byte => !b",[]{}#&*!|>'\"%@`?: \n".contains(&byte),
        };
        if !begins {
            return None;
        }
        let mut end = begin;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                b' ' => {
                    self.at += 1;
                    if self.peek() == Some(b'#') {
                        break;
                    }
                    continue;
                }
                b':' => match self.peek_next() {
                    None | Some(b' ' | b'\n') => break,
                    Some(b',' | b'[' | b']' | b'{' | b'}') if flow => return None,
                    _ => {}
                },
                b',' | b'[' | b']' | b'{' | b'}' if flow => break,
                _ => {}
            }
            self.at += 1;
            end = self.at;
        }
        self.at = end;
        let data = scalar::resolve(&self.text[begin..end]);
        Some(self.spanned(begin, data, None))
    }
}

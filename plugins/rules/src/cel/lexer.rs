//! From text to tokens, literals decoded. Knows words, not grammar.

use super::SyntaxError;
use super::syntax::{Literal, Range};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, and whether it stood in backticks.
    Name(String, bool),
    /// Without a sign; an `int` beyond 2^63 is kept as it is.
    Int(u64),
    Literal(Literal),
    Sign(&'static str),
    End,
}

/// Signs by their first byte.
const fn sign(first: u8, second: u8) -> Option<&'static str> {
    Some(match (first, second) {
        (b'=', b'=') => "==",
        (b'!', b'=') => "!=",
        (b'<', b'=') => "<=",
        (b'>', b'=') => ">=",
        (b'&', b'&') => "&&",
        (b'|', b'|') => "||",
        (b'<', _) => "<",
        (b'>', _) => ">",
        (b'!', _) => "!",
        (b'-', _) => "-",
        (b'+', _) => "+",
        (b'*', _) => "*",
        (b'/', _) => "/",
        (b'%', _) => "%",
        (b'?', _) => "?",
        (b':', _) => ":",
        (b',', _) => ",",
        (b'.', _) => ".",
        (b'(', _) => "(",
        (b')', _) => ")",
        (b'[', _) => "[",
        (b']', _) => "]",
        (b'{', _) => "{",
        (b'}', _) => "}",
        _ => return None,
    })
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, place: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.place..]
    }

    fn error(&self, message: impl Into<String>, begin: usize) -> SyntaxError {
        let end = self.place.max(begin).min(self.text.len());
        SyntaxError { message: message.into(), range: Range { begin: begin as u32, end: end as u32 } }
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c'));
            self.place += blank.count();
            if !self.rest().starts_with("//") {
                return;
            }
            self.place += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    pub(super) fn next(&mut self) -> Result<(Token, Range), SyntaxError> {
        self.skip_blank();
        let begin = self.place;
        let token = self.token()?;
        Ok((token, Range { begin: begin as u32, end: self.place as u32 }))
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let second = rest.as_bytes().get(1).copied().unwrap_or(0);
        if let Some(prefix) = string_prefix(rest) {
            return self.string(prefix);
        }
        if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
            return self.number();
        }
        if first == '_' || first.is_ascii_alphabetic() {
            let len = rest.bytes().take_while(|byte| *byte == b'_' || byte.is_ascii_alphanumeric()).count();
            self.place += len;
            return Ok(word(&rest[..len]));
        }
        if first == '`' {
            return self.quoted_name();
        }
        if let Some(sign) = sign(rest.as_bytes()[0], second) {
            self.place += sign.len();
            return Ok(Token::Sign(sign));
        }
        let begin = self.place;
        self.place += first.len_utf8();
        Err(self.error(format!("`{}` is not part of the language", first.escape_debug()), begin))
    }

    fn quoted_name(&mut self) -> Result<Token, SyntaxError> {
        let begin = self.place;
        let rest = &self.rest()[1..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.place += len + 1;
        if len == 0 || !rest[len..].starts_with('`') {
            return Err(self.error("a name in backticks ends with a backtick", begin));
        }
        self.place += 1;
        Ok(Token::Name(rest[..len].to_owned(), true))
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let begin = self.place;
        let rest = self.rest();
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let len = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
            self.place += 2 + len;
            let number = u64::from_str_radix(&digits[..len], 16);
            return self.integer(number.ok(), begin);
        }
        let (len, is_double) = number_len(rest.as_bytes());
        self.place += len;
        if !is_double {
            return self.integer(rest[..len].parse().ok(), begin);
        }
        let double: f64 = rest[..len].parse().map_err(|_| self.error("not a number", begin))?;
        if double.is_infinite() {
            return Err(self.error("a number too large for double", begin));
        }
        self.end_of_number(begin)?;
        Ok(Token::Literal(Literal::Double(double)))
    }

    fn integer(&mut self, number: Option<u64>, begin: usize) -> Result<Token, SyntaxError> {
        let is_uint = self.rest().starts_with(['u', 'U']);
        self.place += usize::from(is_uint);
        self.end_of_number(begin)?;
        let number = number.ok_or_else(|| self.error("an integer too large, or without digits", begin))?;
        Ok(if is_uint { Token::Literal(Literal::Uint(number)) } else { Token::Int(number) })
    }

    fn end_of_number(&mut self, begin: usize) -> Result<(), SyntaxError> {
        if self.rest().starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()) {
            self.place += 1;
            return Err(self.error("a number runs into a name", begin));
        }
        Ok(())
    }

    fn string(&mut self, prefix: Prefix) -> Result<Token, SyntaxError> {
        let begin = self.place;
        self.place += prefix.len;
        let rest = self.rest();
        let quote = &rest[..1];
        let quotes = if rest.starts_with(&quote.repeat(3)) { 3 } else { 1 };
        let delimiter = &rest[..quotes];
        let body = &rest[quotes..];
        let Some(len) = body_len(body, delimiter, prefix.raw) else {
            self.place = self.text.len();
            return Err(self.error("a string without an end", begin));
        };
        let body_begin = self.place + quotes;
        self.place = body_begin + len + quotes;
        let body = &body[..len];
        if quotes == 1 && body.contains(['\n', '\r']) {
            return Err(self.error("a line break in a string; use `\\n`, or three quotes", begin));
        }
        let bytes = if prefix.raw {
            body.as_bytes().to_vec()
        } else {
            unescape(body, prefix.bytes).map_err(|(place, message)| {
                let place = (body_begin + place) as u32;
                SyntaxError { message, range: Range { begin: place, end: place + 1 } }
            })?
        };
        if prefix.bytes {
            return Ok(Token::Literal(Literal::Bytes(bytes)));
        }
        let text = String::from_utf8(bytes).map_err(|_| self.error("a string that is not Unicode", begin))?;
        Ok(Token::Literal(Literal::String(text)))
    }
}

fn word(name: &str) -> Token {
    match name {
        "true" => Token::Literal(Literal::Bool(true)),
        "false" => Token::Literal(Literal::Bool(false)),
        "null" => Token::Literal(Literal::Null),
        "in" => Token::Sign("in"),
        _ => Token::Name(name.to_owned(), false),
    }
}

struct Prefix {
    len: usize,
    raw: bool,
    bytes: bool,
}

/// `r`, `b`, `br`, `rb` or nothing, before a quote.
fn string_prefix(rest: &str) -> Option<Prefix> {
    let mut prefix = Prefix { len: 0, raw: false, bytes: false };
    for byte in rest.bytes().take(3) {
        match byte {
            b'"' | b'\'' => return Some(prefix),
            b'r' | b'R' if !prefix.raw => prefix.raw = true,
            b'b' | b'B' if !prefix.bytes => prefix.bytes = true,
            _ => return None,
        }
        prefix.len += 1;
    }
    None
}

/// Bytes of the number, and whether it is a double.
fn number_len(bytes: &[u8]) -> (usize, bool) {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut len = digits(0);
    let mut is_double = false;
    if bytes.get(len) == Some(&b'.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
        is_double = true;
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(len + 1 + sign..).map_or(0, |_| digits(len + 1 + sign));
        if exponent > 0 {
            len += 1 + sign + exponent;
            is_double = true;
        }
    }
    (len, is_double)
}

/// Where the delimiter stands, escapes skipped.
fn body_len(body: &str, delimiter: &str, raw: bool) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if bytes[place..].starts_with(delimiter.as_bytes()) {
            return Some(place);
        }
        place += if bytes[place] == b'\\' && !raw { 2 } else { 1 };
    }
    None
}

/// The bytes that a body with escapes stands for.
fn unescape(body: &str, bytes: bool) -> Result<Vec<u8>, (usize, String)> {
    let mut out = Vec::with_capacity(body.len());
    let mut place = 0;
    while let Some(found) = body[place..].find('\\') {
        out.extend_from_slice(&body.as_bytes()[place..place + found]);
        let begin = place + found;
        place = begin + 1;
        let Some(sign) = body[place..].chars().next() else {
            return Err((begin, "an escape without an end".to_owned()));
        };
        place += sign.len_utf8();
        let (code, octet) = match sign {
            '0'..='3' => {
                place -= 1;
                (digits(body, &mut place, 3, 8).ok_or((begin, "an octal escape has three digits".to_owned()))?, true)
            }
            'x' | 'X' => (digits(body, &mut place, 2, 16).ok_or((begin, "`\\x` takes two digits".to_owned()))?, true),
            'u' if !bytes => {
                (digits(body, &mut place, 4, 16).ok_or((begin, "`\\u` takes four digits".to_owned()))?, false)
            }
            'U' if !bytes => {
                (digits(body, &mut place, 8, 16).ok_or((begin, "`\\U` takes eight digits".to_owned()))?, false)
            }
            _ => (simple_escape(sign).ok_or((begin, format!("no such escape: `\\{sign}`")))?, false),
        };
        if octet && bytes {
            out.push(code as u8);
            continue;
        }
        let code = char::from_u32(code).ok_or((begin, "an escape that is no Unicode code point".to_owned()))?;
        out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(&body.as_bytes()[place..]);
    Ok(out)
}

fn digits(body: &str, place: &mut usize, count: usize, radix: u32) -> Option<u32> {
    let digits = body.get(*place..*place + count)?;
    let code = u32::from_str_radix(digits, radix).ok().filter(|_| digits.as_bytes()[0] != b'+')?;
    *place += count;
    Some(code)
}

fn simple_escape(sign: char) -> Option<u32> {
    Some(match sign {
        '\\' | '?' | '"' | '\'' | '`' => sign as u32,
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        _ => return None,
    })
}

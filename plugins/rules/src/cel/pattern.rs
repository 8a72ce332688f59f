//! Regular expressions of RE2's syntax and meaning, on the `regex` crate. They are linear in the text, and bounded in size.

use regex::{Regex, RegexBuilder};

/// Longer ones are refused.
const PATTERN_BYTES_MAX: usize = 8192;

/// What one may take when compiled, and how much more than the least it then costs to match a byte.
const SIZES: [(usize, u64); 3] = [(1 << 14, 1), (1 << 16, 4), (1 << 18, 16)];

/// A match cannot be interrupted, so that bytes of the text times cost are bounded.
const COST_MAX: u64 = 1 << 22;

/// How deep groups may nest.
const NEST_MAX: u32 = 100;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    regex: Regex,
    cost: u64,
}

impl Matcher {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If it is none, or would take too much.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("a regular expression has at most {PATTERN_BYTES_MAX} bytes"));
        }
        let translated = translate(pattern);
        let mut last = String::new();
        for (size, cost) in SIZES {
            let mut builder = RegexBuilder::new(&translated);
            match builder.size_limit(size).dfa_size_limit(SIZES[2].0).nest_limit(NEST_MAX).build() {
                Ok(regex) => return Ok(Self { regex, cost }),
                Err(error @ regex::Error::CompiledTooBig(_)) => last = error.to_string(),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(last)
    }

    /// What a match of so many bytes costs; `None` if they are too many.
    pub(super) fn cost(&self, bytes: usize) -> Option<u64> {
        let cost = self.cost.saturating_mul(bytes as u64);
        (cost <= COST_MAX).then_some(1 + cost / 16)
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Where a translation is in a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Outside,
    /// Behind `[` or `[^`: a `]` would be a member.
    Begin,
    /// Behind a range, or a class by letter.
    Apart,
    /// Behind a member, at which a range may begin.
    Member,
    /// Behind a member and `-`.
    Range,
}

impl Class {
    fn with_member(self) -> Self {
        if self == Self::Range { Self::Apart } else { Self::Member }
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Where RE2 and the crate differ: `\d`, `\w`, `\s` and `\b` are ASCII in RE2, `\Q..\E` quotes, and classes have no operators.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars().peekable();
    let mut class = Class::Outside;
    while let Some(c) = rest.next() {
        class = match (class, c) {
            (_, '\\') => escape(class, &mut rest, &mut out),
            (Class::Outside, '[') => {
                out.push('[');
                out.extend(rest.next_if_eq(&'^'));
                Class::Begin
            }
            (Class::Outside, _) => {
                out.push(c);
                Class::Outside
            }
            (Class::Apart | Class::Member, ']') => {
                out.push(']');
                Class::Outside
            }
            (_, '[') if rest.peek() == Some(&':') => {
                named(&mut rest, &mut out);
                Class::Apart
            }
            (Class::Member, '-') if rest.peek() != Some(&']') => {
                out.push('-');
                Class::Range
            }
            (_, '[' | ']' | '-' | '&' | '~' | '^') => {
                out.push('\\');
                out.push(c);
                class.with_member()
            }
            _ => {
                out.push(c);
                class.with_member()
            }
        };
    }
    out
}

/// The rest of `[:alpha:]`.
fn named(rest: &mut Rest<'_>, out: &mut String) {
    out.push('[');
    for c in rest.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

/// What follows a backslash.
fn escape(class: Class, rest: &mut Rest<'_>, out: &mut String) -> Class {
    let in_class = class != Class::Outside;
    let Some(escaped) = rest.next() else {
        out.push('\\');
        return class;
    };
    match (escaped, in_class) {
        ('Q', false) => quote(rest, out),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('d', _) => set("0-9", in_class, out),
        ('w', _) => set("0-9A-Za-z_", in_class, out),
        ('s', _) => set("\\t\\n\\f\\r ", in_class, out),
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        _ => {
            // These are word boundaries for the crate.
            out.push_str(if matches!(escaped, '<' | '>') { "" } else { "\\" });
            out.push(escaped);
            return if in_class { class.with_member() } else { class };
        }
    }
    if in_class { Class::Apart } else { class }
}

fn set(members: &str, in_class: bool, out: &mut String) {
    if in_class {
        out.push_str(members);
    } else {
        out.push('[');
        out.push_str(members);
        out.push(']');
    }
}

fn quote(rest: &mut Rest<'_>, out: &mut String) {
    let mut quoted = String::new();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        quoted.push(c);
    }
    out.push_str(&regex::escape(&quoted));
}

#[cfg(test)]
mod tests;

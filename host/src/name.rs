//! Names, versions, digests and references to what is registered: parsed once, valid ever after. Looks nothing up.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use semver::VersionReq;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest name.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest reference: a name, `@` and a generous range.
const REFERENCE_BYTES_MAX: usize = 512;

/// Why a text is no name, version, digest or reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("`{0}` is no name: it takes 1 to 128 of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit")]
    Name(String),
    #[error("`{0}` is no label: it is a name that begins with a letter and is neither a version nor a range")]
    Label(String),
    #[error("`{0}` is no version: it takes three numbers such as 1.4.2, optionally with a suffix such as -rc.1")]
    Version(String),
    #[error("`{0}` is no version: it takes 1.4.2, or a part of it such as 1 or 1.4 for the newest match")]
    WireVersion(String),
    #[error("`{0}` is no digest: it takes sha256: and 64 of 0-9 and a-f")]
    Digest(String),
    #[error("`{text}` is no reference: after the @ it takes a version, a range such as ^1, sha256:.., or a label")]
    Selector { text: String },
    #[error("`{0}` is no kind of artifact; known are model, plugin, rules and pipeline")]
    Kind(String),
}

/// Text from outside, cut so that a message stays readable.
fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(80).flat_map(char::escape_default).collect();
    if text.chars().nth(80).is_some() {
        quoted.push_str("..");
    }
    quoted
}

/// Serialises as its text, deserialises by parsing, and tells its pattern to JSON Schema.
macro_rules! textual {
    ($type:ident, $pattern:expr) => {
        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

/// What a model, plugin, rule set or pipeline is called: `[a-z0-9][a-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

textual!(Name, "^[a-z0-9][a-z0-9._-]{0,127}$");

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = bytes.len() <= NAME_BYTES_MAX
            && bytes.first().is_some_and(|&first| is_plain(first))
            && bytes.iter().all(|&byte| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if valid { Ok(Self(text.to_owned())) } else { Err(NameError::Name(quoted(text))) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// An environment (`production`) or an alias (`champion`): a name that never reads as a version or range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Name);

textual!(Label, "^[a-z][a-z0-9._-]{0,127}$");

impl Label {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Label(quoted(text));
        let name: Name = text.parse().map_err(|_| refused())?;
        // `x` and `x.1` are wildcards of semver ranges.
        let valid = text.starts_with(|first: char| first.is_ascii_lowercase()) && VersionReq::parse(text).is_err();
        if valid { Ok(Self(name)) } else { Err(refused()) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A semantic version. Ordered as semantic versions are, so that the newest is the greatest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

textual!(Version, r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$");

impl Version {
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }
}

impl Deref for Version {
    type Target = semver::Version;

    fn deref(&self) -> &semver::Version {
        &self.0
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let version = (text.len() <= NAME_BYTES_MAX).then(|| semver::Version::parse(text).ok()).flatten();
        version.map(Self).ok_or_else(|| NameError::Version(quoted(text)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A version as clients write it: the full one, or the first one or two numbers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireVersion {
    Full(Version),
    Prefix { major: u64, minor: Option<u64> },
}

impl WireVersion {
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Full(full) => full == version,
            Self::Prefix { major, minor } => {
                version.major == *major && minor.is_none_or(|minor| version.minor == minor)
            }
        }
    }

    /// The newest of `versions` that matches.
    pub fn newest<'a>(&self, versions: impl IntoIterator<Item = &'a Version>) -> Option<&'a Version> {
        versions.into_iter().filter(|version| self.matches(version)).max()
    }
}

impl FromStr for WireVersion {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Full(version));
        }
        let number = |digits: &str| -> Option<u64> {
            let valid = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            if valid { digits.parse().ok() } else { None }
        };
        let prefix = match text.split_once('.') {
            None => number(text).map(|major| Self::Prefix { major, minor: None }),
            Some((major, minor)) => {
                number(major).zip(number(minor)).map(|(major, minor)| Self::Prefix { major, minor: Some(minor) })
            }
        };
        prefix.ok_or_else(|| NameError::WireVersion(quoted(text)))
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(version) => fmt::Display::fmt(version, formatter),
            Self::Prefix { major, minor: None } => write!(formatter, "{major}"),
            Self::Prefix { major, minor: Some(minor) } => write!(formatter, "{major}.{minor}"),
        }
    }
}

/// A SHA-256, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

textual!(Digest, "^sha256:[0-9a-f]{64}$");

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that somebody else has computed, as a hasher gives it.
    pub fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 64 digits alone, as in file names and in the registry's tables.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        }
        hex
    }

    /// From the 64 digits alone.
    ///
    /// # Errors
    /// `Digest` where it is anything else; upper case is refused, so that a digest has one spelling.
    pub fn from_hex(hex: &str) -> Result<Self, NameError> {
        let refused = || NameError::Digest(quoted(hex));
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        if hex.len() != 64 {
            return Err(refused());
        }
        let mut raw = [0; 32];
        for (byte, pair) in raw.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(refused)?;
            *byte = u8::try_from(high * 16 + low).expect("two hexadecimal digits are one byte");
        }
        Ok(Self(raw))
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| NameError::Digest(quoted(text)))?;
        Self::from_hex(hex).map_err(|_| NameError::Digest(quoted(text)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Model,
    Plugin,
    Rules,
    Pipeline,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Model, Self::Plugin, Self::Rules, Self::Pipeline];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Plugin => "plugin",
            Self::Rules => "rules",
            Self::Pipeline => "pipeline",
        }
    }
}

impl FromStr for Kind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| NameError::Kind(quoted(text)))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is asked for by name: `image@^1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    pub name: Name,
    pub selector: Selector,
}

textual!(Reference, "^[a-z0-9][a-z0-9._-]{0,127}(@.+)?$");

/// Which version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The newest version that is not archived.
    Newest,
    Exact(Version),
    /// The newest version in the range that is not archived.
    Range(VersionReq),
    Digest(Digest),
    Label(Label),
}

impl Selector {
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("sha256:") {
            return text.parse().ok().map(Self::Digest);
        }
        if let Ok(version) = text.parse() {
            return Some(Self::Exact(version));
        }
        // An empty range would be `*`; who writes `name@` has forgotten something.
        if let Ok(range) = VersionReq::parse(text)
            && !text.trim().is_empty()
        {
            return Some(Self::Range(range));
        }
        text.parse().ok().map(Self::Label)
    }
}

impl Reference {
    /// The newest version of `name`.
    pub fn newest(name: Name) -> Self {
        Self { name, selector: Selector::Newest }
    }

    /// This version of `name` and no other.
    pub fn exact(name: Name, version: Version) -> Self {
        Self { name, selector: Selector::Exact(version) }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Selector { text: quoted(text) };
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(refused());
        }
        let Some((name, selector)) = text.split_once('@') else {
            return Ok(Self::newest(text.parse()?));
        };
        Ok(Self { name: name.parse()?, selector: Selector::parse(selector).ok_or_else(refused)? })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, selector } = self;
        match selector {
            Selector::Newest => write!(formatter, "{name}"),
            Selector::Exact(version) => write!(formatter, "{name}@{version}"),
            Selector::Range(range) => write!(formatter, "{name}@{range}"),
            Selector::Digest(digest) => write!(formatter, "{name}@{digest}"),
            Selector::Label(label) => write!(formatter, "{name}@{label}"),
        }
    }
}

#[cfg(test)]
mod tests;

//! What a model file is by its bytes, and which files of external data it asks for. Loads no model.
//!
//! ONNX is protobuf without a magic number: the fields that can lead to a tensor are walked, all others are skipped, so that
//! nothing is held in memory but the names. Model bytes are not trusted: lengths, depth and counts are bounded.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

const DEPTH_MAX: u32 = 64;
const EXTERNAL_FILES_MAX: usize = 4096;
const LOCATION_BYTES_MAX: u64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFormat {
    Onnx,
}

impl ModelFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
        }
    }
}

/// Why a file is no model that can be registered.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("read model `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is no ONNX model: {reason}", path.display())]
    NotOnnx { path: PathBuf, reason: &'static str, hint: &'static str },
    #[error("`{}` is no ONNX model: it is broken at byte {offset}", path.display())]
    Broken { path: PathBuf, offset: u64 },
    #[error("model `{}` is nested deeper than {DEPTH_MAX} levels", path.display())]
    TooDeep { path: PathBuf },
    #[error("model `{}` names more than {EXTERNAL_FILES_MAX} files of external data", path.display())]
    TooManyFiles { path: PathBuf },
    #[error("model `{}` names external data `{location}`: {reason}", path.display())]
    ExternalData { path: PathBuf, location: String, reason: &'static str },
}

impl FormatError {
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotOnnx { hint, .. } => Some(hint),
            Self::Broken { .. } => Some("the file may be cut off; fetch or export it again"),
            Self::ExternalData { .. } => Some("save the model with its external data beside it, or in one file"),
            Self::Read { .. } | Self::TooDeep { .. } | Self::TooManyFiles { .. } => None,
        }
    }
}

/// A model file and what must lie beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    pub format: ModelFormat,
    pub main: PathBuf,
    /// Relative to the folder of the main file: plain names joined by `/`, without `..`, sorted, each once.
    pub external: Vec<String>,
}

/// Recognises a model by its bytes and finds its external data, which is not opened.
///
/// # Errors
/// A file that is no ONNX, or external data that lies outside the model's folder, behind a link, or nowhere.
pub fn inspect(path: &Path) -> Result<ModelFiles, FormatError> {
    let failed = |source| FormatError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut walker = Walker::new(file);
    if let Some((reason, hint)) = recognise_other(walker.reader.fill_buf().map_err(failed)?) {
        return Err(FormatError::NotOnnx { path: path.to_owned(), reason, hint });
    }
    walker.walk(Message::Model, length, 0).map_err(|fault| match fault {
        Fault::Io(source) => failed(source),
        Fault::Broken => FormatError::Broken { path: path.to_owned(), offset: walker.position },
        Fault::TooDeep => FormatError::TooDeep { path: path.to_owned() },
        Fault::TooManyFiles => FormatError::TooManyFiles { path: path.to_owned() },
    })?;
    if !(walker.has_ir_version && walker.has_graph) {
        let reason = "it has no ir_version or no graph";
        return Err(FormatError::NotOnnx { path: path.to_owned(), reason, hint: EXPORT_HINT });
    }
    let mut external = BTreeSet::new();
    for location in &walker.locations {
        external.insert(check_external(path, location)?);
    }
    Ok(ModelFiles { format: ModelFormat::Onnx, main: path.to_owned(), external: external.into_iter().collect() })
}

const EXPORT_HINT: &str = "export the model to ONNX, as PyTorch, TensorFlow and scikit-learn can";

/// Files that are often taken for a model: what they are, and what to do.
fn recognise_other(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if start.is_empty() {
        return Some(("it is empty", EXPORT_HINT));
    }
    if start.starts_with(b"version https://git-lfs") {
        return Some(("it is a pointer of Git LFS", "fetch the file itself with `git lfs pull`"));
    }
    if start.get(4..8) == Some(b"ORTM") {
        return Some(("it is in the ORT format", "register the ONNX file that it was made from"));
    }
    if start.starts_with(b"ftrt") {
        return Some(("it is a TensorRT plan, which is native code", "register the ONNX file that it was made from"));
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02") {
        return Some(("it is a ZIP archive or a pickle, such as PyTorch saves", EXPORT_HINT));
    }
    None
}

/// The location in one spelling, if it is a plain file inside the model's folder.
fn check_external(model: &Path, location: &str) -> Result<String, FormatError> {
    let refused = |reason| FormatError::ExternalData {
        path: model.to_owned(),
        location: location.escape_debug().to_string(),
        reason,
    };
    if location.contains(['\\', '\0', ':', '\n']) {
        return Err(refused("such a name is not portable"));
    }
    let mut parts = Vec::new();
    let mut path = model.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(part) => {
                path.push(part);
                parts.push(part.to_str().expect("a part of a string is a string"));
                let metadata =
                    path.symlink_metadata().map_err(|_| refused("there is no such file beside the model"))?;
                if metadata.is_symlink() {
                    return Err(refused("it is a symbolic link, which may lead anywhere"));
                }
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refused("it lies outside the model's folder"));
            }
        }
    }
    if parts.is_empty() || !path.is_file() {
        return Err(refused("it is no file"));
    }
    Ok(parts.join("/"))
}

/// The messages of ONNX through which a tensor can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Training,
    SparseTensor,
    Tensor,
    /// A pair of `external_data`.
    Entry,
}

impl Message {
    /// The message in this field, where one leads on; numbers as in `onnx.proto`.
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

enum Fault {
    Io(io::Error),
    Broken,
    TooDeep,
    TooManyFiles,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Broken } else { Self::Io(error) }
    }
}

/// Walks protobuf fields from the front to the back; each byte is read or skipped once.
struct Walker<R> {
    reader: BufReader<R>,
    position: u64,
    has_ir_version: bool,
    has_graph: bool,
    locations: BTreeSet<String>,
}

impl<R: Read + Seek> Walker<R> {
    fn new(reader: R) -> Self {
        let reader = BufReader::with_capacity(64 << 10, reader);
        Self { reader, position: 0, has_ir_version: false, has_graph: false, locations: BTreeSet::new() }
    }

    fn walk(&mut self, message: Message, end: u64, depth: u32) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        let (mut key, mut value) = (None, None);
        while self.position < end {
            let tag = self.varint(end)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => {
                    self.varint(end)?;
                    self.has_ir_version |= message == Message::Model && field == 1;
                }
                1 => self.skip(8, end)?,
                5 => self.skip(4, end)?,
                2 => {
                    let length = self.varint(end)?;
                    let inner_end = self.position.checked_add(length).filter(|&at| at <= end).ok_or(Fault::Broken)?;
                    match (message.child(field), message, field) {
                        (Some(child), _, _) => {
                            self.has_graph |= message == Message::Model && child == Message::Graph;
                            self.walk(child, inner_end, depth + 1)?;
                        }
                        (None, Message::Entry, 1) => key = self.text(length)?,
                        (None, Message::Entry, 2) => value = self.text(length)?,
                        _ => self.skip(length, end)?,
                    }
                }
                _ => return Err(Fault::Broken),
            }
            if field == 0 {
                return Err(Fault::Broken);
            }
        }
        if let (Some("location"), Some(location)) = (key.as_deref(), value) {
            self.locations.insert(location);
            if self.locations.len() > EXTERNAL_FILES_MAX {
                return Err(Fault::TooManyFiles);
            }
        }
        Ok(())
    }

    fn varint(&mut self, end: u64) -> Result<u64, Fault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            if self.position >= end {
                return Err(Fault::Broken);
            }
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            self.position += 1;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Fault::Broken)
    }

    fn skip(&mut self, length: u64, end: u64) -> Result<(), Fault> {
        let target = self.position.checked_add(length).filter(|&at| at <= end).ok_or(Fault::Broken)?;
        self.reader.seek_relative(i64::try_from(length).map_err(|_| Fault::Broken)?)?;
        self.position = target;
        Ok(())
    }

    /// A short text; a long one is no location that could be meant.
    fn text(&mut self, length: u64) -> Result<Option<String>, Fault> {
        if length > LOCATION_BYTES_MAX {
            return Err(Fault::Broken);
        }
        let mut bytes = vec![0; usize::try_from(length).expect("bounded above")];
        self.reader.read_exact(&mut bytes)?;
        self.position += length;
        String::from_utf8(bytes).map(Some).map_err(|_| Fault::Broken)
    }
}

#[cfg(test)]
pub(super) mod tests;

//! What the bytes of an `.onnx` file say before ONNX Runtime sees them, and a copy with other declarations. Runs nothing.
//!
//! Why read them ourselves: declared shapes can be wrong, and ONNX Runtime refuses other ones; types that cannot be
//! served and data outside of the model's folder are refused before native code meets them.

use std::collections::{BTreeMap, BTreeSet};

use super::protobuf::{self, Field, Malformed};
use crate::backend::TensorOverride;
use crate::tensor::Datatype;

/// Graphs inside graphs, as in loops. ONNX Runtime itself would use a lot of stack beyond this.
const DEPTH_MAX: usize = 64;

/// An input or an output, as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tensor {
        element: u64,
        /// A dimension of -1 is variable. `None`: of any rank.
        shape: Option<Vec<i64>>,
    },
    /// Sequences, maps and the like: what it is called.
    Other(&'static str),
    /// Not declared; ONNX Runtime infers it.
    Unknown,
}

/// What the file says of itself.
#[derive(Debug, Default)]
pub(super) struct OnnxFile {
    /// Without those that have an initializer.
    pub(super) inputs: Vec<Declared>,
    pub(super) outputs: Vec<Declared>,
    pub(super) metadata: BTreeMap<String, String>,
    /// The files beside the model that hold its weights, as written: not to be trusted.
    pub(super) external: BTreeSet<String>,
    ir_version: u64,
    has_graph: bool,
    initializers: BTreeSet<String>,
    /// Inputs with an initializer, which a client could override: ONNX Runtime cannot fold what may change.
    overridable: BTreeSet<String>,
}

impl OnnxFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.get(4..8) == Some(b"ORTM") {
            return Err(Malformed("it is in the `.ort` format; only `.onnx` is read"));
        }
        let mut file = Self::default();
        let mut custom = BTreeMap::new();
        for field in protobuf::fields(bytes) {
            let field = field?;
            match field.number {
                1 => file.ir_version = field.varint()?,
                2 => file.say("onnx.producer", field.text()?),
                3 => file.say("onnx.producer_version", field.text()?),
                4 => file.say("onnx.domain", field.text()?),
                // PyTorch writes the greatest number where it means none.
                5 if field.varint()? != i64::MAX as u64 => file.say("onnx.model_version", field.varint()?.to_string()),
                6 => file.say("onnx.description", field.text()?),
                7 => file.graph(field.bytes()?)?,
                8 => file.opset(field.bytes()?)?,
                14 => {
                    let (key, value) = pair(field.bytes()?)?;
                    custom.insert(key, value);
                }
                25 => file.nested(field.bytes()?, 7, 0)?,
                _ => {}
            }
        }
        if !file.has_graph {
            return Err(Malformed("it has no graph"));
        }
        custom.append(&mut file.metadata);
        file.metadata = custom;
        Ok(file)
    }

    /// The same model with these declarations instead of its own, and with initializers that nothing can override;
    /// `None` if that changes nothing. Where an input's shape changes, shapes that followed from it are left out.
    pub(super) fn rewritten(
        &self,
        bytes: &[u8],
        inputs: &BTreeMap<String, TensorOverride>,
        outputs: &BTreeMap<String, TensorOverride>,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        let differs = |declared: &Declared| changes(declared, inputs.get(&declared.name));
        let reshaped = self.inputs.iter().any(differs);
        let changed = reshaped || self.outputs.iter().any(|declared| changes(declared, outputs.get(&declared.name)));
        let drop_overridable = self.ir_version >= 4 && !self.overridable.is_empty();
        if !changed && !drop_overridable {
            return Ok(None);
        }
        let mut copy = Vec::with_capacity(bytes.len());
        for field in protobuf::fields(bytes) {
            let field = field?;
            if field.number != 7 {
                copy.extend_from_slice(field.raw);
                continue;
            }
            let mut graph = Vec::with_capacity(field.bytes()?.len());
            for part in protobuf::fields(field.bytes()?) {
                let part = part?;
                let rewrite = match part.number {
                    11 if drop_overridable && self.overridable.contains(&declared(part.bytes()?)?.name) => continue,
                    11 => rewrite(&part, inputs, false)?,
                    12 => rewrite(&part, outputs, reshaped)?,
                    13 => rewrite(&part, &BTreeMap::new(), reshaped)?,
                    _ => None,
                };
                match rewrite {
                    Some(value_info) => protobuf::write_bytes(&mut graph, part.number, &value_info),
                    None => graph.extend_from_slice(part.raw),
                }
            }
            protobuf::write_bytes(&mut copy, 7, &graph);
        }
        Ok(Some(copy))
    }

    fn say(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.metadata.insert(key.to_owned(), value);
        }
    }

    fn opset(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let (mut domain, mut version) = (String::new(), 0);
        for field in protobuf::fields(bytes) {
            let field = field?;
            match field.number {
                1 => domain = field.text()?,
                2 => version = field.varint()?,
                _ => {}
            }
        }
        let key = if domain.is_empty() { "onnx.opset".to_owned() } else { format!("onnx.opset.{domain}") };
        self.say(&key, version.to_string());
        Ok(())
    }

    fn graph(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.has_graph = true;
        for field in protobuf::fields(bytes) {
            let field = field?;
            match field.number {
                2 => self.say("onnx.graph", field.text()?),
                5 => {
                    let name = self.tensor(field.bytes()?)?;
                    self.initializers.insert(name);
                }
                11 => self.inputs.push(declared(field.bytes()?)?),
                12 => self.outputs.push(declared(field.bytes()?)?),
                _ => {}
            }
        }
        self.sparse_and_nodes(bytes, 0)?;
        let (overridable, inputs): (Vec<_>, Vec<_>) = std::mem::take(&mut self.inputs)
            .into_iter()
            .partition(|declared| self.initializers.contains(&declared.name));
        self.inputs = inputs;
        self.overridable.extend(overridable.into_iter().map(|declared| declared.name));
        Ok(())
    }

    fn sparse_and_nodes(&mut self, graph: &[u8], depth: usize) -> Result<(), Malformed> {
        for field in protobuf::fields(graph) {
            let field = field?;
            if field.number == 15 {
                self.sparse(field.bytes()?)?;
            }
        }
        self.nested(graph, 1, depth)
    }

    /// Looks for tensors in the attributes of the nodes that are in field `nodes` of a graph or a function.
    fn nested(&mut self, bytes: &[u8], nodes: u32, depth: usize) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed("its graphs are nested too deeply"));
        }
        for node in protobuf::fields(bytes) {
            let node = node?;
            if node.number != nodes {
                continue;
            }
            for attribute in protobuf::fields(node.bytes()?) {
                let attribute = attribute?;
                if attribute.number == 5 {
                    self.attribute(attribute.bytes()?, depth)?;
                }
            }
        }
        Ok(())
    }

    fn attribute(&mut self, bytes: &[u8], depth: usize) -> Result<(), Malformed> {
        for field in protobuf::fields(bytes) {
            let field = field?;
            match field.number {
                5 | 10 => {
                    self.tensor(field.bytes()?)?;
                }
                22 | 23 => self.sparse(field.bytes()?)?,
                6 | 11 => {
                    let graph = field.bytes()?;
                    for part in protobuf::fields(graph) {
                        let part = part?;
                        if part.number == 5 {
                            self.tensor(part.bytes()?)?;
                        }
                    }
                    self.sparse_and_nodes(graph, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sparse(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for field in protobuf::fields(bytes) {
            let field = field?;
            if matches!(field.number, 1 | 2) {
                self.tensor(field.bytes()?)?;
            }
        }
        Ok(())
    }

    /// Notes where its data is if that is not in the model; gives its name.
    fn tensor(&mut self, bytes: &[u8]) -> Result<String, Malformed> {
        let mut name = String::new();
        for field in protobuf::fields(bytes) {
            let field = field?;
            match field.number {
                8 => name = field.text()?,
                13 => {
                    let (key, value) = pair(field.bytes()?)?;
                    if key == "location" {
                        self.external.insert(value);
                    }
                }
                _ => {}
            }
        }
        Ok(name)
    }
}

/// The number that ONNX gives a datatype.
pub(super) fn element(datatype: Datatype) -> u64 {
    match datatype {
        Datatype::Fp32 => 1,
        Datatype::Uint8 => 2,
        Datatype::Int8 => 3,
        Datatype::Uint16 => 4,
        Datatype::Int16 => 5,
        Datatype::Int32 => 6,
        Datatype::Int64 => 7,
        Datatype::Bytes => 8,
        Datatype::Bool => 9,
        Datatype::Fp16 => 10,
        Datatype::Fp64 => 11,
        Datatype::Uint32 => 12,
        Datatype::Uint64 => 13,
        Datatype::Bf16 => 16,
    }
}

/// The datatype that ONNX means by this number, where OIP has it.
pub(super) fn datatype(number: u64) -> Option<Datatype> {
    Datatype::ALL.into_iter().find(|&datatype| element(datatype) == number)
}

/// Whether an override says anything else than the file.
fn changes(declared: &Declared, wanted: Option<&TensorOverride>) -> bool {
    let (Some(wanted), Kind::Tensor { element: number, shape }) = (wanted, &declared.kind) else { return false };
    wanted.datatype.is_some_and(|datatype| element(datatype) != *number)
        || wanted.shape.as_ref().is_some_and(|wanted| Some(wanted) != shape.as_ref())
}

/// A `ValueInfoProto` with what is wanted of it; `None` if it stays as it is.
fn rewrite(
    field: &Field<'_>,
    wanted: &BTreeMap<String, TensorOverride>,
    without_shape: bool,
) -> Result<Option<Vec<u8>>, Malformed> {
    let declared = declared(field.bytes()?)?;
    let wanted = wanted.get(&declared.name);
    let Kind::Tensor { element: number, shape } = &declared.kind else { return Ok(None) };
    let shape = match wanted.and_then(|wanted| wanted.shape.as_ref()) {
        Some(wanted) => Some(wanted),
        None if without_shape => None,
        None if !changes(&declared, wanted) => return Ok(None),
        None => shape.as_ref(),
    };
    let number = wanted.and_then(|wanted| wanted.datatype).map_or(*number, element);
    let mut tensor = Vec::new();
    protobuf::write_varint(&mut tensor, 1, number);
    if let Some(shape) = shape {
        let mut dimensions = Vec::new();
        for &dimension in shape {
            let mut value = Vec::new();
            if let Ok(fixed) = u64::try_from(dimension) {
                protobuf::write_varint(&mut value, 1, fixed);
            }
            protobuf::write_bytes(&mut dimensions, 1, &value);
        }
        protobuf::write_bytes(&mut tensor, 2, &dimensions);
    }
    let (mut kind, mut value_info) = (Vec::new(), Vec::new());
    protobuf::write_bytes(&mut kind, 1, &tensor);
    protobuf::write_bytes(&mut value_info, 1, declared.name.as_bytes());
    protobuf::write_bytes(&mut value_info, 2, &kind);
    Ok(Some(value_info))
}

fn declared(value_info: &[u8]) -> Result<Declared, Malformed> {
    let mut declared = Declared { name: String::new(), kind: Kind::Unknown };
    for field in protobuf::fields(value_info) {
        let field = field?;
        match field.number {
            1 => declared.name = field.text()?,
            2 => declared.kind = kind(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(declared)
}

fn kind(bytes: &[u8]) -> Result<Kind, Malformed> {
    let mut kind = Kind::Unknown;
    for field in protobuf::fields(bytes) {
        let field = field?;
        kind = match field.number {
            1 => tensor_kind(field.bytes()?)?,
            4 => Kind::Other("a sequence"),
            5 => Kind::Other("a map"),
            7 => Kind::Other("opaque"),
            8 => Kind::Other("a sparse tensor"),
            9 => Kind::Other("optional"),
            _ => continue,
        };
    }
    Ok(kind)
}

fn tensor_kind(bytes: &[u8]) -> Result<Kind, Malformed> {
    let (mut element, mut shape) = (0, None);
    for field in protobuf::fields(bytes) {
        let field = field?;
        match field.number {
            1 => element = field.varint()?,
            2 => {
                let mut dimensions = Vec::new();
                for dimension in protobuf::fields(field.bytes()?) {
                    let dimension = dimension?;
                    if dimension.number == 1 {
                        dimensions.push(fixed_dimension(dimension.bytes()?)?);
                    }
                }
                shape = Some(dimensions);
            }
            _ => {}
        }
    }
    Ok(Kind::Tensor { element, shape })
}

fn fixed_dimension(bytes: &[u8]) -> Result<i64, Malformed> {
    let mut dimension = -1;
    for field in protobuf::fields(bytes) {
        let field = field?;
        if field.number == 1 {
            dimension = field.varint()?.cast_signed().max(-1);
        }
    }
    Ok(dimension)
}

/// A `StringStringEntryProto`.
fn pair(bytes: &[u8]) -> Result<(String, String), Malformed> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in protobuf::fields(bytes) {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

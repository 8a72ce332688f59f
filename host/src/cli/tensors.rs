//! Tensors as people give and read them: `NAME=JSON`, `NAME=@file`, and values cut where there are many. Runs nothing.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;

use super::failure::WrongCall;
use crate::infer::Parameter;
use crate::pipeline::values::{self, element_text, flat, nested_shape};
use crate::tensor::{Datatype, Signature, Tensor, TensorSpec, element_count};

/// The largest file that is read as one input.
const INPUT_BYTES_MAX: u64 = 1 << 30;

/// How many values of a tensor are shown.
const VALUES_SHOWN: usize = 12;

/// One `--input` as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    text: String,
}

impl Input {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, text) = split.ok_or("it takes NAME=JSON or NAME=@FILE")?;
        Ok(Self { name: name.to_owned(), text: text.to_owned() })
    }

    /// The tensor that this means to an input of this signature.
    pub(super) fn tensor(&self, signature: &Signature) -> anyhow::Result<Tensor> {
        let spec = signature.inputs.iter().find(|spec| spec.name == self.name);
        let spec = spec.ok_or_else(|| {
            let known: Vec<String> = signature.inputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            WrongCall::new(format!("there is no input `{}`", self.name), format!("there are {}", known.join(", ")))
        })?;
        let tensor = match self.text.strip_prefix('@') {
            Some(path) => of_file(spec, Path::new(path)),
            None => {
                let value = serde_json::from_str(&self.text).map_err(|error| {
                    let hint = "text is written in quotes: --input 'name=\"text\"'; a file with @: --input name=@file";
                    WrongCall::new(format!("the value of input `{}` is not JSON: {error}", self.name), hint)
                })?;
                of_json(spec, &value)
            }
        };
        tensor.with_context(|| format!("input `{}`", self.name))
    }
}

fn of_file(spec: &TensorSpec, path: &Path) -> anyhow::Result<Tensor> {
    let shown = path.display();
    let size_bytes = fs::metadata(path).with_context(|| format!("read `{shown}`"))?.len();
    if size_bytes > INPUT_BYTES_MAX {
        let message = format!("`{shown}` is {size_bytes} bytes, more than the {INPUT_BYTES_MAX} that are read");
        return Err(WrongCall::new(message, "send it in parts, or to a server").into());
    }
    let bytes = fs::read(path).with_context(|| format!("read `{shown}`"))?;
    let Some(datatype) = spec.datatype else {
        let message = "its datatype is not fixed, so that a file's bytes say nothing";
        return Err(WrongCall::new(message, "give it as JSON").into());
    };
    if datatype == Datatype::Bytes {
        let shape = single(spec.shape.as_deref().unwrap_or(&[1]))?;
        return Ok(Tensor::from_elements(&shape, &[bytes])?);
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        let value = serde_json::from_slice(&bytes).with_context(|| format!("read `{shown}` as JSON"))?;
        return of_json(spec, &value);
    }
    let width = datatype.width().unwrap_or(1);
    let shape = resolved(spec.shape.as_deref(), bytes.len() as u64 / width as u64)?;
    Ok(Tensor::from_shared(datatype, &shape, Bytes::from(bytes))?)
}

/// The shape of one element, where dimensions that vary are 1.
fn single(declared: &[i64]) -> anyhow::Result<Vec<u64>> {
    let shape: Vec<u64> = declared.iter().map(|&dimension| u64::try_from(dimension).unwrap_or(1)).collect();
    if element_count(&shape)? == 1 {
        return Ok(shape);
    }
    let message = format!("a file is one element, and it takes {declared:?}");
    Err(WrongCall::new(message, "give its elements as a JSON list of texts").into())
}

/// The declared shape, with the one dimension that varies found from the number of elements.
fn resolved(declared: Option<&[i64]>, count: u64) -> anyhow::Result<Vec<u64>> {
    let unclear = || {
        let shape = declared.map_or_else(|| "any shape".to_owned(), |shape| format!("{shape:?}"));
        let message = format!("its shape cannot be seen from {count} values: it takes {shape}");
        WrongCall::new(message, "give nested lists as JSON: --input 'name=[[1, 2], [3, 4]]', or name=@file.json")
    };
    let declared = declared.ok_or_else(unclear)?;
    let mut known = declared.iter().filter_map(|&dimension| u64::try_from(dimension).ok());
    let known: u64 = known.try_fold(1, u64::checked_mul).ok_or_else(unclear)?;
    let is_free = |dimension: &&i64| **dimension < 0;
    match declared.iter().filter(is_free).count() {
        0 => {}
        1 if known > 0 && count.is_multiple_of(known) => {}
        _ => return Err(unclear().into()),
    }
    let free = count.checked_div(known).unwrap_or(0);
    Ok(declared.iter().map(|&dimension| u64::try_from(dimension).unwrap_or(free)).collect())
}

/// Nested lists say their shape; a flat list takes the declared one if it fits. An object says all: `{datatype, shape, data}`.
fn of_json(spec: &TensorSpec, value: &Value) -> anyhow::Result<Tensor> {
    if let Value::Object(members) = value {
        let said = members.get("datatype").and_then(Value::as_str).map(str::parse::<Datatype>).transpose()?;
        let data = members.get("data").unwrap_or(&Value::Null);
        let shape: Option<Vec<u64>> = members
            .get("shape")
            .map(|shape| serde_json::from_value(shape.clone()))
            .transpose()
            .context("read its shape")?;
        let shape = match shape {
            Some(shape) => shape,
            None => nested_shape(data)?,
        };
        return Ok(values::tensor(datatype(said.or(spec.datatype))?, &shape, data)?);
    }
    let nested = nested_shape(value)?;
    let has_rank = spec.shape.as_ref().is_none_or(|declared| declared.len() == nested.len());
    let shape = match &spec.shape {
        Some(declared) if !has_rank => resolved(Some(declared), flat(value).len() as u64).unwrap_or(nested),
        _ => nested,
    };
    Ok(values::tensor(datatype(spec.datatype)?, &shape, value)?)
}

fn datatype(known: Option<Datatype>) -> anyhow::Result<Datatype> {
    known.ok_or_else(|| {
        let hint = r#"say it: --input 'name={"datatype": "FP32", "data": [1, 2]}'"#;
        WrongCall::new("its datatype is not fixed", hint).into()
    })
}

/// `true`, a number, or else text.
pub(super) fn parameter(text: &str) -> Parameter {
    match serde_json::from_str(text) {
        Ok(Value::Bool(value)) => Parameter::Bool(value),
        Ok(Value::Number(number)) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Parameter::Int64(value),
            (_, Some(value), _) => Parameter::Uint64(value),
            (_, _, Some(value)) => Parameter::Double(value),
            _ => Parameter::String(text.to_owned()),
        },
        Ok(Value::String(text)) => Parameter::String(text),
        _ => Parameter::String(text.to_owned()),
    }
}

/// Name, datatype, shape and the first values, as the cells of a row.
pub(super) fn row(name: &str, tensor: &Tensor) -> [String; 4] {
    let count = tensor.count();
    let mut shown: Vec<String> = (0..count.min(VALUES_SHOWN)).map(|index| element_text(tensor, index)).collect();
    if count > VALUES_SHOWN {
        shown.push(format!(".. ({count} values)"));
    }
    [name.to_owned(), tensor.datatype().name().to_owned(), format!("{:?}", tensor.shape()), shown.join(", ")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(datatype: Datatype, shape: &[i64]) -> TensorSpec {
        TensorSpec::new("x", datatype, shape)
    }

    #[test]
    fn json_takes_the_declared_datatype_and_its_own_or_the_declared_shape() {
        let check = |shape: &[i64], value: Value, expected: &[u64]| {
            assert_eq!(of_json(&spec(Datatype::Fp32, shape), &value).unwrap().shape(), expected, "{value}");
        };
        check(&[-1, 2], json!([[1, 2], [3, 4]]), &[2, 2]);
        check(&[-1, 2], json!([1, 2, 3, 4]), &[2, 2]);
        check(&[1], json!(5), &[1]);
        check(&[], json!(5), &[]);
        check(&[-1, -1], json!([1, 2]), &[2]);
        check(&[-1], json!({"shape": [2, 1], "data": [1, 2]}), &[2, 1]);
    }

    #[test]
    fn a_file_is_one_text_or_raw_values_or_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        fs::write(&path, [1, 0, 2, 0]).unwrap();
        assert_eq!(of_file(&spec(Datatype::Bytes, &[-1]), &path).unwrap().element(0).unwrap(), [1, 0, 2, 0]);
        let raw = of_file(&spec(Datatype::Uint16, &[1, -1]), &path).unwrap();
        assert_eq!((raw.shape(), raw.as_slice::<u16>().unwrap()), (&[1, 2][..], &[1, 2][..]));
        assert!(of_file(&spec(Datatype::Uint16, &[-1, -1]), &path).is_err());
        assert!(of_file(&spec(Datatype::Bytes, &[2]), &path).is_err());
        let json = folder.path().join("x.json");
        fs::write(&json, "[[1.5], [2]]").unwrap();
        assert_eq!(of_file(&spec(Datatype::Fp32, &[-1, 1]), &json).unwrap().as_slice::<f32>().unwrap(), [1.5, 2.0]);
    }

    #[test]
    fn parameters_are_what_they_look_like() {
        let check = |text, expected| assert_eq!(parameter(text), expected);
        check("true", Parameter::Bool(true));
        check("-3", Parameter::Int64(-3));
        check("0.5", Parameter::Double(0.5));
        check("portrait", Parameter::String("portrait".to_owned()));
        check("\"5\"", Parameter::String("5".to_owned()));
    }

    #[test]
    fn many_values_are_cut() {
        let tensor = Tensor::from_slice(&[20], &[7_i32; 20]).unwrap();
        assert_eq!(row("x", &tensor)[3], format!("{}.. (20 values)", "7, ".repeat(12)));
    }
}

//! A bundle: a pipeline with every artifact pinned, in one canonical JSON text whose digest names it. Stores nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::RegistryError;
use super::store::hex;
use crate::name::{Digest, Kind, Name, NameError, Version};

const SCHEMA: &str = "bundle/v1";
const BUNDLE_BYTES_MAX: usize = 16 << 20;
/// Beyond this, RFC 8785 rounds whole numbers.
const WHOLE_NUMBER_MAX: u64 = 1 << 53;

/// One artifact of a bundle, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub kind: Kind,
    pub name: Name,
    pub version: Version,
    #[serde(with = "hex")]
    pub sha256: Digest,
}

/// What a bundle is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleParts {
    /// The parsed pipeline with every reference resolved; an object with `name` and `version`.
    pub pipeline: Value,
    /// In any order; a bundle has them sorted, each once.
    pub artifacts: Vec<Pin>,
    pub model_options: Value,
    pub rule_params: Value,
    pub grants: Value,
    pub limits: Value,
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    #[serde(flatten)]
    parts: BundleParts,
}

/// A sealed bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    parts: BundleParts,
    pipeline_name: Name,
    pipeline_version: Version,
    json: String,
    digest: Digest,
}

impl Bundle {
    /// Sorts, writes the canonical text, and computes its digest. The bundle holds what that text holds, so that it is the same
    /// before and after it was stored: there `1.0` is `1`.
    ///
    /// # Errors
    /// A pipeline without a valid name and version, or numbers that the canonical text could not hold.
    pub fn seal(parts: BundleParts) -> Result<Self, RegistryError> {
        for part in [&parts.pipeline, &parts.model_options, &parts.rule_params, &parts.grants, &parts.limits] {
            check_numbers(part)?;
        }
        Self::parse(&canonical(&Document { schema: SCHEMA.to_owned(), parts })?)
    }

    /// Reads a bundle's canonical text.
    ///
    /// # Errors
    /// Text that is no bundle of this version, or is not canonical.
    pub fn parse(json: &str) -> Result<Self, RegistryError> {
        if json.len() > BUNDLE_BYTES_MAX {
            return Err(RegistryError::bundle(format!("it is larger than {BUNDLE_BYTES_MAX} bytes")));
        }
        let document: Document =
            serde_json::from_str(json).map_err(|error| RegistryError::bundle(error.to_string()))?;
        if document.schema != SCHEMA {
            let schema = document.schema.escape_debug();
            return Err(RegistryError::bundle(format!("its schema is `{schema}`, must be `{SCHEMA}`")));
        }
        let field = |key: &str| document.parts.pipeline.get(key).and_then(Value::as_str).unwrap_or_default();
        let pipeline_name =
            field("name").parse().map_err(|error: NameError| RegistryError::bundle(error.to_string()))?;
        let pipeline_version =
            field("version").parse().map_err(|error: NameError| RegistryError::bundle(error.to_string()))?;
        if canonical(&document)? != json {
            return Err(RegistryError::bundle("its text is not canonical"));
        }
        let digest = Digest::of(json.as_bytes());
        Ok(Self { parts: document.parts, pipeline_name, pipeline_version, json: json.to_owned(), digest })
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The canonical text.
    pub fn json(&self) -> &str {
        &self.json
    }

    pub fn pipeline_name(&self) -> &Name {
        &self.pipeline_name
    }

    pub fn pipeline_version(&self) -> &Version {
        &self.pipeline_version
    }

    pub fn parts(&self) -> &BundleParts {
        &self.parts
    }
}

/// The RFC 8785 text, with the artifacts sorted, each once.
fn canonical(document: &Document) -> Result<String, RegistryError> {
    let Document { schema, parts } = document;
    let mut parts = parts.clone();
    parts
        .artifacts
        .sort_by_cached_key(|pin| (pin.kind.as_str(), pin.name.to_string(), pin.version.to_string(), pin.sha256));
    parts.artifacts.dedup();
    let document = Document { schema: schema.clone(), parts };
    serde_json_canonicalizer::to_string(&document).map_err(|error| RegistryError::bundle(error.to_string()))
}

fn check_numbers(value: &Value) -> Result<(), RegistryError> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude > WHOLE_NUMBER_MAX => {
                    Err(RegistryError::bundle(format!("the number {number} is too large to be held exactly")))
                }
                _ => Ok(()),
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(members) => members.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::registry) fn parts(name: &str, version: &str, artifacts: Vec<Pin>) -> BundleParts {
        BundleParts {
            pipeline: json!({"schema": "pipeline/v1", "name": name, "version": version, "b": 1.0, "a": [0.5, 1e21]}),
            artifacts,
            model_options: json!({}),
            rule_params: json!({}),
            grants: json!({}),
            limits: json!({}),
        }
    }

    fn pin(kind: Kind, name: &str) -> Pin {
        let sha256 = Digest::of(name.as_bytes());
        Pin { kind, name: name.parse().unwrap(), version: Version::new(1, 0, 0), sha256 }
    }

    #[test]
    fn the_same_parts_in_any_order_have_one_digest() {
        let (first, second) = (pin(Kind::Plugin, "a"), pin(Kind::Model, "b"));
        let bundle = Bundle::seal(parts("p", "1.0.0", vec![first.clone(), second.clone(), first.clone()])).unwrap();
        let other = Bundle::seal(parts("p", "1.0.0", vec![second.clone(), first.clone()])).unwrap();
        assert_eq!(bundle, other);
        assert_eq!(bundle.parts().artifacts, [second, first]);
        assert_eq!(bundle.digest(), Digest::of(bundle.json().as_bytes()));
        assert_ne!(bundle.digest(), Bundle::seal(parts("p", "1.0.1", vec![])).unwrap().digest());
    }

    #[test]
    fn the_text_is_canonical_and_reads_back() {
        let bundle = Bundle::seal(parts("p", "1.0.0", vec![])).unwrap();
        let expected = r#"{"artifacts":[],"grants":{},"limits":{},"model_options":{},"pipeline":{"a":[0.5,1e+21],"b":1,"name":"p","schema":"pipeline/v1","version":"1.0.0"},"rule_params":{},"schema":"bundle/v1"}"#;
        assert_eq!(bundle.json(), expected);
        assert_eq!(Bundle::parse(expected).unwrap().digest(), bundle.digest());
        assert!(Bundle::parse(&expected.replace("\"b\":1,", "\"b\":1.0,")).is_err());
        assert!(Bundle::parse(&expected.replace("1e+21", "1152921504606847000")).is_ok());
        assert!(Bundle::parse(&expected.replace("bundle/v1", "bundle/v2")).is_err());
        assert!(Bundle::parse(&expected.replace("\"grants\":{},", "")).is_err());
    }

    #[test]
    fn what_the_text_could_not_hold_is_refused() {
        let seal = |pipeline: Value| Bundle::seal(BundleParts { pipeline, ..parts("p", "1.0.0", vec![]) });
        assert!(seal(json!({"name": "p", "version": "1.0.0", "n": [9_007_199_254_740_993_u64]})).is_err());
        assert!(seal(json!({"name": "p", "version": "1.0.0", "n": -9_007_199_254_740_992_i64})).is_ok());
        let large = seal(json!({"name": "p", "version": "1.0.0", "n": [1_152_921_504_606_846_976_f64, 1e16]})).unwrap();
        assert_eq!(Bundle::parse(large.json()).unwrap(), large);
        assert!(seal(json!({"name": "P", "version": "1.0.0"})).is_err());
        assert!(seal(json!({"name": "p"})).is_err());
        assert!(seal(json!([])).is_err());
    }
}

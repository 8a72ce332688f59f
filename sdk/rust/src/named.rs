//! The named tensors that a plugin gets and gives. What is in a tensor is `tensor`'s matter.

use crate::{Failure, Tensor};

/// The tensors of one request, by the names in the plugin's signature.
#[derive(Debug, Default)]
pub struct Inputs(Vec<(String, Tensor)>);

impl Inputs {
    /// No inputs yet; for tests.
    pub fn new() -> Self {
        Self::default()
    }

    /// These inputs and one more; for tests.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.0.push((name.into(), tensor));
        self
    }

    /// Takes an input out.
    ///
    /// # Errors
    /// It is not there, which for a required input of the signature is the client's fault.
    pub fn take(&mut self, name: &str) -> Result<Tensor, Failure> {
        self.take_optional(name).ok_or_else(|| Failure::invalid(format!("input `{name}` is missing")))
    }

    /// Takes an input out, if it is there.
    pub fn take_optional(&mut self, name: &str) -> Option<Tensor> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Looks at an input, if it is there.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// All that is left.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

impl From<Vec<(String, Tensor)>> for Inputs {
    fn from(tensors: Vec<(String, Tensor)>) -> Self {
        Self(tensors)
    }
}

impl IntoIterator for Inputs {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The tensors that a step or a model gives.
#[derive(Debug, Default)]
pub struct Outputs(Vec<(String, Tensor)>);

impl Outputs {
    /// No outputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These outputs and one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.0.push((name.into(), tensor));
        self
    }

    /// Looks at an output, if it is there.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

impl From<Vec<(String, Tensor)>> for Outputs {
    fn from(tensors: Vec<(String, Tensor)>) -> Self {
        Self(tensors)
    }
}

impl FromIterator<(String, Tensor)> for Outputs {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl IntoIterator for Outputs {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

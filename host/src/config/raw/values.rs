//! Values that take more than one form in a file: `auto` or a number, a port or an address.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

/// The most instances or calls at a time that can be asked for.
const COUNT_MAX: u16 = 1024;

/// A number of instances, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoCount {
    #[default]
    Auto,
    /// 1 to 1024.
    Number(u16),
}

impl AutoCount {
    /// The number, where `auto` is as many as there are cores.
    pub fn resolve(self, cores: usize) -> usize {
        match self {
            Self::Auto => cores.clamp(1, usize::from(COUNT_MAX)),
            Self::Number(number) => usize::from(number),
        }
    }
}

impl Serialize for AutoCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Number(number) => serializer.serialize_u16(*number),
        }
    }
}

impl<'de> Deserialize<'de> for AutoCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AutoCountVisitor)
    }
}

struct AutoCountVisitor;

impl Visitor<'_> for AutoCountVisitor {
    type Value = AutoCount;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`auto` or a number from 1 to {COUNT_MAX}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<AutoCount, E> {
        if text == "auto" { Ok(AutoCount::Auto) } else { Err(E::invalid_value(Unexpected::Str(text), &self)) }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<AutoCount, E> {
        u16::try_from(number)
            .ok()
            .filter(|number| (1..=COUNT_MAX).contains(number))
            .map(AutoCount::Number)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

impl JsonSchema for AutoCount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AutoCount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "minimum": 1, "maximum": COUNT_MAX, "pattern": "^auto$"})
    }
}

/// An address to listen on: `127.0.0.1:8000` or `[::1]:8000`; port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Address(pub(in crate::config) SocketAddr);

impl Address {
    pub(in crate::config) fn loopback(port: u16) -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn parse<E: de::Error>(text: &str) -> Result<Self, E> {
        let expected = "an address and port such as 127.0.0.1:8000 or [::1]:8000";
        text.parse().map(Self).map_err(|_| E::invalid_value(Unexpected::Str(text), &expected))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A port on loopback, or an address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum MetricsPort {
    Port(u16),
    Address(Address),
}

impl MetricsPort {
    pub(in crate::config) fn address(self) -> SocketAddr {
        match self {
            Self::Port(port) => Address::loopback(port).0,
            Self::Address(address) => address.0,
        }
    }
}

impl Serialize for MetricsPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Port(port) => serializer.serialize_u16(*port),
            Self::Address(address) => address.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MetricsPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MetricsPortVisitor)
    }
}

struct MetricsPortVisitor;

impl Visitor<'_> for MetricsPortVisitor {
    type Value = MetricsPort;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a port from 0 to 65535, or host:port")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<MetricsPort, E> {
        let port = u16::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        Ok(MetricsPort::Port(port))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<MetricsPort, E> {
        Address::parse(text).map(MetricsPort::Address)
    }
}

impl JsonSchema for MetricsPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MetricsPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "minimum": 0, "maximum": 65_535})
    }
}

//! A small HTTP client: one request for each connection, answers as they came. Knows the protocol's binary extension.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

const HEADER_LENGTH: &str = "inference-header-content-length";
/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(crate) struct Client {
    address: SocketAddr,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) fn get(self, path: &str) -> Reply {
        self.send("GET", path, &[], &[])
    }

    /// JSON, answered in JSON.
    pub(crate) fn post_json(self, model: &str, body: &Value) -> Reply {
        self.post(&infer_path(model), &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn post(self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send("POST", path, headers, body)
    }

    /// One tensor as the whole body.
    pub(crate) fn post_raw(self, model: &str, body: &[u8]) -> Reply {
        self.post(&infer_path(model), &[(HEADER_LENGTH, "0")], body)
    }

    /// One BYTES tensor of one element as binary data behind a JSON header; `extra` is laid upon the header.
    pub(crate) fn post_bytes(self, model: &str, tensor: (&str, &[u8]), extra: &Value) -> Reply {
        let (name, element) = tensor;
        let mut data = u32::try_from(element.len()).unwrap().to_le_bytes().to_vec();
        data.extend_from_slice(element);
        let input = json!({
            "name": name, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": data.len()},
        });
        let mut header = json!({"inputs": [input]});
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut body = header.to_string().into_bytes();
        let length = body.len().to_string();
        body.append(&mut data);
        self.post(&infer_path(model), &[(HEADER_LENGTH, &length)], &body)
    }

    /// A head that announces a body of this length, and nothing after it.
    pub(crate) fn post_declaring(self, path: &str, length: u64) -> Reply {
        let mut stream = self.connect();
        write!(stream, "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Reply::parse(&answer)
    }

    fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn send(self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a body before it has read it may have closed the connection; what it said is there to read.
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert!(!answer.is_empty(), "{method} {path}: {error}");
        }
        Reply::parse(&answer)
    }
}

pub(crate) fn infer_path(model: &str) -> String {
    format!("/v2/models/{model}/infer")
}

impl Reply {
    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let reply = Self { status, headers: lines.filter_map(pair).collect(), body: answer[end + 4..].to_vec() };
        let length = reply.header("content-length").map(|length| length.parse::<usize>().unwrap());
        assert_eq!(length, Some(reply.body.len()), "the whole body came");
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The JSON part of the body.
    pub(crate) fn json(&self) -> Value {
        let end = self.header(HEADER_LENGTH).map_or(self.body.len(), |length| length.parse().unwrap());
        serde_json::from_slice(&self.body[..end]).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an error, which has the form of every error.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        assert!(json["request_id"].as_str().is_some_and(|id| Some(id) == self.header("x-request-id")), "{json}");
        json["code"].as_str().unwrap_or_else(|| panic!("no code in {json}")).to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// An output's numbers, sent as JSON or as binary data of FP32 or UINT32.
    pub(crate) fn numbers(&self, output: &str) -> Vec<f64> {
        let json = self.json();
        let mut binary = &self.body[self.header(HEADER_LENGTH).map_or(self.body.len(), |it| it.parse().unwrap())..];
        for tensor in json["outputs"].as_array().unwrap() {
            let size = tensor["parameters"]["binary_data_size"].as_u64();
            let (own, rest) = binary.split_at(usize::try_from(size.unwrap_or(0)).unwrap());
            binary = rest;
            if tensor["name"] != output {
                continue;
            }
            if size.is_none() {
                return tensor["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
            }
            let word = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap();
            return match tensor["datatype"].as_str().unwrap() {
                "FP32" => own.chunks(4).map(|bytes| f32::from_le_bytes(word(bytes)).into()).collect(),
                "UINT32" => own.chunks(4).map(|bytes| u32::from_le_bytes(word(bytes)).into()).collect(),
                other => panic!("{other} is not read here"),
            };
        }
        panic!("no output `{output}` in {json}");
    }
}

//! One POST over HTTP/1.1. No redirects, no TLS, no connection kept: the demo needs none of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);
const RESPONSE_BYTES_MAX: u64 = 64 << 20;

/// A request of the Open Inference Protocol.
pub(crate) enum Body<'a> {
    Json(&'a [u8]),
    /// The binary tensor extension: JSON of so many bytes, then tensors.
    Binary {
        json_bytes: usize,
        bytes: &'a [u8],
    },
}

/// Posts a request and gives the JSON of its answer.
pub(crate) fn post(address: &str, path: &str, body: Body<'_>) -> Result<Value> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT)).context("set the time-out")?;
    stream.set_write_timeout(Some(TIMEOUT)).context("set the time-out")?;
    let (form, bytes) = match body {
        Body::Json(bytes) => ("application/json".to_owned(), bytes),
        Body::Binary { json_bytes, bytes } => {
            (format!("application/octet-stream\r\nInference-Header-Content-Length: {json_bytes}"), bytes)
        }
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {form}\r\n\
         Content-Length: {}\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).context("send the request")?;
    stream.write_all(bytes).context("send the request")?;
    let mut response = Vec::new();
    stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut response).context("read the answer")?;
    parse(&response)
}

fn parse(response: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(response).context("read the answer as text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.lines().next().unwrap_or_default();
    let chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = if chunked { join_chunks(body)? } else { body.to_owned() };
    if status.split(' ').nth(1) != Some("200") {
        bail!("the server answered `{status}`: {body}");
    }
    serde_json::from_str(&body).context("read the answer as JSON")
}

fn join_chunks(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").context("a chunk begins with its length")?;
        let length = usize::from_str_radix(length.trim(), 16).context("read a chunk's length")?;
        if length == 0 {
            return Ok(body);
        }
        body.push_str(after.get(..length).context("a chunk is as long as it says")?);
        rest = after.get(length..).and_then(|rest| rest.strip_prefix("\r\n")).context("a chunk ends with a line")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_chunked_answers_say_the_same() {
        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
        assert_eq!(parse(plain).unwrap(), parse(chunked).unwrap());
    }

    #[test]
    fn an_error_answer_shows_its_body() {
        let error = parse(b"HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":\"no\"}").unwrap_err().to_string();
        assert_eq!(error, "the server answered `HTTP/1.1 400 Bad Request`: {\"error\":\"no\"}");
    }

    #[test]
    fn a_chunk_shorter_than_it_says_is_an_error() {
        assert!(join_chunks("9\r\nabc").is_err());
    }
}

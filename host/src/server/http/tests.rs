//! The REST door through its router, without sockets.

use axum::body::Body;
use axum::http::request::Builder;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::server::ServerSettings;
use crate::server::fake::{Event, Fake, Gate, settings, shared};

struct Door {
    router: Router,
    shared: Arc<Shared>,
    fake: Arc<Fake>,
    gate: Gate,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of an error, whose body must have the shape that all have.
    fn error(&self) -> (u16, String) {
        let body = self.json();
        assert!(!body["error"].as_str().unwrap().is_empty());
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}

impl Door {
    fn new(settings: &ServerSettings) -> Self {
        let (fake, gate) = Fake::new();
        let shared = shared(settings, Arc::clone(&fake));
        Self { router: router(Arc::clone(&shared)), shared, fake, gate }
    }

    async fn send(&self, request: Builder, body: impl Into<Body>) -> Answer {
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    async fn infer(&self, model: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(format!("/v2/models/{model}/infer")), body).await
    }

    async fn infer_binary(&self, model: &str, json: &str, binary: &[u8]) -> Answer {
        let request = Request::post(format!("/v2/models/{model}/infer"));
        self.send(request.header("Inference-Header-Content-Length", json.len()), [json.as_bytes(), binary].concat())
            .await
    }
}

fn door() -> Door {
    Door::new(&settings())
}

/// A request for `echo`.
const ONE_ROW: &str = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2.5]}]}"#;

#[tokio::test]
async fn health_and_metadata_answer() {
    let door = door();
    for (path, expected) in [
        ("/v2/health/live", json!({"live": true})),
        ("/v2/health/ready", json!({"ready": true})),
        ("/v2/models/echo/ready", json!({"name": "echo", "ready": true})),
        ("/v2/models/echo/versions/1/ready", json!({"name": "echo", "ready": true})),
        (
            "/v2",
            json!({"name": "inferwit", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"]}),
        ),
        (
            "/v2/models/echo/versions/1.4",
            json!({
                "name": "echo", "versions": ["1.4.2"], "platform": "inferwit_pipeline",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
                "outputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            }),
        ),
    ] {
        let answer = door.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
    assert_eq!(door.get("/v2/").await.body, door.get("/v2").await.body);
    assert_eq!(door.get("/v2/models/echo").await.body, door.get("/v2/models/echo/versions/1").await.body);
}

#[tokio::test]
async fn what_is_not_ready_says_so_with_400() {
    let door = door();
    door.fake.is_ready.store(false, std::sync::atomic::Ordering::Relaxed);
    for path in ["/v2/health/ready", "/v2/models/asleep/ready"] {
        let answer = door.get(path).await;
        assert_eq!(answer.error(), (400, "not_ready".into()), "{path}");
        assert_eq!(answer.json()["ready"], false);
    }
    assert_eq!(door.get("/v2/health/live").await.status, 200);
}

#[tokio::test]
async fn paths_methods_and_versions_are_answered_with_json_errors() {
    let door = door();
    for (path, status, code) in [
        ("/", 404, "not_found"),
        ("/v2/nothing", 404, "not_found"),
        ("/v2/models/nobody", 404, "not_found"),
        ("/v2/models/nobody/ready", 404, "not_found"),
        ("/v2/models/echo/versions/7", 404, "not_found"),
        ("/v2/models/echo/versions/new", 400, "invalid_input"),
        ("/v2/models/%ff", 400, "invalid_input"),
    ] {
        assert_eq!(door.get(path).await.error(), (status, code.into()), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v2/models/echo/infer", "POST"),
        ("DELETE", "/v2/models/echo", "GET,HEAD"),
        ("POST", "/v2/models/echo/versions/1/ready", "GET,HEAD"),
        ("PUT", "/v2", "GET,HEAD"),
    ] {
        let answer = door.send(Request::builder().method(method).uri(path), "").await;
        assert_eq!(answer.error(), (405, "method".into()), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    assert_eq!(door.infer("nobody", ONE_ROW).await.error(), (404, "not_found".into()));
    let page = door.shared.metrics.to_text();
    assert!(page.contains(r#"refused_requests_total{code="not_found"} 6"#), "{page}");
    assert!(!page.contains("nobody"));
}

#[tokio::test]
async fn json_goes_in_and_comes_out() {
    let door = door();
    let answer = door.infer("echo/versions/1", ONE_ROW).await;
    let expected = json!({
        "model_name": "echo", "model_version": "1.4.2",
        "outputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.5]}],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert!(answer.header("inference-header-content-length").is_none());
}

#[tokio::test]
async fn an_id_is_echoed_if_there_is_one() {
    let door = door();
    let with_id = |id: &str| ONE_ROW.replacen('{', &format!(r#"{{"id":{id},"#), 1);
    assert_eq!(door.infer("echo", with_id(r#""seven""#)).await.json()["id"], "seven");
    assert!(door.infer("echo", with_id("null")).await.json().get("id").is_none());
    assert_eq!(door.infer("echo", with_id("7")).await.error(), (400, "invalid_input".into()));
}

#[tokio::test]
async fn parameters_reach_the_model_but_for_those_of_the_door() {
    let body = r#"{"parameters":{"trace":true,"n":-3,"big":18446744073709551615,"f":0.5,"s":"t","timeout":9000000,
        "binary_data_output":false},"inputs":[{"name":"x","shape":[0,2],"datatype":"FP32","data":[]}]}"#;
    let parameters = door().infer("echo", body).await.json()["parameters"].clone();
    assert_eq!(parameters, json!({"trace": true, "n": -3, "big": u64::MAX, "f": 0.5, "s": "t"}));
}

#[tokio::test]
async fn a_client_may_want_some_outputs_in_its_own_order() {
    let body = r#"{"inputs":[{"name":"bool","shape":[1],"datatype":"BOOL","data":[true]},
        {"name":"int8","shape":[],"datatype":"INT8","data":[-8]},
        {"name":"bytes","shape":[2],"datatype":"BYTES","data":["a","ü"]}],
        "outputs":[{"name":"bytes"},{"name":"bool","parameters":{"binary_data":true}}]}"#;
    let answer = door().infer("every", body).await;
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let (json, binary) = answer.body.split_at(length);
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(
        json["outputs"],
        json!([{"name": "bytes", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]},
            {"name": "bool", "shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}}])
    );
    assert_eq!(binary, [1]);
}

#[tokio::test]
async fn bad_requests_are_refused_with_400() {
    let door = door();
    let input = |fields: &str| format!(r#"{{"inputs":[{{"name":"x",{fields}}}]}}"#);
    let good = r#""shape":[1,2],"datatype":"FP32","data":[1,2]"#;
    for (body, needle) in [
        (String::new(), "EOF"),
        ("{".into(), "EOF"),
        ("[]".into(), "expected an object"),
        (r#"[null,null,[],null]"#.into(), "expected an object"),
        (r#"{"inputs":[["x",[1,2],"FP32",null,[1,2]]]}"#.into(), "expected an object"),
        ("{}".into(), "missing field `inputs`"),
        ("\u{0}\u{1}".into(), "not a valid request"),
        (r#"{"inputs":[]}"#.into(), "input `x` is missing"),
        (r#"{"inputs":{}}"#.into(), "not a valid request"),
        (input(r#""shape":[1,2],"datatype":"FP32","data":["a","b"]"#), "element 0"),
        (input(r#""shape":[1,2],"datatype":"FP32","data":[1,2,3]"#), "more"),
        (input(r#""shape":[-1,2],"datatype":"FP32","data":[1,2]"#), "-1"),
        (input(r#""shape":[1.5,2],"datatype":"FP32","data":[1,2]"#), "1.5"),
        (input(r#""shape":[18446744073709551615,18446744073709551615],"datatype":"FP32","data":[1]"#), "addressed"),
        (input(r#""shape":[1,2],"datatype":"INT32","data":[1,2]"#), "must be FP32"),
        (input(r#""shape":[1,2],"datatype":"FLOAT","data":[1,2]"#), "unknown datatype"),
        (input(r#""shape":[2,1],"datatype":"FP32","data":[1,2]"#), "shape"),
        (input(r#""shape":[1,2],"datatype":"FP32""#), "neither"),
        (input(r#""shape":[1,2],"datatype":"FP32","data":null"#), "neither"),
        (input(r#""shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}"#), "0 bytes of binary data"),
        (input(&format!(r#"{good},"parameters":{{"binary_data_size":8}}"#)), "both"),
        (input(&format!(r#"{good},"data":[1,2]"#)), "duplicate field"),
        (input(&format!(r#"{good},"parameters":{{"a":[1]}}"#)), "a number or a boolean"),
        (input(&format!(r#"{good},"parameters":{{"shared_memory_region":"r"}}"#)), "not offered"),
        (ONE_ROW.replace(r#""x""#, r#""z""#), "unknown input `z`"),
        (format!(r#"{{"inputs":[{{"name":"x",{good}}},{{"name":"x",{good}}}]}}"#), "twice"),
        (format!(r#"{{"outputs":[{{"name":"q"}}],"inputs":[{{"name":"x",{good}}}]}}"#), "unknown output `q`"),
        (format!(r#"{{"outputs":[{{"name":"x"}},{{"name":"x"}}],"inputs":[{{"name":"x",{good}}}]}}"#), "twice"),
        (
            format!(
                r#"{{"outputs":[{{"name":"x","parameters":{{"binary_data":1}}}}],"inputs":[{{"name":"x",{good}}}]}}"#
            ),
            "binary_data",
        ),
        (
            format!(
                r#"{{"outputs":[{{"name":"x","parameters":{{"classification":3}}}}],"inputs":[{{"name":"x",{good}}}]}}"#
            ),
            "not offered",
        ),
        (format!(r#"{{"parameters":{{"timeout":-5}},"inputs":[{{"name":"x",{good}}}]}}"#), "microseconds"),
        (format!(r#"{{"parameters":{{"a":{{}}}},"inputs":[{{"name":"x",{good}}}]}}"#), "not a valid request"),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "not a valid request"),
        (input(&format!(r#""shape":[1,2],"datatype":"FP32","data":{}"#, "[".repeat(100_000))), "not a valid request"),
        (
            input(&format!(r#""shape":[1,2],"datatype":"FP32","data":{}{}"#, "[".repeat(9000), "]".repeat(9000))),
            "neither flat nor nested",
        ),
        (input(&format!(r#""shape":[{}1],"datatype":"FP32","data":[]"#, "1,".repeat(40))), "more than 32 dimensions"),
    ] {
        let answer = door.infer("echo", body.clone()).await;
        let shown = &body[..body.len().min(200)];
        assert_eq!(answer.error(), (400, "invalid_input".into()), "{shown}");
        let message = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains(needle), "{shown}: {message}");
    }
}

#[tokio::test]
async fn binary_data_goes_in_and_comes_out() {
    let door = door();
    let json = r#"{"parameters":{"binary_data_output":true},"inputs":[
        {"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#;
    let data: Vec<u8> = [1.0_f32, f32::NAN].iter().flat_map(|value| value.to_le_bytes()).collect();
    let answer = door.infer_binary("echo", json, &data).await;
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!((answer.status, &answer.body[length..]), (200, &data[..]));
}

#[tokio::test]
async fn bad_binary_data_is_refused_with_400() {
    let door = door();
    let json = |size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    for (size, bytes, needle) in [
        ("8", 7, "7 bytes of binary data are left"),
        ("8", 9, "belong to no input"),
        ("4", 4, "needs 8 bytes, got 4"),
        ("12", 12, "needs 8 bytes, got 12"),
        ("-8", 8, "not a number of bytes"),
        ("18446744073709551615", 8, "bytes of binary data are left"),
        ("\"8\"", 8, "not a number of bytes"),
    ] {
        let answer = door.infer_binary("echo", &json(size), &vec![0; bytes]).await;
        assert_eq!(answer.error(), (400, "invalid_input".into()), "{size}");
        let message = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains(needle), "{size} of {bytes}: {message}");
    }
    for length in ["1000", "-1", "", "+1", "x", "99999999999999999999999"] {
        let request = Request::post("/v2/models/echo/infer").header("Inference-Header-Content-Length", length);
        assert_eq!(door.send(request, ONE_ROW).await.error(), (400, "invalid_input".into()), "{length}");
    }
    for bytes in [&[9, 0, 0, 0, 1][..], &[1, 0, 0, 0, 65, 66], &[1, 0]] {
        let json = format!(
            r#"{{"inputs":[{{"name":"photo","shape":[1],"datatype":"BYTES","parameters":{{"binary_data_size":{}}}}}]}}"#,
            bytes.len()
        );
        assert_eq!(door.infer_binary("photo", &json, bytes).await.error().0, 400);
    }
}

#[tokio::test]
async fn a_body_may_be_the_one_tensor_itself() {
    let door = door();
    let send = async |model: &str, body: &'static [u8]| {
        let request = Request::post(format!("/v2/models/{model}/infer"));
        door.send(request.header("Inference-Header-Content-Length", "0"), body).await
    };
    let photo = send("photo", b"\xff\xd8 no picture").await;
    let length: usize = photo.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(&photo.body[length..], b"\x0d\0\0\0\xff\xd8 no picture");
    let rows = send("echo", &[0; 24]).await;
    let length: usize = rows.header("inference-header-content-length").unwrap().parse().unwrap();
    let json: Value = serde_json::from_slice(&rows.body[..length]).unwrap();
    assert_eq!((&json["outputs"][0]["shape"], rows.body.len() - length), (&json!([3, 2]), 24));
    for (model, body) in [("echo", &[0; 23][..]), ("echo", &[0; 20]), ("half", &[0; 2]), ("every", &[0; 4])] {
        assert_eq!(send(model, body).await.error(), (400, "invalid_input".into()), "{model}");
    }
}

#[tokio::test]
async fn outputs_without_a_json_form_must_be_asked_for_as_binary() {
    let door = door();
    let half = r#"{"inputs":[{"name":"x","shape":[2],"datatype":"FP16","parameters":{"binary_data_size":4}}]}"#;
    let answer = door.infer_binary("half", half, &[0; 4]).await;
    assert!(answer.json()["error"].as_str().unwrap().contains("`binary_data: true`"));
    let bytes = r#"{"inputs":[{"name":"photo","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}"#;
    let answer = door.infer_binary("photo", bytes, &[1, 0, 0, 0, 0xff]).await;
    assert_eq!(answer.error(), (400, "invalid_input".into()));
    assert!(answer.json()["error"].as_str().unwrap().contains("not UTF-8"));
}

#[tokio::test]
async fn each_failure_has_its_status_and_server_faults_keep_their_secrets() {
    let door = door();
    for (code, status) in [
        ("unprocessable", 422),
        ("rejected", 422),
        ("deadline", 504),
        ("plugin_failed", 500),
        ("plugin_limit", 500),
        ("backend_failed", 500),
        ("internal", 500),
    ] {
        let body = ONE_ROW.replacen('{', &format!(r#"{{"parameters":{{"code":"{code}"}},"#), 1);
        let answer = door.infer("fails", body).await;
        assert_eq!(answer.error(), (status, code.into()));
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert_eq!(text.contains("step `decode`: secret"), status != 500, "{text}");
        assert!(!text.contains("deeper"), "{text}");
        assert_eq!(text.contains("blurred"), code == "rejected");
    }
    assert_eq!(door.infer("fails", ONE_ROW).await.error(), (500, "internal".into()));
    let page = door.shared.metrics.to_text();
    assert!(page.contains(r#"plugin_failures_total{plugin="image",step="decode",kind="trap"} 1"#));
    assert!(page.contains(r#"request_duration_seconds_count{model="fails",version="1.4.2",code="internal"} 2"#));
    assert!(page.contains("inferwit_requests_in_flight 0"));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let door = door();
    let request = || Request::post("/v2/models/echo/infer");
    let claimed = door.send(request().header("content-length", "99999999999"), Body::empty()).await;
    assert_eq!(claimed.error(), (413, "too_large".into()));
    assert_eq!(door.send(request(), vec![b' '; (1 << 20) + 1]).await.error(), (413, "too_large".into()));
    let long = door.send(request().header("x-long", "a".repeat(5000)), ONE_ROW).await;
    assert_eq!(long.error(), (431, "too_large".into()));
    let mut small = settings();
    small.limits.bodies_bytes = 10;
    let answer = Door::new(&small).infer("echo", ONE_ROW).await;
    assert_eq!((answer.error(), answer.header("retry-after")), ((503, "overloaded".into()), Some("1")));
    assert_eq!(door.shared.bodies_bytes.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let door = door();
    let request = |encoding| Request::post("/v2/models/echo/infer").header("content-encoding", encoding);
    assert_eq!(door.send(request("gzip"), ONE_ROW).await.error(), (415, "media_type".into()));
    assert_eq!(door.send(request("identity"), ONE_ROW).await.status, 200);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_dropped_requests_are_cancelled() {
    let door = door();
    let spawn = || {
        let request = Request::post("/v2/models/waits/infer").body(Body::from(ONE_ROW)).unwrap();
        tokio::spawn(door.router.clone().oneshot(request))
    };
    let running = spawn();
    while door.gate.events.try_recv() != Ok(Event::Began) {
        tokio::task::yield_now().await;
    }
    let queued = spawn();
    while door.shared.metrics.queue_depth.get() < 1 {
        tokio::task::yield_now().await;
    }
    let refused = door.infer("echo", ONE_ROW).await;
    assert_eq!((refused.error(), refused.header("retry-after")), ((503, "overloaded".into()), Some("1")));
    running.abort();
    queued.abort();
    drop((running.await, queued.await));
    assert_eq!(door.gate.events.recv().unwrap(), Event::Ended { cancelled: true });
    assert_eq!(door.infer("echo", ONE_ROW).await.status, 200);
    assert!(door.gate.events.try_recv().is_err(), "the queued request must not have begun");
    let page = door.shared.metrics.to_text();
    assert!(page.contains(r#"duration_seconds_count{model="waits",version="1.4.2",code="cancelled"} 2"#), "{page}");
}

#[tokio::test]
async fn a_client_may_ask_for_less_time() {
    let door = door();
    let body = ONE_ROW.replacen('{', r#"{"parameters":{"timeout":1000},"#, 1);
    assert_eq!(door.infer("waits", body).await.error(), (504, "deadline".into()));
}

#[tokio::test]
async fn a_stopping_server_takes_no_more_requests() {
    let door = door();
    door.shared.is_draining.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(door.get("/v2/health/ready").await.error(), (400, "not_ready".into()));
    assert_eq!(door.infer("echo", ONE_ROW).await.error(), (503, "overloaded".into()));
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::super::request::{OutputForms, parse};
    use super::super::response::encode;
    use super::*;
    use crate::infer::{InferResponse, Parameters};
    use crate::tensor::{Datatype, Signature, Tensor, TensorSpec};

    fn tensor() -> impl Strategy<Value = Tensor> {
        let shape = vec(0_u64..4, 0..4);
        (shape, proptest::sample::select(&Datatype::ALL[..]), vec(any::<u64>(), 64), vec(".*", 64)).prop_map(
            |(shape, datatype, words, texts)| {
                let count = usize::try_from(shape.iter().product::<u64>()).unwrap();
                let Some(width) = datatype.width() else {
                    return Tensor::from_elements(&shape, &texts[..count]).unwrap();
                };
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let mut bytes = bytes[..count * width].to_vec();
                if datatype == Datatype::Bool {
                    bytes.iter_mut().for_each(|byte| *byte &= 1);
                }
                Tensor::from_bytes(datatype, &shape, &bytes).unwrap()
            },
        )
    }

    /// What an answer with this tensor says, as a request that sends it back.
    fn sent_back(tensor: &Tensor, forms: &OutputForms) -> Option<(Bytes, Option<usize>)> {
        #[derive(serde::Deserialize)]
        struct Answer {
            outputs: Box<RawValue>,
        }
        let response = InferResponse {
            model_name: "m".into(),
            model_version: "1.0.0".into(),
            id: None,
            parameters: Parameters::new(),
            outputs: vec![("x".into(), tensor.clone())],
        };
        let encoded = encode(&response, forms).ok()?;
        let mut pieces = encoded.into_pieces();
        let answer: Answer = serde_json::from_slice(&pieces.pop_front().unwrap()).unwrap();
        let json = format!(r#"{{"inputs":{}}}"#, answer.outputs.get());
        let mut body = json.clone().into_bytes();
        let header_length = (!pieces.is_empty()).then_some(json.len());
        pieces.iter().for_each(|piece| body.extend_from_slice(piece));
        Some((body.into(), header_length))
    }

    fn signature() -> Signature {
        let x = TensorSpec::new("x", Datatype::Bytes, &[-1]);
        Signature { inputs: vec![x.clone()], outputs: vec![x] }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_to_the_same(tensor in tensor()) {
            for forms in [OutputForms::all_json(), OutputForms::all_binary()] {
                let Some((body, header_length)) = sent_back(&tensor, &forms) else { continue };
                let parsed = parse(&body, header_length, &signature()).unwrap();
                prop_assert_eq!(&parsed.inputs, &[("x".to_owned(), tensor.clone())]);
            }
        }

        #[test]
        fn a_damaged_body_never_panics(
            tensor in tensor(), at in any::<prop::sample::Index>(), damage in vec(any::<u8>(), 0..4), cut in 0..4_usize,
        ) {
            for forms in [OutputForms::all_json(), OutputForms::all_binary()] {
                let Some((body, header_length)) = sent_back(&tensor, &forms) else { continue };
                let mut body = body.to_vec();
                let from = at.index(body.len());
                let to = (from + cut).min(body.len());
                body.splice(from..to, damage.clone());
                drop(parse(&body.into(), header_length, &signature()));
            }
        }

        #[test]
        fn any_body_never_panics(body in vec(any::<u8>(), 0..200), header_length in proptest::option::of(0..300_usize)) {
            drop(parse(&body.into(), header_length, &signature()));
        }

        #[test]
        fn any_data_never_panics(
            data in r#"\[(\[|\]|,|-?[0-9]{1,3}(\.[0-9])?(e[0-9]{1,3})?|"(\\"|[a-z])*"|true|null| ){0,20}\]"#,
            shape in vec(0_u64..3, 0..4),
            datatype in proptest::sample::select(&Datatype::ALL[..]),
        ) {
            let body =
                format!(r#"{{"inputs":[{{"name":"x","shape":{shape:?},"datatype":"{datatype}","data":{data}}}]}}"#);
            if let Ok(parsed) = parse(&body.into(), None, &signature()) {
                prop_assert_eq!(parsed.inputs[0].1.shape(), &shape[..]);
            }
        }
    }
}

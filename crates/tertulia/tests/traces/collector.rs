//! A collector: it takes what OTLP brings over HTTP, and keeps the spans.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use testkit::patience;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A span, and which node told it.
#[derive(Clone, Debug)]
pub struct Told {
    pub node: String,
    pub span: Span,
}

impl Told {
    /// What is known about it, as text.
    pub fn fact(&self, name: &str) -> Option<String> {
        fact(&self.span.attributes, name)
    }
}

/// What came up to now.
#[derive(Default)]
struct Taken {
    told: Vec<Told>,
    services: Vec<String>,
    bytes: Vec<u8>,
}

pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Collector {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<Mutex<Taken>>::default());
        let shared = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, taken }
    }

    /// What a node is told of it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn told(&self) -> Vec<Told> {
        self.taken.lock().await.told.clone()
    }

    /// What the nodes call themselves together.
    pub async fn services(&self) -> Vec<String> {
        self.taken.lock().await.services.clone()
    }

    /// Whether these bytes came, wherever.
    pub async fn has_seen(&self, words: &str) -> bool {
        self.taken.lock().await.bytes.windows(words.len()).any(|bytes| bytes == words.as_bytes())
    }

    /// Waits until so many spans have come.
    pub async fn until(&self, count: usize) -> Vec<Told> {
        let enough = patience(Duration::from_secs(20), async || (self.told().await.len() >= count).then_some(()));
        let came = enough.await.is_some();
        let told = self.told().await;
        assert!(came, "{} of {count} came: {told:#?}", told.len());
        told
    }
}

/// Answers one request after another.
async fn serve(stream: TcpStream, taken: Arc<Mutex<Taken>>) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = request(&mut stream).await {
        let asked = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let mut taken = taken.lock().await;
        taken.bytes.extend(body);
        for resource in asked.resource_spans {
            let who = resource.resource.unwrap().attributes;
            let node = fact(&who, "service.instance.id").unwrap();
            taken.services.extend(fact(&who, "service.name"));
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            taken.told.extend(spans.map(|span| Told { node: node.clone(), span }));
        }
        // An answer without a body: everything was taken.
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The body of the next request, which must be one that the standard knows.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push(line);
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

fn fact(facts: &[KeyValue], name: &str) -> Option<String> {
    let value = facts.iter().find(|fact| fact.key == name)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

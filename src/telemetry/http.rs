//! A small HTTP server for probes and scrapes: GET and HEAD, one answer a connection.

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net, sync::Semaphore, time};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 256;
/// How long a client may take to ask: those who only hold a place must not keep a probe, which
/// waits two seconds, from its own.
const ASKING: Duration = Duration::from_millis(500);
/// How long a client may take for all of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a request's head.
const HEAD: usize = 8 * 1024;
/// After a connection that could not be taken: no file descriptor may be left.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Answers whoever connects by what `answer` says of the path, for ever.
///
/// # Errors
/// The runtime can't take the listener.
pub async fn serve<A>(listener: TcpListener, answer: A) -> std::io::Result<()>
where
    A: Fn(&str) -> Answer + Send + Sync + 'static,
{
    let listener = net::TcpListener::from_std(listener)?;
    let (answer, room) = (Arc::new(answer), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        // Never closed.
        let Ok(permit) = room.clone().acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = respond(&request, answer.as_ref());
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(ASKING)
                .max_buf_size(HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A client that went away or asked for nonsense is its own business.
            let _ = time::timeout(PATIENCE, connection).await;
            drop(permit);
        });
    }
}

fn respond(request: &Request<Incoming>, answer: &impl Fn(&str) -> Answer) -> Response<Full<Bytes>> {
    let may = [Method::GET, Method::HEAD].contains(request.method());
    let answer = match may {
        true => answer(request.uri().path()),
        false => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD only\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let content_type = hyper::header::HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if !may {
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

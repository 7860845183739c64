//! The console's first floor: `/status`, `/metrics`, `/livez`, `/readyz` over plain HTTP on loopback.
//!
//! Beside the data path, on an OS thread with a runtime of its own, so that it answers while voice is saturated. It reads
//! only the [`StatusBoard`]; nothing here can hold up a voice frame.

use std::io;
use std::net::{SocketAddr, TcpListener};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

use crate::metrics;
use crate::status::StatusBoard;

/// The routes, without a port.
pub fn router(board: StatusBoard) -> Router {
    Router::new()
        .route("/status", get(async |State(board): State<StatusBoard>| status(&board)))
        .route("/metrics", get(async |State(board): State<StatusBoard>| metrics(&board)))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async |State(board): State<StatusBoard>| ready(&board)))
        .with_state(board)
}

fn status(board: &StatusBoard) -> Response {
    Json(&*board.newest()).into_response()
}

fn metrics(board: &StatusBoard) -> Response {
    match metrics::render(board) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn ready(board: &StatusBoard) -> Response {
    if board.is_ready() { "ready\n".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response() }
}

/// A console that cannot start: the address is taken (the operator's fault) or the system is out of resources.
#[derive(Debug, thiserror::Error)]
#[error("console on {address}: {source}")]
pub struct ConsoleError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

/// A running console; ends when dropped.
#[derive(Debug)]
pub struct Console {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Console {
    /// Binds the address and serves the routes on a thread of their own.
    ///
    /// # Errors
    /// [`ConsoleError`] if the address cannot be bound or no thread started.
    pub fn start(address: SocketAddr, routes: Router) -> Result<Self, ConsoleError> {
        Self::try_start(address, routes).map_err(|source| ConsoleError { address, source })
    }

    fn try_start(address: SocketAddr, routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            // Requests that still run are cut: they only read, and a stop must not wait for a slow reader.
            tokio::select! {
                result = axum::serve(listener, routes) => result,
                _ = stopped => Ok(()),
            }
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::warn!(%error, "the console ended");
            }
        };
        let thread = std::thread::Builder::new().name("talkbridge-con".to_owned()).spawn(run)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Both fail only when the thread is gone already, which is what is wanted.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::status::{GatewayStatus, Status};
    use crate::status_client;

    fn ask(board: &StatusBoard, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let answer = router(board.clone()).oneshot(request).await.unwrap();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    fn named(name: &str) -> Status {
        Status { gateway: GatewayStatus { name: name.to_owned(), ..GatewayStatus::default() }, ..Status::default() }
    }

    #[test]
    fn readiness_follows_the_latch_and_liveness_does_not() {
        let board = StatusBoard::default();
        assert_eq!(ask(&board, "/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask(&board, "/livez").0, StatusCode::OK);
        board.set_ready(true);
        assert_eq!(ask(&board, "/readyz").0, StatusCode::OK);
        assert_eq!(ask(&board, "/nothing").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn status_is_the_newest_snapshot_with_all_parts() {
        let board = StatusBoard::default();
        board.publish(named("gw-1"));
        board.publish(named("gw-2"));
        let (code, body) = ask(&board, "/status");
        assert_eq!(code, StatusCode::OK);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["gateway"]["name"], "gw-2");
        for part in ["sessions", "talkgroups", "floors", "bridges", "links", "queues"] {
            assert!(value[part].is_array(), "{part}");
        }
        assert!(!body.contains('\n'), "one object a line");
        assert_eq!(serde_json::from_str::<Status>(&body).unwrap(), *board.newest());
    }

    #[test]
    fn the_client_reads_what_the_thread_serves_until_it_is_dropped() {
        let board = StatusBoard::default();
        board.publish(named("gw-1"));
        let console = Console::start("127.0.0.1:0".parse().unwrap(), router(board)).unwrap();
        let address = console.address();
        let body = status_client::get(address, "/status").unwrap();
        assert_eq!(serde_json::from_str::<Status>(&body).unwrap().gateway.name, "gw-1");
        assert!(matches!(status_client::get(address, "/readyz"), Err(status_client::ClientError::Refused(_))));
        drop(console);
        assert!(matches!(status_client::get(address, "/status"), Err(status_client::ClientError::Unreachable(_))));
    }

    #[test]
    fn a_taken_address_is_named() {
        let first = Console::start("127.0.0.1:0".parse().unwrap(), Router::new()).unwrap();
        let error = Console::start(first.address(), Router::new()).unwrap_err();
        assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    }
}

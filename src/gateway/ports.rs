//! Accepting at the gateway's ports: from a caller to a [`NewLink`] for the driver, or to a refusal, told for the records.

use tokio::sync::mpsc;
use tokio::time::Instant;
use transport::config::Port;
use transport::endpoint::Endpoint;

use crate::driver::Input;
use crate::link::NewLink;

/// Accepts callers on one port until it closes.
pub(crate) async fn accept(endpoint: Endpoint, port: Port, driver: mpsc::Sender<Input>) {
    while let Some(accepting) = endpoint.accept().await {
        let driver = driver.clone();
        tokio::spawn(async move {
            let from = accepting.remote_address();
            let input = match accepting.complete().await {
                Ok(connection) => {
                    let connected = Instant::now().into_std();
                    match connection.accept_control().await {
                        Ok(streams) => Input::Link(Box::new(NewLink { connection, streams, dialled: false, port, connected })),
                        Err(reason) => {
                            connection.close(reason);
                            Input::Refused { port, from, reason }
                        }
                    }
                }
                Err(reason) => Input::Refused { port, from, reason },
            };
            // Bounded; while the driver is that far behind, new callers wait.
            let _ = driver.send(input).await;
        });
    }
}

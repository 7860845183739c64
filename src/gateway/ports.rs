//! Accepting at the gateway's ports: from a caller to a [`NewLink`] for the driver, or to a refusal, told for the records.

use tokio::sync::mpsc;
use tokio::time::Instant;
use transport::config::Port;
use transport::endpoint::{Accepting, Endpoint};
use wire::Reason;

use crate::driver::Input;
use crate::link::NewLink;
use crate::lobby::Lobby;

/// Accepts callers on one port until it closes.
pub(crate) async fn accept(endpoint: Endpoint, driver: mpsc::Sender<Input>) {
    let (port, lobby) = (endpoint.port(), Lobby::default());
    while let Some(accepting) = endpoint.accept().await {
        let (driver, lobby) = (driver.clone(), lobby.clone());
        tokio::spawn(async move {
            let from = accepting.remote_address();
            let input = match welcome(accepting, port, &lobby).await {
                Ok(link) => Input::Link(Box::new(link)),
                Err(reason) => Input::Refused { port, from, reason },
            };
            // Bounded; while the driver is that far behind, new callers wait.
            let _ = driver.send(input).await;
        });
    }
}

/// From a caller to a connection with its control stream.
async fn welcome(accepting: Accepting, port: Port, lobby: &Lobby) -> Result<NewLink, Reason> {
    let connection = accepting.complete().await?;
    let connected = Instant::now().into_std();
    let Some(waiting) = lobby.enter(&connection.certified.identity) else {
        connection.close(Reason::TooManySessions);
        return Err(Reason::TooManySessions);
    };
    match connection.accept_control().await {
        Ok(streams) => Ok(NewLink { connection, streams, dialled: false, port, connected, waiting: Some(waiting) }),
        Err(reason) => {
            connection.close(reason);
            Err(reason)
        }
    }
}

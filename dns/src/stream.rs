//! One question over a connection that nobody else uses meanwhile.

use std::{future::poll_fn, net::SocketAddr, pin::Pin};

use futures_util::Stream;
use hickory_resolver::{
    net::{BufDnsStreamHandle, DnsStreamHandle, NetError, runtime::DnsTcpStream, tcp::TcpClientStream},
    proto::op::{Message, SerialMessage},
};

use crate::{
    error::ConnectError,
    transport::{ExchangeError, asked, number},
    wire::{Unfit, decode},
};

/// Asks, and waits for the answer, whatever else comes meanwhile.
pub(crate) async fn converse<S: DnsTcpStream>(
    stream: &mut TcpClientStream<S>,
    sender: &mut BufDnsStreamHandle,
    server: SocketAddr,
    question: &Message,
) -> Result<Message, ExchangeError> {
    let mut question = question.clone();
    question.metadata.id = number()?;
    let octets = question.to_vec().map_err(NetError::from)?;
    sender.send(SerialMessage::new(octets, server))?;
    let asked = asked(&question);
    while let Some(message) = poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await {
        let (octets, _) = message?.into_parts();
        match decode(&octets, question.metadata.id, &asked) {
            Ok(answer) => return Ok(answer),
            Err(Unfit::Stray(_)) => {}
            Err(unfit) => return Err(unfit.into()),
        }
    }
    Err(ConnectError::Closed.into())
}

//! A TCP connection to the front: queries are read while others are under way, and each is answered as soon as it can
//! be, whatever came before it (RFC 7766 §6.2.1.1).

use std::{io, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Asked, Decision, Outcome, Querier,
    framing::{IDLE, Incoming, read, write},
    shared::Shared,
    upstreams::Transport,
    wire::{self, Code},
};
use crate::random::Bits;

/// The longest that the transfer of a zone takes.
const TRANSFER: Duration = Duration::from_mins(5);

/// The maximum number of queries of a connection that servers are asked at once; further ones are read when one is answered.
pub(super) const MAX_UNDER_WAY: usize = 16;

/// Answers the queries of a connection.
pub(super) async fn converse(mut stream: TcpStream, querier: Querier, shared: &Shared) -> io::Result<()> {
    let mut bits = Bits::default();
    let mut incoming = Incoming::default();
    let mut under_way: JoinSet<(Outcome, Vec<u8>)> = JoinSet::new();
    let (mut reader, mut writer) = stream.split();
    let mut is_open = true;
    let mut deadline = Instant::now() + IDLE;
    while is_open || !under_way.is_empty() {
        tokio::select! {
            biased;
            Some(done) = under_way.join_next() => {
                let (outcome, answer) = done.map_err(io::Error::other)?;
                shared.count(Transport::Tcp, outcome);
                write(&mut writer, &answer).await?;
                deadline = Instant::now() + IDLE;
            }
            query = incoming.next(&mut reader), if is_open && under_way.len() < MAX_UNDER_WAY => {
                let Some(query) = query? else {
                    // It asks nothing more, and may wait for answers still.
                    is_open = false;
                    continue;
                };
                deadline = Instant::now() + IDLE;
                match shared.decide(&query, querier, &mut bits) {
                    Decision::Ignore => {
                        shared.count(Transport::Tcp, Outcome::Ignored);
                        return Ok(());
                    }
                    Decision::Answer(outcome, answer) => {
                        shared.count(Transport::Tcp, outcome);
                        write(&mut writer, &answer).await?;
                    }
                    Decision::Pass(outcome, asked) if asked.is_transfer() => {
                        while let Some(done) = under_way.join_next().await {
                            let (outcome, answer) = done.map_err(io::Error::other)?;
                            shared.count(Transport::Tcp, outcome);
                            write(&mut writer, &answer).await?;
                        }
                        shared.count(Transport::Tcp, outcome);
                        return timeout(TRANSFER, transfer(&asked, shared, &mut reader, &mut writer)).await?;
                    }
                    Decision::Pass(outcome, asked) => {
                        if let Some(place) = shared.take_streamed(querier) {
                            let shared = shared.clone();
                            under_way.spawn(shared.hand_on(outcome, asked, querier, Transport::Tcp, place));
                        } else {
                            shared.count(Transport::Tcp, Outcome::Dropped);
                            let busy = wire::failure(&asked.onward, Code::ServerFailure);
                            write(&mut writer, &busy.unwrap_or_default()).await?;
                        }
                    }
                }
            }
            () = sleep_until(deadline), if under_way.is_empty() => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
    Ok(())
}

/// Hands on a zone, message by message, until the server or the querier has enough of it. Nothing more that the querier says
/// goes to the server.
async fn transfer(
    asked: &Asked,
    shared: &Shared,
    reader: &mut ReadHalf<'_>,
    writer: &mut WriteHalf<'_>,
) -> io::Result<()> {
    let mut server = shared.upstreams().connect().await?;
    write(&mut server, &asked.onward).await?;
    let mut more = [0];
    loop {
        tokio::select! {
            message = timeout(IDLE, read(&mut server)) => write(writer, &message??).await?,
            _ = reader.read(&mut more) => return Ok(()),
        }
    }
}

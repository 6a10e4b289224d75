//! Fetches a path of a service by plain HTTP from the endpoint that has it: `cargo run -p ssa-client --example get --
//! store.example /cas/x`.

use std::error::Error;

use ssa_client::{HttpRequest, Resolver, Want};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, path] = &arguments[..] else {
        return Err("usage: get NAME PATH".into());
    };
    let service = Resolver::system()?.service(name).await?;
    // The record says where in a request the object key is.
    let request = HttpRequest::new(Some(path.as_bytes()), &[]);
    let connected = service.connect(&Want::port(80).request(&request)).await?;
    match connected.target {
        Some(target) => eprintln!(
            "{} (replica {}), from {}",
            target.address, target.replica, target.source
        ),
        None => eprintln!("no rule is in force: {}", service.faults()),
    }
    let mut stream = connected.stream;
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nhost: {name}\r\n\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    print!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

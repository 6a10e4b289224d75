//! `ssa-resolver`: from DNS records to the snapshots that Envoy filters live on.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use ssa_resolver::daemon::{self, Settings};
use tracing::level_filters::LevelFilter;

/// Keeps Envoy filters supplied with the rules of services: asks the DNS, keeps what must be kept, and serves
/// snapshots over a Unix socket. Runs in the foreground; SIGHUP reads the configuration again, SIGTERM ends it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration, a JSON file
    #[arg(long, env = "SSA_RESOLVER_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration, say what is wrong with it, log how its own records and key material stand, and end
    #[arg(long)]
    check: bool,
    /// Serve snapshots at this Unix socket, in place of socket.path
    #[arg(long, env = "SSA_RESOLVER_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve health and metrics here, in place of admin
    #[arg(long, env = "SSA_RESOLVER_ADMIN", value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// Keep the state in this file, in place of state
    #[arg(long, env = "SSA_RESOLVER_STATE", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Ask this DNS server, in place of dns.servers, by TLS where its name is given; may be repeated
    #[arg(
        long,
        env = "SSA_RESOLVER_SERVERS",
        value_name = "ADDRESS[:PORT][#NAME]",
        value_delimiter = ','
    )]
    #[arg(value_parser = ssa_dns::server)]
    server: Vec<ssa_dns::Server>,
    /// What is logged at least
    #[arg(long, env = "SSA_RESOLVER_LOG_LEVEL", default_value = "info")]
    log_level: LevelFilter,
    /// How logs are written, to standard error
    #[arg(long, env = "SSA_RESOLVER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// A line of text for each event
    Text,
    /// A line of JSON for each event
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(arguments.log_level)
        .with_target(false);
    match arguments.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    let settings = Settings {
        file: arguments.config,
        socket: arguments.socket,
        admin: arguments.admin,
        state: arguments.state,
        servers: arguments.server,
    };
    if arguments.check {
        return match settings.read() {
            Ok(config) => {
                println!("{} services", config.services.len());
                daemon::rehearse(config);
                ExitCode::SUCCESS
            }
            Err(error) => {
                for fault in error.faults {
                    eprintln!("{fault}");
                }
                ExitCode::from(2)
            }
        };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(daemon::run(settings)),
        Err(error) => Err(daemon::StartError::Signals(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::from(2)
        }
    }
}

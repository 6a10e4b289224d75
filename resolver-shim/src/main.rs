//! `ssa-resolver`: from DNS records to the snapshots that Envoy filters live on.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use ssa_input::{text::clean, usage::cleaned};
use ssa_resolver::{
    check,
    daemon::{self, Settings},
    forget::{self, ForgetError},
    output::{Log, print, print_error},
};
use tracing::level_filters::LevelFilter;

/// Supplies Envoy filters with the rules of services: queries the DNS, keeps what must be kept, and serves snapshots over
/// a Unix socket. Runs in the foreground; reloads a changed configuration, and at SIGHUP; SIGTERM ends it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration, a JSON file; - is standard input
    #[arg(long, env = "SSA_RESOLVER_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Report every fault of the configuration, its static records, and the keys and files that it names, then exit:
    /// 0 none, 1 faults
    #[arg(long)]
    check: bool,
    /// With --check: do not look for keys and certificates, which are on another host
    #[arg(long, requires = "check")]
    without_keys: bool,
    /// Have the running daemon forget what it keeps of this service after it is gone from the DNS, then exit
    #[arg(long, value_name = "SERVICE", conflicts_with = "check")]
    forget: Option<String>,
    /// Serve snapshots at this Unix socket; overrides socket.path
    #[arg(long, env = "SSA_RESOLVER_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve health and metrics at this address; overrides admin
    #[arg(long, env = "SSA_RESOLVER_ADMIN", value_name = "ADDRESS:PORT", value_parser = admin)]
    admin: Option<SocketAddr>,
    /// Keep the state in this file; overrides state
    #[arg(long, env = "SSA_RESOLVER_STATE", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Query this DNS server, over TLS if its name is given; overrides dns.servers; may be repeated
    #[arg(
        long,
        env = "SSA_RESOLVER_SERVERS",
        value_name = "ADDRESS[:PORT][#NAME]",
        value_delimiter = ','
    )]
    #[arg(value_parser = server)]
    server: Vec<ssa_dns::Server>,
    /// The least severe level that is logged
    #[arg(long, env = "SSA_RESOLVER_LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = level)]
    log_level: LevelFilter,
    /// The format of the log on standard error
    #[arg(long, env = "SSA_RESOLVER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// One line of text per event
    Text,
    /// One line of JSON per event
    Json,
}

/// Reads where health and metrics are served.
fn admin(text: &str) -> Result<SocketAddr, String> {
    ssa_dns::socket_address(text).map_err(|error| clean(&error.to_string()).into_owned())
}

/// Reads a DNS server.
fn server(text: &str) -> Result<ssa_dns::Server, String> {
    ssa_dns::server(text).map_err(|error| clean(&error.to_string()).into_owned())
}

/// Reads the least level that is logged.
fn level(text: &str) -> Result<LevelFilter, &'static str> {
    let found = text.parse();
    found.map_err(|_| "must be off, error, warn, info, debug or trace")
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&cleaned(error)),
    };
    let settings = Settings {
        file: arguments.config,
        socket: arguments.socket,
        admin: arguments.admin,
        state: arguments.state,
        servers: arguments.server,
    };
    if arguments.check {
        return check(&settings, !arguments.without_keys);
    }
    if let Some(service) = arguments.forget {
        return forget(&settings, &service);
    }
    let log = tracing_subscriber::fmt()
        .with_writer(Log)
        .with_max_level(arguments.log_level)
        .with_target(false);
    match arguments.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
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

/// Prints what is wrong with flags, on the lines that the text itself has and without what looks like a key.
fn explain(error: &clap::Error) -> ExitCode {
    let told = error.render().to_string();
    if error.use_stderr() {
        told.trim_end().lines().for_each(print_error);
        return ExitCode::from(2);
    }
    told.trim_end().lines().for_each(print);
    ExitCode::SUCCESS
}

/// Prints everything that is wrong with a configuration: a line for each, with the file and the field.
fn check(settings: &Settings, with_keys: bool) -> ExitCode {
    let file = if settings.is_standard_input() {
        "standard input".to_owned()
    } else {
        settings.file.display().to_string()
    };
    let print_fault = |fault: &dyn std::fmt::Display| print_error(&format!("{file}: {fault}"));
    let config = match settings.read() {
        Ok(config) => config,
        Err(error) if error.is_unreadable() => {
            print_error(&error.to_string());
            return ExitCode::from(2);
        }
        Err(error) => {
            error.faults.iter().for_each(|fault| print_fault(fault));
            return ExitCode::FAILURE;
        }
    };
    let places = if with_keys { check::places(&config) } else { Vec::new() };
    for warning in places.into_iter().chain(check::warnings(&config)) {
        print_fault(&warning);
    }
    let services = config.services.len();
    #[allow(
        clippy::disallowed_methods,
        reason = "the look at the clock of --check, which starts no daemon"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let faults = check::faults(config, with_keys, now.unwrap_or_default().as_secs());
    if faults.is_empty() {
        print(&format!("{services} service{}", if services == 1 { "" } else { "s" }));
        return ExitCode::SUCCESS;
    }
    for fault in &faults {
        print_fault(fault);
    }
    ExitCode::FAILURE
}

/// Has the running daemon forget: 1 is that it says no, 2 that there is none.
fn forget(settings: &Settings, service: &str) -> ExitCode {
    let config = match settings.read() {
        Ok(config) => config,
        Err(error) => {
            print_error(&error.to_string());
            return ExitCode::from(2);
        }
    };
    match forget::forget(&config.socket.path, service) {
        Ok(count) => {
            print(&format!("{count} forgotten"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let place = config.socket.path.display();
            print_error(&format!("{place}: {error}"));
            match error {
                ForgetError::Refused(_) => ExitCode::FAILURE,
                ForgetError::Unreachable(_) => ExitCode::from(2),
            }
        }
    }
}

//! Running Envoys: their processes, CPU time, memory and counters.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{error::Error, network::FOLDER, variant::Variant};

/// How long Envoy may take to answer on its admin socket.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an Envoy's memory is, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// What the kernel holds for the process: its resident set.
    pub(crate) resident: f64,
    /// Of that, what is no file's: no page of Envoy's program.
    pub(crate) anonymous: f64,
    /// What Envoy's allocator has handed out. The memory of V8's virtual machines is not in it.
    pub(crate) allocated: f64,
}

impl Memory {
    pub(crate) fn show(self) -> String {
        let [resident, anonymous, allocated] = [self.resident, self.anonymous, self.allocated].map(|bytes| bytes / 1e6);
        format!("{resident:.1} ({anonymous:.1}; {allocated:.1})")
    }
}

/// A running Envoy; it ends with this value.
#[derive(Debug)]
pub(crate) struct Envoy {
    process: Child,
    folder: PathBuf,
}

impl Envoy {
    /// Starts the Envoy of a variant; it may not serve yet.
    pub(crate) fn start(program: &Path, variant: &Variant, number: u16, workers: u16) -> Result<Self, Error> {
        let folder = Path::new(FOLDER).join(format!("{number}-{:?}", variant.shape));
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let configuration = folder.join("envoy.json");
        let text = variant.configuration(number, &folder).to_string();
        fs::write(&configuration, text).map_err(Error::io("write", &configuration))?;
        let log = folder.join("envoy.log");
        let output = fs::File::create(&log).map_err(Error::io("write", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;
        let process = Command::new(program)
            .args(["--disable-hot-restart", "--log-level", "warn", "--concurrency"])
            .arg(workers.to_string())
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Error::io("run", program))?;
        Ok(Self { process, folder })
    }

    /// Returns the end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Whether its process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }

    /// Returns the CPU time of all its threads, in user space and in the kernel.
    ///
    /// This is the sum that `/proc/PID/stat` splits into utime and stime and rounds to ticks; here in nanoseconds.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Error> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.process.id()));
        let mut total = 0;
        for task in fs::read_dir(&tasks).map_err(Error::io("read", &tasks))? {
            let path = task.map_err(Error::io("read", &tasks))?.path().join("schedstat");
            let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            total += text
                .split(' ')
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// Returns utime and stime of `/proc/PID/stat`, in ticks.
    pub(crate) fn ticks(&self) -> Result<[f64; 2], Error> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.process.id()));
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        // Fields 14 and 15; the second, a name in brackets, may hold blanks.
        let mut fields = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .map(|field| field.parse().unwrap_or(0.0));
        Ok([fields.next().unwrap_or(0.0), fields.next().unwrap_or(0.0)])
    }

    /// Returns how much memory it has.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let path = PathBuf::from(format!("/proc/{}/status", self.process.id()));
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0)
        };
        let told = self.admin("/memory")?;
        // `"allocated": "5242880",`
        let allocated = told
            .split_once("\"allocated\"")
            .and_then(|(_, rest)| rest.split('"').nth(1)?.parse().ok());
        Ok(Memory {
            resident: bytes("VmRSS:"),
            anonymous: bytes("RssAnon:"),
            allocated: allocated.unwrap_or(f64::NAN),
        })
    }

    /// Returns a counter or gauge; one that Envoy does not have is 0.
    pub(crate) fn stat(&self, name: &str) -> Result<f64, Error> {
        let text = self.admin(&format!("/stats?filter=^{name}$"))?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0.0))
    }

    /// Asks on the admin socket, and returns the answer as it comes: lines of a short body are whole in it.
    fn admin(&self, path: &str) -> Result<String, Error> {
        let socket = self.folder.join("admin.sock");
        let mut answer = Vec::new();
        let asked = UnixStream::connect(&socket).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n")?;
            let mut buffer = [0; 4096];
            // In chunks, of which the last is empty.
            while !answer.ends_with(b"\r\n0\r\n\r\n") {
                let read = stream.read(&mut buffer)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                answer.extend_from_slice(&buffer[..read]);
            }
            Ok(())
        });
        asked.map_err(Error::io("ask", &socket))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

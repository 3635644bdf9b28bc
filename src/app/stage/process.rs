//! The processes of an installation.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::StageError;

/// A process of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The identity service.
    Identity,
    /// The gateway.
    Gateway,
    /// NPR's register node.
    Npr,
    /// The witness of the audit log.
    Witness,
}

impl Process {
    /// Its name, which its configuration and its log carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gateway => "gateway",
            Self::Npr => "npr",
            Self::Witness => "witness",
        }
    }

    const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity", "serve"],
            Self::Gateway => &["serve"],
            Self::Npr => &["register", "serve"],
            Self::Witness => &["witness", "serve"],
        }
    }
}

/// A process that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Process,
    child: Child,
}

/// How long a process may take to answer, and how often it is asked.
const READY: Duration = Duration::from_secs(60);
const ASK: Duration = Duration::from_millis(30);
/// How long a process may take to end when asked to.
const END: Duration = Duration::from_secs(20);

/// Starts the processes and commands of an installation, each with its log.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) program: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Launcher {
    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn command(&self, name: &'static str) -> Result<Command, StageError> {
        let failed = |source| StageError::Start { process: name, source };
        let log = OpenOptions::new().create(true).append(true).open(self.log(name)).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, name: &'static str, arguments: &[&OsStr]) -> Result<(), StageError> {
        let failed = |source| StageError::Start { process: name, source };
        let status = self.command(name)?.args(arguments).status().await.map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(StageError::Command { command: name, log: self.log(name) })
        }
    }

    /// Starts a process and waits until it answers at `address`, if it listens.
    pub(super) async fn start(
        &self,
        configuration: &Path,
        process: Process,
        address: Option<SocketAddr>,
    ) -> Result<Running, StageError> {
        let name = process.name();
        let failed = |source| StageError::Start { process: name, source };
        let not_ready = || StageError::NotReady { process: name, log: self.log(name) };
        let mut command = self.command(name)?;
        command.args(process.command()).arg("--config").arg(configuration);
        let mut running = Running { process, child: command.spawn().map_err(failed)? };
        let up = async {
            loop {
                if running.child.try_wait().map_err(failed)?.is_some() {
                    return Err(not_ready());
                }
                match address {
                    None => return Ok(()),
                    Some(address) if TcpStream::connect(address).await.is_ok() => return Ok(()),
                    Some(_) => tokio::time::sleep(ASK).await,
                }
            }
        };
        tokio::time::timeout(READY, up).await.map_err(|_| not_ready())??;
        Ok(running)
    }
}

impl Running {
    /// Which process it is.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.process
    }

    /// Its process id, as long as it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end (SIGTERM) and waits; kills it if it does not. True if it ended well by itself.
    pub async fn stop(mut self) -> bool {
        if let Some(id) = self.child.id() {
            let asked = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
            if asked.is_ok_and(|status| status.success())
                && let Ok(Ok(status)) = tokio::time::timeout(END, self.child.wait()).await
            {
                return status.success();
            }
        }
        self.kill().await;
        false
    }

    /// Kills it at once (SIGKILL).
    pub async fn kill(mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill().await;
    }
}

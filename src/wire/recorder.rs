//! A recorder of what crosses a connection, before encryption and after decryption, for the test that
//! looks for identity numbers in it. It exists in debug builds only: with `KPR_RECORD_FRAMES=<folder>`
//! each end of each connection writes one file a direction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, recorded if this is a debug build and recording is asked for.
#[derive(Debug)]
pub struct Recorded<S> {
    stream: S,
    #[cfg(debug_assertions)]
    files: Option<files::Files>,
}

impl<S> Recorded<S> {
    /// Wraps one end of a connection. `end` goes into the file names, for example `server`.
    #[cfg(debug_assertions)]
    pub fn new(stream: S, end: &str) -> Self {
        Self { stream, files: files::Files::open(end) }
    }

    /// Wraps one end of a connection.
    #[cfg(not(debug_assertions))]
    pub const fn new(stream: S, _end: &str) -> Self {
        Self { stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        #[cfg(debug_assertions)]
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        #[cfg(debug_assertions)]
        if let (Some(files), Some(read)) = (&mut self.files, buffer.filled().get(before..)) {
            files.received(read)?;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        #[cfg(debug_assertions)]
        if let (Some(files), Poll::Ready(Ok(count))) = (&mut self.files, &polled) {
            files.sent(bytes.get(..*count).unwrap_or(bytes))?;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(debug_assertions)]
mod files {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write};
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

    #[derive(Debug)]
    pub(super) struct Files {
        received: File,
        sent: File,
    }

    impl Files {
        /// Files for one connection, if recording is asked for. A recorder that cannot write must not
        /// look like a connection without traffic, so each failure is reported.
        pub(super) fn open(end: &str) -> Option<Self> {
            let folder = std::env::var_os("KPR_RECORD_FRAMES")?;
            let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            let file = |direction: &str| {
                let name = format!("{}-{number}-{end}-{direction}.bin", std::process::id());
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600);
                options.open(Path::new(&folder).join(name))
            };
            match (file("received"), file("sent")) {
                (Ok(received), Ok(sent)) => Some(Self { received, sent }),
                _ => {
                    tracing::error!("frames of a connection cannot be recorded");
                    None
                }
            }
        }

        pub(super) fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.received.write_all(bytes)
        }

        pub(super) fn sent(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.sent.write_all(bytes)
        }
    }
}

//! The end of a response: its deadline, or for a subscription the server's shutdown.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tonic::Status;

/// What a call in progress holds, given back when it ends: a place among all calls, and one in its caller's share.
pub(super) type Held = (tokio::sync::OwnedSemaphorePermit, super::shares::Place);

/// A response body that ends with `status` when `end` comes before it has ended by itself.
pub(super) struct Bounded<B> {
    body: B,
    end: BoxFuture<'static, Status>,
    done: bool,
    _held: Held,
}

impl<B> Bounded<B> {
    pub(super) fn new(body: B, end: BoxFuture<'static, Status>, held: Held) -> Self {
        Self { body, end, done: false, _held: held }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Bounded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if let Poll::Ready(status) = self.end.as_mut().poll(cx) {
            self.done = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // The statuses that end a response are fixed ASCII strings, which no header refuses.
    if status.add_header(&mut headers).is_err() {
        headers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    headers
}

/// The status of a call that has taken too long.
pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("access.deadline: the call took longer than its deadline allows")
}

/// The status of a subscription that ends because the server shuts down, or its connection is over.
pub(super) fn shutting_down() -> Status {
    Status::unavailable(
        "server.shutdown: the server is shutting down, or accepts this connection's certificate no longer: connect again",
    )
}

/// The time a client allows for a call: the header `grpc-timeout`, at most eight digits and a unit.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        asked(&headers)
    }

    #[test]
    fn the_header_reads_as_the_specification_writes_it() {
        assert_eq!(header("5S"), Some(Duration::from_secs(5)));
        assert_eq!(header("250m"), Some(Duration::from_millis(250)));
        assert_eq!(header("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "5", "5s", "123456789S", "-1S", "5 S"] {
            assert_eq!(header(wrong), None, "{wrong}");
        }
    }
}

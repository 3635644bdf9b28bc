//! Reads one Arrow IPC stream of one record batch from bytes that a partner sent.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::ipc::reader::StreamReader;
use arrow::ipc::{Message, MessageHeader, root_as_message};
use arrow::record_batch::RecordBatch;

use super::error::LinkageError;

const CONTINUATION: [u8; 4] = [0xff; 4];
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Decodes `bytes`: a schema, one uncompressed record batch, the end mark, and nothing after it.
pub(super) fn decode(bytes: &[u8]) -> Result<RecordBatch, LinkageError> {
    frame(bytes).ok_or(LinkageError::Encoding)?;
    // The reader checks offsets and lengths, but a hostile schema can still make it panic. A panic here
    // is the partner's fault and must look like any other bad batch.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let mut reader = StreamReader::try_new(Cursor::new(bytes), None).ok()?;
        reader.next()?.ok()
    }));
    read.ok().flatten().ok_or(LinkageError::Encoding)
}

/// Walks the messages without decoding them, so that the reader never allocates for a length that a
/// message claims but does not have, and never inflates a compressed body.
fn frame(bytes: &[u8]) -> Option<()> {
    let (schema, rest) = message(bytes)?;
    if schema.header_type() != MessageHeader::Schema || schema.bodyLength() != 0 {
        return None;
    }
    let (batch, rest) = message(rest)?;
    if batch.header_as_record_batch()?.compression().is_some() {
        return None;
    }
    let body = usize::try_from(batch.bodyLength()).ok()?;
    (rest.get(body..)? == END).then_some(())
}

fn message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let (length, rest) = bytes.strip_prefix(&CONTINUATION)?.split_first_chunk::<4>()?;
    let (head, rest) = rest.split_at_checked(usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
    Some((root_as_message(head).ok()?, rest))
}

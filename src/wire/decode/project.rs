//! Project approvals and their signatures.

use super::{FieldError, digest, each, id, present};
use crate::domain::answer::ProjectState;
use crate::domain::approval::{Approval, SignedApproval, StewardSignature};
use crate::domain::canonical::Canonical;
use crate::wire::proto;

/// The most bytes of an approval's canonical encoding.
const MOST_APPROVAL: usize = 256 << 10;
/// The most signatures on an approval.
const MOST_SIGNATURES: usize = 16;

/// An approval in its canonical encoding.
pub(in crate::wire) fn approval(path: &str, bytes: &[u8]) -> Result<Approval, FieldError> {
    if bytes.len() > MOST_APPROVAL {
        return Err(FieldError::new(path, format!("must have at most {MOST_APPROVAL} bytes")));
    }
    Approval::from_canonical(bytes).map_err(|rule| FieldError::new(path, rule))
}

/// A steward's signature. Whether it verifies is for the one who relies on it to say.
pub(in crate::wire) fn steward_signature(
    message: proto::StewardSignature,
) -> Result<StewardSignature, FieldError> {
    if message.signature.len() != 64 {
        return Err(FieldError::new("signature", "must be an Ed25519 signature of 64 bytes"));
    }
    let steward = id("steward", message.steward)?;
    Ok(StewardSignature { steward, signature: hex::encode(message.signature) })
}

fn signed_approval(message: proto::SignedApproval) -> Result<SignedApproval, FieldError> {
    Ok(SignedApproval {
        approval: approval("canonical", &message.canonical)?,
        signatures: each("signatures", message.signatures, MOST_SIGNATURES, steward_signature)?,
    })
}

/// A project, as the gateway answers.
pub(in crate::wire) fn project_state(message: proto::ProjectState) -> Result<ProjectState, FieldError> {
    Ok(ProjectState {
        approval: signed_approval(present("approval", message.approval)?).map_err(|e| e.under("approval"))?,
        digest: digest("approval_digest", &message.approval_digest)?,
        active: message.active,
    })
}

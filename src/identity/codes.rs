//! Linkage codes to persons: the codes of every identifier in the vault are derived anew, on all cores, and
//! looked up among those asked for. A code cannot be turned back, only derived again.

use std::collections::HashMap;
use std::num::NonZero;

use super::index::{Index, Row};
use super::keys::LinkageKey;
use super::vault::{Vault, VaultError};
use crate::domain::ids::PersonNo;
use crate::linkage::LinkageCode;

/// Persons for linkage codes.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped {
    /// A person for each code, in the order asked. From [`PersonNo::FIRST_UNKNOWN`] on, in the order of
    /// first appearance, for codes of no identifier in the vault.
    pub persons: Vec<PersonNo>,
    /// Persons that more than one code led to.
    pub several_numbers: u64,
}

/// Maps `codes`, which were made under `key`.
pub(super) fn map(
    vault: &Vault,
    index: &Index,
    key: &LinkageKey,
    codes: &[LinkageCode],
) -> Result<Mapped, VaultError> {
    // Each distinct code has a slot; the slots hold the persons.
    let mut slots: HashMap<LinkageCode, u32> = HashMap::with_capacity(codes.len());
    let mut places = Vec::with_capacity(codes.len());
    for code in codes {
        let fresh = slots.len() as u32;
        places.push(*slots.entry(*code).or_insert(fresh));
    }
    let found = search(vault, index.rows(), key, &slots)?;

    let mut persons: Vec<Option<PersonNo>> = vec![None; slots.len()];
    let mut reached = Vec::with_capacity(found.len());
    for (slot, person) in found {
        if let Some(place) = persons.get_mut(slot as usize) {
            *place = Some(person);
        }
        reached.push(person);
    }
    reached.sort_unstable();
    let several_numbers = reached.chunk_by(|a, b| a == b).filter(|codes| codes.len() > 1).count() as u64;

    let mut unknown = PersonNo::FIRST_UNKNOWN;
    let persons: Vec<PersonNo> = persons
        .into_iter()
        .map(|person| {
            person.unwrap_or_else(|| {
                let number = PersonNo(unknown);
                unknown += 1;
                number
            })
        })
        .collect();
    let persons = places.into_iter().filter_map(|slot| persons.get(slot as usize).copied()).collect();
    Ok(Mapped { persons, several_numbers })
}

/// The slots whose code is that of an identifier in the vault, with the persons.
fn search(
    vault: &Vault,
    rows: &[Row],
    key: &LinkageKey,
    slots: &HashMap<LinkageCode, u32>,
) -> Result<Vec<(u32, PersonNo)>, VaultError> {
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let part = rows.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = rows
            .chunks(part)
            .map(|rows| {
                scope.spawn(move || {
                    let (mut vault_cipher, mut coder) = (vault.cipher(), key.coder());
                    let mut found = Vec::new();
                    for row in rows {
                        let number = vault_cipher.open(&row.sealed).ok_or(VaultError::Damaged)?;
                        if let Some(&slot) = slots.get(&coder.code(&number)) {
                            found.push((slot, row.person));
                        }
                    }
                    Ok::<_, VaultError>(found)
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| VaultError::Damaged)??);
        }
        Ok(all)
    })
}

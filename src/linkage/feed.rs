//! The persons a register holds, as it has named them by codes, for the feed that it takes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::future::BoxFuture;
use tokio::task::block_in_place;

use super::code::LinkageCode;
use super::error::LinkageError;
use super::link::MappedCodes;
use crate::domain::feed::FeedOrder;
use crate::domain::ids::PersonNo;
use crate::domain::order::KeyedOrder;

/// Asks the identity service for the persons behind the codes of a feed. It sees codes and nothing else.
pub trait FeedMapper: Send + Sync {
    /// The person number of each of `codes`, which are distinct.
    fn map_feed<'a>(
        &'a self,
        order: &'a FeedOrder,
        codes: &'a [LinkageCode],
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>>;
}

/// The persons that a register holds and the identity service knows, each under the register's own code. Made only by
/// [`hold`]; the engine does not take it:
///
/// ```compile_fail,E0451
/// fn forge() -> kpr::linkage::HeldPersons {
///     kpr::linkage::HeldPersons { persons: Default::default(), unknown: 0 }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use kpr::{execute::Engine, linkage::HeldPersons, plan::FeedPlan, registers::Snapshot};
/// async fn all(engine: &Engine, plan: &FeedPlan, held: HeldPersons, snapshot: &Snapshot) {
///     let _ = engine.feed(plan, &held, snapshot).await;
/// }
/// ```
pub struct HeldPersons {
    persons: BTreeMap<PersonNo, LinkageCode>,
    unknown: u64,
}

/// Those of them whose rows the register is given: without persons who are blocked, or have reserved against release with
/// identity. Made only by [`HeldPersons::without`]:
///
/// ```compile_fail,E0451
/// fn forge() -> kpr::linkage::GivenPersons {
///     kpr::linkage::GivenPersons { persons: Default::default() }
/// }
/// ```
pub struct GivenPersons {
    persons: BTreeMap<PersonNo, LinkageCode>,
}

impl HeldPersons {
    /// How many codes are of nobody whom the identity service knows.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Leaves out the persons given.
    #[must_use]
    pub fn without(self, left_out: &HashSet<PersonNo>) -> GivenPersons {
        let mut persons = self.persons;
        persons.retain(|person, _| !left_out.contains(person));
        GivenPersons { persons }
    }
}

impl GivenPersons {
    /// The persons, in the order of their numbers.
    pub fn persons(&self) -> impl Iterator<Item = PersonNo> + Clone + '_ {
        self.persons.keys().copied()
    }

    /// The register's own code of a person.
    #[must_use]
    pub fn code(&self, person: PersonNo) -> Option<LinkageCode> {
        self.persons.get(&person).copied()
    }
}

/// Asks `mapper` once for the persons behind the codes of an order. A person whom the register names by several codes is
/// held under the first of them.
///
/// # Errors
/// [`LinkageError::Identity`] and whatever else the mapper says, [`LinkageError::Mapping`] when its answer does not fit
/// what was asked, [`LinkageError::TooManyRows`] for more codes than the order takes.
///
/// # Panics
/// On a runtime of one thread.
pub async fn hold(
    order: &FeedOrder,
    codes: Vec<LinkageCode>,
    mapper: &dyn FeedMapper,
) -> Result<HeldPersons, LinkageError> {
    if codes.len() as u64 > order.most_codes() {
        return Err(LinkageError::TooManyRows(order.most_codes()));
    }
    // Millions of codes are sorted: not on a thread that others wait for.
    let codes: Vec<LinkageCode> = block_in_place(|| {
        let mut seen = BTreeSet::new();
        codes.into_iter().filter(|code| seen.insert(*code)).collect()
    });
    // A register without persons needs no question.
    if codes.is_empty() {
        return Ok(HeldPersons { persons: BTreeMap::new(), unknown: 0 });
    }
    let mapped = mapper.map_feed(order, &codes).await?.person_no;
    if mapped.len() != codes.len() {
        return Err(LinkageError::Mapping);
    }
    Ok(block_in_place(|| {
        let (mut persons, mut unknown) = (BTreeMap::new(), 0);
        for (person, code) in mapped.into_iter().zip(codes) {
            if person.is_unknown() {
                unknown += 1;
            } else {
                persons.entry(person).or_insert(code);
            }
        }
        HeldPersons { persons, unknown }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feed::tests::order;

    /// Knows codes below 100 by half their first byte, so that 2 and 3 are one person.
    struct Halves(bool);

    impl FeedMapper for Halves {
        fn map_feed<'a>(
            &'a self,
            _: &'a FeedOrder,
            codes: &'a [LinkageCode],
        ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
            let person = |(place, code): (usize, &LinkageCode)| match code.as_bytes()[0] {
                known if known < 100 => PersonNo(u32::from(known / 2)),
                _ => PersonNo(PersonNo::FIRST_UNKNOWN + u32::try_from(place).unwrap()),
            };
            let mut person_no: Vec<_> = codes.iter().enumerate().map(person).collect();
            if self.0 {
                person_no.pop();
            }
            Box::pin(async move { Ok(MappedCodes { person_no, several_numbers: 0, record_keys: None }) })
        }
    }

    fn code(byte: u8) -> LinkageCode {
        LinkageCode::from_bytes([byte; 16])
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn persons_are_held_once_under_the_first_code_and_the_unknown_counted() {
        let order = order(&crate::domain::feed::tests::approval(), "NPR");
        let codes = [3, 200, 2, 3, 8, 201].map(code);
        let held = hold(&order, codes.to_vec(), &Halves(false)).await.ok().unwrap();
        assert_eq!(held.unknown(), 2);
        let given = held.without(&[PersonNo(4), PersonNo(99)].into());
        assert_eq!(given.persons().collect::<Vec<_>>(), [PersonNo(1)]);
        assert_eq!((given.code(PersonNo(1)), given.code(PersonNo(4))), (Some(code(3)), None));
        let short = hold(&order, codes.to_vec(), &Halves(true)).await.err();
        assert_eq!(short, Some(LinkageError::Mapping));
        let few = FeedOrder { max_codes: 5, ..order };
        assert_eq!(
            hold(&few, codes.to_vec(), &Halves(false)).await.err(),
            Some(LinkageError::TooManyRows(5))
        );
    }
}

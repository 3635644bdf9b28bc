//! Whose rows a partner may send: the persons who have consented, or those who have not opted out. All numbers of a
//! person count, and what is unclear is not sent.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::identity::Fnr;

/// A day of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// The list has no such column, or nothing stands there.
    Absent,
    /// A day.
    On(NaiveDate),
    /// Something else.
    Unreadable,
}

/// Whether a line of a list is about the order's project and purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// It is.
    Within,
    /// It names another.
    Outside,
    /// The list has such a column and nothing stands there.
    Unclear,
}

impl Scope {
    /// Whether both of two scopes hold.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Outside, _) | (_, Self::Outside) => Self::Outside,
            (Self::Unclear, _) | (_, Self::Unclear) => Self::Unclear,
            (Self::Within, Self::Within) => Self::Within,
        }
    }
}

/// A line of a list.
pub(super) struct Line {
    pub(super) number: Option<Fnr>,
    pub(super) scope: Scope,
    pub(super) from: Day,
    pub(super) to: Day,
    pub(super) withdrawn: Day,
}

/// Which numbers are one person's.
#[derive(Default)]
pub(super) struct People {
    of: HashMap<Fnr, usize>,
    /// Persons that a number ties together point at one of them.
    same_as: Vec<usize>,
    /// Persons that share a number with another.
    ambiguous: Vec<bool>,
}

impl People {
    fn new_person(&mut self) -> usize {
        self.same_as.push(self.same_as.len());
        self.ambiguous.push(false);
        self.same_as.len() - 1
    }

    fn found(&self, mut person: usize) -> usize {
        while let Some(&next) = self.same_as.get(person).filter(|next| **next != person) {
            person = next;
        }
        person
    }

    fn doubt(&mut self, person: usize) {
        if let Some(ambiguous) = self.ambiguous.get_mut(person) {
            *ambiguous = true;
        }
    }

    /// Adds a number to the person that the last lines were about, or to a new one.
    pub(super) fn link(&mut self, person: Option<usize>, number: Fnr) -> usize {
        match (self.of.get(&number).copied(), person) {
            (None, person) => {
                let person = person.unwrap_or_else(|| self.new_person());
                self.of.insert(number, person);
                person
            }
            (Some(known), None) => {
                let known = self.found(known);
                self.doubt(known);
                known
            }
            (Some(known), Some(person)) => {
                let (known, person) = (self.found(known), self.found(person));
                if known != person {
                    if let Some(place) = self.same_as.get_mut(known) {
                        *place = person;
                    }
                    self.doubt(person);
                }
                person
            }
        }
    }

    fn person(&mut self, number: Fnr) -> usize {
        match self.of.get(&number) {
            Some(&person) => self.found(person),
            None => self.link(None, number),
        }
    }
}

/// Who is left out of an order.
pub(super) struct Standing {
    people: People,
    /// By person: whether the list lets the rows out.
    listed: Vec<bool>,
    /// Whether the rows of persons who are not listed are sent.
    others: bool,
}

/// A line of the list of those who have opted out has no identity number, so that nobody knows whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the opt-out list has no identity number: nobody knows whose rows must be left out")]
pub(super) struct Unreadable;

/// What a person has consented to.
#[derive(Clone, Copy, Default)]
struct Word {
    given: Option<NaiveDate>,
    withdrawn: Option<NaiveDate>,
}

impl Standing {
    /// Nobody is left out.
    pub(super) fn everyone() -> Self {
        Self { people: People::default(), listed: Vec::new(), others: true }
    }

    /// Those who have consented by `today`, and not withdrawn it since. A consent of the day of a withdrawal does not
    /// count: which came first is not known.
    pub(super) fn consented(mut people: People, lines: impl Iterator<Item = Line>, today: NaiveDate) -> Self {
        let mut words: HashMap<usize, Word> = HashMap::new();
        for line in lines {
            // A consent of nobody in particular is nobody's.
            let Some(number) = line.number else { continue };
            let word = words.entry(people.person(number)).or_default();
            let begun = match line.from {
                Day::On(from) if from <= today => Some(from),
                _ => None,
            };
            let ended = match line.to {
                Day::Absent => false,
                Day::On(to) => to < today,
                Day::Unreadable => true,
            };
            match line.withdrawn {
                Day::Absent if line.scope == Scope::Within && !ended => word.given = word.given.max(begun),
                Day::Absent => {}
                _ if line.scope == Scope::Outside => {}
                Day::On(withdrawn) => word.withdrawn = word.withdrawn.max(Some(withdrawn)),
                Day::Unreadable => word.withdrawn = Some(NaiveDate::MAX),
            }
        }
        let mut listed = vec![false; people.same_as.len()];
        for (person, word) in words {
            let clear = people.ambiguous.get(person) == Some(&false);
            if let Some(place) = listed.get_mut(person) {
                *place = clear && word.given > word.withdrawn;
            }
        }
        Self { people, listed, others: false }
    }

    /// Those who have not opted out by `today`.
    pub(super) fn not_opted_out(
        mut people: People,
        lines: impl Iterator<Item = Line>,
        today: NaiveDate,
    ) -> Result<Self, Unreadable> {
        let mut out = Vec::new();
        for line in lines {
            let person = people.person(line.number.ok_or(Unreadable)?);
            let not_yet = matches!(line.from, Day::On(from) if from > today);
            let over = matches!(line.to, Day::On(to) if to < today);
            if line.scope != Scope::Outside && !not_yet && !over {
                out.push(person);
            }
        }
        let mut listed = vec![true; people.same_as.len()];
        for person in out {
            if let Some(place) = listed.get_mut(person) {
                *place = false;
            }
        }
        Ok(Self { people, listed, others: true })
    }

    /// Whether a person's rows are sent.
    pub(super) fn sends(&self, number: &Fnr) -> bool {
        match self.people.of.get(number) {
            None => self.others,
            Some(&person) => self.listed.get(self.people.found(person)).copied().unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linkage::testing::day;

    const A: &str = "30908299996";
    const B: &str = "30908299902";
    const C: &str = "02813200131";

    fn number(text: &str) -> Fnr {
        Fnr::parse(text.as_bytes()).unwrap()
    }

    fn on(text: &str) -> Day {
        if text.is_empty() { Day::Absent } else { Day::On(day(text)) }
    }

    fn line(text: &str, from: &str, to: &str, withdrawn: &str) -> Line {
        let (from, to, withdrawn) = (on(from), on(to), on(withdrawn));
        Line { number: Some(number(text)), scope: Scope::Within, from, to, withdrawn }
    }

    fn today() -> NaiveDate {
        day("2026-03-02")
    }

    /// A and B are one person's.
    fn people() -> People {
        let mut people = People::default();
        let person = people.link(None, number(A));
        people.link(Some(person), number(B));
        people
    }

    fn consented<const N: usize>(lines: [Line; N]) -> [bool; 3] {
        let standing = Standing::consented(people(), lines.into_iter(), today());
        [A, B, C].map(|text| standing.sends(&number(text)))
    }

    fn opted_out<const N: usize>(lines: [Line; N]) -> [bool; 3] {
        let standing = Standing::not_opted_out(people(), lines.into_iter(), today()).unwrap();
        [A, B, C].map(|text| standing.sends(&number(text)))
    }

    #[test]
    fn a_consent_holds_on_its_days_and_under_every_number() {
        assert_eq!(consented([]), [false; 3]);
        assert_eq!(consented([line(A, "2026-03-02", "", "")]), [true, true, false]);
        assert_eq!(consented([line(B, "2020-01-01", "2026-03-02", "")]), [true, true, false]);
        assert_eq!(consented([line(C, "2020-01-01", "", "")]), [false, false, true]);
        for refused in [
            line(A, "", "", ""),
            line(A, "2026-03-03", "", ""),
            line(A, "2020-01-01", "2026-03-01", ""),
            line(A, "2020-01-01", "", "2026-01-01"),
            Line { from: Day::Unreadable, ..line(A, "", "", "") },
            Line { to: Day::Unreadable, ..line(A, "2020-01-01", "", "") },
            Line { withdrawn: Day::Unreadable, ..line(A, "2020-01-01", "", "") },
            Line { scope: Scope::Unclear, ..line(A, "2020-01-01", "", "") },
            Line { scope: Scope::Outside, ..line(A, "2020-01-01", "", "") },
            Line { number: None, ..line(A, "2020-01-01", "", "") },
        ] {
            assert_eq!(consented([refused]), [false; 3]);
        }
    }

    #[test]
    fn a_withdrawal_under_another_number_takes_back_what_was_given_before_it() {
        let withdrawn = |day| line(B, "2020-01-01", "", day);
        assert_eq!(consented([line(A, "2025-01-01", "", ""), withdrawn("2025-06-01")]), [false; 3]);
        assert_eq!(consented([withdrawn("2025-06-01"), line(A, "2025-06-01", "", "")]), [false; 3]);
        assert_eq!(consented([withdrawn("2025-06-01"), line(A, "2025-06-02", "", "")]), [true, true, false]);
        // One about another project does not.
        let other = Line { scope: Scope::Outside, ..withdrawn("2026-01-01") };
        assert_eq!(consented([line(A, "2025-01-01", "", ""), other]), [true, true, false]);
        let unclear = Line { scope: Scope::Unclear, ..withdrawn("2026-01-01") };
        assert_eq!(consented([line(A, "2025-01-01", "", ""), unclear]), [false; 3]);
    }

    #[test]
    fn opting_out_holds_unless_it_is_clearly_over_or_about_something_else() {
        assert_eq!(opted_out([]), [true; 3]);
        for left_out in [
            line(A, "", "", ""),
            line(B, "2026-03-02", "2026-03-02", ""),
            Line { from: Day::Unreadable, to: Day::Unreadable, ..line(A, "", "", "") },
            Line { scope: Scope::Unclear, ..line(A, "", "", "") },
        ] {
            assert_eq!(opted_out([left_out]), [false, false, true]);
        }
        for sent in [
            line(A, "2026-03-03", "", ""),
            line(A, "", "2026-03-01", ""),
            Line { scope: Scope::Outside, ..line(A, "", "", "") },
        ] {
            assert_eq!(opted_out([sent]), [true; 3]);
        }
        let nobody = Line { number: None, ..line(A, "", "", "") };
        assert!(Standing::not_opted_out(people(), [nobody].into_iter(), today()).is_err());
    }

    #[test]
    fn a_number_of_two_persons_has_no_consent_and_both_their_refusals() {
        let shared = || {
            let mut people = people();
            let other = people.link(None, number(C));
            people.link(Some(other), number(B));
            people
        };
        for text in [A, B, C] {
            let given = [line(text, "2020-01-01", "", "")];
            let standing = Standing::consented(shared(), given.into_iter(), today());
            assert!([A, B, C].iter().all(|text| !standing.sends(&number(text))));
            let refused = [line(text, "", "", "")];
            let standing = Standing::not_opted_out(shared(), refused.into_iter(), today()).unwrap();
            assert!([A, B, C].iter().all(|text| !standing.sends(&number(text))));
        }
    }
}

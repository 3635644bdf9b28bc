//! Applications that wait for an answer, and when it is due (KPR regulation 4-8).

use chrono::NaiveDate;

use super::approval::Approval;
use super::ids::{ProjectId, StewardId};
use super::lifecycle::{Application, Life, Preliminary, Stage};
use super::working_days;

/// How many working days there are to answer a complete application.
pub const DAYS: u16 = 30;
/// How many there are if it names registers besides the gateway's own.
pub const DAYS_LINKED: u16 = 60;
/// An answer is due soon if it is due within so many working days.
pub const SOON: u16 = 5;

/// The last day to answer an application: so many working days after the one on which it was complete. Nothing for one
/// that is not complete.
#[must_use]
pub fn due(approval: &Approval, application: &Application) -> Option<NaiveDate> {
    let days = if approval.is_linked() { DAYS_LINKED } else { DAYS };
    working_days::after(application.complete?, days)
}

/// How urgent an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The answer is late, and no preliminary answer names a later day.
    Overdue,
    /// The answer is due within [`SOON`] working days.
    DueSoon,
    /// It is received, and nobody has said whether it is complete.
    ToExamine,
    /// There is time.
    InTime,
    /// A preliminary answer was given, and the likely day it names is yet to come.
    Answered,
    /// Documents are missing; no period runs.
    WaitingForDocuments,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Self; 6] = [
        Self::Overdue,
        Self::DueSoon,
        Self::ToExamine,
        Self::InTime,
        Self::Answered,
        Self::WaitingForDocuments,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::DueSoon => "due_soon",
            Self::ToExamine => "to_examine",
            Self::InTime => "in_time",
            Self::Answered => "preliminary_answer_given",
            Self::WaitingForDocuments => "waiting_for_documents",
        }
    }
}

/// Who must act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acts {
    /// The applicant, who has to send what is missing.
    Applicant,
    /// A steward, who has to say whether the application is complete.
    Steward,
    /// Two stewards, who have to sign or to reject.
    TwoStewards,
    /// Another steward than this one, who has signed.
    StewardBeside(StewardId),
}

/// An application on the worklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkItem {
    /// The project.
    pub project: ProjectId,
    /// The version applied for.
    pub version: u32,
    /// The title of the project.
    pub title: String,
    /// The day it was received.
    pub received: NaiveDate,
    /// The day it was complete.
    pub complete: Option<NaiveDate>,
    /// The last day to answer.
    pub due: Option<NaiveDate>,
    /// The last preliminary answer.
    pub preliminary: Option<Preliminary>,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Who must act.
    pub acts: Acts,
}

/// A project's open application as the worklist has it today; nothing if there is none. `approval` is the version that is
/// applied for.
#[must_use]
pub fn item(approval: &Approval, life: &Life, today: NaiveDate) -> Option<WorkItem> {
    let application = life.open().filter(|open| open.version == approval.version)?;
    let due = due(approval, application);
    let acts = match &application.stage {
        Stage::Incomplete => Acts::Applicant,
        Stage::Complete => Acts::TwoStewards,
        Stage::Signed(steward) => Acts::StewardBeside(steward.clone()),
        _ => Acts::Steward,
    };
    let answered = application.preliminary.as_ref().is_some_and(|answer| today <= answer.likely);
    let soon = |due: NaiveDate| working_days::after(today, SOON).is_none_or(|soon| due <= soon);
    let urgency = match (&application.stage, due) {
        (Stage::Incomplete, _) => Urgency::WaitingForDocuments,
        (_, None) => Urgency::ToExamine,
        _ if answered => Urgency::Answered,
        (_, Some(due)) if due < today => Urgency::Overdue,
        (_, Some(due)) if soon(due) => Urgency::DueSoon,
        (_, Some(_)) => Urgency::InTime,
    };
    Some(WorkItem {
        project: approval.project.clone(),
        version: approval.version,
        title: approval.title.clone(),
        received: application.received,
        complete: application.complete,
        due,
        preliminary: application.preliminary.clone(),
        urgency,
        acts,
    })
}

#[cfg(test)]
mod tests {
    use super::super::approval::tests::example;
    use super::super::lifecycle::Step;
    use super::super::words::Words;
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn steps(steps: &[Step], today: &str) -> Life {
        steps.iter().fold(Life::default(), |life, step| life.after(step, day(today)).unwrap())
    }

    /// The clock moves on over one application, to which nobody answers.
    #[test]
    fn an_application_becomes_urgent_as_time_passes() {
        let linked = example();
        let mut own = example();
        own.grants.retain(|grant| grant.register.as_str() == Approval::OWN_REGISTER);
        assert!(linked.is_linked() && !own.is_linked());
        let received = Step::Received { version: 1, day: day("2026-02-20") };
        let complete = Step::Complete { version: 1, day: day("2026-03-02") };
        let life = steps(&[received.clone(), complete], "2026-03-02");
        // Over Easter (2 to 6 April): 30 working days after 2 March are 16 April, 60 are 2 June, with 1, 14 and 25 May
        // between them.
        let at = |approval: &Approval, on: &str| item(approval, &life, day(on)).unwrap();
        assert_eq!(at(&own, "2026-03-02").due, Some(day("2026-04-16")));
        for (on, urgency) in [
            ("2026-03-02", Urgency::InTime),
            ("2026-04-08", Urgency::InTime),
            ("2026-04-09", Urgency::DueSoon),
            ("2026-04-16", Urgency::DueSoon),
            ("2026-04-17", Urgency::Overdue),
        ] {
            assert_eq!(at(&own, on).urgency, urgency, "{on}");
        }
        assert_eq!(at(&linked, "2026-04-17").urgency, Urgency::InTime);
        assert_eq!(at(&linked, "2026-04-17").due, Some(day("2026-06-02")));
        assert_eq!(at(&own, "2026-03-02").acts, Acts::TwoStewards);

        // A preliminary answer holds until the day it names.
        let answer = Step::Preliminary {
            version: 1,
            reason: Words::new("illness").unwrap(),
            likely: day("2026-05-04"),
        };
        let life = life.after(&answer, day("2026-04-17")).unwrap();
        let at = |on: &str| item(&own, &life, day(on)).unwrap();
        assert_eq!(
            (at("2026-05-04").urgency, at("2026-05-05").urgency),
            (Urgency::Answered, Urgency::Overdue)
        );
        assert_eq!(at("2026-05-04").preliminary.unwrap().reason.as_str(), "illness");
    }

    #[test]
    fn who_must_act() {
        let received = Step::Received { version: 1, day: day("2026-02-20") };
        let of = |more: &[Step]| {
            let life = steps(&[std::slice::from_ref(&received), more].concat(), "2026-03-02");
            item(&example(), &life, day("2026-03-02")).map(|item| (item.urgency, item.acts))
        };
        let missing = Step::Incomplete { version: 1, missing: Words::new("the REK letter").unwrap() };
        let complete = Step::Complete { version: 1, day: day("2026-03-02") };
        let [anna, bjorn] = ["anna", "bjorn"].map(|name| StewardId::new(name).unwrap());
        let signed = |steward: &StewardId| Step::Signed { version: 1, steward: steward.clone() };
        assert_eq!(of(&[]), Some((Urgency::ToExamine, Acts::Steward)));
        assert_eq!(of(std::slice::from_ref(&missing)), Some((Urgency::WaitingForDocuments, Acts::Applicant)));
        let once = [missing, complete, signed(&anna)];
        assert_eq!(of(&once), Some((Urgency::InTime, Acts::StewardBeside(anna))));
        assert_eq!(of(&[once.as_slice(), &[signed(&bjorn)]].concat()), None);
    }
}

//! Projects, worklists and cost statements on the terminal.

use comfy_table::{CellAlignment, Table};
use kpr::domain::answer::ProjectState;
use kpr::domain::cost::Statement;
use kpr::domain::lifecycle::StepFields;
use kpr::domain::words::Words;
use kpr::domain::worklist::{Acts, WorkItem};

/// A project in a few lines.
pub fn state(state: &ProjectState) {
    println!("project    {}", state.approval.approval.project);
    println!("version    {}", state.approval.approval.version);
    println!("tier       {}", state.approval.approval.tier.as_str());
    if let Some(terms) = &state.approval.approval.indirect {
        println!("interest   {}", terms.interest);
        for condition in &terms.conditions {
            println!("condition  {condition}");
        }
    }
    println!("digest     {}", state.digest);
    println!("signed by  {}", signed_by(state));
    println!("due        {}", or(state.due, "not complete yet"));
    println!("standing   {}", state.standing.as_str());
    println!("in force   {}", state.in_force.map_or("no version".to_owned(), |v| format!("version {v}")));
}

/// What was recorded of it.
pub fn history(state: &ProjectState) {
    let mut table = Table::new();
    table.set_header(["recorded", "by", "step", "version", "day", "text"]);
    for recorded in &state.history {
        let StepFields { kind, version, day, words, .. } = recorded.step.fields();
        table.add_row([
            recorded.at.format("%Y-%m-%d %H:%M").to_string(),
            recorded.by.to_string(),
            kind,
            or(version, ""),
            or(day, ""),
            or(words, ""),
        ]);
    }
    println!("{table}");
}

/// All projects.
pub fn list(states: &[ProjectState]) {
    let mut table = Table::new();
    table.set_header(["project", "version", "title", "valid to", "signatures", "in force", "standing"]);
    for state in states {
        let approval = &state.approval.approval;
        table.add_row([
            approval.project.to_string(),
            approval.version.to_string(),
            approval.title.clone(),
            approval.valid.to().to_string(),
            signed_by(state),
            or(state.in_force, ""),
            state.standing.as_str().to_owned(),
        ]);
    }
    println!("{table}");
}

/// The applications that wait for an answer.
pub fn worklist(items: &[WorkItem]) {
    let mut table = Table::new();
    table.set_header([
        "project",
        "version",
        "title",
        "received",
        "complete",
        "due",
        "state",
        "who must act",
        "preliminary answer",
    ]);
    for item in items {
        let acts = match &item.acts {
            Acts::Applicant => "the applicant: documents are missing".to_owned(),
            Acts::Steward => "a steward: is it complete?".to_owned(),
            Acts::TwoStewards => "two stewards: sign or reject".to_owned(),
            Acts::StewardBeside(signed) => format!("another steward than {signed}: sign or reject"),
        };
        let answer = item.preliminary.as_ref();
        table.add_row([
            item.project.to_string(),
            item.version.to_string(),
            item.title.clone(),
            item.received.to_string(),
            or(item.complete, ""),
            or(item.due, ""),
            item.urgency.as_str().replace('_', " "),
            acts,
            answer.map_or(String::new(), |answer| format!("likely {}: {}", answer.likely, answer.reason)),
        ]);
    }
    println!("{table}");
}

/// A cost statement.
pub fn cost(statement: &Statement) {
    println!("project    {}", statement.project);
    println!("made       {}", statement.made.format("%Y-%m-%d %H:%M"));
    println!(
        "rates      {} kr an hour, {} kr a machine hour\n",
        kroner(statement.rates.ore_an_hour.into()),
        kroner(statement.rates.ore_a_machine_hour.into())
    );
    let mut table = Table::new();
    table.set_header(["day", "what", "amount", "kr"]);
    for line in &statement.hours {
        let texts: Vec<&str> = line.what.iter().map(Words::as_str).collect();
        let what = format!("{}: {}", line.steward, texts.join("; "));
        table.add_row([line.day.to_string(), what, format!("{} min", line.minutes), kroner(line.ore)]);
    }
    for line in &statement.machine {
        let what =
            if line.charged { line.run.to_string() } else { format!("{} (failed, not charged)", line.run) };
        let amount = format!("{} ms", line.work.microseconds() / 1000);
        table.add_row([line.day.to_string(), what, amount, kroner(line.ore)]);
    }
    table.add_row([String::new(), "in all".to_owned(), String::new(), kroner(statement.ore)]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

fn kroner(ore: u64) -> String {
    format!("{}.{:02}", ore / 100, ore % 100)
}

fn or<T: ToString>(value: Option<T>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), |value| value.to_string())
}

fn signed_by(state: &ProjectState) -> String {
    let names: Vec<_> = state.approval.signatures.iter().map(|s| s.steward.as_str()).collect();
    if names.is_empty() { "nobody yet".to_owned() } else { names.join(", ") }
}

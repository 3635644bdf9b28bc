//! The query tree.

use super::{FieldError, date, each, id, is_plain, present, rho, text};
use crate::domain::period::Period;
use crate::domain::query::{Answer, By, Cohort, Condition, Outcome, OutcomeValue, Query, Statistic};
use crate::wire::proto;

/// The most conditions of one cohort or outcome.
const MOST_CONDITIONS: usize = 20;
/// The most bytes of a code.
const MOST_CODE: usize = 64;

/// A query. Whether the names in it exist is for the plan to say.
pub(in crate::wire) fn query(message: proto::Query) -> Result<Query, FieldError> {
    Ok(Query {
        project: id("project", message.project)?,
        title: text("title", message.title, 200)?,
        cohort: cohort(present("cohort", message.cohort)?).map_err(|e| e.under("cohort"))?,
        outcomes: each("outcomes", message.outcomes, Query::MOST_OUTCOMES, outcome)?,
        by: each("by", message.by, Query::MOST_DIMENSIONS, by)?,
        min_persons: message.min_persons,
        privacy_loss: message.privacy_loss.map(|text| rho("privacy_loss", &text)).transpose()?,
        result: answer("result", message.result)?,
    })
}

fn answer(path: &str, number: i32) -> Result<Answer, FieldError> {
    match proto::Answer::try_from(number) {
        Ok(proto::Answer::Table) => Ok(Answer::Table),
        Ok(proto::Answer::Microdata) => Ok(Answer::Microdata),
        Ok(proto::Answer::Feed) => Err(FieldError::new(
            path,
            "must be a table or microdata; a feed is taken by the node of the register, and no query asks for it",
        )),
        Err(_) => Err(FieldError::new(path, "must be a table or microdata")),
    }
}

fn cohort(message: proto::Cohort) -> Result<Cohort, FieldError> {
    Ok(Cohort {
        register: id("register", message.register)?,
        dataset: id("dataset", message.dataset)?,
        conditions: each("where", message.r#where, MOST_CONDITIONS, condition)?,
        index_date: id("index_date", message.index_date)?,
        period: period(present("period", message.period)?).map_err(|e| e.under("period"))?,
    })
}

fn outcome(message: proto::Outcome) -> Result<Outcome, FieldError> {
    Ok(Outcome {
        name: id("name", message.name)?,
        register: id("register", message.register)?,
        dataset: id("dataset", message.dataset)?,
        conditions: each("where", message.r#where, MOST_CONDITIONS, condition)?,
        date: id("date", message.date)?,
        within_days: u16::try_from(message.within_days)
            .map_err(|_| FieldError::new("within_days", format!("must be from 0 to {}", u16::MAX)))?,
        value: message.value.map(outcome_value).transpose().map_err(|e| e.under("value"))?,
    })
}

fn outcome_value(message: proto::OutcomeValue) -> Result<OutcomeValue, FieldError> {
    use proto::outcome_value::Statistic as Name;
    let statistic = match message.statistic() {
        Name::Sum => Statistic::Sum,
        Name::Mean => Statistic::Mean,
        Name::LowerQuartile => Statistic::LowerQuartile,
        Name::Median => Statistic::Median,
        Name::UpperQuartile => Statistic::UpperQuartile,
        Name::Unspecified => {
            return Err(FieldError::new("statistic", "must be a statistic that this version knows"));
        }
    };
    let proto::OutcomeValue { of, low, high, events, .. } = message;
    Ok(OutcomeValue { of: id("of", of)?, statistic, low, high, events })
}

fn condition(message: proto::Condition) -> Result<Condition, FieldError> {
    let variable = id("variable", message.variable)?;
    if message.r#in.is_empty() {
        return Err(FieldError::new("in", "must have at least one value"));
    }
    let any_of = each("in", message.r#in, Query::MOST_VALUES, |value| {
        let fits = (1..=MOST_CODE).contains(&value.len()) && is_plain(&value);
        let rule = "must be a code of 1-64 bytes without a run of eleven digits";
        if fits { Ok(value) } else { Err(FieldError::new("value", rule)) }
    })?;
    Ok(Condition { variable, any_of })
}

fn period(message: proto::Period) -> Result<Period, FieldError> {
    let (from, to) = (date("from", &message.from)?, date("to", &message.to)?);
    Period::new(from, to).map_err(|rule| FieldError::new("to", rule))
}

fn by(message: proto::By) -> Result<By, FieldError> {
    Ok(By { variable: id("variable", message.variable)?, code_list: id("code_list", message.code_list)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canonical::Canonical;
    use crate::wire::encode;

    fn sample() -> Query {
        let text = r#"{"project":"P-2026-0001","title":"Follow-up","cohort":{"register":"NPR","dataset":"episode","where":[{"variable":"omsorgsniva","in":["1"]}],"index_date":"utdato","period":{"from":"2024-01-01","to":"2024-12-31"}},"outcomes":[{"name":"gp_30","register":"KPR","dataset":"kuhr_contact","where":[],"date":"dato","within_days":30},{"name":"refunds","register":"KPR","dataset":"kuhr_contact","where":[],"date":"dato","within_days":30,"value":{"of":"refusjon_ore","statistic":"median","low":-5,"high":100000,"events":10}}],"by":[{"variable":"sex","code_list":"sex"}],"min_persons":10,"privacy_loss":"0.01"}"#;
        Query::from_canonical(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_query_survives_the_wire() {
        assert_eq!(query(encode::query(&sample())), Ok(sample()));
        let records = Query { result: Answer::Microdata, ..sample() };
        assert_eq!(query(encode::query(&records)), Ok(records));
    }

    #[test]
    fn an_error_names_the_field_and_the_rule_but_not_the_value() {
        let mut message = encode::query(&sample());
        message.outcomes[0].r#where =
            vec![proto::Condition { variable: "fnr".to_owned(), r#in: vec!["02813299997".to_owned()] }];
        let error = query(message).unwrap_err().to_string();
        assert!(error.starts_with("outcomes[0].where[0].in[0].value: "), "{error}");
        assert!(!error.contains("02813299997"));

        let mut message = encode::query(&sample());
        message.cohort.as_mut().unwrap().period.as_mut().unwrap().to = "2024-2-30".to_owned();
        assert!(query(message).unwrap_err().to_string().starts_with("cohort.period.to: "));
    }

    #[test]
    fn what_is_left_out_or_too_much_is_refused() {
        let refused = |change: &dyn Fn(&mut proto::Query), path: &str| {
            let mut message = encode::query(&sample());
            change(&mut message);
            assert!(query(message).unwrap_err().to_string().starts_with(path), "{path}");
        };
        refused(&|q| q.cohort = None, "cohort: ");
        refused(&|q| q.title.clear(), "title: ");
        refused(&|q| q.title = "about 02813299997".to_owned(), "title: ");
        refused(&|q| q.project = String::new(), "project: ");
        refused(&|q| q.outcomes = vec![q.outcomes[0].clone(); 9], "outcomes: ");
        refused(&|q| q.by = vec![q.by[0].clone(); 6], "by: ");
        refused(&|q| q.privacy_loss = Some("-1".to_owned()), "privacy_loss: ");
        refused(&|q| q.result = 2, "result: ");
        refused(&|q| q.outcomes[0].within_days = 1 << 16, "outcomes[0].within_days: ");
        refused(&|q| q.outcomes[1].value.as_mut().unwrap().statistic = 0, "outcomes[1].value.statistic: ");
        refused(
            &|q| q.outcomes[1].value.as_mut().unwrap().of = "02813299997".to_owned(),
            "outcomes[1].value.of: ",
        );
        refused(&|q| q.cohort.as_mut().unwrap().r#where[0].r#in.clear(), "cohort.where[0].in: ");
        refused(
            &|q| q.cohort.as_mut().unwrap().r#where[0].r#in = vec!["1".to_owned(); 1001],
            "cohort.where[0].in: ",
        );
    }
}

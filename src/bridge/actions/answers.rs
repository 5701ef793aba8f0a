//! What people answer to an agent's questions: by button, by form, and in words. Pure.

use crate::domain::gate::{Ask, Decision, Question};

/// The option of a card's button.
pub(super) fn choose(ask: &Ask, index: usize) -> Option<Decision> {
    let Ask::Questions { questions } = ask else { return None };
    let [question] = questions.as_slice() else { return None };
    let label = question.options.get(index)?.label.clone();
    Some(Decision::Answers { answers: vec![(question.id.clone(), vec![label])] })
}

/// A card's form has, for question `i`, the field `q{i}` (the chosen option's 0-based index) and `t{i}` (typed words,
/// which win). An empty field is a question left open, and all open is no answer.
pub(super) fn from_form(ask: &Ask, form: &[(String, String)]) -> Option<Decision> {
    let Ask::Questions { questions } = ask else { return None };
    let answers: Vec<(String, Vec<String>)> = questions
        .iter()
        .enumerate()
        .filter_map(|(index, question)| {
            let chosen = || {
                question
                    .options
                    .get(field(form, &format!("q{index}"))?.parse::<usize>().ok()?)
                    .map(|option| option.label.clone())
            };
            let answer = field(form, &format!("t{index}")).map(str::to_owned).or_else(chosen)?;
            Some((question.id.clone(), vec![answer]))
        })
        .collect();
    (!answers.is_empty()).then_some(Decision::Answers { answers })
}

/// What a form's field holds, if anything.
pub(super) fn field<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    form.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// A typed answer to a question: an option's number, or free text.
pub fn typed_answer(ask: &Ask, text: &str) -> Option<Decision> {
    let Ask::Questions { questions } = ask else { return None };
    let [question] = questions.as_slice() else { return None };
    Some(Decision::Answers { answers: vec![(question.id.clone(), vec![typed(question, text)?])] })
}

/// Typed answers to all questions of a card, in their order: an empty one leaves its question open, all open or one
/// that is none is no answer.
pub fn typed_answers(ask: &Ask, texts: &[String]) -> Option<Decision> {
    let Ask::Questions { questions } = ask else { return None };
    if texts.len() > questions.len() {
        return None;
    }
    let mut answers = Vec::new();
    for (question, text) in questions.iter().zip(texts).filter(|(_, text)| !text.trim().is_empty()) {
        answers.push((question.id.clone(), vec![typed(question, text)?]));
    }
    (!answers.is_empty()).then_some(Decision::Answers { answers })
}

fn typed(question: &Question, text: &str) -> Option<String> {
    let number = text.trim().parse::<usize>().ok().filter(|n| (1..=question.options.len()).contains(n));
    let answer = match number {
        Some(number) => question.options[number - 1].label.clone(),
        None if accepts_text(question) => text.trim().to_owned(),
        None => question.options.iter().find(|option| option.label.eq_ignore_ascii_case(text.trim()))?.label.clone(),
    };
    (!answer.is_empty()).then_some(answer)
}

fn accepts_text(question: &Question) -> bool {
    question.free_text || question.options.is_empty()
}

/// Splits a decision into what may be stored and, where it holds secrets, the whole of it.
pub(super) fn without_secrets(ask: &Ask, decision: Decision) -> (Decision, Option<Decision>) {
    let (Ask::Questions { questions }, Decision::Answers { answers }) = (ask, &decision) else {
        return (decision, None);
    };
    if !questions.iter().any(|question| question.secret) {
        return (decision, None);
    }
    let stored = answers
        .iter()
        .map(|(id, values)| {
            let secret = questions.iter().any(|question| question.id == *id && question.secret);
            (id.clone(), if secret { vec!["***".to_owned()] } else { values.clone() })
        })
        .collect();
    (Decision::Answers { answers: stored }, Some(decision))
}

//! The oracle behind the fault tests sees each kind of mistake.

use std::time::Duration;

use carla_rl::wire::Code;

use crate::common::{
    echo,
    oracle::{Answer, Oracle, Verdict},
};

const NOW: Duration = Duration::from_millis(5);

/// The verdict on two requests, a good one and a bad one, and these answers.
fn verdict(answers: &[(usize, Answer)]) -> Verdict {
    let mut oracle = Oracle::new(3);
    oracle.asked(Duration::ZERO, true);
    oracle.asked(Duration::from_millis(1), false);
    for (number, answer) in answers {
        oracle.hear(*number, answer.clone(), NOW);
    }
    oracle.close()
}

fn action(id: u32) -> Answer {
    Answer::Action { id, action: echo::action(id) }
}

#[test]
fn the_right_answers_are_neither_wrong_nor_missing() {
    let id = Oracle::new(3).id(0);
    let verdict = verdict(&[(0, action(id)), (1, Answer::Error(Code::Malformed))]);
    assert_eq!((verdict.sent, verdict.ok, verdict.errors["malformed"]), (2, 1, 1));
    assert!(verdict.is_sound() && verdict.unanswered == 0, "{verdict:?}");
}

#[test]
fn answers_that_belong_to_another_request_are_wrong() {
    let id = Oracle::new(3).id(0);
    let swapped = Answer::Action { id, action: echo::action(id + 1) };
    let unreadable = Answer::Unreadable("?".into());
    let blamed = Answer::Error(Code::Malformed);
    for answer in [action(id + 1), swapped, unreadable, blamed] {
        assert_eq!(verdict(&[(0, answer.clone())]).wrong, 1, "{answer:?}");
    }
    assert_eq!(verdict(&[(1, action(id + 1))]).wrong, 1, "a bad request gets no action");
    assert_eq!(verdict(&[(2, action(id + 2))]).wrong, 1, "nobody asked that");
}

#[test]
fn a_further_answer_is_one_too_many_and_a_missing_one_is_unanswered() {
    let id = Oracle::new(3).id(0);
    let verdict = verdict(&[(0, action(id)), (0, Answer::NoResponders)]);
    assert_eq!((verdict.ok, verdict.twice, verdict.unanswered), (1, 1, 1));
    assert_eq!(verdict.last_unanswered, Some(Duration::from_millis(1)));
}

#[test]
fn a_request_that_is_given_up_makes_room_and_may_still_be_answered() {
    let mut oracle = Oracle::new(0);
    oracle.asked(Duration::ZERO, true);
    oracle.asked(NOW, true);
    oracle.give_up(NOW);
    assert_eq!(oracle.open(), 1);
    oracle.hear(0, action(0), NOW);
    assert_eq!(oracle.open(), 1);
    assert_eq!(oracle.close().unanswered, 1);
}

//! Requests to the game, and its answers, as messages.

use std::collections::VecDeque;

use amphi_shared_replica::{Request, decode_message, encode_message};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::REQUESTS_OPEN_MAX;
use bevy_app::{App, PostUpdate, PreUpdate};
use bevy_ecs::prelude::{IntoScheduleConfigs, Message, MessageReader, MessageWriter, Res, ResMut, Resource};

use crate::news::{News, RawAnswer};
use crate::plugin::{AmphiSystems, GameOf, Requester};

/// Asks the game for something. Write it with `MessageWriter<Ask<R>>`; [`Answered<R>`] follows.
#[derive(Clone, Copy, Debug, Message, PartialEq, Eq)]
pub struct Ask<R: Request>(pub R);

/// The game's answer. Read it with `MessageReader<Answered<R>>`.
#[derive(Clone, Copy, Debug, Message, PartialEq, Eq)]
pub struct Answered<R: Request>
where
    R::Answer: Send + Sync + 'static,
{
    /// What was asked.
    pub request: R,
    /// The answer, or why there is none: [`Code::help`] says what to do.
    pub answer: Result<R::Answer, Code>,
}

/// Registration of what a client asks.
pub trait AskApp {
    /// Sends each [`Ask<R>`], and writes an [`Answered<R>`] for each of them.
    fn ask<R: Request + Clone>(&mut self) -> &mut Self
    where
        R::Answer: Send + Sync + 'static;
}

/// Requests without an answer, oldest first.
#[derive(Resource)]
struct Open<R: Request>(VecDeque<(u32, R)>);

impl AskApp for App {
    fn ask<R: Request + Clone>(&mut self) -> &mut Self
    where
        R::Answer: Send + Sync + 'static,
    {
        self.insert_resource(Open::<R>(VecDeque::new()));
        self.add_message::<News>().add_message::<RawAnswer>().add_message::<Ask<R>>().add_message::<Answered<R>>();
        self.add_systems(PreUpdate, answer::<R>.in_set(AmphiSystems::Read));
        self.add_systems(PostUpdate, ask::<R>.in_set(AmphiSystems::Send))
    }
}

fn ask<R: Request + Clone>(
    (game, requester): (Option<Res<'_, GameOf>>, Option<Res<'_, Requester>>),
    mut asks: MessageReader<'_, '_, Ask<R>>,
    mut open: ResMut<'_, Open<R>>,
    mut answers: MessageWriter<'_, Answered<R>>,
) where
    R::Answer: Send + Sync + 'static,
{
    for Ask(request) in asks.read() {
        let kind = game.as_ref().and_then(|game| game.0.schema().request(R::NAME));
        let sent = match (kind, &requester) {
            (None, _) => Err(Code::RequestInvalid),
            (Some(_), _) if open.0.len() >= REQUESTS_OPEN_MAX => Err(Code::RateLimited),
            (Some(kind), Some(requester)) => {
                (requester.0)(kind, encode_message(request).into()).ok_or(Code::Unavailable)
            }
            (Some(_), None) => Err(Code::Unavailable),
        };
        match sent {
            Ok(id) => open.0.push_back((id, request.clone())),
            Err(code) => {
                answers.write(Answered { request: request.clone(), answer: Err(code) });
            }
        }
    }
}

fn answer<R: Request>(
    mut news: MessageReader<'_, '_, News>,
    mut raw: MessageReader<'_, '_, RawAnswer>,
    mut open: ResMut<'_, Open<R>>,
    mut answers: MessageWriter<'_, Answered<R>>,
) where
    R::Answer: Send + Sync + 'static,
{
    for RawAnswer { request, answer } in raw.read() {
        let asked = open.0.iter().position(|(id, _)| id == request).and_then(|at| open.0.remove(at));
        let Some((_, request)) = asked else { continue };
        let answer = answer.as_ref().map_err(|code| *code);
        let answer = answer.and_then(|body| decode_message(body).map_err(|_| Code::MessageInvalid));
        answers.write(Answered { request, answer });
    }
    if news.read().any(News::is_last) {
        // Nobody is left to answer.
        for (_, request) in open.0.drain(..) {
            answers.write(Answered { request, answer: Err(Code::Unavailable) });
        }
    }
}

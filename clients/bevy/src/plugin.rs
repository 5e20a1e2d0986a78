//! The plugin and its systems.

use amphi_shared_replica::{Game, Input, RowWriter};
use bevy_app::{App, Plugin, PostUpdate, PreUpdate};
use bevy_ecs::prelude::{Component, IntoScheduleConfigs, Mut, Res, Resource, SystemSet, World};
use bytes::Bytes;

use crate::Invitation;
use crate::driver::Driver;
use crate::link::{MatchLink, Phase};
use crate::news::{News, RawAnswer, RawSaid, Told};
use crate::show::Shown;

/// Connects an app to matches of one game. `I` is the game's input type.
///
/// Each frame it makes the app's entities what the match shows: one entity per networked entity with its
/// [`NetId`](amphi_shared_replica::NetId), its [`Seat`](amphi_shared_replica::Seat) if it has one, and the components that the
/// game replicates. Those of the own entity, marked [`Own`], are predicted; all others are interpolated.
/// It despawns what is gone or out of sight. To draw more, add components of your own to these entities, or children.
pub struct AmphiClientPlugin<I: Input> {
    game: Game,
    first: Option<Invitation>,
    _input: std::marker::PhantomData<fn(I)>,
}

/// Where the plugin's systems run. Everything is up to date after [`Self::Read`], so in `Update`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, SystemSet)]
pub enum AmphiSystems {
    /// In `PreUpdate`: entities and [`News`] are written.
    Receive,
    /// In `PreUpdate`, after [`Self::Receive`]: `Heard` and `Answered` are written.
    Read,
    /// In `PostUpdate`: [`PlayerInput`] and `Ask` are read.
    Send,
}

/// What the player wants. It is sent with every tick until it is another.
#[derive(Clone, Debug, Default, PartialEq, Resource)]
pub struct PlayerInput<I: Input>(pub I);

/// The entity of the own seat.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own;

/// The game of this client.
#[derive(Resource)]
pub(crate) struct GameOf(pub(crate) Game);

/// Sends a kind and body, and gives the number of the request.
type SendRequest = dyn Fn(u32, Bytes) -> Option<u32> + Send + Sync;

/// Sends requests without knowing the input type.
#[derive(Resource)]
pub(crate) struct Requester(pub(crate) Box<SendRequest>);

/// The thread behind it all.
#[derive(Resource)]
struct Connection<I: Input>(Driver<I>);

impl<I: Input> AmphiClientPlugin<I> {
    /// A client of the game that this plugin makes, as `amphi::run` names it. It joins nothing yet, see [`Self::joining`] and
    /// [`MatchLink::join`].
    pub fn new<P: Plugin + Clone + Send + Sync + 'static>(game: P) -> Self {
        Self::of(Game::of(game))
    }

    /// A client of a game with a name or version of its own.
    pub fn of(game: Game) -> Self {
        Self { game, first: None, _input: std::marker::PhantomData }
    }

    /// Joins this match as soon as the app starts.
    #[must_use]
    pub fn joining(mut self, invitation: Invitation) -> Self {
        self.first = Some(invitation);
        self
    }
}

impl<I: Input> Plugin for AmphiClientPlugin<I> {
    fn build(&self, app: &mut App) {
        app.init_resource::<PlayerInput<I>>()
            .insert_resource(GameOf(self.game.clone()))
            .insert_resource(Shown::new(RowWriter::new(&self.game)))
            .add_message::<News>()
            .add_message::<RawSaid>()
            .add_message::<RawAnswer>()
            .configure_sets(PreUpdate, (AmphiSystems::Receive, AmphiSystems::Read).chain())
            .add_systems(PreUpdate, receive::<I>.in_set(AmphiSystems::Receive))
            .add_systems(PostUpdate, send::<I>.in_set(AmphiSystems::Send));
        match Driver::<I>::start(self.game.clone()) {
            Ok(driver) => {
                let shared = driver.shared().clone();
                app.insert_resource(Requester(Box::new(move |kind, body| shared.request(kind, body))));
                let link = MatchLink::new(Some(driver.commands()));
                if let Some(invitation) = self.first.clone() {
                    // The queue is empty: this is its first.
                    link.join(invitation);
                }
                app.insert_resource(link).insert_resource(Connection(driver));
            }
            Err(error) => {
                app.insert_resource(MatchLink::new(None));
                let message = format!("no thread for the network: {error}. Close other programs and start again.");
                app.world_mut().write_message(News::Failed { message });
            }
        }
    }
}

/// Makes entities and messages of what the thread has.
fn receive<I: Input>(world: &mut World) {
    let Some(shared) = world.get_resource::<Connection<I>>().map(|connection| connection.0.shared().clone()) else {
        return;
    };
    let told = {
        let mut state = shared.lock();
        let state = &mut *state;
        world.resource_scope(|world, mut shown: Mut<'_, Shown>| {
            shown.begin(world, state.joins);
            if let Some(player) = &mut state.player {
                let now = player.now();
                let client = player.client();
                shown.show(world, client.own_id(), client.shown_rows(now));
            }
        });
        let mut link = world.resource_mut::<MatchLink>();
        link.dropped = state.dropped;
        link.phase = match &mut state.player {
            None => {
                (link.seat, link.rtt) = (None, None);
                if state.dialling { Phase::Dialling } else { Phase::Idle }
            }
            Some(player) => {
                let client = player.client();
                link.seat = client.seat();
                link.rtt = client.session().rtt();
                link.tick = client.tick();
                link.stats = client.stats();
                if client.session().is_attached() { Phase::Playing } else { Phase::Lost }
            }
        };
        core::mem::take(&mut state.told)
    };
    for told in told {
        match told {
            Told::News(news) => {
                world.write_message(news);
            }
            Told::Said(said) => {
                world.write_message(RawSaid(said));
            }
            Told::Answer { request, answer } => {
                world.write_message(RawAnswer { request, answer });
            }
        }
    }
}

/// Hands the player's input to the thread.
fn send<I: Input>(connection: Option<Res<'_, Connection<I>>>, input: Res<'_, PlayerInput<I>>) {
    let Some(connection) = connection else { return };
    if let Some(player) = &mut connection.0.shared().lock().player {
        player.client().set_input(input.0.clone());
    }
}

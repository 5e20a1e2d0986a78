//! The window: squares that run, keys that steer.

use amphi::prelude::*;
use amphi_clients_bevy::{AmphiClientPlugin, Invitation, MatchLink, News, Own, PlayerInput};
use bevy::DefaultPlugins;
use bevy::camera::{Camera2d, OrthographicProjection, Projection, ScalingMode};
use bevy::color::Color;
use bevy::input::ButtonInput;
use bevy::input::keyboard::KeyCode;
use bevy::math::Vec2;
use bevy::sprite::Sprite;
use bevy::transform::components::Transform;
use bevy::window::Window;

use crate::game::{Runner, Stick, tag};

/// Side of the field that is seen.
const SEEN: f32 = 1_400.0;
/// Side of a runner.
const SIZE: f32 = 48.0;

/// Opens the window and plays until it is closed.
pub fn run(invitation: Invitation) {
    App::new()
        .add_plugins((DefaultPlugins, AmphiClientPlugin::<Stick>::new(tag).joining(invitation)))
        .add_systems(Startup, look)
        .add_systems(Update, (press, draw, title))
        .run();
}

fn look(mut commands: Commands) {
    let scaling_mode = ScalingMode::AutoMin { min_width: SEEN, min_height: SEEN };
    let projection = OrthographicProjection { scaling_mode, ..OrthographicProjection::default_2d() };
    commands.spawn((Camera2d, Projection::Orthographic(projection)));
}

/// Arrows or W A S D, and Space to dash.
fn press(keys: Res<ButtonInput<KeyCode>>, mut input: ResMut<PlayerInput<Stick>>) {
    let axis =
        |less: [KeyCode; 2], more: [KeyCode; 2]| i8::from(keys.any_pressed(more)) - i8::from(keys.any_pressed(less));
    let way = [
        axis([KeyCode::ArrowLeft, KeyCode::KeyA], [KeyCode::ArrowRight, KeyCode::KeyD]),
        axis([KeyCode::ArrowDown, KeyCode::KeyS], [KeyCode::ArrowUp, KeyCode::KeyW]),
    ];
    input.0 = Stick { way, dash: keys.pressed(KeyCode::Space) };
}

/// The plugin makes and moves the entities; this gives them a body.
fn draw(mut commands: Commands, runners: Query<(Entity, &Runner, Has<Own>), Changed<Runner>>) {
    for (entity, runner, own) in &runners {
        let hue = f32::from(runner.colour) * 45.0;
        // Whoever is "it" is larger, the own runner is brighter.
        let size = if runner.it { SIZE * 1.5 } else { SIZE };
        let sprite = Sprite::from_color(Color::hsl(hue, 0.8, if own { 0.7 } else { 0.45 }), Vec2::splat(size));
        let [x, y] = runner.at.map(|at| at as f32);
        commands.entity(entity).insert((sprite, Transform::from_xyz(x, y, 0.0)));
    }
}

fn title(link: Res<MatchLink>, mut news: MessageReader<News>, mut windows: Query<&mut Window>) {
    let Some(mut window) = windows.iter_mut().next() else { return };
    for news in news.read() {
        if let News::Refused { message, .. } | News::Failed { message } | News::Closed { message, .. } = news {
            window.title.clone_from(message);
            return;
        }
    }
    if let Some(rtt) = link.rtt() {
        let title = format!("Tag: {:?}, {} ms", link.phase(), rtt.0 / 1_000);
        if window.title != title && link.tick().0.is_multiple_of(60) {
            window.title = title;
        }
    }
}

//! `enrol-token create`.

use super::reply::Reply;
use super::session::Session;
use crate::domain::token::{TokenRequest, create};
use crate::signing::ServerKeys;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::enrol_link::EnrolLink;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Make a token that lets one tablet enrol within 24 hours
    Create(Args),
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// What staff call the tablet
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "early-years")]
    profile: String,
    /// A room the tablet is used in; repeat for several, leave out for the whole setting
    #[arg(long = "room", value_name = "ROOM")]
    rooms: Vec<RoomName>,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let Action::Create(args) = action;
    let settings = session.settings()?;
    let keys = ServerKeys::load(&session.data.keys_dir())?;
    let request = TokenRequest {
        name: args.name,
        profile: args.profile,
        rooms: args.rooms.into_iter().collect(),
    };
    let token = create(&session.storage, &request, &session.who(), session.now()).await?;
    let link = EnrolLink {
        server: settings.tablets.address,
        pin: keys.public.tablet_tls_pin,
        token: token.text,
    };
    let code = QrCode::new(link.to_string())?
        .render::<Dense1x2>()
        .quiet_zone(true)
        .build();
    let text = format!(
        "{code}\n\n{link}\n\nOn the tablet \"{}\": scan the code, or run `nestwarden-agent enrol LINK`.\nIt is good once, until {}.",
        request.name,
        session.local_time().await?.at(token.expires_at)
    );
    let json = json!({
        "token": link.token,
        "link": link.to_string(),
        "name": request.name,
        "profile": request.profile,
        "rooms": request.rooms,
        "expires_at": token.expires_at,
    });
    Ok(Reply::new(json, text))
}

//! An account for whoever watches the demo. Its clock is days ahead, which no authenticator is, so it goes by printed codes.

use crate::fleet::{DSL, Fleet};
use anyhow::{Context as _, Result};
use nestwarden_server::domain::account::invitation::invite;
use nestwarden_server::domain::account::set_up::{
    House, SecondAs, Wanted, WantedFactor, new_totp, set_up,
};
use nestwarden_server::domain::account::sign_in::{Shown, sign_in};
use nestwarden_server::domain::account::totp;
use nestwarden_server::domain::token::random_text;
use nestwarden_server::signing::{ReleaseKey, keys};
use nestwarden_server::storage::sql;
use std::fmt;
use std::net::SocketAddr;
use zeroize::Zeroizing;

pub struct WayIn {
    address: SocketAddr,
    password: String,
    codes: Vec<String>,
}

impl WayIn {
    pub fn make(fleet: &Fleet) -> Result<Self> {
        let database = fleet.server.data_dir().join("nestwarden.db");
        let keys = keys::public_keys(&fleet.server.data_dir().join("keys"))?;
        let now = fleet.clock().now()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let password = random_text()?;
        let ready = runtime.block_on(async {
            let storage = sql::open(&database).await?;
            let found = storage.operator_by_name(DSL).await?;
            let operator = found.context("the demo's operator is gone")?;
            let link = invite(&storage, &operator, "demo", now).await?;
            let secret = new_totp().context("no random bits")?;
            let base32 = totp::to_base32(&secret);
            let wanted = Wanted {
                token: &link.token,
                password: Zeroizing::new(password.clone()),
                repeated: Zeroizing::new(password.clone()),
                factor: WantedFactor::Totp {
                    base32: &base32,
                    code: &totp::code_now(&base32, now).context("no code")?,
                },
                second: Some(("Kim Deputy", SecondAs::Deputy)),
            };
            let house = House {
                setting_name: "Little Acorns",
                recipient: &keys.release_recipient,
            };
            let ready = set_up(&storage, house, wanted, now).await?;
            anyhow::Ok(ready)
        })?;
        Ok(Self {
            address: fleet.server.console_address(),
            password,
            codes: ready.recovery_codes,
        })
    }
}

impl WayIn {
    /// Signs in and uses a code up for it; what the browser would send along.
    pub fn cookie(&mut self, fleet: &Fleet) -> Result<String> {
        let database = fleet.server.data_dir().join("nestwarden.db");
        let now = fleet.clock().now()?;
        let release = ReleaseKey::load(&fleet.server.data_dir().join("keys"))?;
        let code = self.codes.pop().context("every code is used up")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signed_in = runtime.block_on(async {
            let storage = sql::open(&database).await?;
            anyhow::Ok(
                sign_in(
                    &storage,
                    &release,
                    DSL,
                    Zeroizing::new(self.password.clone()),
                    Shown::Code(&code),
                    now,
                )
                .await?,
            )
        })?;
        Ok(format!("__Host-nestwarden={}", signed_in.secret))
    }
}

impl fmt::Display for WayIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The console is at https://{} (the browser warns: nobody vouches for the demo's certificate).",
            self.address
        )?;
        writeln!(f, "  name      {DSL}\n  password  {}", self.password)?;
        write!(
            f,
            "  code      each of these, once: {}",
            self.codes.join(" ")
        )
    }
}

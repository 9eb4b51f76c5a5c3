//! Calls to services on the system bus, from code that blocks.

use super::tablet::Tablet;
use crate::control::EnforceError;
use serde::Serialize;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::wire::DynamicDeserialize;
use zbus::{Connection, DynamicType, OwnedVariant, Proxy, connection, fdo};

const SOCKET_PATH: &str = "/run/dbus/system_bus_socket";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A service that has not answered by then does not hold up the other controls.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// A connection and the runtime that drives it while a call waits.
#[derive(Debug)]
pub(super) struct Bus {
    connection: Connection,
    runtime: Option<Runtime>,
}

/// An object of a service and one of its interfaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) service: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody on the bus goes by the service's name, or it has no such object or interface.
    #[error("{0}")]
    Absent(String),
    /// The service said no.
    #[error("{0}")]
    Refused(String),
    /// The bus is gone or the answer makes no sense.
    #[error("{0}")]
    Broken(String),
}

impl CallError {
    pub(super) fn into_failed(self, act: &str) -> EnforceError {
        EnforceError::failed(act, std::io::Error::other(self))
    }
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        let text = error.to_string();
        if let zbus::Error::MethodError(..) = error {
            return Self::Refused(text);
        }
        let zbus::Error::FDO(error) = error else {
            return Self::Broken(text);
        };
        let is_absent = matches!(
            *error,
            fdo::Error::ServiceUnknown(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::UnknownObject(_)
                | fdo::Error::UnknownInterface(_)
                | fdo::Error::UnknownProperty(_)
                | fdo::Error::UnknownMethod(_)
        );
        if is_absent {
            Self::Absent(text)
        } else if matches!(*error, fdo::Error::Disconnected(_) | fdo::Error::ZBus(_)) {
            Self::Broken(text)
        } else {
            Self::Refused(text)
        }
    }
}

impl Bus {
    /// The system bus of the whole machine.
    pub(super) fn system(tablet: &Tablet) -> Result<Self, EnforceError> {
        tablet.needs_machine("the system bus")?;
        if !tablet.exists(SOCKET_PATH) {
            return Err(EnforceError::Unsupported(
                "this tablet has no system bus".to_owned(),
            ));
        }
        Self::connect(connection::Builder::address(
            format!("unix:path={SOCKET_PATH}").as_str(),
        ))
    }

    pub(super) fn connect(builder: connection::Builder<'_>) -> Result<Self, EnforceError> {
        let failed = |e| EnforceError::failed("reach the system bus", e);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let connection = runtime
            .block_on(async {
                tokio::time::timeout(CALL_LIMIT, builder.method_timeout(CALL_LIMIT).build()).await
            })
            .map_err(|e| failed(e.into()))?
            .map_err(|e| failed(std::io::Error::other(e)))?;
        Ok(Self {
            connection,
            runtime: Some(runtime),
        })
    }

    /// Calls a method. Never starts a service that is not running: asking after a radio must not switch anything on.
    pub(super) fn call<B, R>(
        &self,
        object: Object<'_>,
        method: &str,
        body: &B,
    ) -> Result<R, CallError>
    where
        B: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let Some(runtime) = &self.runtime else {
            return Err(CallError::Broken("the connection is closed".to_owned()));
        };
        let call = async {
            let proxy: Proxy<'_> = zbus::proxy::Builder::new(&self.connection)
                .destination(object.service)
                .path(object.path)
                .interface(object.interface)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            let answer = proxy
                .call_with_flags(method, MethodFlags::NO_AUTO_START, body)
                .await?;
            answer.ok_or_else(|| CallError::Broken("no answer".to_owned()))
        };
        // The connection's own limit does not cover calls with flags.
        runtime.block_on(async {
            tokio::time::timeout(CALL_LIMIT, call)
                .await
                .unwrap_or_else(|_| {
                    Err(CallError::Broken(format!(
                        "`{}` did not answer within {} s",
                        object.service,
                        CALL_LIMIT.as_secs()
                    )))
                })
        })
    }

    pub(super) fn get<T>(&self, object: Object<'_>, property: &str) -> Result<T, CallError>
    where
        T: TryFrom<OwnedVariant>,
    {
        let properties = Object {
            interface: PROPERTIES,
            ..object
        };
        let value: OwnedVariant = self.call(properties, "Get", &(object.interface, property))?;
        T::try_from(value).map_err(|_| {
            CallError::Broken(format!("`{property}` is of another type than expected"))
        })
    }

    pub(super) fn set(
        &self,
        object: Object<'_>,
        property: &str,
        value: &zbus::Variant<'_>,
    ) -> Result<(), CallError> {
        let properties = Object {
            interface: PROPERTIES,
            ..object
        };
        self.call(properties, "Set", &(object.interface, property, value))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Dropped in an async context a runtime would panic over waiting for its tasks.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connects when first needed, and again after the connection broke.
#[derive(Debug)]
pub(super) struct BusDoor {
    tablet: Tablet,
    bus: Option<Bus>,
}

impl BusDoor {
    pub(super) fn new(tablet: &Tablet) -> Self {
        Self {
            tablet: tablet.clone(),
            bus: None,
        }
    }

    #[cfg(test)]
    pub(super) fn with(tablet: &Tablet, bus: Bus) -> Self {
        Self {
            tablet: tablet.clone(),
            bus: Some(bus),
        }
    }

    /// Why there is no bus, if there is none.
    pub(super) fn bus(&mut self) -> Result<&Bus, EnforceError> {
        let bus = match self.bus.take() {
            Some(bus) if !bus.connection.is_closed() => bus,
            Some(_) | None => Bus::system(&self.tablet)?,
        };
        Ok(self.bus.insert(bus))
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub(super) mod testing;

//! What the demo, the figures and the end-to-end tests share: the two programs as processes, a clock that can be moved, a
//! network that can be broken, and photos and registers that look real.

pub mod browser;
pub mod clock;
pub mod database;
pub mod demo;
pub mod evidence;
pub mod figures;
pub mod fleet;
pub mod jpeg;
pub mod machine;
pub mod patience;
pub mod ports;
pub mod process;
pub mod profile;
pub mod proxy;
pub mod register;
pub mod vm;

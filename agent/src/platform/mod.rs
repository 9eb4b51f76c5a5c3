//! How the operating system of a tablet is read and changed. The only place that asks which one it is.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the agent runs on Linux tablets only; another system needs a folder of its own beside `linux`"
);

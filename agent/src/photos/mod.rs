//! Photos: which there are, who may be in them, and what becomes of them.

mod fault;
pub mod hash;
pub mod media;
pub mod roots;
pub mod scan;
pub mod seal;
pub mod thumbnail;
pub mod tree;
pub mod vault;

//! What the demo, the figures and the end-to-end tests share.
